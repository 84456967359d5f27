//! Which rules of a route concern us: found by name or content every time, never by a remembered place.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    super::{RuleState, Theirs},
    Percent, RouteError, RouteOriginal, RuleOriginal, Target, testers, weights,
};
use crate::api::{plan::ALL_RULES, status::BackendWeight};

/// What the names of our rules for testers begin with.
pub(super) const TESTERS: &str = "warmfront-testers";

/// The rules of a route.
pub(super) struct Rules<'a> {
    /// Such as `HTTPRoute catalog`.
    pub route: String,
    /// All of them.
    pub all: &'a [Value],
    /// Those whose weights are set and those that have an entry of the canary, in order.
    pub concerned: Vec<Rule<'a>>,
    /// Places of our rules for testers.
    pub testers: Vec<usize>,
    /// Why it is not known which rules are meant.
    pub problem: Option<RouteError>,
}

/// One rule.
#[derive(Clone)]
pub(super) struct Rule<'a> {
    pub index: usize,
    /// The rule as it stands.
    pub value: &'a Value,
    /// Its name; its number from 1 where it has none.
    pub name: String,
    /// Under which its weights are remembered: its name, or its matches.
    pub key: String,
    pub backends: &'a [Value],
    /// Place of the stable Service.
    pub stable: Option<usize>,
    /// Places of the canary's entries; more than one only by another hand.
    pub canary: Vec<usize>,
    /// Its weights are to be set.
    pub routed: bool,
    /// Nothing of ours stands in it: it has no entry of the canary, or its owner's with the weights as they were found.
    pub as_found: bool,
}

/// Such as `HTTPRoute catalog`.
fn route_name(route: &Value, target: &Target) -> String {
    format!(
        "{} {}",
        target.kind,
        route
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or("without a name")
    )
}

fn name_of(rule: &Value) -> Option<&str> {
    rule.get("name").and_then(Value::as_str).filter(|name| !name.is_empty())
}

fn backends_of(rule: &Value) -> &[Value] {
    rule.get("backendRefs")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// What a rule matches; empty where it matches everything.
pub(super) fn matches_of(rule: &Value) -> &[Value] {
    rule.get("matches").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether a backend is the Service `name` of the route's own namespace.
fn is_service(backend: &Value, namespace: &str, name: &str) -> bool {
    let text = |key: &str| backend.get(key).and_then(Value::as_str);
    text("group").is_none_or(str::is_empty)
        && text("kind").is_none_or(|kind| kind == "Service")
        && text("namespace").is_none_or(|other| other == namespace)
        && text("name") == Some(name)
}

/// A rule for testers leads to the canary. Clusters whose definition of the route is older than 1.4 drop the names
/// of rules: there it is told by having no other backend and a header in each of its matches; where the canary's
/// Service is the user's, who may have such rules too, a tester's header.
fn is_for_testers(rule: &Value, canary: &impl Fn(&Value) -> bool, theirs: Option<&Theirs>) -> bool {
    let backends = backends_of(rule);
    if let Some(name) = name_of(rule) {
        return name.starts_with(TESTERS) && backends.iter().any(canary);
    }
    let tests_headers = |one: &Value| match theirs {
        Some(theirs) => theirs.testers.iter().any(|tester| testers::admits(one, tester)),
        None => one
            .get("headers")
            .and_then(Value::as_array)
            .is_some_and(|headers| !headers.is_empty()),
    };
    let matches = matches_of(rule);
    matches!(backends, [only] if canary(only)) && !matches.is_empty() && matches.iter().all(tests_headers)
}

/// A readable text that differs wherever the matches do.
fn matches_key(rule: &Value) -> String {
    /// So much is shown of long ones.
    const SHOWN: usize = 80;
    let text = rule
        .get("matches")
        .map_or_else(|| "every request".to_owned(), Value::to_string);
    let Some((cut, _)) = text.char_indices().nth(SHOWN) else {
        return text;
    };
    let digest = Sha256::digest(text.as_bytes());
    let [a, b, c, d, ..] = *digest else { return text };
    format!("{}… {:08x}", &text[..cut], u32::from_be_bytes([a, b, c, d]))
}

impl<'a> Rules<'a> {
    /// Finds them. Fails only if the object is not shaped as its schema says.
    pub fn find(route: &'a Value, target: &Target) -> Result<Self, RouteError> {
        let all = match route.pointer("/spec/rules") {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(rules)) => rules,
            Some(_) => {
                return Err(RouteError::Malformed {
                    route: route_name(route, target),
                    reason: "spec.rules is not a list".to_owned(),
                });
            }
        };
        let namespace = route
            .pointer("/metadata/namespace")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let canary = |backend: &Value| is_service(backend, namespace, &target.canary);
        let stable = |backend: &Value| is_service(backend, namespace, &target.stable);
        let (mut testers, mut others, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (index, rule) in all.iter().enumerate() {
            if is_for_testers(rule, &canary, target.theirs.as_ref()) {
                testers.push(index);
                continue;
            }
            let key = name_of(rule).map_or_else(|| matches_key(rule), str::to_owned);
            let before = keys.iter().filter(|known| **known == key).count();
            keys.push(key.clone());
            let backends = backends_of(rule);
            let places = |wanted: &dyn Fn(&Value) -> bool| -> Vec<usize> {
                (0..backends.len()).filter(|place| wanted(&backends[*place])).collect()
            };
            let (stable, canary) = (places(&stable), places(&canary));
            others.push(Rule {
                index,
                value: rule,
                name: name_of(rule).map_or_else(|| (index + 1).to_string(), str::to_owned),
                key: if before == 0 {
                    key
                } else {
                    format!("{key} ({})", before + 1)
                },
                backends,
                stable: stable
                    .iter()
                    .find(|place| has_port(&backends[**place], target))
                    .or(stable.first())
                    .copied(),
                canary,
                routed: false,
                as_found: false,
            });
        }
        // Where the canary's entries are the user's, those in rules that were never touched are his own business.
        let shared = |rule: &Rule<'_>| rule.stable.is_some() && !rule.canary.is_empty();
        let lone = others.iter().filter(|rule| shared(rule)).count() == 1;
        let touched = |rule: &Rule<'_>| {
            target
                .theirs
                .as_ref()
                .is_none_or(|theirs| rule.original_in(&theirs.found, lone).is_some())
        };
        let (meant, problem) = match select(route, &others, target) {
            Ok(meant) => (meant, None),
            // Until it is known again, those that carry a share keep it.
            Err(problem) => (
                others
                    .iter()
                    .filter(|rule| shared(rule) && touched(rule))
                    .map(|rule| rule.index)
                    .collect(),
                Some(problem),
            ),
        };
        for rule in &mut others {
            rule.routed = meant.contains(&rule.index);
        }
        // One that leads to the canary alone is its owner's own way to it: there is nothing to split.
        let left =
            |rule: &Rule<'_>| !rule.canary.is_empty() && rule.canary.len() < rule.backends.len() && touched(rule);
        let mut concerned: Vec<Rule<'_>> = others.into_iter().filter(|rule| rule.routed || left(rule)).collect();
        let only = concerned.len() == 1;
        for rule in &mut concerned {
            rule.as_found = rule.stands_as_found(target.theirs.as_ref(), only);
        }
        Ok(Self {
            route: route_name(route, target),
            all,
            concerned,
            testers,
            problem,
        })
    }

    /// Those whose weights are set.
    pub fn routed(&self) -> impl Iterator<Item = &Rule<'a>> {
        self.concerned.iter().filter(|rule| rule.routed)
    }
}

