//! What a judgement says, as it stands in a status.

use jiff::{SignedDuration, Timestamp};

use super::{
    figures,
    gate::MOMENT,
    input::Setting,
    judgement::{self, CheckJudgement, Judgement, Outcome, Reason},
    state::Memory,
    tick,
};
use crate::api::{
    Percent,
    moment::Moment as _,
    plan::PlannedCheck,
    status::{
        About, Advice, Cause, CheckStatus, EndReason, Evidence, Left, PauseReason, Phase, Run, Said, Verdict, Warning,
    },
};

/// What a data tick that ended at `end` means for the release. `checks` are the judge's, with the places of the plan's;
/// `evaluated` is what the plan's say.
pub fn said(
    judgement: &Judgement,
    setting: &Setting<'_>,
    plan: &tick::Plan,
    known: &Memory,
    (checks, evaluated): (&[(usize, tick::Check)], &[CheckStatus]),
    end: Timestamp,
) -> Said {
    let of_plan = |index: usize| checks.get(index).map(|(planned, _)| *planned);
    let mut said = Said {
        pause: judgement.pause.map(pause),
        message: judgement.says.clone(),
        left: judgement.left.map(left),
        warning: judgement.warnings.first().cloned().map(warning),
        ..Said::default()
    };
    let mut weight = known.current.weight;
    let mut lag = plan.lag;
    let mut broken = None;
    match judgement.outcome {
        Outcome::Fail { reason, check } => {
            said.advice = Advice::Fail;
            said.reason = Some(end_reason(reason));
            broken = check.and_then(of_plan);
        }
        Outcome::Pause { check } => {
            said.advice = Advice::Pause;
            broken = of_plan(check);
        }
        Outcome::StepBack { to, .. } => {
            said.advice = Advice::StepBack;
            said.to = Some(percent(to));
            weight = to;
            lag = 0.0;
        }
        Outcome::Hold { cause } => said.cause = cause.map(cause_of),
        Outcome::Rise { to } => {
            said.advice = Advice::Rise;
            said.to = Some(percent(to));
        }
        Outcome::Promote => said.advice = Advice::Promote,
    }
    if let Some(index) = broken {
        said.check = setting.plan.checks.get(index).map(|check| check.name.clone());
        if let (Some(planned), Some(check)) = (setting.plan.checks.get(index), evaluated.get(index)) {
            said.message = breach(planned, check);
        }
    }
    let left = hold_left(setting, plan, known, weight);
    // What has passed since the tick is part of the hold: served is what ends with it.
    let left = if left > lag + MOMENT { left } else { 0.0 };
    said.hold_until = Some(end.plus(SignedDuration::try_from_secs_f64(left).unwrap_or(SignedDuration::MAX)));
    said
}

/// Seconds of the hold of a weight that were left at the end of the newest tick. The bake is another hold, which comes after it.
fn hold_left(setting: &Setting<'_>, plan: &tick::Plan, known: &Memory, weight: f64) -> f64 {
    let bake = if setting.phase == Phase::Shifting && plan.above(weight).is_none() {
        plan.bake
    } else {
        0.0
    };
    let hold = (plan.hold(weight) - bake) * known.steps_back.hold_factor();
    (hold - known.current.held).max(0.0)
}

/// A broken limit in words.
fn breach(planned: &PlannedCheck, check: &CheckStatus) -> String {
    if !check.message.is_empty() {
        return format!("check {}: {}", check.name, check.message);
    }
    format!(
        "check {}: {} {}, limit {}",
        check.name,
        figures::noun(&planned.kind),
        check.value.as_deref().unwrap_or("no figure"),
        check.threshold
    )
}

/// A share that the judge has named, in hundredths of a percent, rounded down.
fn percent(share: f64) -> Percent {
    // Weights are exact in hundredths of a percent, and not in binary.
    let hundredths = (share.clamp(0.0, 1.0) * 1e4 + 1e-6).floor();
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 10,000, and NaN is 0"
    )]
    Percent::from_hundredths(hundredths as u32).unwrap_or(Percent::ZERO)
}

