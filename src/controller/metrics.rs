//! What the process tells about itself, in OpenMetrics text.

use std::{sync::Arc, time::Duration};

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    outcome: &'static str,
}

/// All metrics of the process.
pub struct Metrics {
    registry: Arc<Registry>,
    reconciliations: Family<PassLabels, Counter>,
    duration: Histogram,
    leader: Gauge,
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
        let leader = Gauge::default();
        registry.register(
            "leader",
            "Whether this process leads (1) or stands by (0)",
            leader.clone(),
        );
        Self {
            registry: Arc::new(registry),
            reconciliations,
            duration,
            leader,
        }
    }
}

impl Metrics {
    /// A pass came to an end.
    pub fn reconciled(&self, outcome: &'static str, took: Duration) {
        self.reconciliations.get_or_create(&PassLabels { outcome }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// The text that Prometheus scrapes, of a process that leads or does not.
    pub fn text(&self, leads: bool) -> Result<String, std::fmt::Error> {
        self.leader.set(leads.into());
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