fn has_port(backend: &Value, target: &Target) -> bool {
    backend
        .get("port")
        .and_then(Value::as_u64)
        .is_none_or(|port| target.ports.contains(&port))
}

/// The rules that are meant, by their places.
fn select(route: &Value, rules: &[Rule<'_>], target: &Target) -> Result<Vec<usize>, RouteError> {
    let (route, service) = (route_name(route, target), target.stable.clone());
    let having: Vec<&Rule<'_>> = rules.iter().filter(|rule| rule.stable.is_some()).collect();
    if target.rules.is_empty() || target.rules.iter().any(|rule| rule == ALL_RULES) {
        let right_port = |rule: &&&Rule<'_>| rule.stable.is_some_and(|place| has_port(&rule.backends[place], target));
        let with_port: Vec<&Rule<'_>> = having.iter().filter(right_port).copied().collect();
        let found = if with_port.is_empty() { having } else { with_port };
        return match found.len() {
            0 => Err(RouteError::NoRule { route, service }),
            2.. if target.rules.is_empty() => {
                let names: Vec<&str> = found.iter().map(|rule| rule.name.as_str()).collect();
                Err(RouteError::AmbiguousRule {
                    route,
                    service,
                    rules: names.join(", "),
                })
            }
            _ => Ok(found.iter().map(|rule| rule.index).collect()),
        };
    }
    let named = |wanted: &String| {
        let Some(rule) = rules.iter().find(|rule| name_of(rule.value) == Some(wanted)) else {
            let names: Vec<&str> = rules.iter().filter_map(|rule| name_of(rule.value)).collect();
            let there = match names.as_slice() {
                [] => "no rule of it has a name (definitions of the Gateway API before 1.4 drop them); leave `rules` out, or use `*`".to_owned(),
                names => format!("there are {}", names.join(", ")),
            };
            return Err(RouteError::NoSuchRule {
                route: route.clone(),
                wanted: wanted.clone(),
                there,
            });
        };
        match rule.stable {
            Some(_) => Ok(rule.index),
            None => Err(RouteError::NotInRule {
                route: route.clone(),
                rule: wanted.clone(),
                service: service.clone(),
            }),
        }
    };
    target.rules.iter().map(named).collect()
}

impl Rule<'_> {
    /// Its weights as they were found. The only rule keeps them although its owner gave it another name or other matches.
    pub fn original_in<'o>(&self, originals: &'o RouteOriginal, only: bool) -> Option<&'o RuleOriginal> {
        let known = originals.rules.iter().find(|known| known.rule == self.key);
        let lone = || match originals.rules.as_slice() {
            [lone] if only => Some(lone),
            _ => None,
        };
        known.or_else(lone)
    }

    /// See `as_found`. Both versions' weights add up as they did only while the rule is not scaled.
    fn stands_as_found(&self, theirs: Option<&Theirs>, only: bool) -> bool {
        let (Some((stable, canary)), Some(theirs)) = (self.parts(), theirs) else {
            return self.canary.is_empty();
        };
        let Some(original) = self.original_in(&theirs.found, only) else {
            return true;
        };
        let keys = self.backend_keys();
        let known = |place: &usize| {
            original
                .backends
                .iter()
                .find(|known| known.backend == keys[*place])
                .map_or(0, |known| known.weight.unwrap_or(1).max(0))
        };
        let found: i64 = self
            .stable
            .iter()
            .chain(&self.canary)
            .map(known)
            .fold(0, i64::saturating_add);
        stable.saturating_add(canary) == found
    }

    /// Weight of the backend at this place.
    pub fn weight(&self, place: usize) -> Option<i64> {
        self.backends[place].get("weight").and_then(Value::as_i64)
    }

    /// The same, an absent one being 1 and none below 0.
    pub fn effective(&self, place: usize) -> i64 {
        self.weight(place).unwrap_or(1).max(0)
    }

    /// Weights of both versions, where the canary has an entry.
    pub fn parts(&self) -> Option<(i64, i64)> {
        let canary = self
            .canary
            .iter()
            .fold(0_i64, |sum, place| sum.saturating_add(self.effective(*place)));
        (!self.canary.is_empty()).then(|| (self.stable.map_or(0, |place| self.effective(place)), canary))
    }

    /// The canary's share, where it has an entry.
    pub fn share(&self) -> Option<Percent> {
        self.parts().map(|(stable, canary)| weights::share(stable, canary))
    }

    /// The stable Service is its only backend, the canary's entries aside.
    pub fn alone(&self) -> bool {
        self.stable.is_some() && self.backends.len() - self.canary.len() == 1
    }

    /// Its owner asks that a session stays on its backend.
    pub fn keeps_sessions(&self) -> bool {
        self.value
            .get("sessionPersistence")
            .is_some_and(|field| !field.is_null())
    }

    /// What is told of it.
    pub fn state(&self) -> RuleState {
        let beside_others = self.stable.filter(|_| !self.alone() && self.as_found).map(|place| {
            self.parts()
                .map_or(self.effective(place), |(stable, canary)| stable.saturating_add(canary))
        });
        let sum = (0..self.backends.len()).fold(0_i64, |sum, place| sum.saturating_add(self.effective(place)));
        RuleState {
            name: self.name.clone(),
            routed: self.routed,
            parts: self.parts(),
            sum,
            beside_others,
        }
    }

    /// Names under which its backends' weights are remembered.
    pub fn backend_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::with_capacity(self.backends.len());
        for backend in self.backends {
            let text = |key: &str| backend.get(key).and_then(Value::as_str).unwrap_or_default();
            let kind = if matches!(text("kind"), "" | "Service") {
                String::new()
            } else {
                format!("{}/", text("kind"))
            };
            let port = backend
                .get("port")
                .and_then(Value::as_u64)
                .map(|port| format!(":{port}"))
                .unwrap_or_default();
            let key = format!("{kind}{}/{}{port}", text("namespace"), text("name"));
            let before = keys
                .iter()
                .filter(|known| {
                    known
                        .strip_prefix(&key)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with(" ("))
                })
                .count();
            keys.push(if before == 0 {
                key
            } else {
                format!("{key} ({})", before + 1)
            });
        }
        keys
    }

    /// Its weights as they stand, for putting back; the canary's among them where its entry may be the user's.
    pub fn original(&self, theirs: bool) -> RuleOriginal {
        let backends = self
            .backend_keys()
            .into_iter()
            .enumerate()
            .filter(|(place, _)| theirs || !self.canary.contains(place));
        let backends = backends
            .map(|(place, backend)| BackendWeight {
                backend,
                weight: self.weight(place),
            })
            .collect();
        RuleOriginal {
            rule: self.key.clone(),
            backends,
        }
    }

    /// Path of one of its backends.
    pub fn path(&self, place: usize) -> String {
        format!("/spec/rules/{}/backendRefs/{place}", self.index)
    }

    /// Refused by the server if another rule stands in its place meanwhile.
    pub fn guard(&self) -> Option<Value> {
        let field = if name_of(self.value).is_some() {
            "name"
        } else {
            "matches"
        };
        let value = self.value.get(field)?;
        Some(json!({"op": "test", "path": format!("/spec/rules/{}/{field}", self.index), "value": value}))
    }
}
