//! Turns the replies to a tick's queries into counts of the two versions, or says why there are none.

mod absent;
mod copies;
mod counted;
mod slow;

use crate::api::moment::Moment as _;
use absent::Scraped;

use super::{
    super::{Answer, Counts, NoData, Quantity, Question, Reading, Version},
    FollowUp, Interpretation, Known, Replies, Series, Value, clusters,
    counter::{self, Window},
    layer, query, reply, window,
};
use crate::{
    api::{
        metric_source::{CachePreset, MetricSourceSpec, Preset},
        status::Cause,
    },
    kubernetes::pod_name,
};

/// What is asked of a version's series.
struct Asked<'a> {
    spec: &'a MetricSourceSpec,
    question: &'a Question,
    quantity: &'a Quantity,
}

/// What a series counted in the time that is looked at.
type Delta<'a> = dyn FnMut(&Series) -> f64 + 'a;

/// What a version's series add up to.
struct Tally {
    counts: Counts,
    figure: Option<f64>,
}

/// Turns replies into answers.
pub fn interpret(
    spec: &MetricSourceSpec,
    question: &Question,
    replies: &Replies,
    known: Option<&Known>,
) -> Interpretation {
    let mut unknown = FollowUp::default();
    let mut answer: Answer = Vec::with_capacity(question.quantities.len());
    for (index, quantity) in question.quantities.iter().enumerate() {
        let layer = layer(question, index, quantity);
        let asked = Asked {
            spec,
            question,
            quantity,
        };
        let reading = match (replies.get(&layer), quantity) {
            (None, _) => Err(NoData {
                cause: Cause::Empty,
                message: "the query was not asked".to_owned(),
            }),
            (Some(Err(error)), _) => Err(error.clone()),
            (Some(Ok(value)), Quantity::Scalar { .. }) => {
                let other = replies.get(&layer.of_baseline()).and_then(|reply| reply.as_ref().ok());
                // Without the old version's value the new one's is judged all the same.
                let baseline = other.and_then(|value| reply::scalar(value).ok());
                reply::scalar(value).map(|candidate| Reading::Scalar { candidate, baseline })
            }
            (Some(Ok(value)), _) => counts(&asked, value, known, &mut unknown),
        };
        answer.push(reading);
    }
    if known.is_none() && unknown != FollowUp::default() {
        Interpretation::Ask(unknown)
    } else {
        Interpretation::Done(answer)
    }
}

/// A pod of the candidate, or what else is scraped for it, that several jobs scrape, and which of them counts.
pub fn scraped_twice(spec: &MetricSourceSpec, question: &Question, replies: &Replies) -> Option<String> {
    let mut quantities = question.quantities.iter().enumerate();
    quantities.find_map(|(index, quantity)| {
        let Some(Ok(value)) = replies.get(&layer(question, index, quantity)) else {
            return None;
        };
        let asked = Asked {
            spec,
            question,
            quantity,
        };
        let all = counter::joined(reply::matrix(value).ok()?, &spec.pod_label);
        let (candidate, _) = by_side(&asked, all);
        copies::scraped_twice(spec, &candidate)
    })
}

/// Whether a pod is one of a side's.
fn has_pod(side: &Version, pod: &str) -> bool {
    side.replica_sets.iter().any(|set| pod_name::is_of(pod, set))
}

/// Whether a series is counted by Envoy, for a Service, and not by a pod.
fn is_by_cluster(asked: &Asked<'_>) -> bool {
    asked.spec.preset == Preset::Envoy && are_requests(asked)
}

/// Whether requests are counted, and not something that pods count of their own.
fn are_requests(asked: &Asked<'_>) -> bool {
    matches!(asked.quantity, Quantity::Requests | Quantity::Latency { .. })
}

/// The series of one metric.
fn of_metric<'a>(series: &'a [Series], name: &str) -> Vec<&'a Series> {
    series.iter().filter(|one| one.label("__name__") == name).collect()
}

