//! Which spec and which plan a decision goes by.

use std::sync::Arc;

use crate::api::{CanaryRolloutSpec, CanaryRolloutStatus, Plan};

/// The spec and the plan that a decision goes by. They change only with the spec, the phase or the run's own plan.
#[derive(Clone, Debug)]
pub struct InForce {
    spec: Option<Arc<CanaryRolloutSpec>>,
    plan: Option<Arc<Plan>>,
    /// Why the spec is not a plan.
    invalid: Option<Arc<str>>,
}

impl InForce {
    /// A running release keeps the workload and the Services with which it began, and its last valid plan when the spec is
    /// not one. The error of `spec` says why it cannot be read.
    pub fn new(spec: Result<&Arc<CanaryRolloutSpec>, &str>, status: &CanaryRolloutStatus) -> Self {
        let spec = spec.map(|spec| in_force(spec, status));
        let (valid, invalid) = match spec.as_deref().map(Plan::try_from) {
            Ok(Ok(plan)) => (Some(plan), None),
            Ok(Err(why)) => (None, Some(why.to_string())),
            Err(why) => (None, Some((*why).to_owned())),
        };
        let frozen = || status.run.as_ref().and_then(|run| frozen(&run.plan));
        Self {
            spec: spec.ok(),
            plan: valid.or_else(frozen).map(Arc::new),
            invalid: invalid.map(Into::into),
        }
    }

    /// The spec in force; absent if it cannot be read.
    pub fn spec(&self) -> Option<&Arc<CanaryRolloutSpec>> {
        self.spec.as_ref()
    }

    /// Why the spec is not a plan.
    pub fn invalid(&self) -> Option<&str> {
        self.invalid.as_deref()
    }

    /// The plan in force; absent if there never was a valid one.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_deref()
    }
}

fn in_force(spec: &Arc<CanaryRolloutSpec>, status: &CanaryRolloutStatus) -> Arc<CanaryRolloutSpec> {
    let Some(run) = status.run.as_ref().filter(|_| status.is_active()) else {
        return spec.clone();
    };
    if run.plan == *spec {
        // The usual case: both share one copy.
        return run.plan.clone();
    }
    let mut spec = CanaryRolloutSpec::clone(spec);
    spec.workload = run.plan.workload.clone();
    spec.traffic.service.clone_from(&run.plan.traffic.service);
    spec.traffic.canary_service.clone_from(&run.plan.traffic.canary_service);
    spec.traffic.also_narrow.clone_from(&run.plan.traffic.also_narrow);
    Arc::new(spec)
}

/// A running release's own plan. Of one that a newer version has written, checks and gates may be of a kind that is not
/// known here: without them nothing rises, as the spec is refused then, and everything can still be taken back.
fn frozen(plan: &CanaryRolloutSpec) -> Option<Plan> {
    Plan::try_from(plan).ok().or_else(|| {
        let bones = CanaryRolloutSpec {
            checks: Vec::new(),
            unjudged: true,
            gates: Vec::new(),
            windows: Vec::new(),
            notify: Vec::new(),
            ..plan.clone()
        };
        Plan::try_from(&bones).ok()
    })
}
