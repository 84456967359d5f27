//! Plays a scenario again for each call of the controller to the API server, one thing going wrong in each.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    access::Fault,
    process::Faults,
    scenario::{Ended, Scenario},
};

/// What a sweep found.
#[derive(Debug, Default)]
pub struct Report {
    /// Scenarios swept.
    pub scenarios: usize,
    /// Runs with something going wrong.
    pub runs: usize,
    /// Runs that ended differently, in words.
    pub differences: Vec<String>,
}

/// One run to be made.
struct Case<'a> {
    name: &'a str,
    scenario: &'a Scenario,
    undisturbed: &'a Ended,
    call: u64,
    fault: Fault,
}

impl Case<'_> {
    fn play(&self) -> Option<String> {
        let ended = self.scenario.play(vec![Faults::from([(self.call, self.fault)])]);
        let mut wrong = ended.wrong.clone();
        wrong.extend(self.undisturbed.outcome.differences(&ended.outcome));
        let call = usize::try_from(self.call)
            .ok()
            .and_then(|call| self.undisturbed.calls.get(call))
            .map_or("", String::as_str);
        (!wrong.is_empty()).then(|| {
            format!(
                "{} with {:?} at call {} ({call}):\n  {}",
                self.name,
                self.fault,
                self.call,
                wrong.join("\n  ")
            )
        })
    }
}

/// Runs all jobs on all cores, each in simulated time of its own.
pub fn in_parallel<T: Sync, R: Send>(jobs: &[T], run: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    let Some(job) = jobs.get(index) else { return };
                    let result = run(job);
                    results
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(index, result);
                }
            });
        }
    });
    results
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .into_values()
        .collect()
}

/// Who waits long for a gate is told so: its address is looked up as a part of the question.
fn is_told(call: &str, fault: Fault) -> bool {
    fault == Fault::Hangs && call == "Get services/gate"
}

/// Plays each scenario undisturbed, then once for every call and every fault. `every` leaves out all
/// but each so-manieth run.
pub fn sweep(scenarios: &[(String, Scenario)], faults: &[Fault], every: usize) -> Report {
    let undisturbed = in_parallel(scenarios, |(_, scenario)| scenario.play(Vec::new()));
    let mut report = Report {
        scenarios: scenarios.len(),
        ..Report::default()
    };
    let mut cases = Vec::new();
    for ((name, scenario), ended) in scenarios.iter().zip(&undisturbed) {
        if !ended.wrong.is_empty() {
            report
                .differences
                .push(format!("{name}, undisturbed:\n  {}", ended.wrong.join("\n  ")));
            continue;
        }
        for call in 0..ended.calls.len() {
            let what = ended.calls.get(call).map_or("", String::as_str);
            let call = u64::try_from(call).unwrap_or(u64::MAX);
            let faults = faults.iter().filter(|fault| !is_told(what, **fault));
            cases.extend(faults.map(|fault| Case {
                name,
                scenario,
                undisturbed: ended,
                call,
                fault: *fault,
            }));
        }
    }
    let cases: Vec<Case<'_>> = cases.into_iter().step_by(every.max(1)).collect();
    report.runs = cases.len();
    report
        .differences
        .extend(in_parallel(&cases, Case::play).into_iter().flatten());
    report
}
