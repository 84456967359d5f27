//! Durations as people write them on a command line: `90`, `90s`, `15m`, `24h`, `250ms`.

use std::time::Duration;

/// Reads a duration; a bare number is seconds.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let refused = || format!("`{text}` is not a duration such as `90`, `90s`, `15m`, `24h` or `250ms`");
    let number: u64 = number.parse().map_err(|_| refused())?;
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(refused()),
    };
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations() {
        let millis = |text| super::parse(text).map(|duration| duration.as_millis());
        for (text, expected) in [
            ("90", 90_000),
            ("90s", 90_000),
            ("15m", 900_000),
            ("24h", 86_400_000),
            ("250ms", 250),
        ] {
            assert_eq!(millis(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "s",
            "-1s",
            "1.5s",
            "1d",
            "99999999999999999999",
            "18446744073709551615h",
        ] {
            assert!(millis(text).is_err(), "{text}");
        }
    }
}
