//! What holds of every trace: a restart changes nothing, nor does a tick without data, nothing rises without a pass, and a
//! release takes about as long as was told.

#![allow(clippy::expect_used, reason = "a test may panic")]

use std::sync::Arc;

use warmfront::engine::judge::{
    judgement::{Outcome, Verdict},
    tick::{Plan, Tick},
    told,
};
use warmfront_judge::{
    cache, cost, drive,
    engine::{self, Engine},
    params::{Params, Scenario},
    rule::{Rule, Said},
    table,
};

fn rows() -> Vec<Scenario> {
    serde_json::from_str(include_str!("../rows.json")).expect("the rows can be read")
}

/// Everything that was said in one release.
fn all_said(params: &Params, rule: &mut dyn Rule) -> Vec<Said> {
    let mut all = Vec::new();
    let curve = cache::curve(params);
    drive::release(
        params,
        curve.as_ref().map(Arc::clone),
        table::seed_of(7, 1),
        rule,
        &mut |_, said| all.push(said.clone()),
    );
    all
}

/// Stores and reads what the judge remembers after each tick.
struct Restarted(Engine);

impl Rule for Restarted {
    fn after(&mut self, tick: &Tick) -> Said {
        let said = self.0.after(tick);
        self.0.restart().expect("what is stored can be read");
        said
    }
}

#[test]
fn a_restart_at_any_tick_changes_no_verdict() {
    for row in rows() {
        let params = &row.params;
        let undisturbed = all_said(params, &mut Engine::new(params));
        let restarted = all_said(params, &mut Restarted(Engine::new(params)));
        let differ = undisturbed
            .iter()
            .zip(&restarted)
            .find(|(undisturbed, restarted)| undisturbed != restarted);
        assert_eq!(differ, None, "{}", row.name);
        assert_eq!(undisturbed.len(), restarted.len(), "{}", row.name);
    }
}

#[test]
fn what_is_remembered_of_a_rollout_with_five_checks_is_small() {
    let cost = cost::of(2_000).expect("it can be measured");
    assert!(cost.bytes > 500 && cost.bytes < 2_048, "{cost:?}");
}

/// Sees a tick without data before each tick.
struct Interrupted(Engine);

impl Rule for Interrupted {
    fn after(&mut self, tick: &Tick) -> Said {
        let before = self.0.memory().clone();
        let nothing = Tick {
            requests: None,
            lookups: None,
            readings: Vec::new(),
            ..tick.clone()
        };
        self.0.judge(&nothing);
        assert_eq!(&before, self.0.memory(), "a tick without data changes nothing");
        self.0.after(tick)
    }
}

#[test]
fn a_tick_without_data_changes_nothing() {
    for row in rows() {
        all_said(&row.params, &mut Interrupted(Engine::new(&row.params)));
    }
}

/// Sees whether a rise rests on what was seen since the weight was set.
struct Watched {
    engine: Engine,
    hold: u32,
    step: u64,
    seen: u32,
}

impl Rule for Watched {
    fn after(&mut self, tick: &Tick) -> Said {
        if tick.step != self.step {
            self.step = tick.step;
            self.seen = 0;
        }
        self.seen += u32::from(tick.requests.is_some());
        let judgement = self.engine.judge(tick);
        if matches!(judgement.outcome, Outcome::Rise { .. } | Outcome::Promote) {
            assert!(self.seen >= self.hold, "a rise after {} ticks", self.seen);
            let passes = judgement.checks.iter().all(|check| check.verdict == Verdict::Pass);
            assert!(passes || tick.weight <= 0.0, "a rise with {:?}", judgement.checks);
        }
        engine::said(judgement)
    }
}

#[test]
fn nothing_rises_without_a_pass_since_its_weight_was_set() {
    for row in rows() {
        let mut watched = Watched {
            engine: Engine::new(&row.params),
            hold: row.params.hold.min(row.params.bake),
            step: 0,
            seen: 0,
        };
        all_said(&row.params, &mut watched);
    }
}

/// Keeps what is told at the end of the pre-run: seconds to the promotion.
struct Told {
    engine: Engine,
    plan: Plan,
    seconds: f64,
}

impl Rule for Told {
    fn after(&mut self, tick: &Tick) -> Said {
        let said = self.engine.after(tick);
        if tick.step == 0 {
            let told = told::release(self.engine.memory(), &self.plan);
            self.seconds = told.to_all() + told.bake;
        }
        said
    }
}

#[test]
fn a_healthy_release_takes_about_as_long_as_told() {
    for rate in [1.0, 2.0, 5.0, 20.0, 1000.0] {
        let params = Params {
            rate,
            horizon: 2880,
            ..Params::default()
        };
        let mut parts: Vec<f64> = (0..21)
            .filter_map(|run| {
                let mut rule = Told {
                    engine: Engine::new(&params),
                    plan: engine::plan(&params),
                    seconds: 0.0,
                };
                let run = drive::release(&params, None, table::seed_of(3, run), &mut rule, &mut |_, _| {});
                run.promoted.then(|| rule.seconds / (run.minutes * 60.0))
            })
            .collect();
        parts.sort_by(f64::total_cmp);
        let median = parts[parts.len() / 2];
        assert!(median >= 0.8, "{rate} requests/s: {median} of the time was told");
    }
}
