//! Limits of a route's schema. They are checked before a release, so that none gets stuck on a write that is refused.

use serde_json::Value;

use super::{
    super::{RouteError, Target, Theirs},
    Percent,
    rule::{Rule, matches_of},
    rules::Rules,
    testers,
    weights::SCALE,
};

/// Most backends in a rule.
const BACKENDS: usize = 16;
/// Most rules in a route.
const RULES: usize = 16;
/// Most matches in a rule.
const MATCHES: usize = 64;
/// Most matches in a route.
const ALL_MATCHES: usize = 128;
/// Greatest weight of a backend.
const WEIGHT: i64 = 1_000_000;

/// Which limit this route would exceed in a release, with the numbers.
pub(super) fn beyond(rules: &Rules<'_>, target: &Target) -> Option<RouteError> {
    let only = rules.concerned.len() == 1;
    let theirs = |theirs: &Theirs| rules.routed().find_map(|rule| of_theirs(rule, theirs, target, only));
    let reason = rules
        .routed()
        .find_map(in_rule)
        .or_else(|| target.theirs.as_ref().and_then(theirs))
        .or_else(|| for_testers(rules, target))?;
    Some(RouteError::Unsupported {
        route: rules.route.clone(),
        reason,
    })
}

fn in_rule(rule: &Rule<'_>) -> Option<String> {
    let found = rule.backends.len() - rule.canary.len();
    if found + 1 > BACKENDS {
        return Some(format!(
            "rule {} has {found} backends: with the new version's it would be {}, and {BACKENDS} are allowed",
            rule.name,
            found + 1
        ));
    }
    // After our first change the weights are ours and within the limits.
    let stable = rule.stable.filter(|_| rule.as_found)?;
    let (own, canary) = rule.parts().unwrap_or((rule.effective(stable), 0));
    if own.saturating_add(canary) == 0 {
        return Some(format!(
            "rule {} gives the Service weight 0: there is nothing to split; give it a weight, or name other rules in spec.traffic",
            rule.name
        ));
    }
    let largest = (0..rule.backends.len())
        .map(|place| rule.effective(place))
        .max()
        .unwrap_or_default();
    (!rule.alone() && largest.saturating_mul(SCALE) > WEIGHT).then(|| {
        format!(
            "rule {} has a weight of {largest}: to split it exactly beside other backends it is multiplied by {SCALE}, and {WEIGHT} is the greatest allowed; make all weights of the rule smaller",
            rule.name
        )
    })
}

/// What is wrong with a rule if the canary's entry may be the user's, as in a pair. `only`: the route has no other rule that concerns us.
fn of_theirs(rule: &Rule<'_>, theirs: &Theirs, target: &Target, only: bool) -> Option<String> {
    let (service, name) = (&target.canary, &rule.name);
    if rule.canary.is_empty() {
        let port = rule.backends[rule.stable?].get("port").and_then(Value::as_u64)?;
        let missing = !theirs.ports.is_empty() && !theirs.ports.contains(&port);
        return missing.then(|| {
            format!("rule {name} leads to port {port}, which Service {service} does not have: add an entry of {service} with its port and weight 0 to the rule")
        });
    }
    let original = rule.original_in(&theirs.found, only);
    let share = rule.share()?;
    if original.is_none() && share > Percent::ZERO && share < Percent::FULL {
        return Some(format!(
            "rule {name} gives {service} {share} already: give it weight 0, from where Warmfront raises it, or everything"
        ));
    }
    let keys = rule.backend_keys();
    let found = |place: &usize| {
        original.is_none_or(|original| original.backends.iter().any(|known| known.backend == keys[*place]))
    };
    (rule.keeps_sessions() && rule.canary.iter().any(found)).then(|| {
        format!(
            "rule {name} keeps sessions on their backend even at weight 0, so the entry of {service} has to leave it on the way back, and yours could not be put back as it was: take it out, and Warmfront puts one in for the release"
        )
    })
}

fn for_testers(rules: &Rules<'_>, target: &Target) -> Option<String> {
    let ours = testers::wanted(rules, target);
    if ours.is_empty() {
        return None;
    }
    let found = rules.all.len() - rules.testers.len();
    if found + ours.len() > RULES {
        return Some(format!(
            "it has {found} rules: with {} for testers it would be {}, and {RULES} are allowed",
            ours.len(),
            found + ours.len()
        ));
    }
    let count = |rule: &Value| matches_of(rule).len().max(1);
    if let Some(most) = ours.iter().map(count).max().filter(|most| *most > MATCHES) {
        return Some(format!(
            "a rule for testers would have {most} matches, and {MATCHES} are allowed: ask for fewer tester headers"
        ));
    }
    let users: usize = rules
        .all
        .iter()
        .enumerate()
        .filter(|(index, _)| !rules.testers.contains(index))
        .map(|(_, rule)| count(rule))
        .sum();
    let testers: usize = ours.iter().map(count).sum();
    (users + testers > ALL_MATCHES).then(|| {
        format!(
            "it has {users} matches: with {testers} for testers it would be {}, and {ALL_MATCHES} are allowed",
            users + testers
        )
    })
}
