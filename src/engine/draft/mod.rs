//! The status as it is being rewritten. Only this folder moves a release.
//!
//! Every other folder reads [`Draft::status`] and calls a verb: those of `cursor` move the release, those of `pause`
//! hold it, those of `ending` end it. A guard gets the part of the status that is its own, and no other.

mod carriers;
pub mod cursor;
mod drains;
pub mod ending;
pub mod events;
mod grants;
pub mod originals;
pub mod outbox;
pub mod pause;
mod replan;
pub mod trace;

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::{
    CanaryRolloutSpec, CanaryRolloutStatus,
    status::{
        CheckStatus, ConfigSeen, Drift, DriftSeen, Figures, Floor, GateStatus, HandledAction, Hold, Inspection,
        JudgeMemory, Notification, Run,
    },
};

/// RolloutActions whose answers are remembered, and so the most that are taken before their objects carry them.
pub const REMEMBERED_ACTIONS: usize = 20;

/// The status as it is being rewritten, with what is to be told about it.
pub struct Draft {
    status: CanaryRolloutStatus,
    spec: Option<Arc<CanaryRolloutSpec>>,
    emitted_before: i64,
    now: Timestamp,
}

/// Which Deployments a status speaks of.
pub enum SpokenOf {
    /// Those that it has spoken of before.
    AsBefore,
    /// None: there is no Deployment.
    Nothing,
    /// This one.
    Workload {
        /// Its UID.
        uid: String,
        /// Its generation.
        generation: i64,
        /// Generation of a pair's baseline; absent where what is said is not about its newest template yet.
        baseline: Option<i64>,
    },
}

impl SpokenOf {
    fn note(self, status: &mut CanaryRolloutStatus) {
        match self {
            Self::AsBefore => {}
            Self::Nothing => {
                status.observed_workload_generation = None;
                status.observed_workload_uid = None;
            }
            Self::Workload {
                uid,
                generation,
                baseline,
            } => {
                status.observed_workload_generation = Some(generation);
                status.observed_workload_uid = Some(uid);
                status.observed_baseline_generation = baseline.or(status.observed_baseline_generation);
            }
        }
    }
}

/// What people and programs read of a status, derived from the rest of it and the world.
pub struct Report {
    /// Generation of the spec that it speaks of.
    pub generation: i64,
    /// Of the Deployments that it speaks of; absent where it still speaks of an older one.
    pub workload: SpokenOf,
    /// One sentence: what happens, or what is waited for.
    pub message: String,
    /// Columns of `kubectl get`: such as `3/5`, and the confirmed weight. Absent where nothing was ever valid.
    pub columns: Option<(String, String)>,
    /// For `kubectl wait`.
    pub conditions: Vec<Condition>,
}

/// What the judge reads and writes of a status.
pub struct Judged<'a> {
    /// What it has counted in this step.
    pub memory: &'a mut JudgeMemory,
    /// What each check says.
    pub checks: &'a mut Vec<CheckStatus>,
    /// What `kubectl get` prints.
    pub figures: &'a mut Figures,
}

impl Draft {
    /// Begins with the stored status. `spec` is the one in force, if any can be read.
    pub fn new(status: &CanaryRolloutStatus, spec: Option<Arc<CanaryRolloutSpec>>, now: Timestamp) -> Self {
        Self {
            status: status.clone(),
            spec,
            emitted_before: status.events.emitted,
            now,
        }
    }

    /// The status so far.
    pub fn status(&self) -> &CanaryRolloutStatus {
        &self.status
    }

    /// The release in progress or the last one.
    pub fn run(&self) -> Option<&Run> {
        self.status.run.as_ref()
    }

    /// The spec in force, if any can be read.
    pub fn spec(&self) -> Option<&Arc<CanaryRolloutSpec>> {
        self.spec.as_ref()
    }

    /// Gates of the run.
    pub fn gates_mut(&mut self) -> Option<&mut Vec<GateStatus>> {
        self.status.run.as_mut().map(|run| &mut run.gates)
    }

    /// Edits by other hands.
    pub fn drift_mut(&mut self) -> &mut Drift {
        &mut self.status.drift
    }

    /// Autoscalers' minima while they are raised, by key.
    pub fn floors_mut(&mut self) -> &mut BTreeMap<String, Floor> {
        &mut self.status.originals.floors
    }

    /// What keeps a changed template from being rolled out.
    pub fn hold_mut(&mut self) -> &mut Hold {
        &mut self.status.hold
    }

    /// ConfigMaps as they were seen, by name.
    pub fn configs_mut(&mut self) -> &mut BTreeMap<String, ConfigSeen> {
        &mut self.status.configs
    }

    /// What notifiers are still to be told.
    pub fn outbox_mut(&mut self) -> &mut Vec<Notification> {
        &mut self.status.outbox
    }

    /// What the judge has counted, while there is a run.
    pub fn judge_mut(&mut self) -> Option<Judged<'_>> {
        let memory = &mut self.status.run.as_mut()?.judge;
        Some(Judged {
            memory,
            checks: &mut self.status.checks,
            figures: &mut self.status.figures,
        })
    }

    /// The metrics of the running version were looked at. What a release has said of the same checks stays; `checks` take the
    /// place of those of an earlier look, or of other checks.
    pub fn note_inspection(&mut self, inspection: Inspection, checks: Vec<CheckStatus>) {
        let status = &mut self.status;
        let earlier = status.inspection.as_ref().map(|earlier| earlier.at);
        let looked = earlier.is_some() && status.checks.iter().all(|check| check.at == earlier);
        let same =
            |(one, other): (&CheckStatus, &CheckStatus)| one.name == other.name && one.threshold == other.threshold;
        let of_others = status.checks.len() != checks.len() || !status.checks.iter().zip(&checks).all(same);
        if status.phase.is_at_rest() && (looked || of_others) {
            status.checks = checks;
        }
        status.inspection = Some(inspection);
    }

    /// The Deployment is missing since `since`, or is there.
    pub fn note_target_missing(&mut self, since: Option<Timestamp>) {
        self.status.target_missing_since = since;
    }

    /// A person has settled who owns the object that was contested: edits are counted anew.
    pub fn settle_contest(&mut self) {
        self.status.drift.recent.clear();
    }

    /// A drift is the last one, by which the next look knows that it was told.
    pub fn note_drift(&mut self, edit: DriftSeen) {
        self.status.drift.last = Some(edit);
    }

    /// A RolloutAction was answered. It takes the place of the oldest one of which nothing need be known any more.
    pub fn answered(&mut self, answer: HandledAction, is_told: impl Fn(&HandledAction) -> bool) {
        let actions = &mut self.status.actions;
        if actions.len() >= REMEMBERED_ACTIONS
            && let Some(at) = actions.iter().position(is_told)
        {
            actions.remove(at);
        }
        actions.push(answer);
    }

    /// Takes in what people read.
    pub fn report(&mut self, report: Report) {
        self.status.observed_generation = Some(report.generation);
        report.workload.note(&mut self.status);
        self.status.message = report.message;
        self.status.conditions = report.conditions;
        if let Some((step, weight)) = report.columns {
            self.status.figures.step = step;
            self.status.figures.weight = weight;
        }
    }
}
