//! Asks the API server, by dry runs, whether it holds changed templates, and remembers what it has said.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
};

use jiff::Timestamp;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{Context, REQUEST_TIMEOUT, context::lock, decode::Answer};
use crate::{
    api::FIELD_MANAGER,
    engine::contract::{
        Identity,
        observed::{Observed, Policy, Probed},
    },
    workload::deployment,
};

/// Dry runs that are under way at once: after a start every rollout needs one.
const AT_ONCE: usize = 4;

/// Under which policy something was said, and what.
struct Said {
    policy: String,
    probed: Probed,
}

/// What dry runs have told, by UID of the rollout.
pub struct Holds {
    said: Mutex<HashMap<String, Said>>,
    turns: Semaphore,
}

impl Default for Holds {
    fn default() -> Self {
        Self {
            said: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }
}

impl Holds {
    /// What was said under this policy, if anything.
    pub fn of(&self, uid: &str, policy: &Policy) -> Option<Probed> {
        let Policy::Standing(policy) = policy else { return None };
        let all = lock(&self.said);
        let said = all.get(uid).filter(|said| said.policy == *policy)?;
        Some(said.probed.clone())
    }

    fn say(&self, uid: &str, policy: &str, probed: Probed) {
        let said = Said {
            policy: policy.to_owned(),
            probed,
        };
        lock(&self.said).insert(uid.to_owned(), said);
    }

    /// The rollout is gone.
    pub fn forget(&self, uid: &str) {
        lock(&self.said).remove(uid);
    }

    /// All others are gone.
    pub fn keep_only(&self, uids: &HashSet<String>) {
        lock(&self.said).retain(|uid, _| uids.contains(uid));
    }
}

/// Asks whether the Deployment would be paused by a change of its template, as soon as it is this one's turn.
pub async fn probe(context: &Context, id: &Identity, seen: &mut Observed) {
    let (Policy::Standing(policy), Some(target)) = (&seen.policy, &seen.deployment) else {
        return;
    };
    let Ok(_turn) = context.holds.turns.acquire().await else {
        return;
    };
    let before = context.holds.of(&id.uid, &seen.policy);
    let probed = match ask(context, id, &target.name).await {
        Ok(answer) if deployment::is_held(&answer) => Probed::Holds,
        Ok(_) => {
            let why = "a dry run of a changed template came back without spec.paused";
            does_not_hold(why.to_owned(), context.now(), before.as_ref())
        }
        Err(failure) => failed(failure, context.now(), before),
    };
    tracing::debug!(
        namespace = id.namespace,
        rollout = id.name,
        ?probed,
        "asked whether a changed template is held"
    );
    context.holds.say(&id.uid, policy, probed.clone());
    seen.probed = Some(probed);
}

/// Why a dry run told nothing.
enum Failure {
    /// It did not answer in time, or not now.
    Unanswered(String),
    /// It refuses the dry run.
    Refused(String),
}

async fn ask(context: &Context, id: &Identity, name: &str) -> Result<Value, Failure> {
    let resource = context.caches.deployments.resource();
    let deployments: Api<Answer> = Api::namespaced_with(context.client.clone(), &id.namespace, resource);
    let params = PatchParams {
        dry_run: true,
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(deployment::probe(&id.name));
    let what = format!("dry run of a changed template of Deployment {name}");
    let answer = tokio::time::timeout(REQUEST_TIMEOUT, deployments.patch(name, &params, &patch)).await;
    match answer {
        Ok(Ok(Answer(object))) => Ok(object.data),
        Ok(Err(kube::Error::Api(status))) if is_final(status.code) => {
            Err(Failure::Refused(format!("{what}: {}", status.message)))
        }
        Ok(Err(error)) => Err(Failure::Unanswered(format!("{what}: {error}"))),
        Err(_) => Err(Failure::Unanswered(format!(
            "{what}: no answer within {REQUEST_TIMEOUT:?}"
        ))),
    }
}

/// Whether the same request would be refused again.
fn is_final(code: u16) -> bool {
    const NOT_NOW: [u16; 4] = [404, 408, 409, 429];
    (400..500).contains(&code) && !NOT_NOW.contains(&code)
}

fn does_not_hold(why: String, now: Timestamp, before: Option<&Probed>) -> Probed {
    match before {
        Some(Probed::DoesNotHold { since, .. }) => Probed::DoesNotHold { since: *since, why },
        _ => Probed::DoesNotHold { since: now, why },
    }
}

fn failed(failure: Failure, now: Timestamp, before: Option<Probed>) -> Probed {
    match (failure, before) {
        (Failure::Refused(why), before) => does_not_hold(why, now, before.as_ref()),
        (Failure::Unanswered(why), Some(Probed::Unanswered { since, .. })) => Probed::Unanswered { since, why },
        (Failure::Unanswered(why), _) => Probed::Unanswered { since: now, why },
    }
}
