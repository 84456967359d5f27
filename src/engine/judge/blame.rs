//! Who broke a limit: the new version, something that both share, or nobody that can be named yet.

use serde::{Deserialize, Serialize};

use super::{
    rounding::{number, round3},
    sequential::{Moment, Sequence, Window},
    tick::{ALL, Baseline, Count},
    wilson,
};

/// What a broken limit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Everything is on the new version: nothing is left to compare with.
    Alone,
    /// The new version has broken it.
    Candidate,
    /// The old version breaks it too.
    Shared,
    /// Too little is known of the old version in this time.
    Unclear,
}

/// Whether there is an old version to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is whole and counted.
    Whole,
    /// Its pods are not Ready, or it has no series at all.
    Absent,
}

/// The old version's standing.
pub fn standing(baseline: Baseline, has_series: Option<Count>) -> Standing {
    if baseline == Baseline::Ready && has_series.is_some() {
        Standing::Whole
    } else {
        Standing::Absent
    }
}

/// Fewer requests of the old version than this share of the new one's are no comparison …
const LEAST_BASELINE: f64 = 0.02;
/// … once the new one has more than so many.
const ENOUGH: f64 = 100.0;
/// So many times as bad as the old version is worse than it.
const TIMES_AS_BAD: f64 = 2.0;

/// Who broke the limit `limit` in this time, at this weight.
pub fn who(window: &Window, limit: f64, weight: f64, standing: Standing) -> Blame {
    let (candidate, baseline) = (window.candidate, window.baseline);
    if weight >= ALL {
        return Blame::Alone;
    }
    let too_few = baseline.total < LEAST_BASELINE * candidate.total && candidate.total > ENOUGH;
    if too_few || standing == Standing::Absent || is_worse(candidate, baseline) || wilson::upper(baseline) <= limit {
        Blame::Candidate
    } else if baseline.share() > limit {
        Blame::Shared
    } else {
        Blame::Unclear
    }
}

/// The old version breaks the limit too, and the new one is not much worse.
pub fn is_as_bad(candidate: Count, baseline: Count, limit: f64) -> bool {
    baseline.share() > limit && !is_worse(candidate, baseline)
}

/// More than twice as bad as the other, as far as the counts can tell.
fn is_worse(one: Count, other: Count) -> bool {
    wilson::lower(one) > TIMES_AS_BAD * wilson::upper(other)
}

/// What is known of the old version's errors: whether they have risen since the new version has traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Harm {
    /// Greatest share that fails without the new version; nothing where it was not seen for long enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// What speaks against it.
    pub sequence: Sequence,
}

/// So many requests before the release say what is normal.
const KNOWN: f64 = 1_000.0;

impl Harm {
    /// The limit, from the old version's errors before the release and the check's own limit.
    pub fn limit(before: Count, own: f64) -> Option<f64> {
        let twice = 2.0 * wilson::upper(before);
        (before.total >= KNOWN && twice <= 0.5).then(|| super::rounding::round6(own.max(twice)))
    }

    /// Adds a tick of both sides' errors.
    pub fn add(&mut self, candidate: Count, baseline: Count, now: Moment) {
        if let Some(limit) = self.limit {
            self.sequence.add(baseline, limit, Some((candidate, baseline)), now);
        }
    }

    /// The old version fails more than before, and the new one does not.
    pub fn is_done(&self, baseline: Baseline) -> bool {
        let window = &self.sequence.window;
        self.sequence.points.is_broken()
            && baseline == Baseline::Ready
            && window.candidate.total >= ENOUGH
            && is_worse(window.baseline, window.candidate)
    }
}

/// Limits that both versions broke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Incidents {
    /// When the first of a row was, on the clock of the run's data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<f64>,
    /// When the last one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<f64>,
    /// The row has lasted so long that the release is paused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    paused: bool,
}

/// A row of incidents that lasts so long pauses the release.
const LONG: f64 = 600.0;

impl Incidents {
    /// Both versions broke a limit now.
    pub fn add(&mut self, clock: f64, hold: f64) {
        self.end_after(clock, hold);
        let first = *self.first.get_or_insert(clock);
        self.last = Some(clock);
        self.paused |= clock - first >= LONG;
    }

    /// A row ends when a hold has passed without another one.
    pub fn end_after(&mut self, clock: f64, hold: f64) {
        if self.last.is_some_and(|last| clock - last > hold) {
            *self = Self::default();
        }
    }

    /// Whether the release waits for their end.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether a row of them goes on.
    pub fn goes_on(&self) -> bool {
        self.last.is_some()
    }
}

/// Weights that were taken back in this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepsBack {
    /// Both versions failed since a raise.
    pub overloads: u32,
    /// The database could not carry it.
    pub origin: u32,
    /// Nothing was left to compare with.
    pub alone: u32,
}

/// Why a weight is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// Both versions fail since the raise.
    Overload,
    /// The database.
    Origin,
    /// To compare with the old version.
    Alone,
}

/// What a reason for a step back leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Another try at a lower weight.
    Back,
    /// It has happened too often.
    End,
}

/// At the second overload by a raise the release ends …
const OVERLOADS: u32 = 2;
/// … and at the third step back of any kind.
const ALL_KINDS: u32 = 3;