/// The series of the new version and those of the old one.
fn by_side(asked: &Asked<'_>, all: Vec<Series>) -> (Vec<Series>, Vec<Series>) {
    let subject = &asked.question.subject;
    let belongs = |series: &Series, side: &Version| {
        if is_by_cluster(asked) {
            query::port_of_cluster(series.label("envoy_cluster_name"), subject, side).is_some()
        } else {
            has_pod(side, series.label(&asked.spec.pod_label))
        }
    };
    let (candidate, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|series| belongs(series, &subject.candidate));
    let baseline = rest
        .into_iter()
        .filter(|series| belongs(series, &subject.baseline))
        .collect();
    (candidate, baseline)
}

fn counts(asked: &Asked<'_>, value: &Value, known: Option<&Known>, unknown: &mut FollowUp) -> Result<Reading, NoData> {
    let question = asked.question;
    let all = counter::joined(reply::matrix(value)?, &asked.spec.pod_label);
    let all = copies::drop_copies(asked.spec, &question.subject, all);
    let (candidate, baseline) = by_side(asked, all);
    let by_pod = !is_by_cluster(asked);
    let target = if by_pod {
        asked.spec.pod_label.as_str()
    } else {
        "instance"
    };
    clusters::refuse_several(&candidate.iter().chain(&baseline).collect::<Vec<_>>(), target)?;
    let figures_since = question
        .figures_since
        .max(question.end.minus(window(asked.spec, question)));
    let tick = Window {
        shown_from: question.end.minus(window(asked.spec, question)),
        start: question.start,
        end: question.end,
        run_started: question.run_started,
        scrape: asked.spec.scrape_interval.as_secs_f64(),
        targets: known.map(|known| &known.ages),
    };
    let shown = Window {
        start: figures_since,
        ..tick
    };
    if candidate.is_empty() {
        without_series(asked, known, unknown, &baseline)?;
    }
    let mut side = |own: &[Series], other: &[Series], of_run: bool| -> Result<(Counts, Option<f64>), NoData> {
        let mut over = |window: &Window<'_>| {
            let mut delta = |series: &Series| counter::delta(series, window, of_run, &mut unknown.ages_of);
            tally(asked, own, other, of_run, &mut delta)
        };
        let now = over(&tick)?;
        Ok((now.counts, over(&shown).ok().and_then(|then| then.figure)))
    };
    let (counts, candidate_figure) = if candidate.is_empty() {
        (Counts::default(), None)
    } else {
        side(&candidate, &baseline, true)?
    };
    // Without the old version's figures the new one is judged all the same.
    let other = side(&baseline, &candidate, false).ok().filter(|_| !baseline.is_empty());
    Ok(Reading::Counts {
        candidate: counts,
        baseline: other.map(|(counts, _)| counts),
        candidate_figure,
        baseline_figure: other.and_then(|(_, figure)| figure),
    })
}

/// A version without series has got no requests; else the error says what is wrong.
fn without_series(
    asked: &Asked<'_>,
    known: Option<&Known>,
    unknown: &mut FollowUp,
    baseline: &[Series],
) -> Result<(), NoData> {
    let by_pod = !is_by_cluster(asked);
    let may_be_native = by_pod && are_requests(asked);
    unknown.pods |= by_pod;
    unknown.native |= may_be_native;
    if may_be_native && known.is_some_and(|known| known.native) {
        return Err(absent::native(asked));
    }
    let pods = known
        .filter(|_| by_pod)
        .map_or(Scraped::Untold, |known| absent::scraped(&known.up, asked.question));
    absent::got_no_request(asked, pods, baseline)
}

/// Adds up the series of one version, by the metric that tells what is asked.
fn tally(
    asked: &Asked<'_>,
    own: &[Series],
    other: &[Series],
    of_run: bool,
    delta: &mut Delta<'_>,
) -> Result<Tally, NoData> {
    let subject = &asked.question.subject;
    let side = if of_run { &subject.candidate } else { &subject.baseline };
    match (asked.quantity, asked.spec.preset) {
        (Quantity::Latency { limit, quantile }, _) => slow::requests(asked, *limit, *quantile, own, delta),
        (Quantity::Lookups, _) => match asked.spec.cache.preset {
            CachePreset::App => counted::lookups(asked, own, delta),
        },
        (Quantity::Ratio { bad, total }, _) => counted::pair(asked, (bad, total), own, delta),
        (_, Preset::App) => counted::requests_of_pods(asked, own, other, delta),
        (_, Preset::Envoy) => counted::requests_of_clusters(asked, own, side, delta),
    }
}
