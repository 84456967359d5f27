//! What is here completely: keys by which everything that exists is kept.
//!
//! Of what nobody seeks nothing is kept, so that an object that is not here may exist all the same. Once somebody seeks by a
//! key, all that it finds is fetched, and what the watch tells of it from then on is kept. As soon as the watch tells of an
//! object that nobody seeks, its keys are no longer complete.

use std::collections::{HashMap, HashSet};

use kube::api::DynamicObject;

use super::{Content, Place, Shelf, Told, place, version};

/// A namespace, and a key of what is sought there.
pub type Sought = (String, String);

/// Which keys are complete, and what is under way to make others so.
#[derive(Default)]
pub(super) struct Complete {
    here: HashSet<Sought>,
    /// Keys that are complete once the list that is coming in has ended.
    listed: HashSet<Sought>,
    /// Keys that are complete once a fetch has ended.
    fetched: HashSet<Sought>,
    /// Fetches under way.
    fetches: usize,
    /// Objects whose deletion the watch has told of since the fetches began, with its version.
    deleted: HashMap<Place, u64>,
}

impl Shelf {
    /// A list is asked for while these keys are sought.
    pub fn begin_list(&mut self, sought: HashSet<Sought>) {
        self.complete.listed = sought;
    }

    pub(super) fn end_list(&mut self) {
        let listed = std::mem::take(&mut self.complete.listed);
        self.complete.here.extend(listed);
    }

    /// Everything that a key finds is here.
    pub fn is_complete(&self, namespace: &str, key: &str) -> bool {
        self.complete.here.contains(&(namespace.to_owned(), key.to_owned()))
    }

    /// What a key finds is asked for.
    pub fn begin_fetch(&mut self, namespace: &str, key: &str) {
        self.complete.fetched.insert((namespace.to_owned(), key.to_owned()));
        self.complete.fetches += 1;
    }

    /// It has all come, or not.
    pub fn end_fetch(&mut self, namespace: &str, key: &str, whole: Whole) {
        let complete = &mut self.complete;
        complete.fetches = complete.fetches.saturating_sub(1);
        if complete.fetches == 0 {
            complete.deleted.clear();
        }
        let sought = (namespace.to_owned(), key.to_owned());
        if complete.fetched.remove(&sought) && whole == Whole::Yes {
            complete.here.insert(sought);
        }
    }

    /// Puts in an object that was fetched, unless the watch has told of its deletion since.
    pub fn fetched(&mut self, told: Told) {
        let Told { object, content } = told;
        let gone = self.complete.deleted.get(&place(&object));
        if gone.is_some_and(|gone| *gone >= version(&object)) {
            return;
        }
        match content {
            Content::Known => {
                self.spare(&object);
                self.put(object, false);
            }
            Content::Unreadable(why) => {
                self.spare(&object);
                self.cannot_read(object, why);
            }
            Content::Foreign(_) => {}
        }
    }

    pub(super) fn note_deleted(&mut self, object: &DynamicObject) {
        if self.complete.fetches > 0 {
            self.complete.deleted.insert(place(object), version(object));
        }
    }

    /// An object that nobody seeks is not kept, and those that will seek it must fetch it.
    pub fn drop_foreign(&mut self, object: &DynamicObject, keys: &[String]) {
        let place = place(object);
        self.unreadable.remove(&place);
        let kept = self.kept(&place.0, &place.1);
        if kept.is_some_and(|kept| kept.version <= version(object)) {
            self.remove(&place);
        }
        for key in keys {
            let sought = (place.0.clone(), key.clone());
            let complete = &mut self.complete;
            for keys in [&mut complete.here, &mut complete.listed, &mut complete.fetched] {
                keys.remove(&sought);
            }
        }
    }

    /// Forgets what was known of keys by which nobody seeks any more.
    pub fn retain_sought(&mut self, sought: &HashSet<Sought>) {
        self.complete.here.retain(|key| sought.contains(key));
        let namespaces: HashSet<&str> = sought.iter().map(|(namespace, _)| namespace.as_str()).collect();
        self.unreadable
            .retain(|(namespace, _), _| namespaces.contains(namespace.as_str()));
    }

    /// Names of the objects of a namespace.
    pub fn names(&self, namespace: &str) -> Vec<String> {
        let kept = self.drawers.get(namespace).into_iter();
        kept.flat_map(|drawer| drawer.objects.keys().map(ToString::to_string))
            .collect()
    }

    /// Namespaces that have objects.
    pub fn namespaces(&self) -> HashSet<String> {
        self.drawers.keys().map(ToString::to_string).collect()
    }
}

/// Whether all of a fetch has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// It has.
    Yes,
    /// It broke off.
    No,
}