impl StepsBack {
    /// Counts one more.
    pub fn count(&mut self, why: Back) -> Taken {
        let kind = match why {
            Back::Overload => &mut self.overloads,
            Back::Origin => &mut self.origin,
            Back::Alone => &mut self.alone,
        };
        *kind = kind.saturating_add(1);
        if self.overloads >= OVERLOADS || self.all() >= ALL_KINDS {
            Taken::End
        } else {
            Taken::Back
        }
    }

    /// How many times as long as planned a weight is held.
    pub fn hold_factor(&self) -> f64 {
        match self.all() {
            0 => 1.0,
            1 => 2.0,
            _ => 4.0,
        }
    }

    /// Whether something that both versions share has been overloaded in this run.
    pub fn is_warned(&self) -> bool {
        self.overloads > 0 || self.origin > 0
    }

    fn all(&self) -> u32 {
        self.overloads.saturating_add(self.origin).saturating_add(self.alone)
    }
}

/// Seconds with data since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Clock(#[serde(serialize_with = "number")] pub f64);

impl Clock {
    /// Goes on by a tick.
    pub fn add(&mut self, seconds: f64) {
        self.0 = round3(self.0 + seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(bad: f64, total: f64) -> Count {
        Count { bad, total }
    }

    fn blame(candidate: (f64, f64), baseline: (f64, f64), weight: f64, standing: Standing) -> Blame {
        let window = Window {
            candidate: candidate.into(),
            baseline: baseline.into(),
            ..Window::default()
        };
        who(&window, 0.01, weight, standing)
    }

    #[test]
    fn who_broke_the_limit() {
        use Blame::{Alone, Candidate, Shared, Unclear};
        for (candidate, baseline, expected) in [
            ((144.0, 3_000.0), (114.0, 57_000.0), Candidate),
            ((4.0, 30.0), (2.0, 570.0), Candidate),
            ((63.0, 3_000.0), (513.0, 57_000.0), Candidate),
            ((600.0, 3_000.0), (11_400.0, 57_000.0), Shared),
            ((40.0, 3_000.0), (627.0, 57_000.0), Shared),
            ((4.0, 30.0), (0.0, 30.0), Unclear),
            ((45.0, 3_000.0), (540.0, 57_000.0), Unclear),
            ((30.0, 3_000.0), (20.0, 59.0), Candidate),
        ] {
            let found = blame(candidate, baseline, 0.05, Standing::Whole);
            assert_eq!(found, expected, "{candidate:?} {baseline:?}");
        }
        assert_eq!(blame((600.0, 3_000.0), (9.0, 20.0), 0.98, Standing::Whole), Alone);
        let shared = ((600.0, 3_000.0), (11_400.0, 57_000.0));
        assert_eq!(blame(shared.0, shared.1, 0.05, Standing::Absent), Candidate);
    }

    #[test]
    fn bounds_behind_the_blame() {
        for (count_, lower, upper) in [
            (count(144.0, 3_000.0), 0.041_978, f64::NAN),
            (count(114.0, 57_000.0), f64::NAN, 0.004_665 / 2.0),
            (count(4.0, 30.0), 0.061_297, f64::NAN),
            (count(2.0, 570.0), f64::NAN, 0.021_093 / 2.0),
            (count(63.0, 3_000.0), 0.017_106, f64::NAN),
            (count(513.0, 57_000.0), f64::NAN, 0.009_674),
        ] {
            assert!(lower.is_nan() || (wilson::lower(count_) - lower).abs() < 1e-6);
            assert!(
                upper.is_nan() || (wilson::upper(count_) - upper).abs() < 1e-6,
                "{count_:?}"
            );
        }
    }

    #[test]
    fn what_is_normal_for_the_old_version() {
        let limit = Harm::limit(count(17_100.0, 570_000.0), 0.01).unwrap();
        assert!((limit - 0.060_748).abs() < 1e-6, "{limit}");
        assert_eq!(Harm::limit(count(2.0, 999.0), 0.01), None);
        assert_eq!(
            Harm::limit(count(300.0, 1_000.0), 0.01),
            None,
            "it fails anyhow, and nothing can be told"
        );
    }

    #[test]
    fn a_row_of_incidents_pauses_until_a_hold_has_passed_without_one() {
        let mut incidents = Incidents::default();
        for clock in [0.0, 250.0, 500.0] {
            incidents.add(clock, 300.0);
        }
        assert!(!incidents.is_paused());
        incidents.add(600.0, 300.0);
        assert!(incidents.is_paused());
        incidents.end_after(900.0, 300.0);
        assert!(incidents.is_paused());
        incidents.end_after(901.0, 300.0);
        assert!(!incidents.is_paused());
        incidents.add(1_000.0, 300.0);
        incidents.add(1_301.0, 300.0);
        incidents.add(1_600.0, 300.0);
        assert!(!incidents.is_paused(), "the first one stands alone");
    }

    #[test]
    fn the_second_overload_and_the_third_step_back_end_the_release() {
        let mut steps = StepsBack::default();
        assert_eq!(steps.count(Back::Overload), Taken::Back);
        assert!((steps.hold_factor() - 2.0).abs() < 1e-9);
        assert_eq!(steps.count(Back::Overload), Taken::End);
        let mut steps = StepsBack::default();
        assert_eq!(steps.count(Back::Origin), Taken::Back);
        assert_eq!(steps.count(Back::Origin), Taken::Back);
        assert_eq!(steps.count(Back::Alone), Taken::End);
        assert!((steps.hold_factor() - 4.0).abs() < 1e-9);
    }
}
