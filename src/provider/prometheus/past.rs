//! Long ago: many ticks from one reply, the values of an expression over time, and names of pods that were there.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{
    Question, Series, Value, counter, query,
    reply::{no_data, opened, unknown},
    window,
};
use crate::{
    api::{metric_source::MetricSourceSpec, status::Cause},
    provider::{NoData, Protocol},
};

/// More series are not told one from the other: an expression is to give one.
const MOST_SERIES: usize = 100;

/// What an expression gave over time: one list for each series, with seconds since the epoch and value, oldest first.
pub type Values = Vec<Vec<(f64, f64)>>;

/// What a reply over a longer time would have been to a tick: the samples that the tick's own queries ask for.
pub fn shown_to(spec: &MetricSourceSpec, question: &Question, value: &Value) -> Value {
    let Value::Matrix(all) = value else {
        return value.clone();
    };
    let end = counter::seconds(question.end);
    let start = end - window(spec, question).as_secs_f64();
    let shown = |series: &Series| {
        let from = series.samples.partition_point(|(at, _)| *at < start);
        let to = series.samples.partition_point(|(at, _)| *at <= end);
        let samples = series.samples.get(from..to).filter(|samples| !samples.is_empty())?;
        Some(Series {
            labels: series.labels.clone(),
            samples: samples.to_vec(),
        })
    };
    Value::Matrix(all.iter().filter_map(shown).collect())
}

/// A number, which is written as a text.
struct Text(f64);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

#[derive(Deserialize)]
struct Range {
    result: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    values: Vec<(f64, Text)>,
}

/// Reads the reply to a range query.
pub fn parse_values(code: u16, body: &[u8]) -> Result<Values, NoData> {
    let range = opened::<Range>(code, body)?.data.ok_or_else(unknown)?;
    let values = |one: One| one.values.into_iter().map(|(at, Text(value))| (at, value)).collect();
    Ok(range.result.into_iter().take(MOST_SERIES).map(values).collect())
}

/// The value of an expression at a moment: the newest one, which is not `step` seconds old. What is none has the causes that an answer
/// of that moment would have.
pub fn value_at(values: &Values, moment: Timestamp, step: f64) -> Value {
    let at = counter::seconds(moment);
    let newest = |one: &Vec<(f64, f64)>| {
        let until = one.partition_point(|(sampled, _)| *sampled <= at);
        let (sampled, value) = one.get(until.checked_sub(1)?)?;
        (at - sampled < step).then_some(*value)
    };
    Value::Vector(values.iter().filter_map(newest).collect())
}

/// A selector of the series of pods whose names match a regular expression, as Prometheus reads it: anchored, RE2.
pub fn ask_pod_names(spec: &MetricSourceSpec, namespace: &str, protocols: &[Protocol], pods: &str) -> String {
    query::of_pods_like(spec, namespace, protocols, pods)
}

/// Reads the values of a label.
pub fn parse_names(code: u16, body: &[u8]) -> Result<Vec<String>, NoData> {
    let names: Option<Vec<String>> = opened(code, body)?.data;
    names.ok_or_else(|| no_data(Cause::BadReply, "the reply has no values of a label"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::prometheus::reply::scalar;

    #[test]
    fn a_tick_is_shown_its_own_samples_alone() {
        let spec: MetricSourceSpec =
            serde_json::from_value(serde_json::json!({"prometheus": {"url": "http://a"}})).unwrap();
        let at = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
        let question = Question {
            start: at(100),
            end: at(115),
            ..super::super::recorded::question(Vec::new())
        };
        let samples = |from: u32, to: u32| Series {
            labels: [("from".to_owned(), from.to_string())].into(),
            samples: (from..to)
                .map(|n| (1_000_000.0 + f64::from(n) * 5.0, f64::from(n)))
                .collect(),
        };
        // Of 75 s: 15 s of the tick and four scrapes.
        let all = Value::Matrix(vec![samples(0, 40), samples(24, 40), samples(0, 7)]);
        let Value::Matrix(shown) = shown_to(&spec, &question, &all) else {
            panic!()
        };
        assert_eq!(shown.len(), 1);
        let (first, last) = (shown[0].samples.first().unwrap(), shown[0].samples.last().unwrap());
        assert_eq!((first.1, last.1), (8.0, 23.0));
    }

    #[test]
    fn a_value_is_the_newest_one_and_what_is_none_says_why() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[100,"-3"],[115,"NaN"],[130,"+Inf"],[145,"7.5"]]}]}}"#;
        let values = parse_values(200, body).unwrap();
        let at = |second: i64| scalar(&value_at(&values, Timestamp::from_second(second).unwrap(), 15.0));
        let cause = |second: i64| at(second).unwrap_err().cause;
        assert_eq!(
            (at(100).unwrap(), at(114).unwrap(), at(159).unwrap()),
            (-3.0, -3.0, 7.5)
        );
        assert_eq!(
            (cause(99), cause(115), cause(131), cause(160)),
            (Cause::Empty, Cause::NaN, Cause::Inf, Cause::Empty)
        );
        let twice = vec![values[0].clone(), values[0].clone()];
        let several = scalar(&value_at(&twice, Timestamp::from_second(100).unwrap(), 15.0));
        assert_eq!(several.unwrap_err().cause, Cause::SeveralSeries);
        assert_eq!(parse_values(503, b"").unwrap_err().cause, Cause::ProviderDown);
        assert_eq!(parse_values(200, b"<html>").unwrap_err().cause, Cause::BadReply);
    }

    #[test]
    fn names_of_pods_are_read_from_whole_replies_alone() {
        let names = parse_names(200, br#"{"status":"success","data":["a-1-x","a-1-y"]}"#).unwrap();
        assert_eq!(names, ["a-1-x", "a-1-y"]);
        let partial = br#"{"status":"success","data":["a"],"warnings":["store b does not answer"]}"#;
        assert_eq!(parse_names(200, partial).unwrap_err().cause, Cause::PartialReply);
        assert_eq!(parse_names(401, b"").unwrap_err().cause, Cause::Unauthorized);
        let spec: MetricSourceSpec = serde_json::from_value(
            serde_json::json!({"prometheus": {"url": "http://a"}, "matchers": {"cluster": "eu"}}),
        )
        .unwrap();
        let selector = ask_pod_names(&spec, "shop", &[Protocol::Http], r"catalog-\d+");
        let told = selector.contains(r#"namespace="shop",pod=~"catalog-\\d+",cluster="eu"}"#)
            && selector.contains("http_requests_total")
            && selector.contains("cache_requests_total");
        assert!(told, "{selector}");
    }
}
