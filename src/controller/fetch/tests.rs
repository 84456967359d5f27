//! Nothing is taken for absent that nobody has kept, and in memory is what rollouts seek.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use kube::{Client, ResourceExt, api::DynamicObject, client::Body, runtime::watcher::Event};
use serde_json::{Value, json};

use super::*;
use crate::{
    controller::{
        concerns::tests::{caches, object, rollout},
        kinds::Caches,
        tests::context_of,
    },
    look::{Known, keys},
};

/// An API server that lists this for every kind, and what it was asked.
fn api_server(items: Vec<Value>) -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let server = tower::service_fn(move |request: http::Request<Body>| {
        seen.lock().unwrap().push(request.uri().to_string());
        let list = json!({"metadata": {"resourceVersion": "9"}, "items": items});
        async move { Ok::<_, Infallible>(http::Response::new(Body::from(list.to_string().into_bytes()))) }
    });
    (Client::new(server, "default"), asked)
}

/// What the watch of a cache tells of an object, as it is read.
fn tell(
    caches: &Caches,
    cache: &Cache,
    event: fn(crate::controller::told::Told) -> Event<crate::controller::told::Told>,
    object: &DynamicObject,
) {
    let text = serde_json::to_vec(object).unwrap();
    let told = intake::read(caches, cache.row(), &text, decode::object).unwrap();
    caches.follow(cache, event(told));
}

fn versioned(cache: &Cache, name: &str, version: &str) -> DynamicObject {
    let mut object = object(&cache.row().resource(), name, &json!({"spec": {"replicas": 1}}));
    object.metadata.resource_version = Some(version.to_owned());
    object
}

fn keys_of(rollout: &DynamicObject) -> Vec<String> {
    keys::of(Known::CanaryRollout)(&rollout.metadata, &rollout.data)
}

#[tokio::test]
async fn what_nobody_sought_is_fetched_once_and_then_followed() {
    let known = caches(&[]);
    for cache in known.all() {
        cache.set_installed(cache.row().kind != "GRPCRoute");
        known.follow(cache, Event::<DynamicObject>::Init);
        cache.follow(Event::<DynamicObject>::InitDone);
    }
    let deployment = versioned(&known.deployments, "catalog", "5");
    tell(&known, &known.deployments, Event::Apply, &deployment);
    assert!(known.deployments.places().is_empty(), "nobody seeks it");
    let one = rollout("one", "catalog", &json!([{"name": "catalog"}]), "Accepted");
    known.rollouts.follow(Event::Apply(one.clone()));
    let (client, asked) = api_server(vec![json!(deployment)]);
    let context = context_of(client, Arc::new(known));
    let caches = &context.caches;
    let keys = keys_of(&one);
    missing(&context, "shop", &keys).await.unwrap();
    assert_eq!(caches.deployments.version("shop", "catalog"), Some(5));
    assert!(caches.missing("shop", &keys).is_empty());
    let first = asked.lock().unwrap().clone();
    let asked_for = |what: &str| first.iter().filter(|asked| asked.contains(what)).count();
    assert_eq!(
        asked_for("/deployments?&fieldSelector=metadata.name%3Dcatalog&limit=100"),
        1,
        "{first:?}"
    );
    assert_eq!(asked_for("/endpointslices?"), 2, "the canary's, too: {first:?}");
    assert_eq!(
        (asked_for("/httproutes?"), asked_for("/grpcroutes?")),
        (1, 0),
        "{first:?}"
    );
    missing(&context, "shop", &keys).await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), first.len(), "nothing is asked twice");
    tell(
        caches,
        &caches.deployments,
        Event::Apply,
        &versioned(&caches.deployments, "catalog", "6"),
    );
    assert_eq!(caches.deployments.version("shop", "catalog"), Some(6));
    // While nobody seeks it a change goes unseen, and so it is fetched again.
    caches.rollouts.follow(Event::Delete(one.clone()));
    tell(
        caches,
        &caches.deployments,
        Event::Apply,
        &versioned(&caches.deployments, "catalog", "7"),
    );
    assert!(caches.deployments.places().is_empty());
    caches.rollouts.follow(Event::Apply(one));
    assert!(!caches.missing("shop", &keys).is_empty());
}

#[test]
fn a_fetch_that_is_overtaken_brings_nothing_back() {
    let one = rollout("one", "catalog", &json!([]), "Accepted");
    let known = caches(std::slice::from_ref(&one));
    let cache = &known.deployments;
    cache.shelf().begin_fetch("shop", "deployment/catalog");
    tell(&known, cache, Event::Delete, &versioned(cache, "catalog", "8"));
    cache.fetched(versioned(cache, "catalog", "7").into());
    assert!(cache.places().is_empty(), "it was deleted since");
    cache.fetched(versioned(cache, "catalog", "9").into());
    assert_eq!(cache.version("shop", "catalog"), Some(9), "and made anew");
    tell(&known, cache, Event::Apply, &versioned(cache, "catalog", "3"));
    assert_eq!(cache.version("shop", "catalog"), Some(9), "the watch lags");
    cache.shelf().end_fetch("shop", "deployment/catalog", Whole::Yes);
    assert!(cache.is_complete("shop", "deployment/catalog"));
    // The rollout goes and comes while it is asked, and a change goes unseen.
    cache.shelf().begin_fetch("shop", "deployment/catalog");
    known.rollouts.follow(Event::Delete(one.clone()));
    tell(&known, cache, Event::Apply, &versioned(cache, "catalog", "10"));
    known.rollouts.follow(Event::Apply(one));
    cache.shelf().end_fetch("shop", "deployment/catalog", Whole::Yes);
    assert!(!cache.is_complete("shop", "deployment/catalog"));
}

#[test]
fn what_is_too_large_is_refused_and_not_read() {
    let known = caches(&[rollout("one", "catalog", &json!([]), "Accepted")]);
    let mut large = versioned(&known.deployments, "catalog", "5");
    large.data = json!({"spec": {"template": {"x": "x".repeat(2 << 20)}}});
    tell(&known, &known.deployments, Event::Apply, &large);
    assert!(known.deployments.get(Some("shop"), &large.name_any()).is_none());
    let why = known.unreadable("shop", &["deployment/catalog".to_owned()]).unwrap();
    assert!(
        why.starts_with("Deployment catalog cannot be read: it has 2048 KiB"),
        "{why}"
    );
}
