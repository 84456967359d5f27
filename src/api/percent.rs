//! A share in percent, as users write it: `5`, `"5%"` or `"0.5%"`.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A share between 0% and 100%, exact to a hundredth of a percent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Percent(u16);

/// The text that is not a [`Percent`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a percentage: write a number from 0 to 100 with at most two decimals, such as 5 or \"0.5%\"")]
pub struct PercentError(String);

impl Percent {
    /// 0%.
    pub const ZERO: Self = Self(0);
    /// The smallest share above 0% that can be written: 0.01%.
    pub const LEAST: Self = Self(1);
    /// 100%.
    pub const FULL: Self = Self(10_000);

    /// So many hundredths of a percent; an error above 10,000.
    pub fn from_hundredths(hundredths: u32) -> Result<Self, PercentError> {
        match u16::try_from(hundredths) {
            Ok(value) if value <= Self::FULL.0 => Ok(Self(value)),
            _ => Err(PercentError(format!("{hundredths}/100"))),
        }
    }

    /// The same in hundredths of a percent, 0 to 10,000.
    pub fn hundredths(self) -> u32 {
        u32::from(self.0)
    }

    /// The same as a fraction, 0.0 to 1.0.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// The rest to 100%.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(Self::FULL.0 - self.0)
    }

    /// This share of `count`, rounded up: pods for a weight are never too few.
    pub fn ceil_of(self, count: u32) -> u32 {
        let exact = u64::from(self.0) * u64::from(count);
        u32::try_from(exact.div_ceil(10_000)).unwrap_or(count)
    }
}

impl FromStr for Percent {
    type Err = PercentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PercentError(text.to_owned());
        let digits = text.strip_suffix('%').unwrap_or(text);
        let (whole, decimals) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || decimals.len() > 2 || whole.len() > 3 {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let scale = if decimals.len() == 1 { 10 } else { 1 };
        let decimals: u32 = decimals.parse().map_err(|_| wrong())?;
        Self::from_hundredths(whole * 100 + decimals * scale).map_err(|_| wrong())
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match rest {
            0 => write!(f, "{whole}%"),
            _ if rest % 10 == 0 => write!(f, "{whole}.{}%", rest / 10),
            _ => write!(f, "{whole}.{rest:02}%"),
        }
    }
}

impl fmt::Debug for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Percent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Percent;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percentage such as 5 or \"0.5%\"")
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Percent, E> {
                value.to_string().parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Percent, E> {
                value.to_string().parse().map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Percent, E> {
                value.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Percent {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percent".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // An integer or a string: `minimum` and `maximum` apply to integers only, the other limits to strings only. The
        // API server takes such a string for one of any length: in a list, `matches` would exceed its budget for rules.
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "minimum": 0,
            "maximum": 100,
            "maxLength": 16,
            "pattern": r"^(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)%$",
            "x-kubernetes-validations": [{
                "rule": "type(self) == int || self.endsWith('%')",
                "message": "a percentage is a whole number from 0 to 100, such as 5, or a text with at most two decimals and %, such as \"0.5%\"",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_users_write() {
        for (text, hundredths) in [
            ("5", 500),
            ("5%", 500),
            ("0.5%", 50),
            ("12.34%", 1234),
            ("100%", 10_000),
            ("0%", 0),
        ] {
            assert_eq!(
                text.parse::<Percent>().map(Percent::hundredths),
                Ok(hundredths),
                "{text}"
            );
        }
        for text in [
            "", "%", "-1%", "101%", "100.01%", "1.234%", "1e2", "5 %", "+5", ".5%", "5.%",
        ] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
    }

    #[test]
    fn prints_what_it_reads() {
        for hundredths in 0..=10_000 {
            let percent = Percent::from_hundredths(hundredths).unwrap();
            assert_eq!(percent.to_string().parse(), Ok(percent));
        }
    }

    #[test]
    fn json_takes_integers_and_strings() {
        assert_eq!(serde_json::from_str::<Percent>("5").unwrap(), "5%".parse().unwrap());
        assert_eq!(serde_json::from_str::<Percent>("\"0.5%\"").unwrap().hundredths(), 50);
        assert!(serde_json::from_str::<Percent>("101").is_err());
        assert!(serde_json::from_str::<Percent>("2.5").is_err());
    }

    #[test]
    fn capacity_is_rounded_up() {
        let five: Percent = "5%".parse().unwrap();
        assert_eq!(
            (five.ceil_of(4), five.ceil_of(20), five.ceil_of(21), five.ceil_of(0)),
            (1, 1, 2, 0)
        );
        assert_eq!(Percent::FULL.ceil_of(7), 7);
    }
}
