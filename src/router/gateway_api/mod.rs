//! HTTPRoutes and GRPCRoutes of the Gateway API: reads and changes the two versions' weights and our rules for testers, and nothing else in them.

mod acceptance;
mod entries;
mod limits;
mod rule;
mod rules;
mod testers;
mod weights;

#[cfg(test)]
mod tests;

use json_patch::{PatchOperation, jsonptr::Pointer};
use serde_json::Value;

pub use acceptance::{READ, acceptance, gateways};

use super::{RouteError, RouteState, Target, Want};
use crate::{
    api::{
        Percent,
        status::{RouteOriginal, RuleOriginal},
    },
    kubernetes::patch::{Patch, test},
};
use rule::Rule;
use rules::Rules;
pub(super) use weights::SCALE;

/// The canary's share of two weights, rounded to a hundredth of a percent.
pub fn share(stable: i64, canary: i64) -> Percent {
    weights::share(stable, canary)
}

/// Whether `share` of the weight `found`, beside other backends, can be expressed: once scaled it is at least 1.
pub fn divides(found: i64, share: Percent) -> bool {
    weights::split(found.saturating_mul(weights::SCALE), share).canary > 0
}

/// What a route says about the two versions. Fails only if the object does not have the form of its schema; see [`RouteState::problem`] for the rest.
pub fn read(route: &Value, target: &Target) -> Result<RouteState, RouteError> {
    let rules = Rules::find(route, target)?;
    let problem = rules.problem.clone().or_else(|| limits::beyond(&rules, target));
    let port = |rule: &Rule<'_>, place: usize| {
        let port = rule.backends.get(place)?.get("port")?.as_u64()?;
        u16::try_from(port).ok()
    };
    Ok(RouteState {
        canary: rules.concerned.iter().filter_map(Rule::share).max(),
        rules: rules.concerned.iter().map(Rule::state).collect(),
        tester_rules: rules.testers.len(),
        ports: rules.routed().filter_map(|rule| port(rule, rule.stable?)).collect(),
        canary_ports: rules
            .routed()
            .flat_map(|rule| rule.canary.iter().filter_map(|place| port(rule, *place)))
            .collect(),
        weights: RouteOriginal {
            rules: rules
                .routed()
                .map(|rule| rule.original(target.theirs.is_some()))
                .collect(),
            entered: false,
        },
        left_out: testers::left_out(&rules, target),
        keeps_sessions: rules.routed().any(Rule::keeps_sessions),
        entry_may_stay: target.theirs.is_some(),
        problem,
    })
}

/// The change after which the route says `want`; `None` if it does already. `originals` has the weights before our first change.
pub fn change(
    route: &Value,
    target: &Target,
    want: Want,
    originals: &RouteOriginal,
) -> Result<Option<Patch>, RouteError> {
    let rules = Rules::find(route, target)?;
    let mut patch = Patch::new();
    for rule in &rules.concerned {
        let original = rule.original_in(originals, rules.concerned.len() == 1);
        if target.theirs.is_some() && original.is_none() {
            // The status does not have these weights yet: without it we could not put them back.
            continue;
        }
        let left_behind = original.is_some_and(|known| originals.entered && rule.left_behind(known));
        let change = match want {
            Want::Left => Patch::new(),
            Want::Absent | Want::Drained if left_behind => entries::put_back(rule, original),
            Want::Weight(weight) if left_behind && rule.routed => {
                let ours = Rule {
                    as_found: false,
                    ..rule.clone()
                };
                entries::present(&ours, target, weight, original)
            }
            Want::Absent => entries::absent(rule, target, original),
            // Sessions stay on a backend of weight 0, so the entry must go.
            Want::Drained if rule.keeps_sessions() => entries::absent(rule, target, original),
            Want::Weight(weight) if rule.routed => entries::present(rule, target, weight, original),
            Want::Drained | Want::Weight(_) => entries::drained(rule, target, original),
        };
        if !change.is_empty() {
            patch.extend(rule.guard());
            patch.extend(change);
        }
    }
    let wanted = match want {
        Want::Weight(_) => testers::wanted(&rules, target),
        Want::Absent | Want::Left | Want::Drained => Vec::new(),
    };
    patch.extend(testers::change(&rules, wanted));
    Ok((!patch.is_empty()).then_some(patch))
}

/// Whether a rule still has weights of ours although another hand has taken the canary's entry out: they are none of its
/// owner's. `known` has the weights before our first change, `live` those of today.
pub fn left_behind(known: &RouteOriginal, live: &RouteOriginal) -> bool {
    live.rules.iter().any(|rule| {
        let same = known.of(&rule.rule, live.rules.len() == 1);
        same.is_some_and(|known| weights::left_behind(known, rule))
    })
}

/// Whether two rollouts would set weights in the same rule of a route. If the route is missing or unclear, the names of rules in the specs decide.
pub fn overlap(route: Option<&Value>, one: &Target, other: &Target) -> bool {
    let found = |target: &Target| {
        let rules = Rules::find(route?, target).ok()?;
        rules
            .problem
            .is_none()
            .then(|| rules.routed().map(|rule| rule.index).collect::<Vec<_>>())
    };
    if let (Some(ours), Some(theirs)) = (found(one), found(other)) {
        return ours.iter().any(|index| theirs.contains(index));
    }
    let any = |target: &Target| {
        target.rules.is_empty() || target.rules.iter().any(|rule| rule == crate::api::plan::ALL_RULES)
    };
    any(one) || any(other) || one.rules.iter().any(|rule| other.rules.contains(rule))
}

/// A test that makes the API server refuse the patch if another backend is at this place meanwhile.
fn test_name(path: &Pointer, backend: &Value) -> PatchOperation {
    test(path.with_trailing_token("name"), backend.get("name").cloned())
}
