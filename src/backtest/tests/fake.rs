//! A small Prometheus for tests: made-up series, and as much of its API and its language as is asked here.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "made-up counts and seconds of two days"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Form, Router,
    extract::{RawQuery, State},
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::simulate::world::chance::Chance;

/// 2026-11-23T00:00:00Z, a Monday.
pub const MONDAY: i64 = 1_795_392_000;
/// Seconds between two scrapes.
pub const SCRAPE: i64 = 15;
pub const HOUR: i64 = 3_600;

/// One series: seconds after Monday began, and value.
#[derive(Clone)]
pub struct Made {
    pub labels: BTreeMap<String, String>,
    pub samples: Vec<(i64, f64)>,
}

/// What a store keeps, and how it was asked.
#[derive(Default)]
pub struct Kept {
    pub series: Vec<Made>,
    /// A query of more samples is refused, unless this is 0.
    pub most_samples: usize,
    pub asked: AtomicUsize,
    pub now: AtomicUsize,
    pub most_at_once: AtomicUsize,
}

/// A pod, and what happens to it. Times are in seconds after Monday began.
pub struct Pod<'a> {
    pub name: &'a str,
    pub from: i64,
    pub to: i64,
    /// Requests in a scrape's time, on average.
    pub requests: f64,
    /// Share that fails at a moment.
    pub errors: &'a dyn Fn(i64) -> f64,
    /// Its process begins anew at this moment.
    pub restart: Option<i64>,
    /// Nothing is scraped in this time.
    pub gap: std::ops::Range<i64>,
}

impl Default for Pod<'_> {
    fn default() -> Self {
        Self {
            name: "",
            from: -2 * HOUR,
            to: 48 * HOUR,
            requests: 750.0,
            errors: &|_| 0.001,
            restart: None,
            gap: 0..0,
        }
    }
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let all = [("namespace", "shop"), ("job", "pods")];
    let pairs = all.iter().chain(pairs);
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

impl Pod<'_> {
    /// Its series, by chance, which is that of its name; and how many requests it was sent in each scrape, and how many failed.
    pub fn series(&self) -> (Vec<Made>, BTreeMap<i64, (f64, f64)>) {
        let seed = self
            .name
            .bytes()
            .fold(7, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte));
        let mut chance = Chance::new(seed, 0);
        let named = |metric: &str, code: &str| Made {
            labels: labels(&[
                ("__name__", metric),
                ("pod", self.name),
                ("instance", self.name),
                ("code", code),
            ]),
            samples: Vec::new(),
        };
        let (mut good, mut bad) = (named("http_requests_total", "200"), named("http_requests_total", "500"));
        let mut up = named("up", "");
        up.labels.remove("code");
        let (mut sums, mut sent) = ((0.0, 0.0), BTreeMap::new());
        let mut at = self.from + i64::try_from(seed % 13).unwrap();
        while at < self.to {
            if self
                .restart
                .is_some_and(|restart| (restart..restart + SCRAPE).contains(&at))
            {
                sums = (0.0, 0.0);
            }
            let all = chance.poisson(self.requests);
            let failed = chance.binomial(all, (self.errors)(at)) as f64;
            sums = (sums.0 + all as f64 - failed, sums.1 + failed);
            sent.insert(at, (all as f64, failed));
            if !self.gap.contains(&at) {
                good.samples.push((at, sums.0));
                bad.samples.push((at, sums.1));
                up.samples.push((at, 1.0));
            }
            at += SCRAPE;
        }
        (vec![good, bad, up], sent)
    }
}

/// A gauge without labels besides its name.
pub fn gauge(name: &str, value: impl Fn(i64) -> f64) -> Made {
    let samples = (-2 * HOUR..48 * HOUR).step_by(15).map(|at| (at, value(at)));
    Made {
        labels: labels(&[("__name__", name)]),
        samples: samples.collect(),
    }
}

/// Whether a name matches one of the alternatives of a pattern: as much of RE2 as is asked.
fn matches(pattern: &str, text: &str) -> bool {
    const LETTERS: &str = "[a-z0-9]+";
    fn one(pattern: &str, text: &str) -> bool {
        match pattern.split_once(LETTERS) {
            None => pattern == text,
            Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
                let letters = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
                (1..=letters).any(|count| one(after, &rest[count..]))
            }),
        }
    }
    pattern
        .replace('\\', "")
        .split('|')
        .any(|alternative| one(alternative, text))
}

/// Whether a selector `name{label="…",label=~"…"}` finds a series.
fn finds(selector: &str, series: &Made) -> bool {
    let (name, rest) = selector.split_once('{').unwrap_or((selector, "}"));
    let label = |name: &str| series.labels.get(name).map(String::as_str).unwrap_or_default();
    let conditions = rest
        .trim_end_matches('}')
        .split("\",")
        .filter(|condition| !condition.is_empty());
    (name.is_empty() || label("__name__") == name)
        && conditions.into_iter().all(|condition| {
            let (name, value) = condition.split_once('=').unwrap();
            match value.strip_prefix('~') {
                Some(pattern) => matches(pattern.trim_matches('"'), label(name)),
                None => value.trim_matches('"') == label(name),
            }
        })
}

