//! The kinds that are watched, one row each: everything that is said about a kind stands in its row.

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};

use super::{
    caches::Cache,
    concerns::{naming, naming_any_route, of_action, of_policy, of_rollout, of_source, scaled_by_keda},
    decode::{Part, WHOLE},
    named::RolloutRef,
    shelf::Slim,
    slim,
    sought::{self, Sought},
};
use crate::{
    api,
    look::{
        Known,
        hold::{BINDING, POLICY},
        keys,
    },
    router::gateway_api,
    workload::{autoscaler, deployment, replica_set, service},
};

/// What is said about one kind.
#[derive(Clone, Copy)]
pub struct Row {
    /// Its group; empty for the core's.
    pub group: &'static str,
    /// The version that is spoken.
    pub version: &'static str,
    /// Its name in objects.
    pub kind: &'static str,
    /// Its name in addresses.
    pub plural: &'static str,
    /// Whether the cluster may lack it.
    pub presence: Presence,
    /// What is asked for of each object.
    pub watched: Watched,
    /// What is read of it besides its metadata.
    pub read: Part,
    /// Whose changes a rollout has to be looked at for.
    pub reach: Reach,
    /// Takes out of an object what no decision reads.
    pub slim: Slim,
    /// Which of its objects are kept, and whom a change concerns.
    pub sought: Sought,
}

impl Row {
    /// The kind as kube knows it.
    pub fn resource(&self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, self.version, self.kind), self.plural)
    }
}

/// Which rollouts a changed object concerns.
pub type Concerns = fn(&Caches, &DynamicObject) -> Vec<RolloutRef>;

/// Rollouts for which something calls for a kind that the cluster lacks.
pub type Calling = fn(&Caches, &ApiResource) -> Vec<RolloutRef>;

/// Whether the cluster may lack a kind.
#[derive(Clone, Copy)]
pub enum Presence {
    /// It has it.
    Always,
    /// It may lack it; then it is looked for while it is called for.
    Optional(Calling),
}

/// What is asked for of each object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// All of it.
    Whole,
    /// Its metadata, for kinds of which there are many and whose contents are seldom needed.
    Metadata,
}

/// Which changes of a kind may make a look at a rollout differ from the last one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those in its namespace.
    Namespace,
    /// Those of what objects in its namespace ask for and are about. What is said about them nobody else reads, and
    /// of the rollout itself the version is compared besides.
    Specs,
    /// Those in any namespace: the kind has none, or is referred to from others.
    Everywhere,
}

/// The cache of one kind.
pub type Pick = fn(&Caches) -> &Cache;

/// The kinds as kube knows them.
pub struct Kinds;

