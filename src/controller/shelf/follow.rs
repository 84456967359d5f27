//! What a watch tells.

use std::collections::HashSet;

use kube::{ResourceExt, api::DynamicObject, runtime::watcher::Event};

use super::{Content, Place, Shelf, Snapshot, Told, place, version};

impl Shelf {
    /// Takes in what a watch tells. Returns the objects that it concerns; those that went unseen while the watch was broken, too.
    pub fn follow(&mut self, event: Event<Told>) -> Vec<Snapshot> {
        if let Event::Apply(told) | Event::InitApply(told) | Event::Delete(told) = &event {
            self.newest = self.newest.max(version(&told.object));
        }
        match event {
            Event::Init => {
                self.listing = Some(HashSet::new());
                Vec::new()
            }
            Event::InitApply(told) => {
                if !matches!(told.content, Content::Foreign(_)) {
                    self.spare(&told.object);
                }
                self.take_in(told, |shelf, object| vec![shelf.put(object, false)])
            }
            Event::InitDone => self.listed(),
            Event::Apply(told) => self.take_in(told, Self::changed),
            Event::Delete(told) => self.deleted(told.object),
        }
    }

    fn take_in(&mut self, told: Told, known: fn(&mut Self, DynamicObject) -> Vec<Snapshot>) -> Vec<Snapshot> {
        let Told { object, content } = told;
        match content {
            Content::Known => {
                self.unreadable.remove(&place(&object));
                known(self, object)
            }
            Content::Unreadable(why) => self.cannot_read(object, why),
            Content::Foreign(keys) => {
                self.drop_foreign(&object, &keys);
                Vec::new()
            }
        }
    }

    /// What was there before and is not in the list went while the watch was broken.
    fn listed(&mut self) -> Vec<Snapshot> {
        self.end_list();
        let there = self.listing.take().unwrap_or_default();
        self.unreadable.retain(|place, _| there.contains(place));
        let gone: Vec<Place> = self
            .places()
            .into_iter()
            .filter(|place| !there.contains(place))
            .collect();
        gone.iter().filter_map(|place| self.remove(place)).collect()
    }

    fn deleted(&mut self, object: DynamicObject) -> Vec<Snapshot> {
        self.note_deleted(&object);
        let place = place(&object);
        self.unreadable.remove(&place);
        let newer = self
            .kept(&place.0, &place.1)
            .is_some_and(|kept| kept.version > version(&object));
        if !newer
            || self
                .get(&place.0, &place.1)
                .is_some_and(|kept| kept.uid() == object.uid())
        {
            self.remove(&place);
        }
        vec![Snapshot::from(object)]
    }

    /// Takes in a change of one object. Returns it unless it concerns nobody.
    fn changed(&mut self, object: DynamicObject) -> Vec<Snapshot> {
        let place = place(&object);
        let old = self
            .kept(&place.0, &place.1)
            .map(|kept| (kept.version, kept.answered, kept.keys, kept.generation));
        let answered = old.is_some_and(|(_, answered, ..)| answered == version(&object));
        if answered && old.is_some_and(|(known, ..)| known == version(&object)) {
            return Vec::new();
        }
        let copy = self.put(object, answered);
        let now = self.kept(&place.0, &place.1).map(|kept| (kept.keys, kept.generation));
        // Whose change it is shows when our write has ended; others are not concerned by what is said about an object.
        let said_only = now.is_some() && old.map(|(.., keys, generation)| (keys, generation)) == now;
        match self.writing.get_mut(&place) {
            Some(told) if said_only => {
                *told = true;
                Vec::new()
            }
            _ if answered && said_only => Vec::new(),
            _ => vec![copy],
        }
    }
}
