//! A rollout as kube's scheduler of passes knows it: its identity, and nothing else of it.

use std::marker::PhantomData;

use kube::{
    api::{DynamicObject, ObjectMeta},
    core::PartialObjectMeta,
    runtime::{reflector::ObjectRef, watcher::Event},
};

use super::told::Told;
use crate::api::CanaryRollout;

/// Name, namespace and UID. The scheduler keeps one of each rollout for as long as that exists.
pub type Named = PartialObjectMeta<CanaryRollout>;

/// The rollout that a pass is asked for.
pub type RolloutRef = ObjectRef<Named>;

/// The identity of a rollout.
pub fn named(rollout: &DynamicObject) -> Named {
    let DynamicObject {
        metadata: ObjectMeta {
            name, namespace, uid, ..
        },
        ..
    } = rollout;
    let metadata = ObjectMeta {
        name: name.clone(),
        namespace: namespace.clone(),
        uid: uid.clone(),
        ..ObjectMeta::default()
    };
    Named {
        types: None,
        metadata,
        _phantom: PhantomData,
    }
}

/// The rollout of this name.
pub fn rollout_ref(namespace: Option<String>, name: impl Into<String>) -> RolloutRef {
    let mut reference = RolloutRef::new(&name.into());
    reference.namespace = namespace;
    reference
}

/// The same event, of what `other` makes of its object.
pub fn event_of<A, B>(event: Event<A>, other: impl Fn(A) -> B) -> Event<B> {
    match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(object) => Event::InitApply(other(object)),
        Event::Apply(object) => Event::Apply(other(object)),
        Event::Delete(object) => Event::Delete(other(object)),
    }
}

/// The same event, of the rollout's identity.
pub(super) fn identity_of(event: &Event<Told>) -> Event<Named> {
    let identity = match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(told) => Event::InitApply(told),
        Event::Apply(told) => Event::Apply(told),
        Event::Delete(told) => Event::Delete(told),
    };
    event_of(identity, |told| named(&told.object))
}