macro_rules! kinds {
    ($($(#[$doc:meta])+ $cache:ident, $one:ident, $known:ident: $row:expr;)+) => {
        /// Number of the kinds that are watched.
        pub const KINDS: usize = [$(stringify!($cache)),+].len();

        /// What is said about each.
        pub const ROWS: [Row; KINDS] = [$($row),+];

        /// The cache of each.
        pub const PICKS: [Pick; KINDS] = [$(|caches| &caches.$cache),+];

        /// What is known of the objects of each.
        pub struct Caches {
            $($(#[$doc])+ pub $cache: Cache,)+
        }

        impl Caches {
            /// Empty ones that no watch fills yet.
            pub fn empty() -> Self {
                let [$($cache),+] = ROWS;
                Self { $($cache: Cache::new($cache, keys::of(Known::$known)),)+ }
            }

            /// Every cache.
            pub fn all(&self) -> [&Cache; KINDS] {
                [$(&self.$cache),+]
            }

            /// The cache of a kind.
            pub fn of(&self, kind: impl Into<Known>) -> &Cache {
                match kind.into() {
                    $(Known::$known => &self.$cache,)+
                }
            }
        }

        impl Kinds {
            $(
                $(#[$doc])+
                pub fn $one() -> ApiResource {
                    const ROW: Row = $row;
                    ROW.resource()
                }
            )+
        }
    };
}

/// What is only looked up when something else is looked at.
const NOBODY: Sought = Sought::All(|_, _| Vec::new());
/// What is found at start only: the chart starts the controller anew when it installs the policy.
const NEVER: Calling = |_, _| Vec::new();
/// Kind of the rollouts.
pub(super) const ROLLOUT: &str = "CanaryRollout";
/// Nothing besides metadata.
const METADATA: Part = Part::Only(&[]);
const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// One of the kinds by which the API server holds changed templates.
const fn of_hold(version: &'static str, kind: &'static str, plural: &'static str) -> Row {
    Row {
        group: "admissionregistration.k8s.io",
        version,
        kind,
        plural,
        presence: Presence::Optional(NEVER),
        watched: Watched::Metadata,
        read: METADATA,
        reach: Reach::Everywhere,
        slim: slim::policy,
        sought: Sought::All(of_policy),
    }
}

// The order is that in which their watches are opened.
kinds! {
    /// CanaryRollouts.
    rollouts, rollout, CanaryRollout: Row {
        group: api::GROUP,
        version: api::VERSION,
        kind: ROLLOUT,
        plural: "canaryrollouts",
        presence: Presence::Always,
        watched: Watched::Whole,
        read: WHOLE,
        reach: Reach::Specs,
        slim: slim::rollout,
        sought: Sought::All(of_rollout),
    };
    /// RolloutActions.
    actions, action, RolloutAction: Row {
        group: api::GROUP,
        version: api::VERSION,
        kind: "RolloutAction",
        plural: "rolloutactions",
        presence: Presence::Always,
        watched: Watched::Whole,
        read: WHOLE,
        reach: Reach::Namespace,
        slim: slim::shared,
        sought: Sought::All(of_action),
    };
    /// MetricSources.
    sources, source, MetricSource: Row {
        group: api::GROUP,
        version: api::VERSION,
        kind: "MetricSource",
        plural: "metricsources",
        presence: Presence::Always,
        watched: Watched::Whole,
        read: WHOLE,
        reach: Reach::Everywhere,
        slim: slim::own,
        sought: Sought::All(of_source),
    };
    /// Deployments.
    deployments, deployment, Deployment: Row {
        group: "apps",
        version: "v1",
        kind: "Deployment",
        plural: "deployments",
        presence: Presence::Always,
        watched: Watched::Whole,
        read: Part::AllBut(&deployment::READ),
        reach: Reach::Namespace,
        slim: slim::deployment,
        sought: Sought::ByKey(sought::deployment, &["deployment/"]),
    };
    /// ReplicaSets.
    replica_sets, replica_set, ReplicaSet: Row {
        group: "apps",
        version: "v1",
        kind: "ReplicaSet",
        plural: "replicasets",
        presence: Presence::Always,
        watched: Watched::Whole,
        read: Part::AllBut(&replica_set::READ),
        reach: Reach::Namespace,
        slim: slim::replica_set,
        sought: Sought::ByKey(sought::replica_set, &["deployment/", "held/"]),
    };
    /// Services.
    services, service, Service: Row {
        group: "",
        version: "v1",
        kind: "Service",
        plural: "services",
        presence: Presence::Always,
        watched: Watched::Whole,
        read: Part::AllBut(&service::READ),
        reach: Reach::Namespace,
        slim: slim::service,
        sought: Sought::InNamespace(sought::service),
    };
    /// EndpointSlices.
    endpoint_slices, endpoint_slice, EndpointSlice: Row {
        group: "discovery.k8s.io",
        version: "v1",
        kind: "EndpointSlice",
        plural: "endpointslices",
        presence: Presence::Always,
        watched: Watched::Whole,
        read: WHOLE,
        reach: Reach::Namespace,
        slim: slim::endpoint_slice,
        sought: Sought::ByKey(sought::endpoint_slice, &["service/"]),
    };
    /// HorizontalPodAutoscalers.
    autoscalers, autoscaler, HorizontalPodAutoscaler: Row {
        group: "autoscaling",
        version: "v2",
        kind: "HorizontalPodAutoscaler",
        plural: "horizontalpodautoscalers",
        presence: Presence::Always,
        watched: Watched::Whole,
        read: Part::AllBut(&autoscaler::READ),
        reach: Reach::Namespace,
        slim: slim::autoscaler,
        sought: Sought::InNamespace(sought::autoscaler),
    };
    /// ConfigMaps, without their contents.
    config_maps, config_map, ConfigMap: Row {
        group: "",
        version: "v1",
        kind: "ConfigMap",
        plural: "configmaps",
        presence: Presence::Always,
        watched: Watched::Metadata,
        read: METADATA,
        reach: Reach::Namespace,
        slim: slim::version_only,
        sought: Sought::ByDeployments(sought::config_map),
    };
    /// HTTPRoutes.
    http_routes, http_route, HttpRoute: Row {
        group: GATEWAY_API,
        version: "v1",
        kind: "HTTPRoute",
        plural: "httproutes",
        presence: Presence::Optional(naming),
        watched: Watched::Whole,
        read: WHOLE,
        reach: Reach::Namespace,
        slim: slim::shared,
        sought: Sought::ByKey(sought::http_route, &["route/HTTPRoute/"]),
    };
    /// GRPCRoutes.
    grpc_routes, grpc_route, GrpcRoute: Row {
        group: GATEWAY_API,
        version: "v1",
        kind: "GRPCRoute",
        plural: "grpcroutes",
        presence: Presence::Optional(naming),
        watched: Watched::Whole,
        read: WHOLE,
        reach: Reach::Namespace,
        slim: slim::shared,
        sought: Sought::ByKey(sought::grpc_route, &["route/GRPCRoute/"]),
    };
    /// Gateways.
    gateways, gateway, Gateway: Row {
        group: GATEWAY_API,
        version: "v1",
        kind: "Gateway",
        plural: "gateways",
        presence: Presence::Optional(naming_any_route),
        watched: Watched::Whole,
        read: Part::AllBut(&gateway_api::READ),
        reach: Reach::Everywhere,
        slim: slim::gateway,
        sought: NOBODY,
    };
    /// GatewayClasses.
    gateway_classes, gateway_class, GatewayClass: Row {
        group: GATEWAY_API,
        version: "v1",
        kind: "GatewayClass",
        plural: "gatewayclasses",
        presence: Presence::Optional(naming_any_route),
        watched: Watched::Whole,
        read: Part::AllBut(&gateway_api::READ),
        reach: Reach::Everywhere,
        slim: slim::gateway,
        sought: NOBODY,
    };
    /// KEDA's ScaledObjects.
    scaled_objects, scaled_object, ScaledObject: Row {
        group: "keda.sh",
        version: "v1alpha1",
        kind: "ScaledObject",
        plural: "scaledobjects",
        presence: Presence::Optional(scaled_by_keda),
        watched: Watched::Whole,
        read: Part::AllBut(&autoscaler::READ),
        reach: Reach::Namespace,
        slim: slim::autoscaler,
        sought: Sought::InNamespace(sought::scaled_object),
    };
    /// MutatingAdmissionPolicies.
    hold_policies, hold_policy, HoldPolicy: of_hold("v1", POLICY, "mutatingadmissionpolicies");
    /// Their bindings.
    hold_bindings, hold_binding, HoldBinding: of_hold("v1", BINDING, "mutatingadmissionpolicybindings");
    /// The same before Kubernetes 1.36, where they are switched on.
    beta_hold_policies, beta_hold_policy, HoldPolicyBeta: of_hold("v1beta1", POLICY, "mutatingadmissionpolicies");
    /// Their bindings.
    beta_hold_bindings, beta_hold_binding, HoldBindingBeta: of_hold("v1beta1", BINDING, "mutatingadmissionpolicybindings");
}
