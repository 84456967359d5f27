//! Why a version has no counts: no series, or only old ones.

use std::collections::BTreeMap;

use super::{
    super::{STALE_AFTER, Series, counter, names, query},
    Asked, has_pod, is_by_cluster,
};
use crate::{
    api::{metric_source::MetricSourceSpec, status::Cause},
    provider::{NoData, Quantity, Question, Version, Whose},
};

/// Refuses series that say nothing about now: all their samples are old, or were there for the tick before.
pub(super) fn not_stale<'a>(asked: &Asked<'_>, series: impl Iterator<Item = &'a Series>) -> Result<(), NoData> {
    let newest = series
        .filter_map(|series| series.samples.last())
        .map(|(at, _)| *at)
        .fold(f64::MIN, f64::max);
    let end = counter::seconds(asked.question.end);
    let oldest_allowed = end - asked.spec.scrape_interval.as_secs_f64() * f64::from(STALE_AFTER);
    let (age, whose) = (end - newest, asked.question.whose);
    let (cause, message) = if newest < oldest_allowed {
        let message = format!(
            "the newest sample of {whose} is {age:.0}s old: are its pods still scraped, do samples come late (the MetricSource's `lag`), and is the store's clock right?"
        );
        (Cause::Stale, message)
    } else if newest <= counter::seconds(asked.question.start) {
        // What comes later belongs to this tick: it is asked for again, together with the next one.
        let message = format!(
            "no sample of {whose} in this interval yet, the newest is {age:.0}s old: if samples come late, say so by the MetricSource's `lag`"
        );
        (Cause::Late, message)
    } else {
        return Ok(());
    };
    Err(NoData { cause, message })
}

/// What `up` says about the new version's pods.
#[derive(Clone, Copy)]
pub(super) enum Scraped {
    /// Nothing: it was not asked, or it has the name of neither version's pods.
    Untold,
    /// None of them is a target, while others are.
    NoTarget,
    /// No target that is one of them can be scraped.
    Down,
    /// One is scraped.
    Up,
}

pub(super) fn scraped(up: &BTreeMap<String, bool>, question: &Question) -> Scraped {
    let of = |side: &Version| {
        let targets = up.iter().filter(|(pod, _)| has_pod(side, pod));
        targets.map(|(_, up)| *up).reduce(|one, other| one || other)
    };
    match (of(&question.subject.candidate), of(&question.subject.baseline)) {
        (Some(true), _) => Scraped::Up,
        (Some(false), _) => Scraped::Down,
        (None, Some(_)) => Scraped::NoTarget,
        (None, None) => Scraped::Untold,
    }
}

/// A version without series got no requests, if its pods are scraped, or the gateway that counts the other's requests is. Else
/// the error says what is wrong.
pub(super) fn got_no_request(asked: &Asked<'_>, pods: Scraped, baseline: &[Series]) -> Result<(), NoData> {
    let none = no_series(asked, pods, baseline);
    let is_scraped = matches!(pods, Scraped::Up) || is_by_cluster(asked);
    match asked.quantity {
        Quantity::Requests | Quantity::Latency { .. } if none.cause == Cause::NoTraffic && is_scraped => Ok(()),
        // Where nothing is counted nobody knows whether there was nothing to count.
        Quantity::Ratio { total, .. } if none.cause == Cause::NoTraffic => Err(NoData {
            cause: Cause::Empty,
            message: format!(
                "{} has no series {total}, which the old one has: let the app export it as 0 from the start, or name the metric that it has",
                asked.question.whose
            ),
        }),
        _ => Err(none),
    }
}

/// Why a version has no series: nobody scrapes it, it cannot be scraped, or it counts nothing.
fn no_series(asked: &Asked<'_>, pods: Scraped, baseline: &[Series]) -> NoData {
    let spoken = query::spoken(&asked.question.subject);
    let names = names::shown(asked.spec.preset, asked.quantity, &spoken);
    let whose = asked.question.whose;
    let (cause, message) = match pods {
        Scraped::NoTarget => (
            Cause::ProviderDown,
            format!("Prometheus has no target for the pods of {whose}: are they scraped like those of the old one?"),
        ),
        Scraped::Down => (
            Cause::ProviderDown,
            format!("Prometheus cannot scrape the pods of {whose}: `up` is 0"),
        ),
        Scraped::Up if whose == Whose::Running => (
            Cause::Empty,
            format!(
                "the pods of {whose} are scraped, and none has the series {names}: no request has reached them since they started, or they count under another name"
            ),
        ),
        Scraped::Up | Scraped::Untold if baseline.is_empty() => (Cause::Empty, neither(asked, &names)),
        Scraped::Up => (
            Cause::NoTraffic,
            format!(
                "no request has reached {whose} yet: its series do not exist; or it counts under another name than {names}"
            ),
        ),
        Scraped::Untold => (
            Cause::NoTraffic,
            format!("no series of {whose}: no request has reached it yet, or it is not scraped"),
        ),
    };
    NoData { cause, message }
}

/// What a version has whose requests are counted in native histograms alone.
pub(super) fn native(asked: &Asked<'_>) -> NoData {
    NoData {
        cause: Cause::ThresholdNotMeasurable,
        message: format!(
            "{} has native histograms and no classic ones beside them, which are what is read: let the app expose classic buckets too (client_golang: Buckets beside NativeHistogramBucketFactor), and Prometheus keep both (scrape_classic_histograms; from 3.0 on always_scrape_classic_histograms)",
            asked.question.whose
        ),
    }
}

/// Why there is no series at all.
fn neither(asked: &Asked<'_>, names: &str) -> String {
    let MetricSourceSpec {
        pod_label,
        namespace_label,
        matchers,
        ..
    } = asked.spec;
    let matchers = if matchers.is_empty() {
        ""
    } else {
        ", and do the matchers fit"
    };
    let of = match asked.question.whose {
        Whose::New => "either version",
        Whose::Running => "the running version",
    };
    if is_by_cluster(asked) {
        format!(
            "no series of {of}: {names} needs one Envoy cluster for each Service, named namespace_service_port as Contour does{matchers}; Envoy Gateway has one for each rule, which tells no versions apart: use preset app there"
        )
    } else {
        format!(
            "no series of {of}: does {names} have the pod's name in label {pod_label} and its namespace in {namespace_label}{matchers}? The MetricSource says where they stand"
        )
    }
}
