//! Watches: changes of one kind from a version on, as lines of a stream.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures::{Stream, stream};
use http_body::Frame;
use serde_json::json;

use super::{Shared, answer::metadata_of, kinds::Kind, lock, refusal::Refusal, request::Asked};
use crate::access::Life;

struct Following {
    store: Shared,
    life: Arc<Life>,
    kind: Kind,
    namespace: Option<String>,
    /// Nothing but metadata is told.
    metadata: bool,
    version: u64,
    /// How often watches had been broken off when this one began.
    drops: u64,
    ended: bool,
}

/// The stream of a watch that goes on from `version`.
pub fn follow(
    store: Shared,
    life: Arc<Life>,
    asked: &Asked,
    version: u64,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + use<> {
    let drops = life.drops();
    let following = Following {
        store,
        life,
        kind: asked.kind,
        namespace: asked.namespace.clone(),
        metadata: asked.metadata,
        version,
        drops,
        ended: false,
    };
    stream::unfold(following, next)
}

fn line(kind: &str, object: &serde_json::Value) -> Frame<Bytes> {
    Frame::data(Bytes::from(format!("{}\n", json!({"type": kind, "object": object}))))
}

async fn next(mut watch: Following) -> Option<(Result<Frame<Bytes>, Infallible>, Following)> {
    let mut changed = lock(&watch.store).store.subscribe();
    let mut dropped = watch.life.dropped();
    loop {
        if watch.ended || watch.life.drops() != watch.drops {
            return None;
        }
        if watch.life.is_dead() {
            std::future::pending::<()>().await;
        }
        let found = {
            let cluster = lock(&watch.store);
            cluster
                .store
                .remembers(watch.version)
                .then(|| cluster.store.next(watch.kind, watch.version).cloned())
        };
        let Some(found) = found else {
            watch.ended = true;
            return Some((Ok(line("ERROR", &Refusal::gone().body())), watch));
        };
        let Some(change) = found else {
            tokio::select! {
                _ = changed.changed() => {}
                _ = dropped.changed() => {}
            }
            continue;
        };
        let due = change.at + watch.life.lag();
        if due > tokio::time::Instant::now() {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                _ = dropped.changed() => {}
            }
            continue;
        }
        watch.version = change.version;
        if watch
            .namespace
            .as_ref()
            .is_some_and(|namespace| *namespace != change.key.1)
        {
            continue;
        }
        let kind = match (&change.old, &change.new) {
            (None, _) => "ADDED",
            (Some(_), Some(_)) => "MODIFIED",
            (Some(_), None) => "DELETED",
        };
        let told = if watch.metadata {
            line(kind, &metadata_of(&change.told))
        } else {
            line(kind, &change.told)
        };
        return Some((Ok(told), watch));
    }
}
