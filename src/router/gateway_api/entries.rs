//! The entries of the two versions in one rule: how their weights are set, and how they are put back.

use serde_json::{Value, json};

use super::{
    super::Target,
    Percent, RuleOriginal,
    rule::Rule,
    test_name,
    weights::{self, SCALE},
};
use crate::{
    api::status::BackendWeight,
    kubernetes::patch::{Patch, add, at, remove, replace},
};

/// What a backend's weight was before our first change.
#[derive(Clone, Copy)]
enum Found {
    /// The backend was not there.
    Later,
    /// This; `None` if it was left out, which counts 1.
    Before(Option<i64>),
}

/// The same for all backends of a rule, in their order.
fn found(rule: &Rule<'_>, original: Option<&RuleOriginal>) -> Vec<Found> {
    let Some(original) = original else {
        return vec![Found::Later; rule.backends.len()];
    };
    let keys = rule.backend_keys();
    let known = |key: &String| {
        let same = original.backends.iter().find(|known| known.backend == *key);
        same.or_else(|| by_another_port(key, &keys, original))
    };
    keys.iter()
        .map(|key| known(key).map_or(Found::Later, |known| Found::Before(known.weight)))
        .collect()
}

/// The backend's port was changed since: it is the same one if the rule had, and has, one of its name alone.
fn by_another_port<'o>(key: &str, keys: &[String], original: &'o RuleOriginal) -> Option<&'o BackendWeight> {
    let name = without_port(key);
    let mut before = original
        .backends
        .iter()
        .filter(|known| without_port(&known.backend) == name);
    let alone = keys.iter().filter(|other| without_port(other) == name).count() == 1;
    before.next().filter(|_| alone && before.next().is_none())
}

fn without_port(key: &str) -> &str {
    key.rsplit_once(':').map_or(key, |(name, _)| name)
}

/// The canary's entry is like the old version's, its name and weight aside: the port that its owner changes there, and
/// filters, hold of both. An entry that may be the user's stays as it is.
fn unlike(rule: &Rule<'_>, target: &Target, stable: usize) -> Option<(usize, Value)> {
    let place = *rule.canary.first().filter(|_| target.theirs.is_none())?;
    let mut wanted = rule.backends[stable].clone();
    wanted["name"] = json!(target.canary);
    wanted["weight"] = rule.backends[place].get("weight").cloned().unwrap_or(json!(1));
    let mut is = rule.backends[place].clone();
    is["weight"] = wanted["weight"].clone();
    (is != wanted).then_some((place, wanted))
}

/// The weights of both versions together, as they are now.
fn together(rule: &Rule<'_>) -> i64 {
    rule.parts().map_or(0, |(stable, canary)| stable.saturating_add(canary))
}

/// Sets the weight of one backend; `None` removes the field. Nothing if it is so already.
fn set_weight(patch: &mut Patch, rule: &Rule<'_>, place: usize, wanted: Option<i64>) {
    if rule.weight(place) == wanted {
        return;
    }
    let path = rule.path(place);
    patch.push(test_name(&path, &rule.backends[place]));
    match wanted {
        Some(wanted) => patch.push(add(path.with_trailing_token("weight"), wanted)),
        None => patch.push(remove(path.with_trailing_token("weight"))),
    }
}

/// Removes entries of the canary, the last one first: a removal moves all entries behind it.
fn take_out(patch: &mut Patch, rule: &Rule<'_>, places: &[usize]) {
    for place in places.iter().rev() {
        let path = rule.path(*place);
        patch.push(test_name(&path, &rule.backends[*place]));
        patch.push(remove(path));
    }
}

/// The weights of both versions together before our first change; `stable` is the old version's.
fn found_together(rule: &Rule<'_>, found: &[Found], stable: i64) -> i64 {
    let weight = |place: &usize| match found[*place] {
        Found::Before(weight) => weight.unwrap_or(1).max(0),
        Found::Later => 0,
    };
    rule.canary.iter().map(weight).fold(stable, i64::saturating_add)
}

/// The weight that is split between both versions.
fn total(rule: &Rule<'_>, known: &[Found], (stable, share): (usize, Percent)) -> i64 {
    let entered = !rule.as_found;
    match known[stable] {
        _ if rule.alone() => weights::whole(share),
        // Before our first change the weights in the route are the ones to split.
        Found::Before(weight) if entered => {
            found_together(rule, known, weight.unwrap_or(1).max(0)).saturating_mul(SCALE)
        }
        Found::Later if entered => together(rule),
        Found::Before(_) | Found::Later if !rule.canary.is_empty() => together(rule).saturating_mul(SCALE),
        Found::Before(_) | Found::Later => rule.effective(stable).saturating_mul(SCALE),
    }
}

