//! ConfigMaps that the template names: one that changes in place reaches the old version's pods without any step.

use std::collections::BTreeMap;

use crate::{
    api::{CanaryRolloutStatus, status::ConfigSeen},
    engine::{
        draft::{Draft, events::Reason},
        facts::Facts,
    },
};

/// Most ConfigMaps of a template that are followed: the first by name.
const MOST: usize = 16;

/// ConfigMaps whose contents must be read: their resourceVersion is a new one.
pub fn unread(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Vec<String> {
    if !status.taken_over() {
        return Vec::new();
    }
    let known = |name: &String, version: &String| status.configs.get(name).is_some_and(|seen| seen.version == *version);
    facts
        .seen
        .configs
        .iter()
        .take(MOST)
        .filter(|(name, version)| !known(name, version))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Remembers the contents. If any has changed, tells it and begins the hold and the evidence of the step anew.
pub fn note(facts: &Facts<'_>, next: &mut Draft) {
    if !next.status().taken_over() {
        return;
    }
    let mut changed = Vec::new();
    let mut configs = BTreeMap::new();
    for (name, version) in facts.seen.configs.iter().take(MOST) {
        let known = next.status().configs.get(name);
        let read = facts.seen.config_digests.get(name);
        // A read error is not a change.
        let Some(digest) = read.or(known.map(|known| &known.digest)) else {
            continue;
        };
        if known.is_some_and(|known| known.digest != *digest) {
            changed.push(name.clone());
        }
        let version = if read.is_some() {
            version
        } else {
            known.map_or(version, |known| &known.version)
        };
        configs.insert(
            name.clone(),
            ConfigSeen {
                version: version.clone(),
                digest: digest.clone(),
            },
        );
    }
    *next.configs_mut() = configs;
    for name in changed {
        next.tell(
            Reason::ConfigChanged,
            format!(
                "ConfigMap {name} was changed in place: it reaches pods that serve without a canary, and a rollback does not bring it back. A name with a digest of its contents, or an annotation with one in the pod template, makes it a release"
            ),
        );
        next.begin_step_anew();
    }
}
