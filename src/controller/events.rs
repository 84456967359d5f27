//! Tells Events: their names are made from the rollout and a number in its status, so none is told twice.

use crate::api::moment::Moment as _;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, PostParams},
};

use super::{
    Context,
    act::in_time,
    error::Error,
    logged,
    writes::{Target, Try},
};
use crate::{
    api::{
        CanaryRolloutStatus, FIELD_MANAGER, GROUP, VERSION,
        status::{Notice, size},
    },
    engine::{self, contract::observed::Obstacle},
};

/// A new process does not know which Events were told, so it tells those of the last 10 min again: the API server still has
/// those that were, and refuses a second one of the same name. Older ones it may have forgotten, and would take twice. Only
/// the end of a release is told at any age, unless the status says that it was.
const TOLD_AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// After 5 s the status takes in that the end of a release was told.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// The Events that are still to be told; `last` is the number of the last one that was, as far as this process knows.
pub fn due(status: &CanaryRolloutStatus, last: i64, now: Timestamp) -> impl Iterator<Item = &Notice> {
    let last = last.max(status.events.delivered);
    let is_due = move |notice: &&Notice| {
        notice.sequence > last && (engine::reports_an_end(notice) || now.duration_since(notice.at) <= TOLD_AGAIN)
    };
    status.events.pending.iter().filter(is_due)
}

/// Tells the Events that are due; returns when to look again for their sake. One that fails is logged and tried again, and
/// those after it are told all the same.
pub async fn announce(context: &Context, rollout: &DynamicObject, status: &CanaryRolloutStatus) -> Option<Timestamp> {
    let uid = rollout.uid().unwrap_or_default();
    let attempt = Try {
        target: Target::Events,
        action: None,
        version: None,
    };
    if !context.writes.is_due(&uid, &attempt) {
        return None;
    }
    let (mut again, mut held_up) = (None, false);
    for notice in due(status, context.told.last(&uid), context.now()) {
        match create(context, &event(rollout, notice)).await {
            Ok(()) => {}
            Err(error) => {
                logged::event_failed(context, rollout, &notice.reason, &error);
                context.writes.failed(&uid, &attempt, &error);
                held_up = true;
                if error.is_refusal() {
                    continue;
                }
                return again;
            }
        }
        tracing::info!(reason = notice.reason, "{}", notice.note);
        if !held_up {
            // Those after one that is refused are told again with it, under the same names.
            context.told.advance(&uid, notice.sequence);
        }
        if engine::reports_an_end(notice) {
            again = Some(context.now().plus(LOOK_AGAIN));
        }
    }
    if !held_up && context.writes.worked(&uid, &Target::Events) {
        logged::event_worked(context, rollout);
    }
    again
}

/// Tells, once for each stored status, that no other can be stored after it: the status itself cannot say so.
pub async fn tell_unstored(context: &Context, rollout: &DynamicObject, obstacle: &Obstacle) {
    if context.told.is_unstored_told(rollout) {
        return;
    }
    let version = rollout.resource_version().unwrap_or_default();
    let mut note = format!(
        "{}; until then no weight rises, a version that fails still loses its traffic, and what happens is told afterwards",
        obstacle.message
    );
    size::cut(&mut note, size::SENTENCE);
    let at = context.now();
    let notice = Notice {
        sequence: 0,
        reason: "StatusNotStored".to_owned(),
        warning: true,
        note,
        at,
    };
    let mut event = event(rollout, &notice);
    let uid = rollout.uid().unwrap_or_default();
    event.metadata.name = Some(format!("{}.{}-unstored-{version}", rollout.name_any(), short(&uid)));
    match create(context, &event).await {
        Ok(()) => {
            tracing::warn!(reason = notice.reason, "{}", notice.note);
            context.told.unstored_told(rollout);
        }
        Err(error) => logged::event_failed(context, rollout, &notice.reason, &error),
    }
}

/// Writes an Event; one that stands already is fine, and a namespace that is being deleted takes none.
async fn create(context: &Context, event: &Event) -> Result<(), Error> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    let events: Api<Event> = Api::namespaced(context.client.clone(), namespace);
    let action = || format!("writing an Event into {namespace}");
    let request = async {
        match events.create(&PostParams::default(), event).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() || status.is_not_found() => Ok(()),
            Err(kube::Error::Api(status)) if is_terminating(&status) => Ok(()),
            Err(source) => Err(Error::Apply {
                action: action(),
                source,
            }),
        }
    };
    in_time(action, request).await
}

/// The namespace is being deleted, and takes no new objects.
fn is_terminating(status: &kube::core::Status) -> bool {
    let causes = status.details.as_ref().map(|details| &details.causes);
    let named = causes
        .into_iter()
        .flatten()
        .any(|cause| cause.reason == "NamespaceTerminating");
    status.is_forbidden() && named
}

/// Enough of a UID to tell rollouts of one name apart.
fn short(uid: &str) -> &str {
    uid.get(..8).unwrap_or(uid)
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
            name: Some(format!("{name}.{}-{}", short(&uid), notice.sequence)),
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
                let refusal = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": if status == 409 { "AlreadyExists" } else { "no" }, "code": status});
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
        let again =
            announce(&context, &rollout, &status).await.is_some() || context.writes.next("0123456789").is_some();
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
