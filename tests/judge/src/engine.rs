//! The engine's own judge, as it runs in the controller.

use warmfront::engine::judge::{
    decide::judge,
    judgement::{Judgement, Outcome},
    state::Memory,
    tick::{BaselineCache, Breach, Cache, Check, CheckKind, Placement, Plan, Probes, Split, Step, Tick},
};

use crate::{
    params::{self, Params},
    rule::{Order, Rule, Said},
};

/// A release that the engine's judge decides.
pub struct Engine {
    plan: Plan,
    memory: Memory,
}

impl Engine {
    /// With the plan that the scenario's user has written.
    pub fn new(params: &Params) -> Self {
        Self {
            plan: plan(params),
            memory: Memory::default(),
        }
    }

    /// What it remembers.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Goes on with what was stored, as after a restart.
    pub fn restart(&mut self) -> Result<(), serde_json::Error> {
        self.memory = serde_json::from_slice(&serde_json::to_vec(&self.memory)?)?;
        Ok(())
    }

    /// All that is said of a tick.
    pub fn judge(&mut self, tick: &Tick) -> Judgement {
        judge(&mut self.memory, &self.plan, tick)
    }
}

impl Rule for Engine {
    fn after(&mut self, tick: &Tick) -> Said {
        let judgement = self.judge(tick);
        said(judgement)
    }
}

/// What the weight does after such a judgement.
pub fn said(judgement: Judgement) -> Said {
    let name = |what: &dyn std::fmt::Debug| format!("{what:?}");
    let mut cause = None;
    let order = match judgement.outcome {
        Outcome::Fail { reason, .. } => Order::RollBack(name(&reason)),
        Outcome::StepBack { to, .. } => Order::StepBack(to),
        Outcome::Rise { to } => Order::Rise(to),
        Outcome::Promote => Order::Promote,
        Outcome::Hold { cause: waits_for } => {
            cause = waits_for.map(|waits_for| name(&waits_for));
            Order::Stay
        }
        Outcome::Pause { .. } => Order::Stay,
    };
    Said {
        order,
        pause: judgement.pause.map(|pause| name(&pause)),
        cause,
        says: judgement.says,
    }
}

/// What a user has written who has the scenario's service.
pub fn plan(params: &Params) -> Plan {
    let check = |name: &str, kind| Check {
        name: name.to_string(),
        kind,
        breach: Breach::Rollback,
    };
    let hold = f64::from(params.hold) * params.tick;
    Plan {
        tick: params.tick,
        steps: params.steps.iter().map(|percent| step(*percent, hold)).collect(),
        bake: f64::from(params.bake) * params.tick,
        // In the order of `world::checks`.
        checks: vec![
            check("errors", CheckKind::Errors { max: 0.01 }),
            check(
                "latency",
                CheckKind::Latency {
                    quantile: 0.99,
                    max: 0.3,
                },
            ),
            check("stale", CheckKind::Ratio { max: 0.001 }),
            check(
                "hitRatio",
                CheckKind::HitRatio {
                    min: params.hit_min,
                    max_drop: None,
                },
            ),
        ],
        cache: Cache {
            placement: Some(match params.placement {
                params::Placement::Shared => Placement::Shared,
                params::Placement::PerVersion => Placement::PerVersion,
                params::Placement::PerPod => Placement::PerPod,
            }),
            ttl: params.told_ttl(),
            baseline: BaselineCache::Present,
            capacity: (!params.no_capacity && params.rate >= 1.0).then_some(params.capacity),
            per_miss: None,
            warmed: None,
        },
        split: Split::ByRequest,
        probes: Probes::NotCounted,
        no_data_deadline: 600.0,
        lag: 0.0,
    }
}

/// At the last weight only the bake is waited for.
fn step(percent: f64, hold: f64) -> Step {
    Step {
        weight: percent / 100.0,
        hold: if percent < 100.0 { hold } else { 0.0 },
    }
}
