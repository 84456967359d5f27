//! A store that does not answer is told of, tick by tick.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};

use super::*;
use crate::controller::{
    leadership::Leadership,
    tests::{Silent, api_server, caches, context, judged, metric_source},
};

#[tokio::test(start_paused = true)]
async fn a_tick_that_is_not_answered_is_stored_as_one_without_data() {
    let asking = judged("catalog");
    let caches = caches(vec![asking.clone()]);
    caches.sources.wrote(serde_json::from_value(metric_source()).unwrap());
    let (told, mut asked) = mpsc::unbounded_channel();
    let (client, _) = api_server(Duration::ZERO);
    let context = context(
        client,
        Leadership::by_election(),
        Arc::new(caches),
        Box::new(Silent(told)),
        mpsc::unbounded_channel().0,
    );
    let began = Instant::now();
    let source: MetricSourceSpec = serde_json::from_value(metric_source()["spec"].clone()).unwrap();
    let now = jiff::Timestamp::now();
    let version = || provider::Version {
        workload: "catalog".to_owned(),
        replica_sets: Vec::new(),
        service: "catalog".to_owned(),
        ports: BTreeSet::new(),
        hash: "w".to_owned(),
    };
    let question = Question {
        subject: provider::Subject {
            namespace: "shop".to_owned(),
            protocols: BTreeSet::new(),
            candidate: version(),
            baseline: version(),
        },
        start: now,
        end: now,
        figures_since: now,
        run_started: now,
        whose: crate::provider::Whose::New,
        quantities: vec![provider::Quantity::Requests, provider::Quantity::Lookups],
    };
    let needs = Needs {
        measure: Some(question),
        ..Needs::default()
    };
    let mut seen = Observed::default();
    measure(&context, Some(&source), &needs, &mut seen).await;
    assert!(asked.try_recv().is_ok());
    assert_eq!(began.elapsed(), LONGEST_TICK);
    let readings = seen.measured.unwrap().readings;
    assert_eq!(readings.len(), 2, "one for each quantity");
    assert!(
        readings
            .iter()
            .all(|reading| reading.as_ref().is_err_and(|(cause, _)| *cause == Cause::ProviderDown))
    );
}
