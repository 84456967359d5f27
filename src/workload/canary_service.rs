//! The Service of the new version: made like the user's, and like it for as long as both stand.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    marks::{copied_annotations, copied_labels},
    service::Service,
};
use crate::{
    api::{HASH_LABEL, ROLLOUT_LABEL, traffic::ServiceMetadata},
    kubernetes::patch::{Patch, add, at, remove},
};

/// Fields of the user's Service that have rules of their own here. Whatever else is read of its spec the new version's has
/// too, now and after a change.
const WITH_RULES: [&str; 5] = ["selector", "ports", "type", "clusterIP", "ipFamilies"];

/// Those of the others that are gone once the user's Service has them no more; the API server always has the others.
const OPTIONAL: [&str; 3] = [
    "sessionAffinityConfig",
    "trafficDistribution",
    "publishNotReadyAddresses",
];

/// What the Service of the new version is to be.
#[derive(Clone, Copy)]
pub struct Likeness<'a> {
    /// The user's Service.
    pub of: &'a Service,
    /// The revision whose pods it selects.
    pub hash: &'a str,
    /// Labels of these pods.
    pub pods: &'a BTreeMap<String, String>,
    /// What the spec asks for besides.
    pub metadata: &'a ServiceMetadata,
}

impl Likeness<'_> {
    /// The whole object.
    pub fn object(&self, namespace: &str, rollout: &str, name: &str) -> Value {
        let mut labels = object_of(copied_labels(self.of));
        labels.extend(object_of(&self.metadata.labels));
        labels.insert(ROLLOUT_LABEL.to_owned(), json!(rollout));
        let mut annotations = object_of(copied_annotations(self.of));
        annotations.extend(object_of(&self.metadata.annotations));
        let mut metadata = json!({"name": name, "namespace": namespace, "labels": labels});
        if !annotations.is_empty() {
            metadata["annotations"] = json!(annotations);
        }
        let mut spec = self.spec();
        // These cannot be changed later.
        if self.of.spec.get("clusterIP").is_some_and(|address| address == "None") {
            spec.insert("clusterIP".to_owned(), json!("None"));
        }
        spec.extend(
            self.of
                .spec
                .get("ipFamilies")
                .map(|families| ("ipFamilies".to_owned(), families.clone())),
        );
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    }

    /// What is to be changed of `live`, the Service that stands. Labels and annotations that were copied are left as
    /// they are: others may write them, too.
    pub fn change(&self, live: &Service) -> Patch {
        let mut patch = Patch::new();
        for (key, value) in self.spec() {
            if live.spec.get(&key) != Some(&value) {
                patch.push(add(at!["spec", key], value));
            }
        }
        for key in OPTIONAL {
            if live.spec.contains_key(key) && !self.of.spec.contains_key(key) {
                patch.push(remove(at!["spec", key]));
            }
        }
        let fields = [
            ("labels", &self.metadata.labels, &live.labels),
            ("annotations", &self.metadata.annotations, &live.annotations),
        ];
        for (field, wanted, is) in fields {
            let different: Vec<_> = wanted
                .iter()
                .filter(|(key, value)| is.get(*key) != Some(*value))
                .collect();
            if !different.is_empty() && is.is_empty() {
                patch.push(add(at!["metadata", field], json!(wanted)));
                continue;
            }
            patch.extend(
                different
                    .into_iter()
                    .map(|(key, value)| add(at!["metadata", field, key], value.as_str())),
            );
        }
        patch
    }

    /// Fields of the spec that are as they are asked for at any time.
    fn spec(&self) -> Map<String, Value> {
        let mut spec = self.of.spec.clone();
        spec.retain(|key, _| !WITH_RULES.contains(&key.as_str()));
        spec.insert("type".to_owned(), json!("ClusterIP"));
        spec.insert("selector".to_owned(), json!(self.selector()));
        spec.insert("ports".to_owned(), json!(self.ports()));
        spec
    }

    /// The user's selector and the revision. What the pods do not carry is left out: an edit of the user's selector must
    /// not take the new version's pods from their requests.
    fn selector(&self) -> BTreeMap<&str, &str> {
        let carried = self
            .of
            .selector
            .iter()
            .filter(|(key, value)| self.pods.get(*key) == Some(*value));
        let mut selector: BTreeMap<&str, &str> = carried.map(|(key, value)| (key.as_str(), value.as_str())).collect();
        selector.insert(HASH_LABEL, self.hash);
        selector
    }

    /// The user's ports, without those of nodes, which only one Service can have.
    fn ports(&self) -> Vec<Value> {
        let mut ports = self.of.ports.clone();
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            port.remove("nodePort");
        }
        ports
    }
}

