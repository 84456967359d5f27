//! Gates: other systems are asked before the release goes on. What they say belongs to one run and one step.
//!
//! Asking never delays a decision: a pass stores that a gate is asked, the shell asks, and the answer wakes the next pass.

use crate::api::moment::Moment as _;
use std::ops::ControlFlow;

use jiff::Timestamp;
use serde_json::json;

use crate::{
    api::{
        CanaryRolloutStatus,
        plan::PlannedGate,
        status::{EndReason, GateState, GateStatus, PauseReason, Run},
        webhook::Before,
    },
    engine::{
        contract::call::{Call, Reply, again_at, times},
        draft::{Draft, events::Reason},
        facts::{Facts, text},
    },
};

/// Step number of a gate before promotion: one more than there are steps.
fn promotion(facts: &Facts<'_>) -> i32 {
    crate::api::plan::step_number(Some(facts.plan.steps.len()))
}

fn key(facts: &Facts<'_>, run: i64, gate: &GateStatus) -> String {
    format!("{}.{}.{}.{}", facts.id.uid, run, gate.name, gate.step)
}

fn planned<'a>(facts: &Facts<'a>, gate: &GateStatus) -> Option<&'a PlannedGate> {
    facts.plan.gates.iter().find(|planned| planned.name == gate.name)
}

/// Takes in what was answered.
pub fn ingest(facts: &Facts<'_>, next: &mut Draft) {
    if !next.status().phase.is_moving() {
        return;
    }
    let Some(number) = next.run().map(|run| run.number) else {
        return;
    };
    let mut opened = Vec::new();
    let asked = next.gates_mut().into_iter().flatten();
    for gate in asked.filter(|gate| gate.state == GateState::Asking && gate.next_at.is_some()) {
        let reply = facts.seen.replies.get(&key(facts, number, gate));
        let Some(reply) = reply.filter(|reply| reply.attempt == gate.asked) else {
            continue;
        };
        take_in(facts, gate, reply);
        if gate.state == GateState::Open {
            let seconds = facts.now.duration_since(gate.since).as_secs();
            opened.push(format!(
                "gate {} lets {} go on: {}, asked {} in {seconds}s",
                gate.name,
                what(facts, gate),
                gate.said,
                times(gate.asked)
            ));
        }
    }
    if !opened.is_empty() {
        // Pods were not waited for meanwhile.
        next.restart_growing();
    }
    let held = next.run().and_then(|run| run.paused_for);
    let asking = next.run().and_then(|run| waited_for(facts, run));
    for note in opened {
        next.tell(Reason::GateOpened, note);
    }
    if held.is_some_and(PauseReason::is_of_gates) && asking.is_none() {
        next.resume();
    }
    expire(facts, next);
}

fn take_in(facts: &Facts<'_>, gate: &mut GateStatus, reply: &Reply) {
    gate.asked = gate.asked.saturating_add(1);
    gate.said = reply.words();
    if reply.is_yes() {
        gate.state = GateState::Open;
    } else if reply.is_no() {
        gate.state = GateState::Rejected;
    } else {
        gate.next_at = Some(again_at(gate.asked, facts.now));
        return;
    }
    (gate.next_at, gate.until) = (None, None);
}

/// What a gate stands before, in words.
fn what(facts: &Facts<'_>, gate: &GateStatus) -> String {
    match planned(facts, gate).map(|planned| planned.before) {
        Some(Before::Start) => "the release".to_owned(),
        Some(Before::Promote) => "the promotion".to_owned(),
        Some(Before::Step) | None => format!("step {}/{}", gate.step, facts.plan.steps.len()),
    }
}

/// Takes everything back if a gate said no.
pub fn roll_back_if_one_said_no(facts: &Facts<'_>, next: &mut Draft) -> ControlFlow<()> {
    let gates = next.run().into_iter().flat_map(|run| &run.gates);
    let mut no = gates.filter(|gate| gate.state == GateState::Rejected && planned(facts, gate).is_some());
    let Some(gate) = no.next() else {
        return ControlFlow::Continue(());
    };
    let message = format!("gate {} said no before {}: {}", gate.name, what(facts, gate), gate.said);
    next.tell(Reason::GateRejected, message.clone());
    next.go_back(EndReason::GateRejected, &message);
    ControlFlow::Break(())
}

