//! Rules for testers: copies of the rules whose weights are set, with one more header match and the canary as the only backend.
//!
//! A match with more headers wins over one with fewer, so their place in the route does not matter. They are added at its end.

use serde_json::{Value, json};

use super::{
    super::Target,
    entries,
    rule::{Rule, matches_of},
    rules::{Rules, TESTERS},
};
use crate::{
    api::traffic::{RouteKind, Tester},
    kubernetes::patch::{Patch, add, at, remove, replace, test},
};

/// Whether a match tests this header. Case does not matter in names of headers.
fn tests(one: &Value, header: &str) -> bool {
    let headers = one.get("headers").and_then(Value::as_array).into_iter().flatten();
    headers
        .filter_map(|entry| entry.get("name").and_then(Value::as_str))
        .any(|name| name.eq_ignore_ascii_case(header))
}

/// Whether a match tests for the header and the value of a tester.
pub(super) fn admits(one: &Value, tester: &Tester) -> bool {
    let headers = one.get("headers").and_then(Value::as_array).into_iter().flatten();
    let text = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    headers
        .into_iter()
        .any(|entry| text(entry, "name").eq_ignore_ascii_case(&tester.header) && text(entry, "value") == tester.equals)
}

/// The matches of a rule with the defaults that the API server adds, so that they can be compared with stored ones.
fn written_out(rule: &Value, kind: RouteKind) -> Vec<Value> {
    let everything = [json!({})];
    let matches = match matches_of(rule) {
        [] => &everything[..],
        matches => matches,
    };
    let complete = |one: &Value| {
        let mut one = one.clone();
        if kind == RouteKind::Http && one.get("path").is_none() {
            one["path"] = json!({"type": "PathPrefix", "value": "/"});
        }
        one
    };
    matches.iter().map(complete).collect()
}

fn with_header(one: &Value, tester: &Tester) -> Value {
    let mut one = one.clone();
    let mut headers = one
        .get("headers")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    headers.push(json!({"type": "Exact", "name": tester.header, "value": tester.equals}));
    one["headers"] = Value::from(headers);
    one
}

fn rule_for_testers(rule: &Rule<'_>, target: &Target) -> Option<Value> {
    let matches: Vec<Value> = written_out(rule.value, target.kind)
        .iter()
        .flat_map(|one| {
            target
                .testers
                .iter()
                .filter(|tester| !tests(one, &tester.header))
                .map(|tester| with_header(one, tester))
                .collect::<Vec<_>>()
        })
        .collect();
    if matches.is_empty() {
        return None;
    }
    let mut ours = rule.value.clone();
    let fields = ours.as_object_mut()?;
    fields.remove("name");
    // Otherwise later requests of a tester, without the header, would stay on the new version.
    fields.remove("sessionPersistence");
    fields.insert("matches".to_owned(), Value::from(matches));
    fields.insert("backendRefs".to_owned(), json!([entries::lone(rule, target)?]));
    Some(ours)
}

/// The rules for testers that should be there, without names: one for each rule whose weights are set.
pub(super) fn wanted(rules: &Rules<'_>, target: &Target) -> Vec<Value> {
    if target.testers.is_empty() {
        return Vec::new();
    }
    rules
        .routed()
        .filter_map(|rule| rule_for_testers(rule, target))
        .collect()
}

/// In which matches testers are not told apart, because these test the same header already; one sentence each.
pub(super) fn left_out(rules: &Rules<'_>, target: &Target) -> Vec<String> {
    let mut told = Vec::new();
    for rule in rules.routed() {
        for (index, one) in written_out(rule.value, target.kind).iter().enumerate() {
            for tester in target.testers.iter().filter(|tester| tests(one, &tester.header)) {
                told.push(format!(
                    "match {} of rule {} tests header {} itself: testers are not told apart there",
                    index + 1,
                    rule.name,
                    tester.header
                ));
            }
        }
    }
    told
}

fn without_name(rule: &Value) -> Value {
    let mut rule = rule.clone();
    if let Some(fields) = rule.as_object_mut() {
        fields.remove("name");
    }
    rule
}

/// The change from the rules for testers that are there to those that are wanted.
pub(super) fn change(rules: &Rules<'_>, wanted: Vec<Value>) -> Patch {
    let mut patch = Patch::new();
    let mut taken: Vec<String> = rules
        .all
        .iter()
        .filter_map(|rule| Some(rule.get("name")?.as_str()?.to_owned()))
        .collect();
    let mut free = || {
        let mut name = TESTERS.to_owned();
        let mut number = 1_usize;
        while taken.contains(&name) {
            number += 1;
            name = format!("{TESTERS}-{number}");
        }
        taken.push(name.clone());
        name
    };
    let guard = |index: usize| {
        let backends = rules.all[index].get("backendRefs").cloned();
        test(at!["spec", "rules", index, "backendRefs"], backends)
    };
    let mut added = Vec::new();
    let count = wanted.len();
    for (number, mut ours) in wanted.into_iter().enumerate() {
        let Some(index) = rules.testers.get(number).copied() else {
            ours["name"] = json!(free());
            added.push(add(at!["spec", "rules", "-"], ours));
            continue;
        };
        let live = &rules.all[index];
        // Do not compare names: definitions of the Gateway API before 1.4 do not store them.
        if without_name(live) == ours {
            continue;
        }
        ours["name"] = live
            .get("name")
            .filter(|name| name.is_string())
            .cloned()
            .unwrap_or_else(|| json!(free()));
        patch.push(guard(index));
        patch.push(replace(at!["spec", "rules", index], ours));
    }
    // The last one first: a removal moves all rules behind it.
    for index in rules.testers.iter().skip(count).rev() {
        patch.push(guard(*index));
        patch.push(remove(at!["spec", "rules", *index]));
    }
    patch.extend(added);
    patch
}
