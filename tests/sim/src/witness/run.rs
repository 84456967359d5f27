//! The release: no step without a pass, none shortened, none skipped, each outcome once.

use serde_json::Value;
use tokio::time::Instant;
use warmfront::api::{
    CanaryRolloutStatus, Plan,
    status::{CheckStatus, Phase, Run, Verdict},
};

use super::{Confirmed, Witness};
use crate::{apiserver::store::Change, world::text};

impl Witness {
    pub(super) fn see_rollout(&mut self, change: &Change) {
        let name = change.key.2.clone();
        let Some(new) = &change.new else {
            self.note(change.at, format!("CanaryRollout {name} is gone"));
            self.statuses.remove(&name);
            return;
        };
        if let Ok(spec) = serde_json::from_value(new["spec"].clone())
            && self
                .specs
                .insert(name.clone(), spec)
                .is_some_and(|before| Some(&before) != self.specs.get(&name))
        {
            self.plan_changes += 1;
        }
        let Some(status) = new
            .get("status")
            .filter(|status| change.old.as_ref().and_then(|old| old.get("status")) != Some(status))
        else {
            return;
        };
        let status: CanaryRolloutStatus = match serde_json::from_value(status.clone()) {
            Ok(status) => status,
            // Of one that another hand has made so, only the conditions change.
            Err(_) if change.by != "warmfront" || change.old.as_deref().is_some_and(is_unreadable) => return,
            Err(error) => return self.violation(change.at, format!("the status of {name} cannot be read: {error}")),
        };
        self.stable.extend(status.stable_revision.clone());
        let before = self.statuses.insert(name.clone(), status.clone()).unwrap_or_default();
        // As Events are named: one that is created again under the same name is another one.
        let uid = text(new, "/metadata/uid");
        let identity = format!("{name}.{}", uid.get(..8).unwrap_or(uid));
        self.compare(&identity, &before, &status, change.at);
    }

    fn compare(&mut self, name: &str, before: &CanaryRolloutStatus, after: &CanaryRolloutStatus, at: Instant) {
        if before.phase != after.phase {
            self.phases.push(after.phase.to_string());
            self.note(
                at,
                format!("phase {} → {}: {}", before.phase, after.phase, after.message),
            );
        }
        self.see_rejected(before, after, at);
        for notice in &after.events.pending {
            let key = (name.to_owned(), notice.sequence);
            let promised = (notice.reason.clone(), notice.note.clone());
            if let Some(other) = self
                .promised
                .insert(key, promised.clone())
                .filter(|other| *other != promised)
            {
                self.violation(
                    at,
                    format!(
                        "Event {} stands for two things: {other:?} and {promised:?}",
                        notice.sequence
                    ),
                );
            }
        }
        if after.events.emitted < before.events.emitted {
            self.violation(
                at,
                format!(
                    "the number of Events fell from {} to {}",
                    before.events.emitted, after.events.emitted
                ),
            );
        }
        let Some(run) = &after.run else { return };
        let old = before.run.as_ref().filter(|old| old.number == run.number);
        if before.run.as_ref().map_or(0, |old| old.number) + i64::from(old.is_none()) != run.number {
            self.violation(
                at,
                format!(
                    "run {} follows run {:?}",
                    run.number,
                    before.run.as_ref().map(|old| old.number)
                ),
            );
        }
        let Some(old) = old else { return };
        if run.weight_confirmed_at != old.weight_confirmed_at && run.ended_at.is_none() {
            self.confirmed.push(Confirmed {
                run: run.number,
                step: run.step,
                weight: run.weight,
            });
        }
        // A promotion may be undone while the old version stands by, and ends once more then.
        if old.ended_at.is_some() && run.ended_at != old.ended_at && run.undoing.is_none() {
            self.violation(at, format!("run {} ended twice", run.number));
        }
        if run.revision != old.revision {
            self.violation(
                at,
                format!(
                    "run {} changed its revision from {} to {}",
                    run.number, old.revision, run.revision
                ),
            );
        }
        self.rise(before, old, after, run, at);
        let place = |run: &Run| (run.number, run.step, run.weight, run.weight_confirmed_at);
        if place(run) != place(old) {
            self.route.before.clear();
        }
    }

    /// A higher weight was decided.
    fn rise(&mut self, before: &CanaryRolloutStatus, old: &Run, after: &CanaryRolloutStatus, run: &Run, at: Instant) {
        let wanted = run.intent.as_ref().map(|intent| intent.weight);
        let Some(wanted) = wanted
            .filter(|wanted| *wanted > run.weight && old.intent.as_ref().map(|intent| intent.weight) != Some(*wanted))
        else {
            return;
        };
        if run.plan != old.plan {
            return;
        }
        let Ok(plan) = Plan::try_from(&*run.plan) else { return };
        let planned = |step: i32| usize::try_from(step - 1).ok().and_then(|index| plan.steps.get(index));
        // What a cold cache does not bear yet comes in between, and the step stays the same.
        let in_between = run.step == old.step && planned(run.step + 1).is_some_and(|next| wanted < next.weight);
        // PromoteFully drops steps on purpose, and what is left of the hold with them.
        if run.step != old.step + 1 && !run.skip_steps && !in_between {
            self.violation(at, format!("step {} follows step {}", run.step, old.step));
        }
        let Some(step) = planned(run.step) else {
            return self.violation(at, format!("there is no step {}", run.step));
        };
        if wanted != step.weight && !in_between {
            self.violation(
                at,
                format!("step {} has weight {}, not {wanted}", run.step, step.weight),
            );
        }
        if before.phase == Phase::Preparing {
            return;
        }
        let waits = |check: &&CheckStatus| check.verdict != Verdict::Pass;
        if let Some(check) = after.checks.iter().find(|check| waits(check) && !old.accepted) {
            self.violation(
                at,
                format!(
                    "weight {wanted} was decided while check {} says {}",
                    check.name, check.verdict
                ),
            );
        }
        if after.checks.len() != plan.checks.len() {
            self.violation(
                at,
                format!(
                    "weight {wanted} was decided on {} of {} checks",
                    after.checks.len(),
                    plan.checks.len()
                ),
            );
        }
        let held = planned(old.step).map_or(std::time::Duration::ZERO, |step| step.hold.into());
        match self.route.accepted {
            Some((share, since)) if share == run.weight.hundredths() => {
                let before = self.route.before.iter().filter(|(before, _)| *before == share);
                let served = at.duration_since(since) + before.map(|(_, length)| *length).sum::<std::time::Duration>();
                // The clock is exact to a millisecond.
                if served + std::time::Duration::from_millis(2) < held
                    && !old.hold_waived
                    && !run.hold_waived
                    && !run.skip_steps
                {
                    self.violation(
                        at,
                        format!(
                            "{} was held for {served:?} from its confirmation instead of {held:?}",
                            run.weight
                        ),
                    );
                }
            }
            other => {
                let share = other.map(|(share, _)| share);
                self.violation(
                    at,
                    format!(
                        "weight {wanted} was decided although the gateway had accepted {share:?} and not {}",
                        run.weight
                    ),
                );
            }
        }
    }
}

/// Whether a rollout's status cannot be read.
fn is_unreadable(rollout: &Value) -> bool {
    serde_json::from_value::<CanaryRolloutStatus>(rollout["status"].clone()).is_err()
}
