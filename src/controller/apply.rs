//! Carries out what the engine asks for, each change guarded by the version of the object that it saw.

use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

use super::{
    Context,
    caches::Cache,
    error::{Error, is_stale},
};
use crate::{
    api::{FIELD_MANAGER, FINALIZER},
    engine::Action,
};

/// Carries out one action.
pub async fn apply(context: &Context, rollout: &DynamicObject, action: &Action) -> Result<(), Error> {
    let namespace = rollout.namespace().unwrap_or_default();
    let caches = &context.caches;
    match action {
        Action::AddFinalizer => {
            let mut finalizers = rollout.finalizers().to_vec();
            finalizers.push(FINALIZER.to_owned());
            finalizer(context, rollout, finalizers, "adding the finalizer").await
        }
        Action::DropFinalizer => {
            let finalizers = rollout.finalizers().iter().filter(|name| *name != FINALIZER).cloned().collect();
            context.told.forget(&rollout.uid().unwrap_or_default());
            context.drafts.forget(&rollout.uid().unwrap_or_default());
            context.calls.forget(&rollout.uid().unwrap_or_default());
            context.recent.forget(rollout);
            finalizer(context, rollout, finalizers, "dropping the finalizer").await
        }
        Action::Create { kind, object } => {
            let cache = caches.of(*kind);
            let what = format!("creating {kind} {namespace}/{}", object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default());
            let object: DynamicObject =
                serde_json::from_value((**object).clone()).map_err(|source| Error::Apply { action: what.clone(), source: kube::Error::SerdeError(source) })?;
            let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: false };
            tracing::info!(rollout = rollout.name_any(), "{what}");
            match api(context, cache, &namespace).create(&params, &object).await {
                Ok(created) => cache.wrote(created),
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(source) => return Err(Error::Apply { action: what, source }),
            }
            Ok(())
        }
        Action::Patch { kind, name, patch, .. } => {
            let cache = caches.of(*kind);
            let what = format!("changing {kind} {namespace}/{name}");
            let Some(current) = cache.get(Some(&namespace), name) else {
                return Err(Error::Conflict { action: what });
            };
            let mut operations = vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": current.resource_version()})];
            operations.extend(patch.iter().cloned());
            tracing::info!(rollout = rollout.name_any(), patch = %json!(patch), "{what}");
            patch_object(context, cache, &namespace, name, operations, what).await
        }
        Action::Delete { kind, name } => {
            let cache = caches.of(*kind);
            let what = format!("deleting {kind} {namespace}/{name}");
            let uid = cache.get(Some(&namespace), name).and_then(|object| object.uid());
            let params = DeleteParams { preconditions: Some(Preconditions { uid, resource_version: None }), ..DeleteParams::background() };
            tracing::info!(rollout = rollout.name_any(), "{what}");
            match api(context, cache, &namespace).delete(name, &params).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(source) => return Err(refused(source, what)),
            }
            Ok(())
        }
        Action::Answer { name, phase, reason, message } => {
            let status = json!({"status": {"phase": phase, "reason": reason, "message": message, "at": context.now()}});
            let what = format!("answering RolloutAction {namespace}/{name}");
            match api(context, &caches.actions, &namespace).patch_status(name, &PatchParams::apply(FIELD_MANAGER), &Patch::Merge(&status)).await {
                Ok(answered) => caches.actions.wrote(answered),
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(source) => return Err(refused(source, what)),
            }
            Ok(())
        }
        Action::Forget { name } => {
            let what = format!("removing RolloutAction {namespace}/{name}");
            match api(context, &caches.actions, &namespace).delete(name, &DeleteParams::default()).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(source) => return Err(refused(source, what)),
            }
            Ok(())
        }
    }
}

fn api(context: &Context, cache: &Cache, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(context.client.clone(), namespace, cache.resource())
}

fn refused(source: kube::Error, action: String) -> Error {
    if is_stale(&source) { Error::Conflict { action } } else { Error::Apply { action, source } }
}

async fn patch_object(context: &Context, cache: &Cache, namespace: &str, name: &str, operations: Vec<Value>, what: String) -> Result<(), Error> {
    let patch: json_patch::Patch =
        serde_json::from_value(Value::from(operations)).map_err(|source| Error::Apply { action: what.clone(), source: kube::Error::SerdeError(source) })?;
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match api(context, cache, namespace).patch(name, &params, &Patch::Json::<()>(patch)).await {
        Ok(changed) => {
            cache.wrote(changed);
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.is_not_found() => Err(Error::Conflict { action: what }),
        Err(source) => Err(refused(source, what)),
    }
}

async fn finalizer(context: &Context, rollout: &DynamicObject, finalizers: Vec<String>, what: &str) -> Result<(), Error> {
    let (namespace, name) = (rollout.namespace().unwrap_or_default(), rollout.name_any());
    let cache = &context.caches.rollouts;
    // The status was stored a moment ago, so the version to test is the newest one known.
    let version = cache.get(Some(&namespace), &name).and_then(|object| object.resource_version());
    let operations = vec![
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}),
        json!({"op": "add", "path": "/metadata/finalizers", "value": finalizers}),
    ];
    patch_object(context, cache, &namespace, &name, operations, format!("{what} of CanaryRollout {namespace}/{name}")).await
}
