//! Which kinds of other projects the cluster has: none of them is needed to start, and those that come later are found.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use kube::{Client, api::ApiResource};
use tokio::time::Instant;

use super::{
    kinds::{Caches, Calling, Pick, Presence, ROWS},
    watches::{Requests, Start},
};
use crate::log::outage::Outages;

/// How often a missing kind is looked for while something calls for it. Otherwise nothing is asked.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// Between attempts while the API server does not answer at start.
const RETRY: Duration = Duration::from_secs(1);

/// Kinds that the cluster has, each with its group and version.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Installed {
    kinds: BTreeSet<(String, String)>,
    /// Kinds that are not to be watched, although every cluster has them.
    left_out: BTreeSet<String>,
}

impl Installed {
    /// Whether the cluster has the kind.
    pub fn has(&self, resource: &ApiResource) -> bool {
        self.kinds
            .contains(&(resource.api_version.clone(), resource.kind.clone()))
    }

    /// The kind is not to be watched.
    pub fn leave_out(&mut self, kind: String) {
        self.left_out.insert(kind);
    }

    /// Whether the kind is not to be watched.
    pub(super) fn leaves_out(&self, resource: &ApiResource) -> bool {
        self.left_out.contains(&resource.kind)
    }
}

/// Kinds of one group and version that the cluster has.
async fn ask(client: &Client, api: &str) -> Result<Installed, kube::Error> {
    match client.list_api_group_resources(api).await {
        Ok(list) => {
            let kinds = list.resources.into_iter();
            Ok(Installed {
                kinds: kinds.map(|resource| (api.to_owned(), resource.kind)).collect(),
                left_out: BTreeSet::new(),
            })
        }
        // For a group that is not there the API server's answer is plain text without a reason.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Installed::default()),
        Err(error) => Err(error),
    }
}

fn fails(failing: &mut Outages, api: &str, error: &kube::Error) {
    if failing.failed(api, Instant::now()) {
        tracing::warn!(%error, "asking the API server for the kinds of {api} failed; it is tried again until it works");
    }
}

fn works(failing: &mut Outages, api: &str) {
    if let Some(past) = failing.worked(api, Instant::now()) {
        let lasted_ms = past.lasted_ms();
        tracing::info!(
            lasted_ms,
            tries = past.tries,
            "the API server tells the kinds of {api} again"
        );
    }
}

