//! Routers: each reads the weights of the two versions from the objects of one traffic layer, and plans their change.
//!
//! Pure: no client, no clock. The controller writes what is planned here.

use std::{collections::BTreeSet, fmt};

use crate::api::{
    Percent, Plan,
    status::RouteOriginal,
    traffic::{RouteKind, RouteRef, Tester},
};

pub mod gateway_api;

/// Kind and name of a route in the rollout's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId {
    /// Its kind.
    pub kind: RouteKind,
    /// Its name.
    pub name: String,
}

impl From<&RouteRef> for RouteId {
    fn from(route: &RouteRef) -> Self {
        Self {
            kind: route.kind,
            name: route.name.clone(),
        }
    }
}

impl RouteId {
    /// Its key in the status, such as `HTTPRoute/catalog`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// The route that has this key in the status; `None` if the key has another form or an unknown kind.
    pub fn from_key(key: &str) -> Option<Self> {
        let (kind, name) = key.split_once('/')?;
        let kind = [RouteKind::Http, RouteKind::Grpc]
            .into_iter()
            .find(|known| known.to_string() == kind)?;
        Some(Self {
            kind,
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for RouteId {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} {}", self.kind, self.name)
    }
}

/// Which rules of one route are split, and between which Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Kind of the route.
    pub kind: RouteKind,
    /// Name of the Service of the old version, which the user wrote into the route.
    pub stable: String,
    /// Ports of that Service; empty if they are not known.
    pub ports: Vec<u64>,
    /// Name of the Service of the new version.
    pub canary: String,
    /// Names of the rules to split; `*` for all that have the old version's Service as a backend; empty for the only one that has it.
    pub rules: Vec<String>,
    /// Headers that send a request to the new version whatever its weight.
    pub testers: Vec<Tester>,
    /// Present if the new version's Service is the user's, as in a pair.
    pub theirs: Option<Theirs>,
}

/// What else must be known if both Services are the user's. Then an entry of the new version that was there before is never removed: it gets weight 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Theirs {
    /// The weights before the first change, of the rules that were ever changed.
    pub found: RouteOriginal,
    /// Ports of the new version's Service; empty if they are not known.
    pub ports: Vec<u64>,
    /// Headers by which our rules for testers are known where the cluster does not store names of rules.
    pub testers: Vec<Tester>,
}

impl Target {
    /// The target of one route. `found` has its weights before the first change, `ports` gives the ports of a Service. If the plan does not name the route any more, the target has no rules: it is only put back.
    pub fn of(plan: &Plan, route: &RouteId, found: Option<&RouteOriginal>, ports: impl Fn(&str) -> Vec<u64>) -> Self {
        let named = plan
            .routes
            .iter()
            .find(|named| named.kind == route.kind && named.name == route.name);
        let theirs = || Theirs {
            found: found.cloned().unwrap_or_default(),
            ports: ports(&plan.canary_service),
            testers: plan.testers.clone(),
        };
        Self {
            kind: route.kind,
            stable: plan.service.clone(),
            ports: ports(&plan.service),
            canary: plan.canary_service.clone(),
            rules: named.map(|named| named.rules.clone()).unwrap_or_default(),
            testers: plan.testers.clone(),
            theirs: plan.is_pair().then(theirs),
        }
    }
}

/// What a route should say about the two versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Nothing of ours: all weights are as before, and the canary's entry is gone unless it was there before.
    Absent,
    /// The weights stay as they are; only our rules for testers are removed.
    Left,
    /// The canary gets no requests: its entry, if there is one, has weight 0.
    Drained,
    /// The canary gets this share of what both versions get; at 0% its entry is there with weight 0.
    Weight(Percent),
}

/// What a route says now about the two versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteState {
    /// The canary's share of what both versions get, in the rule in which it is greatest, rounded to a hundredth of a percent; `None` if no rule has an entry of the canary.
    pub canary: Option<Percent>,
    /// The rules whose weights are set, and all others that have an entry of the canary.
    pub rules: Vec<RuleState>,
    /// Number of our rules for testers.
    pub tester_rules: usize,
    /// Ports in the entries of the old version, of all rules whose weights are set.
    pub ports: BTreeSet<u16>,
    /// Ports in the entries of the canary, as far as there are any, of the same rules.
    pub canary_ports: BTreeSet<u16>,
    /// The weights as they are now, to be put back later. Only meaningful before our first change.
    pub weights: RouteOriginal,
    /// Why the canary cannot get a share in this route. Weight 0 is always possible.
    pub problem: Option<RouteError>,
    /// In which matches testers are not told apart, because these test the same header already; one sentence each.
    pub left_out: Vec<String>,
    /// Whether a rule keeps sessions on their backend. Then the canary may get more requests than its weight says.
    pub keeps_sessions: bool,
    /// Whether the canary's entry may be the user's. Then it may be there, with weight 0, although nothing of ours is left.
    pub entry_may_stay: bool,
}

/// What one rule says about the two versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleState {
    /// Its name; if it has none, its number, counted from 1.
    pub name: String,
    /// Whether its weights are set. If not, it only still has an entry of the canary.
    pub routed: bool,
    /// Weights of the old version and of the canary, if the canary has an entry. A weight that is left out counts 1, as in the Gateway API.
    pub parts: Option<(i64, i64)>,
    /// Sum of the weights of all its backends.
    pub sum: i64,
    /// If the rule has other backends, too: the weight of both versions together before our first change. A small one cannot be split finely.
    pub beside_others: Option<i64>,
}

