//! Which copy of an object counts, and how it is found.

use std::collections::BTreeSet;

use kube::{api::ApiResource, runtime::watcher::Event};
use serde_json::json;

use super::{super::named::event_of, *};

fn object(name: &str, version: u64, about: &str) -> DynamicObject {
    let resource = ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&());
    let mut object = DynamicObject::new(name, &resource).within("shop");
    object.metadata.resource_version = Some(version.to_string());
    object.metadata.uid = Some(format!("{name}-1"));
    object.data = json!({"about": about});
    object
}

fn shelf() -> Shelf {
    Shelf::new(
        |_, data| data["about"].as_str().map(str::to_owned).into_iter().collect(),
        |_| {},
    )
}

fn follow(shelf: &mut Shelf, event: Event<DynamicObject>) -> Vec<Snapshot> {
    shelf.follow(event_of(event, Told::from))
}

fn about(shelf: &Shelf, key: &str) -> Vec<String> {
    shelf
        .about("shop", key)
        .iter()
        .map(|object| object.name_any())
        .collect()
}

#[test]
fn an_older_copy_never_takes_the_place_of_a_newer_one() {
    let mut shelf = shelf();
    shelf.put(object("a", 5, "new"), false);
    follow(&mut shelf, Event::Apply(object("a", 4, "old")));
    assert_eq!(
        (about(&shelf, "new"), about(&shelf, "old")),
        (vec!["a".to_owned()], vec![])
    );
    follow(&mut shelf, Event::Apply(object("a", 6, "old")));
    assert_eq!(
        (about(&shelf, "new"), about(&shelf, "old")),
        (vec![], vec!["a".to_owned()])
    );
}

#[test]
fn an_object_that_goes_with_our_write_leaves_no_copy() {
    let mut shelf = shelf();
    let going = |version: u64, finalizers: &[&str]| {
        let metadata = json!({"name": "a", "namespace": "shop", "resourceVersion": version.to_string(), "finalizers": finalizers, "deletionTimestamp": "2026-01-01T00:00:00Z"});
        serde_json::from_value::<DynamicObject>(json!({"metadata": metadata, "about": "x"})).unwrap()
    };
    shelf.put(going(5, &["x"]), false);
    assert_eq!(about(&shelf, "x"), ["a"], "somebody's finalizer still holds it");
    shelf.put(going(6, &[]), false);
    assert!(about(&shelf, "x").is_empty() && shelf.places().is_empty());
}

#[test]
fn an_answer_that_comes_after_the_deletion_was_told_is_dropped() {
    let mut shelf = shelf();
    follow(&mut shelf, Event::Apply(object("a", 3, "x")));
    follow(&mut shelf, Event::Delete(object("a", 5, "x")));
    shelf.wrote(object("a", 4, "x"), false);
    assert!(about(&shelf, "x").is_empty());
    shelf.wrote(object("b", 6, "x"), false);
    assert_eq!(about(&shelf, "x"), ["b"], "the watch has not told of it yet");
}

#[test]
fn what_went_while_the_watch_was_broken_is_told() {
    let mut shelf = shelf();
    for name in ["a", "b"] {
        follow(&mut shelf, Event::Apply(object(name, 3, "x")));
    }
    shelf.wrote(object("written-before", 9, "x"), false);
    follow(&mut shelf, Event::Init);
    shelf.wrote(object("ours", 10, "x"), false);
    follow(&mut shelf, Event::InitApply(object("b", 7, "x")));
    let gone: Vec<_> = follow(&mut shelf, Event::InitDone)
        .iter()
        .map(|object| object.name_any())
        .collect();
    assert_eq!(
        gone.into_iter().collect::<BTreeSet<_>>(),
        ["a", "written-before"].map(str::to_owned).into()
    );
    assert_eq!(about(&shelf, "x"), ["b", "ours"]);
    follow(&mut shelf, Event::Delete(object("b", 8, "x")));
    assert_eq!(about(&shelf, "x"), ["ours"]);
    assert_eq!(shelf.places().len(), 1);
}

#[test]
fn what_the_watch_tells_of_a_final_answer_is_no_news() {
    let mut shelf = shelf();
    follow(&mut shelf, Event::Apply(object("a", 3, "x")));
    shelf.wrote(object("a", 4, "x"), true);
    assert!(follow(&mut shelf, Event::Apply(object("a", 4, "x"))).is_empty());
    assert_eq!(
        follow(&mut shelf, Event::Apply(object("a", 5, "y"))).len(),
        1,
        "another hand's change"
    );
    assert_eq!((about(&shelf, "x"), about(&shelf, "y")), (vec![], vec!["a".to_owned()]));
    shelf.wrote(object("a", 6, "y"), false);
    assert_eq!(
        follow(&mut shelf, Event::Apply(object("a", 6, "y"))).len(),
        1,
        "something has to follow"
    );
    shelf.wrote(object("a", 7, "y"), true);
    assert_eq!(
        follow(&mut shelf, Event::Apply(object("a", 8, "y"))).len(),
        1,
        "newer than the answer"
    );
}

