//! What a route's schema allows, checked before a release, so that none gets stuck on a refused write.

use serde_json::Value;

use super::{
    super::{RouteError, Target},
    rules::{Rule, Rules, matches_of},
    testers,
    weights::SCALE,
};

/// Backends in a rule.
const BACKENDS: usize = 16;
/// Rules in a route.
const RULES: usize = 16;
/// Matches in a rule.
const MATCHES: usize = 64;
/// Matches in a route.
const ALL_MATCHES: usize = 128;
/// Greatest weight of a backend.
const WEIGHT: i64 = 1_000_000;

/// What cannot be done in this route, with the numbers.
pub(super) fn beyond(rules: &Rules<'_>, target: &Target) -> Option<RouteError> {
    let reason = rules.routed().find_map(in_rule).or_else(|| for_testers(rules, target))?;
    Some(RouteError::Unsupported { route: rules.route.clone(), reason })
}

fn in_rule(rule: &Rule<'_>) -> Option<String> {
    let found = rule.backends.len() - rule.canary.len();
    if found + 1 > BACKENDS {
        return Some(format!("rule {} has {found} backends: with the new version's it would be {}, and {BACKENDS} are allowed", rule.name, found + 1));
    }
    // With our entry in it, the weights are no longer the user's.
    let stable = rule.stable.filter(|_| rule.canary.is_empty())?;
    if rule.effective(stable) == 0 {
        return Some(format!(
            "rule {} gives the Service weight 0: there is nothing to split; give it a weight, or name other rules in spec.traffic",
            rule.name
        ));
    }
    let largest = (0..rule.backends.len()).map(|place| rule.effective(place)).max().unwrap_or_default();
    (!rule.alone() && largest.saturating_mul(SCALE) > WEIGHT).then(|| {
        format!(
            "rule {} has a weight of {largest}: to split it exactly beside other backends it is multiplied by {SCALE}, and {WEIGHT} is the greatest allowed; make all weights of the rule smaller",
            rule.name
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
        return Some(format!("it has {found} rules: with {} for testers it would be {}, and {RULES} are allowed", ours.len(), found + ours.len()));
    }
    let count = |rule: &Value| matches_of(rule).len().max(1);
    if let Some(most) = ours.iter().map(count).max().filter(|most| *most > MATCHES) {
        return Some(format!("a rule for testers would have {most} matches, and {MATCHES} are allowed: ask for fewer tester headers"));
    }
    let users: usize = rules.all.iter().enumerate().filter(|(index, _)| !rules.testers.contains(index)).map(|(_, rule)| count(rule)).sum();
    let testers: usize = ours.iter().map(count).sum();
    (users + testers > ALL_MATCHES)
        .then(|| format!("it has {users} matches: with {testers} for testers it would be {}, and {ALL_MATCHES} are allowed", users + testers))
}
