//! One watch per kind; every change is traced to the rollouts that it concerns.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream, stream::BoxStream};
use kube::{
    Client, ResourceExt,
    runtime::{WatchStreamExt, controller::ReconcileRequest, watcher::Event},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

use super::{
    concerns,
    discovery::{Absent, Installed, Optional},
    follow::follow,
    intake,
    kinds::{Caches, PICKS, Pick, Presence, Row, Watched},
    list::{self, Query},
    list_watch::{Decode, ListWatch},
    named::{Named, RolloutRef},
    panics::{self, Work},
    sought::Sought,
    sweep,
    told::Told,
};
use crate::log::outage::Outages;

/// Requests to look at a rollout.
pub type Queue = Pin<Box<dyn Stream<Item = Result<ReconcileRequest<Named>, std::convert::Infallible>> + Send>>;

/// Puts requests to look at a rollout into the queue.
pub type Requests = mpsc::UnboundedSender<RolloutRef>;

/// Opens the watch of one kind.
pub(super) type Start = Box<dyn FnOnce(Arc<Caches>, Requests) + Send>;

type Events = BoxStream<'static, Result<Event<Told>, list::Error>>;

/// How long after a panic a watch is opened again.
const OPENED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Everything of a kind, and then its changes.
fn watch(client: &Client, row: Row, caches: &Arc<Caches>) -> Events {
    let query = Query {
        metadata_only: row.watched == Watched::Metadata,
        ..Query::all(row.resource())
    };
    let caches = caches.clone();
    let decode: Decode<Told> = Arc::new(move |text, read| intake::read(&caches, &row, text, read));
    let watch = ListWatch::new(client.clone(), query, decode);
    let events = stream::unfold(watch, |mut watch| async {
        let told = watch.next().await;
        Some((told, watch))
    });
    events.boxed().default_backoff().boxed()
}

/// What opens the watch of one kind.
fn prepare(client: &Client, tasks: &TaskTracker, row: &Row, pick: Pick) -> Start {
    let (row, tasks, client) = (*row, tasks.clone(), client.clone());
    Box::new(move |caches: Arc<Caches>, requests: Requests| {
        let known = caches.clone();
        let take_in = move |event: Event<Told>| {
            for object in known.follow(pick(&known), event) {
                for rollout in concerns::of(&known, row.sought, &object) {
                    // The receiver is gone only when the process stops.
                    let _ = requests.send(rollout);
                }
            }
        };
        tasks.spawn(async move {
            if !matches!(row.sought, Sought::All(_)) {
                // Who seeks objects must be known before they come, or they would all have to be fetched.
                caches.rollouts.wait_until_listed().await;
            }
            keep_watching(|| watch(&client, row, &caches), row.kind, take_in).await;
        });
    })
}

/// Takes in what a watch tells. An object that makes that panic is left out, and nothing else; a watch that panics is opened again.
async fn keep_watching(open: impl Fn() -> Events, kind: &'static str, take_in: impl Fn(Event<Told>)) {
    let mut failing = Outages::new(Duration::ZERO);
    loop {
        let watching = async {
            let mut events = std::pin::pin!(follow(open(), kind.to_owned()));
            while let Some(event) = events.next().await {
                let object = named_by(&event);
                let Err(panicked) = panics::attempt(Work::Watch, || take_in(event)) else {
                    continue;
                };
                let Some((namespace, name)) = object else {
                    return Err(panicked);
                };
                if failing.failed(&format!("{namespace}/{name}"), Instant::now()) {
                    let backtrace = &panicked.backtrace;
                    tracing::error!(kind, namespace, name, error = %panicked, backtrace, "an object cannot be taken in and is left out: this is a fault of Warmfront, please report it");
                }
            }
            Ok(())
        };
        match panics::caught(Work::Watch, watching).await {
            Ok(Ok(())) => return,
            Ok(Err(panicked)) | Err(panicked) => {
                let backtrace = &panicked.backtrace;
                tracing::error!(kind, error = %panicked, backtrace, "the watch panicked and is opened again: this is a fault of Warmfront, please report it");
            }
        }
        sleep(OPENED_AGAIN_AFTER).await;
    }
}

/// Namespace and name of the object that an event is about.
fn named_by(event: &Event<Told>) -> Option<(String, String)> {
    match event {
        Event::Apply(Told { object, .. })
        | Event::InitApply(Told { object, .. })
        | Event::Delete(Told { object, .. }) => Some((object.namespace().unwrap_or_default(), object.name_any())),
        Event::Init | Event::InitDone => None,
    }
}

/// Opens the watches of all kinds that the cluster has; `installed` tells which it has of those that it may lack.
pub fn open(client: &Client, tasks: &TaskTracker, installed: &Installed) -> (Arc<Caches>, Queue, Requests, Absent) {
    let caches = Arc::new(Caches::empty());
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut optional = Vec::new();
    for pick in PICKS {
        let row = pick(&caches).row();
        let start = prepare(client, tasks, row, pick);
        match row.presence {
            Presence::Always if installed.leaves_out(&row.resource()) => pick(&caches).set_installed(false),
            Presence::Always => start(caches.clone(), sender.clone()),
            Presence::Optional(calling) => optional.push(Optional { pick, start, calling }),
        }
    }
    tasks.spawn(sweep::run(caches.clone()));
    let absent = Absent::of(optional, installed, &caches, &sender);
    let queue = stream::unfold(receiver, |mut receiver| async move {
        let object = receiver.recv().await?;
        Some((Ok(ReconcileRequest::from(object)), receiver))
    });
    (caches, Box::pin(queue), sender, absent)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use kube::api::DynamicObject;

    use super::*;
    use crate::{controller::kinds::Kinds, log::captured::capture};

    #[tokio::test(start_paused = true)]
    async fn an_object_that_cannot_be_taken_in_is_left_out_and_a_watch_that_panics_is_opened_again() {
        let (log, _guard) = capture("info");
        let (taken, opened) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        let event = |name: &str| Ok(Event::Apply(DynamicObject::new(name, &Kinds::rollout()).into()));
        let open = || {
            let known = [event("a"), event("bad"), event("bad"), event("b")];
            let breaks = opened.fetch_add(1, Ordering::Relaxed) == 0;
            let end = stream::poll_fn(move |_| {
                assert!(!breaks, "a reply that nobody expects");
                std::task::Poll::Ready(None)
            });
            stream::iter(known).chain(end).boxed()
        };
        let take_in = |event: Event<Told>| {
            let (_, name) = named_by(&event).unwrap();
            assert_ne!(name, "bad");
            taken.lock().unwrap().push(name);
        };
        keep_watching(open, "Service", take_in).await;
        assert_eq!(*taken.lock().unwrap(), ["a", "b", "a", "b"]);
        let lines: Vec<_> = log.lines().iter().map(|line| line["fields"]["name"].clone()).collect();
        assert_eq!(
            lines,
            [serde_json::json!("bad"), serde_json::Value::Null],
            "each fault once"
        );
    }
}