fn object_of<'a>(texts: impl IntoIterator<Item = (&'a String, &'a String)>) -> Map<String, Value> {
    texts
        .into_iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Value {
        json!({
            "metadata": {"name": "catalog", "labels": {"app": "catalog", "helm.sh/chart": "x"}, "annotations": {"prometheus.io/scrape": "true"}},
            "spec": {
                "type": "LoadBalancer", "clusterIP": "10.0.0.7", "selector": {"app": "catalog", "pod-template-hash": "old"},
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "appProtocol": "kubernetes.io/h2c", "nodePort": 30080}],
                "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
                "internalTrafficPolicy": "Local", "publishNotReadyAddresses": true, "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"],
                "externalTrafficPolicy": "Local",
            },
        })
    }

    fn pods() -> BTreeMap<String, String> {
        BTreeMap::from([("app".to_owned(), "catalog".to_owned())])
    }

    fn made(users: &Value, metadata: &ServiceMetadata) -> Value {
        let (of, pods) = (&Service::read(users), &pods());
        Likeness {
            of,
            hash: "new",
            pods,
            metadata,
        }
        .object("shop", "catalog", "catalog-canary")
    }

    /// What is changed of `live` once the user's Service is `users`, until nothing is left to be changed.
    fn followed(users: &Value, mut live: Value, metadata: &ServiceMetadata) -> Value {
        let (of, pods) = (&Service::read(users), &pods());
        let likeness = Likeness {
            of,
            hash: "new",
            pods,
            metadata,
        };
        let patch = likeness.change(&Service::read(&live));
        json_patch::patch(&mut live, &patch).unwrap();
        assert_eq!(
            likeness.change(&Service::read(&live)),
            Patch::new(),
            "one write is enough"
        );
        live
    }

    #[test]
    fn it_is_like_the_users_and_reached_inside_the_cluster_alone() {
        let wanted = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "catalog-canary", "namespace": "shop", "annotations": {"prometheus.io/scrape": "true"},
                "labels": {"app": "catalog", "warmfront.dev/rollout": "catalog"},
            },
            "spec": {
                "type": "ClusterIP", "selector": {"app": "catalog", "pod-template-hash": "new"},
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "appProtocol": "kubernetes.io/h2c"}],
                "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
                "internalTrafficPolicy": "Local", "publishNotReadyAddresses": true, "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"],
            },
        });
        assert_eq!(made(&users(), &ServiceMetadata::default()), wanted);
        let mut headless = users();
        headless["spec"]["clusterIP"] = json!("None");
        assert_eq!(
            made(&headless, &ServiceMetadata::default())["spec"]["clusterIP"],
            "None"
        );
    }

    #[test]
    fn what_becomes_of_the_users_becomes_of_it() {
        let metadata = ServiceMetadata::default();
        let live = made(&users(), &metadata);
        let mut changed = users();
        changed["spec"]["ports"] = json!([{"name": "http", "port": 8080, "targetPort": 9090}]);
        changed["spec"]["sessionAffinity"] = json!("None");
        changed["spec"]["trafficDistribution"] = json!("PreferClose");
        changed["spec"]
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !["sessionAffinityConfig", "publishNotReadyAddresses"].contains(&key.as_str()));
        assert_eq!(
            followed(&changed, live.clone(), &metadata)["spec"],
            made(&changed, &metadata)["spec"]
        );
        assert_eq!(
            followed(&users(), live.clone(), &metadata),
            live,
            "nothing is written twice"
        );
    }

    #[test]
    fn what_another_hand_makes_of_it_is_put_right() {
        let metadata = ServiceMetadata::default();
        let live = made(&users(), &metadata);
        let mut edited = live.clone();
        edited["spec"]["selector"] = json!({"app": "other"});
        edited["spec"]["type"] = json!("NodePort");
        edited["spec"]["ports"][0]["nodePort"] = json!(31000);
        edited["metadata"]["annotations"] = json!({"field.example/endpoints": "[]"});
        let back = followed(&users(), edited.clone(), &metadata);
        assert_eq!(back["spec"], live["spec"]);
        assert_eq!(
            back["metadata"], edited["metadata"],
            "whoever writes annotations is not fought"
        );
    }

    #[test]
    fn a_selector_that_the_pods_do_not_answer_is_not_followed() {
        let mut edited = users();
        edited["spec"]["selector"] = json!({"app": "catalog", "tier": "web"});
        let made = made(&edited, &ServiceMetadata::default());
        assert_eq!(
            made["spec"]["selector"],
            json!({"app": "catalog", "pod-template-hash": "new"})
        );
    }

    #[test]
    fn what_the_spec_asks_for_is_added_replaces_and_is_kept() {
        let texts = |key: &str| BTreeMap::from([(key.to_owned(), "x".to_owned())]);
        let metadata = ServiceMetadata {
            labels: texts("app"),
            annotations: texts("note"),
        };
        let object = made(&users(), &metadata);
        assert_eq!(
            object["metadata"]["labels"],
            json!({"app": "x", "warmfront.dev/rollout": "catalog"})
        );
        assert_eq!(
            object["metadata"]["annotations"],
            json!({"prometheus.io/scrape": "true", "note": "x"})
        );
        let mut edited = object.clone();
        edited["metadata"]["labels"]["app"] = json!("y");
        edited["metadata"].as_object_mut().unwrap().remove("annotations");
        let back = followed(&users(), edited, &metadata);
        assert_eq!(back["metadata"]["labels"], object["metadata"]["labels"]);
        assert_eq!(back["metadata"]["annotations"], json!({"note": "x"}));
    }
}
