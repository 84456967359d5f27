//! The data of a reply, read as they come: of what is more than anybody needs nothing is kept.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    NoData,
    reply::{Series, is_remark, no_data},
};
use crate::api::status::Cause;

/// Most series that are read from one reply.
const MAX_SERIES: usize = 10_000;
/// Most samples, over all of them.
const MAX_SAMPLES: usize = 200_000;
/// Most labels of one, …
const MAX_LABELS: usize = 100;
/// … and over all of them: in memory each takes more than ten times its shortest text.
const MAX_LABELS_OF_ALL: usize = 100_000;
/// 2^53: above it a float no longer tells neighbouring integers apart.
const LARGEST_COUNT: f64 = 9_007_199_254_740_992.0;

fn too_many(limit: usize, what: &str) -> NoData {
    no_data(Cause::BadReply, format!("the reply has more than {limit} {what}"))
}

fn too_many_series() -> NoData {
    too_many(MAX_SERIES, "series")
}

/// A number, which is written as a text.
pub(super) struct Number(pub Result<f64, NoData>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text: Cow<'_, str> = Cow::deserialize(from)?;
        let number = text.parse();
        Ok(Self(
            number.map_err(|_| no_data(Cause::NotANumber, "the value is not a number")),
        ))
    }
}

/// Warnings or infos of a reply.
#[derive(Default)]
pub(super) struct Said {
    /// One of them is about data that are missing.
    pub of_data: bool,
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut said = Self::default();
        each(from, |text: Cow<'_, str>| said.of_data |= !is_remark(&text))?;
        Ok(said)
    }
}

/// One value of each series.
pub(super) struct Vector(pub Result<Vec<f64>, NoData>);

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Instant {
            value: (f64, Number),
        }
        let mut all = Ok(Vec::new());
        each(from, |one: Instant| {
            add(&mut all, one.value.1.0, MAX_SERIES, too_many_series);
        })?;
        Ok(Self(all))
    }
}

/// Adds to what is kept, until something is wrong.
fn add<T>(all: &mut Result<Vec<T>, NoData>, one: Result<T, NoData>, limit: usize, beyond: impl Fn() -> NoData) {
    let Ok(kept) = all else { return };
    match one {
        Ok(_) if kept.len() >= limit => *all = Err(beyond()),
        Ok(one) => kept.push(one),
        Err(error) => *all = Err(error),
    }
}

/// Hands on each element of a list, and keeps none.
fn each<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D, act: impl FnMut(T)) -> Result<(), D::Error> {
    struct Each<T, F>(F, std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Each<T, F> {
        type Value = ();

        fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
            to.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(one) = list.next_element()? {
                (self.0)(one);
            }
            Ok(())
        }
    }
    from.deserialize_seq(Each(act, std::marker::PhantomData))
}

/// Samples of all series.
pub(super) struct Matrix(pub Result<Vec<Series>, NoData>);

impl<'de> Deserialize<'de> for Matrix {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(MatrixVisitor)
    }
}

struct MatrixVisitor;

impl<'de> Visitor<'de> for MatrixVisitor {
    type Value = Matrix;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a list of series")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Matrix, A::Error> {
        let mut all = Ok(Vec::new());
        let mut left = Left {
            samples: MAX_SAMPLES,
            labels: MAX_LABELS_OF_ALL,
        };
        while let Some(one) = list.next_element_seed(One(&mut left))? {
            add(&mut all, one, MAX_SERIES, too_many_series);
            if all.is_err() {
                // The rest is read by nobody.
                while list.next_element::<IgnoredAny>()?.is_some() {}
            }
        }
        Ok(Matrix(all))
    }
}

/// What may still be read of a reply.
struct Left {
    samples: usize,
    labels: usize,
}

/// One series, as long as anything is left.
struct One<'a>(&'a mut Left);

impl<'de> DeserializeSeed<'de> for One<'_> {
    type Value = Result<Series, NoData>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for One<'_> {
    type Value = Result<Series, NoData>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a series")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let (mut labels, mut samples) = (None, Ok(Vec::new()));
        while let Some(field) = fields.next_key::<Cow<'_, str>>()? {
            match field.as_ref() {
                "metric" => labels = Some(fields.next_value::<Labels>()?.0),
                "values" => samples = fields.next_value_seed(Samples(&mut self.0.samples))?,
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        let labels = labels.ok_or_else(|| A::Error::missing_field("metric"))?;
        let mut samples = match samples {
            Ok(samples) => samples,
            Err(error) => return Ok(Err(error)),
        };
        samples.sort_by(|a: &(f64, f64), b| a.0.total_cmp(&b.0));
        Ok(labels.and_then(|labels| {
            let left = self.0.labels.checked_sub(labels.len());
            self.0.labels = left.ok_or_else(|| too_many(MAX_LABELS_OF_ALL, "labels"))?;
            Ok(Series { labels, samples })
        }))
    }
}

struct Labels(Result<BTreeMap<String, String>, NoData>);

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Labels;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Labels, A::Error> {
                let mut labels = BTreeMap::new();
                while let Some((name, value)) = fields.next_entry()? {
                    labels.insert(name, value);
                    if labels.len() > MAX_LABELS {
                        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                        return Ok(Labels(Err(too_many(MAX_LABELS, "labels in a series"))));
                    }
                }
                Ok(Labels(Ok(labels)))
            }
        }
        from.deserialize_map(All)
    }
}

/// Samples of one series, as long as any are left.
struct Samples<'a>(&'a mut usize);

impl<'de> DeserializeSeed<'de> for Samples<'_> {
    type Value = Result<Vec<(f64, f64)>, NoData>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        let (mut all, left) = (Ok(Vec::new()), *self.0);
        each(from, |(at, Number(number)): (f64, Number)| {
            if let Some(sample) = number.and_then(count).transpose() {
                let sample = sample.map(|count| (at, count));
                add(&mut all, sample, left, || too_many(MAX_SAMPLES, "samples"));
            }
        })?;
        if let Ok(all) = &all {
            *self.0 = left.saturating_sub(all.len());
        }
        Ok(all)
    }
}

/// What a counter says; nothing where there was no sample.
fn count(value: f64) -> Result<Option<f64>, NoData> {
    match value {
        // A staleness marker.
        value if value.is_nan() => Ok(None),
        value if value.is_infinite() || value > LARGEST_COUNT => {
            Err(no_data(Cause::Inf, "a counter is larger than can be counted"))
        }
        value if value < 0.0 => Err(no_data(Cause::NotANumber, "a counter is negative")),
        value => Ok(Some(value)),
    }
}

#[cfg(test)]
mod tests;
