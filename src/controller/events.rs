//! Tells Events: their names are made from the rollout and a number in its status, so none is told twice.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, PostParams},
};

use super::{Context, logged};
use crate::{
    api::{CanaryRolloutStatus, FIELD_MANAGER, GROUP, VERSION, status::Notice},
    engine,
};

/// A new process does not know which Events were told, so it tells those of the last 10 min again: the API server still has
/// those that were, and refuses a second one of the same name. Older ones it may have forgotten, and would take twice. Only
/// the end of a release is told at any age, unless the status says that it was.
const TOLD_AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// After 5 s an Event that failed is tried again, and the status takes in that the end of a release was told.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// The Events that are still to be told; `last` is the number of the last one that was, as far as this process knows.
pub fn due(status: &CanaryRolloutStatus, last: i64, now: Timestamp) -> impl Iterator<Item = &Notice> {
    let last = last.max(status.events.delivered);
    let is_due = move |notice: &&Notice| {
        notice.sequence > last && (engine::reports_an_end(notice) || now.duration_since(notice.at) <= TOLD_AGAIN)
    };
    status.events.pending.iter().filter(is_due)
}

/// Tells the Events that are due; returns when to look again for their sake. A failure is logged and tried again then.
pub async fn announce(context: &Context, rollout: &DynamicObject, status: &CanaryRolloutStatus) -> Option<Timestamp> {
    let uid = rollout.uid().unwrap_or_default();
    let namespace = rollout.namespace().unwrap_or_default();
    let events: Api<Event> = Api::namespaced(context.client.clone(), &namespace);
    let mut again = None;
    for notice in due(status, context.told.last(&uid), context.now()) {
        match events.create(&PostParams::default(), &event(rollout, notice)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            // A namespace that is being deleted takes no Events.
            Err(kube::Error::Api(status)) if status.is_forbidden() || status.is_not_found() => {}
            Err(error) => {
                logged::event_failed(context, rollout, &notice.reason, &error);
                return Some(context.now() + LOOK_AGAIN);
            }
        }
        tracing::info!(reason = notice.reason, "{}", notice.note);
        logged::event_worked(context, rollout);
        context.told.advance(&uid, notice.sequence);
        if engine::reports_an_end(notice) {
            again = Some(context.now() + LOOK_AGAIN);
        }
    }
    again
}

/// An Event about a rollout. Its name is made from the rollout's UID and the number: the same notice never makes two.
fn event(rollout: &DynamicObject, notice: &Notice) -> Event {
    let (name, namespace, uid) = (
        rollout.name_any(),
        rollout.namespace(),
        rollout.uid().unwrap_or_default(),
    );
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{}-{}", uid.get(..8).unwrap_or(&uid), notice.sequence)),
            namespace: namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(format!("{GROUP}/{VERSION}")),
            kind: Some("CanaryRollout".to_owned()),
            name: Some(name),
            namespace,
            uid: Some(uid),
            ..ObjectReference::default()
        },
        reason: Some(notice.reason.clone()),
        message: Some(notice.note.clone()),
        type_: Some(if notice.warning { "Warning" } else { "Normal" }.to_owned()),
        first_timestamp: Some(Time(notice.at)),
        last_timestamp: Some(Time(notice.at)),
        count: Some(1),
        source: Some(EventSource {
            component: Some(FIELD_MANAGER.to_owned()),
            host: None,
        }),
        reporting_component: Some(FIELD_MANAGER.to_owned()),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use kube::{Client, client::Body};
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::{
        kinds::{Caches, Kinds},
        tests::context_of,
    };

    type Told = Arc<Mutex<Vec<String>>>;

    /// A controller that has just started, at this time, and the reasons of the Events that it tells.
    fn started(now: Timestamp, status: u16) -> (Context, Told) {
        let told = Told::default();
        let seen = told.clone();
        let server = tower::service_fn(move |request: http::Request<Body>| {
            let seen = seen.clone();
            async move {
                let body = request.into_body().collect_bytes().await.unwrap_or_default();
                let event: Value = serde_json::from_slice(&body).unwrap_or_default();
                seen.lock()
                    .unwrap()
                    .push(event["reason"].as_str().unwrap_or_default().to_owned());
                let refusal = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": "no", "code": status});
                let body = if status < 300 { event } else { refusal };
                let answer = http::Response::builder()
                    .status(status)
                    .body(Body::from(body.to_string().into_bytes()));
                Ok::<_, Infallible>(answer.unwrap())
            }
        });
        let mut context = context_of(Client::new(server, "default"), Arc::new(Caches::empty()));
        context.clock = Box::new(move || now);
        (context, told)
    }

    async fn announced(after: SignedDuration, known: i64, answer: u16) -> (Vec<String>, bool) {
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let notice = |sequence: i64, reason: &str| json!({"sequence": sequence, "reason": reason, "warning": false, "note": "", "at": at});
        let pending = json!([
            notice(3, "WeightConfirmed"),
            notice(4, "Promoted"),
            notice(5, "ScaledDown")
        ]);
        let status: CanaryRolloutStatus =
            serde_json::from_value(json!({"events": {"emitted": 5, "delivered": known, "pending": pending}})).unwrap();
        let mut rollout = DynamicObject::new("catalog", &Kinds::rollout()).within("shop");
        rollout.metadata.uid = Some("0123456789".to_owned());
        let (context, told) = started(at + after, answer);
        let again = announce(&context, &rollout, &status).await.is_some();
        let told = told.lock().unwrap().clone();
        (told, again)
    }

    #[tokio::test]
    async fn the_end_of_a_release_is_told_however_long_nobody_was_there_to_tell_it() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (soon, later) = (SignedDuration::from_mins(9), SignedDuration::from_hours(30));
        assert_eq!(
            announced(soon, 0, 201).await,
            (names(&["WeightConfirmed", "Promoted", "ScaledDown"]), true)
        );
        assert_eq!(
            announced(later, 0, 201).await,
            (names(&["Promoted"]), true),
            "and it is looked again, to remember that"
        );
        assert_eq!(
            announced(later, 0, 409).await,
            (names(&["Promoted"]), true),
            "it had been told"
        );
        assert_eq!(
            announced(later, 4, 201).await,
            (names(&[]), false),
            "a start alone writes nothing"
        );
        assert_eq!(announced(soon, 4, 201).await, (names(&["ScaledDown"]), false));
        assert_eq!(
            announced(later, 0, 500).await,
            (names(&["Promoted"]), true),
            "what fails is tried again"
        );
    }
}
