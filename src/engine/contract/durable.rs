//! What of a status must be stored at once, and what can be read from the metrics store again.
//!
//! Figures, counts and sentences change with every tick. Ticks lie on a fixed grid and counters keep
//! their past, so a controller that starts again asks for the ticks since the last stored one.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::{
    CanaryRolloutStatus,
    status::{CheckStatus, Run, Verdict},
};

/// While a step is judged, what `kubectl get` shows is at most this old.
const FRESH_FOR: SignedDuration = SignedDuration::from_secs(30);

/// The same for a check that has enough samples now, or too few again. A step that is over before needs no write for it:
/// the ticks tell it again.
const VERDICTS_SHOWN_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// The same for what pods or a route are waited for. Most of these waits are over before.
const WAITS_SHOWN_AFTER: SignedDuration = SignedDuration::from_secs(2);

/// How long after the last time `next` may wait to be stored: not at all, if it says more than newer figures and sentences.
pub fn may_wait(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> SignedDuration {
    if says_more(stored, next) {
        return if says_more_of_checks_only(stored, next) {
            VERDICTS_SHOWN_AFTER
        } else {
            SignedDuration::ZERO
        };
    }
    let waiting = next
        .run
        .as_ref()
        .is_none_or(|run| run.intent.is_some() || run.growing.is_some());
    let judged = next.phase.is_judged() && !waiting;
    if judged { FRESH_FOR } else { WAITS_SHOWN_AFTER }
}

/// Whether `next` is a transition, which must not be lost. That a check says something else, or has its first figure, is news.
pub fn says_more(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    !says_the_same(stored, next)
}

/// Compares fields of two values of one type; those that are not compared have to be named, so that a new field is not forgotten.
macro_rules! equal {
    ($type:ident, $one:expr, $other:expr; $($field:ident),+; besides $($left_out:ident),*) => {{
        let $type { $($field,)+ $($left_out: _,)* } = $one;
        $(*$field == $other.$field)&&+
    }};
}

/// Only checks say something else, and none of them anything that a person or a release has to act upon.
fn says_more_of_checks_only(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    let calm = |checks: &[CheckStatus]| {
        checks
            .iter()
            .all(|check| matches!(check.verdict, Verdict::Wait | Verdict::Pass))
    };
    calm(&stored.checks) && calm(&next.checks) && says_the_same_besides_checks(stored, next)
}

fn says_the_same(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    all(&stored.checks, &next.checks, same_check) && says_the_same_besides_checks(stored, next)
}

/// What every tick changes is left out; what differs besides is lasting.
fn says_the_same_besides_checks(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    let alike = equal!(CanaryRolloutStatus, next, stored;
        phase, observed_generation, stable_revision, rejected, actions, kept, originals, configs, target_missing_since,
        events, outbox, drift, history;
        besides message, figures, run, checks, conditions);
    alike && all(&stored.conditions, &next.conditions, same_condition) && same_run(stored, next)
}

fn all<T>(stored: &[T], next: &[T], same: fn(&T, &T) -> bool) -> bool {
    stored.len() == next.len() && stored.iter().zip(next).all(|(stored, next)| same(stored, next))
}

fn same_check(stored: &CheckStatus, next: &CheckStatus) -> bool {
    stored.value.is_some() == next.value.is_some()
        && equal!(CheckStatus, next, stored; name, verdict, cause, threshold; besides value, baseline, evidence, at, message)
}

fn same_condition(stored: &Condition, next: &Condition) -> bool {
    equal!(Condition, next, stored; type_, status, reason, observed_generation, last_transition_time; besides message)
}

fn same_run(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    match (&stored.run, &next.run) {
        // Whether Services were found narrowed is seen again at the next look.
        (Some(stored), Some(next)) => equal!(Run, next, stored;
            number, revision, replica_set, stable_revision, started_at, step, steps, weight, entered_at, weight_confirmed_at, step_started_at, intent,
            growing, paused_for, paused_at, reminders, paused_total, user_pause, approved, hold_waived, skip_steps, gates, no_data_since,
            capacity_lost, carriers, recovery, undoing, abort, ending, outcome, reason, ended_at, plan;
            besides narrowed, judge),
        (stored, next) => stored.is_none() && next.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::{Cause, Phase};

    fn judged(check: CheckStatus) -> CanaryRolloutStatus {
        CanaryRolloutStatus {
            phase: Phase::Shifting,
            run: Some(run()),
            checks: vec![check],
            message: "holding".to_owned(),
            ..CanaryRolloutStatus::default()
        }
    }

    fn run() -> crate::api::status::Run {
        let plan = serde_json::json!({"workload": {"deployment": {"name": "catalog"}}, "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}}, "unjudged": true});
        let run = serde_json::json!({"number": 1, "revision": "w", "replicaSet": "catalog-w", "stableRevision": "s", "startedAt": "2026-01-01T00:00:00Z", "step": 1, "steps": 2, "weight": "5%", "plan": plan});
        serde_json::from_value(run).unwrap()
    }

    fn check(verdict: Verdict, value: Option<&str>) -> CheckStatus {
        CheckStatus {
            name: "error-rate".to_owned(),
            verdict,
            cause: (verdict == Verdict::Wait).then_some(Cause::FewSamples),
            value: value.map(str::to_owned),
            threshold: "<= 1%".to_owned(),
            baseline: None,
            evidence: value.map(|value| format!("rests on {value}")).unwrap_or_default(),
            at: None,
            message: String::new(),
        }
    }

    #[test]
    fn figures_may_be_lost_and_news_may_not() {
        let stored = judged(check(Verdict::Wait, Some("0.1%")));
        let wait = |change: fn(&mut CanaryRolloutStatus)| {
            let mut next = stored.clone();
            change(&mut next);
            may_wait(&stored, &next)
        };
        assert_eq!(
            wait(|next| next.checks[0] = check(Verdict::Wait, Some("0.2%"))),
            FRESH_FOR
        );
        assert_eq!(wait(|next| next.message = "holding still".to_owned()), FRESH_FOR);
        assert_eq!(
            wait(|next| next.run.as_mut().unwrap().judge.last_tick = Some(jiff::Timestamp::UNIX_EPOCH)),
            FRESH_FOR
        );
        assert_eq!(
            wait(|next| next.checks[0] = check(Verdict::Pass, Some("0.1%"))),
            VERDICTS_SHOWN_AFTER
        );
        assert_eq!(
            wait(|next| next.checks[0] = check(Verdict::Wait, None)),
            VERDICTS_SHOWN_AFTER
        );
        assert_eq!(wait(|next| next.checks.clear()), VERDICTS_SHOWN_AFTER);
        assert_eq!(
            wait(|next| next.checks[0] = check(Verdict::Fail, Some("3%"))),
            SignedDuration::ZERO
        );
        assert_eq!(
            wait(|next| next.checks[0] = check(Verdict::NoData, None)),
            SignedDuration::ZERO
        );
        assert_eq!(wait(|next| next.run.as_mut().unwrap().step = 2), SignedDuration::ZERO);
        assert_eq!(wait(|next| next.events.emitted += 1), SignedDuration::ZERO);
    }

    #[test]
    fn what_is_waited_for_is_shown_soon() {
        let waiting = CanaryRolloutStatus {
            phase: Phase::Preparing,
            ..judged(check(Verdict::Wait, None))
        };
        let next = CanaryRolloutStatus {
            message: "1/2 pods".to_owned(),
            ..waiting.clone()
        };
        assert_eq!(may_wait(&waiting, &next), WAITS_SHOWN_AFTER);
        let mut written = judged(check(Verdict::Wait, None));
        written.run.as_mut().unwrap().intent = Some(crate::api::status::Intent::new(
            crate::api::Percent::FULL,
            std::collections::BTreeMap::default(),
            jiff::Timestamp::UNIX_EPOCH,
        ));
        let next = CanaryRolloutStatus {
            message: "waiting for the gateway".to_owned(),
            ..written.clone()
        };
        assert_eq!(may_wait(&written, &next), WAITS_SHOWN_AFTER);
    }
}
