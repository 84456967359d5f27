//! The imperative shell: watches, the pass over one rollout, and everything that talks to the API server.

mod act;
pub mod apply;
pub mod caches;
pub mod calls;
mod concerns;
pub mod context;
mod decode;
pub mod discovery;
pub mod error;
pub mod events;
mod fetch;
mod follow;
pub mod gather;
mod hold;
mod intake;
pub mod kinds;
pub mod leadership;
mod list;
mod list_watch;
mod logged;
pub mod metrics;
pub mod named;
mod orphans;
pub mod panics;
mod persist;
mod pressing;
pub mod recent;
pub mod reconcile;
mod refused;
pub mod shelf;
mod slim;
pub mod snapshot;
mod sought;
mod split;
mod sweep;
#[cfg(test)]
pub(crate) mod tests;
mod told;
pub mod watches;
pub mod writes;

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::{
    FutureExt, Stream, StreamExt,
    stream::{self, FuturesUnordered},
};
use kube::runtime::controller::{Action, Config, ReconcileRequest, applier};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::log::outage::Outage;
pub use context::Context;
use named::Named;

/// 0: kube limits nothing. `Context::slot` limits the passes that run at once instead, because one that waits for a metrics store
/// must not count.
const CONCURRENCY: u16 = 0;

/// The first passes of a new leader come at random within 5 ms per rollout, so that they do not all come at once.
const SPREAD: Duration = Duration::from_millis(5);
/// However many rollouts there are, the first passes all come within 2 s.
const LONGEST_SPREAD: Duration = Duration::from_secs(2);

/// What is remembered of a rollout that is gone goes within 10 min.
const FORGET_EVERY: Duration = Duration::from_mins(10);

/// Stands by until this process leads, and works until `stop` is cancelled and the passes that run then have ended.
pub async fn run(context: Arc<Context>, mut queue: watches::Queue, stop: CancellationToken) {
    tokio::select! {
        biased;
        () = stop.cancelled() => return,
        () = stand_by(&context, &mut queue) => {}
    }
    let store = context.caches.rollouts.names();
    let config = Config::default().concurrency(CONCURRENCY);
    let requests = stream::select(first(&context), queue).take_until(stop.clone().cancelled_owned());
    let waiting = context.clone();
    let passes = applier(
        |object, context| Box::pin(reconcile::reconcile(object, context)),
        // The pass has logged it.
        |object, _, context: Arc<Context>| Action::requeue(context.backoff.next(&*object)),
        context,
        store,
        requests,
        config,
    );
    tokio::select! {
        () = passes.for_each(|_| std::future::ready(())) => {}
        () = forget_gone(&waiting) => {}
        () = orphans::run(&waiting) => {}
        () = async { stop.cancelled().await; waiting.begin_no_more(); std::future::pending().await } => {}
    }
}

/// Forgets again and again what is remembered of rollouts that are gone.
async fn forget_gone(context: &Context) {
    loop {
        sleep(FORGET_EVERY).await;
        context.forget_gone();
    }
}

/// Longest wait for one write to the API server: 5 s, where milliseconds are usual. The pass fails then and is tried again.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time of what a pass does once it has its answers: 1 min. It is given up then and tried again.
pub(crate) const PASS_TIMEOUT: Duration = Duration::from_mins(1);

/// Keeps the caches warm until this process leads.
async fn stand_by(context: &Context, queue: &mut watches::Queue) {
    let lead = async {
        context.caches.wait_until_ready().await;
        context.readiness.set_ready();
        tracing::info!("all watches are in sync");
        context.leadership.held().await;
    };
    // Requests that come meanwhile are dropped: kept, they would pile up, and a new leader looks at every rollout anyway.
    let drop_requests = async {
        while queue.next().await.is_some() {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = lead => {}
        () = drop_requests => {}
    }
    while let Some(Some(_)) = queue.next().now_or_never() {}
    let mut outage = Outage::new(Duration::ZERO);
    while let Err(error) = catch_up(context).await {
        if outage.failed(Instant::now()) {
            tracing::warn!(%error, "reading all CanaryRollouts failed; it is tried again every second, and no pass begins before it works");
        }
        sleep(Duration::from_secs(1)).await;
    }
    if let Some(past) = outage.worked(Instant::now()) {
        tracing::info!(
            lasted_ms = past.lasted_ms(),
            tries = past.tries,
            "all CanaryRollouts are read, passes begin"
        );
    }
}

/// Reads every rollout once. The leader before this one may have stored a step a moment ago, and a
/// pass over an older status would take the step's weight in the route for somebody else's edit.
async fn catch_up(context: &Context) -> Result<(), list::Error> {
    let rollouts = &context.caches.rollouts;
    let mut items = list::Items::new(context.client.clone(), list::Query::all(rollouts.resource().clone()));
    while let Some(item) = items.next().await? {
        if let split::Item::Text(text) = item
            && let Some(rollout) = intake::read(&context.caches, rollouts.row(), &text, decode::object)
        {
            rollouts.freshen(rollout);
        }
    }
    Ok(())
}

/// A request for each rollout: a new leader looks at every one.
fn first(context: &Context) -> impl Stream<Item = Result<ReconcileRequest<Named>, Infallible>> + use<> {
    let rollouts = context.caches.rollouts.places();
    let spread = SPREAD
        .saturating_mul(u32::try_from(rollouts.len()).unwrap_or(u32::MAX))
        .min(LONGEST_SPREAD);
    let request = |(namespace, name): (String, String)| async move {
        sleep(spread.mul_f64(fastrand::f64())).await;
        Ok(ReconcileRequest::from(named::rollout_ref(Some(namespace), name)))
    };
    rollouts.into_iter().map(request).collect::<FuturesUnordered<_>>()
}
