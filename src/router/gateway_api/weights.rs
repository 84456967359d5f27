//! Whole-number weights that split a share exactly.

use crate::api::Percent;

/// Beside other backends every weight is multiplied by this, so that shares stay exact.
pub(super) const SCALE: i64 = 100;

/// Weights of the two versions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split {
    pub stable: i64,
    pub canary: i64,
}

/// Splits what the stable Service had between the two versions.
///
/// Alone in its rule, the weights are percent (or hundredths of it); beside other backends they are
/// the stable Service's own weight times 100, so that the others keep their proportion.
pub(super) fn split(found: i64, share: Percent, alone: bool) -> Split {
    let hundredths = i64::from(share.hundredths());
    if alone {
        let whole = hundredths % 100 == 0;
        let (total, canary) = if whole { (100, hundredths / 100) } else { (10_000, hundredths) };
        return Split { stable: total - canary, canary };
    }
    let total = found.max(0).saturating_mul(SCALE);
    // Rounded down: the canary never gets more than its share.
    let canary = total.saturating_mul(hundredths) / 10_000;
    Split { stable: total - canary, canary }
}

/// The canary's share of both, rounded to a hundredth of a percent. An absent weight counts 1.
pub(super) fn share(stable: Option<i64>, canary: Option<i64>) -> Percent {
    let (stable, canary) = (i128::from(stable.unwrap_or(1).max(0)), i128::from(canary.unwrap_or(1).max(0)));
    let total = stable + canary;
    if total == 0 {
        return Percent::ZERO;
    }
    let hundredths = (canary * 10_000 + total / 2) / total;
    u32::try_from(hundredths).ok().and_then(|hundredths| Percent::from_hundredths(hundredths).ok()).unwrap_or(Percent::FULL)
}
