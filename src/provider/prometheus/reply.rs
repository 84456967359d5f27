//! Reading replies of Prometheus' query API: every way in which one is no number has its own cause.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    NoData,
    data::{Matrix, Number, Said, Vector},
};
use crate::api::status::Cause;

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

/// What a label takes in its map, with what an allocator adds to its two texts.
const LABEL: usize = 112;

/// What a reply takes in memory at most once it is read: each label of it has a colon, and each sample a bracket.
pub fn bytes_at_most(body: &[u8]) -> usize {
    let count = |of: u8| body.iter().map(|byte| usize::from(*byte == of)).sum::<usize>();
    body.len() + count(b':') * LABEL + count(b'[') * 2 * size_of::<(f64, f64)>() + count(b'{') * size_of::<Series>()
}

impl Value {
    /// Roughly what it takes in memory.
    pub fn bytes(&self) -> usize {
        let of_series = |series: &Series| {
            let texts: usize = series.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
            size_of::<Series>() + series.labels.len() * LABEL + texts + size_of_val(series.samples.as_slice())
        };
        match self {
            Self::Matrix(series) => series.iter().map(of_series).sum(),
            Self::Vector(values) => size_of_val(values.as_slice()),
            Self::Scalar(_) | Self::Text => 0,
        }
    }
}

/// What stands around the data.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound = "T: Deserialize<'de>")]
pub(super) struct Envelope<T> {
    status: String,
    #[serde(default)]
    pub data: Option<T>,
    #[serde(default)]
    warnings: Said,
    #[serde(default)]
    infos: Said,
    /// VictoriaMetrics: some of its storage nodes did not answer.
    #[serde(default)]
    is_partial: bool,
}

/// What the data are. They are read once this is known, wherever it stands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Type {
    result_type: String,
}

/// What stands in the reply to a query that failed.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Failure {
    error: String,
}

pub(super) fn no_data(cause: Cause, message: impl Into<String>) -> NoData {
    NoData {
        cause,
        message: message.into(),
    }
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
pub(super) fn is_remark(warning: &str) -> bool {
    let about_expression = ["PromQL info: ", "PromQL warning: "];
    // Long lists of remarks end so.
    let omitted = warning.split_once(" more ").is_some_and(|(count, what)| {
        let what = what.trim_start_matches("warning ").trim_start_matches("info ");
        count.parse::<u32>().is_ok() && what == "annotations omitted"
    });
    omitted || about_expression.iter().any(|remark| warning.starts_with(remark))
}

pub(super) fn unknown() -> NoData {
    no_data(Cause::BadReply, "the reply is not that of Prometheus' query API")
}

/// Reads a reply by its status code and body. The body never reaches a message.
pub fn parse(code: u16, body: &[u8]) -> Result<Value, NoData> {
    let envelope: Envelope<Type> = opened(code, body)?;
    let data = envelope
        .data
        .ok_or_else(|| no_data(Cause::BadReply, "the reply has no data"))?;
    match data.result_type.as_str() {
        "matrix" => result::<Matrix>(body)?.0.map(Value::Matrix),
        "vector" => result::<Vector>(body)?.0.map(Value::Vector),
        "scalar" => result::<(f64, Number)>(body)?.1.0.map(Value::Scalar),
        "string" => Ok(Value::Text),
        _ => Err(unknown()),
    }
}

/// What stands around the data of a reply that is one, and complete.
pub(super) fn opened<'a, T: Deserialize<'a>>(code: u16, body: &'a [u8]) -> Result<Envelope<T>, NoData> {
    if let Some(refusal) = refusal(code, body) {
        return Err(refusal);
    }
    let envelope: Envelope<T> = serde_json::from_slice(body).map_err(|_| unknown())?;
    if envelope.status != "success" {
        return Err(no_data(Cause::BadQuery, "Prometheus reports an error in the query"));
    }
    if envelope.is_partial || envelope.warnings.of_data || envelope.infos.of_data {
        return Err(no_data(
            Cause::PartialReply,
            "the store warns that its reply is not complete: one of the stores behind it does not answer; ask it the same query to see which",
        ));
    }
    Ok(envelope)
}

/// The data of a reply.
fn result<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, NoData> {
    #[derive(Deserialize)]
    struct Reply<T> {
        data: Data<T>,
    }
    #[derive(Deserialize)]
    struct Data<T> {
        result: T,
    }
    let reply: Result<Reply<T>, _> = serde_json::from_slice(body);
    reply.map(|reply| reply.data.result).map_err(|_| unknown())
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
