//! One watch per kind; every change is traced to the rollouts that it concerns.

use std::{pin::Pin, sync::Arc};

use futures::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt,
        controller::ReconcileRequest,
        watcher::{self, Event, watcher},
    },
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::{
    discovery::{Absent, Installed, Optional},
    follow::follow,
    kinds::{Caches, PICKS, Pick, Presence, Row, Watched},
    named::{Named, RolloutRef, event_of},
};

/// Requests to look at a rollout.
pub type Queue = Pin<Box<dyn Stream<Item = Result<ReconcileRequest<Named>, std::convert::Infallible>> + Send>>;

/// Puts requests to look at a rollout into the queue.
pub type Requests = mpsc::UnboundedSender<RolloutRef>;

/// Opens the watch of one kind.
pub(super) type Start = Box<dyn FnOnce(Arc<Caches>, Requests) + Send>;

type Events = BoxStream<'static, Result<Event<DynamicObject>, watcher::Error>>;

/// Objects that are listed with one request: what a page takes in memory is kept by the process for long.
const PAGE: u32 = 100;

/// Whole objects.
fn watch(client: &Client, resource: &ApiResource) -> Events {
    watcher(
        Api::all_with(client.clone(), resource),
        watcher::Config::default().page_size(PAGE),
    )
    .default_backoff()
    .boxed()
}

/// Metadata only.
fn watch_metadata(client: &Client, resource: &ApiResource) -> Events {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(client.clone(), resource);
    let whole = |object: &PartialObjectMeta<DynamicObject>| DynamicObject {
        types: object.types.clone(),
        metadata: object.metadata.clone(),
        data: serde_json::Value::Null,
    };
    let events = watcher(api, watcher::Config::default().page_size(PAGE)).default_backoff();
    events.map_ok(move |event| event_of(&event, whole)).boxed()
}

/// What opens the watch of one kind.
fn prepare(client: &Client, tasks: &TaskTracker, row: &Row, pick: Pick) -> Start {
    let (resource, concerns) = (row.resource(), row.concerns);
    let events = match row.watched {
        Watched::Whole => watch(client, &resource),
        Watched::Metadata => watch_metadata(client, &resource),
    };
    let tasks = tasks.clone();
    Box::new(move |caches: Arc<Caches>, requests: Requests| {
        let task = async move {
            let mut events = std::pin::pin!(follow(events, resource.kind));
            while let Some(event) = events.next().await {
                for object in pick(&caches).follow(event) {
                    for rollout in concerns(&caches, &object) {
                        // The receiver is gone only when the process stops.
                        let _ = requests.send(rollout);
                    }
                }
            }
        };
        tasks.spawn(task);
    })
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
            Presence::Always => start(caches.clone(), sender.clone()),
            Presence::Optional(calling) => optional.push(Optional { pick, start, calling }),
        }
    }
    let absent = Absent::of(optional, installed, &caches, &sender);
    let queue = stream::unfold(receiver, |mut receiver| async move {
        let object = receiver.recv().await?;
        Some((Ok(ReconcileRequest::from(object)), receiver))
    });
    (caches, Box::pin(queue), sender, absent)
}
