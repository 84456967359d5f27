//! What the process tells about itself, in OpenMetrics text.

use std::{sync::Arc, time::Duration};

use super::panics::CAUGHT;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use super::kinds::Caches;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Arc<Registry>,
    reconciliations: Family<PassLabels, Counter>,
    duration: Histogram,
    leader: Gauge,
    unreadable: Family<KindLabels, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("warmfront");
        let reconciliations = Family::<PassLabels, Counter>::default();
        registry.register(
            "reconciliations",
            "Passes over a rollout, by outcome",
            reconciliations.clone(),
        );
        // From 1 ms to 32 s: a pass is some requests to the API server and to a metrics store.
        let duration = Histogram::new(exponential_buckets(0.001, 2.0, 16));
        registry.register(
            "reconcile_duration_seconds",
            "Time of a pass over a rollout",
            duration.clone(),
        );
        registry.register(
            "panics",
            "Faults of the controller that were caught, by what was at work: a pass over one rollout, a watch, a call",
            CAUGHT.clone(),
        );
        let leader = Gauge::default();
        registry.register(
            "leader",
            "Whether this process leads (1) or stands by (0)",
            leader.clone(),
        );
        let unreadable = Family::<KindLabels, Gauge>::default();
        registry.register(
            "unreadable_objects",
            "Objects that cannot be read, so that rollouts that need them are refused, by kind",
            unreadable.clone(),
        );
        Self {
            registry: Arc::new(registry),
            reconciliations,
            duration,
            leader,
            unreadable,
        }
    }
}

impl Metrics {
    /// A pass came to an end.
    pub fn reconciled(&self, outcome: &'static str, took: Duration) {
        self.reconciliations.get_or_create(&PassLabels { outcome }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// The text that Prometheus scrapes, of a process that leads or does not, and has these caches.
    pub fn text(&self, leads: bool, caches: &Caches) -> Result<String, std::fmt::Error> {
        self.leader.set(leads.into());
        for cache in caches.all() {
            let labels = KindLabels { kind: cache.row().kind };
            let count = i64::try_from(cache.count_unreadable()).unwrap_or(i64::MAX);
            self.unreadable.get_or_create(&labels).set(count);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
