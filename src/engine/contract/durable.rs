//! Which news must be stored at once, and which may wait because a restarted controller can find it out again.
//!
//! Figures, counts and sentences change with every tick. Ticks lie on a fixed grid and counters keep
//! their past, so a controller that starts again asks for the ticks since the last stored one.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::{
    CanaryRolloutStatus,
    status::{CheckStatus, Draining, Run, Verdict},
};

/// While a step is judged, the figures that `kubectl get` shows are at most this old.
const FRESH_FOR: SignedDuration = SignedDuration::from_secs(30);

/// Longest delay before a change between wait and pass of a check is stored. If the step ends sooner it is never written;
/// a restart computes it again from the ticks.
const VERDICTS_SHOWN_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// Longest delay before it is stored which pods or route are waited for. Most of these waits end sooner.
const WAITS_SHOWN_AFTER: SignedDuration = SignedDuration::from_secs(2);

/// Longest delay before it is stored that a Deployment has another generation and nothing else is new: its size was changed, or we
/// have paused it. Mostly something else is stored before that.
const GENERATIONS_SHOWN_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// How long after the last write `next` may wait to be stored. Zero for a transition.
pub fn may_wait(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> SignedDuration {
    if says_more(stored, next) {
        return if says_more_of_checks_only(stored, next) {
            VERDICTS_SHOWN_AFTER
        } else {
            SignedDuration::ZERO
        };
    }
    if differs_in_generations_only(stored, next) {
        return GENERATIONS_SHOWN_AFTER;
    }
    let waiting = next
        .run
        .as_ref()
        .is_none_or(|run| run.intent.is_some() || run.growing.is_some());
    let judged = next.phase.is_judged() && !waiting;
    if judged { FRESH_FOR } else { WAITS_SHOWN_AFTER }
}

/// Whether `next` is a transition, which must not be lost. Newer figures and sentences are none; another verdict and a
/// check's first figure are.
pub fn says_more(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    !says_the_same(stored, next)
}

/// Compares fields of two values of one type. Those that are left out have to be named, so that the compiler asks about a
/// new field.
macro_rules! equal {
    ($type:ident, $one:expr, $other:expr; $($field:ident),+; besides $($left_out:ident),*) => {{
        let $type { $($field,)+ $($left_out: _,)* } = $one;
        $(*$field == $other.$field)&&+
    }};
}

fn differs_in_generations_only(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    let spoken_of = CanaryRolloutStatus {
        observed_workload_generation: stored.observed_workload_generation,
        observed_workload_uid: stored.observed_workload_uid.clone(),
        observed_baseline_generation: stored.observed_baseline_generation,
        ..next.clone()
    };
    *stored == spoken_of
}

/// The two differ in nothing but verdicts, and no verdict is one to act upon.
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

/// Leaves out what every tick changes.
fn says_the_same_besides_checks(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    let alike = equal!(CanaryRolloutStatus, next, stored;
        phase, observed_generation, stable_revision, rejected, actions, kept, originals, hold, configs, target_missing_since,
        events, outbox, inspection, drift, history;
        besides message, figures, run, checks, conditions, draining, observed_workload_generation, observed_workload_uid,
        observed_baseline_generation);
    alike
        && all(&stored.draining, &next.draining, same_draining)
        && all(&stored.conditions, &next.conditions, same_condition)
        && same_run(stored, next)
}

fn all<T>(stored: &[T], next: &[T], same: fn(&T, &T) -> bool) -> bool {
    stored.len() == next.len() && stored.iter().zip(next).all(|(stored, next)| same(stored, next))
}

fn same_check(stored: &CheckStatus, next: &CheckStatus) -> bool {
    stored.value.is_some() == next.value.is_some()
        && equal!(CheckStatus, next, stored; name, verdict, cause, threshold; besides value, baseline, evidence, at, message)
}

fn same_draining(stored: &Draining, next: &Draining) -> bool {
    equal!(Draining, next, stored; revision, needs, since, keep_for; besides asked, last_seen, requests)
}

fn same_condition(stored: &Condition, next: &Condition) -> bool {
    equal!(Condition, next, stored; type_, status, reason, observed_generation, last_transition_time; besides message)
}

fn same_run(stored: &CanaryRolloutStatus, next: &CanaryRolloutStatus) -> bool {
    match (&stored.run, &next.run) {
        // `narrowed` is seen again at the next look.
        (Some(stored), Some(next)) => equal!(Run, next, stored;
            number, revision, replica_set, stable_revision, started_at, step, steps, weight, entered_at, weight_confirmed_at, step_started_at, intent,
            growing, paused_for, paused_at, reminders, paused_total, user_pause, approved, hold_waived, skip_steps, gates, no_data_since, accepted,
            capacity_lost, carriers, unreached_since, recovery, undoing, abort, ending, outcome, reason, ended_at, plan;
            besides narrowed, judge, trace),
        (stored, next) => stored.is_none() && next.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status::{Cause, Evidence, Phase};

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
            evidence: value.map(|_| Evidence {
                total: 9.0,
                ..Evidence::default()
            }),
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
    fn a_generation_rides_along_and_comes_at_last() {
        let at_rest = CanaryRolloutStatus {
            observed_workload_generation: Some(3),
            ..CanaryRolloutStatus::default()
        };
        let mut next = CanaryRolloutStatus {
            observed_workload_generation: Some(4),
            ..at_rest.clone()
        };
        assert_eq!(may_wait(&at_rest, &next), GENERATIONS_SHOWN_AFTER);
        next.message = "something else".to_owned();
        assert_eq!(may_wait(&at_rest, &next), WAITS_SHOWN_AFTER);
        next.phase = Phase::Preparing;
        assert_eq!(may_wait(&at_rest, &next), SignedDuration::ZERO);
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
