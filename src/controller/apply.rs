//! Carries out what the engine asks for, each change guarded by the version of the object that it saw.

use std::collections::BTreeMap;

use json_patch::PatchOperation;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

use super::{
    Context,
    caches::Cache,
    context::lock,
    decode::Answer,
    error::{Error, is_stale},
};
use crate::{
    api::{FIELD_MANAGER, FINALIZER},
    engine::contract::{action::Action, kind::Kind},
    kubernetes::{
        json::text,
        patch::{add, at, test},
    },
};

/// Versions of the objects that the decision rests on.
type Versions = BTreeMap<(Kind, String), u64>;

/// Carries out one action.
pub async fn apply(context: &Context, rollout: &DynamicObject, seen: &Versions, action: &Action) -> Result<(), Error> {
    match action {
        Action::AddFinalizer => {
            let mut finalizers = rollout.finalizers().to_vec();
            finalizers.push(FINALIZER.to_owned());
            finalizer(context, rollout, finalizers, "adding the finalizer").await
        }
        Action::DropFinalizer => {
            let others = rollout.finalizers().iter().filter(|name| *name != FINALIZER);
            let finalizers = others.cloned().collect();
            context.writes.forget(&rollout.uid().unwrap_or_default());
            context.told.forget(&rollout.uid().unwrap_or_default());
            context.drafts.forget(&rollout.uid().unwrap_or_default());
            context.calls.forget(&rollout.uid().unwrap_or_default());
            context.holds.forget(&rollout.uid().unwrap_or_default());
            lock(&context.failing).forget(&rollout.uid().unwrap_or_default());
            context.recent.forget(rollout);
            finalizer(context, rollout, finalizers, "dropping the finalizer").await
        }
        Action::Create { kind, object } => create(context, rollout, *kind, object).await,
        Action::Patch { kind, name, patch } | Action::TakeTrafficOff { kind, name, patch } => {
            change(context, rollout, seen, (*kind, name), patch).await
        }
        Action::Delete { kind, name } => delete(context, rollout, *kind, name).await,
        Action::Answer {
            name,
            version,
            phase,
            reason,
            message,
        } => {
            let namespace = rollout.namespace().unwrap_or_default();
            let status = json!({"phase": phase, "reason": reason, "message": message, "at": context.now()});
            answer(context, &namespace, name, version, status).await
        }
        Action::Forget { name } => forget(context, &rollout.namespace().unwrap_or_default(), name).await,
    }
}

/// Removes a RolloutAction.
pub(super) async fn forget(context: &Context, namespace: &str, name: &str) -> Result<(), Error> {
    let what = format!("removing RolloutAction {namespace}/{name}");
    let actions = api(context, &context.caches.actions, namespace);
    gone(actions.delete(name, &DeleteParams::default()).await, what)
}

async fn create(context: &Context, rollout: &DynamicObject, kind: Kind, object: &Value) -> Result<(), Error> {
    let namespace = rollout.namespace().unwrap_or_default();
    let cache = context.caches.of(kind);
    let what = format!("creating {kind} {namespace}/{}", text(object, "/metadata/name"));
    let object: DynamicObject = serde_json::from_value(object.clone()).map_err(|source| Error::Apply {
        action: what.clone(),
        source: kube::Error::SerdeError(source),
    })?;
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        dry_run: false,
    };
    tracing::info!("{what}");
    match api(context, cache, &namespace).create(&params, &Answer(object)).await {
        Ok(created) => cache.wrote(created.0),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(source) => return Err(Error::Apply { action: what, source }),
    }
    Ok(())
}

async fn change(
    context: &Context,
    rollout: &DynamicObject,
    seen: &Versions,
    (kind, name): (Kind, &str),
    patch: &[PatchOperation],
) -> Result<(), Error> {
    let namespace = rollout.namespace().unwrap_or_default();
    let what = format!("changing {kind} {namespace}/{name}");
    // The caches may know a newer one by now, of which nobody has decided anything.
    let Some(version) = seen.get(&(kind, name.to_owned())) else {
        return Err(Error::Conflict { action: what });
    };
    let mut guarded = vec![test_version(version.to_string())];
    guarded.extend(patch.iter().cloned());
    tracing::info!("{what}");
    // Values of headers that mark testers may stand in it.
    tracing::debug!(patch = %json!(patch), "{what}");
    patch_object(context, context.caches.of(kind), &namespace, name, guarded, what).await
}

async fn delete(context: &Context, rollout: &DynamicObject, kind: Kind, name: &str) -> Result<(), Error> {
    let namespace = rollout.namespace().unwrap_or_default();
    let cache = context.caches.of(kind);
    let what = format!("deleting {kind} {namespace}/{name}");
    let uid = cache.get(Some(&namespace), name).and_then(|object| object.uid());
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid,
            resource_version: None,
        }),
        ..DeleteParams::background()
    };
    tracing::info!("{what}");
    gone(api(context, cache, &namespace).delete(name, &params).await, what)
}

/// Writes the status of a RolloutAction that is still of the version that was seen.
pub(super) async fn answer(
    context: &Context,
    namespace: &str,
    name: &str,
    version: &str,
    status: Value,
) -> Result<(), Error> {
    let patch = vec![test_version(version), add(at!["status"], status)];
    let what = format!("answering RolloutAction {namespace}/{name}");
    let cache = &context.caches.actions;
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Json::<()>(json_patch::Patch(patch));
    match api(context, cache, namespace).patch_status(name, &params, &patch).await {
        Ok(answered) => cache.wrote(answered.0),
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(source) => return Err(refused(source, what)),
    }
    Ok(())
}

