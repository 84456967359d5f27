//! Whole-number weights that split a share exactly.

use crate::api::Percent;

/// Beside other backends every weight is multiplied by this, so that shares stay exact.
pub(in crate::router) const SCALE: i64 = 100;

/// Weights of the two versions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub stable: i64,
    pub canary: i64,
}

/// What both versions have together where they are alone in their rule: percent, or hundredths of it.
pub(super) fn whole(share: Percent) -> i64 {
    if share.hundredths().is_multiple_of(100) {
        100
    } else {
        10_000
    }
}

/// Splits what both versions have together.
pub(super) fn split(total: i64, share: Percent) -> Split {
    let total = total.max(0);
    // Rounded down: the canary never gets more than its share.
    let canary = i128::from(total) * i128::from(share.hundredths()) / 10_000;
    let canary = i64::try_from(canary).unwrap_or(total);
    Split {
        stable: total - canary,
        canary,
    }
}

/// The canary's share of both, rounded to a hundredth of a percent.
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
