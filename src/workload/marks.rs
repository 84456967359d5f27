//! Labels and annotations of a Service that stay its own: marks by which a tool knows its objects, and orders to a cloud.

use super::service::Service;

/// Tools find their objects by these, and change or delete what stands in no manifest.
const OF_TOOLS: [&str; 15] = [
    "helm.sh",
    "meta.helm.sh",
    "argocd.argoproj.io",
    "kustomize.toolkit.fluxcd.io",
    "helm.toolkit.fluxcd.io",
    "fluxcd.io",
    "applyset.kubernetes.io",
    "kapp.k14s.io",
    "objectset.rio.cattle.io",
    "config.k8s.io",
    "configmanagement.gke.io",
    "configsync.gke.io",
    "addonmanager.kubernetes.io",
    "kubectl.kubernetes.io",
    "skaffold.dev",
];

/// Orders of load balancers, their addresses and their names: two Services with one order would fight for one of them.
const OF_CLOUDS: [&str; 14] = [
    "service.beta.kubernetes.io",
    "cloud.google.com",
    "networking.gke.io",
    "alb.ingress.kubernetes.io",
    "kubernetes.digitalocean.com",
    "load-balancer.hetzner.cloud",
    "loadbalancer.openstack.org",
    "oci.oraclecloud.com",
    "metallb.io",
    "metallb.universe.tf",
    "kube-vip.io",
    "lbipam.cilium.io",
    "external-dns.alpha.kubernetes.io",
    "tailscale.com",
];

/// Names a release of Helm, or an application of Argo CD where that tracks by it; charts' monitors select by it.
const INSTANCE: &str = "app.kubernetes.io/instance";
/// Argo CD tracks by this annotation where it does not track by the label.
const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";

/// The labels of a Service that another one may have too.
pub fn copied_labels(service: &Service) -> impl Iterator<Item = (&String, &String)> {
    let tracked = is_tracked_by_label(service);
    let own = move |key: &str| key == "app.kubernetes.io/managed-by" || (tracked && key == INSTANCE);
    service.labels.iter().filter(move |(key, _)| !own(key) && is_free(key))
}

/// The annotations of a Service that another one may have too.
pub fn copied_annotations(service: &Service) -> impl Iterator<Item = (&String, &String)> {
    // Of Kubernetes' own ones those about topology say how requests flow inside the cluster; the rest is read by clouds.
    let for_clouds =
        |key: &str| key.starts_with("service.kubernetes.io/") && !key.starts_with("service.kubernetes.io/topology");
    let annotations = service.annotations.iter();
    annotations.filter(move |(key, _)| !for_clouds(key) && is_free(key))
}

/// Argo CD, which writes the Service or has left a mark on it, tracks it by its label.
fn is_tracked_by_label(service: &Service) -> bool {
    let mut marks = service.labels.keys().chain(service.annotations.keys());
    let known = marks.any(|key| domain(key) == "argocd.argoproj.io")
        || service.managers.iter().any(|manager| manager.starts_with("argocd"));
    known && !service.annotations.contains_key(TRACKING_ID)
}

fn domain(key: &str) -> &str {
    key.split_once('/').map_or("", |(domain, _)| domain)
}

fn is_free(key: &str) -> bool {
    let domain = domain(key);
    // Tools of one maker share a domain: `image.toolkit.fluxcd.io`.
    let is_of = |owner: &&str| {
        domain
            .strip_suffix(*owner)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    !OF_TOOLS.iter().chain(&OF_CLOUDS).any(is_of)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn copied(metadata: &Value) -> (Vec<String>, Vec<String>) {
        let service = Service::read(&json!({"metadata": metadata}));
        (
            copied_labels(&service).map(|(key, _)| key.clone()).collect(),
            copied_annotations(&service).map(|(key, _)| key.clone()).collect(),
        )
    }

    #[test]
    fn no_mark_of_a_tool_and_no_order_to_a_cloud_is_copied() {
        let marks = [
            "app.kubernetes.io/managed-by",
            "applyset.kubernetes.io/part-of",
            "kapp.k14s.io/app",
            "objectset.rio.cattle.io/hash",
            "argocd.argoproj.io/instance",
            "helm.sh/chart",
            "kustomize.toolkit.fluxcd.io/name",
            "helm.toolkit.fluxcd.io/namespace",
            "image.toolkit.fluxcd.io/name",
            "config.k8s.io/owning-inventory",
        ];
        let annotations = [
            "meta.helm.sh/release-name",
            "argocd.argoproj.io/tracking-id",
            "objectset.rio.cattle.io/applied",
            "kapp.k14s.io/original",
            "service.beta.kubernetes.io/aws-load-balancer-type",
            "service.kubernetes.io/qcloud-loadbalancer-internal-subnetid",
            "cloud.google.com/neg-status",
            "external-dns.alpha.kubernetes.io/hostname",
        ];
        let all = |keys: &[&str]| -> Value {
            keys.iter()
                .map(|key| ((*key).to_owned(), json!("x")))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let kept = (
            all(&["app", "team.example/owner"]),
            all(&["prometheus.io/scrape", "service.kubernetes.io/topology-mode"]),
        );
        let mut labels = all(&marks);
        let mut notes = all(&annotations);
        json_patch::merge(&mut labels, &kept.0);
        json_patch::merge(&mut notes, &kept.1);
        assert_eq!(
            copied(&json!({"labels": labels, "annotations": notes})),
            (
                vec!["app".to_owned(), "team.example/owner".to_owned()],
                vec![
                    "prometheus.io/scrape".to_owned(),
                    "service.kubernetes.io/topology-mode".to_owned()
                ]
            )
        );
    }

    #[test]
    fn the_instance_stays_unless_argo_cd_tracks_by_it() {
        let of = |annotations: Value, manager: &str| {
            let metadata = json!({"labels": {INSTANCE: "shop"}, "annotations": annotations, "managedFields": [{"manager": manager}]});
            !copied(&metadata).0.is_empty()
        };
        assert!(of(json!({}), "helm"), "a chart's monitor selects by it");
        assert!(!of(json!({}), "argocd-controller"), "it would be pruned");
        assert!(!of(json!({"argocd.argoproj.io/sync-wave": "1"}), "kubectl"));
        assert!(
            of(json!({TRACKING_ID: "shop:/Service:shop/catalog"}), "argocd-controller"),
            "it is found by the annotation"
        );
    }
}