/// A rollout of which something is asked and something is said.
fn rollout(version: u64, generation: i64, about: &str) -> DynamicObject {
    let mut object = object("a", version, about);
    object.metadata.generation = Some(generation);
    object
}

#[test]
fn what_the_watch_tells_while_we_write_waits_for_the_answer() {
    let mut shelf = shelf();
    follow(&mut shelf, Event::Apply(rollout(3, 1, "x")));
    shelf.begin_write("shop", "a");
    assert!(
        follow(&mut shelf, Event::Apply(rollout(4, 1, "x"))).is_empty(),
        "ours, it seems"
    );
    assert!(!shelf.end_write("shop", "a", Some(4)), "it was ours");
    shelf.begin_write("shop", "a");
    assert!(follow(&mut shelf, Event::Apply(rollout(5, 1, "x"))).is_empty());
    assert!(follow(&mut shelf, Event::Apply(rollout(6, 1, "x"))).is_empty());
    assert!(shelf.end_write("shop", "a", Some(5)), "another hand's came after ours");
    shelf.begin_write("shop", "a");
    assert_eq!(
        follow(&mut shelf, Event::Apply(rollout(7, 2, "x"))).len(),
        1,
        "another spec concerns others, too"
    );
    assert_eq!(
        follow(&mut shelf, Event::Apply(rollout(8, 2, "y"))).len(),
        1,
        "and so does what it is about"
    );
    assert!(!shelf.end_write("shop", "a", None));
    assert_eq!(
        follow(&mut shelf, Event::Apply(rollout(9, 2, "y"))).len(),
        1,
        "nothing is under way"
    );
}

#[test]
fn an_answer_of_which_only_the_version_was_read_is_waited_for() {
    let mut shelf = shelf();
    follow(&mut shelf, Event::Apply(rollout(3, 1, "x")));
    shelf.begin_write("shop", "a");
    assert!(!shelf.end_write("shop", "a", Some(4)));
    assert!(shelf.is_behind("shop", "a"));
    assert!(
        follow(&mut shelf, Event::Apply(rollout(4, 1, "x"))).is_empty(),
        "no news"
    );
    assert!(!shelf.is_behind("shop", "a"));
    assert_eq!(shelf.version("shop", "a"), Some(4));
    assert_eq!(
        follow(&mut shelf, Event::Apply(rollout(5, 1, "x"))).len(),
        1,
        "another hand's"
    );
}

fn unreadable(object: DynamicObject) -> Event<Told> {
    let content = Content::Unreadable(Unreadable {
        why: "spec.template: too deep".to_owned(),
        keys: vec!["deployment/a".to_owned()],
    });
    Event::Apply(Told { object, content })
}

#[test]
fn what_cannot_be_read_is_not_gone() {
    let mut shelf = shelf();
    let seekers = |name: &str| vec![format!("deployment/{name}")];
    follow(&mut shelf, Event::Apply(object("a", 3, "x")));
    let stamp = shelf.stamp("shop");
    assert_eq!(shelf.follow(unreadable(object("a", 4, "y"))).len(), 1);
    assert_ne!(shelf.stamp("shop"), stamp, "those who need it look again");
    assert_eq!(about(&shelf, "x"), ["a"], "the copy that could be read");
    assert_eq!(
        shelf.unreadable("shop", &seekers("a")),
        Some(("a", "spec.template: too deep"))
    );
    assert_eq!(shelf.unreadable("shop", &seekers("b")), None, "others do not need it");
    assert_eq!(shelf.unreadable("other", &seekers("a")), None);
    follow(&mut shelf, Event::Apply(object("a", 5, "z")));
    assert_eq!(
        (about(&shelf, "z"), shelf.count_unreadable()),
        (vec!["a".to_owned()], 0)
    );
    for end in [Event::Delete(object("a", 7, "z")), Event::Init] {
        shelf.follow(unreadable(object("a", 6, "y")));
        follow(&mut shelf, end);
        follow(&mut shelf, Event::InitDone);
        assert_eq!(shelf.count_unreadable(), 0);
    }
}