/// What was to be deleted may be gone already.
fn gone<T>(deleted: kube::Result<T>, what: String) -> Result<(), Error> {
    match deleted {
        // One that cannot be read says that it was done, too: kube reads it in a way that gives up on what is nested deep.
        Ok(_) | Err(kube::Error::SerdeError(_)) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => Err(refused(source, what)),
    }
}

/// The API server refuses the patch if the object is of another version.
fn test_version(version: impl Into<Value>) -> PatchOperation {
    test(at!["metadata", "resourceVersion"], version)
}

fn api(context: &Context, cache: &Cache, namespace: &str) -> Api<Answer> {
    Api::namespaced_with(context.client.clone(), namespace, cache.resource())
}

fn refused(source: kube::Error, action: String) -> Error {
    if is_stale(&source) {
        Error::Conflict { action }
    } else {
        Error::Apply { action, source }
    }
}

async fn patch_object(
    context: &Context,
    cache: &Cache,
    namespace: &str,
    name: &str,
    operations: Vec<PatchOperation>,
    what: String,
) -> Result<(), Error> {
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api(context, cache, namespace)
        .patch(name, &params, &Patch::Json::<()>(json_patch::Patch(operations)))
        .await
    {
        Ok(changed) => {
            cache.wrote(changed.0);
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.is_not_found() => Err(Error::Conflict { action: what }),
        Err(source) => Err(refused(source, what)),
    }
}

async fn finalizer(
    context: &Context,
    rollout: &DynamicObject,
    finalizers: Vec<String>,
    what: &str,
) -> Result<(), Error> {
    let (namespace, name) = (rollout.namespace().unwrap_or_default(), rollout.name_any());
    let cache = &context.caches.rollouts;
    // The status was stored a moment ago, so the version to test is the newest one known.
    let version = cache
        .get(Some(&namespace), &name)
        .and_then(|object| object.resource_version());
    let operations = vec![test_version(version), add(at!["metadata", "finalizers"], finalizers)];
    patch_object(
        context,
        cache,
        &namespace,
        &name,
        operations,
        format!("{what} of CanaryRollout {namespace}/{name}"),
    )
    .await
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use kube::client::Body;

    use super::*;
    use crate::controller::{kinds::Caches, tests::context_of};

    fn service(version: &str, team: &str) -> DynamicObject {
        let metadata =
            json!({"name": "catalog", "namespace": "shop", "resourceVersion": version, "labels": {"team": team}});
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": {"app": "catalog"}}})).unwrap()
    }

    /// An API server that has this Service and carries out JSON Patches as a real one does.
    fn api_server(held: &DynamicObject) -> (kube::Client, Arc<Mutex<Value>>) {
        let object = Arc::new(Mutex::new(json!(held)));
        let holds = object.clone();
        let server = tower::service_fn(move |request: http::Request<Body>| {
            let object = holds.clone();
            async move {
                let body = request.into_body().collect_bytes().await.unwrap_or_default();
                let patch: json_patch::Patch = serde_json::from_slice(&body).unwrap();
                let mut object = object.lock().unwrap();
                let mut changed = object.clone();
                let (status, answer) = match json_patch::patch(&mut changed, &patch) {
                    Ok(()) => {
                        changed["metadata"]["resourceVersion"] = json!("20");
                        *object = changed.clone();
                        (200, changed)
                    }
                    Err(error) => (
                        422,
                        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": error.to_string(), "reason": "Invalid", "code": 422}),
                    ),
                };
                Ok::<_, Infallible>(
                    http::Response::builder()
                        .status(status)
                        .body(Body::from(answer.to_string().into_bytes()))
                        .unwrap(),
                )
            }
        });
        (kube::Client::new(server, "default"), object)
    }

    #[tokio::test]
    async fn an_object_that_was_changed_since_it_was_seen_is_not_patched() {
        let rollout = DynamicObject::new("catalog", &crate::controller::kinds::Kinds::rollout()).within("shop");
        let change = add(at!["spec", "selector", "pod-template-hash"], "abc");
        let action = Action::Patch {
            kind: Kind::Service,
            name: "catalog".to_owned(),
            patch: vec![change],
        };
        for (what, seen, known, held, done) in [
            ("nobody has changed it", Some(7), "7", "7", true),
            ("the watch has not told yet", Some(7), "7", "8", false),
            ("the watch has told since", Some(7), "8", "8", false),
            ("it was not there", None, "8", "8", false),
        ] {
            let caches = Caches::empty();
            caches.services.wrote(service(known, "a"));
            let (client, object) = api_server(&service(held, "b"));
            let context = context_of(client, Arc::new(caches));
            let versions = seen
                .map(|version| ((Kind::Service, "catalog".to_owned()), version))
                .into_iter()
                .collect();
            let result = apply(&context, &rollout, &versions, &action).await;
            assert_eq!(
                (matches!(result, Err(Error::Conflict { .. })), result.is_ok()),
                (!done, done),
                "{what}: {result:?}"
            );
            assert_eq!(
                object.lock().unwrap()["spec"]["selector"]
                    .get("pod-template-hash")
                    .is_some(),
                done,
                "{what}"
            );
        }
    }
}
