//! What a pass does although the metrics store has not answered yet: everything but more traffic for the new version.

use std::{sync::Arc, time::Duration};

use kube::ResourceExt;

use super::{
    Context,
    act::any_is_due,
    gather,
    kinds::KINDS,
    recent::Look,
    reconcile::{known, look_at_all, remember},
    shelf::version,
    writes::{Target, Try},
};
use crate::{
    api::CanaryRolloutStatus,
    engine::{
        self,
        contract::{Identity, action::Ordered, durable},
    },
};

/// How often a pass that waits for an answer looks whether something is to be done without it: every 500 ms.
const UNDISTURBED: Duration = Duration::from_millis(500);

/// What this rollout's decisions rest on, in versions: its own, those of the RolloutActions beside it, those of the caches.
type Basis = (Option<u64>, u64, [u64; KINDS]);

fn basis(context: &Context, id: &Identity) -> Basis {
    (
        context.caches.rollouts.version(&id.namespace, &id.name),
        context.caches.actions.stamp(&id.namespace),
        context.caches.stamp(&id.namespace),
    )
}

/// Waits until something is to be done that needs no answer.
pub(super) async fn pressing(context: &Context, id: &Identity) {
    let mut seen = None;
    let mut found = Found::default();
    loop {
        tokio::time::sleep(UNDISTURBED).await;
        let now = basis(context, id);
        if seen != Some(now) {
            match found_now(context, id).await {
                // A write of ours has yet to come back.
                Err(_) => continue,
                Ok(None) => return,
                Ok(Some(news)) => found = news,
            }
            seen = Some(now);
        }
        if found.is_due(context, id) {
            return;
        }
    }
}

/// What is to be done without an answer.
#[derive(Default)]
struct Found {
    look: Option<Look>,
    actions: Vec<Ordered>,
    /// The status becomes another one.
    transition: bool,
}

impl Found {
    /// What was refused waits for its own next try.
    fn is_due(&self, context: &Context, id: &Identity) -> bool {
        let Some(look) = &self.look else { return false };
        let status = Try {
            target: Target::Status,
            action: None,
            version: Some(version(&look.rollout)),
        };
        let stores = self.transition && context.writes.is_due(&id.uid, &status);
        stores || any_is_due(context, look, &id.uid, &self.actions)
    }
}

/// Looks and decides as if nothing had been asked. Nothing if the rollout is gone.
async fn found_now(context: &Context, id: &Identity) -> Result<Option<Found>, super::error::Error> {
    let Some(mut look) = look_at_all(context, &id.namespace, &id.name).await? else {
        return Ok(None);
    };
    if look.rollout.uid().as_deref() != Some(&id.uid) {
        return Ok(None);
    }
    let status: Arc<CanaryRolloutStatus> = known(context, &look.rollout, look.stored.as_ref());
    remember(context, id, &mut look).await;
    let needs = engine::needs(id, &look.in_force, &status, &look.seen, context.now());
    gather::read_actions(context, id, &needs.actions, &mut look.seen).await;
    let decision = engine::decide(id, &look.in_force, &status, &look.seen, context.now());
    if engine::gives_more(&status, &decision.status) {
        return Ok(Some(Found::default()));
    }
    Ok(Some(Found {
        transition: durable::says_more(&status, &decision.status),
        actions: decision.actions,
        look: Some(look),
    }))
}
