//! Gates: other systems are asked before the release goes on. What they say belongs to one run and one step.
//!
//! Asking never delays a decision: a pass stores that a gate is asked, the shell asks, and the answer wakes the next pass.

use jiff::Timestamp;
use serde_json::json;

use super::{
    Draft,
    call::{Call, again_at, times},
    ending,
    facts::Facts,
    holds,
    notice::Reason,
};
use crate::api::{
    CanaryRolloutStatus,
    plan::{Address, PlannedGate},
    status::{GateState, GateStatus, Outcome, PauseReason, Run},
    webhook::Before,
};

/// Number under which a gate before promotion is remembered.
fn promotion(facts: &Facts<'_>) -> i32 {
    crate::api::plan::step_number(Some(facts.plan.steps.len()))
}

fn key(facts: &Facts<'_>, run: &Run, gate: &GateStatus) -> String {
    format!("{}.{}.{}.{}", facts.id.uid, run.number, gate.name, gate.step)
}

fn planned<'a>(facts: &Facts<'a>, gate: &GateStatus) -> Option<&'a PlannedGate> {
    facts.plan.gates.iter().find(|planned| planned.name == gate.name)
}

/// Takes in what was answered.
pub(super) fn ingest(facts: &Facts<'_>, next: &mut Draft) {
    if !next.status.phase.is_moving() {
        return;
    }
    let Some(mut run) = next.status.run.take() else { return };
    let mut opened = Vec::new();
    let mut gates = std::mem::take(&mut run.gates);
    for gate in gates
        .iter_mut()
        .filter(|gate| gate.state == GateState::Asking && gate.next_at.is_some())
    {
        let Some(reply) = facts
            .seen
            .replies
            .get(&key(facts, &run, gate))
            .filter(|reply| reply.attempt == gate.asked)
        else {
            continue;
        };
        gate.asked += 1;
        gate.said = reply.words();
        if reply.is_yes() {
            gate.state = GateState::Open;
            let seconds = facts.now.duration_since(gate.since).as_secs();
            opened.push(format!(
                "gate {} lets {} go on: {}, asked {} in {seconds}s",
                gate.name,
                what(facts, gate),
                gate.said,
                times(gate.asked)
            ));
        } else if reply.is_no() {
            gate.state = GateState::Rejected;
        } else {
            gate.next_at = Some(again_at(gate.asked, facts.now));
        }
        if gate.state != GateState::Asking {
            gate.next_at = None;
            gate.until = None;
        }
    }
    run.gates = gates;
    if let Some(growing) = run.growing.as_mut().filter(|_| !opened.is_empty()) {
        // Pods were not waited for meanwhile.
        growing.since = facts.now;
    }
    let lifted = run.paused_for.is_some_and(PauseReason::is_of_gates) && waited_for(facts, &run).is_none();
    next.status.run = Some(run);
    for note in opened {
        next.tell(Reason::GateOpened, note);
    }
    if lifted {
        holds::pause(next, None, "");
    }
    expire(facts, next);
}

/// What a gate stands before, in words.
fn what(facts: &Facts<'_>, gate: &GateStatus) -> String {
    match planned(facts, gate).map(|planned| planned.before) {
        Some(Before::Start) => "the release".to_owned(),
        Some(Before::Promote) => "the promotion".to_owned(),
        Some(Before::Step) | None => format!("step {}/{}", gate.step, facts.plan.steps.len()),
    }
}

/// Takes everything back if a gate said no. Returns whether one did.
pub(super) fn rejected(facts: &Facts<'_>, next: &mut Draft) -> bool {
    let run = next.status.run.as_ref();
    let no = run
        .into_iter()
        .flat_map(|run| &run.gates)
        .find(|gate| gate.state == GateState::Rejected && planned(facts, gate).is_some());
    let Some(gate) = no else { return false };
    let message = format!("gate {} said no before {}: {}", gate.name, what(facts, gate), gate.said);
    next.tell(Reason::GateRejected, message.clone());
    ending::go_back(next, Outcome::RolledBack, "GateRejected", &message);
    true
}

/// Whether the release has to wait for a gate before this; asks those that were not asked yet.
pub(super) fn closed(facts: &Facts<'_>, before: Before, step: i32, next: &mut Draft) -> bool {
    let Some(mut run) = next.status.run.take() else {
        return false;
    };
    // The release may have fallen back since another step's gate was asked.
    run.gates
        .retain(|gate| gate.state == GateState::Open || gate.step == step);
    for planned in facts.plan.gates.iter().filter(|planned| planned.before == before) {
        if !run
            .gates
            .iter()
            .any(|gate| gate.name == planned.name && gate.step == step)
        {
            run.gates.push(GateStatus {
                name: planned.name.clone(),
                step,
                state: GateState::Asking,
                since: facts.now,
                until: Some(facts.now + planned.deadline.signed()),
                asked: 0,
                next_at: Some(facts.now),
                said: String::new(),
            });
        }
    }
    let waiting: Vec<&GateStatus> = run
        .gates
        .iter()
        .filter(|gate| gate.step == step && gate.state != GateState::Open && planned(facts, gate).is_some())
        .collect();
    let unsure = waiting
        .iter()
        .find(|gate| gate.asked > 0 && gate.next_at.is_some())
        .map(|gate| text(facts, gate));
    let (held, is_closed) = (run.paused_for, !waiting.is_empty());
    next.status.run = Some(run);
    if let Some(text) = unsure.filter(|_| held.is_none()) {
        holds::pause(next, Some(PauseReason::Gate), &text);
    }
    is_closed
}

