//! How long the lengths of time of a spec may be. The schema says the same; this holds for what was stored before it did.

use std::ops::RangeInclusive;

use super::InvalidSpec;
use crate::api::{CanaryRolloutSpec, Duration, Percent, check::Check, duration::LONGEST};

type Range = RangeInclusive<Duration>;

const ANY: Range = Duration::ZERO..=LONGEST;
const LATENCY: Range = Duration::ZERO..=Duration::from_mins(60);
const SETTLE: Range = Duration::ZERO..=Duration::from_mins(60);
const INTERVAL: Range = Duration::from_secs(1)..=Duration::from_mins(60);
const TIMEOUT: Range = Duration::from_secs(1)..=Duration::from_mins(5);

/// Every length of time that a spec has, with its field and its range.
fn lengths(spec: &mut CanaryRolloutSpec, see: &mut dyn FnMut(String, &mut Duration, Range)) {
    let mut of = |field: &str, length: &mut Option<Duration>, range: Range| {
        if let Some(length) = length {
            see(format!("spec.{field}"), length, range);
        }
    };
    of("traffic.settle", &mut spec.traffic.settle, SETTLE);
    of("bake", &mut spec.bake, ANY);
    if let Some(cache) = &mut spec.cache {
        of("cache.ttl", &mut cache.ttl, ANY);
    }
    of("noDataDeadline", &mut spec.no_data_deadline, ANY);
    of("progressDeadline", &mut spec.progress_deadline, ANY);
    of("keepCanary", &mut spec.keep_canary, ANY);
    of("keepStable", &mut spec.keep_stable, ANY);
    if let Some(metrics) = &mut spec.metrics {
        of("metrics.interval", &mut metrics.interval, INTERVAL);
    }
    if let Some(ramp) = &mut spec.ramp {
        of("ramp.hold", &mut ramp.hold, ANY);
    }
    for (index, step) in spec.steps.iter_mut().flatten().enumerate() {
        of(&format!("steps[{index}].hold"), &mut step.hold, ANY);
    }
    for (index, gate) in spec.gates.iter_mut().enumerate() {
        of(&format!("gates[{index}].deadline"), &mut gate.deadline, ANY);
        of(
            &format!("gates[{index}].webhook.timeout"),
            &mut gate.webhook.timeout,
            TIMEOUT,
        );
    }
    for (index, notifier) in spec.notify.iter_mut().enumerate() {
        of(
            &format!("notify[{index}].webhook.timeout"),
            &mut notifier.webhook.timeout,
            TIMEOUT,
        );
    }
    for (index, check) in spec.checks.iter_mut().enumerate() {
        if let Some(latency) = &mut check.latency {
            see(format!("spec.checks[{index}].latency.max"), &mut latency.max, LATENCY);
        }
    }
}

/// Fails with the first one that is out of its range.
pub(super) fn check(spec: &CanaryRolloutSpec) -> Result<(), InvalidSpec> {
    let mut wrong = None;
    lengths(&mut spec.clone(), &mut |field, length, range| {
        if !range.contains(length) {
            wrong.get_or_insert(InvalidSpec(format!(
                "{field}: {length} is out of range: write {} to {}",
                range.start(),
                range.end()
            )));
        }
    });
    let mut strict = spec.checks.iter().enumerate();
    wrong = wrong.or_else(|| {
        let (index, what) = strict.find_map(|(index, check)| Some((index, endless(check)?)))?;
        Some(InvalidSpec(format!(
            "spec.checks[{index}].{what} could only be shown by endless traffic: allow a few, such as 0.1%"
        )))
    });
    wrong.map_or(Ok(()), Err)
}

/// The limit of a check that allows not a single bad one, and what would have to be shown.
fn endless(check: &Check) -> Option<&'static str> {
    let errors = check.error_rate.as_ref().and_then(|errors| errors.max);
    if errors == Some(Percent::ZERO) {
        Some("errorRate.max: that 0% of the requests fail")
    } else {
        (check.max == Some(Percent::ZERO)).then_some("max: that 0% are bad")
    }
}

