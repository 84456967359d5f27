//! Slow requests from histograms. Of each version the first histogram counts that has an edge near the limit.

use super::{
    super::{Series, histogram::Histograms, names, query},
    Asked, Delta, Tally, absent, of_metric,
};
use crate::{
    api::{metric_source::Preset, status::Cause},
    provider::{Counts, NoData},
};

/// Requests and slow requests of a version.
pub(super) fn requests(
    asked: &Asked<'_>,
    limit: f64,
    quantile: f64,
    series: &[Series],
    delta: &mut Delta<'_>,
) -> Result<Tally, NoData> {
    let mut all = Histograms::default();
    match asked.spec.preset {
        Preset::Envoy => all.extend(first_fit(asked, &[names::ENVOY_BUCKETS], limit, series, delta)?),
        Preset::App => {
            for protocol in query::spoken(&asked.question.subject) {
                all.extend(first_fit(asked, names::buckets(protocol), limit, series, delta)?);
            }
        }
    }
    Ok(Tally {
        counts: Counts {
            bad: all.slower_than(limit)?,
            total: all.total(),
        },
        figure: all.quantile(quantile),
    })
}

/// The first of the metrics by which the limit can be judged.
fn first_fit(
    asked: &Asked<'_>,
    names: &[&str],
    limit: f64,
    series: &[Series],
    delta: &mut Delta<'_>,
) -> Result<Histograms, NoData> {
    let mut first_error = None;
    for name in names {
        let own = of_metric(series, name);
        if own.is_empty() {
            continue;
        }
        let fit = absent::not_stale(asked, own.iter().copied())
            .and_then(|()| Histograms::collect(&own, names::units_in_a_second(name), delta))
            .and_then(|all| all.slower_than(limit).map(|_| all));
        match fit {
            Ok(all) => return Ok(all),
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    Err(first_error.unwrap_or_else(|| NoData {
        cause: Cause::NoTraffic,
        message: format!(
            "{} has no histogram that docs/metrics.md lists, such as {}",
            asked.question.whose,
            names.first().unwrap_or(&"")
        ),
    }))
}
