//! What the engine is shown of the small obedient cluster.

use serde_json::Value;

use super::{
    super::contract::{kind::Kind, observed::*},
    world::World,
};
use crate::{
    api::traffic::RouteKind,
    kubernetes::managed_fields,
    router::{Acceptance, RouteId, Target, gateway_api},
    workload::{
        autoscaler::{Autoscaler, AutoscalerKind},
        deployment::Deployment,
        replica_set::ReplicaSet,
        service::Service,
    },
};

fn route_id(kind: Kind, name: &str) -> RouteId {
    let kind = if kind == Kind::GrpcRoute {
        RouteKind::Grpc
    } else {
        RouteKind::Http
    };
    RouteId {
        kind,
        name: name.to_owned(),
    }
}

impl World {
    fn deployment(&self) -> Option<Deployment> {
        let mut deployment = Deployment::read(self.objects.get(&(Kind::Deployment, "catalog".to_owned()))?);
        deployment.observed_generation = deployment.generation;
        let owned: Vec<ReplicaSet> = self.sets().into_iter().filter(|set| set.owned_by("d")).collect();
        deployment.total = owned.iter().map(|set| set.total).sum();
        deployment.available = owned.iter().map(|set| set.available).sum();
        deployment.updated = owned
            .iter()
            .filter(|set| set.template == deployment.template)
            .map(|set| set.total)
            .sum();
        Some(deployment)
    }

    pub fn sets(&self) -> Vec<ReplicaSet> {
        let sets = self.objects.iter().filter(|((kind, _), _)| *kind == Kind::ReplicaSet);
        sets.map(|(_, object)| {
            let mut set = ReplicaSet::read(object);
            // The Deployment controller takes what answers its selector and lets go of the rest.
            set.owner = set.labels.contains_key("app").then(|| "d".to_owned());
            set.total = set.replicas;
            set.ready = if self.ready || set.revision.is_some() {
                set.replicas
            } else {
                0
            };
            let of = |hash: Option<&String>| hash == Some(&set.hash);
            if !self.stable_ready && of(self.status.stable_revision.as_ref()) {
                set.ready = 0;
            }
            if of(self.status.run.as_ref().map(|run| &run.revision)) {
                set.ready = set.ready.saturating_sub(self.lost);
            }
            set.available = set.ready;
            set
        })
        .collect()
    }

    fn look_at_route(&self, object: &Value, target: Target) -> RouteSeen {
        let acceptance = match (self.accepts, self.reports_generations) {
            (true, true) => Acceptance::Accepted,
            (true, false) => Acceptance::Unknown,
            (false, _) => Acceptance::Waiting("Gateway edge".to_owned()),
        };
        RouteSeen::Found(Box::new(Route {
            state: gateway_api::read(object, &target).unwrap(),
            generation: object["metadata"]["generation"].as_i64().unwrap(),
            written_at: managed_fields::written_at(object, "warmfront"),
            live: object.to_string().into(),
            target,
            acceptance,
            other_manager: managed_fields::newest_other_manager(object, "warmfront"),
        }))
    }

    pub(super) fn look(&self) -> Observed {
        let plan = self.plan();
        let mut seen = Observed {
            deletion: self.deletion,
            finalizer: self.finalizer,
            actions: self.actions.clone(),
            ..Observed::default()
        };
        seen.route_elder.clone_from(&self.route_elder);
        seen.replies.clone_from(&self.replies);
        seen.told = self.events_reach;
        seen.deployment = self.deployment();
        seen.replica_sets = self.sets();
        for ((kind, name), object) in &self.objects {
            match kind {
                Kind::Service => {
                    let service = Service::read(object);
                    let pods = seen
                        .replica_sets
                        .iter()
                        .filter(|set| service.hash().is_none_or(|hash| hash == set.hash))
                        .flat_map(|set| {
                            (0..set.ready).map(|n| Endpoint {
                                pod: format!("{}-p{n}", set.name),
                                ready: true,
                            })
                        });
                    seen.endpoints.insert(name.clone(), pods.collect());
                    seen.services.insert(name.clone(), service);
                }
                Kind::HttpRoute | Kind::GrpcRoute => {
                    let id = route_id(*kind, name);
                    let known = plan.routes.iter().any(|named| RouteId::from(named) == id)
                        || self.status.originals.routes.contains_key(&id.key());
                    if known {
                        let found = self.look_at_route(
                            object,
                            Target::of(&plan, &id, self.status.originals.routes.get(&id.key()), |_| vec![80]),
                        );
                        seen.routes.insert(id, found);
                    }
                }
                Kind::HorizontalPodAutoscaler => seen
                    .autoscalers
                    .extend(Autoscaler::read(AutoscalerKind::HorizontalPodAutoscaler, object)),
                Kind::ScaledObject => seen
                    .autoscalers
                    .extend(Autoscaler::read(AutoscalerKind::ScaledObject, object)),
                Kind::Deployment | Kind::ReplicaSet => {}
            }
        }
        for named in &plan.routes {
            let missing = if self.kinds_missing {
                RouteSeen::NotInstalled
            } else {
                RouteSeen::Missing
            };
            seen.routes.entry(RouteId::from(named)).or_insert(missing);
        }
        if let Some(apps) = &self.pair {
            apps.show(&mut seen);
        }
        seen.source = Some(SourceTiming {
            scrape_interval: crate::api::Duration::from_secs(self.scrape),
        });
        seen
    }
}
