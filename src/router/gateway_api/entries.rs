//! The two versions' entries in one rule: what their weights become, and how everything is put back.

use serde_json::{Value, json};

use super::{
    super::{Patch, Target},
    Percent, RuleOriginal,
    rules::Rule,
    test_name,
    weights::{self, SCALE},
};

/// What is known of a backend's weight as it was found.
#[derive(Clone, Copy)]
enum Found {
    /// It was not there.
    Later,
    /// This weight, or none.
    Before(Option<i64>),
}

/// By place.
fn found(rule: &Rule<'_>, original: Option<&RuleOriginal>) -> Vec<Found> {
    let known =
        |key: &String| original.and_then(|original| original.backends.iter().find(|known| known.backend == *key));
    rule.backend_keys()
        .iter()
        .map(|key| known(key).map_or(Found::Later, |known| Found::Before(known.weight)))
        .collect()
}

/// Both versions' weights together, as they stand.
fn together(rule: &Rule<'_>) -> i64 {
    rule.parts().map_or(0, |(stable, canary)| stable.saturating_add(canary))
}

/// Sets or removes one backend's weight.
fn set_weight(patch: &mut Patch, rule: &Rule<'_>, place: usize, wanted: Option<i64>) {
    if rule.weight(place) == wanted {
        return;
    }
    let path = rule.path(place);
    patch.push(test_name(&path, &rule.backends[place]));
    match wanted {
        Some(wanted) => patch.push(json!({"op": "add", "path": format!("{path}/weight"), "value": wanted})),
        None => patch.push(json!({"op": "remove", "path": format!("{path}/weight")})),
    }
}

/// Removes entries of the canary, the last first, so that no place changes under a later step.
fn remove(patch: &mut Patch, rule: &Rule<'_>, places: &[usize]) {
    for place in places.iter().rev() {
        let path = rule.path(*place);
        patch.push(test_name(&path, &rule.backends[*place]));
        patch.push(json!({"op": "remove", "path": path}));
    }
}

/// What both versions had together when the rule was found.
fn found_together(rule: &Rule<'_>, found: &[Found], stable: i64) -> i64 {
    let weight = |place: &usize| match found[*place] {
        Found::Before(weight) => weight.unwrap_or(1).max(0),
        Found::Later => 0,
    };
    rule.canary.iter().map(weight).fold(stable, i64::saturating_add)
}

/// The canary gets `share` of what both versions have.
pub(super) fn present(rule: &Rule<'_>, target: &Target, share: Percent, original: Option<&RuleOriginal>) -> Patch {
    let mut patch = Patch::new();
    let Some(stable) = rule.stable else { return patch };
    let stands = !rule.canary.is_empty();
    if target.theirs.is_some() && stands && share == Percent::ZERO && rule.state().carries(share) {
        // Its owner's entry with the weight 0 is right however the others are written.
        return patch;
    }
    // With our entry there, the others are scaled already, or their owner has set them since.
    let entered = !rule.as_found;
    let known = found(rule, original);
    let total = match known[stable] {
        _ if rule.alone() => weights::whole(share),
        // While our entry is absent, the route's own weights are the ones to split.
        Found::Before(weight) if entered => {
            found_together(rule, &known, weight.unwrap_or(1).max(0)).saturating_mul(SCALE)
        }
        Found::Later if entered => together(rule),
        Found::Before(_) | Found::Later if stands => together(rule).saturating_mul(SCALE),
        Found::Before(_) | Found::Later => rule.effective(stable).saturating_mul(SCALE),
    };
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
        // Envoy refuses a rule without any weight, and with it the whole configuration.
        wanted[stable] = 1;
    }
    for (place, weight) in wanted.iter().enumerate() {
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
        patch.push(json!({"op": "add", "path": format!("/spec/rules/{}/backendRefs/-", rule.index), "value": entry}));
    }
    patch
}

/// The canary's entry, if it stands, gets nothing.
pub(super) fn drained(rule: &Rule<'_>, target: &Target, original: Option<&RuleOriginal>) -> Patch {
    if rule.canary.is_empty() {
        return Patch::new();
    }
    if rule.stable.is_some() {
        return present(rule, target, Percent::ZERO, original);
    }
    // Its owner took the stable Service out meanwhile.
    let mut patch = Patch::new();
    let others = (0..rule.backends.len())
        .filter(|place| !rule.canary.contains(place))
        .any(|place| rule.effective(place) > 0);
    if others {
        for place in &rule.canary {
            set_weight(&mut patch, rule, *place, Some(0));
        }
    } else {
        remove(&mut patch, rule, &rule.canary);
    }
    patch
}

/// All weights are as found, and the canary's entry is gone unless it was found too.
pub(super) fn absent(rule: &Rule<'_>, target: &Target, original: Option<&RuleOriginal>) -> Patch {
    let mut patch = Patch::new();
    if rule.canary.is_empty() {
        return patch;
    }
    let found = found(rule, original);
    if target.theirs.is_some() && original.is_none() {
        // It was never touched.
        return patch;
    }
    let others = || (0..rule.backends.len()).filter(|place| !rule.canary.contains(place));
    // Beside a backend that came later only proportions can be kept.
    let all_known = others().all(|place| matches!(found[place], Found::Before(_)));
    for place in others() {
        let live = rule.weight(place);
        let back = match found[place] {
            Found::Before(weight) if all_known && Some(place) == rule.stable => weight,
            Found::Before(weight) if all_known && live == Some(weight.unwrap_or(1).saturating_mul(SCALE)) => weight,
            Found::Before(_) | Found::Later if Some(place) == rule.stable => Some(together(rule).max(1)),
            // Its owner changed it meanwhile.
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
    remove(&mut patch, rule, &ours);
    patch
}

/// The canary's entry by itself, as a rule for testers has it.
pub(super) fn lone(rule: &Rule<'_>, target: &Target) -> Option<Value> {
    let own = rule.canary.first().filter(|_| target.theirs.is_some());
    let mut entry = rule.backends[own.copied().or(rule.stable)?].clone();
    entry["name"] = json!(target.canary);
    entry["weight"] = json!(1);
    Some(entry)
}
