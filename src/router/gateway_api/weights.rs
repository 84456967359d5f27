//! Weights are whole numbers: how to express a share with them.

use crate::api::{Percent, status::RuleOriginal};

/// In a rule with other backends all weights are multiplied by this, so that a small weight can still be split by percent.
pub(in crate::router) const SCALE: i64 = 100;

/// The weights of the two versions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub stable: i64,
    pub canary: i64,
}

/// The weight of both versions together if a rule has no other backends: 100, or 10,000 if `share` is not a whole percentage.
pub(super) fn whole(share: Percent) -> i64 {
    if share.hundredths().is_multiple_of(100) {
        100
    } else {
        10_000
    }
}

/// Splits the weight of both versions so that the canary has `share` of it.
pub(super) fn split(total: i64, share: Percent) -> Split {
    let total = total.max(0);
    // Round down: the canary must never get more than its share.
    let canary = i128::from(total) * i128::from(share.hundredths()) / 10_000;
    let canary = i64::try_from(canary).unwrap_or(total);
    Split {
        stable: total.saturating_sub(canary),
        canary,
    }
}

/// The canary's share of two weights, rounded to a hundredth of a percent; negative weights count as 0, and two zeros give 0%.
pub(super) fn share(stable: i64, canary: i64) -> Percent {
    let (stable, canary) = (i128::from(stable.max(0)), i128::from(canary.max(0)));
    let total = stable + canary;
    if total == 0 {
        return Percent::ZERO;
    }
    let hundredths = (canary * 10_000 + total / 2) / total;
    u32::try_from(hundredths)
        .ok()
        .and_then(|hundredths| Percent::from_hundredths(hundredths).ok())
        .unwrap_or(Percent::FULL)
}

/// Whether `live` are weights that we wrote, in a rule from which another hand has taken the canary's entry: all but the
/// old version's are `known` ones at our scale.
pub(super) fn left_behind(known: &RuleOriginal, live: &RuleOriginal) -> bool {
    let weight = |weight: Option<i64>| weight.unwrap_or(1).max(0);
    let mut unscaled = 0_usize;
    for backend in &live.backends {
        let Some(before) = known.backends.iter().find(|known| known.backend == backend.backend) else {
            return false;
        };
        if weight(backend.weight) != weight(before.weight).saturating_mul(SCALE) {
            unscaled += 1;
        }
    }
    live.backends != known.backends && unscaled <= 1
}
