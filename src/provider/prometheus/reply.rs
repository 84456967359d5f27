//! Reading replies of Prometheus' query API: every way in which one is no number has its own cause.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::NoData;
use crate::api::status::Cause;

/// Most series that are read from one reply.
const MAX_SERIES: usize = 20_000;
/// 2^53: above it a float no longer tells neighbouring integers apart.
const LARGEST_COUNT: f64 = 9_007_199_254_740_992.0;

/// Raw samples of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels, its name among them.
    pub labels: BTreeMap<String, String>,
    /// Seconds since the epoch, and value; oldest first.
    pub samples: Vec<(f64, f64)>,
}

impl Series {
    /// A label's value, empty where it is absent.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// What a query gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Raw samples, by series.
    Matrix(Vec<Series>),
    /// One value per series.
    Vector(Vec<f64>),
    /// One value.
    Scalar(f64),
    /// A text.
    Text,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
    /// VictoriaMetrics: some of its storage nodes did not answer.
    #[serde(default)]
    is_partial: bool,
}

/// What stands in the reply to a query that failed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Failure {
    error: String,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Matrix(Vec<Ranged>),
    Vector(Vec<Instant>),
    Scalar((f64, String)),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Ranged {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

#[derive(Deserialize)]
struct Instant {
    value: (f64, String),
}

fn no_data(cause: Cause, message: impl Into<String>) -> NoData {
    NoData {
        cause,
        message: message.into(),
    }
}

/// Numbers are written as texts.
fn number(text: &str) -> Result<f64, NoData> {
    text.parse()
        .map_err(|_| no_data(Cause::NotANumber, "the value is not a number"))
}

/// What a status code says against a reply, if anything.
fn refusal(code: u16, body: &[u8]) -> Option<NoData> {
    let (cause, why) = match code {
        200..=299 => return None,
        401 | 403 => (Cause::Unauthorized, ": it refuses us"),
        422 if is_unread(body) => (
            Cause::PartialReply,
            ": it cannot read all the series of the query: a store behind it does not answer, or the query exceeds a limit of it",
        ),
        400 | 422 => (Cause::BadQuery, ": it refuses the query"),
        300..=399 => (Cause::BadReply, ": redirects are not followed, name the final address"),
        _ => (Cause::ProviderDown, ""),
    };
    Some(no_data(cause, format!("Prometheus answered {code}{why}")))
}

/// Whether a query failed because series could not be read, as Thanos says it when a store behind it is down: nothing is wrong
/// with the query itself. The engine puts these words in front of what the storage says.
fn is_unread(body: &[u8]) -> bool {
    let failure: Failure = serde_json::from_slice(body).unwrap_or_default();
    failure.error.starts_with("expanding series: ")
}

/// Whether a warning is the engine's own remark about the expression. All others are about data: Thanos names a store that it
/// could not read, Prometheus a remote one.
fn is_remark(warning: &str) -> bool {
    let about_expression = ["PromQL info: ", "PromQL warning: "];
    // Long lists of remarks end so.
    let omitted = warning.split_once(" more ").is_some_and(|(count, what)| {
        let what = what.trim_start_matches("warning ").trim_start_matches("info ");
        count.parse::<u32>().is_ok() && what == "annotations omitted"
    });
    omitted || about_expression.iter().any(|remark| warning.starts_with(remark))
}

/// Reads a reply by its status code and body. The body never reaches a message.
pub fn parse(code: u16, body: &[u8]) -> Result<Value, NoData> {
    if let Some(refusal) = refusal(code, body) {
        return Err(refusal);
    }
    let envelope: Envelope = serde_json::from_slice(body)
        .map_err(|_| no_data(Cause::BadReply, "the reply is not that of Prometheus' query API"))?;
    if envelope.status != "success" {
        return Err(no_data(Cause::BadQuery, "Prometheus reports an error in the query"));
    }
    let said = envelope.warnings.iter().chain(&envelope.infos);
    if envelope.is_partial || said.into_iter().any(|text| !is_remark(text)) {
        return Err(no_data(
            Cause::PartialReply,
            "the store warns that its reply is not complete: one of the stores behind it does not answer; ask it the same query to see which",
        ));
    }
    match envelope
        .data
        .ok_or_else(|| no_data(Cause::BadReply, "the reply has no data"))?
    {
        Data::Matrix(series) if series.len() > MAX_SERIES => Err(no_data(
            Cause::BadReply,
            format!("the reply has more than {MAX_SERIES} series"),
        )),
        Data::Matrix(series) => series
            .into_iter()
            .map(ranged)
            .collect::<Result<_, _>>()
            .map(Value::Matrix),
        Data::Vector(values) => values
            .iter()
            .map(|one| number(&one.value.1))
            .collect::<Result<_, _>>()
            .map(Value::Vector),
        Data::Scalar((_, text)) => number(&text).map(Value::Scalar),
        Data::String(_) => Ok(Value::Text),
    }
}

fn ranged(series: Ranged) -> Result<Series, NoData> {
    let mut samples = Vec::with_capacity(series.values.len());
    for (at, text) in series.values {
        let value = number(&text)?;
        if value.is_nan() {
            continue; // A staleness marker: there was no sample.
        }
        if value.is_infinite() || value > LARGEST_COUNT {
            return Err(no_data(Cause::Inf, "a counter is larger than can be counted"));
        }
        if value < 0.0 {
            return Err(no_data(Cause::NotANumber, "a counter is negative"));
        }
        samples.push((at, value));
    }
    samples.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(Series {
        labels: series.metric,
        samples,
    })
}

/// Raw samples, where they were asked for.
pub(super) fn matrix(value: &Value) -> Result<Vec<Series>, NoData> {
    match value {
        Value::Matrix(series) => Ok(series.clone()),
        _ => Err(no_data(
            Cause::BadReply,
            "the store gives no raw samples for a range selector",
        )),
    }
}

/// One number, where one was asked for.
pub(super) fn scalar(value: &Value) -> Result<f64, NoData> {
    let one = match value {
        Value::Scalar(one) => *one,
        Value::Vector(values) => match values.as_slice() {
            [] => return Err(no_data(Cause::Empty, "the query gives no series")),
            [one] => *one,
            several => {
                return Err(no_data(
                    Cause::SeveralSeries,
                    format!("the query gives {} series where one is asked for", several.len()),
                ));
            }
        },
        Value::Matrix(_) => {
            return Err(no_data(
                Cause::SeveralSeries,
                "the query gives a range of samples: wrap it into a function such as rate()",
            ));
        }
        Value::Text => return Err(no_data(Cause::NotANumber, "the query gives a text")),
    };
    match one {
        one if one.is_nan() => Err(no_data(Cause::NaN, "the query gives NaN")),
        one if one.is_infinite() => Err(no_data(Cause::Inf, "the query gives an infinite value")),
        one => Ok(one),
    }
}
