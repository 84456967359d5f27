//! The document `kind: Simulation`: what world a version is released in.

use serde::Deserialize;

use crate::api::{
    Duration, Percent,
    action::Verb,
    status::{EndReason, PauseReason},
};

/// A world for one release.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Simulation {
    /// `warmfront.dev/v1alpha1`.
    pub api_version: String,
    /// `Simulation`.
    pub kind: String,
    /// Whatever its author likes to call it.
    #[serde(default)]
    pub metadata: serde_json::Value,
    /// The requests of both versions.
    pub traffic: Traffic,
    /// The cache that both versions ask.
    #[serde(default)]
    pub cache: Cache,
    /// What is asked where the cache has no answer.
    #[serde(default)]
    pub database: Database,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Faults,
    /// What people and pipelines ask of the release.
    #[serde(default)]
    pub actions: Vec<Asked>,
    /// How often metrics are scraped, as a MetricSource says it. Default `15s`.
    #[serde(default = "quarter_of_a_minute")]
    pub scrape_interval: Duration,
    /// Where chance begins. Default 1.
    #[serde(default = "one")]
    pub seed: u64,
    /// Longest time that is simulated. Default `6h`.
    #[serde(default = "six_hours")]
    pub duration: Duration,
    /// How the release must end, for tests.
    #[serde(default)]
    pub expect: Option<Expect>,
}

fn quarter_of_a_minute() -> Duration {
    Duration::from_secs(15)
}

fn one() -> u64 {
    1
}

fn six_hours() -> Duration {
    const SIX_HOURS: Duration = Duration::from_mins(6 * 60);
    SIX_HOURS
}

/// A RolloutAction that somebody creates.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// When, counted from the moment the new version is applied.
    pub at: Duration,
    /// What is asked.
    pub action: Verb,
    /// Only at this step, counted from 1.
    #[serde(default)]
    pub step: Option<i32>,
    /// Why, for people.
    #[serde(default)]
    pub reason: Option<String>,
}

/// The requests of both versions together.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// How many; each looks one thing up in the cache.
    pub requests_per_second: f64,
    /// Share that fails with nothing wrong. Default 0.1%.
    #[serde(default = "tenth_of_a_percent")]
    pub errors: Percent,
    /// What is called slow below. Default: the limit of the first latency check, or `300ms`. Half as many take 1.4 times as long, a quarter
    /// twice as long, and so on.
    #[serde(default)]
    pub slow: Option<Duration>,
    /// Pods of the Deployment. Default 4.
    #[serde(default = "four")]
    pub pods: u32,
}

fn tenth_of_a_percent() -> Percent {
    Percent::from_hundredths(10).unwrap_or_default()
}

fn four() -> u32 {
    4
}

/// The cache. Who shares it with whom and how long an entry lives says the CanaryRollout.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cache {
    /// Share of hits of a warm cache. Default 95%.
    pub hit_ratio: Percent,
    /// The new version begins with an empty cache.
    pub cold: Option<Cold>,
    /// Share of the answers that the app compares with the database, and counts in `cache_stale_sampled_total`. Default 0.5%.
    pub sampled: Percent,
    /// Share of these that are stale with nothing wrong, which it counts in `cache_stale_total`. Default 0.01%.
    pub stale: Percent,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            hit_ratio: Percent::from_hundredths(9_500).unwrap_or_default(),
            cold: None,
            sampled: Percent::from_hundredths(50).unwrap_or_default(),
            stale: Percent::LEAST,
        }
    }
}

/// What is looked up in a cache that begins empty.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cold {
    /// How many different keys: the more, the longer it takes to warm.
    pub keys: f64,
    /// How much more often the first of them are asked for than the others: 0 is alike, 1 as in most services. Default 1.
    #[serde(default = "zipf")]
    pub skew: f64,
}

fn zipf() -> f64 {
    1.0
}

/// The database behind the cache; each miss is a query.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Database {
    /// What it can carry. Default: any number. From 80% on misses become slow, above 100% they begin to fail.
    pub queries_per_second: Option<f64>,
    /// Share of misses that are slow although it is idle. Default 2%.
    pub slow: Percent,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            queries_per_second: None,
            slow: Percent::from_hundredths(200).unwrap_or_default(),
        }
    }
}

/// What goes wrong. Times count from the moment the new version is applied.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Faults {
    /// When `errors`, `slow`, `hang`, `stale` and `oldErrors` begin. Default: at once.
    pub after: Duration,
    /// So many more of the new version's requests fail.
    pub errors: Percent,
    /// From a weight on so many more of them fail.
    pub errors_from: Option<ErrorsFrom>,
    /// So many more of them are slow.
    pub slow: Percent,
    /// So many of them are never answered, and counted nowhere.
    pub hang: Percent,
    /// So many more of the old version's requests fail: the new version harms what both share.
    pub old_errors: Percent,
    /// So many more of the new version's sampled answers are stale.
    pub stale: Percent,
    /// The new version's cache hits so many from the first lookup on, however long it is asked.
    pub hit_ratio: Option<Percent>,
    /// From a weight on each miss of the new version is so many queries.
    pub queries_per_miss_from: Option<QueriesPerMissFrom>,
    /// Both versions fail for a while.
    pub incident: Option<Incident>,
    /// The database answers nothing for a while.
    pub database_stops: Option<Span>,
}

/// See [`Faults::errors_from`].
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorsFrom {
    /// The weight.
    pub weight: Percent,
    /// The share.
    pub errors: Percent,
}

/// See [`Faults::queries_per_miss_from`].
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueriesPerMissFrom {
    /// The weight.
    pub weight: Percent,
    /// How many queries.
    pub queries: f64,
}

/// See [`Faults::incident`].
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// When it begins.
    pub at: Duration,
    /// How long it lasts.
    #[serde(rename = "for")]
    pub lasts: Duration,
    /// So many more requests fail.
    #[serde(default)]
    pub errors: Percent,
    /// So many more requests are slow.
    #[serde(default)]
    pub slow: Percent,
}

/// See [`Faults::database_stops`].
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// When it begins.
    pub at: Duration,
    /// How long it lasts.
    #[serde(rename = "for")]
    pub lasts: Duration,
}

/// How a release must end.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Expect {
    /// What it has come to.
    pub outcome: Option<End>,
    /// Why it was rolled back.
    pub reason: Option<EndReason>,
    /// Why it is paused at the end.
    pub paused_for: Option<PauseReason>,
    /// The greatest weight that the new version was given.
    pub greatest_weight: Option<Percent>,
    /// Reasons of Events that are told.
    pub events: Vec<String>,
    /// What a check has waited for.
    pub causes: Vec<String>,
    /// It takes so long at least …
    pub at_least: Option<Duration>,
    /// … and so long at most.
    pub at_most: Option<Duration>,
}

/// What a release has come to when the simulation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, strum::Display)]
pub enum End {
    /// The new version is the stable one.
    Promoted,
    /// The old version has all traffic again.
    RolledBack,
    /// It waits, for a person or until something is over.
    Paused,
    /// It still goes on.
    Running,
}
