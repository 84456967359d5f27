//! Lengths of time as kubectl writes ages, and times of day.

use jiff::{SignedDuration, Timestamp};

/// How long ago `at` was, such as `12m`; a moment to come is `0s`.
pub fn ago(now: Timestamp, at: Timestamp) -> String {
    length(now.duration_since(at))
}

/// A length of time, to one or two units: `45s`, `3m20s`, `47m`, `5h12m`, `3d`.
pub fn length(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0).unsigned_abs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |first: u64, unit: &str, second: u64, smaller: &str| match second {
        0 => format!("{first}{unit}"),
        second => format!("{first}{unit}{second}{smaller}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        _ => format!("{days}d"),
    }
}

/// A moment: the time of day, with the date unless it is today's.
pub fn clock(now: Timestamp, at: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
    if day(now) == day(at) {
        at.strftime("%H:%M:%SZ").to_string()
    } else {
        at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
    }
}

/// A moment to come, or one that is past: `14:00:05Z (in 3m)`.
pub fn until(now: Timestamp, at: Timestamp) -> String {
    let clock = clock(now, at);
    if at > now {
        format!("{clock} (in {})", length(at.duration_since(now)))
    } else {
        format!("{clock} ({} ago)", ago(now, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_as_kubectl_writes_them() {
        let written = |seconds| length(SignedDuration::from_secs(seconds));
        let ages = [
            -5, 0, 119, 120, 200, 600, 7_200, 10_920, 28_800, 172_800, 180_000, 900_000,
        ];
        assert_eq!(
            ages.map(written),
            [
                "0s", "0s", "119s", "2m", "3m20s", "10m", "120m", "3h2m", "8h", "2d", "2d2h", "10d"
            ]
        );
    }

    #[test]
    fn a_moment_of_another_day_has_its_date() {
        let at: Timestamp = "2027-01-15T08:00:00Z".parse().unwrap();
        let now = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(clock(now("2027-01-15T09:00:00Z"), at), "08:00:00Z");
        assert_eq!(until(now("2027-01-15T07:57:00Z"), at), "08:00:00Z (in 3m)");
        assert_eq!(until(now("2027-01-16T08:00:00Z"), at), "2027-01-15 08:00:00Z (24h ago)");
        assert_eq!(
            until(Timestamp::MIN, Timestamp::MAX),
            "9999-12-30 22:00:00Z (in 7304481d)"
        );
    }
}
