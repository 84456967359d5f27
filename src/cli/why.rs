//! `why`: the reason of the present state, or of the last end, in sentences, and what a person can do now.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Frame, ages,
    exit::Exit,
    paint::{Paint, Tone, clean},
    print,
    rollout::{self, Rollout, condition},
    status::{self, workload},
    words::{self, wrapped},
};
use crate::api::{
    CanaryRolloutStatus, GROUP,
    condition::ConditionType,
    status::{Phase, Run, Verdict},
};

mod ended;
mod paused;

/// Options of `why`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the CanaryRollout.
    name: String,
}

/// Why it is as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// In sentences, with the numbers.
    pub because: Vec<String>,
    /// What a person can do now.
    pub you_can: Vec<Choice>,
}

/// Something that a person can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// What comes of it.
    pub to: String,
    /// The command that does it.
    pub run: String,
}

/// Prints why.
pub async fn run(frame: &Frame, args: &Args) -> anyhow::Result<Exit> {
    let cluster = frame.connect().await?;
    let rollout = rollout::get(&cluster, &args.name).await?;
    let explanation = explain(&rollout, Timestamp::now());
    match frame.data() {
        Some(output) => print::data(output, &explanation, &[rollout::path(&rollout.name())])?,
        None => print::lines(&lines(&explanation, status::width(), frame.paint))?,
    }
    Ok(Exit::Reached)
}

/// The explanation as lines of text, so many characters wide.
pub fn lines(explanation: &Explanation, width: usize, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for sentence in &explanation.because {
        lines.extend(wrapped(&clean(sentence), width, 0));
    }
    if !explanation.you_can.is_empty() {
        lines.push(String::new());
        lines.push(paint.tone(Tone::Strong, "You can"));
    }
    for choice in &explanation.you_can {
        lines.extend(wrapped(&format!("- {}:", clean(&choice.to)), width, 2));
        // Not broken into lines: it is to be copied.
        lines.push(format!("      {}", clean(&choice.run)));
    }
    lines
}

/// What commands are about.
pub struct Subject<'a> {
    rollout: &'a Rollout,
    status: &'a CanaryRolloutStatus,
    now: Timestamp,
    told: Explanation,
}

/// Why a rollout is as it is.
pub fn explain(rollout: &Rollout, now: Timestamp) -> Explanation {
    let status = match &rollout.status {
        Ok(status) => status,
        Err(why) => {
            return Explanation {
                because: vec![why.clone()],
                you_can: Vec::new(),
            };
        }
    };
    let mut subject = Subject {
        rollout,
        status,
        now,
        told: Explanation::default(),
    };
    subject.before_all();
    match &status.run {
        Some(run) => subject.of_run(run),
        None => subject.of_rest(),
    }
    subject.told
}

