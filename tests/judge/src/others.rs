//! What other tools, and Warmfront's first rule, do with the same world, by their documented rules and the same limits.
//!
//! - [`ArgoRollouts`]: page "Analysis & Progressive Delivery" of its documentation (features/analysis): a measurement of
//!   an AnalysisRun in the background is taken every `interval` and fails outside its condition; the run fails, and the
//!   release is aborted, when more measurements than `failureLimit` (default 0) have failed; a query that cannot be
//!   answered is an error, and more than `consecutiveErrorLimit` (default 4) of them in a row end the run as well. The
//!   page's example asks for five minutes every five minutes with `failureLimit: 3`.
//! - [`Flagger`]: pages "How it works" and "Deployment Strategies" (usage/how-it-works, usage/deployment-strategies):
//!   every `interval` (default 60s) all metrics are checked over their own interval; a metric outside its range, or
//!   without a value, halts the release and counts as a failed check; at `threshold` failed checks it is rolled back,
//!   otherwise the weight takes the next step. The first page's example has 10 of them.
//! - [`FiftyRequests`]: counts of successive ticks are one result as soon as there are 50 of them, bad above the limit;
//!   three bad results of the last five roll back, three good ones in a row pass.
//!
//! They are given no check of stale answers: among so few samples one would end a healthy release.

use std::collections::VecDeque;

use warmfront::engine::judge::tick::{Count, Reading, Tick};

use crate::{
    params::Params,
    rule::{Order, Rule, Said},
    world::checks,
};

/// What they check.
const CHECKS: [&str; 3] = ["errors", "slow", "hits"];

/// Of each check at most this share is bad.
type Limits = [f64; CHECKS.len()];

fn limits(params: &Params) -> Limits {
    let least = params.hit_min.unwrap_or(1.0 - params.mb - 0.10);
    [0.01, 0.01, 1.0 - least]
}

/// Of each check.
type Counts = [Count; CHECKS.len()];

/// What was counted of the new version; nothing without data.
fn counts(tick: &Tick) -> Option<Counts> {
    let (Reading::Counts(errors), Reading::Counts(slow)) =
        (&tick.readings[checks::ERRORS], &tick.readings[checks::SLOW])
    else {
        return None;
    };
    Some([errors.candidate, slow.candidate, tick.lookups?.candidate])
}

/// Which check, for a reason.
fn reason(check: usize) -> String {
    CHECKS[check].to_string()
}

/// Counts of the last ticks, as a query with a range sees them.
struct Window {
    ticks: usize,
    seen: VecDeque<Counts>,
}

impl Window {
    fn new(seconds: f64, params: &Params) -> Self {
        Self {
            ticks: (seconds / params.tick).round().max(1.0) as usize,
            seen: VecDeque::new(),
        }
    }

    fn add(&mut self, tick: &Tick) {
        self.seen.push_back(counts(tick).unwrap_or_default());
        if self.seen.len() > self.ticks {
            self.seen.pop_front();
        }
    }

    /// Share of bad ones; nothing where there are none at all.
    fn share(&self, check: usize) -> Option<f64> {
        let bad: f64 = self.seen.iter().map(|tick| tick[check].bad).sum();
        let total: f64 = self.seen.iter().map(|tick| tick[check].total).sum();
        (total > 0.0).then(|| bad / total)
    }
}

/// A plan of weights that rise by themselves.
struct Plan {
    steps: Vec<f64>,
    at: usize,
}

impl Plan {
    fn new(params: &Params) -> Self {
        Self {
            steps: params.steps.iter().map(|percent| percent / 100.0).collect(),
            at: 0,
        }
    }

    fn is_last(&self) -> bool {
        self.at + 1 >= self.steps.len()
    }

    fn rise(&mut self) -> Order {
        if self.is_last() {
            return Order::Promote;
        }
        self.at += 1;
        Order::Rise(self.steps[self.at])
    }
}

/// Analysis in the background, with the same steps and holds.
pub struct ArgoRollouts {
    plan: Plan,
    limits: Limits,
    window: Window,
    every: u32,
    failure_limit: u32,
    hold: u32,
    bake: u32,
    t: u32,
    step_since: u32,
    failed: [u32; CHECKS.len()],
    errors: [u32; CHECKS.len()],
}

/// More errors of a query in a row than these end an analysis.
const CONSECUTIVE_ERROR_LIMIT: u32 = 4;