impl RuleState {
    fn carries(&self, weight: Percent) -> bool {
        match self.parts {
            None => weight == Percent::ZERO,
            Some((stable, canary)) => {
                let total = i128::from(stable.max(0)) + i128::from(canary.max(0));
                // With all weights 0 some gateways spread requests evenly, so that is not a weight of 0.
                let nothing = weight == Percent::ZERO && canary <= 0 && self.sum > 0;
                let (canary, hundredths) = (i128::from(canary), i128::from(weight.hundredths()));
                let exact = total > 0 && total * hundredths == canary * 10_000;
                // Our own writes round down. Accept that rounding only at our scale; at smaller totals it would accept almost any share.
                let rounded =
                    canary > 0 && total >= i128::from(gateway_api::SCALE) && total * hundredths / 10_000 == canary;
                nothing || exact || rounded
            }
        }
    }

    fn share(&self) -> Percent {
        self.parts
            .map_or(Percent::ZERO, |(stable, canary)| gateway_api::share(stable, canary))
    }
}

impl RouteState {
    /// Whether the canary has the share `weight` in every rule, as exactly as whole numbers can say it.
    pub fn carries(&self, weight: Percent) -> bool {
        let routed = self.rules.iter().any(|rule| rule.routed) || weight == Percent::ZERO;
        routed
            && self
                .rules
                .iter()
                .all(|rule| rule.carries(if rule.routed { weight } else { Percent::ZERO }))
    }

    /// The share to report if the route does not carry `weight`: the greatest if that is above `weight`, otherwise the smallest.
    pub fn away_from(&self, weight: Percent) -> Percent {
        let greatest = self.canary.unwrap_or(Percent::ZERO);
        let smallest = self
            .rules
            .iter()
            .filter(|rule| rule.routed)
            .map(RuleState::share)
            .min()
            .unwrap_or(Percent::ZERO);
        if greatest > weight { greatest } else { smallest }
    }

    /// Whether every rule whose weights are set has an entry of the canary.
    pub fn entry_stands(&self) -> bool {
        let mut routed = self.rules.iter().filter(|rule| rule.routed).peekable();
        routed.peek().is_some() && routed.all(|rule| rule.parts.is_some())
    }

    /// Whether no request is sent to the canary, and nothing of ours is left in the route.
    pub fn entry_gone(&self) -> bool {
        let gone = self.canary.is_none() || (self.entry_may_stay && self.canary == Some(Percent::ZERO));
        gone && self.tester_rules == 0
    }

    /// Why a share as small as `smallest` cannot be written into this route: whole numbers cannot express it.
    pub fn too_fine(&self, smallest: Percent) -> Option<String> {
        let rule = self.rules.iter().find(|rule| {
            let found = rule.beside_others.filter(|_| rule.routed);
            found.is_some_and(|found| !gateway_api::divides(found, smallest))
        })?;
        let found = rule.beside_others.unwrap_or_default();
        Some(format!(
            "{smallest} of the weight {found} that the Service has beside other backends in rule {} is no whole number, even times 100: multiply all weights of the rule by 100",
            rule.name
        ))
    }
}

/// Why the weights of a route cannot be set: what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No rule has the Service as a backend.
    #[error("no rule of {route} has Service {service} as a backend: add it, or name another route in spec.traffic")]
    NoRule {
        /// Such as `HTTPRoute catalog`.
        route: String,
        /// The stable Service.
        service: String,
    },
    /// The spec names a rule that the route does not have.
    #[error("{route} has no rule named {wanted}: {there}")]
    NoSuchRule {
        /// Such as `HTTPRoute catalog`.
        route: String,
        /// The name in `spec.traffic`.
        wanted: String,
        /// Which rules it has, in words.
        there: String,
    },
    /// The spec names a rule that does not have the Service as a backend.
    #[error(
        "rule {rule} of {route} does not have Service {service} as a backend: add it, or name another rule in spec.traffic"
    )]
    NotInRule {
        /// Such as `HTTPRoute catalog`.
        route: String,
        /// The rule's name.
        rule: String,
        /// The stable Service.
        service: String,
    },
    /// Several rules have the Service as a backend, and the spec names none.
    #[error(
        "rules {rules} of {route} all have Service {service} as a backend: name those that are meant in spec.traffic.gatewayAPI.routes[].rules, or `*`"
    )]
    AmbiguousRule {
        /// Such as `HTTPRoute catalog`.
        route: String,
        /// The stable Service.
        service: String,
        /// Names or numbers (from 1) of the rules.
        rules: String,
    },
    /// The route would exceed a limit of its schema, or there is no weight to split.
    #[error("{route}: {reason}")]
    Unsupported {
        /// Such as `HTTPRoute catalog`.
        route: String,
        /// Why, with the numbers.
        reason: String,
    },
    /// The object is not shaped as its schema says.
    #[error("{route} cannot be read: {reason}")]
    Malformed {
        /// Such as `HTTPRoute catalog`.
        route: String,
        /// What is wrong.
        reason: String,
    },
}

/// Whether the gateways report that they serve the newest generation of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// All of them do.
    Accepted,
    /// Not yet. The text completes "waiting for …": which parent, and what it reports.
    Waiting(String),
    /// They accept the route but do not say which generation. The controller waits for a while instead.
    Unknown,
}