/// The same spec with every length of time and every limit in its range.
pub(super) fn clamped(spec: &CanaryRolloutSpec) -> CanaryRolloutSpec {
    let mut spec = spec.clone();
    lengths(&mut spec, &mut |_, length, range| {
        *length = (*length).clamp(*range.start(), *range.end());
    });
    for check in &mut spec.checks {
        let limits = [
            check.error_rate.as_mut().and_then(|errors| errors.max.as_mut()),
            check.max.as_mut(),
        ];
        for limit in limits.into_iter().flatten().filter(|limit| **limit == Percent::ZERO) {
            *limit = Percent::LEAST;
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::{Plan, plan::CheckKind};

    fn spec(field: &str, value: &Value) -> CanaryRolloutSpec {
        let mut spec = json!({
            "workload": {"deployment": {"name": "catalog"}},
            "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}},
            "steps": [{"weight": 5, "hold": "1m"}, {"weight": 100}],
            "checks": [{"latency": {"quantile": "p99", "max": "1s"}}],
            "metrics": {"interval": "5s"},
            "cache": {"ttl": "1h"},
            "gates": [{"before": "Start", "webhook": {"url": "http://gate"}}],
            "notify": [{"name": "chat", "webhook": {"url": "http://chat"}}],
        });
        let (parent, key) = field.rsplit_once('/').unwrap();
        match spec.pointer_mut(parent).unwrap() {
            serde_json::Value::Array(items) => items[key.parse::<usize>().unwrap()] = value.clone(),
            object => object[key] = value.clone(),
        }
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn what_is_out_of_range_is_refused_with_field_value_and_bound_and_a_release_that_has_it_goes_on() {
        let table = [
            (
                "/progressDeadline",
                "999999999h",
                "spec.progressDeadline: 999999999h",
                "0s to 720h",
            ),
            ("/noDataDeadline", "721h", "spec.noDataDeadline: 721h", "0s to 720h"),
            ("/bake", "9999999h", "spec.bake: 9999999h", "0s to 720h"),
            ("/cache/ttl", "721h", "spec.cache.ttl: 721h", "0s to 720h"),
            ("/keepCanary", "721h", "spec.keepCanary: 721h", "0s to 720h"),
            ("/keepStable", "721h", "spec.keepStable: 721h", "0s to 720h"),
            ("/steps/0/hold", "721h", "spec.steps[0].hold: 721h", "0s to 720h"),
            ("/traffic/settle", "2h", "spec.traffic.settle: 2h", "0s to 1h"),
            (
                "/checks/0/latency/max",
                "2h",
                "spec.checks[0].latency.max: 2h",
                "0s to 1h",
            ),
            ("/metrics/interval", "10ms", "spec.metrics.interval: 10ms", "1s to 1h"),
            (
                "/gates/0/deadline",
                "721h",
                "spec.gates[0].deadline: 721h",
                "0s to 720h",
            ),
            (
                "/gates/0/webhook/timeout",
                "6m",
                "spec.gates[0].webhook.timeout: 6m",
                "1s to 5m",
            ),
            (
                "/notify/0/webhook/timeout",
                "6m",
                "spec.notify[0].webhook.timeout: 6m",
                "1s to 5m",
            ),
        ];
        for (field, value, named, range) in table {
            let spec = spec(field, &json!(value));
            let why = Plan::try_from(&spec).unwrap_err().to_string();
            assert!(why.contains(named) && why.contains(range), "{why}");
            assert!(Plan::of_release(&spec).is_ok(), "{field}");
        }
        assert!(Plan::try_from(&spec("/bake", &json!("720h"))).is_ok());
        let plan = Plan::of_release(&spec("/progressDeadline", &json!("999999999h"))).unwrap();
        assert_eq!(plan.progress_deadline, LONGEST);
    }

    #[test]
    fn that_nothing_is_bad_is_refused_and_made_the_least_in_a_release() {
        let strict = spec("/checks/0", &json!({"errorRate": {"max": "0%"}}));
        let why = Plan::try_from(&strict).unwrap_err().to_string();
        assert!(
            why.contains("spec.checks[0].errorRate.max") && why.contains("endless"),
            "{why}"
        );
        assert!(Plan::of_release(&strict).is_ok());
        let ratio = json!({"name": "stale", "ratio": {"bad": "stale", "total": "sampled"}, "max": "0.0%"});
        let plan = Plan::of_release(&spec("/checks/0", &ratio)).unwrap();
        let CheckKind::Ratio { max, .. } = plan.checks[0].kind else {
            panic!("no ratio")
        };
        assert_eq!(max, Percent::LEAST);
    }
}
