//! The kinds that the API server knows, and how each behaves.

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the kinds' own names")]
pub enum Kind {
    Namespace,
    Pod,
    Service,
    Event,
    EndpointSlice,
    Deployment,
    ReplicaSet,
    ConfigMap,
    HorizontalPodAutoscaler,
    ScaledObject,
    HttpRoute,
    GrpcRoute,
    Gateway,
    GatewayClass,
    CanaryRollout,
    RolloutAction,
    MetricSource,
    HoldPolicy,
    HoldBinding,
}

/// How a kind is addressed and how it behaves.
pub struct Traits {
    /// Group, empty for the core.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// In addresses.
    pub plural: &'static str,
    /// In objects.
    pub kind: &'static str,
    /// Lives in a namespace.
    pub namespaced: bool,
    /// Status is written apart from the rest.
    pub status: bool,
    /// Changes of the spec are counted.
    pub generation: bool,
}

const ADMISSION: &str = "admissionregistration.k8s.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

impl Kind {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Namespace,
        Self::Pod,
        Self::Service,
        Self::Event,
        Self::EndpointSlice,
        Self::Deployment,
        Self::ReplicaSet,
        Self::ConfigMap,
        Self::HorizontalPodAutoscaler,
        Self::ScaledObject,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::Gateway,
        Self::GatewayClass,
        Self::CanaryRollout,
        Self::RolloutAction,
        Self::MetricSource,
        Self::HoldPolicy,
        Self::HoldBinding,
    ];

    /// How it is addressed and how it behaves.
    pub fn traits(self) -> Traits {
        let kind = |group, version, plural, kind| Traits {
            group,
            version,
            plural,
            kind,
            namespaced: true,
            status: true,
            generation: true,
        };
        match self {
            Self::Namespace => Traits {
                namespaced: false,
                generation: false,
                ..kind("", "v1", "namespaces", "Namespace")
            },
            Self::Pod => Traits {
                generation: false,
                ..kind("", "v1", "pods", "Pod")
            },
            Self::Service => Traits {
                generation: false,
                ..kind("", "v1", "services", "Service")
            },
            Self::Event => Traits {
                status: false,
                generation: false,
                ..kind("", "v1", "events", "Event")
            },
            Self::EndpointSlice => Traits {
                status: false,
                ..kind("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")
            },
            Self::Deployment => kind("apps", "v1", "deployments", "Deployment"),
            Self::ReplicaSet => kind("apps", "v1", "replicasets", "ReplicaSet"),
            Self::ConfigMap => Traits {
                status: false,
                generation: false,
                ..kind("", "v1", "configmaps", "ConfigMap")
            },
            Self::HorizontalPodAutoscaler => kind(
                "autoscaling",
                "v2",
                "horizontalpodautoscalers",
                "HorizontalPodAutoscaler",
            ),
            Self::ScaledObject => kind("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject"),
            Self::GrpcRoute => kind(GATEWAY, "v1", "grpcroutes", "GRPCRoute"),
            Self::HttpRoute => kind(GATEWAY, "v1", "httproutes", "HTTPRoute"),
            Self::Gateway => kind(GATEWAY, "v1", "gateways", "Gateway"),
            Self::GatewayClass => Traits {
                namespaced: false,
                ..kind(GATEWAY, "v1", "gatewayclasses", "GatewayClass")
            },
            Self::HoldPolicy => Traits {
                namespaced: false,
                status: false,
                ..kind(ADMISSION, "v1", "mutatingadmissionpolicies", "MutatingAdmissionPolicy")
            },
            Self::HoldBinding => Traits {
                namespaced: false,
                status: false,
                ..kind(
                    ADMISSION,
                    "v1",
                    "mutatingadmissionpolicybindings",
                    "MutatingAdmissionPolicyBinding",
                )
            },
            Self::CanaryRollout => kind("warmfront.dev", "v1alpha1", "canaryrollouts", "CanaryRollout"),
            Self::RolloutAction => kind("warmfront.dev", "v1alpha1", "rolloutactions", "RolloutAction"),
            Self::MetricSource => Traits {
                namespaced: false,
                status: false,
                ..kind("warmfront.dev", "v1alpha1", "metricsources", "MetricSource")
            },
        }
    }

    /// By its address.
    pub fn find(group: &str, plural: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.traits().group == group && kind.traits().plural == plural)
    }

    /// As manifests write it.
    pub fn api_version(self) -> String {
        let traits = self.traits();
        if traits.group.is_empty() {
            traits.version.to_owned()
        } else {
            format!("{}/{}", traits.group, traits.version)
        }
    }
}
