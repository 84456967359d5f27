//! Tells Events: their names are made from the rollout and a number in its status, so none is told twice.

use jiff::SignedDuration;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, PostParams},
};

use super::Context;
use crate::api::{CanaryRolloutStatus, FIELD_MANAGER, GROUP, VERSION};

/// After a restart Events of this age are told again; older ones were.
const TOLD_AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// Tells what was not told yet. A failure is logged and tried again at the next pass.
pub async fn announce(context: &Context, rollout: &DynamicObject, status: &CanaryRolloutStatus) {
    let uid = rollout.uid().unwrap_or_default();
    let namespace = rollout.namespace().unwrap_or_default();
    let events: Api<Event> = Api::namespaced(context.client.clone(), &namespace);
    let last = context.told.last(&uid);
    for notice in status.telling.iter().filter(|notice| notice.sequence > last) {
        if context.now().duration_since(notice.at) > TOLD_AGAIN {
            continue;
        }
        let name = rollout.name_any();
        let event = Event {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{}-{}", uid.get(..8).unwrap_or(&uid), notice.sequence)),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some(format!("{GROUP}/{VERSION}")),
                kind: Some("CanaryRollout".to_owned()),
                name: Some(name),
                namespace: Some(namespace.clone()),
                uid: Some(uid.clone()),
                ..ObjectReference::default()
            },
            reason: Some(notice.reason.clone()),
            message: Some(notice.note.clone()),
            type_: Some(if notice.warning { "Warning" } else { "Normal" }.to_owned()),
            first_timestamp: Some(Time(notice.at)),
            last_timestamp: Some(Time(notice.at)),
            count: Some(1),
            source: Some(EventSource { component: Some(FIELD_MANAGER.to_owned()), host: None }),
            reporting_component: Some(FIELD_MANAGER.to_owned()),
            ..Event::default()
        };
        tracing::info!(rollout = event.involved_object.name, %namespace, reason = notice.reason, "{}", notice.note);
        match events.create(&PostParams::default(), &event).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            // A namespace that is going takes no Events.
            Err(kube::Error::Api(status)) if status.is_forbidden() || status.is_not_found() => {}
            Err(error) => {
                tracing::warn!(%error, reason = notice.reason, "an Event could not be told; it is tried again");
                return;
            }
        }
        context.told.advance(&uid, notice.sequence);
    }
}
