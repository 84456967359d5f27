//! What must hold at every moment in the obedient world, and the shares in its routes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{super::contract::kind::Kind, world::World};
use crate::{
    api::{Percent, status::Phase},
    router::{Target, gateway_api},
    workload::service::Service,
};

/// Whatever has the Service, wherever it stands.
fn all_rules() -> Target {
    Target {
        stable: "catalog".to_owned(),
        canary: "catalog-canary".to_owned(),
        rules: vec!["*".to_owned()],
        ..Target::default()
    }
}

impl World {
    /// The greatest share in any route.
    pub fn canary_share(&self) -> Option<Percent> {
        self.routes()
            .filter_map(|route| gateway_api::read(route, &all_rules()).unwrap().canary)
            .max()
    }

    /// The smallest share in any rule that has the Service.
    pub fn smallest_share(&self) -> u32 {
        self.routes()
            .map(|route| {
                gateway_api::read(route, &all_rules())
                    .unwrap()
                    .away_from(Percent::FULL)
                    .hundredths()
            })
            .min()
            .unwrap()
    }

    fn routes(&self) -> impl Iterator<Item = &Value> {
        self.objects
            .iter()
            .filter(|((kind, _), _)| matches!(kind, Kind::HttpRoute | Kind::GrpcRoute))
            .map(|(_, object)| object)
    }

    /// Rules that lead to the new version alone.
    pub fn tester_rules(&self) -> usize {
        self.routes()
            .map(|route| gateway_api::read(route, &all_rules()).unwrap().tester_rules)
            .sum()
    }

    /// The new version's share in hundredths of a percent; 0 without an entry.
    pub fn share(&self) -> u32 {
        self.canary_share().map_or(0, Percent::hundredths)
    }

    /// What must hold at every moment.
    pub fn check(&self) {
        if let Some(apps) = &self.pair {
            assert!(
                self.share() == 0 || apps.candidate.ready > 0,
                "traffic goes to a Service without pods"
            );
            return;
        }
        let sets = self.sets();
        let behind = |service: &str| -> BTreeSet<String> {
            let service = Service::read(self.get(Kind::Service, service));
            sets.iter()
                .filter(|set| set.ready > 0 && service.hash().is_none_or(|hash| hash == set.hash))
                .map(|set| set.hash.clone())
                .collect()
        };
        self.check_services(&behind);
        // A paused Deployment that owns no active ReplicaSet would scale up an old one.
        let active: Vec<_> = sets
            .iter()
            .filter(|set| set.owned_by("d") && set.replicas > 0)
            .collect();
        assert!(
            active.len() <= 1,
            "the Deployment owns {} active ReplicaSets",
            active.len()
        );
    }

    /// Users and testers reach pods of the version that is meant for them; `behind` tells whose are behind a Service.
    fn check_services(&self, behind: &dyn Fn(&str) -> BTreeSet<String>) {
        // Users' Service reaches pods of exactly one version, whoever asks for it directly.
        // Where no pod of the old one was ready in the first place, it may be the new one.
        let recovery = self.status.run.as_ref().is_some_and(|run| run.recovery);
        assert_eq!(
            behind("catalog").len(),
            if recovery {
                behind("catalog").len().min(1)
            } else {
                usize::from(self.stable_ready)
            },
            "{:?} in {:?}",
            behind("catalog"),
            self.status.phase
        );
        if self.tester_rules() > 0 {
            assert!(
                !behind("catalog-canary").is_empty(),
                "testers go to a Service without pods"
            );
            assert!(
                !matches!(
                    self.status.phase,
                    Phase::RollingBack | Phase::Idle | Phase::Succeeded | Phase::RolledBack
                ),
                "in {:?}",
                self.status.phase
            );
        }
        if self.canary_share().is_some_and(|share| share > Percent::ZERO) {
            assert!(
                !behind("catalog-canary").is_empty(),
                "traffic goes to a Service without pods"
            );
            let run = self.status.run.as_ref().unwrap();
            let step = usize::try_from(run.step).unwrap();
            let steps = crate::api::Plan::try_from(&*run.plan).unwrap().steps;
            let bound = steps.get(step.max(1) - 1).unwrap().weight;
            let next = steps.get(step).map(|next| next.weight);
            let share = self.canary_share().unwrap();
            // What a cold cache does not bear yet comes in between.
            let in_between = run.intent.as_ref().is_some_and(|intent| intent.weight == share) && Some(share) < next;
            assert!(share <= bound.max(run.weight) || in_between, "weight above its step");
        }
    }
}
