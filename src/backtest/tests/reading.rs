//! What is read is what was sent: over gaps, restarts and numbers that are none, in as few requests as a store allows.
#![allow(clippy::float_cmp, reason = "sums of whole numbers are exact")]

use std::sync::{Arc, atomic::Ordering};

use jiff::Timestamp;

use super::{
    super::{
        file,
        past::Past,
        read::{self, Source},
        sides::{self, Told},
    },
    ROLLOUT,
    fake::{HOUR, Kept, MONDAY, Made, Pod, gauge, serve},
};
use crate::provider::{
    Reading,
    shell::{Span, StoreClient},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(MONDAY + second).unwrap()
}

/// What is read of the running version from midnight to noon.
async fn read(kept: Arc<Kept>) -> Past {
    let url = serve(kept).await;
    let subject = file::parse(ROLLOUT, &serde_json::json!({"prometheus": {"url": url}})).unwrap();
    let store = StoreClient::new().unwrap();
    let span = Span {
        start: at(0),
        end: at(12 * HOUR),
    };
    let sides = sides::find(&store, &subject, &Told::default(), &Told::default(), span)
        .await
        .unwrap();
    let source = Source {
        store: &store,
        spec: &subject.source,
        sides: &sides,
        checks: &subject.rollout.plan.checks,
    };
    read::read(&source, span, &mut |_, _| ()).await.unwrap()
}

fn counted(past: &Past, from: i64, to: i64) -> (f64, f64) {
    match past.answer(0, at(from), at(to)) {
        Ok(Reading::Counts { candidate, .. }) => (candidate.bad, candidate.total),
        other => panic!("{other:?}"),
    }
}

fn store(series: Vec<Made>, most_samples: usize) -> Arc<Kept> {
    Arc::new(Kept {
        series: series.into_iter().chain([gauge("queue", |_| 3.0)]).collect(),
        most_samples,
        ..Kept::default()
    })
}

#[tokio::test]
async fn every_request_is_counted_once_over_restarts_and_numbers_that_are_none() {
    let pod = Pod {
        name: "catalog-7f8b9c6d5-x2x4z",
        restart: Some(3 * HOUR),
        ..Pod::default()
    };
    let (mut series, sent) = pod.series();
    // The sample is lost, not what it counted.
    for made in &mut series[..2] {
        let lost = made.samples.iter_mut().find(|(at, _)| *at > 5 * HOUR).unwrap();
        lost.1 = f64::NAN;
    }
    // A pod of the same Deployment that comes later and counts from its first scrape on; one of another.
    let late = Pod {
        name: "catalog-6a6b6c6d6-late1",
        from: 7 * HOUR,
        ..Pod::default()
    };
    let (late_series, late_sent) = late.series();
    let other = Pod {
        name: "catalog-worker-7f8b9c6d5-x2x4z",
        ..Pod::default()
    };
    series.extend(late_series);
    series.extend(other.series().0);
    let past = read(store(series, 0)).await;
    let first_of_late = *late_sent.keys().next().unwrap();
    let sent = |from: i64, to: i64| {
        let mut sum = (0.0, 0.0);
        for (_, (all, failed)) in sent.range(from + 1..=to) {
            sum = (sum.0 + failed, sum.1 + all);
        }
        // Its target was not scraped before: its first sample says only where it begins.
        for (_, (all, failed)) in late_sent.range((from + 1).max(first_of_late + 1)..=to.max(first_of_late + 1)) {
            sum = (sum.0 + failed, sum.1 + all);
        }
        sum
    };
    for (from, to) in [
        (0, 12 * HOUR),
        (HOUR, HOUR + 15),
        (2 * HOUR, 4 * HOUR),
        (5 * HOUR - 60, 5 * HOUR + 60),
    ] {
        assert_eq!(counted(&past, from, to), sent(from, to), "{from} {to}");
    }
}

#[tokio::test]
async fn a_gap_is_no_data_and_a_short_one_loses_nothing() {
    let gap = |gap: std::ops::Range<i64>| Pod {
        name: "catalog-7f8b9c6d5-x2x4z",
        gap,
        ..Pod::default()
    };
    let short = gap(HOUR..HOUR + 180);
    let (series, sent) = short.series();
    let past = read(store(series, 0)).await;
    let all: f64 = sent.range(1..=2 * HOUR).map(|(_, (all, _))| all).sum();
    assert!((counted(&past, 0, 2 * HOUR).1 - all).abs() < 1.0);
    assert!(past.answer(0, at(HOUR + 90), at(HOUR + 150)).is_err());
    let long = gap(HOUR..2 * HOUR);
    let (series, sent) = long.series();
    let past = read(store(series, 0)).await;
    let (_, counted) = counted(&past, 0, 3 * HOUR);
    let before_and_after: f64 = sent
        .iter()
        .filter(|(at, _)| !(HOUR - 15..2 * HOUR + 15).contains(*at) && (1..=3 * HOUR).contains(*at))
        .map(|(_, (all, _))| all)
        .sum();
    assert!(
        (counted / before_and_after - 1.0).abs() < 0.01,
        "{counted} {before_and_after}"
    );
}

#[tokio::test]
async fn a_store_that_refuses_much_at_once_is_asked_for_less() {
    let pod = Pod {
        name: "catalog-7f8b9c6d5-x2x4z",
        ..Pod::default()
    };
    let (series, sent) = pod.series();
    let patient = store(series.clone(), 0);
    let all = read(patient.clone()).await;
    let strict = store(series, 250);
    let past = read(strict.clone()).await;
    let total = counted(&all, 0, 12 * HOUR);
    assert_eq!(counted(&past, 0, 12 * HOUR), total);
    assert_eq!(total.1, sent.range(1..=12 * HOUR).map(|(_, (all, _))| all).sum::<f64>());
    let asked = |kept: &Kept| kept.asked.load(Ordering::SeqCst);
    assert!(
        asked(&patient) < 15 && asked(&strict) > 30,
        "{} {}",
        asked(&patient),
        asked(&strict)
    );
}
