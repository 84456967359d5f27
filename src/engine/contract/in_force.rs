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

/// A running release's own plan. What a newer version has written into it and is not known here is left out, item by item:
/// nothing rises without it, as the spec is refused then, and what is known goes on judging, asking and telling.
fn frozen(plan: &CanaryRolloutSpec) -> Option<Plan> {
    Plan::of_release(plan).ok().or_else(|| {
        let bones = CanaryRolloutSpec {
            checks: Vec::new(),
            unjudged: true,
            gates: Vec::new(),
            windows: Vec::new(),
            notify: Vec::new(),
            ..plan.clone()
        };
        let fits = |add: &dyn Fn(&mut CanaryRolloutSpec)| {
            let mut one = bones.clone();
            add(&mut one);
            Plan::of_release(&one).is_ok()
        };
        let mut known = plan.clone();
        known.checks.retain(|check| {
            fits(&|one| {
                one.checks.push(check.clone());
                one.unjudged = false;
            })
        });
        known.unjudged = known.checks.is_empty();
        known.gates.retain(|gate| fits(&|one| one.gates.push(gate.clone())));
        known
            .windows
            .retain(|window| fits(&|one| one.windows.push(window.clone())));
        known
            .notify
            .retain(|notifier| fits(&|one| one.notify.push(notifier.clone())));
        Plan::of_release(&known).ok()
    })
}
