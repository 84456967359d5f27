//! Moments on the command line.

use std::str::FromStr;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::api::{Duration, moment::Moment as _};

/// A moment as people write it: a time, or so long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// This one.
    At(Timestamp),
    /// So long before now.
    Ago(Duration),
}

impl When {
    /// The moment, where it is `now`.
    pub fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(length) => now.minus(length.signed()),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(moment) = text.parse() {
            return Ok(Self::At(moment));
        }
        // A time or a date without a zone is UTC's, as in Prometheus.
        let civil = text.parse::<DateTime>().ok();
        if let Some(zoned) = civil.and_then(|civil| civil.to_zoned(TimeZone::UTC).ok()) {
            return Ok(Self::At(zoned.timestamp()));
        }
        text.parse().map(Self::Ago).map_err(|_| {
            format!("`{text}` is no time: write 2026-11-24T14:00:00Z, 2026-11-24 (UTC), or how long ago, such as 168h")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_dates_and_lengths_of_time_are_read() {
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        for (text, moment) in [
            ("2026-11-20T10:30:00Z", "2026-11-20T10:30:00Z"),
            ("2026-11-20T10:30:00+02:00", "2026-11-20T08:30:00Z"),
            ("2026-11-20T10:30", "2026-11-20T10:30:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("36h", "2026-11-23T00:00:00Z"),
        ] {
            let read: When = text.parse().unwrap();
            assert_eq!(read.moment(now).to_string(), moment, "{text}");
        }
        for text in ["", "yesterday", "7d", "-3h"] {
            let told = text.parse::<When>().unwrap_err();
            assert!(told.contains("is no time: write"), "{told}");
        }
    }
}
