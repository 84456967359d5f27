//! What people read of a status: the message, the columns and the conditions.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::{
    api::{
        CanaryRolloutStatus, Percent,
        condition::{ConditionType, Refusal, set},
        status::{NO_FIGURE, PauseReason, Phase},
    },
    engine::{
        contract::Identity,
        draft::{Report, SpokenOf},
        facts::{Facts, text},
        guards::{capacity, hold},
        result::message,
    },
};

/// Of a spec that never was valid.
pub fn refused(id: &Identity, status: &CanaryRolloutStatus, why: &str, now: Timestamp) -> Report {
    let mut conditions = status.conditions.clone();
    let reasons: [(ConditionType, &str); 3] = [
        (ConditionType::Accepted, Refusal::InvalidSpec.into()),
        (ConditionType::Progressing, Phase::Idle.into()),
        (ConditionType::Promoted, "NotStarted"),
    ];
    for (kind, reason) in reasons {
        set(&mut conditions, kind, false, reason, why, Some(id.generation), now);
    }
    Report {
        generation: id.generation,
        workload: SpokenOf::AsBefore,
        message: why.to_owned(),
        columns: None,
        conditions,
    }
}

/// Everything that is derived from the rest of the status and the world.
pub fn report(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Report {
    let message = message::message(facts, status);
    Report {
        generation: facts.id.generation,
        workload: workload(facts, status),
        conditions: conditions(facts, status, &message),
        columns: Some(columns(status)),
        message,
    }
}

/// The Deployments of this look, if what the status says is about their templates.
fn workload(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> SpokenOf {
    let Some(deployment) = &facts.seen.deployment else {
        // What cannot be read is there.
        return if facts.seen.unreadable.is_some() {
            SpokenOf::AsBefore
        } else {
            SpokenOf::Nothing
        };
    };
    let anew = status.observed_workload_uid.as_ref() != Some(&deployment.uid);
    match (facts.mode.speaks_of_newest(facts, status), anew) {
        (false, false) => SpokenOf::AsBefore,
        (false, true) => SpokenOf::Nothing,
        (true, _) => SpokenOf::Workload {
            uid: deployment.uid.clone(),
            generation: deployment.generation,
            baseline: facts.mode.baseline_generation(facts, status),
        },
    }
}

fn columns(status: &CanaryRolloutStatus) -> (String, String) {
    match status.run.as_ref().filter(|_| status.is_active()) {
        Some(run) => (format!("{}/{}", run.step, run.steps), run.weight.to_string()),
        None => (NO_FIGURE.to_owned(), NO_FIGURE.to_owned()),
    }
}

fn conditions(facts: &Facts<'_>, status: &CanaryRolloutStatus, message: &str) -> Vec<Condition> {
    let active = status.is_active();
    let mut conditions = status.conditions.clone();
    let mut put = |kind, is, reason: &str, text: &str| {
        set(
            &mut conditions,
            kind,
            is,
            reason,
            text,
            Some(facts.id.generation),
            facts.now,
        );
    };
    if let Some((reason, why)) = &facts.refusal {
        put(ConditionType::Accepted, false, (*reason).into(), why);
    } else {
        put(ConditionType::Accepted, true, "Accepted", &fit(facts, status));
    }
    let paused = status.run.as_ref().and_then(|run| run.paused_for).filter(|_| active);
    let phase: &'static str = status.phase.into();
    let progressing = if paused.is_some() { "Paused" } else { phase };
    put(
        ConditionType::Progressing,
        active && paused.is_none(),
        progressing,
        message,
    );
    put(
        ConditionType::Paused,
        paused.is_some(),
        paused.map_or("NotPaused", Into::into),
        message,
    );
    let (healthy, reason, text) = health(facts, status);
    put(ConditionType::Healthy, healthy, reason, &text);
    let (promoted, reason) = promoted(facts, status);
    put(ConditionType::Promoted, promoted, reason, message);
    match facts.mode.rejection(facts, status).filter(|_| !active) {
        Some(rejected) => put(
            ConditionType::RolledBack,
            true,
            rejected.reason.into(),
            &rejected.message,
        ),
        None => put(ConditionType::RolledBack, false, "NotRolledBack", ""),
    }
    conditions
}

fn health(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> (bool, &'static str, String) {
    // By the same rule as the hold and its Event, which is told once because this condition stands: so it comes before all others.
    if capacity::stable_lost(facts, status) {
        return (false, "StableUnavailable", capacity::unserved(facts, status));
    }
    if let Some(run) = status.run.as_ref().filter(|run| run.ended_at.is_none()) {
        if run.weight > Percent::ZERO && status.phase != Phase::Promoting && facts.ready_for_traffic(run) == 0 {
            return (
                false,
                "CanaryUnavailable",
                format!(
                    "no ready pod of revision {} is behind Service {} at {}",
                    run.revision, facts.plan.canary_service, run.weight
                ),
            );
        }
        // Where nothing has to move, nothing is incomplete.
        let waiting = facts.weight_confirmed(Percent::ZERO).err();
        let waiting = waiting.or_else(|| Some(format!("revision {} to serve again", run.undoing.as_ref()?)));
        if let (Some(ending), Some(waiting)) = (&run.ending, waiting) {
            return (
                false,
                "RollbackIncomplete",
                format!(
                    "traffic is being taken back since {}: waiting for {waiting}",
                    text::clock(ending.at)
                ),
            );
        }
    }
    if facts.reached(&facts.mode.serving(facts, status)) == 0 {
        return (false, "StableUnavailable", capacity::unserved(facts, status));
    }
    if let Some(departed) = facts.mode.departure(facts, status) {
        return (false, "RouteDrift", departed);
    }
    if let Some(last) = status.drift.last.as_ref().filter(|_| {
        status
            .run
            .as_ref()
            .is_some_and(|run| run.paused_for == Some(PauseReason::RouteContested))
    }) {
        let by = last.by.as_deref().unwrap_or("another hand");
        return (
            false,
            "RouteDrift",
            format!("{by} undoes our weights in {}", last.object),
        );
    }
    (true, "Serving", "users are served".to_owned())
}

fn fit(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> String {
    let mut fit = "everything that the rollout names is there and fit".to_owned();
    // What was found of a version that no longer serves is no news of the one that does.
    let inspected = status.inspection.as_ref();
    let inspected = inspected.filter(|inspected| status.stable_revision.as_ref() == Some(&inspected.revision));
    for found in inspected
        .iter()
        .flat_map(|inspected| [&inspected.message, &inspected.scraped_twice])
    {
        if !found.is_empty() {
            fit = format!("{fit}; {found}");
        }
    }
    match hold::why_paused(facts, status) {
        None => fit,
        Some(why) => format!(
            "{fit}; the Deployment is paused between releases, since the API server does not hold a changed template: {why}"
        ),
    }
}

/// Whether the spec's revision is what users have.
fn promoted(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> (bool, &'static str) {
    if !status.taken_over() {
        return (false, "NotStarted");
    }
    let promoted = facts.mode.promoted(facts, status);
    if promoted.0 {
        promoted
    } else if status.is_active() {
        (false, "InProgress")
    } else if facts.mode.rejection(facts, status).is_some() {
        (false, "RolledBack")
    } else {
        promoted
    }
}
