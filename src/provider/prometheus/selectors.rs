//! Which series are asked for, and that those of another cluster are never added up.

use super::{recorded::*, *};
use crate::{
    api::metric_source::Preset,
    provider::{Counts, Reading},
};

/// A source whose pods are known by labels that exporters keep, in a store of several clusters.
fn shared(preset: Preset) -> MetricSourceSpec {
    let mut spec = source(preset);
    spec.pod_label = "exported_pod".to_owned();
    spec.namespace_label = "exported_namespace".to_owned();
    spec.matchers = BTreeMap::from([
        ("cluster".to_owned(), "eu\"1".to_owned()),
        ("tier".to_owned(), "a".to_owned()),
    ]);
    spec
}

const MATCHERS: &str = r#"cluster="eu\"1",tier="a""#;

#[test]
fn matchers_stand_in_every_selector() {
    let scalar = Quantity::Scalar {
        promql: r#"a{x="1",{{matchers}}} / b{ {{ matchers }} }"#.to_owned(),
    };
    for preset in [Preset::App, Preset::Envoy] {
        let spec = shared(preset);
        let question = question(vec![
            Quantity::Requests,
            latency(0.3),
            Quantity::Lookups,
            scalar.clone(),
        ]);
        let mut asked: Vec<String> = queries(&spec, &question)
            .into_values()
            .map(|ask| ask.unwrap().promql)
            .collect();
        assert_eq!(asked.len(), 4);
        let targets = BTreeSet::from([("app".to_owned(), "10.0.0.7:8080".to_owned())]);
        asked.push(ask_targets(&spec, &question, &targets).promql);
        asked.push(ask_pods(&spec, &question).promql);
        for promql in asked {
            let selectors = promql.matches('{').count();
            assert_eq!(promql.matches(MATCHERS).count(), selectors, "{promql}");
        }
    }
    let plain = queries(&source(Preset::App), &question(vec![scalar]));
    let filled: Vec<String> = plain.into_values().map(|ask| ask.unwrap().promql).collect();
    assert_eq!(filled, [r#"a{x="1",} / b{  }"#], "a selector may end with a comma");
}

#[test]
fn pods_are_found_by_the_labels_that_the_source_names_and_targets_by_their_own() {
    let spec = shared(Preset::App);
    let question = question(vec![Quantity::Lookups]);
    let lookups = queries(&spec, &question)[&Layer::Lookups].clone().unwrap().promql;
    assert!(
        lookups.starts_with(r#"cache_requests_total{exported_namespace="shop",exported_pod=~"#),
        "{lookups}"
    );
    let up = ask_pods(&spec, &question).promql;
    assert!(up.starts_with(r#"up{namespace="shop",pod=~"#), "{up}");
    let targets = parse(200, include_str!("fixtures/app-up.json").as_bytes()).unwrap();
    assert_eq!(read_up(&spec, &targets).len(), 5, "by the targets' own label");
}

/// The recorded series, and those of the same version in another cluster.
fn of_two_clusters(label: &str) -> Vec<Series> {
    let Value::Matrix(ours) = parse(200, include_str!("fixtures/app-requests.json").as_bytes()).unwrap() else {
        panic!("no samples")
    };
    let elsewhere = ours.iter().cloned().map(|mut series| {
        let pod = series.label("pod").to_owned() + "x";
        series.labels.insert("pod".to_owned(), pod);
        series.labels.insert(label.to_owned(), "us".to_owned());
        series
    });
    let here = ours.iter().cloned().map(|mut series| {
        series.labels.insert(label.to_owned(), "eu".to_owned());
        series
    });
    here.chain(elsewhere).collect()
}

fn counts(series: Vec<Series>) -> Result<Counts, NoData> {
    let question = question(vec![Quantity::Requests]);
    let replies = Replies::from([(Layer::Requests, Ok(Value::Matrix(series)))]);
    match interpret(&source(Preset::App), &question, &replies, Some(&Known::default())) {
        Interpretation::Done(mut answer) => match answer.remove(0)? {
            Reading::Counts { candidate, .. } => Ok(candidate),
            Reading::Scalar { candidate, .. } => panic!("a scalar: {candidate}"),
        },
        Interpretation::Ask(_) => panic!("asks again"),
    }
}

#[test]
fn several_clusters_are_not_added_up() {
    let refused = counts(of_two_clusters("cluster")).unwrap_err();
    assert_eq!(refused.cause, Cause::AmbiguousSeries);
    assert!(
        refused
            .message
            .contains("cluster is eu and us): name this one in the MetricSource, such as matchers: {cluster: eu}"),
        "{}",
        refused.message
    );
    // A label of the app's own: one pod has series of several values.
    let mut own = of_two_clusters("cluster");
    let has_two = |pod: &str| own.iter().filter(|series| series.label("pod") == pod).count() > 1;
    let pod = own.iter().map(|series| series.label("pod")).find(|pod| has_two(pod));
    let pod = pod.unwrap().to_owned();
    for (index, series) in own.iter_mut().filter(|series| series.label("pod") == pod).enumerate() {
        series
            .labels
            .insert("cluster".to_owned(), format!("redis-{}", index % 2));
    }
    assert!(counts(own).is_ok());
    // Nodes and zones differ from pod to pod in any cluster.
    assert!(counts(of_two_clusters("zone")).is_ok());
}
