//! The checks of a plan, each with its name and its limit.

use super::{CheckKind, InvalidSpec, PlannedCheck};
use crate::api::{CanaryRolloutSpec, check::Check};

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
    match (&check.error_rate, &check.latency, &check.hit_ratio, &check.query) {
        (Some(errors), None, None, None) => {
            if errors.max.is_none() && errors.max_increase.is_none() {
                return Err("an errorRate needs max, maxIncrease or both".to_owned());
            }
            let kind = CheckKind::ErrorRate {
                max: errors.max,
                max_increase: errors.max_increase,
            };
            Ok((kind, "error-rate"))
        }
        (None, Some(latency), None, None) => Ok((
            CheckKind::Latency {
                quantile: latency.quantile,
                max: latency.max,
            },
            "latency",
        )),
        (None, None, Some(hits), None) => {
            let kind = CheckKind::HitRatio {
                min: hits.min,
                max_drop: hits.max_drop,
            };
            Ok((kind, "hit-ratio"))
        }
        (None, None, None, Some(query)) => {
            crate::api::check::parts(&query.promql)?;
            let of = usize::try_from(check.of.unwrap_or(5)).unwrap_or(5).max(1);
            let breaches = usize::try_from(check.breaches.unwrap_or(3)).unwrap_or(3).clamp(1, of);
            let kind = CheckKind::Query {
                promql: query.promql.clone(),
                max: query.max,
                min: query.min,
                breaches,
                of,
            };
            Ok((kind, "query"))
        }
        _ => Err("a check names exactly one of errorRate, latency, hitRatio and query".to_owned()),
    }
}
