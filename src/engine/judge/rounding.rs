//! Numbers that are the same before and after they were stored: what is remembered is rounded as it is written.

use serde::{Serialize, Serializer};

/// Greatest number of one input, and of one that has six decimals.
const MOST: f64 = 1e9;
/// Greatest sum: with its three decimals it is still exact in a double.
const GREATEST_SUM: f64 = 1e12;

/// A finite number from 0 to a billion; anything else that an input may hold is 0, or the greatest.
pub fn counted(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { round3(value.min(MOST)) }
}

/// To thousandths: counts, fractions of which come from interpolation.
pub fn round3(value: f64) -> f64 {
    (value.clamp(0.0, GREATEST_SUM) * 1e3).round() / 1e3
}

/// A moment in seconds since any fixed one, to thousandths.
pub fn round_moment(at: f64) -> f64 {
    if at.is_finite() {
        (at.clamp(-GREATEST_SUM, GREATEST_SUM) * 1e3).round() / 1e3
    } else {
        0.0
    }
}

/// To millionths: points and shares.
pub fn round6(value: f64) -> f64 {
    (value.clamp(0.0, MOST) * 1e6).round() / 1e6
}

/// A number whose text has no decimals when it has none.
#[derive(Clone, Copy)]
pub struct Number(pub f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[allow(clippy::cast_possible_truncation, reason = "whole and below 1e15")]
        if self.0.fract().abs() < f64::EPSILON && self.0.abs() < 1e15 {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

/// Writes a number as short as it is; for `serialize_with`.
pub fn number<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Number(*value).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_counts_nothing() {
        for (given, counted_as) in [
            (f64::NAN, 0.0),
            (-3.0, 0.0),
            (f64::INFINITY, 1e9),
            (1e15, 1e9),
            (12.400_049, 12.4),
        ] {
            assert!((counted(given) - counted_as).abs() < 1e-12, "{given}");
        }
    }

    #[test]
    fn a_rounded_number_is_the_same_after_it_was_stored() {
        let mut value = 0.123_456_789;
        while value < 1e9 {
            for rounded in [round3(value), round6(value)] {
                let text = serde_json::to_string(&Number(rounded)).unwrap();
                let read: f64 = serde_json::from_str(&text).unwrap();
                assert!(read.to_bits() == rounded.to_bits(), "{text}");
            }
            value *= 1.037;
        }
        assert_eq!(serde_json::to_string(&Number(750.0)).unwrap(), "750");
    }
}
