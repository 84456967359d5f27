//! Which rules of a route concern us. They are found by name or content in every pass: the user may reorder rules at any time.

use json_patch::{PatchOperation, jsonptr::PointerBuf};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    super::{RuleState, Theirs},
    Percent, RouteError, RouteOriginal, RuleOriginal, Target, testers, weights,
};
use crate::{
    api::{plan::ALL_RULES, status::BackendWeight},
    kubernetes::patch::{at, test},
};

/// Prefix of the names of our rules for testers.
pub(super) const TESTERS: &str = "warmfront-testers";

/// The rules of a route, sorted by what they mean to us.
pub(super) struct Rules<'a> {
    /// Such as `HTTPRoute catalog`.
    pub route: String,
    /// All rules, in the route's order.
    pub all: &'a [Value],
    /// Rules whose weights are set, and others that still have an entry of the canary, in the route's order.
    pub concerned: Vec<Rule<'a>>,
    /// Indices of our rules for testers.
    pub testers: Vec<usize>,
    /// Why it is not known which rules the spec means, if so.
    pub problem: Option<RouteError>,
}

/// One rule of a route.
#[derive(Clone)]
pub(super) struct Rule<'a> {
    /// Its index in the route.
    pub index: usize,
    /// The rule as it is now.
    pub value: &'a Value,
    /// Its name; if it has none, its number, counted from 1. For messages.
    pub name: String,
    /// Its key in the status: its name; if it has none, its matches as text.
    pub key: String,
    /// Its backends.
    pub backends: &'a [Value],
    /// Index of the old version's entry in `backends`.
    pub stable: Option<usize>,
    /// Indices of the canary's entries in `backends`. We add one; there are more only if somebody else has added them.
    pub canary: Vec<usize>,
    /// Whether its weights are set.
    pub routed: bool,
    /// Whether it is as before our first change: without an entry of the canary, or with the user's own entry and weights that add up as before.
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

/// The matches of a rule; empty if it matches every request.
pub(super) fn matches_of(rule: &Value) -> &[Value] {
    rule.get("matches").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Whether a backend is the Service `name` in the route's namespace.
fn is_service(backend: &Value, namespace: &str, name: &str) -> bool {
    let text = |key: &str| backend.get(key).and_then(Value::as_str);
    text("group").is_none_or(str::is_empty)
        && text("kind").is_none_or(|kind| kind == "Service")
        && text("namespace").is_none_or(|other| other == namespace)
        && text("name") == Some(name)
}

/// Whether a rule is one of ours for testers: it has our name and leads to the canary. Definitions of the Gateway API
/// before 1.4 do not store names of rules. There it is a rule whose only backend is the canary and whose matches all
/// test a header; if the canary's Service is the user's, who may have such rules as well, the header of a tester.
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

/// The matches of a rule as text. Different matches give different texts: a long text is cut and gets a digest.
fn matches_key(rule: &Value) -> String {
    /// How many characters of a long text are kept.
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
    /// Sorts the rules of a route. Fails only if `spec.rules` is not a list.
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
        // If the canary's Service is the user's, its entries in rules that we have never changed do not concern us.
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
            // Until it is clear again which rules are meant, go on with those in which the canary has an entry.
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
        // A rule with no other backend than the canary is the user's: there is nothing to split.
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

    /// The rules whose weights are set.
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

/// Indices of the rules that the spec means.
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
    /// Its weights before our first change. If `only` one rule concerns us, they are found although the user has changed its name or matches.
    pub fn original_in<'o>(&self, originals: &'o RouteOriginal, only: bool) -> Option<&'o RuleOriginal> {
        let known = originals.rules.iter().find(|known| known.rule == self.key);
        let lone = || match originals.rules.as_slice() {
            [lone] if only => Some(lone),
            _ => None,
        };
        known.or_else(lone)
    }

    /// Computes `as_found`: our first change scales the rule, so the weights of both versions add up to the same only before it.
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

    /// Weight of a backend, by its index; `None` if it is left out.
    pub fn weight(&self, place: usize) -> Option<i64> {
        self.backends[place].get("weight").and_then(Value::as_i64)
    }

    /// The weight that the gateway uses: 1 if it is left out, never below 0.
    pub fn effective(&self, place: usize) -> i64 {
        self.weight(place).unwrap_or(1).max(0)
    }

    /// Weights of the old version and of all the canary's entries, if it has one.
    pub fn parts(&self) -> Option<(i64, i64)> {
        let canary = self
            .canary
            .iter()
            .fold(0_i64, |sum, place| sum.saturating_add(self.effective(*place)));
        (!self.canary.is_empty()).then(|| (self.stable.map_or(0, |place| self.effective(place)), canary))
    }

    /// The canary's share of what both versions get, if it has an entry.
    pub fn share(&self) -> Option<Percent> {
        self.parts().map(|(stable, canary)| weights::share(stable, canary))
    }

    /// Whether the old version is the only backend beside the canary.
    pub fn alone(&self) -> bool {
        self.stable.is_some() && self.backends.len() - self.canary.len() == 1
    }

    /// Whether the user wants sessions to stay on their backend (`sessionPersistence`).
    pub fn keeps_sessions(&self) -> bool {
        self.value
            .get("sessionPersistence")
            .is_some_and(|field| !field.is_null())
    }

    /// What the engine is told about it.
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

    /// Keys of its backends in the status, all different: `namespace/name:port`, and a number if one is there twice.
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

    /// Its weights as they are now, to be put back later. The canary's is among them if its entry may be the user's (`theirs`).
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

    /// Path of a backend, by its index.
    pub fn path(&self, place: usize) -> PointerBuf {
        at!["spec", "rules", self.index, "backendRefs", place]
    }

    /// A test that makes the API server refuse the patch if another rule is at this index meanwhile. `None` if the rule has neither name nor matches.
    pub fn guard(&self) -> Option<PatchOperation> {
        let field = if name_of(self.value).is_some() {
            "name"
        } else {
            "matches"
        };
        let value = self.value.get(field)?.clone();
        Some(test(at!["spec", "rules", self.index, field], value))
    }
}
