//! Traffic layers: a router is a lens over a few cluster objects that reads and plans weights.
//!
//! Pure: no client, no clock. What is planned here is written by the controller's shell.

use std::fmt;

use serde_json::Value;

use crate::api::{
    Percent, Plan,
    status::RouteOriginal,
    traffic::{RouteKind, RouteRef, Tester},
};

pub mod gateway_api;

/// Identity of a route within a namespace.
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
    /// Key under which a status remembers it, such as `HTTPRoute/catalog`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// The route that a status remembers under this key.
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

/// What is split in one route, and between what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Kind of the route.
    pub kind: RouteKind,
    /// The user's Service.
    pub stable: String,
    /// Its ports, as far as they are known.
    pub ports: Vec<u64>,
    /// The Service of the new version.
    pub canary: String,
    /// Names of the rules, `*` for all; empty: the one that has the user's Service as a backend.
    pub rules: Vec<String>,
    /// Headers whose bearers reach the new version whatever its weight.
    pub testers: Vec<Tester>,
    /// Set where the new version's Service is the user's, as in a pair.
    pub theirs: Option<Theirs>,
}

/// Both Services are the user's: an entry of the new version that was found is never taken out, and 0 is written as 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Theirs {
    /// The rules as they were found, so far as they were ever touched.
    pub found: RouteOriginal,
    /// Ports of the new version's Service, as far as they are known.
    pub ports: Vec<u64>,
    /// Headers by which a rule for testers is known although its name was dropped.
    pub testers: Vec<Tester>,
}

impl Target {
    /// What a plan asks of one route, found as `found` says; nothing but to be left, if it does not name it.
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
            theirs: plan.baseline.is_some().then(theirs),
        }
    }
}

/// What a route should say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Nothing of ours: all weights as found, and the canary's entry gone, unless it was found too.
    Absent,
    /// Nothing of ours but the shares as they stand: only rules for testers leave.
    Left,
    /// The canary gets nothing: its entry, if it stands, has weight 0.
    Drained,
    /// The canary's entry with this share of what both Services get; 0% is an entry with weight 0.
    Weight(Percent),
}

/// What a route says now, about our two Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteState {
    /// The canary's greatest share of what both Services get in a rule, rounded to a hundredth of a percent; `None` if no rule has its entry.
    pub canary: Option<Percent>,
    /// Every rule whose weights are set, and every other one that has an entry of the canary.
    pub rules: Vec<RuleState>,
    /// Rules of ours for testers.
    pub tester_rules: usize,
    /// Port of the stable Service's entry.
    pub port: Option<u16>,
    /// Port of the canary's entry, where it stands.
    pub canary_port: Option<u16>,
    /// Weights as they stand, for putting back. Meaningful while the canary's entry is absent.
    pub weights: RouteOriginal,
    /// Why no share can be asked of this route; weight 0 can always.
    pub problem: Option<RouteError>,
    /// What testers must know: matches that test their header already.
    pub left_out: Vec<String>,
    /// The user keeps sessions on their backend: they may hold the share above the weight.
    pub keeps_sessions: bool,
    /// The canary's entry may be the user's, so it may stand at weight 0 when nothing of ours is left.
    pub entry_may_stay: bool,
}

/// What one rule says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleState {
    /// Its name; its number from 1 where it has none.
    pub name: String,
    /// Its weights are to be set; otherwise it only still has an entry of ours.
    pub routed: bool,
    /// Weights of the stable Service's entry and the canary's, where the latter stands; absent ones count 1.
    pub parts: Option<(i64, i64)>,
    /// Sum of all weights.
    pub sum: i64,
    /// Both versions' weight beside other backends, as it was found: what it can be split into is limited.
    pub beside_others: Option<i64>,
}

impl RuleState {
    fn carries(&self, weight: Percent) -> bool {
        match self.parts {
            None => weight == Percent::ZERO,
            Some((stable, canary)) => {
                let total = i128::from(stable.max(0)) + i128::from(canary.max(0));
                // A share of nothing is none, but some data planes spread evenly where all weights are 0.
                let nothing = weight == Percent::ZERO && canary <= 0 && self.sum > 0;
                let (canary, hundredths) = (i128::from(canary), i128::from(weight.hundredths()));
                let exact = total > 0 && total * hundredths == canary * 10_000;
                // What we write beside other backends is rounded down; smaller weights than we write would be rounded to anything.
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
    /// Whether the canary has the share `weight` in every rule, as exactly as whole numbers beside other backends can say it.
    pub fn carries(&self, weight: Percent) -> bool {
        let routed = self.rules.iter().any(|rule| rule.routed) || weight == Percent::ZERO;
        routed
            && self
                .rules
                .iter()
                .all(|rule| rule.carries(if rule.routed { weight } else { Percent::ZERO }))
    }

    /// The share that is furthest from `weight`: one above it first, else the smallest.
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

    /// Every rule has the canary's entry.
    pub fn entry_stands(&self) -> bool {
        let mut routed = self.rules.iter().filter(|rule| rule.routed).peekable();
        routed.peek().is_some() && routed.all(|rule| rule.parts.is_some())
    }

    /// Nothing leads to the canary.
    pub fn entry_gone(&self) -> bool {
        let gone = self.canary.is_none() || (self.entry_may_stay && self.canary == Some(Percent::ZERO));
        gone && self.tester_rules == 0
    }

    /// Why a plan with this smallest weight cannot be written, although the route is fit for others.
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

/// A change of one object: JSON Patch operations, without the test of resourceVersion, which the shell adds.
pub type Patch = Vec<Value>;

/// Why a route cannot be used.
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
    /// A rule was named that is not there.
    #[error("{route} has no rule named {wanted}: {there}")]
    NoSuchRule {
        /// Such as `HTTPRoute catalog`.
        route: String,
        /// The name in `spec.traffic`.
        wanted: String,
        /// The names that there are.
        there: String,
    },
    /// A named rule does not have the Service as a backend.
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
    /// Several rules have it and none is named.
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
    /// The route would go beyond what its schema allows, or there is nothing to split.
    #[error("{route}: {reason}")]
    Unsupported {
        /// Such as `HTTPRoute catalog`.
        route: String,
        /// With the numbers.
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

/// Whether the data plane reports that it serves the route as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// Every parent has accepted this generation.
    Accepted,
    /// Not yet; the text says who has not and what it reports, such as `Gateway gateway/edge: no status for generation 12 (at 11)`.
    Waiting(String),
    /// Some parent never reports a generation: the controller has to wait instead.
    Unknown,
}