/// Nobody answering is not a verdict: after its deadline a gate is asked no more, and a person is called.
fn expire(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = &mut next.status.run else { return };
    if run.paused_for.is_some_and(|held| held != PauseReason::Gate) {
        return;
    }
    let is_late = |gate: &GateStatus| {
        gate.state == GateState::Asking
            && gate.until.is_some_and(|until| until <= facts.now)
            && planned(facts, gate).is_some()
    };
    let Some(step) = run.gates.iter().find(|gate| is_late(gate)).map(|gate| gate.step) else {
        return;
    };
    for gate in run
        .gates
        .iter_mut()
        .filter(|gate| gate.step == step && gate.state == GateState::Asking)
    {
        (gate.next_at, gate.until) = (None, None);
    }
    let late = run
        .gates
        .iter()
        .find(|gate| gate.step == step && gate.state == GateState::Asking);
    let text = late.map(|gate| text(facts, gate)).unwrap_or_default();
    holds::pause(next, Some(PauseReason::GateDeadline), &text);
}

fn text(facts: &Facts<'_>, gate: &GateStatus) -> String {
    let until = gate
        .until
        .map(|until| {
            format!(
                "; without a 2xx until {} a person is called",
                until.strftime("%H:%M:%SZ")
            )
        })
        .unwrap_or_default();
    format!(
        "gate {} before {}: {}, asked {}{until}",
        gate.name,
        what(facts, gate),
        gate.said,
        times(gate.asked)
    )
}

/// Gates that are being waited for, in words.
pub(super) fn waited_for(facts: &Facts<'_>, run: &Run) -> Option<String> {
    let asking = run
        .gates
        .iter()
        .filter(|gate| gate.state == GateState::Asking && planned(facts, gate).is_some());
    let texts: Vec<String> = asking
        .map(|gate| {
            if gate.asked == 0 {
                format!("asking gate {} before {}", gate.name, what(facts, gate))
            } else {
                text(facts, gate)
            }
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// Whether a gate before promotion has not opened yet.
pub(super) fn left_to_ask(facts: &Facts<'_>, run: &Run) -> bool {
    let step = promotion(facts);
    let open = |name: &str| {
        run.gates
            .iter()
            .any(|gate| gate.name == name && gate.step == step && gate.state == GateState::Open)
    };
    facts
        .plan
        .gates
        .iter()
        .any(|gate| gate.before == Before::Promote && !open(&gate.name))
}

/// Before the first pod: nothing of the release has been made.
pub(super) fn keeps_out(facts: &Facts<'_>, run: &Run) -> bool {
    let open = |name: &str| {
        run.gates
            .iter()
            .any(|gate| gate.name == name && gate.step == 0 && gate.state == GateState::Open)
    };
    facts
        .plan
        .gates
        .iter()
        .any(|gate| gate.before == Before::Start && !open(&gate.name))
}

/// Deadlines of gates begin anew, and they are asked at once.
pub(super) fn begin_anew(facts: &Facts<'_>, next: &mut Draft) {
    let Some(run) = &mut next.status.run else { return };
    for gate in run.gates.iter_mut().filter(|gate| gate.state == GateState::Asking) {
        if let Some(planned) = planned(facts, gate) {
            gate.since = facts.now;
            gate.until = Some(facts.now + planned.deadline.signed());
            gate.next_at = Some(facts.now);
        }
    }
}

/// What is to be asked now.
pub(super) fn calls(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Vec<Call> {
    let Some(run) = status.run.as_ref().filter(|_| status.phase.is_moving()) else {
        return Vec::new();
    };
    if run.paused_for.is_some() && !run.paused_for.is_some_and(PauseReason::is_of_gates) {
        return Vec::new();
    }
    let due = run
        .gates
        .iter()
        .filter(|gate| gate.state == GateState::Asking && gate.next_at.is_some_and(|at| at <= facts.now));
    due.filter_map(|gate| {
        let planned = planned(facts, gate)?;
        let key = key(facts, run, gate);
        let to = usize::try_from(gate.step - 1).ok().and_then(|index| facts.plan.steps.get(index)).map(|step| step.weight);
        let body = json!({
            "kind": "Gate", "gate": gate.name, "before": planned.before,
            "namespace": facts.id.namespace, "rollout": facts.id.name,
            "run": run.number, "revision": run.revision, "stableRevision": run.stable_revision,
            "step": run.step, "steps": run.steps, "weight": run.weight, "nextWeight": to.filter(|_| planned.before == Before::Step),
            "attempt": gate.asked + 1, "idempotencyKey": key,
        });
        Some(Call { key, attempt: gate.asked, address: Address::Url(planned.url.clone()), timeout: planned.timeout, body })
    })
    .collect()
}

/// Moments at which time alone changes something.
pub(super) fn moments(run: &Run) -> impl Iterator<Item = Timestamp> {
    run.gates
        .iter()
        .filter(|gate| gate.state == GateState::Asking)
        .flat_map(|gate| [gate.next_at, gate.until])
        .flatten()
}
