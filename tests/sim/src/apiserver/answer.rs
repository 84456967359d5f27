//! Carries out one request on the store.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    refusal::Refusal,
    request::{Asked, Verb, selected},
    store::{Author, Store},
};

/// The answer to everything but a watch.
pub fn answer(store: &mut Store, asked: &Asked, body: &[u8]) -> Result<Arc<Value>, Refusal> {
    let manager = asked.query.get("fieldManager").map_or("unknown", String::as_str);
    let author = Author {
        manager,
        status: asked.status,
        dry_run: asked.query.contains_key("dryRun"),
    };
    let namespace = asked.namespace.as_deref().unwrap_or_default();
    let (kind, name) = (asked.kind, asked.name.as_str());
    let read = || serde_json::from_slice::<Value>(body).map_err(|error| Refusal::bad_request(&error.to_string()));
    match asked.verb {
        Verb::Watch => Err(Refusal::bad_request("a watch is a stream")),
        Verb::Get => store
            .get(kind, namespace, name)
            .ok_or_else(|| Refusal::not_found(&format!("{} \"{name}\"", kind.traits().plural))),
        Verb::List => {
            let items: Vec<Value> = store
                .list(kind, asked.namespace.as_deref())
                .iter()
                .filter(|object| wanted(asked, object))
                .map(|object| {
                    if asked.metadata {
                        metadata_of(object)
                    } else {
                        (**object).clone()
                    }
                })
                .collect();
            let list = format!("{}List", kind.traits().kind);
            Ok(Arc::new(
                json!({"apiVersion": kind.api_version(), "kind": list, "metadata": {"resourceVersion": store.version().to_string()}, "items": items}),
            ))
        }
        Verb::Create => store.create(kind, namespace, read()?, author),
        Verb::Replace => {
            let body = read()?;
            store.update(kind, namespace, name, author, |object| {
                *object = body;
                Ok(())
            })
        }
        Verb::JsonPatch => {
            let patch: json_patch::Patch =
                serde_json::from_slice(body).map_err(|error| Refusal::bad_request(&error.to_string()))?;
            store.update(kind, namespace, name, author, |object| {
                json_patch::patch(object, &patch).map_err(|error| Refusal::patch(&error.to_string()))
            })
        }
        Verb::MergePatch => {
            let patch = read()?;
            store.update(kind, namespace, name, author, |object| {
                json_patch::merge(object, &patch);
                Ok(())
            })
        }
        Verb::Delete => {
            let options = if body.is_empty() { Value::Null } else { read()? };
            store.delete(
                kind,
                namespace,
                name,
                options.pointer("/preconditions/uid").and_then(Value::as_str),
                author,
            )
        }
    }
}

/// What is told of an object to whoever wants its metadata only.
pub fn metadata_of(object: &Value) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]})
}

/// Whether an object answers the request's selectors.
fn wanted(asked: &Asked, object: &Value) -> bool {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let label = |key: &str| text(object.pointer("/metadata/labels").and_then(|labels| labels.get(key)));
    let field = |path: &str| text(object.pointer(&format!("/{}", path.replace('.', "/"))));
    selected(asked.query.get("labelSelector"), label) && selected(asked.query.get("fieldSelector"), field)
}
