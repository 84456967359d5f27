//! One object that cannot be read takes no other one with it.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use futures::StreamExt;
use kube::client::Body;
use tokio_util::task::TaskTracker;

use super::*;
use crate::controller::{decode::tests::nested, discovery::Installed, kinds::Kinds, watches};

fn metadata(name: &str, version: u64, managed_fields: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"shop","resourceVersion":"{version}","managedFields":[{managed_fields}]}}}}"#
    )
}

/// Answers: pages of a list by their token, then watches, each a text.
fn api_server(pages: Vec<String>, watches: Vec<String>) -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, answers) = (
        asked.clone(),
        Arc::new(Mutex::new((pages.into_iter(), watches.into_iter()))),
    );
    let server = tower::service_fn(move |request: http::Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let next = if query.contains("watch=true") {
            answers.lock().unwrap().1.next()
        } else {
            answers.lock().unwrap().0.next()
        };
        seen.lock().unwrap().push(query);
        async move {
            match next {
                Some(text) => Ok::<_, Infallible>(http::Response::new(Body::from(text.into_bytes()))),
                None => std::future::pending().await,
            }
        }
    });
    (Client::new(server, "default"), asked)
}

fn told(event: &Event<String>) -> String {
    match event {
        Event::Init => "init".to_owned(),
        Event::InitDone => "done".to_owned(),
        Event::InitApply(name) => format!("+{name}"),
        Event::Apply(name) => format!("~{name}"),
        Event::Delete(name) => format!("-{name}"),
    }
}

fn names() -> Decode<String> {
    Arc::new(|text, read| read(text, Part::Only(&[])).ok()?.metadata.name)
}

#[tokio::test]
async fn a_list_is_read_page_by_page_and_then_watched_from_its_version_on() {
    let deep = format!(r#"{{"fieldsV1":{}}}"#, nested(130));
    let late = r#"{"time":"9999-12-31T23:59:59Z"}"#;
    let page = |items: &str, rest: &str| format!(r#"{{"kind":"List","metadata":{{{rest}}},"items":[{items}]}}"#);
    let pages = vec![
        page(
            &format!("{},{}", metadata("a", 1, ""), metadata("b", 2, &deep)),
            r#""continue":"t","resourceVersion":"9""#,
        ),
        page(
            &format!("7,{},{{}}", metadata("c", 3, late)),
            r#""resourceVersion":"9""#,
        ),
    ];
    let event = |kind: &str, object: &str| format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
    let expired = r#"{"kind":"Status","code":410,"message":"too old"}"#;
    let watches = vec![
        event("ADDED", &metadata("d", 10, &deep))
            + "\n{not json}\n"
            + &event("MODIFIED", r#"{"metadata":{"name":7,"resourceVersion":"11"}}"#)
            + &event("DELETED", &metadata("a", 12, late))
            + &event("BOOKMARK", r#"{"metadata":{"resourceVersion":"14"}}"#)
            + r#"{"type":"ADDED","object":{"#,
        event("ERROR", expired),
    ];
    let (client, asked) = api_server(pages, watches);
    let mut watch = ListWatch::new(client, Query::all(Kinds::config_map()), names());
    let mut seen = Vec::new();
    for _ in 0..8 {
        match watch.next().await {
            Ok(event) => seen.push(told(&event)),
            Err(error) => seen.push(error.to_string()),
        }
    }
    let gone = "the API server ended the watch: too old";
    assert_eq!(seen, ["init", "+a", "+b", "+c", "done", "~d", "-a", gone]);
    let asked = asked.lock().unwrap().clone();
    assert!(
        asked[1].contains("continue=t") && asked[1].contains("limit=100"),
        "{asked:?}"
    );
    assert!(
        asked[2].ends_with("resourceVersion=9") && asked[3].ends_with("resourceVersion=14"),
        "{asked:?}"
    );
    assert_eq!(told(&watch.next().await.unwrap()), "init", "everything is listed again");
}

#[tokio::test]
async fn what_is_no_list_is_an_error_and_asked_for_again() {
    let (client, _) = api_server(
        vec!["[]".to_owned(), r#"{"metadata":{},"items":null}"#.to_owned()],
        Vec::new(),
    );
    let mut watch = ListWatch::new(client, Query::all(Kinds::config_map()), names());
    for _ in 0..2 {
        assert_eq!(told(&watch.next().await.unwrap()), "init");
        assert!(matches!(watch.next().await, Err(Error::NoList(_))));
    }
}

/// A ConfigMap in any namespace, and a Deployment that no rollout names, keep no process from becoming ready.
#[tokio::test]
async fn poisoned_objects_of_others_keep_nobody_from_being_in_sync() {
    let deep = format!(r#"{{"fieldsV1":{}}}"#, nested(130));
    let spec = nested(200);
    let list = move |kind: &str| {
        let items = format!(
            r#"{},{{"metadata":{{"name":"deep","namespace":"shop","resourceVersion":"3"}},"spec":{{"template":{spec}}}}},{}"#,
            metadata("late", 1, r#"{"time":"9999-12-31T23:59:59Z"}"#),
            metadata("nested", 2, &deep)
        );
        format!(r#"{{"kind":"{kind}List","metadata":{{"resourceVersion":"9"}},"items":[{items}]}}"#)
    };
    let server = tower::service_fn(move |request: http::Request<Body>| {
        let watches = request.uri().query().unwrap_or_default().contains("watch=true");
        let text = list("X");
        async move {
            if watches {
                std::future::pending::<()>().await;
            }
            Ok::<_, Infallible>(http::Response::new(Body::from(text.into_bytes())))
        }
    });
    let tasks = TaskTracker::new();
    let (caches, queue, requests, _absent) =
        watches::open(&Client::new(server, "default"), &tasks, &Installed::default());
    drop((queue.boxed(), requests));
    assert!(caches.not_in_sync().contains(&"ConfigMap"), "readiness names the kinds");
    let ready = tokio::time::timeout(Duration::from_secs(20), caches.wait_until_ready());
    assert!(ready.await.is_ok(), "{:?}", caches.not_in_sync());
    assert_eq!(
        (
            caches.config_maps.count_unreadable(),
            caches.rollouts.count_unreadable()
        ),
        (0, 1)
    );
}
