//! What one evaluation costs: the judge as a pass over a rollout calls it, which reads what it remembers and writes it again.

use std::fs;

use anyhow::{Context, Result};
use serde_json::json;
use warmfront::{
    api::{
        Duration, Plan,
        moment::Moment as _,
        status::{CheckStatus, Figures, JudgeMemory, Phase, Run},
    },
    engine::{
        contract::observed::Measured,
        judge::{
            self,
            input::Setting,
            readings::Counted,
            tick::{Baseline, Split},
            ticks::Unseen,
        },
    },
    provider::{Counts, Reading},
};

/// Between two evaluations.
const INTERVAL: Duration = Duration::from_secs(15);

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// CPU time of one evaluation in microseconds.
    pub microseconds: f64,
    /// Greatest length of what is remembered, as JSON in the status.
    pub bytes: usize,
}

/// A rollout with five checks.
fn plan() -> Result<Plan> {
    let spec = json!({
        "workload": {"deployment": {"name": "catalog"}},
        "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}},
        "steps": [{"weight": 5, "hold": "720h"}, {"weight": 100}],
        "cache": {"placement": "PerVersion", "ttl": "10m"},
        "checks": [
            {"errorRate": {"max": "1%", "maxIncrease": "0.5%"}},
            {"latency": {"quantile": "p99", "max": "300ms"}},
            {"hitRatio": {"min": "80%", "maxDrop": "5%"}},
            {"name": "stale", "ratio": {"bad": "stale_total", "total": "sampled_total"}, "max": "0.1%"},
            {"name": "queue", "query": {"promql": "max(queue)", "max": 100}},
        ],
    });
    Plan::try_from(&serde_json::from_value(spec)?).context("the plan of the rollout that is measured")
}

fn run() -> Result<Run> {
    let run = json!({
        "number": 1, "revision": "new", "replicaSet": "catalog-new", "stableRevision": "old", "step": 1, "steps": 2, "weight": "5%",
        "startedAt": "2026-01-05T10:00:00Z", "weightConfirmedAt": "2026-01-05T10:01:00Z", "stepStartedAt": "2026-01-05T10:01:02Z",
        "plan": {"workload": {"deployment": {"name": "catalog"}}, "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}}, "unjudged": true},
    });
    serde_json::from_value(run).context("the release that is measured")
}

/// What a cold cache and some noise leave of a healthy version.
fn measured(run: &Run, number: u32) -> Measured {
    let noise = f64::from(number % 7);
    let counts = |bad: f64, total: f64| {
        Ok(Reading::Counts {
            candidate: Counts {
                bad: bad + noise,
                total,
            },
            baseline: Some(Counts {
                bad: 19.0 * bad,
                total: 19.0 * total,
            }),
            candidate_figure: Some((bad + noise) / total),
            baseline_figure: Some(bad / total),
        })
    };
    let at = |ticks: u64| {
        let since = INTERVAL.as_millis().saturating_mul(ticks.saturating_add(5));
        run.started_at.plus(Duration::from_millis(since).signed())
    };
    let misses = 750.0 * 0.9 / (1.0 + f64::from(number) / 40.0).sqrt();
    Measured {
        start: at(number.into()),
        end: at(u64::from(number).saturating_add(1)),
        readings: vec![
            counts(2.0, 750.0),
            counts(4.0, 750.0),
            counts(misses.max(30.0), 750.0),
            counts(0.0, 40.0),
            Ok(Reading::Scalar {
                candidate: 90.0 + noise,
                baseline: None,
            }),
        ],
    }
}

/// Nanoseconds that this thread has run, however busy the machine is.
fn busy() -> Result<f64> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").context("reading how long this thread has run")?;
    let ran = stat.split(' ').next().unwrap_or_default();
    ran.parse().context("reading how long this thread has run")
}

/// The mean over so many evaluations.
pub fn of(evaluations: u32) -> Result<Cost> {
    let (plan, run) = (plan()?, run()?);
    let setting = Setting {
        plan: &plan,
        run: &run,
        phase: Phase::Shifting,
        interval: INTERVAL,
        split: Split::ByRequest,
        counted: Counted::All,
        baseline: Baseline::Ready,
        unseen: Unseen::default(),
    };
    let (mut memory, mut figures) = (JudgeMemory::default(), Figures::default());
    let mut checks: Vec<CheckStatus> = Vec::new();
    let (mut nanoseconds, mut bytes) = (0.0, 0);
    for number in 0..evaluations {
        let measured = measured(&run, number);
        let before = busy()?;
        checks = judge::judge(&mut memory, &mut figures, &setting, &measured, &checks, measured.end);
        nanoseconds += busy()? - before;
        bytes = bytes.max(serde_json::to_string(&memory.memory)?.len());
    }
    anyhow::ensure!(
        checks.len() == plan.checks.len() && memory.said.is_some(),
        "nothing was judged: {checks:?}"
    );
    Ok(Cost {
        microseconds: nanoseconds / f64::from(evaluations.max(1)) / 1e3,
        bytes,
    })
}