/// Kinds that the cluster has, once the API server tells.
pub async fn installed(client: &Client) -> Installed {
    let mut all = Installed::default();
    let mut failing = Outages::new(Duration::ZERO);
    let optional = ROWS.iter().filter(|row| matches!(row.presence, Presence::Optional(_)));
    let apis: BTreeSet<String> = optional.map(|row| row.resource().api_version).collect();
    for api in apis {
        loop {
            match ask(client, &api).await {
                Ok(found) => {
                    works(&mut failing, &api);
                    all.kinds.extend(found.kinds);
                    break;
                }
                Err(error) => fails(&mut failing, &api, &error),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
    all
}

/// Looks for the missing kinds as long as something calls for one, and opens their watches.
pub async fn follow(client: Client, mut absent: Absent) {
    absent.caches.wait_until_ready().await;
    let mut failing = Outages::new(Duration::ZERO);
    while !absent.kinds.is_empty() {
        tokio::time::sleep(LOOK_AGAIN).await;
        for api in absent.called_for() {
            match ask(&client, &api).await {
                Ok(found) => {
                    works(&mut failing, &api);
                    absent.open(&found).await;
                }
                Err(error) => fails(&mut failing, &api, &error),
            }
        }
    }
}

/// A kind that the cluster may lack.
pub(super) struct Optional {
    /// Its cache.
    pub pick: Pick,
    /// Opens its watch.
    pub start: Start,
    /// Who calls for it.
    pub calling: Calling,
}

impl Optional {
    fn resource<'a>(&self, caches: &'a Caches) -> &'a ApiResource {
        (self.pick)(caches).resource()
    }
}

/// Kinds that the cluster lacked at start, with what opens their watches.
pub struct Absent {
    caches: Arc<Caches>,
    requests: Requests,
    kinds: Vec<Optional>,
}

impl Absent {
    /// Opens the watches of those that the cluster has, and remembers the others.
    pub(super) fn of(
        kinds: impl IntoIterator<Item = Optional>,
        installed: &Installed,
        caches: &Arc<Caches>,
        requests: &Requests,
    ) -> Self {
        let mut absent = Self {
            caches: caches.clone(),
            requests: requests.clone(),
            kinds: Vec::new(),
        };
        for optional in kinds {
            let cache = (optional.pick)(caches);
            if installed.has(cache.resource()) {
                (optional.start)(caches.clone(), requests.clone());
            } else {
                tracing::info!(
                    kind = cache.resource().kind,
                    "the cluster has no such kind; it is looked for when something calls for it"
                );
                cache.set_installed(false);
                absent.kinds.push(optional);
            }
        }
        absent
    }

    /// Groups and versions of those that something calls for.
    fn called_for(&self) -> BTreeSet<String> {
        let kinds = self
            .kinds
            .iter()
            .map(|optional| (optional, optional.resource(&self.caches)));
        let called = kinds.filter(|(optional, resource)| !(optional.calling)(&self.caches, resource).is_empty());
        called.map(|(_, resource)| resource.api_version.clone()).collect()
    }

    /// Opens the watches of those that the cluster has by now, and has the rollouts looked at for which something called for them.
    async fn open(&mut self, installed: &Installed) {
        let (found, absent) = std::mem::take(&mut self.kinds)
            .into_iter()
            .partition(|optional| installed.has(optional.resource(&self.caches)));
        self.kinds = absent;
        let found: Vec<Optional> = found;
        let mut opened = Vec::new();
        for Optional { pick, start, calling } in found {
            start(self.caches.clone(), self.requests.clone());
            opened.push((pick, calling));
        }
        for (pick, calling) in opened {
            let cache = pick(&self.caches);
            cache.wait_until_listed().await;
            cache.set_installed(true);
            tracing::info!(kind = cache.resource().kind, "the cluster has the kind now");
            for rollout in calling(&self.caches, cache.resource()) {
                // The receiver is gone only when the process stops.
                let _ = self.requests.send(rollout);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        http::{StatusCode, header},
        routing::get,
    };
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
    use kube::{api::DynamicObject, runtime::watcher::Event};
    use serde_json::json;
    use tokio::sync::mpsc;

    use super::{
        super::{
            concerns::tests::{caches, object, rollout},
            kinds::Kinds,
            named::RolloutRef,
        },
        *,
    };

    const API: &str = "gateway.networking.k8s.io/v1";

    async fn asked(status: StatusCode, body: impl ToString) -> Result<Installed, kube::Error> {
        let body = body.to_string();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Router::new().route(
            "/apis/gateway.networking.k8s.io/v1",
            get(move || async move { (status, [(header::CONTENT_TYPE, "application/json")], body) }),
        );
        let server = tokio::spawn(async move { axum::serve(listener, server).await });
        let mut config = kube::Config::new(format!("http://{address}").parse().unwrap());
        config.default_retry = false;
        let found = ask(&Client::try_from(config).unwrap(), API).await;
        server.abort();
        found
    }

    #[tokio::test]
    async fn kinds_are_those_that_the_api_server_lists() {
        let resource = |kind: &str, name: &str| json!({"name": name, "kind": kind, "namespaced": true, "singularName": "", "verbs": ["list", "watch"]});
        let resources = [
            resource("HTTPRoute", "httproutes"),
            resource("HTTPRoute", "httproutes/status"),
            resource("Gateway", "gateways"),
        ];
        let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": API, "resources": resources});
        let found = asked(StatusCode::OK, list).await.unwrap();
        assert!(
            [Kinds::gateway(), Kinds::http_route()]
                .iter()
                .all(|kind| found.has(kind))
        );
        assert!(
            [Kinds::grpc_route(), Kinds::scaled_object()]
                .iter()
                .all(|kind| !found.has(kind))
        );
        let status = |code: u16, reason: &str| json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason, "reason": reason, "code": code});
        assert!(
            asked(StatusCode::NOT_FOUND, "404 page not found").await.unwrap() == Installed::default(),
            "no Gateway API at all"
        );
        assert!(
            asked(StatusCode::SERVICE_UNAVAILABLE, status(503, "ServiceUnavailable"))
                .await
                .is_err(),
            "no answer is not a no"
        );
    }

    #[test]
    fn a_kind_of_another_group_or_version_is_another_kind() {
        let kind = Kinds::scaled_object();
        let other = |version: &str| {
            installed(&ApiResource {
                api_version: version.to_owned(),
                ..kind.clone()
            })
            .has(&kind)
        };
        assert!(installed(&kind).has(&kind) && !other("keda.sh/v2") && !other("example.dev/v1alpha1"));
    }

    fn installed(resource: &ApiResource) -> Installed {
        Installed {
            kinds: BTreeSet::from([(resource.api_version.clone(), resource.kind.clone())]),
            ..Installed::default()
        }
    }

    /// The cluster lacks a kind; its watch lists nothing.
    fn lacking(pick: Pick, caches: Caches) -> (Absent, mpsc::UnboundedReceiver<RolloutRef>) {
        let (requests, asked) = mpsc::unbounded_channel();
        let Presence::Optional(calling) = pick(&caches).row().presence else {
            panic!("no cluster lacks it");
        };
        let start: Start = Box::new(move |caches, _| {
            pick(&caches).follow(Event::<DynamicObject>::Init);
            pick(&caches).follow(Event::<DynamicObject>::InitDone);
        });
        (
            Absent::of(
                [Optional { pick, start, calling }],
                &Installed::default(),
                &Arc::new(caches),
                &requests,
            ),
            asked,
        )
    }

    #[tokio::test]
    async fn a_missing_kind_is_looked_for_only_while_it_is_named_or_needed_and_then_opened() {
        let all = [
            rollout(
                "grpc",
                "b",
                &json!([{"kind": "GRPCRoute", "name": "catalog"}]),
                "RouteNotFound",
            ),
            rollout("http", "a", &json!([{"name": "a"}]), "Accepted"),
        ];
        let cases: [(Pick, &[&str]); 3] = [
            (|caches| &caches.grpc_routes, &["grpc"]),
            (|caches| &caches.gateways, &["grpc", "http"]),
            (|caches| &caches.gateway_classes, &["grpc", "http"]),
        ];
        for (pick, by) in cases {
            let absent = |rollouts: &[kube::api::DynamicObject]| lacking(pick, caches(rollouts));
            assert!(absent(&all[by.len()..]).0.called_for().is_empty(), "nobody needs it");
            let (mut kinds, mut asked) = absent(&all);
            assert_eq!(kinds.called_for(), BTreeSet::from([API.to_owned()]));
            let kind = pick(&kinds.caches).resource().clone();
            kinds.open(&installed(&Kinds::http_route())).await;
            assert!(kinds.kinds.len() == 1 && !pick(&kinds.caches).is_installed() && asked.try_recv().is_err());
            kinds.open(&installed(&kind)).await;
            assert!(kinds.kinds.is_empty() && pick(&kinds.caches).is_installed());
            let told: BTreeSet<String> = std::iter::from_fn(|| asked.try_recv().ok())
                .map(|rollout| rollout.name)
                .collect();
            assert_eq!(
                told,
                by.iter().map(|name| (*name).to_owned()).collect(),
                "only those that need {}",
                kind.kind
            );
        }
    }

    #[tokio::test]
    async fn keda_is_looked_for_only_while_it_scales_the_deployment_of_a_rollout() {
        let all = [
            rollout("scaled", "catalog", &json!([]), "Accepted"),
            rollout("other", "search", &json!([]), "Accepted"),
        ];
        let absent = |target: &str, owner: &str| {
            let known = caches(&all);
            let mut scaler = object(
                &Kinds::autoscaler(),
                "a",
                &json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": target}}}),
            );
            scaler.metadata.owner_references = Some(vec![OwnerReference {
                api_version: "keda.sh/v1alpha1".to_owned(),
                kind: owner.to_owned(),
                ..OwnerReference::default()
            }]);
            known.autoscalers.follow(Event::Apply(scaler));
            lacking(|caches| &caches.scaled_objects, known)
        };
        assert!(
            absent("catalog", "Other").0.called_for().is_empty(),
            "its owner is something else"
        );
        assert!(
            absent("cart", "ScaledObject").0.called_for().is_empty(),
            "it scales no Deployment of a rollout"
        );
        let (mut kinds, mut asked) = absent("catalog", "ScaledObject");
        assert_eq!(kinds.called_for(), BTreeSet::from(["keda.sh/v1alpha1".to_owned()]));
        kinds.open(&installed(&Kinds::scaled_object())).await;
        assert!(kinds.kinds.is_empty() && kinds.caches.scaled_objects.is_installed());
        assert_eq!(asked.try_recv().map(|rollout| rollout.name), Ok("scaled".to_owned()));
        assert!(asked.try_recv().is_err(), "only those that are scaled by it");
    }
}
