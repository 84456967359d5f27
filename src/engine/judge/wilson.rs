//! How small and how great a true share may be of which some were counted: Wilson's bounds, each right in 95 of 100 cases.
//!
//! Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference (1927).

use super::tick::Count;

/// The normal quantile of 95%.
pub const Z: f64 = 1.644_853_627_0;

/// Least true share of bad ones that goes with the count.
pub fn lower(count: Count) -> f64 {
    bound(count, -1.0).unwrap_or(0.0)
}

/// Greatest true share of bad ones that goes with the count.
pub fn upper(count: Count) -> f64 {
    bound(count, 1.0).unwrap_or(1.0)
}

fn bound(Count { bad, total }: Count, sign: f64) -> Option<f64> {
    if total <= 0.0 {
        return None;
    }
    let share = bad / total;
    let spread = (share * (1.0 - share) / total + Z * Z / (4.0 * total * total)).max(0.0);
    let bound = (share + Z * Z / (2.0 * total) + sign * Z * spread.sqrt()) / (1.0 + Z * Z / total);
    Some(bound.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        for (bad, total, least, most) in [
            (2.0, 750.0, 0.000_883, 0.008_026),
            (0.0, 268.0, 0.0, 0.009_994),
            (0.0, 27.0, 0.0, 0.091_079),
            (0.0, 0.0, 0.0, 1.0),
        ] {
            let count = Count { bad, total };
            assert!((lower(count) - least).abs() < 1e-6, "{count:?} {}", lower(count));
            assert!((upper(count) - most).abs() < 1e-6, "{count:?} {}", upper(count));
        }
    }
}
