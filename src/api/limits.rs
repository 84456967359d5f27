//! The sizes and ranges that the schema of a kind gives: objects that were stored before it did are held to them, too.

use kube::CustomResourceExt;
use serde_json::{Map, Value};

/// What of a schema limits anything.
const LIMITS: [&str; 11] = [
    "maxLength",
    "minLength",
    "maxItems",
    "minItems",
    "maxProperties",
    "maximum",
    "minimum",
    "properties",
    "items",
    "additionalProperties",
    "type",
];

/// The schema of a kind's spec, without what limits nothing: descriptions alone take more room than all the rest.
pub(super) fn of_spec<K: CustomResourceExt>() -> Value {
    let crd = serde_json::to_value(K::crd()).unwrap_or_default();
    let mut schema = crd
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .cloned()
        .unwrap_or_default();
    prune(&mut schema);
    schema
}

fn prune(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    fields.retain(|key, _| LIMITS.contains(&key.as_str()));
    fields
        .get_mut("properties")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(Map::values_mut)
        .for_each(prune);
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(key) {
            prune(inner);
        }
    }
}

/// The first field of a value that is out of its limits: its path, what it is, and the limit.
pub(super) fn breach(schema: &Value, value: &Value, path: &str) -> Option<String> {
    let limit = |name: &str| schema.get(name).and_then(Value::as_u64);
    let within = |size: usize, least: &str, most: &str, what: &str| {
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        let too_large = limit(most)
            .filter(|most| size > *most)
            .map(|most| format!("at most {most}"));
        let bound = too_large.or_else(|| {
            limit(least)
                .filter(|least| size < *least)
                .map(|least| format!("at least {least}"))
        })?;
        Some(format!("{path} has {size} {what}: write {bound}"))
    };
    match value {
        Value::String(text) => within(text.chars().count(), "minLength", "maxLength", "characters"),
        Value::Number(number) => {
            let (number, bound) = (number.as_f64()?, |name: &str| schema.get(name).and_then(Value::as_f64));
            let most = bound("maximum")
                .filter(|most| number > *most)
                .map(|most| format!("at most {most}"));
            let bound = most.or_else(|| {
                bound("minimum")
                    .filter(|least| number < *least)
                    .map(|least| format!("at least {least}"))
            })?;
            Some(format!("{path} is {number}: write {bound}"))
        }
        Value::Array(items) => within(items.len(), "minItems", "maxItems", "items").or_else(|| {
            let schema = schema.get("items")?;
            items
                .iter()
                .enumerate()
                .find_map(|(index, item)| breach(schema, item, &format!("{path}[{index}]")))
        }),
        Value::Object(fields) => within(fields.len(), "minProperties", "maxProperties", "entries").or_else(|| {
            fields.iter().find_map(|(key, value)| {
                let known = schema.get("properties").and_then(|known| known.get(key));
                breach(
                    known.or_else(|| schema.get("additionalProperties"))?,
                    value,
                    &format!("{path}.{key}"),
                )
            })
        }),
        Value::Null | Value::Bool(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::{CanaryRollout, CanaryRolloutSpec, MetricSource, MetricSourceSpec, RolloutAction};

    fn rollout() -> Value {
        json!({
            "workload": {"deployment": {"name": "catalog"}},
            "traffic": {"gatewayAPI": {"routes": [{"name": "catalog", "rules": ["a"]}]}, "alsoNarrow": [],
                "testers": [{"header": "X", "equals": "1"}], "canaryServiceMetadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}}},
            "checks": [{"name": "q", "query": {"promql": "up", "max": 1.0}, "breaches": 1, "of": 20}],
            "windows": [{"days": ["Mon"], "from": "09:00", "to": "10:00"}],
            "gates": [{"before": "Start", "webhook": {"url": "http://gate"}}],
            "notify": [{"name": "chat", "webhook": {"url": "http://chat"}, "events": ["Paused"]}],
        })
    }

    /// A field, what is too much for it, and what is said of that.
    fn out_of_limits() -> Vec<(&'static str, Value, &'static str)> {
        let many = |item: Value, count: usize| Value::Array(vec![item; count]);
        vec![
            ("/checks/0/of", json!(21), "spec.checks[0].of is 21: write at most 20"),
            (
                "/checks/0/breaches",
                json!(-1),
                "spec.checks[0].breaches is -1: write at least 1",
            ),
            (
                "/checks/0/query/promql",
                json!("x".repeat(4_097)),
                "spec.checks[0].query.promql has 4097 characters: write at most 4096",
            ),
            (
                "/checks",
                many(rollout()["checks"][0].clone(), 17),
                "spec.checks has 17 items: write at most 16",
            ),
            (
                "/windows/0/days",
                many(json!("Mon"), 8),
                "spec.windows[0].days has 8 items: write at most 7",
            ),
            (
                "/gates/0/webhook/url",
                json!("h".repeat(2_049)),
                "spec.gates[0].webhook.url has 2049 characters: write at most 2048",
            ),
            (
                "/traffic/alsoNarrow",
                json!(["x".repeat(64)]),
                "spec.traffic.alsoNarrow[0] has 64 characters: write at most 63",
            ),
            (
                "/traffic/gatewayAPI/routes/0/rules",
                many(json!("a"), 17),
                "spec.traffic.gatewayAPI.routes[0].rules has 17 items: write at most 16",
            ),
            (
                "/traffic/testers/0/equals",
                json!(""),
                "spec.traffic.testers[0].equals has 0 characters: write at least 1",
            ),
            (
                "/traffic/canaryServiceMetadata/annotations/a",
                json!("x".repeat(4_097)),
                "spec.traffic.canaryServiceMetadata.annotations.a has 4097 characters: write at most 4096",
            ),
            (
                "/workload/deployment/name",
                json!("x".repeat(254)),
                "spec.workload.deployment.name has 254 characters: write at most 253",
            ),
        ]
    }

    #[test]
    fn what_was_stored_before_the_schema_had_a_limit_is_refused_with_field_size_and_limit() {
        assert_eq!(CanaryRolloutSpec::read(&rollout()).map(|_| ()), Ok(()));
        for (field, value, why) in out_of_limits() {
            let mut spec = rollout();
            *spec.pointer_mut(field).unwrap() = value;
            assert_eq!(CanaryRolloutSpec::read(&spec).unwrap_err(), why);
        }
    }

    #[test]
    fn a_spec_that_would_fill_the_status_is_refused() {
        let mut spec = rollout();
        let check =
            |number: usize| json!({"name": format!("q{number}"), "query": {"promql": "x".repeat(4_000), "max": 1.0}});
        spec["checks"] = (0..16).map(check).collect();
        let why = CanaryRolloutSpec::read(&spec).unwrap_err();
        assert!(why.starts_with("spec has 6") && why.contains("at most 32768"), "{why}");
    }

    #[test]
    fn a_metric_source_is_held_to_its_ranges_too() {
        let read = |source: Value| MetricSourceSpec::read(&source).map(|_| ());
        let url = json!({"url": "http://prometheus"});
        assert_eq!(read(json!({"prometheus": url})), Ok(()));
        for (source, why) in [
            (
                json!({"prometheus": url, "scrapeInterval": "999999999h"}),
                "spec.scrapeInterval: 999999999h is out of range: write 1s to 10m",
            ),
            (
                json!({"prometheus": url, "scrapeInterval": "0s"}),
                "spec.scrapeInterval: 0s is out of range: write 1s to 10m",
            ),
            (
                json!({"prometheus": url, "lag": "11m"}),
                "spec.lag: 11m is out of range: write 0s to 10m",
            ),
            (
                json!({"prometheus": url, "podLabel": ""}),
                "spec.podLabel has 0 characters: write at least 1",
            ),
            (
                json!({"prometheus": {"url": "x"}}),
                "spec.prometheus.url has 1 characters: write at least 8",
            ),
        ] {
            assert_eq!(read(source), Err(why.to_owned()));
        }
    }

    /// Whatever can be written has a limit.
    fn unlimited(schema: &Value, path: &str, found: &mut Vec<String>) {
        let has = |name: &str| schema.get(name).is_some();
        match schema["type"].as_str() {
            Some("string") if !has("maxLength") && !has("enum") => found.push(path.to_owned()),
            Some("integer") if !has("maximum") => found.push(path.to_owned()),
            Some("array") if !has("maxItems") => found.push(path.to_owned()),
            Some("object") if !has("properties") && !has("maxProperties") => found.push(path.to_owned()),
            _ => {}
        }
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            unlimited(inner, &format!("{path}.{key}"), found);
        }
        for inner in ["items", "additionalProperties"]
            .into_iter()
            .filter_map(|key| schema.get(key))
        {
            unlimited(inner, &format!("{path}[]"), found);
        }
    }

    #[test]
    fn every_text_list_map_and_number_of_a_spec_has_a_limit_in_the_schema() {
        let crds = [CanaryRollout::crd(), RolloutAction::crd(), MetricSource::crd()];
        let mut found = Vec::new();
        for crd in crds {
            let crd = serde_json::to_value(crd).unwrap();
            let spec = crd
                .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
                .unwrap();
            unlimited(spec, crd["spec"]["names"]["kind"].as_str().unwrap(), &mut found);
        }
        assert_eq!(found, Vec::<String>::new());
    }
}
