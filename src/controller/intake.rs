//! Reads an object as it comes in: whole if a rollout seeks it, otherwise its metadata alone.

use std::sync::atomic::{AtomicBool, Ordering};

use kube::api::DynamicObject;
use serde_json::Value;

use super::{
    decode::{self, Part},
    kinds::{Caches, ROLLOUT, Row, Watched},
    list_watch::Read,
    panics::{self, Work},
    told::{Content, Told, Unreadable},
};

/// Largest object that is read whole, 1 MiB: parsed it takes up to ten times the space.
const LARGEST: usize = 1 << 20;

/// Of a rollout that cannot be read: what is said of it already, so that this is said once.
const CONDITIONS: Part = Part::Only(&[("status", &["conditions"])]);

/// An object of a kind, or nothing if it cannot even be named.
pub fn read(caches: &Caches, row: &Row, text: &[u8], read: Read) -> Option<Told> {
    let why = match panics::attempt(Work::Watch, || sought(caches, row, text, read)) {
        Ok(Ok(told)) => return Some(told),
        Ok(Err(why)) => why,
        Err(panicked) => format!("reading it panicked: {panicked}"),
    };
    if row.kind == ROLLOUT
        && let Some(object) = in_pieces(text, read)
    {
        return Some(object.into());
    }
    let head = |part: Part| read(text, part).ok().filter(is_kept);
    let metadata = || {
        let said = (row.kind == ROLLOUT).then(|| head(CONDITIONS)).flatten();
        said.or_else(|| head(Part::Only(&[])))
    };
    let Some(object) = metadata().or_else(|| decode::identity(text)) else {
        static TOLD: AtomicBool = AtomicBool::new(false);
        if !TOLD.swap(true, Ordering::Relaxed) {
            let kind = row.kind;
            tracing::warn!(
                kind,
                why,
                "an object cannot even be named; it and others like it are left out"
            );
        }
        return None;
    };
    let keys = row.sought.keys(&object);
    let content = Content::Unreadable(Unreadable { why, keys });
    Some(Told { object, content })
}

fn sought(caches: &Caches, row: &Row, text: &[u8], read: Read) -> Result<Told, String> {
    let head = read(text, Part::Only(&[]))?;
    if !row.sought.is_sought(caches, &head) {
        let content = Content::Foreign(row.sought.sought_by(&head));
        return Ok(Told { object: head, content });
    }
    if row.watched == Watched::Metadata {
        return Ok(head.into());
    }
    if text.len() > LARGEST {
        return Err(too_large(text.len()));
    }
    read(text, row.read).map(Told::from)
}

fn too_large(size: usize) -> String {
    format!(
        "it has {} KiB, and more than {} KiB are not read",
        size >> 10,
        LARGEST >> 10
    )
}

/// A rollout of whose status some part cannot be read: with the rest of it people's requests are still carried out.
fn in_pieces(text: &[u8], read: Read) -> Option<DynamicObject> {
    let attempt = || read(text, Part::InPieces("status")).ok();
    let object = panics::attempt(Work::Watch, attempt).ok().flatten()?;
    is_kept(&object).then_some(object)
}

/// Whether it may be kept: what is kept is small enough, and can be read again.
fn is_kept(object: &DynamicObject) -> bool {
    let text = serde_json::to_vec(object).unwrap_or_default();
    text.len() <= LARGEST && serde_json::from_slice::<Value>(&text).is_ok()
}

#[cfg(test)]
mod tests;