impl ArgoRollouts {
    /// A measurement every `interval` seconds, of the same time.
    pub fn new(params: &Params, interval: f64, failure_limit: u32) -> Self {
        Self {
            plan: Plan::new(params),
            limits: limits(params),
            window: Window::new(interval, params),
            every: (interval / params.tick).round().max(1.0) as u32,
            failure_limit,
            hold: params.hold,
            bake: params.bake,
            t: 0,
            step_since: 0,
            failed: [0; CHECKS.len()],
            errors: [0; CHECKS.len()],
        }
    }

    fn measure(&mut self) -> Option<usize> {
        for check in 0..CHECKS.len() {
            match self.window.share(check) {
                Some(share) => {
                    self.errors[check] = 0;
                    self.failed[check] += u32::from(share > self.limits[check]);
                }
                None => self.errors[check] += 1,
            }
        }
        (0..CHECKS.len())
            .find(|check| self.failed[*check] > self.failure_limit || self.errors[*check] > CONSECUTIVE_ERROR_LIMIT)
    }
}

impl Rule for ArgoRollouts {
    fn after(&mut self, tick: &Tick) -> Said {
        if tick.step == 0 {
            return Said::only(Order::Stay);
        }
        self.window.add(tick);
        self.t += 1;
        if self.t.is_multiple_of(self.every)
            && let Some(check) = self.measure()
        {
            return Said::only(Order::RollBack(reason(check)));
        }
        let length = if self.plan.is_last() { self.bake } else { self.hold };
        if self.t - self.step_since < length {
            return Said::only(Order::Stay);
        }
        self.step_since = self.t;
        Said::only(self.plan.rise())
    }
}

/// A check every interval, and a step for each good one.
pub struct Flagger {
    plan: Plan,
    limits: Limits,
    window: Window,
    every: u32,
    threshold: u32,
    t: u32,
    failed: u32,
}

impl Flagger {
    /// A check every `interval` seconds, of the same time.
    pub fn new(params: &Params, interval: f64, threshold: u32) -> Self {
        Self {
            plan: Plan::new(params),
            limits: limits(params),
            window: Window::new(interval, params),
            every: (interval / params.tick).round().max(1.0) as u32,
            threshold,
            t: 0,
            failed: 0,
        }
    }
}

impl Rule for Flagger {
    fn after(&mut self, tick: &Tick) -> Said {
        if tick.step == 0 {
            return Said::only(Order::Stay);
        }
        self.window.add(tick);
        self.t += 1;
        if !self.t.is_multiple_of(self.every) {
            return Said::only(Order::Stay);
        }
        let bad = (0..CHECKS.len()).find(|check| {
            self.window
                .share(*check)
                .is_none_or(|share| share > self.limits[*check])
        });
        let order = match bad {
            None => self.plan.rise(),
            Some(check) => {
                self.failed += 1;
                if self.failed >= self.threshold {
                    Order::RollBack(reason(check))
                } else {
                    Order::Stay
                }
            }
        };
        Said::only(order)
    }
}

/// Warmfront's first rule, which is no longer in use.
pub struct FiftyRequests {
    plan: Plan,
    limits: Limits,
    hold: u32,
    bake: u32,
    held: u32,
    counted: Counts,
    results: [VecDeque<bool>; CHECKS.len()],
}

impl FiftyRequests {
    /// With the same steps and holds.
    pub fn new(params: &Params) -> Self {
        Self {
            plan: Plan::new(params),
            limits: limits(params),
            hold: params.hold,
            bake: params.bake,
            held: 0,
            counted: Counts::default(),
            results: Default::default(),
        }
    }
}

impl Rule for FiftyRequests {
    fn after(&mut self, tick: &Tick) -> Said {
        let (true, Some(counts)) = (tick.step > 0, counts(tick)) else {
            return Said::only(Order::Stay);
        };
        self.held += 1;
        let mut all_pass = true;
        for (check, count) in counts.iter().enumerate() {
            let counted = &mut self.counted[check];
            counted.bad += count.bad;
            counted.total += count.total;
            let results = &mut self.results[check];
            if counted.total >= 50.0 {
                results.push_front(counted.bad <= self.limits[check] * counted.total + 1e-6);
                results.truncate(5);
                *counted = Count::default();
            }
            if results.iter().filter(|good| !**good).count() >= 3 {
                return Said::only(Order::RollBack(reason(check)));
            }
            all_pass &= results.iter().take_while(|good| **good).count() >= 3;
        }
        let length = if self.plan.is_last() { self.bake } else { self.hold };
        if !all_pass || self.held < length {
            return Said::only(Order::Stay);
        }
        self.held = 0;
        self.counted = Counts::default();
        self.results = Default::default();
        Said::only(self.plan.rise())
    }
}
