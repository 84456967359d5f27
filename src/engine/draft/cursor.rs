//! The verbs that move a release: where it stands, what it aims at, what it waits for.

use crate::api::moment::Moment as _;
use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    api::{
        CanaryRolloutSpec, Duration, Percent,
        plan::step_number,
        status::{Drift, Figures, Growing, Intent, JudgeMemory, Outcome, Phase, Run},
    },
    engine::{
        draft::{Draft, events::Reason, trace},
        facts::Facts,
        judge::memory::{self, Reset},
    },
};

/// What a release begins with.
pub struct Beginning {
    /// What is released: a `pod-template-hash`.
    pub revision: String,
    /// The ReplicaSet that has its pods, or will have.
    pub replica_set: String,
    /// What users have: a `pod-template-hash`.
    pub stable_revision: String,
    /// What users have is broken, so nothing waits for it.
    pub recovery: bool,
    /// For people: what it means for their pods.
    pub what: String,
}

impl Beginning {
    /// A run that has done nothing yet.
    fn run(self, number: i64, facts: &Facts<'_>, plan: Arc<CanaryRolloutSpec>) -> Run {
        Run {
            number,
            revision: self.revision,
            replica_set: self.replica_set,
            stable_revision: self.stable_revision,
            started_at: facts.now,
            step: 0,
            steps: count(facts.plan.steps.len()),
            weight: Percent::ZERO,
            entered_at: None,
            weight_confirmed_at: None,
            step_started_at: None,
            intent: None,
            growing: Some(Growing {
                weight: facts.first_weight(),
                since: facts.now,
            }),
            paused_for: None,
            paused_at: None,
            reminders: 0,
            paused_total: Duration::ZERO,
            user_pause: false,
            approved: false,
            hold_waived: false,
            accepted: false,
            skip_steps: false,
            gates: Vec::new(),
            no_data_since: None,
            capacity_lost: 0,
            carriers: 0,
            unreached_since: None,
            recovery: self.recovery,
            narrowed: false,
            undoing: None,
            abort: None,
            ending: None,
            outcome: None,
            reason: None,
            ended_at: None,
            trace: Vec::new(),
            plan,
            judge: JudgeMemory::default(),
        }
    }
}

/// The run stands at this step, counted from 0, or before the first. An approval is of one step, at all weights of it.
pub(super) fn enter(run: &mut Run, step: Option<usize>) {
    let number = step_number(step);
    run.approved &= run.step == number;
    run.step = number;
}

