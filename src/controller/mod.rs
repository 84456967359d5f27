//! The imperative shell: watches, the pass over one rollout, and everything that talks to the API server.

pub mod apply;
pub mod caches;
pub mod context;
pub mod discovery;
pub mod error;
pub mod events;
pub mod gather;
pub mod keys;
pub mod reconcile;
pub mod shelf;
pub mod watches;

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use kube::runtime::{
    controller::{Action, Config, applier},
    reflector::ObjectRef,
};
use tokio_util::sync::CancellationToken;

pub use context::Context;

/// Passes that may run at once. Each is short: everything it reads is in memory.
const CONCURRENCY: u16 = 16;

/// Runs until `stop` is cancelled.
pub async fn run(context: Arc<Context>, queue: watches::Queue, stop: CancellationToken) {
    context.caches.wait_until_ready().await;
    context.readiness.set_ready();
    tracing::info!("all watches are in sync");
    let store = context.caches.rollouts.names();
    let config = Config::default().concurrency(CONCURRENCY);
    let requests = queue.take_until(stop.cancelled_owned());
    let passes = applier(
        |object, context| Box::pin(reconcile::reconcile(object, context)),
        |object, error, context: Arc<Context>| {
            let delay = context.backoff.next(&object);
            tracing::warn!(rollout = %ObjectRef::from_obj_with(&*object, caches::Kinds::rollout()), %error, delay_ms = delay.as_millis(), "pass failed");
            Action::requeue(delay)
        },
        context,
        store,
        requests,
        config,
    );
    passes.for_each(|_| std::future::ready(())).await;
}

/// A pass that takes longer than this is given up and tried again.
pub(crate) const PASS_TIMEOUT: Duration = Duration::from_mins(1);
