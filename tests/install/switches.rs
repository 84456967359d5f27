//! Every value of the chart does what its comment says, and makes objects that Kubernetes knows.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        batch::v1::Job,
        core::v1::ServiceAccount,
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use warmfront::api::MetricSource;

use crate::{
    cases::{CASES, Case, POLICY, REFUSED},
    helm::{Rendered, helm, rendered},
    values,
};

const CHART: &str = "charts/warmfront";

/// What is not as a case says; its expectations are YAML.
fn unlike(case: &Case, rendered: &Rendered) -> Vec<String> {
    let mut found = Vec::new();
    for (object, path, expected) in case.seen {
        let expected: Value = serde_yaml::from_str(expected).unwrap();
        let there = rendered.at(object, path);
        if there != expected {
            found.push(format!("{object} {path} is {there}, not {expected}"));
        }
    }
    found
}

/// Fields that an object's kind does not have, and what cannot be read.
fn unknown(object: &Value) -> Vec<String> {
    fn of<T: DeserializeOwned>(object: &Value) -> Vec<String> {
        let mut found = Vec::new();
        let read = serde_ignored::deserialize::<_, _, T>(object, |path| found.push(path.to_string()));
        found.extend(read.err().map(|error| error.to_string()));
        found
    }
    match object["kind"].as_str().unwrap_or_default() {
        "ClusterRole" => of::<ClusterRole>(object),
        "ClusterRoleBinding" => of::<ClusterRoleBinding>(object),
        "CustomResourceDefinition" => of::<CustomResourceDefinition>(object),
        "Deployment" => of::<Deployment>(object),
        "Job" => of::<Job>(object),
        // A custom resource's type has its own kind, and does not read it.
        "MetricSource" => {
            let mut bare = object.clone();
            bare.as_object_mut()
                .unwrap()
                .retain(|field, _| field != "apiVersion" && field != "kind");
            of::<MetricSource>(&bare)
        }
        "NetworkPolicy" => of::<NetworkPolicy>(object),
        "PodDisruptionBudget" => of::<PodDisruptionBudget>(object),
        "Role" => of::<Role>(object),
        "RoleBinding" => of::<RoleBinding>(object),
        "ServiceAccount" => of::<ServiceAccount>(object),
        // Newer than the types of this build; the test cluster installs them.
        "MutatingAdmissionPolicy" | "MutatingAdmissionPolicyBinding" => Vec::new(),
        other => vec![format!("kind {other}: tell this test of it")],
    }
}

#[test]
#[ignore = "needs Helm: make chart"]
fn each_value_is_seen_in_what_is_made() {
    let mut defaults: BTreeMap<&[&str], Rendered> = BTreeMap::new();
    for case in CASES {
        let made = rendered(CHART, case.values, case.kinds).unwrap_or_else(|why| panic!("{}: {why}", case.values));
        assert_eq!(unlike(case, &made), [""; 0], "with {}", case.values);
        let by_default = defaults
            .entry(case.kinds)
            .or_insert_with(|| rendered(CHART, "{}", case.kinds).unwrap());
        assert_ne!(
            unlike(case, by_default),
            [""; 0],
            "{} changes nothing that is looked at",
            case.values
        );
        for object in made.all() {
            assert_eq!(
                unknown(object),
                [""; 0],
                "{} with {}",
                object["metadata"]["name"],
                case.values
            );
        }
    }
}

#[test]
fn no_value_goes_untried() {
    let schema = values::schema();
    let tried: BTreeSet<String> = CASES
        .iter()
        .flat_map(|case| values::paths(&serde_yaml::from_str(case.values).unwrap(), &schema))
        .collect();
    assert_eq!(
        tried,
        values::paths(&values::defaults(), &schema),
        "each has a case in cases.rs"
    );
}

#[test]
#[ignore = "needs Helm: make chart"]
fn what_makes_no_sense_is_refused_with_the_reason() {
    for (values, reason) in REFUSED {
        let why = rendered(CHART, values, &[])
            .err()
            .unwrap_or_else(|| panic!("{values} is taken"));
        assert!(why.contains(reason), "{values}: {why}");
    }
}

#[test]
#[ignore = "needs Helm: make chart"]
fn helm_finds_nothing_to_complain_of() {
    helm(&["lint", "--strict", "--kube-version", "1.33.0", CHART], "").unwrap();
}

/// What Kubernetes never lets change, as it was in the first release: an upgrade would fail.
#[test]
#[ignore = "needs Helm: make chart"]
fn what_can_never_change_is_as_ever() {
    let values = "{global: {commonLabels: {team: x}}, podLabels: {tier: ops}, fullnameOverride: other}";
    let made = rendered(CHART, values, &[]).unwrap();
    let selector = serde_json::json!({"app.kubernetes.io/name": "warmfront", "app.kubernetes.io/instance": "wf"});
    assert_eq!(made.at("Deployment/other", "spec selector matchLabels"), selector);
    let names = made
        .all()
        .iter()
        .filter(|object| object["kind"] == "Deployment")
        .count();
    assert_eq!(names, 1);
}

/// With every label and name of its own the pods are still found by their Deployment, budget and policy.
#[test]
#[ignore = "needs Helm: make chart"]
fn pods_have_the_labels_that_select_them() {
    let values = "{global: {commonLabels: {app.kubernetes.io/name: a, app.kubernetes.io/instance: b}}, podLabels: {app.kubernetes.io/name: c}}";
    let made = rendered(CHART, values, &[POLICY]).unwrap();
    let labels = made.at("Deployment/wf", "spec template metadata labels");
    for (object, path) in [
        ("Deployment/wf", "spec selector matchLabels"),
        ("PodDisruptionBudget/wf", "spec selector matchLabels"),
        ("NetworkPolicy/wf", "spec podSelector matchLabels"),
    ] {
        let selector = made.at(object, path);
        let selector = selector.as_object().unwrap();
        assert!(!selector.is_empty());
        for (name, value) in selector {
            assert_eq!(&labels[name], value, "{object}: {name}");
        }
    }
    let job = made.at("Job/wf-release-all", "spec template metadata labels");
    assert_eq!(
        job["app.kubernetes.io/name"], "warmfront-release-all",
        "the Job's pod is none of the Deployment's"
    );
}
