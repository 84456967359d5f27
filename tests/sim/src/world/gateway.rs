//! A gateway: accepts generations of routes after a while, or never, and programs its proxies a little later.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Cluster, Part, Settings, number,
    settings::{GatewaySettings, Mood, seconds},
    text,
    traffic::PROXIES,
};
use crate::apiserver::{kinds::Kind, store::status_by};

/// Name under which it writes.
pub const NAME: &str = "gateway";
/// How it names itself in statuses.
pub const CONTROLLER: &str = "example.com/gateway";

/// Where a rule's requests go: Service and weight.
pub type Backends = Vec<(String, i64)>;

/// One part of what a proxy is told of a route.
struct Programming {
    at: Instant,
    proxy: usize,
    early: bool,
    route: String,
    backends: Backends,
}

/// The gateway.
#[derive(Default)]
pub struct Gateway {
    /// When each generation of a route was seen first.
    seen: BTreeMap<String, (i64, Instant)>,
    programming: Vec<Programming>,
    /// By how much each proxy is late. One that has something to catch up with is never less late than before: what it
    /// is told comes in order and no faster than it was sent.
    late: [Duration; PROXIES],
}

impl Gateway {
    /// All proxies are told of a route, each in its time.
    fn send(&mut self, route: &str, backends: &Backends, settings: &GatewaySettings, now: Instant) {
        for (proxy, late) in settings.proxies_late.iter().enumerate() {
            let behind = self.programming.iter().any(|programming| programming.proxy == proxy);
            let before = if behind { self.late[proxy] } else { Duration::ZERO };
            self.late[proxy] = before.max(seconds(*late));
            for (early, after) in [
                (true, settings.first_programmed_after),
                (false, settings.programmed_after),
            ] {
                self.programming.push(Programming {
                    at: now + seconds(after) + self.late[proxy],
                    proxy,
                    early,
                    route: route.to_owned(),
                    backends: backends.clone(),
                });
            }
        }
    }
}

/// The backends of a route, all rules together.
pub fn backends(route: &Value) -> Backends {
    let rules = route.pointer("/spec/rules").and_then(Value::as_array);
    let all = rules
        .into_iter()
        .flatten()
        .filter_map(|rule| rule["backendRefs"].as_array())
        .flatten();
    all.map(|backend| (text(backend, "/name").to_owned(), number(backend, "/weight", 1)))
        .collect()
}

impl Part for Gateway {
    fn follows(&self, kind: Kind) -> bool {
        kind == Kind::HttpRoute
    }
    fn delay(&self, _: &Settings) -> Duration {
        Duration::from_millis(1)
    }
    fn act(&mut self, cluster: &mut Cluster, now: Instant) -> Option<Instant> {
        let settings = cluster.settings.gateway.clone();
        let mut wake: Option<Instant> = None;
        let mut look_again = |at: Instant| wake = Some(wake.map_or(at, |wake| wake.min(at)));
        for route in cluster.store.list(Kind::HttpRoute, None) {
            let (namespace, name) = (
                text(&route, "/metadata/namespace").to_owned(),
                text(&route, "/metadata/name").to_owned(),
            );
            let generation = number(&route, "/metadata/generation", 0);
            let accepted = number(&route, "/status/parents/0/conditions/0/observedGeneration", 0);
            let refused = text(&route, "/status/parents/0/conditions/0/status") == "False";
            if accepted >= generation && !(refused && settings.mood == Mood::Accepts) {
                continue;
            }
            let seen = self.seen.entry(name.clone()).or_insert((generation, now));
            if seen.0 != generation {
                *seen = (generation, now);
            }
            let due = seen.1 + seconds(settings.accepts_after);
            if due > now {
                look_again(due);
                continue;
            }
            if settings.mood == Mood::Silent {
                look_again(now + Duration::from_secs(1));
                continue;
            }
            let accepts = settings.mood == Mood::Accepts;
            if !accepts {
                look_again(now + Duration::from_secs(1));
                if refused && accepted == generation {
                    continue;
                }
            }
            let (status, reason) = if accepts {
                ("True", "Accepted")
            } else {
                ("False", "UnsupportedValue")
            };
            let condition = |kind: &str| json!({"type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": generation, "lastTransitionTime": "2027-01-15T08:00:00Z"});
            let parents: Vec<Value> = route["spec"]["parentRefs"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|parent| json!({"parentRef": parent, "controllerName": CONTROLLER, "conditions": [condition("Accepted"), condition("ResolvedRefs")]}))
                .collect();
            let _ = cluster
                .store
                .update(Kind::HttpRoute, &namespace, &name, status_by(NAME), |object| {
                    object["status"] = json!({"parents": parents});
                    Ok(())
                });
            if accepts {
                self.send(&name, &backends(&route), &settings, now);
            }
        }
        self.programming.sort_by_key(|programming| programming.at);
        while self
            .programming
            .first()
            .is_some_and(|programming| programming.at <= now)
        {
            let due = self.programming.remove(0);
            cluster.traffic.program(&due.route, &due.backends, due.proxy, due.early);
            cluster.see_traffic(now);
        }
        if let Some(next) = self.programming.first() {
            look_again(next.at);
        }
        wake
    }
}
