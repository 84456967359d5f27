//! The trace of a release: what a picture of it shows, in few points however long it takes.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::Percent;

/// Most points of one release. When there are so many, every second one goes.
pub const MOST_POINTS: usize = 64;

/// One point of a release's trace. Its names are short because there are many of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TracePoint {
    /// When, to the second.
    pub t: Timestamp,
    /// Weight of the new version, as the gateway has confirmed it.
    pub w: Percent,
    /// Hit ratio of the new version in the last minute, in percent, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub h: Option<f64>,
    /// Share of the new version's requests that failed in the last minute, in percent, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub e: Option<f64>,
    /// Time to answer of the new version in the last minute, at the check's quantile, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub l: Option<f64>,
    /// Hit ratio of the old version, in percent, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub bh: Option<f64>,
    /// Share of the old version's requests that failed, in percent, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub be: Option<f64>,
    /// Time to answer of the old version, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub bl: Option<f64>,
}

impl TracePoint {
    /// A point without figures. Fractions of the second are left out.
    pub fn new(at: Timestamp, weight: Percent) -> Self {
        Self {
            t: Timestamp::from_second(at.as_second()).unwrap_or(at),
            w: weight,
            h: None,
            e: None,
            l: None,
            bh: None,
            be: None,
            bl: None,
        }
    }
}

/// A share, 0 to 1, as percent with two decimals; nothing if it is no number.
pub fn share(share: f64) -> Option<f64> {
    share
        .is_finite()
        .then(|| (share.clamp(0.0, 1.0) * 10_000.0).round() / 100.0)
}

/// Seconds as milliseconds with one decimal, at most a day of them; nothing if it is no number.
pub fn milliseconds(seconds: f64) -> Option<f64> {
    seconds
        .is_finite()
        .then(|| (seconds.clamp(0.0, 86_400.0) * 10_000.0).round() / 10.0)
}

/// Adds a point, if it is later than the last one. Points lie about as far apart as those that are left of a full trace: one
/// that comes sooner takes the place of the last, so that the newest is always there. A change of the weight is never crowded out.
pub fn add(trace: &mut Vec<TracePoint>, point: TracePoint) {
    if let Some(last) = trace.last_mut().filter(|last| last.t == point.t) {
        last.w = point.w;
        return;
    }
    if trace.last().is_some_and(|last| point.t < last.t) {
        return;
    }
    if let (Some(first), [.., before, last]) = (trace.first().copied(), trace.as_mut_slice()) {
        let span = point.t.duration_since(first.t).as_secs();
        let near = last.t.duration_since(before.t).as_secs();
        let apart = i64::try_from(MOST_POINTS).ok().and_then(|most| span.checked_div(most));
        let apart = apart.unwrap_or_default();
        if near < apart && last.w == before.w && point.w == last.w {
            *last = point;
            return;
        }
    }
    if trace.len() >= MOST_POINTS {
        thin(trace);
    }
    trace.push(point);
}

/// Leaves every second point, the first among them.
pub(super) fn thin(trace: &mut Vec<TracePoint>) {
    let mut even = false;
    trace.retain(|_| {
        even = !even;
        even
    });
}

/// Takes the traces out of a copy of a status that is quiet: they are most of what it weighs.
pub fn leave_out(status: &mut Value) {
    if !is_quiet(status) {
        return;
    }
    let run = status.get_mut("run").and_then(Value::as_object_mut);
    run.map(|run| run.remove("trace"));
    for entry in status
        .get_mut("history")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        entry.as_object_mut().map(|entry| entry.remove("trace"));
    }
}

/// Nothing is under way, and nothing of the last release is waited for: the traces are not needed to decide anything. Asked of the text
/// of a status, which need not be one that this version can read.
pub fn is_quiet(status: &Value) -> bool {
    let none = |list: &str| status.get(list).and_then(Value::as_array).is_none_or(Vec::is_empty);
    let phase = status.get("phase").and_then(Value::as_str).unwrap_or_default();
    matches!(phase, "Idle" | "Succeeded" | "RolledBack") && none("kept") && none("draining")
}

/// Puts back into `sent`, which rests on a copy without traces, those of the `stored` status, as far as it still tells of their
/// releases: of the last one and of the one before.
pub fn put_back(sent: &mut Value, stored: &Value) {
    let number = |status: &Value| status.pointer("/run/number").and_then(Value::as_i64);
    let (last, now) = (number(stored), number(sent));
    if last.is_some() && last == now {
        let mut points = points(stored.get("run"));
        let newer = self::points(sent.get("run"));
        let end = points.last().cloned().unwrap_or_default();
        points.extend(newer.into_iter().filter(|point| at(point) > at(&end)));
        while points.len() > MOST_POINTS {
            let kept = points.into_iter().step_by(2);
            points = kept.collect();
        }
        set(sent.get_mut("run"), points);
        for entry in stored.get("history").and_then(Value::as_array).into_iter().flatten() {
            set(
                entry_of(sent, entry.get("run").and_then(Value::as_i64)),
                self::points(Some(entry)),
            );
        }
    } else {
        set(entry_of(sent, last), points(stored.get("run")));
    }
}

fn points(of: Option<&Value>) -> Vec<Value> {
    let trace = of.and_then(|of| of.get("trace")).and_then(Value::as_array);
    trace.cloned().unwrap_or_default()
}

fn at(point: &Value) -> Option<Timestamp> {
    point.get("t").and_then(Value::as_str)?.parse().ok()
}

fn entry_of(status: &mut Value, run: Option<i64>) -> Option<&mut Value> {
    let history = status.get_mut("history").and_then(Value::as_array_mut)?;
    history
        .iter_mut()
        .find(|entry| run.is_some() && entry.get("run").and_then(Value::as_i64) == run)
}

fn set(of: Option<&mut Value>, points: Vec<Value>) {
    if let Some(fields) = of.and_then(Value::as_object_mut).filter(|_| !points.is_empty()) {
        fields.insert("trace".to_owned(), Value::Array(points));
    }
}

#[cfg(test)]
mod tests;
