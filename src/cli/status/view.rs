//! A status as lines of text: what is released, how far it has come, what is measured, what is waited for.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{checks, moment, steps, waits::waits};
use crate::{
    api::{
        CanaryRolloutStatus, Plan,
        condition::ConditionType,
        rollout::Workload,
        status::{GateState, Needed, Outcome, Phase, Run},
    },
    cli::{
        paint::{Paint, Tone, clean},
        rollout::{Rollout, condition},
        words::{self, wrapped},
    },
};

/// Characters of the names on the left.
const LABEL: usize = 10;

/// What is drawn, and for whom.
struct View {
    now: Timestamp,
    width: usize,
    paint: Paint,
    lines: Vec<String>,
}

/// All of it, so many characters wide.
pub fn lines(rollout: &Rollout, now: Timestamp, width: usize, paint: Paint) -> Vec<String> {
    let mut view = View {
        now,
        width,
        paint,
        lines: Vec::new(),
    };
    let status = match &rollout.status {
        Ok(status) => status,
        Err(why) => {
            view.head(&format!("{} in {}", rollout.name(), rollout.namespace()), Tone::Bad);
            view.text(why, Tone::Bad);
            return view.lines;
        }
    };
    view.heading(rollout, status);
    let release = status.run.as_ref().and_then(|run| Plan::of_release(&run.plan).ok());
    let plan = release.as_ref().or(rollout.plan.as_ref().ok());
    match &status.run {
        Some(run) => view.release(status, run, plan),
        None => view.rest(rollout, status),
    }
    view.pods(status);
    if let Some(plan) = plan {
        view.section("Steps", steps::lines(status, plan, now, paint));
    }
    view.section("Checks", checks::lines(&status.checks, width, paint));
    // The drawing of the run so far stands here, above what is waited for.
    if let Some(run) = &status.run {
        view.gates(run);
        view.waiting(status, run, plan);
    }
    view.lines
}

impl View {
    fn head(&mut self, text: &str, tone: Tone) {
        let head = self.paint.tone(tone, &clean(text));
        self.lines.push(head);
    }

    fn text(&mut self, text: &str, tone: Tone) {
        for line in wrapped(&clean(text), self.width, 2) {
            self.lines.push(self.paint.tone(tone, &line));
        }
    }

    /// A name, and what is to be said of it.
    fn field(&mut self, name: &str, text: &str) {
        let indent = LABEL.saturating_add(2);
        for (index, line) in wrapped(&clean(text), self.width, indent).into_iter().enumerate() {
            let rest = line.trim_start();
            let name = if index == 0 { name } else { "" };
            let name = self.paint.tone(Tone::Dim, &format!("{name:<LABEL$}"));
            self.lines.push(format!("{name}  {rest}"));
        }
    }

    fn section(&mut self, name: &str, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        self.lines.push(String::new());
        self.lines.push(self.paint.tone(Tone::Strong, name));
        self.lines.extend(lines);
    }

    fn heading(&mut self, rollout: &Rollout, status: &CanaryRolloutStatus) {
        let run = status.run.as_ref().filter(|_| status.is_active());
        let paused = run.and_then(|run| run.paused_for);
        let mut head = format!("{} in {}: {}", rollout.name(), rollout.namespace(), status.phase);
        if let Some(run) = run {
            let _ = write!(head, ", step {} of {} at {}", run.step, run.steps, run.weight);
        }
        if let Some(reason) = paused {
            let _ = write!(head, ", paused for {reason}");
        }
        let tone = match status.phase {
            Phase::Preparing | Phase::Shifting | Phase::Baking | Phase::Promoting if paused.is_some() => Tone::Warning,
            Phase::Idle | Phase::Unknown | Phase::Preparing | Phase::Shifting | Phase::Baking | Phase::Promoting => {
                Tone::Strong
            }
            Phase::Succeeded => Tone::Good,
            Phase::RollingBack | Phase::RolledBack => Tone::Bad,
        };
        self.head(&head, tone);
        if rollout.is_unseen() {
            self.text(
                "The controller has not seen the newest change of this CanaryRollout yet.",
                Tone::Warning,
            );
        }
        let refused = condition(status, ConditionType::Accepted).filter(|accepted| accepted.status == "False");
        if let Some(refused) = refused {
            self.text(
                &format!("Not accepted, {}: {}", refused.reason, refused.message),
                Tone::Bad,
            );
        }
        if refused.is_none_or(|refused| !status.message.contains(&refused.message)) {
            self.text(&status.message, Tone::Plain);
        }
        self.lines.push(String::new());
    }