/// Gives the canary `share` of the weight of both versions. The shares of other backends stay as they are.
pub(super) fn present(rule: &Rule<'_>, target: &Target, share: Percent, original: Option<&RuleOriginal>) -> Patch {
    let mut patch = Patch::new();
    let Some(stable) = rule.stable else { return patch };
    let stands = !rule.canary.is_empty();
    if target.theirs.is_some() && stands && share == Percent::ZERO && rule.state().carries(share) {
        // The user's own entry has weight 0 already, so nothing has to be scaled for it.
        return patch;
    }
    // Once we have changed the rule, the other weights are scaled already, or the user has set them since.
    let entered = !rule.as_found;
    let known = found(rule, original);
    let total = total(rule, &known, (stable, share));
    let split = weights::split(total, share);
    let mut wanted: Vec<i64> = (0..rule.backends.len()).map(|place| rule.effective(place)).collect();
    for (place, weight) in wanted.iter_mut().enumerate() {
        if place == stable {
            *weight = split.stable;
        } else if rule.canary.contains(&place) {
            *weight = if rule.canary.first() == Some(&place) {
                split.canary
            } else {
                0
            };
        } else if !entered && !rule.alone() {
            *weight = weight.saturating_mul(SCALE);
        }
    }
    let ours = if stands { 0 } else { split.canary };
    if wanted.iter().fold(ours, |sum, weight| sum.saturating_add(*weight)) == 0 {
        // Envoy refuses a rule whose weights are all 0, and with it the whole configuration.
        wanted[stable] = 1;
    }
    let unlike = unlike(rule, target, stable);
    if let Some((place, mut entry)) = unlike.clone() {
        entry["weight"] = json!(wanted[place]);
        let path = rule.path(place);
        patch.push(test_name(&path, &rule.backends[place]));
        patch.push(replace(path, entry));
    }
    let others = wanted
        .iter()
        .enumerate()
        .filter(|(place, _)| unlike.as_ref().is_none_or(|(known, _)| known != place));
    for (place, weight) in others {
        let untouched = place != stable && !rule.canary.contains(&place) && rule.effective(place) == *weight;
        if !untouched {
            set_weight(&mut patch, rule, place, Some(*weight));
        }
    }
    if !stands {
        let mut entry = rule.backends[stable].clone();
        entry["name"] = json!(target.canary);
        entry["weight"] = json!(split.canary);
        patch.push(test_name(&rule.path(stable), &rule.backends[stable]));
        patch.push(add(at!["spec", "rules", rule.index, "backendRefs", "-"], entry));
    }
    patch
}

/// Sets the canary's entry, if there is one, to weight 0.
pub(super) fn drained(rule: &Rule<'_>, target: &Target, original: Option<&RuleOriginal>) -> Patch {
    if rule.canary.is_empty() {
        return Patch::new();
    }
    if rule.stable.is_some() {
        return present(rule, target, Percent::ZERO, original);
    }
    // The user has removed the old version's entry meanwhile.
    let mut patch = Patch::new();
    let others = (0..rule.backends.len())
        .filter(|place| !rule.canary.contains(place))
        .any(|place| rule.effective(place) > 0);
    if others {
        for place in &rule.canary {
            set_weight(&mut patch, rule, *place, Some(0));
        }
    } else {
        take_out(&mut patch, rule, &rule.canary);
    }
    patch
}

/// Puts all weights back and removes the canary's entry, unless it was there before.
pub(super) fn absent(rule: &Rule<'_>, target: &Target, original: Option<&RuleOriginal>) -> Patch {
    let mut patch = Patch::new();
    if rule.canary.is_empty() {
        return patch;
    }
    let found = found(rule, original);
    if target.theirs.is_some() && original.is_none() {
        // We have never changed this rule.
        return patch;
    }
    let others = || (0..rule.backends.len()).filter(|place| !rule.canary.contains(place));
    // If the user has added a backend meanwhile, old weights mean nothing beside its weight: keep the proportions of today.
    let all_known = others().all(|place| matches!(found[place], Found::Before(_)));
    for place in others() {
        let live = rule.weight(place);
        let back = match found[place] {
            Found::Before(weight) if all_known && Some(place) == rule.stable => weight,
            Found::Before(weight) if all_known && live == Some(weight.unwrap_or(1).saturating_mul(SCALE)) => weight,
            Found::Before(_) | Found::Later if Some(place) == rule.stable => Some(together(rule).max(1)),
            // The user has changed this weight meanwhile: it stays.
            Found::Before(_) | Found::Later => live,
        };
        set_weight(&mut patch, rule, place, back);
    }
    let mut ours = rule.canary.clone();
    if target.theirs.is_some() {
        ours.retain(|place| match found[*place] {
            Found::Before(weight) => {
                set_weight(&mut patch, rule, *place, if all_known { weight } else { Some(0) });
                false
            }
            Found::Later => true,
        });
    }
    take_out(&mut patch, rule, &ours);
    patch
}

/// Puts all weights back where another hand has taken the canary's entry out and left the others as we wrote them.
pub(super) fn put_back(rule: &Rule<'_>, original: Option<&RuleOriginal>) -> Patch {
    let mut patch = Patch::new();
    for (place, found) in found(rule, original).into_iter().enumerate() {
        if let Found::Before(weight) = found {
            set_weight(&mut patch, rule, place, weight);
        }
    }
    patch
}

/// The only backend of a rule for testers: the canary, copied from its own entry if that is the user's, otherwise from the old version's. `None` if the rule has neither.
pub(super) fn lone(rule: &Rule<'_>, target: &Target) -> Option<Value> {
    let own = rule.canary.first().filter(|_| target.theirs.is_some());
    let mut entry = rule.backends[own.copied().or(rule.stable)?].clone();
    entry["name"] = json!(target.canary);
    entry["weight"] = json!(1);
    Some(entry)
}
