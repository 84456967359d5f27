//! What people put into objects keeps nobody from reading the rest of them.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    api::FIELD_MANAGER,
    kubernetes::managed_fields::{drop_entries, newest_other_manager, owner_of},
    workload::deployment,
};

/// Fields that are nested deeper than any parser goes.
pub fn nested(depth: usize) -> String {
    format!("{}{}{}", "{\"f:a\":".repeat(depth), "{}", "}".repeat(depth))
}

fn deployment_with(managed_fields: &str) -> String {
    format!(
        r#"{{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"catalog","namespace":"shop","uid":"u","resourceVersion":"7","managedFields":{managed_fields}}},"spec":{{"replicas":2,"paused":true,"unread":{{"a":1}},"template":{{"x":1}}}},"other":3}}"#
    )
}

#[test]
fn managed_fields_are_read_as_far_as_they_can_be() {
    let deep = nested(5_000);
    let fields = format!(
        r#"[{{"manager":"late","operation":"Update","time":"9999-12-31T23:59:59Z","fieldsV1":{{"f:spec":{{"f:paused":{{}}}}}}}},
            {{"manager":"deep","operation":"Apply","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{deep}}},
            {{"manager":"none","fieldsV1":null}},
            {{"manager":"warmfront","time":"2026-01-02T00:00:00Z"}}]"#
    );
    let text = deployment_with(&fields);
    assert!(
        serde_json::from_str::<DynamicObject>(&text).is_err(),
        "kube's own type gives up on all of it"
    );
    let read = object(text.as_bytes(), Part::AllBut(&deployment::READ)).unwrap();
    assert_eq!(
        read.data,
        json!({"spec": {"replicas": 2, "paused": true, "template": {"x": 1}}, "other": 3})
    );
    let read = json!(read);
    assert_eq!(newest_other_manager(&read, FIELD_MANAGER).as_deref(), Some("deep"));
    assert_eq!(
        owner_of(&read, "/f:spec/f:paused", FIELD_MANAGER).as_deref(),
        Some("late")
    );
    let dropped = drop_entries(&read, FIELD_MANAGER).unwrap();
    assert_eq!(
        json!(dropped)[1]["path"],
        "/metadata/managedFields/3",
        "patches count all entries"
    );
    assert_eq!(
        serde_json::from_str::<Answer>(&text).unwrap().0.metadata.uid.as_deref(),
        Some("u")
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let deep = format!(r#"{{"metadata":{{"name":"a"}},"spec":{{"template":{}}}}}"#, nested(200));
    let why = object(deep.as_bytes(), WHOLE).unwrap_err();
    assert!(
        why.starts_with("spec.template.f:a") && why.contains("recursion limit"),
        "{why}"
    );
    assert!(object(deep.as_bytes(), Part::Only(&[])).is_ok(), "metadata can be");
    let odd = r#"{"metadata":{"name":"a","namespace":"shop","resourceVersion":"5","labels":7}}"#;
    let why = object(odd.as_bytes(), WHOLE).unwrap_err();
    assert!(why.starts_with("metadata.labels"), "{why}");
    let known = identity(odd.as_bytes()).unwrap().metadata;
    assert_eq!(
        (known.name.as_deref(), known.resource_version.as_deref()),
        (Some("a"), Some("5"))
    );
    assert!(identity(b"").is_none() && object(b"[]", WHOLE).is_err());
}

#[test]
fn an_event_is_read_whatever_comes_first_in_it() {
    let object = deployment_with("[]");
    for line in [
        format!(r#"{{"type":"ADDED","object":{object}}}"#),
        format!(r#"{{"object":{object},"type":"ADDED"}}"#),
    ] {
        let (kind, read) = event(line.as_bytes(), Part::Only(&[("spec", &["replicas"])])).unwrap();
        assert_eq!((kind.as_str(), read.data), ("ADDED", json!({"spec": {"replicas": 2}})));
    }
}

/// Any JSON, with names that occur in objects.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "metadata",
        "name",
        "spec",
        "status",
        "managedFields",
        "fieldsV1",
        "f:spec",
        "f:paused",
        "time",
        "items",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(json!("9999-12-31T23:59:59Z")),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(any in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for value in [json!({"type": "ADDED", "object": {"metadata": any}}), json!({"metadata": {"name": "a", "managedFields": [any]}, "spec": any}), any.clone()] {
            let mut text = value.to_string().into_bytes();
            for _ in 0..2 {
                for part in [WHOLE, Part::Only(&[]), Part::AllBut(&deployment::READ)] {
                    let _ = (object(&text, part), event(&text, part), identity(&text));
                }
                let at = at.index(text.len());
                text[at] = byte;
            }
        }
    }
}
