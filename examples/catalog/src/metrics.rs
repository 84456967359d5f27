//! The metrics by which the app can be judged: requests, cache lookups, calls to the database.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lookup {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Edges in seconds; those at 0.05 and 0.3 are limits that are judged.
const EDGES: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0];

/// All metrics of the app.
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<Status, Histogram>,
    lookups: Family<Lookup, Counter>,
    operations: Histogram,
    origin: Family<Reason, Counter>,
    fallbacks: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::<Status, Histogram>::new_with_constructor(|| Histogram::new(EDGES));
        registry.register(
            "http_request_duration_seconds",
            "Time to answer, by status",
            requests.clone(),
        );
        let lookups = Family::<Lookup, Counter>::default();
        registry.register("cache_requests", "Cache lookups, by result", lookups.clone());
        let operations = Histogram::new(EDGES);
        registry.register(
            "cache_operation_seconds",
            "Time of one cache operation",
            operations.clone(),
        );
        let origin = Family::<Reason, Counter>::default();
        registry.register("origin_requests", "Calls to the database, by reason", origin.clone());
        let fallbacks = Counter::default();
        registry.register(
            "cache_fallback",
            "Served from the database because the cache was slow or its breaker open",
            fallbacks.clone(),
        );
        // From 0 on, so that the first miss is not lost.
        for result in ["hit", "miss", "error", "bypass", "stale"] {
            let _ = lookups.get_or_create(&Lookup { result });
        }
        for reason in ["miss", "refresh", "write", "other"] {
            let _ = origin.get_or_create(&Reason { reason });
        }
        Self {
            registry: Arc::new(registry),
            requests,
            lookups,
            operations,
            origin,
            fallbacks,
        }
    }
}

impl Metrics {
    /// A user's request was answered.
    pub fn request(&self, status: u16, took: Duration) {
        self.requests
            .get_or_create(&Status { status })
            .observe(took.as_secs_f64());
    }
    /// A lookup ended with `hit`, `miss`, `error` or `bypass`.
    pub fn lookup(&self, result: &'static str) {
        self.lookups.get_or_create(&Lookup { result }).inc();
    }
    /// A cache operation took so long.
    pub fn operation(&self, took: Duration) {
        self.operations.observe(took.as_secs_f64());
    }
    /// The database was asked.
    pub fn origin(&self, reason: &'static str) {
        self.origin.get_or_create(&Reason { reason }).inc();
    }
    /// The database was asked because of the cache.
    pub fn fallback(&self) {
        self.fallbacks.inc();
    }
    /// The text that Prometheus scrapes.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        let metrics = Metrics::default();
        metrics.request(200, Duration::from_millis(7));
        metrics.operation(Duration::from_millis(60));
        let text = metrics.text().unwrap();
        for line in [
            "http_request_duration_seconds_bucket{le=\"0.3\",status=\"200\"} 1",
            "http_request_duration_seconds_count{status=\"200\"} 1",
            "cache_requests_total{result=\"hit\"} 0",
            "cache_requests_total{result=\"miss\"} 0",
            "cache_requests_total{result=\"error\"} 0",
            "cache_requests_total{result=\"bypass\"} 0",
            "cache_requests_total{result=\"stale\"} 0",
            "cache_operation_seconds_bucket{le=\"0.05\"} 0",
            "cache_operation_seconds_bucket{le=\"0.1\"} 1",
            "origin_requests_total{reason=\"miss\"} 0",
            "cache_fallback_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
