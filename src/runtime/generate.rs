//! Files that are generated from the code: CustomResourceDefinitions and RBAC rules.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_yaml::Value;

use super::args::LEASE;
use crate::api::{CanaryRollout, MetricSource, RolloutAction};

/// One definition by file name.
pub fn crds() -> Result<Vec<(&'static str, String)>, serde_yaml::Error> {
    Ok(vec![
        ("canaryrollouts.yaml", definition(&CanaryRollout::crd())?),
        ("rolloutactions.yaml", definition(&RolloutAction::crd())?),
        ("metricsources.yaml", definition(&MetricSource::crd())?),
    ])
}

/// A definition without rules and patterns for statuses: only the controller writes those, and the API server has a budget for the rules
/// of all fields together.
fn definition(crd: &CustomResourceDefinition) -> Result<String, serde_yaml::Error> {
    let mut crd = serde_yaml::to_value(crd)?;
    let versions = crd["spec"]["versions"].as_sequence_mut().into_iter().flatten();
    for version in versions {
        let properties = &mut version["schema"]["openAPIV3Schema"]["properties"];
        properties.get_mut("status").into_iter().for_each(without_rules);
    }
    serde_yaml::to_string(&crd)
}

fn without_rules(schema: &mut Value) {
    match schema {
        Value::Mapping(fields) => {
            fields.remove("x-kubernetes-validations");
            // A field of that name would have a schema, not a text.
            if fields.get("pattern").is_some_and(Value::is_string) {
                fields.remove("pattern");
            }
            fields.values_mut().for_each(without_rules);
        }
        Value::Sequence(items) => items.iter_mut().for_each(without_rules),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Tagged(_) => {}
    }
}

/// A rule of one of the controller's roles.
struct Rule {
    why: &'static str,
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
}

const RULES: [Rule; 18] = [
    Rule {
        why: "the rollouts themselves; patch puts on and takes off the finalizer",
        group: "warmfront.dev",
        resources: &["canaryrollouts"],
        verbs: &["get", "list", "watch", "patch"],
    },
    Rule {
        why: "a finalizer may be set only by who may update it",
        group: "warmfront.dev",
        resources: &["canaryrollouts/finalizers"],
        verbs: &["update"],
    },
    Rule {
        why: "a rollout's status is the only memory; it is replaced under its resourceVersion, and patched where it cannot be read",
        group: "warmfront.dev",
        resources: &["canaryrollouts/status"],
        verbs: &["update", "patch"],
    },
    Rule {
        why: "what people ask for; answered ones are removed after a day",
        group: "warmfront.dev",
        resources: &["rolloutactions"],
        verbs: &["get", "list", "watch", "delete"],
    },
    Rule {
        why: "the answers",
        group: "warmfront.dev",
        resources: &["rolloutactions/status"],
        verbs: &["patch"],
    },
    Rule {
        why: "where metrics come from",
        group: "warmfront.dev",
        resources: &["metricsources"],
        verbs: &["get", "list", "watch"],
    },
    Rule {
        why: "patch sets spec.paused and the label warmfront.dev/rollout, nothing else; a dry run asks whether a changed template is held",
        group: "apps",
        resources: &["deployments"],
        verbs: &["get", "list", "watch", "patch"],
    },
    Rule {
        why: "the new version's ReplicaSet is made, held, scaled, given to the Deployment, and deleted when it was rejected",
        group: "apps",
        resources: &["replicasets"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
    },
    Rule {
        why: "the user's Services are narrowed during a release; the canary Service is made and deleted",
        group: "",
        resources: &["services"],
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
    },
    Rule {
        why: "an autoscaler's minimum is raised while a release runs, and put back",
        group: "autoscaling",
        resources: &["horizontalpodautoscalers"],
        verbs: &["get", "list", "watch", "patch"],
    },
    Rule {
        why: "the same for KEDA's, where the cluster has them: KEDA undoes changes of the HorizontalPodAutoscalers that it makes",
        group: "keda.sh",
        resources: &["scaledobjects"],
        verbs: &["get", "list", "watch", "patch"],
    },
    Rule {
        why: "a ConfigMap that the template names and that changes in place is told of; metadata is watched, and what changed is read. With the chart's configMaps: false this rule is left out",
        group: "",
        resources: &["configmaps"],
        verbs: &["get", "list", "watch"],
    },
    Rule {
        why: "which pods traffic reaches",
        group: "discovery.k8s.io",
        resources: &["endpointslices"],
        verbs: &["get", "list", "watch"],
    },
    Rule {
        why: "why pods do not become ready, and whether a namespace is being deleted",
        group: "",
        resources: &["pods", "namespaces"],
        verbs: &["get", "list"],
    },
    Rule {
        why: "weights in the named routes",
        group: "gateway.networking.k8s.io",
        resources: &["httproutes", "grpcroutes"],
        verbs: &["get", "list", "watch", "patch"],
    },
    Rule {
        why: "who accepts the routes",
        group: "gateway.networking.k8s.io",
        resources: &["gateways", "gatewayclasses"],
        verbs: &["get", "list", "watch"],
    },
    Rule {
        why: "whether the API server holds changed templates: by the chart's policy and its binding",
        group: "admissionregistration.k8s.io",
        resources: &["mutatingadmissionpolicies", "mutatingadmissionpolicybindings"],
        verbs: &["get", "list", "watch"],
    },
    Rule {
        why: "every transition is told",
        group: "",
        resources: &["events"],
        verbs: &["create"],
    },
];

/// Rules for the controller's own namespace, each for the objects of these names alone, or for all if there is none.
const NAMESPACE_RULES: [(Rule, &[&str]); 2] = [
    (
        Rule {
            why: "who leads; the lease is read and replaced under its resourceVersion",
            group: "coordination.k8s.io",
            resources: &["leases"],
            verbs: &["get", "update"],
        },
        &[LEASE],
    ),
    (
        Rule {
            why: "the first process makes the lease; a right to create cannot be bound to a name",
            group: "coordination.k8s.io",
            resources: &["leases"],
            verbs: &["create"],
        },
        &[],
    ),
];

/// The rules of the controller's ClusterRole as YAML, each with its reason.
pub fn rbac() -> String {
    RULES.iter().map(|rule| yaml(rule, &[])).collect()
}

/// The rules of the Role in the controller's own namespace as YAML, each with its reason.
pub fn namespace_rbac() -> String {
    NAMESPACE_RULES.iter().map(|(rule, names)| yaml(rule, names)).collect()
}

fn yaml(rule: &Rule, names: &[&str]) -> String {
    let list = |items: &[&str]| {
        items
            .iter()
            .map(|item| format!("{item:?}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let names = if names.is_empty() {
        String::new()
    } else {
        format!("  resourceNames: [{}]\n", list(names))
    };
    format!(
        "# {}\n- apiGroups: [{:?}]\n  resources: [{}]\n{names}  verbs: [{}]\n",
        rule.why,
        rule.group,
        list(rule.resources),
        list(rule.verbs)
    )
}
