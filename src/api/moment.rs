//! Arithmetic on times: the only door to it, and it never panics. What is out of range stays at the end of the range.
//!
//! jiff's `+` and `-` panic on overflow, and times and lengths come from specs and statuses, which anybody may write. A lint refuses
//! them (`arithmetic_side_effects`, see `clippy.toml`), and `tests/layers` the constructors that panic.

use jiff::{SignedDuration, Timestamp};

/// A moment that lies so long after, or before, another one.
pub trait Moment {
    /// So long after this one; at most the last moment that there is.
    #[must_use]
    fn plus(self, length: SignedDuration) -> Self;
    /// So long before this one; at least the first moment that there is.
    #[must_use]
    fn minus(self, length: SignedDuration) -> Self;
}

impl Moment for Timestamp {
    fn plus(self, length: SignedDuration) -> Self {
        let end = if length.is_negative() { Self::MIN } else { Self::MAX };
        self.checked_add(length).unwrap_or(end)
    }

    fn minus(self, length: SignedDuration) -> Self {
        let end = if length.is_negative() { Self::MAX } else { Self::MIN };
        self.checked_sub(length).unwrap_or(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_stays_at_its_end() {
        let moments = [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX];
        let lengths = [
            SignedDuration::MIN,
            SignedDuration::from_secs(-1),
            SignedDuration::ZERO,
            SignedDuration::MAX,
        ];
        for (moment, length) in moments
            .into_iter()
            .flat_map(|moment| lengths.map(|length| (moment, length)))
        {
            let (plus, minus) = (moment.plus(length), moment.minus(length));
            if length.is_negative() {
                assert!(plus <= moment && minus >= moment, "{moment} {length}");
            } else {
                assert!(plus >= moment && minus <= moment, "{moment} {length}");
            }
        }
        assert_eq!(Timestamp::UNIX_EPOCH.plus(SignedDuration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::UNIX_EPOCH.minus(SignedDuration::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::UNIX_EPOCH.plus(SignedDuration::from_secs(5)).as_second(), 5);
    }
}
