//! Which spec and which plan a decision goes by.

use std::sync::Arc;

use super::is_active;
use crate::api::{CanaryRolloutSpec, CanaryRolloutStatus, Plan};

/// The spec and the plan as they apply now. They stay the same as long as the spec, the phase and the run's own plan do.
#[derive(Clone, Debug)]
pub struct InForce {
    pub(super) spec: Option<Arc<CanaryRolloutSpec>>,
    plan: Option<Arc<Plan>>,
    /// Why the spec is not a plan.
    pub(super) invalid: Option<Arc<str>>,
}

impl InForce {
    /// The workload and the Services of a running release stay what they were when it began, and it keeps its last valid plan.
    pub fn new(spec: Option<&CanaryRolloutSpec>, status: &CanaryRolloutStatus) -> Self {
        let spec = in_force(spec, status);
        let (valid, invalid) = match spec.as_ref().map(Plan::try_from) {
            Some(Ok(plan)) => (Some(plan), None),
            Some(Err(why)) => (None, Some(why.to_string())),
            None => (None, Some("the spec cannot be read".to_owned())),
        };
        let frozen = || status.run.as_ref().and_then(|run| Plan::try_from(&*run.plan).ok());
        Self { spec: spec.map(Arc::new), plan: valid.or_else(frozen).map(Arc::new), invalid: invalid.map(Into::into) }
    }

    /// The plan by which the rollout's objects are found, if there ever was a valid one.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_deref()
    }
}

fn in_force(spec: Option<&CanaryRolloutSpec>, status: &CanaryRolloutStatus) -> Option<CanaryRolloutSpec> {
    let mut spec = spec?.clone();
    if let Some(run) = status.run.as_ref().filter(|_| is_active(status)) {
        spec.workload = run.plan.workload.clone();
        spec.traffic.service.clone_from(&run.plan.traffic.service);
        spec.traffic.canary_service.clone_from(&run.plan.traffic.canary_service);
        spec.traffic.also_narrow.clone_from(&run.plan.traffic.also_narrow);
    }
    Some(spec)
}
