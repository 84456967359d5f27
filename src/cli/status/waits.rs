//! What a release waits for, and until when.

use jiff::Timestamp;

use super::moment;
use crate::api::{
    Plan,
    moment::Moment as _,
    status::{GateState, Phase, Run},
};

/// What the release waits for, and until when; nothing unless it is on its way up.
pub fn waits(phase: Phase, run: &Run, plan: Option<&Plan>, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    if !phase.is_moving() {
        return lines;
    }
    let since = |since: Option<Timestamp>| {
        since
            .map(|at| format!(" since {}", moment(now, at)))
            .unwrap_or_default()
    };
    if let Some(reason) = run.paused_for {
        lines.push(format!(
            "the end of the pause for {reason}{}: `kubectl canary why` says who ends it",
            since(run.paused_at)
        ));
    }
    if let Some(intent) = &run.intent {
        // No deadline runs during a pause.
        let end = plan.filter(|_| run.paused_for.is_none());
        let end = end.map(|plan| moment(now, intent.at.plus(plan.progress_deadline.signed())));
        let end = end
            .map(|end| format!("; rolled back {end} otherwise"))
            .unwrap_or_default();
        lines.push(format!("the gateway to confirm {}{end}", intent.weight));
    }
    if let Some(growing) = &run.growing {
        lines.push(format!("pods for {}{}", growing.weight, since(Some(growing.since))));
    }
    if let Some(rests) = run.judge.rests_until.filter(|rests| *rests > now) {
        lines.push(format!(
            "the rest without traffic after a step back, until {}",
            moment(now, rests)
        ));
    }
    for gate in run.gates.iter().filter(|gate| gate.state == GateState::Asking) {
        let until = gate.until.map(|until| format!(" until {}", moment(now, until)));
        lines.push(format!("gate {}{}", gate.name, until.unwrap_or_default()));
    }
    if let Some(without) = run.no_data_since {
        let pauses = plan.filter(|_| run.paused_for.is_none());
        let pauses = pauses.map(|plan| moment(now, without.plus(plan.no_data_deadline.signed())));
        let pauses = pauses.map(|at| format!("; paused {at} otherwise")).unwrap_or_default();
        lines.push(format!("data, which is missing{}{pauses}", since(Some(without))));
    }
    if let Some(said) = run.judge.said.as_ref().filter(|_| phase.is_judged()) {
        if let Some(until) = said.hold_until.filter(|until| *until > now) {
            lines.push(format!("the hold of this step, until {}", moment(now, until)));
        }
        // Without data it is about a time before.
        if !said.message.is_empty() && run.no_data_since.is_none() {
            lines.push(format!("the checks: {}", said.message));
        }
    }
    lines
}
