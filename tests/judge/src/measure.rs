//! Many releases added up.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::drive::Run;

/// What many runs of a scenario were. Shares are 0..1.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// How many releases.
    pub runs: usize,
    /// Share that was rolled back.
    pub rolled_back: f64,
    /// Share that was rolled back before there was anything wrong.
    pub early: f64,
    /// Share that was promoted.
    pub promoted: f64,
    /// Share that was paused when the world ended.
    pub paused: f64,
    /// Share of each reason for a rollback.
    pub reasons: BTreeMap<String, f64>,
    /// Share that was ever paused for this.
    pub pauses: BTreeMap<String, f64>,
    /// Share in which the weight ever waited for this.
    pub causes: BTreeMap<String, f64>,
    /// Median of the seconds from the onset to the rollback, over all runs: nothing where that many were not rolled back,
    /// or before the onset.
    pub p50: Option<f64>,
    /// The same for 95 of 100.
    pub p95: Option<f64>,
    /// Mean of the minutes in which the database was asked for more than it can carry.
    pub overload_minutes: f64,
    /// How often the weight was taken back: mean, least, most.
    pub step_backs: (f64, f64, f64),
    /// Greatest weight in percent: mean, least, most. The least is of runs that were not rolled back: those end where they end.
    pub greatest_weight: (f64, f64, f64),
    /// Greatest weight in percent that 95 of 100 runs do not exceed.
    pub p95_weight: f64,
    /// Share in which the weight ever went back to 0.
    pub back_to_zero: f64,
    /// Median of the minutes to the promotion, over all runs.
    pub median_minutes: Option<f64>,
}

impl Measured {
    /// Of these runs.
    pub fn of(runs: &[Run]) -> Self {
        let is_early = |run: &Run| run.rolled_back.is_some() && run.since_onset <= 0.0;
        let is_right = |run: &&Run| run.rolled_back.is_some() && run.since_onset > 0.0;
        let rolled_back: Vec<f64> = runs.iter().filter(is_right).map(|run| run.since_onset).collect();
        let promoted: Vec<f64> = runs.iter().filter(|run| run.promoted).map(|run| run.minutes).collect();
        let greatest: Vec<f64> = runs.iter().map(|run| run.greatest).collect();
        let all = spread(runs, |run| run.greatest);
        let stayed = runs.iter().filter(|run| run.rolled_back.is_none());
        let least = stayed.map(|run| run.greatest).fold(f64::INFINITY, f64::min);
        let reasons = runs.iter().map(|run| run.rolled_back.iter().cloned().collect());
        Self {
            runs: runs.len(),
            rolled_back: share(runs, |run| run.rolled_back.is_some()),
            early: share(runs, is_early),
            promoted: share(runs, |run| run.promoted),
            paused: share(runs, |run| run.paused),
            reasons: shares(reasons, runs.len()),
            pauses: shares(runs.iter().map(|run| run.pauses.clone()), runs.len()),
            causes: shares(runs.iter().map(|run| run.causes.clone()), runs.len()),
            p50: quantile(&rolled_back, 0.5, runs.len()),
            p95: quantile(&rolled_back, 0.95, runs.len()),
            overload_minutes: spread(runs, |run| run.overload).0,
            step_backs: spread(runs, |run| f64::from(run.step_backs)),
            greatest_weight: (all.0, least, all.2),
            p95_weight: quantile(&greatest, 0.95, runs.len()).unwrap_or(0.0),
            back_to_zero: share(runs, |run| run.least <= 0.0),
            median_minutes: quantile(&promoted, 0.5, runs.len()),
        }
    }