/// The status counts in `i32`, as the schema says.
pub(super) fn count(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

impl Draft {
    /// Changes the run, if there is one.
    pub(super) fn change(&mut self, change: impl FnOnce(&mut Run)) {
        if let Some(run) = &mut self.status.run {
            change(run);
        }
    }

    /// A newer version has left a phase that this one does not know: where the release is follows from the rest. It stands
    /// at its confirmed weight, and what it aimed at, or waited for, is asked for anew.
    pub fn know_phase(&mut self, facts: &Facts<'_>) {
        if self.status.phase != Phase::Unknown {
            return;
        }
        let running = self.run().filter(|run| run.ended_at.is_none());
        let going_back = running.is_some_and(|run| run.ending.is_some() || run.undoing.is_some());
        let outcome = self.run().and_then(|run| run.outcome);
        self.status.phase = match (running.map(|run| run.weight), outcome) {
            (Some(_), _) if going_back => Phase::RollingBack,
            (Some(weight), _) => return self.stand_at(facts, weight),
            (None, Some(Outcome::Promoted)) => Phase::Succeeded,
            (None, Some(Outcome::RolledBack | Outcome::Unknown)) => Phase::RolledBack,
            (None, Some(Outcome::Superseded) | None) => facts.mode.phase_without_run(facts),
        };
    }

    /// Begins a release.
    pub fn begin(&mut self, facts: &Facts<'_>, beginning: Beginning) {
        let Some(plan) = self.spec.clone() else { return };
        let (revision, stable) = (beginning.revision.clone(), beginning.stable_revision.clone());
        let what = beginning.what.clone();
        let status = &mut self.status;
        let number = status.run.as_ref().map_or(0, |run| run.number).saturating_add(1);
        status.kept.retain(|kept| !kept.standby && kept.revision != revision);
        trace::hand_on(status);
        status.run = Some(beginning.run(number, facts, plan));
        status.phase = Phase::Preparing;
        status.figures = Figures::default();
        status.checks.clear();
        status.drift = Drift::default();
        let steps: Vec<String> = facts.plan.steps.iter().map(|step| step.weight.to_string()).collect();
        let left_out: String = facts
            .found_routes()
            .flat_map(|(id, route)| route.state.left_out.iter().map(move |what| format!("; {id}: {what}")))
            .collect();
        self.tell(
            Reason::ReleaseStarted,
            format!(
                "release {number}: {stable} → {revision} in steps {}{what}{left_out}; {}",
                steps.join(", "),
                facts.mode.way_out(facts.plan)
            ),
        );
    }

    /// Pods for a weight are waited for.
    pub fn grow(&mut self, growing: Growing) {
        self.change(|run| run.growing = Some(growing));
    }

    /// Waiting for pods begins anew: something else kept them from being made meanwhile.
    pub fn restart_growing(&mut self) {
        let since = self.now;
        self.change(|run| {
            if let Some(growing) = &mut run.growing {
                growing.since = since;
            }
        });
    }

    /// The new version's entry is to be put into the routes, at weight 0.
    pub fn enter_routes(&mut self, facts: &Facts<'_>) {
        self.change(|run| {
            run.entered_at = None;
            run.intent = Some(Intent::new(Percent::ZERO, facts.generations(), facts.now));
        });
    }

    /// The router has confirmed the entry at weight 0.
    pub fn confirm_entry(&mut self) {
        let now = self.now;
        self.change(|run| {
            run.intent = None;
            run.entered_at = Some(now);
        });
    }

    /// Asks for a weight: of a step, counted from 0, or a greater one before the next step. Its pods are there. Only while Shifting is there a weight to aim at.
    pub fn aim(&mut self, facts: &Facts<'_>, step: Option<usize>, weight: Percent) {
        self.status.phase = Phase::Shifting;
        if let Some(revision) = self.run().map(|run| run.revision.clone()) {
            self.drain_no_longer(&revision);
        }
        self.change(|run| {
            enter(run, step);
            run.intent = Some(Intent::new(weight, facts.generations(), facts.now));
            run.carriers = count(facts.size_for(weight));
            run.growing = None;
        });
    }

    /// The router has confirmed the weight that was asked for: the step's clock and its samples count once it has settled.
    pub fn confirm(&mut self, facts: &Facts<'_>) {
        let since = facts.now.plus(facts.plan.settle.signed());
        self.change(|run| {
            let Some(intent) = run.intent.take() else { return };
            run.weight = intent.weight;
            run.weight_confirmed_at = Some(facts.now);
            run.step_started_at = Some(since);
            run.hold_waived = false;
            run.paused_total = Duration::ZERO;
        });
        self.forget(Reset::Step);
    }

    /// Pods were lost at `weight`: falls to the weight of a step, counted from 0, that `available` pods carry, or to
    /// before the first one. The missing pods are waited for, and not removed for the lower weight.
    pub fn fall_to(&mut self, facts: &Facts<'_>, step: Option<usize>, weight: Percent, available: u32) {
        let (now, first) = (self.now, facts.first_weight());
        let carried = step
            .and_then(|index| facts.plan.steps.get(index))
            .map(|step| step.weight);
        self.status.phase = if carried.is_some() {
            Phase::Shifting
        } else {
            Phase::Preparing
        };
        self.change(|run| {
            run.capacity_lost = run.capacity_lost.saturating_add(1);
            enter(run, step);
            run.step_started_at = None;
            run.carriers = count(available);
            run.unreached_since = None;
            run.intent = carried.map(|to| Intent::new(to, facts.generations(), now));
            run.growing = Some(Growing {
                weight: if carried.is_some() { weight } else { first },
                since: now,
            });
            if carried.is_none() {
                run.weight = Percent::ZERO;
                // It enters the routes again when it has pods.
                run.entered_at = None;
            }
        });
        self.forget(Reset::Fall(carried.unwrap_or(Percent::ZERO)));
    }

    /// The release is to stand at `live`, a weight that is not its own doing, such as one that another hand has lowered. Once the
    /// router has confirmed it, it goes on from there as it always does: it bakes no longer, and what a person granted was granted
    /// for another step.
    pub fn stand_at(&mut self, facts: &Facts<'_>, live: Percent) {
        if live == Percent::ZERO {
            // Nothing can pass without traffic: the release begins again at its first weight.
            self.start_over(facts);
            return;
        }
        self.forget(Reset::Fall(live));
        let at = facts.plan.steps.iter().rposition(|step| step.weight <= live);
        self.status.phase = Phase::Shifting;
        self.change(|run| {
            enter(run, at);
            run.intent = Some(Intent::new(live, facts.generations(), facts.now));
            run.growing = None;
            run.step_started_at = None;
            run.hold_waived = false;
            run.skip_steps = false;
            run.paused_total = Duration::ZERO;
        });
    }

    /// No traffic is given before `until`.
    pub fn rest(&mut self, until: Option<Timestamp>) {
        self.change(|run| run.judge.rests_until = until);
    }

    /// Back to before the first weight.
    pub fn start_over(&mut self, facts: &Facts<'_>) {
        self.forget(Reset::Fall(Percent::ZERO));
        self.status.phase = Phase::Preparing;
        self.change(|run| {
            run.weight = Percent::ZERO;
            enter(run, None);
            run.intent = None;
            run.entered_at = None;
            run.step_started_at = None;
            run.growing = Some(Growing {
                weight: facts.first_weight(),
                since: facts.now,
            });
        });
    }

    /// Everything goes to the new version, which is judged for a while with the old one still up. To the judge that is the last
    /// step going on, of which no tick is lost.
    pub fn bake(&mut self, facts: &Facts<'_>) {
        let now = self.now;
        let judged = !facts.plan.checks.is_empty();
        self.status.phase = Phase::Baking;
        self.change(|run| {
            if judged {
                memory::begin_bake(&mut run.judge);
            } else {
                run.step_started_at = Some(now);
            }
            run.hold_waived = false;
            run.accepted = false;
            run.skip_steps = false;
            run.paused_total = Duration::ZERO;
        });
    }

    /// The new version is to take over for good. From here on the exchange is finished forward.
    pub fn promote(&mut self) {
        self.status.phase = Phase::Promoting;
        self.change(|run| {
            run.paused_for = None;
            run.paused_at = None;
        });
    }

    /// The hold and the evidence of a confirmed step begin anew: what was compared is no longer the same.
    pub fn begin_step_anew(&mut self) {
        let now = self.now;
        if self.status.phase.is_judged() && self.run().is_some_and(|run| run.intent.is_none()) {
            self.change(|run| run.step_started_at = run.step_started_at.max(Some(now)));
            self.forget(Reset::Evidence);
        }
    }

    /// The old version is another one: that is also so where no step is judged.
    pub fn know_baseline_anew(&mut self) {
        self.begin_step_anew();
        self.forget(Reset::Baseline);
    }

    /// Forgets what the judge has counted so far in this step, and that a person has accepted it.
    pub fn forget(&mut self, what: Reset<'_>) {
        let now = self.now;
        if let Some(run) = &mut self.status.run {
            run.accepted = false;
            memory::start_afresh(run, &mut self.status.checks, what, now);
        }
    }

    /// Whether the user's Services were found narrowed in this run.
    pub fn note_narrowed(&mut self, narrowed: Narrowed) {
        self.change(|run| run.narrowed = narrowed == Narrowed::Yes);
    }

    /// Checks have no data since `since`, or have some.
    pub fn note_no_data(&mut self, since: Option<Timestamp>) {
        self.change(|run| run.no_data_since = since);
    }
}

/// Whether the user's Services select the old version alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrowed {
    /// All of them.
    Yes,
    /// At least one reaches other pods as well.
    No,
}
