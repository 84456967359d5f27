//! What comes in takes the memory of one object, however large a list is.

use std::{convert::Infallible, sync::Arc};

use axum::body::Body;
use futures::stream;
use kube::{Client, runtime::watcher::Event};
use serde_json::json;

use super::*;
use crate::{
    controller::{
        concerns::tests::{caches, rollout},
        list::Query,
        list_watch::{Decode, ListWatch},
    },
    fair::measured::{grown_by, peak_kib},
};

/// In one page: so many Deployments of 2 MB that no rollout names, and one that a rollout names.
const OTHERS: usize = 20;
/// What all this may take.
const MOST_KIB: u64 = 20 << 10;

/// A Deployment that says the same very often, in pieces.
fn deployment(name: &str, often: usize) -> Vec<Vec<u8>> {
    let metadata = format!(r#"{{"metadata":{{"name":"{name}","namespace":"shop","resourceVersion":"7"}},"#);
    let mut pieces = vec![format!(r#"{metadata}"spec":{{"template":{{"a":[0"#).into_bytes()];
    pieces.extend(std::iter::repeat_n(",[],{},\"text\"".repeat(4_000).into_bytes(), often));
    pieces.push(b"]}}}".to_vec());
    pieces
}

fn page() -> Body {
    let head = br#"{"metadata":{"resourceVersion":"9"},"items":["#.to_vec();
    let items = (0..=OTHERS).flat_map(|number| {
        // 42 pieces are 2.3 MB.
        let (name, often) = if number == OTHERS {
            ("catalog".to_owned(), 15)
        } else {
            (format!("other-{number}"), 42)
        };
        let comma = if number == 0 { Vec::new() } else { b",".to_vec() };
        std::iter::once(comma).chain(deployment(&name, often))
    });
    let all = std::iter::once(head).chain(items).chain([b"]}".to_vec()]);
    Body::from_stream(stream::iter(all.map(Ok::<_, Infallible>)))
}

#[tokio::test]
#[ignore = "measures the process, which must be one of its own"]
async fn measured_by_itself() {
    let caches = Arc::new(caches(&[rollout("one", "catalog", &json!([]), "Accepted")]));
    let server = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        Ok::<_, Infallible>(http::Response::new(page()))
    });
    let row = *caches.deployments.row();
    let known = caches.clone();
    let decode: Decode<Told> = Arc::new(move |text, how| read(&known, &row, text, how));
    let client = Client::new(server, "default");
    let mut watch = ListWatch::new(client, Query::all(row.resource()), decode);
    let before = peak_kib();
    loop {
        let event = watch.next().await.unwrap();
        let done = matches!(event, Event::InitDone);
        caches.follow(&caches.deployments, event);
        if done {
            break;
        }
    }
    assert_eq!(caches.deployments.places(), [("shop".to_owned(), "catalog".to_owned())]);
    println!("grew by {} KiB", peak_kib() - before);
}

#[test]
fn a_page_of_large_objects_takes_no_more_than_one_of_them() {
    let grew = grown_by("controller::intake::tests::measured_by_itself");
    assert!(grew <= MOST_KIB, "the process grew by {grew} KiB");
}