    fn release(&mut self, status: &CanaryRolloutStatus, run: &Run, plan: Option<&Plan>) {
        let what = workload(&run.plan.workload);
        self.field(
            "Release",
            &format!("{}: {} → {} of {what}", run.number, run.stable_revision, run.revision),
        );
        let took = words::took(run, self.now);
        let times = match (run.outcome, run.ended_at) {
            (Some(outcome), Some(ended)) => {
                let reason = run.reason.filter(|_| outcome != Outcome::Promoted);
                let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                let ended = moment(self.now, ended);
                format!("{}{reason} {ended}, after {took}", words::became(outcome))
            }
            _ => format!("began {}", moment(self.now, run.started_at)),
        };
        self.field("", &times);
        if let Some(plan) = plan {
            let routes: Vec<String> = plan
                .routes
                .iter()
                .map(|route| format!("{}/{}", route.kind, route.name))
                .collect();
            self.field("Routes", &routes.join(", "));
        }
        if !status.is_active() {
            return;
        }
        let confirmed = run
            .weight_confirmed_at
            .map(|at| format!(", confirmed {}", moment(self.now, at)));
        let mut traffic = format!("{} for the new version{}", run.weight, confirmed.unwrap_or_default());
        if let Some(intent) = &run.intent {
            let since = moment(self.now, intent.at);
            let _ = write!(traffic, "; {} asked for {since}, not confirmed yet", intent.weight);
        }
        self.field("Traffic", &traffic);
        // Before the first weight the judge says how long the release will take.
        let expected = run.judge.said.as_ref().filter(|_| status.phase == Phase::Preparing);
        if let Some(expected) = expected.filter(|said| !said.message.is_empty()) {
            self.field("Expected", &expected.message);
        }
    }

    fn rest(&mut self, rollout: &Rollout, status: &CanaryRolloutStatus) {
        let serving = status
            .stable_revision
            .as_deref()
            .unwrap_or("none: the workload is not taken over");
        self.field("Serving", serving);
        if let Ok(plan) = &rollout.plan {
            self.field("Workload", &format!("Deployment {}", plan.deployment));
        }
    }

    /// As far as the status tells.
    fn pods(&mut self, status: &CanaryRolloutStatus) {
        if let Some(run) = status.run.as_ref().filter(|_| status.is_active()) {
            let mut new = match run.carriers {
                0 => format!("new version {}: none carries traffic", run.replica_set),
                carriers => format!(
                    "new version {}: {carriers} carried its weight when it was decided",
                    run.replica_set
                ),
            };
            if let Some(growing) = &run.growing {
                let since = moment(self.now, growing.since);
                let _ = write!(new, "; those for {} have been waited for since {since}", growing.weight);
            }
            if run.capacity_lost > 0 {
                let lost = run.capacity_lost;
                let _ = write!(
                    new,
                    "; pods under traffic were lost {lost} time{} (the third rolls back)",
                    words::plural(lost)
                );
            }
            self.field("Pods", &new);
        }
        let healthy = condition(status, ConditionType::Healthy);
        if let Some(healthy) = healthy.filter(|healthy| healthy.status == "False") {
            self.field("", &format!("not healthy, {}: {}", healthy.reason, healthy.message));
        }
        for kept in &status.kept {
            let why = if kept.standby {
                "stands by: an abort brings it back"
            } else {
                "kept to be looked at"
            };
            self.field(
                "Kept",
                &format!("{} until {}, {why}", kept.revision, moment(self.now, kept.until)),
            );
        }
        for draining in &status.draining {
            let what = match draining.needs {
                Needed::ServiceAndPods | Needed::Pods => "its pods stay",
                Needed::Service => "its entry in the routes stays",
                Needed::Unknown => "everything of it stays",
            };
            let since = moment(self.now, draining.since);
            self.field(
                "Draining",
                &format!(
                    "{} lost its traffic {since}; {what} until no request reaches it",
                    draining.revision
                ),
            );
        }
    }

    fn gates(&mut self, run: &Run) {
        let mut lines = Vec::new();
        for gate in &run.gates {
            let (state, tone) = match gate.state {
                GateState::Asking => ("asking", Tone::Warning),
                GateState::Open => ("open", Tone::Good),
                GateState::Rejected => ("rejected", Tone::Bad),
                GateState::Unknown => ("unknown", Tone::Plain),
            };
            let place = match gate.step {
                0 => "before the first pod".to_owned(),
                step if step > run.steps => "before the promotion".to_owned(),
                step => format!("at step {step}"),
            };
            let asked = format!("asked {} time{}", gate.asked, words::plural(gate.asked));
            let said = if gate.said.is_empty() {
                String::new()
            } else {
                format!(", last answer: {}", clean(&gate.said))
            };
            let state = self.paint.tone(tone, state);
            lines.push(format!("  {} {place}: {state}, {asked}{said}", clean(&gate.name)));
        }
        self.section("Gates", lines);
    }

    fn waiting(&mut self, status: &CanaryRolloutStatus, run: &Run, plan: Option<&Plan>) {
        let lines = waits(status.phase, run, plan, self.now);
        let lines = lines
            .iter()
            .flat_map(|line| wrapped(&clean(line), self.width, 2))
            .collect();
        self.section("Waiting for", lines);
    }
}

/// What is released, for people.
pub fn workload(workload: &Workload) -> String {
    match (&workload.deployment, &workload.pair) {
        (_, Some(pair)) => format!(
            "the pair of Deployments {} → {}",
            pair.baseline.deployment, pair.candidate.deployment
        ),
        (Some(deployment), None) => format!("Deployment {}", deployment.name),
        (None, None) => "no workload".to_owned(),
    }
}
