//! What nobody seeks any more is not kept, and is fetched again when somebody does.

use kube::{api::DynamicObject, runtime::watcher::Event};
use serde_json::json;

use super::*;
use crate::controller::concerns::tests::{caches, object, rollout};

#[tokio::test]
async fn what_a_rollout_named_goes_when_it_names_something_else() {
    let named = |deployment: &str, version: &str| {
        let mut rollout = rollout("one", deployment, &json!([]), "Accepted");
        rollout.metadata.resource_version = Some(version.to_owned());
        rollout
    };
    let known = caches(&[named("a", "1")]);
    for kind in [&known.deployments, &known.services] {
        known.follow(kind, Event::<DynamicObject>::Init);
        kind.follow(Event::InitApply(object(&kind.row().resource(), "a", &json!({}))));
        kind.follow(Event::<DynamicObject>::InitDone);
    }
    let kept = || {
        (
            known.deployments.get(Some("shop"), "a").is_some(),
            known.services.get(Some("shop"), "a").is_some(),
        )
    };
    let mut seen = HashMap::new();
    once(&known, &mut seen).await;
    assert_eq!(kept(), (true, true));
    assert!(known.deployments.is_complete("shop", "deployment/a"));
    known.rollouts.follow(Event::Apply(named("b", "2")));
    once(&known, &mut seen).await;
    assert_eq!(
        kept(),
        (false, true),
        "Services are kept while their namespace has a rollout"
    );
    assert!(!known.deployments.is_complete("shop", "deployment/a"));
    known.rollouts.follow(Event::Delete(named("b", "3")));
    once(&known, &mut seen).await;
    assert_eq!(kept(), (false, false));
    assert!(!known.services.is_complete("shop", crate::look::keys::ANY));
    assert_eq!(seen.len(), 1, "and of namespaces nothing is remembered for long");
    once(&known, &mut seen).await;
    assert!(seen.is_empty());
}