fn seconds(form: &BTreeMap<String, String>, name: &str) -> f64 {
    let moment: jiff::Timestamp = form[name].parse().unwrap();
    moment.as_millisecond() as f64 / 1_000.0 - MONDAY as f64
}

fn matrix(all: impl Iterator<Item = (BTreeMap<String, String>, Vec<(f64, f64)>)>) -> Value {
    let shown = |(at, value): &(f64, f64)| json!([at + MONDAY as f64, value.to_string()]);
    let series =
        all.map(|(labels, samples)| json!({"metric": labels, "values": samples.iter().map(shown).collect::<Vec<_>>()}));
    json!({"status": "success", "data": {"resultType": "matrix", "result": series.collect::<Vec<_>>()}})
}

impl Kept {
    fn query(&self, form: &BTreeMap<String, String>) -> (StatusCode, String) {
        let end = seconds(form, "time");
        let Some((selector, range)) = form["query"].rsplit_once('[') else {
            return (
                StatusCode::OK,
                json!({"status": "success", "data": {"resultType": "vector", "result": []}}).to_string(),
            );
        };
        let range: f64 = range.trim_end_matches("ms]").parse::<f64>().unwrap() / 1_000.0;
        let within = |made: &Made| {
            let samples = made.samples.iter().map(|(at, value)| (*at as f64, *value));
            let samples: Vec<_> = samples.filter(|(at, _)| *at >= end - range && *at <= end).collect();
            (made.labels.clone(), samples)
        };
        let found: Vec<_> = self
            .series
            .iter()
            .filter(|made| finds(selector, made))
            .map(within)
            .collect();
        let count: usize = found.iter().map(|(_, samples)| samples.len()).sum();
        if self.most_samples > 0 && count > self.most_samples {
            return (
                StatusCode::UNPROCESSABLE_ENTITY,
                json!({"status": "error", "error": "too many samples"}).to_string(),
            );
        }
        (
            StatusCode::OK,
            matrix(found.into_iter().filter(|(_, samples)| !samples.is_empty())).to_string(),
        )
    }

    fn query_range(&self, form: &BTreeMap<String, String>) -> (StatusCode, String) {
        let (start, end) = (seconds(form, "start"), seconds(form, "end"));
        let step: f64 = form["step"].trim_end_matches("ms").parse::<f64>().unwrap() / 1_000.0;
        let points = ((end - start) / step) as u32 + 1;
        assert!(points <= 11_000, "{points} points");
        let values = |made: &Made| {
            let at = (0..points).map(|n| start + f64::from(n) * step);
            let value = |at: f64| {
                made.samples
                    .iter()
                    .rev()
                    .find(|(sampled, _)| *sampled as f64 <= at && at - *sampled as f64 <= 300.0)
            };
            (
                made.labels.clone(),
                at.filter_map(|at| Some((at, value(at)?.1))).collect(),
            )
        };
        let found = self
            .series
            .iter()
            .filter(|made| finds(&form["query"], made))
            .map(values);
        (StatusCode::OK, matrix(found).to_string())
    }

    fn pods(&self, form: &BTreeMap<String, String>) -> (StatusCode, String) {
        let (start, end) = (seconds(form, "start"), seconds(form, "end"));
        let is_within = |made: &&Made| {
            made.samples
                .iter()
                .any(|(at, _)| *at as f64 >= start && *at as f64 <= end)
        };
        let found = self
            .series
            .iter()
            .filter(|made| finds(&form["match[]"], made))
            .filter(is_within);
        let pods: std::collections::BTreeSet<&String> = found.filter_map(|made| made.labels.get("pod")).collect();
        (StatusCode::OK, json!({"status": "success", "data": pods}).to_string())
    }

    /// Answers one request, and notes how many others go on.
    fn asked(&self, answer: impl FnOnce() -> (StatusCode, String)) -> (StatusCode, String) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        let answered = answer();
        self.now.fetch_sub(1, Ordering::SeqCst);
        answered
    }
}

type Asked = BTreeMap<String, String>;

/// Serves it; its address.
pub async fn serve(kept: Arc<Kept>) -> String {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let app =
        Router::new()
            .route(
                "/api/v1/query",
                post(|State(kept): State<Arc<Kept>>, Form(form): Form<Asked>| async move {
                    kept.asked(|| kept.query(&form))
                }),
            )
            .route(
                "/api/v1/query_range",
                post(|State(kept): State<Arc<Kept>>, Form(form): Form<Asked>| async move {
                    kept.asked(|| kept.query_range(&form))
                }),
            )
            .route(
                "/api/v1/label/pod/values",
                get(|State(kept): State<Arc<Kept>>, RawQuery(query): RawQuery| async move {
                    let url = reqwest::Url::parse(&format!("http://a/?{}", query.unwrap_or_default())).unwrap();
                    kept.asked(|| kept.pods(&url.query_pairs().into_owned().collect()))
                }),
            )
            .with_state(kept);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}