    /// By its name in a requirement. What never happened in enough runs is infinitely late. A name that is not known is
    /// an error.
    pub fn value(&self, name: &str) -> Result<f64, String> {
        let part = |of: &BTreeMap<String, f64>, name: &str| of.get(name).copied().unwrap_or(0.0);
        Ok(match name {
            "rolledBack" => self.rolled_back,
            "early" => self.early,
            "promoted" => self.promoted,
            "paused" => self.paused,
            "p50" => self.p50.unwrap_or(f64::INFINITY),
            "p95" => self.p95.unwrap_or(f64::INFINITY),
            "overloadMinutes" => self.overload_minutes,
            "stepBacks" => self.step_backs.0,
            "leastStepBacks" => self.step_backs.1,
            "mostStepBacks" => self.step_backs.2,
            "weight" => self.greatest_weight.0,
            "p95Weight" => self.p95_weight,
            "leastWeight" => self.greatest_weight.1,
            "mostWeight" => self.greatest_weight.2,
            "backToZero" => self.back_to_zero,
            "medianMinutes" => self.median_minutes.unwrap_or(f64::INFINITY),
            _ => match name.split_once(':') {
                Some(("reason", name)) => part(&self.reasons, name),
                Some(("paused", name)) => part(&self.pauses, name),
                Some(("waited", name)) => part(&self.causes, name),
                _ => return Err(format!("nothing that is measured is called {name}")),
            },
        })
    }
}

fn share(runs: &[Run], is: impl Fn(&Run) -> bool) -> f64 {
    runs.iter().filter(|run| is(run)).count() as f64 / runs.len().max(1) as f64
}

fn shares(of: impl Iterator<Item = BTreeSet<String>>, runs: usize) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    for name in of.flatten() {
        *all.entry(name).or_insert(0.0) += 1.0 / runs as f64;
    }
    all
}

/// Mean, least and most.
fn spread(runs: &[Run], value: impl Fn(&Run) -> f64) -> (f64, f64, f64) {
    let values: Vec<f64> = runs.iter().map(value).collect();
    (
        values.iter().sum::<f64>() / values.len().max(1) as f64,
        values.iter().copied().fold(f64::INFINITY, f64::min),
        values.iter().copied().fold(0.0, f64::max),
    )
}

/// The value that this share of all runs does not exceed (nearest rank); runs without one exceed any.
pub fn quantile(values: &[f64], share: f64, runs: usize) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (share * runs as f64 - 1e-9).ceil().max(1.0) as usize;
    values.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fallen(after: f64) -> Run {
        Run {
            rolled_back: Some("Broken".into()),
            since_onset: after,
            greatest: 5.0,
            ..Run::default()
        }
    }

    #[test]
    fn quantiles_count_runs_without_an_end_as_late() {
        assert_eq!(quantile(&[30.0, 10.0, 20.0], 0.5, 3), Some(20.0));
        assert_eq!(quantile(&[30.0, 10.0, 20.0], 0.5, 6), Some(30.0));
        assert_eq!(quantile(&[30.0, 10.0, 20.0], 0.95, 6), None);
        assert_eq!(quantile(&[7.0; 100], 0.95, 100), Some(7.0));
    }

    #[test]
    fn runs_are_added_up() {
        let promoted = Run {
            promoted: true,
            minutes: 30.0,
            greatest: 100.0,
            step_backs: 1,
            overload: 0.5,
            ..Run::default()
        };
        let measured = Measured::of(&[fallen(60.0), fallen(75.0), fallen(60.0), promoted]);
        let value = |name| measured.value(name).unwrap();
        assert_eq!((value("rolledBack"), value("promoted")), (0.75, 0.25));
        assert_eq!((value("p50"), value("p95")), (60.0, f64::INFINITY));
        assert_eq!((value("early"), Measured::of(&[fallen(-15.0)]).early), (0.0, 1.0));
        assert_eq!(Measured::of(&[fallen(-15.0)]).p50, None);
        assert_eq!((value("reason:Broken"), value("reason:Other")), (0.75, 0.0));
        assert_eq!((value("stepBacks"), value("mostStepBacks")), (0.25, 1.0));
        assert_eq!((value("leastWeight"), value("mostWeight")), (100.0, 100.0));
        assert_eq!((value("p95Weight"), value("p50")), (100.0, 60.0));
        assert!((value("overloadMinutes") - 0.125).abs() < 1e-12);
        assert!(measured.value("promotd").is_err());
    }
}
