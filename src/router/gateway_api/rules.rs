//! Which rules of a route concern us. They are found by name or content in every pass: the user may reorder rules at any time.

use serde_json::Value;

use super::{
    super::Theirs,
    RouteError, Target,
    rule::{Rule, backends_of, matches_key, matches_of, name_of},
    testers,
};
use crate::{api::plan::ALL_RULES, kubernetes::json::text};

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

impl<'a> Rules<'a> {
    /// Sorts the rules of a route. Fails only if `spec.rules` is not a list.
    pub fn find(route: &'a Value, target: &Target) -> Result<Self, RouteError> {
        let all = all_of(route, target)?;
        let (testers, mut others) = told_apart(all, text(route, "/metadata/namespace"), target);
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
            Err(problem) => {
                let kept = others.iter().filter(|rule| shared(rule) && touched(rule));
                (kept.map(|rule| rule.index).collect(), Some(problem))
            }
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

/// All rules of a route.
fn all_of<'a>(route: &'a Value, target: &Target) -> Result<&'a [Value], RouteError> {
    match route.pointer("/spec/rules") {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(rules)) => Ok(rules),
        Some(_) => Err(RouteError::Malformed {
            route: route_name(route, target),
            reason: "spec.rules is not a list".to_owned(),
        }),
    }
}

/// Indices of our rules for testers, and all other rules.
fn told_apart<'a>(all: &'a [Value], namespace: &str, target: &Target) -> (Vec<usize>, Vec<Rule<'a>>) {
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
        let right_port = stable.iter().find(|place| has_port(&backends[**place], target));
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
            stable: right_port.or(stable.first()).copied(),
            canary,
            routed: false,
            as_found: false,
        });
    }
    (testers, others)
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