/// Asks the gates before this that were not asked yet. The release waits until all of them are open.
pub fn ask(facts: &Facts<'_>, before: Before, step: i32, next: &mut Draft) -> ControlFlow<()> {
    let Some(gates) = next.gates_mut() else {
        return ControlFlow::Continue(());
    };
    // The release may have fallen back since another step's gate was asked; one in a state that a newer version has
    // written is asked anew.
    gates.retain(|gate| match gate.state {
        GateState::Open => true,
        GateState::Asking | GateState::Rejected => gate.step == step,
        GateState::Unknown => false,
    });
    for planned in facts.plan.gates.iter().filter(|planned| planned.before == before) {
        if !gates.iter().any(|gate| gate.name == planned.name && gate.step == step) {
            gates.push(GateStatus {
                name: planned.name.clone(),
                step,
                state: GateState::Asking,
                since: facts.now,
                until: Some(facts.now.plus(planned.deadline.signed())),
                asked: 0,
                next_at: Some(facts.now),
                said: String::new(),
            });
        }
    }
    let closed =
        |gate: &&GateStatus| gate.step == step && gate.state != GateState::Open && planned(facts, gate).is_some();
    let waiting: Vec<&GateStatus> = gates.iter().filter(closed).collect();
    if waiting.is_empty() {
        return ControlFlow::Continue(());
    }
    let mut unsure = waiting.iter().filter(|gate| gate.asked > 0 && gate.next_at.is_some());
    let unsure = unsure.next().map(|gate| words(facts, gate));
    let held = next.run().and_then(|run| run.paused_for);
    if let Some(text) = unsure.filter(|_| held.is_none()) {
        next.hold(PauseReason::Gate, &text);
    }
    ControlFlow::Break(())
}

/// Nobody answering is not a verdict: after its deadline a gate is asked no more, and a person is called.
fn expire(facts: &Facts<'_>, next: &mut Draft) {
    let held = next.run().and_then(|run| run.paused_for);
    if held.is_some_and(|held| held != PauseReason::Gate) {
        return;
    }
    let is_late = |gate: &GateStatus| {
        gate.state == GateState::Asking
            && gate.until.is_some_and(|until| until <= facts.now)
            && planned(facts, gate).is_some()
    };
    let Some(gates) = next.gates_mut() else { return };
    let Some(step) = gates.iter().find(|gate| is_late(gate)).map(|gate| gate.step) else {
        return;
    };
    let mut texts = Vec::new();
    for gate in gates
        .iter_mut()
        .filter(|gate| gate.step == step && gate.state == GateState::Asking)
    {
        (gate.next_at, gate.until) = (None, None);
        texts.push(words(facts, gate));
    }
    next.hold(PauseReason::GateDeadline, texts.first().map_or("", String::as_str));
}

fn words(facts: &Facts<'_>, gate: &GateStatus) -> String {
    let until = gate
        .until
        .map(|until| format!("; without a 2xx until {} a person is called", text::clock(until)))
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
pub fn waited_for(facts: &Facts<'_>, run: &Run) -> Option<String> {
    let asking = run
        .gates
        .iter()
        .filter(|gate| gate.state == GateState::Asking && planned(facts, gate).is_some());
    let texts: Vec<String> = asking
        .map(|gate| {
            if gate.asked == 0 {
                format!("asking gate {} before {}", gate.name, what(facts, gate))
            } else {
                words(facts, gate)
            }
        })
        .collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// A gate before promotion has not opened yet.
pub fn left_to_ask(facts: &Facts<'_>, run: &Run) -> bool {
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

/// A gate before the start has not opened: nothing of the release may be made.
pub fn keeps_out(facts: &Facts<'_>, run: &Run) -> bool {
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
pub fn begin_anew(facts: &Facts<'_>, next: &mut Draft) {
    let gates = next.gates_mut().into_iter().flatten();
    for gate in gates.filter(|gate| gate.state == GateState::Asking) {
        if let Some(planned) = planned(facts, gate) {
            gate.since = facts.now;
            gate.until = Some(facts.now.plus(planned.deadline.signed()));
            gate.next_at = Some(facts.now);
        }
    }
}

/// What is to be asked now.
pub fn calls(facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Vec<Call> {
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
        let key = key(facts, run.number, gate);
        let to = usize::try_from(gate.step.saturating_sub(1)).ok().and_then(|index| facts.plan.steps.get(index)).map(|step| step.weight);
        let body = json!({
            "kind": "Gate", "gate": gate.name, "before": planned.before,
            "namespace": facts.id.namespace, "rollout": facts.id.name,
            "run": run.number, "revision": run.revision, "stableRevision": run.stable_revision,
            "step": run.step, "steps": run.steps, "weight": run.weight, "nextWeight": to.filter(|_| planned.before == Before::Step),
            "attempt": gate.asked.saturating_add(1), "idempotencyKey": key,
        });
        Some(Call { key, attempt: gate.asked, webhook: planned.webhook.clone(), body })
    })
    .collect()
}

/// When gates are asked again, and when their deadlines end.
pub fn moments(run: &Run) -> impl Iterator<Item = Timestamp> {
    run.gates
        .iter()
        .filter(|gate| gate.state == GateState::Asking)
        .flat_map(|gate| [gate.next_at, gate.until])
        .flatten()
}