/// What the judge's words on one planned check come to: the worst of them.
pub fn of_check<'j>(words: impl Iterator<Item = &'j CheckJudgement>) -> Option<&'j CheckJudgement> {
    words.max_by_key(|one| match one.verdict {
        judgement::Verdict::Pass => 0,
        judgement::Verdict::Wait => 1,
        judgement::Verdict::NoData => 2,
        judgement::Verdict::Fail => 3,
    })
}

/// A verdict in the status's words.
pub fn verdict(verdict: judgement::Verdict) -> Verdict {
    match verdict {
        judgement::Verdict::Pass => Verdict::Pass,
        judgement::Verdict::Fail => Verdict::Fail,
        judgement::Verdict::Wait => Verdict::Wait,
        judgement::Verdict::NoData => Verdict::NoData,
    }
}

/// A cause in the status's words.
pub fn cause_of(cause: judgement::Cause) -> Cause {
    match cause {
        judgement::Cause::FewSamples => Cause::FewSamples,
        judgement::Cause::Comparing => Cause::Comparing,
        judgement::Cause::SharedIncident => Cause::SharedIncident,
        judgement::Cause::ShareMismatch => Cause::ShareMismatch,
        judgement::Cause::NoBaseline => Cause::NoBaseline,
        judgement::Cause::OriginLimit => Cause::OriginLimit,
    }
}

/// What a verdict rests on; nothing where nothing was counted.
pub fn evidence(evidence: &judgement::Evidence, run: &Run) -> Option<Evidence> {
    let since = SignedDuration::try_from_secs_f64(evidence.since).ok();
    (evidence.total > 0.0).then(|| Evidence {
        bad: evidence.bad,
        total: evidence.total,
        limit: evidence.limit,
        baseline_bad: evidence.baseline_bad,
        baseline_total: evidence.baseline_total,
        since: since.map(|since| run.started_at.plus(since)),
        strength: evidence.strength,
        needed: evidence.needed,
    })
}

fn left(left: judgement::Left) -> Left {
    match left {
        judgement::Left::Time => Left::Time,
        judgement::Left::Doubt => Left::Doubt,
    }
}

/// What somebody should look at.
pub fn warning(warning: judgement::Warning) -> Warning {
    let about = match warning.about {
        judgement::About::Long => About::Long,
        judgement::About::Harm => About::Harm,
        judgement::About::Cold => About::Cold,
    };
    Warning {
        about,
        message: warning.says,
    }
}

fn end_reason(reason: Reason) -> EndReason {
    match reason {
        Reason::ErrorRateAboveMax => EndReason::ErrorRateAboveMax,
        Reason::ErrorRateAboveStable => EndReason::ErrorRateAboveStable,
        Reason::LatencyAboveMax => EndReason::LatencyAboveMax,
        Reason::HitRatioBelowMin => EndReason::HitRatioBelowMin,
        Reason::HitRatioBelowStable => EndReason::HitRatioBelowStable,
        Reason::CheckFailed => EndReason::CheckFailed,
        Reason::StableRegressed => EndReason::StableRegressed,
        Reason::OriginOverloaded => EndReason::OriginOverloaded,
    }
}

fn pause(pause: judgement::Pause) -> PauseReason {
    match pause {
        judgement::Pause::SharedIncident => PauseReason::SharedIncident,
        judgement::Pause::OriginLimit => PauseReason::OriginLimit,
        judgement::Pause::Inconclusive => PauseReason::Inconclusive,
        judgement::Pause::WarmingSlow => PauseReason::WarmingSlow,
        judgement::Pause::FewSamples | judgement::Pause::NoBaseline | judgement::Pause::ShareMismatch => {
            PauseReason::NoData
        }
        judgement::Pause::CheckFailed => PauseReason::CheckFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_weight_is_the_same_after_a_way_through_fractions() {
        for hundredths in 0..=10_000 {
            let weight = Percent::from_hundredths(hundredths).unwrap();
            assert_eq!(percent(weight.fraction()), weight);
        }
        assert_eq!(percent(f64::NAN), Percent::ZERO);
        assert_eq!(percent(2.0), Percent::FULL);
    }
}
