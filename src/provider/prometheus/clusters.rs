//! Series of several clusters, which one store keeps: they are told apart before anything is added up.

use std::collections::{BTreeMap, BTreeSet};

use super::{NoData, Series};
use crate::api::status::Cause;

/// Labels by which stores tell clusters apart, as they are mostly called.
const CLUSTER_LABELS: [&str; 5] = [
    "cluster",
    "cluster_name",
    "cluster_id",
    "k8s_cluster_name",
    "kubernetes_cluster",
];
/// Longest part of a label's value in a message.
const SHOWN: usize = 40;

/// Refuses series that come from several clusters. `target` is the label that tells the scraped pods apart: a cluster's label is
/// on every series, and the same on all series of one pod; an app's own label of that name need not be.
pub(super) fn refuse_several(series: &[&Series], target: &str) -> Result<(), NoData> {
    for label in CLUSTER_LABELS {
        let mut of_target = BTreeMap::<&str, &str>::new();
        let is_clusters = series.iter().all(|one| {
            let value = one.label(label);
            !value.is_empty() && *of_target.entry(one.label(target)).or_insert(value) == value
        });
        let values: BTreeSet<&str> = of_target.into_values().collect();
        if is_clusters && values.len() > 1 {
            let shown: Vec<String> = values
                .iter()
                .take(2)
                .map(|value| value.chars().take(SHOWN).collect())
                .collect();
            return Err(NoData {
                cause: Cause::AmbiguousSeries,
                message: format!(
                    "the store keeps the series of several clusters ({label} is {}): name this one in the MetricSource, such as matchers: {{{label}: {}}}",
                    shown.join(" and "),
                    shown.first().map(String::as_str).unwrap_or_default()
                ),
            });
        }
    }
    Ok(())
}
