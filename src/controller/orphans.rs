//! RolloutActions that name no rollout: nobody's pass answers them, so they expire here, and go as others do.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::json;
use tokio::{
    task::yield_now,
    time::{sleep, timeout},
};

use super::{Context, REQUEST_TIMEOUT, apply, error::Error, snapshot::Snapshot};
use crate::{
    api::{action::ActionPhase, moment::Moment as _},
    engine::contract::action::{EXPIRES_AFTER, FORGET_AFTER},
    kubernetes::json::text,
};

/// They are looked for once a minute.
const LOOKED_FOR_EVERY: Duration = Duration::from_mins(1);

/// Answers and removes them, again and again.
pub(super) async fn run(context: &Context) {
    loop {
        sleep(LOOKED_FOR_EVERY).await;
        once(context).await;
    }
}

/// Answers and removes those that are due.
async fn once(context: &Context) {
    let caches = &context.caches;
    let mut named: Vec<_> = caches.actions.keys_like(|_| true).into_iter().collect();
    named.sort();
    for (namespace, rollout) in named {
        yield_now().await;
        for action in caches.actions.about(&namespace, &rollout) {
            // It may come while its actions are answered.
            if exists(context, &namespace, &rollout) {
                break;
            }
            let done = match due(&action, context.now()) {
                Due::Nothing => continue,
                Due::Answer => timeout(REQUEST_TIMEOUT, expire(context, &namespace, &action)).await,
                Due::Removal => {
                    let name = action.name_any();
                    timeout(REQUEST_TIMEOUT, apply::forget(context, &namespace, &name)).await
                }
            };
            match done {
                Ok(Ok(())) => {}
                // What is refused is tried again with the next round.
                Ok(Err(error)) if !error.is_outage() => tracing::debug!(namespace, %error, "a RolloutAction stays"),
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }
}

/// Says that it has found no rollout.
async fn expire(context: &Context, namespace: &str, action: &Snapshot) -> Result<(), Error> {
    let rollout = text(&action.data, "/spec/rollout");
    let message = format!("for ten minutes there was no CanaryRollout {rollout} in this namespace");
    let status =
        json!({"phase": ActionPhase::Expired, "reason": "RolloutNotFound", "message": message, "at": context.now()});
    let version = action.resource_version().unwrap_or_default();
    apply::answer(context, namespace, &action.name_any(), &version, status).await
}

fn exists(context: &Context, namespace: &str, rollout: &str) -> bool {
    let rollouts = &context.caches.rollouts;
    rollouts.version(namespace, rollout).is_some() || rollouts.rest_of(namespace, rollout).is_some()
}

/// What is to be done with an action whose rollout does not exist.
enum Due {
    Nothing,
    Answer,
    Removal,
}

fn due(action: &Snapshot, now: Timestamp) -> Due {
    let created = action.metadata.creation_timestamp.as_ref();
    let created = created.map(|time| time.0).unwrap_or_default();
    if text(&action.data, "/status/phase").is_empty() {
        return if now >= created.plus(EXPIRES_AFTER) {
            Due::Answer
        } else {
            Due::Nothing
        };
    }
    let answered = text(&action.data, "/status/at").parse().unwrap_or(created);
    if now >= answered.plus(FORGET_AFTER) {
        Due::Removal
    } else {
        Due::Nothing
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::SignedDuration;
    use kube::api::DynamicObject;
    use serde_json::Value;

    use super::*;
    use crate::controller::tests::{api_server, caches, context_of, rollout};

    fn action(name: &str, rollout: &str, age: SignedDuration, status: &Value) -> DynamicObject {
        let created = Timestamp::now().minus(age);
        serde_json::from_value(json!({"apiVersion": "warmfront.dev/v1alpha1", "kind": "RolloutAction",
            "metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "5", "creationTimestamp": created},
            "spec": {"rollout": rollout, "action": "Abort"}, "status": status}))
        .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn actions_for_a_rollout_that_does_not_exist_expire_and_go_a_day_later() {
        let (minutes, hours) = (SignedDuration::from_mins, SignedDuration::from_hours);
        let answered = |age: SignedDuration| json!({"phase": "Expired", "at": Timestamp::now().minus(age)});
        let known = caches(vec![rollout("1")]);
        for one in [
            action("late", "none", minutes(11), &json!({})),
            action("young", "none", minutes(9), &json!({})),
            action("old", "none", hours(48), &answered(hours(25))),
            action("told", "none", hours(48), &answered(hours(23))),
            action("of-catalog", "catalog", hours(48), &json!({})),
        ] {
            known.actions.wrote(one);
        }
        let (client, requests) = api_server(Duration::ZERO);
        once(&context_of(client, Arc::new(known))).await;
        let asked = requests.lock().unwrap().clone();
        let what: Vec<&str> = asked.iter().map(|(what, _)| what.as_str()).collect();
        assert_eq!(what, ["PATCH status", "DELETE old"], "{asked:?}");
        let patch = &asked[0].1;
        assert_eq!(
            (
                &patch[0]["value"],
                &patch[1]["value"]["phase"],
                &patch[1]["value"]["reason"]
            ),
            (&json!("5"), &json!("Expired"), &json!("RolloutNotFound"))
        );
    }
}
