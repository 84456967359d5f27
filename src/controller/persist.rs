//! Stores a status, guarded by the version of the rollout on which it rests.

use crate::api::moment::Moment as _;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::{
    Resource, ResourceExt,
    api::{DynamicObject, GetParams, PostParams},
    core::{Request, request},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Context, decode::Answer, error::Error};
use crate::{
    api::{
        CanaryRolloutStatus, FIELD_MANAGER,
        status::{newer, trace},
    },
    engine::contract::durable,
};

/// The part of an answer that is read when only figures were stored: everything else in it is known.
#[derive(Deserialize)]
struct Stored {
    metadata: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    resource_version: String,
}

/// Has the API server leave everything but the metadata out of its answer.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Whether a status is to be stored.
pub enum Due {
    /// Never: it is the stored one.
    Never,
    /// Not before `at`: it differs from the stored one only in figures that may wait for `wait` after the last time.
    Later { at: Timestamp, wait: SignedDuration },
    /// In this pass.
    Now { only_figures: bool },
}

/// Whether a status is to be stored, on top of the stored one. Newer figures alone wait until the stored ones are old.
pub fn due(
    context: &Context,
    rollout: &DynamicObject,
    stored: Option<&Arc<CanaryRolloutStatus>>,
    next: &Arc<CanaryRolloutStatus>,
) -> Due {
    let Some(before) = stored else {
        return Due::Now { only_figures: false };
    };
    if *before == *next {
        return Due::Never;
    }
    let now = context.now();
    let wait = durable::may_wait(before, next);
    let at = context.drafts.stored_at(rollout, now).plus(wait);
    // A tick that comes just before or after stores what it found: no pass is needed for that alone.
    if now < at.minus(part(wait, 20)) {
        return Due::Later { at, wait };
    }
    Due::Now {
        only_figures: !wait.is_zero(),
    }
}

/// Stores the status if that is due, or keeps it. Returns when to come again to store it, if `wake`, the next pass there will be
/// anyway, is much later.
///
/// After newer figures `rollout` and `stored` are what the API server has now. After a transition they stay as they were read,
/// and everything has to be looked at anew.
pub async fn persist(
    context: &Context,
    rollout: &mut DynamicObject,
    stored: &mut Option<Arc<CanaryRolloutStatus>>,
    next: &Arc<CanaryRolloutStatus>,
    due: &Due,
    wake: Option<Timestamp>,
) -> Result<Option<Timestamp>, Error> {
    let now = context.now();
    let only_figures = match *due {
        Due::Never => {
            context.drafts.settled(rollout);
            return Ok(None);
        }
        Due::Later { at, wait } => {
            context.drafts.keep(rollout, stored.clone(), next.clone(), now);
            return Ok(Some(at).filter(|at| wake.is_none_or(|wake| wake > at.plus(part(wait, 3)))));
        }
        Due::Now { only_figures } => only_figures,
    };
    let (namespace, name) = (rollout.namespace().unwrap_or_default(), rollout.name_any());
    let cache = &context.caches.rollouts;
    let writing = cache.writing(&namespace, &name);
    let raw = cache
        .get(Some(&namespace), &name)
        .and_then(|known| known.data.get("status").cloned());
    let mut sent = raw
        .as_ref()
        .map_or_else(|| json!(**next), |raw| newer::keeping(raw, next));
    if raw.is_some_and(|raw| raw.get("run").is_some() && trace::is_quiet(&raw)) {
        put_back_traces(context, rollout, &mut sent).await?;
    }
    let version = if only_figures {
        let answer: Stored = replace(context, rollout, &sent, Some(METADATA_ONLY)).await?;
        let version = answer.metadata.resource_version;
        (rollout.metadata.resource_version, *stored) = (Some(version.clone()), Some(next.clone()));
        version
    } else {
        let Answer(answer) = replace(context, rollout, &sent, None).await?;
        context.compare_stored(&sent, &answer.data["status"]);
        let version = answer.resource_version().unwrap_or_default();
        // What follows from it was decided already, or follows from the actions.
        cache.wrote_finally(answer);
        version
    };
    context.drafts.stored(rollout, now);
    Ok(writing.ended(version.parse().unwrap_or_default()).then_some(now))
}

/// The copy in memory has no traces of releases that are over, and what is stored replaces the whole status: they are read again.
async fn put_back_traces(context: &Context, rollout: &DynamicObject, sent: &mut Value) -> Result<(), Error> {
    let resource = context.caches.rollouts.resource();
    let path = DynamicObject::url_path(resource, rollout.metadata.namespace.as_deref());
    let built = Request::new(path).get(&rollout.name_any(), &GetParams::default());
    let request = built.map_err(|error: request::Error| Error::Persist(kube::Error::BuildRequest(error)))?;
    let Answer(stored) = context.client.request(request).await.map_err(refused)?;
    if stored.metadata.resource_version != rollout.metadata.resource_version {
        return Err(conflict());
    }
    trace::put_back(sent, &stored.data["status"]);
    Ok(())
}

fn conflict() -> Error {
    Error::Conflict {
        action: "storing the status".to_owned(),
    }
}

fn refused(error: kube::Error) -> Error {
    match error {
        error if super::error::is_stale(&error) => conflict(),
        kube::Error::Api(status) if status.is_not_found() => conflict(),
        error => Error::Persist(error),
    }
}

/// One of so many equal parts.
fn part(of: SignedDuration, parts: i32) -> SignedDuration {
    of.checked_div(parts).unwrap_or_default()
}

/// Replaces the status: a merge patch cannot take fields away. The API server keeps the rest of the object as it is.
async fn replace<T: DeserializeOwned>(
    context: &Context,
    rollout: &DynamicObject,
    status: &Value,
    accept: Option<&'static str>,
) -> Result<T, Error> {
    let resource = context.caches.rollouts.resource();
    let (name, metadata) = (rollout.name_any(), &rollout.metadata);
    let identity = json!({"name": name, "namespace": metadata.namespace, "uid": metadata.uid, "resourceVersion": metadata.resource_version});
    let object =
        json!({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": identity, "status": status});
    let body = serde_json::to_vec(&object).map_err(|error| Error::Persist(kube::Error::SerdeError(error)))?;
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        dry_run: false,
    };
    let path = DynamicObject::url_path(resource, metadata.namespace.as_deref());
    let built = Request::new(path).replace_subresource("status", &name, &params, body);
    let mut request = built.map_err(|error: request::Error| Error::Persist(kube::Error::BuildRequest(error)))?;
    if let Some(accept) = accept {
        request
            .headers_mut()
            .insert(http::header::ACCEPT, http::HeaderValue::from_static(accept));
    }
    context.client.request(request).await.map_err(refused)
}

#[cfg(test)]
mod tests;
