//! What was measured of each check, as the judge reads it.

use crate::{
    api::{Plan, plan::CheckKind, status::Cause},
    engine::{
        contract::observed::Measured,
        judge::tick::{Count, Reading, Sides},
    },
    provider,
};

/// Whose requests are counted for the old version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Only those that the routes share out by weight.
    Routed,
    /// Also those of callers who pass the route by.
    All,
}

/// Of requests that need not all come through the routes a sixth is taken for routed: then far fewer than the weight says are a tenth.
const ROUTED_AT_LEAST: f64 = 6.0;

/// What was measured of one check, or why it was not.
type Answer = Result<provider::Reading, (Cause, String)>;

pub(super) fn reading(kind: &CheckKind, answer: &Answer) -> Reading {
    match (kind, answer) {
        (CheckKind::HitRatio { .. }, _) => Reading::NotAsked,
        (CheckKind::Latency { quantile, .. }, _) if !quantile.is_counted() => {
            figures(answer).map_or(Reading::Missing, Reading::Value)
        }
        (CheckKind::ErrorRate { .. } | CheckKind::Latency { .. } | CheckKind::Ratio { .. }, _) => {
            counts(answer).map_or(Reading::Missing, Reading::Counts)
        }
        (CheckKind::Query { .. }, Ok(provider::Reading::Scalar { candidate, baseline })) => Reading::Value(Sides {
            candidate: *candidate,
            baseline: *baseline,
        }),
        (CheckKind::Query { .. }, _) => Reading::Missing,
    }
}

/// The figures of both sides that are shown; nothing without one of the new version.
fn figures(answer: &Answer) -> Option<Sides<f64>> {
    match answer {
        Ok(provider::Reading::Counts {
            candidate_figure,
            baseline_figure,
            ..
        }) => Some(Sides {
            candidate: (*candidate_figure)?,
            baseline: *baseline_figure,
        }),
        Ok(provider::Reading::Scalar { .. }) | Err(_) => None,
    }
}

/// Counts of both sides. Pods that are scraped and count nothing got no request.
pub(super) fn counts(answer: &Answer) -> Option<Sides<Count>> {
    let count = |counts: &provider::Counts| Count {
        bad: counts.bad,
        total: counts.total,
    };
    match answer {
        Ok(provider::Reading::Counts {
            candidate, baseline, ..
        }) => Some(Sides {
            candidate: count(candidate),
            baseline: baseline.as_ref().map(count),
        }),
        Err((Cause::NoTraffic, _)) => Some(Sides::default()),
        Ok(provider::Reading::Scalar { .. }) | Err(_) => None,
    }
}

/// Requests of both sides, if they could be read. A plan that counts none has 0 where anything could be read.
pub(super) fn requests(plan: &Plan, measured: &Measured) -> Option<Sides<f64>> {
    let asked = || plan.checks.iter().zip(&measured.readings);
    let are_requests = |kind: &CheckKind| matches!(kind, CheckKind::ErrorRate { .. } | CheckKind::Latency { .. });
    if plan.checks.iter().any(|check| are_requests(&check.kind)) {
        let mut read = asked().filter(|(check, _)| are_requests(&check.kind));
        let counted = read.find_map(|(_, answer)| counts(answer))?;
        Some(Sides {
            candidate: counted.candidate.total,
            baseline: counted.baseline.map(|count| count.total),
        })
    } else {
        let any = asked().any(|(_, answer)| answer.is_ok() || counts(answer).is_some());
        any.then(Sides::default)
    }
}

/// Requests that the weight speaks of.
pub(super) fn routed(requests: Sides<f64>, counted: Counted) -> Sides<f64> {
    let all = |baseline: f64| (requests.candidate + baseline) / ROUTED_AT_LEAST;
    match counted {
        Counted::Routed => requests,
        Counted::All => Sides {
            candidate: requests.candidate,
            baseline: requests
                .baseline
                .map(|baseline| (all(baseline) - requests.candidate).max(0.0)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_pass_the_route_by_do_not_make_a_mismatch() {
        let sides = |candidate| Sides {
            candidate,
            baseline: Some(12_000.0 - candidate),
        };
        let scaled = routed(sides(90.0), Counted::All);
        let all = scaled.candidate + scaled.baseline.unwrap();
        assert!((all - 2_000.0).abs() < 1e-9);
        assert_eq!(routed(sides(90.0), Counted::Routed), sides(90.0));
    }
}
