//! Samples that come late, not at all, or at another time than ours.

use super::{recorded::*, *};
use crate::{
    api::metric_source::Preset,
    provider::{Counts, Provider, Reading, shell::StoreClient},
};

/// What is asked for requests.
fn requests(spec: &MetricSourceSpec, question: &Question) -> String {
    queries(spec, question)[&Layer::Requests].clone().unwrap().promql
}

/// The recorded reply to a question, each side's samples kept as `keep` says.
fn read(
    preset: Preset,
    keep: impl Fn(&Series) -> Option<SignedDuration>,
    up: &[(&str, bool)],
) -> Result<Reading, NoData> {
    let (spec, question) = (source(preset), question(vec![Quantity::Requests]));
    let promql = requests(&spec, &question);
    let Ok(Value::Matrix(series)) = parse(200, body(&promql).as_bytes()) else {
        panic!("no samples")
    };
    let cut = |mut series: Series| {
        let until = counter::seconds(question.end - keep(&series)?);
        series.samples.retain(|(at, _)| *at <= until);
        Some(series)
    };
    let replies = Replies::from([(
        Layer::Requests,
        Ok(Value::Matrix(series.into_iter().filter_map(cut).collect())),
    )]);
    let known = Known {
        up: up.iter().map(|(pod, up)| ((*pod).to_owned(), *up)).collect(),
        ..Known::default()
    };
    match interpret(&spec, &question, &replies, Some(&known)) {
        Interpretation::Done(mut answer) => answer.remove(0),
        Interpretation::Ask(_) => panic!("asks again"),
    }
}

fn is_candidates(series: &Series) -> bool {
    let cluster = series.label("envoy_cluster_name");
    series.label("pod").starts_with(CANDIDATE) || cluster.contains("catalog-canary")
}

fn candidates_late(seconds: i64) -> impl Fn(&Series) -> Option<SignedDuration> {
    move |series| {
        Some(SignedDuration::from_secs(if is_candidates(series) {
            seconds
        } else {
            0
        }))
    }
}

#[test]
fn samples_that_have_not_come_are_not_requests_that_have_not_come() {
    let counted = read(Preset::App, candidates_late(0), &[]).unwrap();
    assert_eq!(counted.total(), Some(57.0));
    // The tick is 6 s long, and the scrape interval 1 s.
    assert!(read(Preset::App, candidates_late(3), &[]).unwrap().total() < Some(57.0));
    let error = read(Preset::App, candidates_late(5), &[]).unwrap_err();
    assert_eq!(error.cause, Cause::Stale, "more than four scrapes");
    assert!(error.message.contains("lag"), "{}", error.message);
}

#[test]
fn a_tick_without_a_new_sample_is_asked_again() {
    let (spec, mut question) = (source(Preset::App), question(vec![Quantity::Requests]));
    question.start = question.end - SignedDuration::from_secs(1);
    let promql = requests(&spec, &question);
    let ask = |question: &Question| {
        let reply = parse(200, body(&promql).as_bytes());
        match interpret(
            &spec,
            question,
            &Replies::from([(Layer::Requests, reply)]),
            Some(&Known::default()),
        ) {
            Interpretation::Done(mut answer) => answer.remove(0),
            Interpretation::Ask(_) => panic!("asks again"),
        }
    };
    let all = ask(&question).unwrap();
    // The store has nothing newer; the tick that follows begins where this one does.
    question.start = question.end;
    question.end += SignedDuration::from_secs(1);
    let error = ask(&question).unwrap_err();
    assert_eq!(error.cause, Cause::Late);
    assert!(error.message.contains("lag"), "{}", error.message);
    question.start -= SignedDuration::from_secs(1);
    assert_eq!(ask(&question).unwrap().total(), all.total());
}

#[test]
fn a_version_that_is_scraped_and_counts_nothing_has_no_requests() {
    let only_baseline = |series: &Series| (!is_candidates(series)).then_some(SignedDuration::ZERO);
    let pod = format!("{CANDIDATE}-k6rbx");
    for (preset, up) in [(Preset::App, &[(pod.as_str(), true)][..]), (Preset::Envoy, &[])] {
        let Ok(Reading::Counts {
            candidate, baseline, ..
        }) = read(preset, only_baseline, up)
        else {
            panic!("no counts")
        };
        assert_eq!(candidate, Counts::default());
        assert!(baseline.unwrap().total > 1_000.0);
    }
    let unknown = read(Preset::App, only_baseline, &[]).unwrap_err();
    assert_eq!(unknown.cause, Cause::NoTraffic, "whether it is scraped is not known");
    // An old version without newer samples is nothing to compare with.
    let stale = |series: &Series| Some(SignedDuration::from_secs(if is_candidates(series) { 0 } else { 6 }));
    let Ok(Reading::Counts { baseline, .. }) = read(Preset::App, stale, &[]) else {
        panic!("no counts")
    };
    assert_eq!(baseline, None);
}

#[tokio::test]
async fn a_store_with_another_clock_is_not_believed() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let shell = StoreClient::new().unwrap();
    let asked = async |apart: i64| {
        let date = Timestamp::now() + SignedDuration::from_secs(apart);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&date)
            .unwrap();
        let answer = async |axum::Form(form): axum::Form<BTreeMap<String, String>>| {
            ([("date", date)], body(&form["query"]).to_owned())
        };
        let router = axum::Router::new().route("/api/v1/query", axum::routing::post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut spec = source(Preset::App);
        spec.prometheus.url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        shell.ask(&spec, &question(vec![Quantity::Requests])).await.remove(0)
    };
    assert!(asked(0).await.is_ok());
    assert!(asked(-3).await.is_ok());
    for (apart, way) in [(120, "ahead of"), (-120, "behind")] {
        let error = asked(apart).await.unwrap_err();
        assert_eq!(error.cause, Cause::Stale);
        assert!(error.message.contains(way), "{}", error.message);
    }
}

/// Recorded from a Prometheus whose two targets answered 503 for 80 s, longer than a reply looks back; the new version's first
/// error came 8 s later.
#[test]
fn after_a_gap_counts_begin_with_the_first_sample() {
    let spec = source(Preset::App);
    let mut question = question(vec![Quantity::Requests]);
    question.end = "2026-11-30T20:59:33.081Z".parse().unwrap();
    question.start = question.end - SignedDuration::from_secs(20);
    question.run_started = question.end - SignedDuration::from_secs(123);
    let requests = parse(200, include_str!("fixtures/gap-requests.json").as_bytes());
    let replies = Replies::from([(Layer::Requests, requests)]);
    let Interpretation::Ask(unknown) = interpret(&spec, &question, &replies, None) else {
        panic!("does not ask")
    };
    let targets = ["base", "cand"].map(|job| (job.to_owned(), "127.0.0.1:19191".to_owned()));
    assert_eq!(unknown.ages_of, BTreeSet::from(targets));
    let known = Known {
        ages: read_ages(&parse(200, include_str!("fixtures/gap-up.json").as_bytes()).unwrap()),
        ..Known::default()
    };
    let Interpretation::Done(mut answer) = interpret(&spec, &question, &replies, Some(&known)) else {
        panic!("asks again")
    };
    let Ok(Reading::Counts {
        candidate, baseline, ..
    }) = answer.remove(0)
    else {
        panic!("no counts")
    };
    // Not 1,186 and 11,750, which is what they had counted in their lives.
    let (bad, total) = (9.0, 1_177.0 - 1_059.0 + 9.0);
    assert_eq!(candidate, Counts { bad, total });
    let total = 11_750.0 - 10_590.0;
    assert_eq!(baseline, Some(Counts { bad: 0.0, total }));
}