impl Subject<'_> {
    fn say(&mut self, sentence: impl Into<String>) {
        self.told.because.push(sentence.into());
    }

    fn offer(&mut self, to: &str, run: String) {
        self.told.you_can.push(Choice { to: to.to_owned(), run });
    }

    /// A command of this plugin on the rollout.
    fn canary(&self, verb: &str, more: &str) -> String {
        format!(
            "kubectl canary {verb} {} -n {}{more}",
            self.rollout.name(),
            self.rollout.namespace()
        )
    }

    fn moment(&self, at: Timestamp) -> String {
        ages::until(self.now, at)
    }

    fn before_all(&mut self) {
        if self.status.observed_generation.is_none() && self.status.message.is_empty() {
            self.say("The controller has not seen this CanaryRollout yet: it may be starting, or not be installed.");
            self.offer(
                "see whether the controller runs",
                "kubectl get pods -A -l app.kubernetes.io/name=warmfront".to_owned(),
            );
        } else if self.rollout.is_unseen() {
            self.say("The controller has not seen the newest change of this CanaryRollout yet; what follows is about the one before.");
        }
        let refused = condition(self.status, ConditionType::Accepted).filter(|accepted| accepted.status == "False");
        if let Some(refused) = refused {
            let (reason, message) = (refused.reason.clone(), refused.message.clone());
            self.say(format!(
                "The CanaryRollout is not accepted ({reason}), so no weight rises and no release begins: {}",
                sentence(&message)
            ));
            let edit = format!(
                "kubectl edit canaryrollout.{GROUP} {} -n {}",
                self.rollout.name(),
                self.rollout.namespace()
            );
            self.offer("correct it, if the message speaks of a field", edit);
        }
    }

    /// No release has run yet.
    fn of_rest(&mut self) {
        if let Some(serving) = &self.status.stable_revision {
            let serving = format!("No release has run yet; revision {serving} serves all users.");
            self.say(serving);
        }
        if !self.status.message.is_empty() {
            self.say(format!("The controller says: {}", sentence(&self.status.message)));
        }
        self.offer_a_release();
    }

    /// The Deployments of a pair are left to their owner, so that an earlier template cannot be given back.
    fn offer_an_undo(&mut self, to: &str) {
        if self.rollout.plan.as_ref().is_ok_and(|plan| !plan.is_pair()) {
            let undo = self.canary("undo", "");
            self.offer(to, undo);
        }
    }

    fn offer_a_release(&mut self) {
        let Ok(plan) = &self.rollout.plan else { return };
        let change = format!(
            "kubectl set image deployment/{} -n {} CONTAINER=IMAGE",
            plan.deployment,
            self.rollout.namespace()
        );
        self.offer(
            "begin a release with a change of the pod template, such as another image",
            change,
        );
    }

    fn of_run(&mut self, run: &Run) {
        match self.status.phase {
            Phase::Preparing => self.preparing(run),
            Phase::Shifting | Phase::Baking => self.moving(run),
            Phase::Promoting => {
                self.say(format!(
                    "{} has passed all steps, and the new version becomes the stable one: {}",
                    title(run),
                    sentence(&self.status.message)
                ));
                self.offer("take it back as soon as that is done", self.canary("abort", ""));
            }
            Phase::RollingBack => self.rolling_back(run),
            Phase::Idle | Phase::Succeeded | Phase::RolledBack => self.ended(run),
            Phase::Unknown => {
                self.say(format!(
                    "{} is in a phase that only a newer kubectl-canary knows: {}",
                    title(run),
                    sentence(&self.status.message)
                ));
                self.offer("take the release back", self.canary("abort", ""));
            }
        }
    }

    fn preparing(&mut self, run: &Run) {
        let took = words::took(run, self.now);
        self.say(format!(
            "{} has prepared for {took}: the new version has no traffic yet.",
            title(run)
        ));
        self.held_or_waiting(run);
        self.offer("take the release back", self.canary("abort", ""));
    }

    fn moving(&mut self, run: &Run) {
        let place = if self.status.phase == Phase::Baking {
            "bakes: the new version has all traffic and is judged before it is promoted".to_owned()
        } else {
            format!(
                "is at step {} of {}: the new version has {}",
                run.step, run.steps, run.weight
            )
        };
        let since = run.weight_confirmed_at.map(|at| format!(", since {}", self.moment(at)));
        self.say(format!("{} {place}{}.", title(run), since.unwrap_or_default()));
        self.held_or_waiting(run);
        for check in self.status.checks.iter().filter(|check| check.verdict != Verdict::Pass) {
            let cause = check.cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
            let value = check.value.as_deref().unwrap_or("no value");
            let said = if check.message.is_empty() {
                String::new()
            } else {
                format!(": {}", check.message)
            };
            let text = format!(
                "Check {} says {}{cause}, {value} with a limit of {}{said}",
                check.name, check.verdict, check.threshold
            );
            self.told.because.push(sentence(&text));
        }
        if run.paused_for.is_none() {
            let step = step(run);
            self.offer(
                "end the hold of this step early, or accept what is too close to call; checks must still pass",
                self.canary("promote", &step),
            );
            self.offer("leave out the remaining steps", self.canary("promote", " --full"));
            self.offer("keep the weight where it is", self.canary("pause", ""));
        }
        self.offer("take the release back", self.canary("abort", ""));
    }

    fn held_or_waiting(&mut self, run: &Run) {
        if let Some(reason) = run.paused_for {
            paused::explain(self, run, reason);
            return;
        }
        let plan = crate::api::Plan::of_release(&run.plan).ok();
        let waits = status::waits(self.status.phase, run, plan.as_ref(), self.now);
        if waits.is_empty() {
            self.say(format!("The controller says: {}", sentence(&self.status.message)));
        } else {
            self.say(sentence(&format!("It waits for {}", waits.join("; for "))));
        }
    }

    fn rolling_back(&mut self, run: &Run) {
        let title = title(run);
        match &run.ending {
            Some(ending) => {
                let meaning = ended::meaning(ending.reason);
                let at = self.moment(ending.at);
                self.say(format!(
                    "{title} is taken back since {at}, because {meaning}: {}",
                    sentence(&ending.message)
                ));
            }
            None => self.say(format!("{title} is taken back: {}", sentence(&self.status.message))),
        }
        self.say("Traffic goes first, whatever else is broken; nothing needs to be done for that.");
    }

    fn ended(&mut self, run: &Run) {
        ended::explain(self, run);
    }
}

/// `Release 3 (5d8f → 7c9b of Deployment catalog)`.
fn title(run: &Run) -> String {
    format!(
        "Release {} ({} → {} of {})",
        run.number,
        run.stable_revision,
        run.revision,
        workload(&run.plan.workload)
    )
}

/// The guard for the step that the release is at; before the first there is none.
fn step(run: &Run) -> String {
    if run.step > 0 {
        format!(" --step {}", run.step)
    } else {
        String::new()
    }
}

/// A text of others as a sentence: with a full stop.
fn sentence(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?']) {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

#[cfg(test)]
mod tests;
