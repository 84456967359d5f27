//! The checks of a plan, each with its name and its limit.

use super::{CheckKind, InvalidSpec, PlannedCheck};
use crate::api::{
    CanaryRolloutSpec,
    check::{Check, Query, Ratio},
};

pub(super) fn checks(spec: &CanaryRolloutSpec) -> Result<Vec<PlannedCheck>, InvalidSpec> {
    if spec.checks.is_empty() != spec.unjudged {
        return Err(InvalidSpec(
            "spec.checks: name at least one check, or say `unjudged: true` and no checks".to_owned(),
        ));
    }
    let mut checks: Vec<PlannedCheck> = Vec::with_capacity(spec.checks.len());
    for (index, check) in spec.checks.iter().enumerate() {
        let (kind, default_name) = kind(check).map_err(|why| InvalidSpec(format!("spec.checks[{index}]: {why}")))?;
        let name = check.name.clone().unwrap_or_else(|| default_name.to_owned());
        if checks.iter().any(|other| other.name == name) {
            return Err(InvalidSpec(format!(
                "spec.checks[{index}]: a check named {name} stands above already: give this one another name"
            )));
        }
        checks.push(PlannedCheck {
            name,
            kind,
            on_breach: check.on_breach,
        });
    }
    Ok(checks)
}

fn kind(check: &Check) -> Result<(CheckKind, &'static str), String> {
    if check.max.is_some() != check.ratio.is_some() {
        return Err("a ratio needs max beside it, and max belongs to a ratio alone".to_owned());
    }
    match (
        &check.error_rate,
        &check.latency,
        &check.hit_ratio,
        &check.ratio,
        &check.query,
    ) {
        (Some(errors), None, None, None, None) => {
            if errors.max.is_none() && errors.max_increase.is_none() {
                return Err("an errorRate needs max, maxIncrease or both".to_owned());
            }
            let kind = CheckKind::ErrorRate {
                max: errors.max,
                max_increase: errors.max_increase,
            };
            Ok((kind, "error-rate"))
        }
        (None, Some(latency), None, None, None) => Ok((
            CheckKind::Latency {
                quantile: latency.quantile,
                max: latency.max,
            },
            "latency",
        )),
        (None, None, Some(hits), None, None) => {
            let kind = CheckKind::HitRatio {
                min: hits.min,
                max_drop: hits.max_drop,
            };
            Ok((kind, "hit-ratio"))
        }
        (None, None, None, Some(pair), None) => Ok((ratio(check, pair)?, "ratio")),
        (None, None, None, None, Some(asked)) => Ok((query(check, asked)?, "query")),
        _ => Err("a check names exactly one of errorRate, latency, hitRatio, ratio and query".to_owned()),
    }
}

fn ratio(check: &Check, pair: &Ratio) -> Result<CheckKind, String> {
    for name in [&pair.bad, &pair.total] {
        if !is_metric(name) {
            return Err(format!(
                "ratio: {name:?} is no name of a metric: it consists of letters, digits, _ and :, and does not begin with a digit"
            ));
        }
    }
    if pair.bad == pair.total {
        return Err(format!(
            "ratio: bad and total are both {}: name the counter of the bad ones, and that of all of them",
            pair.bad
        ));
    }
    Ok(CheckKind::Ratio {
        bad: pair.bad.clone(),
        total: pair.total.clone(),
        max: check.max.ok_or("a ratio needs max beside it")?,
    })
}

fn is_metric(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_' || letter == ':';
    name.starts_with(is_letter) && name.chars().all(|letter| is_letter(letter) || letter.is_ascii_digit())
}

fn query(check: &Check, asked: &Query) -> Result<CheckKind, String> {
    crate::api::check::parts(&asked.promql)?;
    let of = usize::try_from(check.of.unwrap_or(5)).unwrap_or(5).max(1);
    let breaches = usize::try_from(check.breaches.unwrap_or(3)).unwrap_or(3).clamp(1, of);
    Ok(CheckKind::Query {
        promql: asked.promql.clone(),
        max: asked.max,
        min: asked.min,
        breaches,
        of,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn planned(check: &Value) -> Result<PlannedCheck, String> {
        let spec = json!({"workload": {"deployment": {"name": "a"}}, "traffic": {"gatewayAPI": {"routes": [{"name": "a"}]}}, "checks": [check]});
        let spec: CanaryRolloutSpec = serde_json::from_value(spec).map_err(|error| error.to_string())?;
        let plan = crate::api::Plan::try_from(&spec).map_err(|error| error.to_string())?;
        Ok(plan.checks[0].clone())
    }

    #[test]
    fn a_ratio_has_two_counters_and_a_limit() {
        let stale = json!({"bad": "cache_stale_total", "total": "cache_stale_sampled_total"});
        let check = planned(&json!({"name": "stale", "ratio": stale, "max": "0.1%"})).unwrap();
        let kind = CheckKind::Ratio {
            bad: "cache_stale_total".to_owned(),
            total: "cache_stale_sampled_total".to_owned(),
            max: "0.1%".parse().unwrap(),
        };
        assert_eq!((check.name.as_str(), check.kind), ("stale", kind));
        for (check, why) in [
            (json!({"name": "stale", "ratio": stale}), "a ratio needs max beside it"),
            (
                json!({"errorRate": {"max": "1%"}, "max": "1%"}),
                "max belongs to a ratio alone",
            ),
            (
                json!({"name": "stale", "ratio": stale, "max": "0%"}),
                "spec.checks[0].max: that 0% are bad",
            ),
            (
                json!({"name": "a", "ratio": {"bad": "a", "total": "a"}, "max": "1%"}),
                "bad and total are both a",
            ),
            (
                json!({"name": "a", "ratio": {"bad": "a} or {b", "total": "b"}, "max": "1%"}),
                "is no name of a metric",
            ),
            (
                json!({"name": "a", "ratio": {"bad": "5a", "total": "b"}, "max": "1%"}),
                "is no name of a metric",
            ),
            (
                json!({"name": "a", "ratio": {"bad": "", "total": "b"}, "max": "1%"}),
                "is no name of a metric",
            ),
            (
                json!({"name": "a", "ratio": stale, "max": "1%", "latency": {"quantile": "p99", "max": "1s"}}),
                "exactly one",
            ),
        ] {
            let said = planned(&check).unwrap_err();
            assert!(said.contains(why), "{said}\ndoes not say {why}");
        }
    }
}
