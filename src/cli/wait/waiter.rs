//! When a wait is over: what was seen, in order, and the exit that follows from it. Pure: no clock, no request.
//!
//! A success counts only if it is this release's: conditions that speak of an older Deployment than the one that was there when the
//! wait began do not count, and a release that has been seen under way is followed by its number to its own end.

use jiff::Timestamp;

use super::{
    super::{ages::clock, exit::Exit, paint::clean, rollout::Rollout},
    order::{self, Goal, Order, Seen, Wanted, Workload},
    says::{self, at_rest},
};
use crate::api::{
    CanaryRolloutStatus,
    status::{Outcome, Run},
};

/// What is known of the Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// It has not been read.
    Nothing,
    /// It must not be read.
    Unreadable,
    /// As it was when the wait began, and as it was read last.
    Read { first: Workload, last: Workload },
}

/// Whether a status speaks of the Deployment that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fresh {
    Yes,
    No,
    /// Nobody can tell: the Deployment must not be read.
    Unknown,
}

/// A release that is followed to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Followed {
    rollout: String,
    number: i64,
    revision: String,
}

/// A wait, as far as it has come.
#[derive(Clone, Debug)]
pub struct Waiter {
    order: Order,
    known: Known,
    followed: Option<Followed>,
    newest: Option<Rollout>,
    /// What was said last, without its time and figures.
    said: String,
    /// The last line, for whoever asks why the time was not enough.
    last: String,
}

/// What a step leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// A line to print, if there is something new to say.
    pub line: Option<String>,
    /// The wait is over.
    pub exit: Option<Exit>,
}

impl Waiter {
    /// A wait that begins.
    pub fn new(order: Order) -> Self {
        Self {
            order,
            known: Known::Nothing,
            followed: None,
            newest: None,
            said: String::new(),
            last: "nothing was seen".to_owned(),
        }
    }

    /// Whether the Deployment has to be read for the next step, and again if that told of none.
    pub fn wants_workload(&self) -> bool {
        let Some(Ok(status)) = self.newest.as_ref().map(|rollout| &rollout.status) else {
            // It is read as early as its name is known.
            return self.newest.is_some() && self.known == Known::Nothing;
        };
        match &self.known {
            Known::Nothing => true,
            Known::Unreadable => false,
            Known::Read { last, .. } => {
                let made_anew = status
                    .observed_workload_uid
                    .as_ref()
                    .is_some_and(|uid| *uid != last.uid);
                let later = status.observed_workload_generation > Some(last.generation);
                let of_image =
                    matches!(&self.order.wanted, Wanted::Image(image) if later || !last.images.contains(image));
                self.followed.is_none() && (made_anew || of_image)
            }
        }
    }

    /// Takes in what was seen. The last line says why the wait is over.
    pub fn step(&mut self, seen: &Seen<'_>, now: Timestamp) -> Step {
        let (exit, what, text) = match seen {
            Seen::Rollout(rollout) => {
                self.newest = rollout.cloned();
                self.look(now)
            }
            Seen::Workload(workload) => {
                self.take(workload);
                self.look(now)
            }
            Seen::NoWorkload(name) => {
                let text = format!("waiting for Deployment {name} to exist");
                (None, text.clone(), text)
            }
            Seen::Unreadable(why) => match &self.order.wanted {
                Wanted::Image(image) => {
                    let text = format!(
                        "the Deployment cannot be read, so nobody can tell which release has image {image}: {why}; wait for its --revision"
                    );
                    (Some(Exit::Failed), text.clone(), text)
                }
                Wanted::Any | Wanted::Revision(_) => {
                    self.known = Known::Unreadable;
                    let text = format!(
                        "{why}; without `get deployments` a success of an older version may be taken for this one's, unless --revision is given"
                    );
                    (None, text.clone(), text)
                }
            },
            Seen::Trouble(why) => (None, why.clone(), format!("{why}; trying again")),
            Seen::Over => {
                let text = format!("timed out; the last was: {}", self.last);
                (Some(Exit::TimedOut), text.clone(), text)
            }
        };
        let is_new = exit.is_some() || (!what.is_empty() && what != self.said);
        let line = is_new.then(|| clean(&format!("{} {text}", clock(now, now))));
        if is_new {
            self.said = what;
        }
        if !text.is_empty() {
            self.last = text;
        }
        Step { line, exit }
    }

    fn take(&mut self, workload: &Workload) {
        let first = match std::mem::replace(&mut self.known, Known::Nothing) {
            Known::Read { first, .. } if first.uid == workload.uid && self.has_image(&first) => first,
            // One that was made again, or did not have the image before, is where the wait begins.
            Known::Read { .. } | Known::Nothing | Known::Unreadable => workload.clone(),
        };
        self.known = Known::Read {
            first,
            last: workload.clone(),
        };
    }

    fn has_image(&self, workload: &Workload) -> bool {
        match &self.order.wanted {
            Wanted::Image(image) => workload.images.contains(image),
            Wanted::Any | Wanted::Revision(_) => true,
        }
    }

    /// What follows from all that is known: an exit, what is said without what changes all the time, and the text.
    fn look(&mut self, now: Timestamp) -> (Option<Exit>, String, String) {
        let still = |text: String| (None, text.clone(), text);
        let Some(rollout) = self.newest.clone() else {
            self.followed = None;
            self.known = match &self.known {
                Known::Read { .. } | Known::Nothing => Known::Nothing,
                Known::Unreadable => Known::Unreadable,
            };
            return still("waiting for the CanaryRollout to exist".to_owned());
        };
        let status = match &rollout.status {
            Ok(status) => status,
            Err(why) => return still(why.clone()),
        };
        let uid = rollout.object.metadata.uid.clone().unwrap_or_default();
        if self.followed.as_ref().is_some_and(|followed| followed.rollout != uid) {
            self.followed = None;
        }
        if let Some(run) = self.to_follow(&rollout, status) {
            self.followed = Some(Followed {
                rollout: uid,
                number: run.number,
                revision: run.revision.clone(),
            });
        }
        if let Some(followed) = &self.followed {
            let (exit, text) = self.followed_so_far(status, followed);
            let text = text.unwrap_or_else(|| says::progress(status, now));
            return (exit, exit.map_or_else(|| says::state(status), |_| text.clone()), text);
        }
        if let Some(waiting) = self.not_fresh(&rollout, status) {
            return still(waiting);
        }
        if let Some(text) = self.overtaken(status) {
            return (Some(Exit::Superseded), text.clone(), text);
        }
        match self.resting(status) {
            Some((exit, text)) => (Some(exit), text.clone(), text),
            None => (None, says::state(status), says::progress(status, now)),
        }
    }

    /// The release that is to be followed from now on: one that is under way and is the one that is waited for.
    fn to_follow<'r>(&self, rollout: &Rollout, status: &'r CanaryRolloutStatus) -> Option<&'r Run> {
        let run = status
            .run
            .as_ref()
            .filter(|_| status.is_active() && self.followed.is_none())?;
        let is_it = match &self.order.wanted {
            Wanted::Revision(revision) => run.revision == *revision,
            Wanted::Any => self.fresh(rollout, status) != Fresh::No,
            Wanted::Image(_) => self.fresh(rollout, status) == Fresh::Yes && self.has_image_still(status),
        };
        is_it.then_some(run)
    }

    /// Whether the template that the status speaks of has the image. That is known of the generations at which the Deployment was read,
    /// and of none in between: it may have had another one there.
    fn has_image_still(&self, status: &CanaryRolloutStatus) -> bool {
        let Known::Read { first, last } = &self.known else {
            return false;
        };
        let told = status.observed_workload_generation;
        [first, last]
            .into_iter()
            .any(|read| self.has_image(read) && told == Some(read.generation))
    }

    fn fresh(&self, rollout: &Rollout, status: &CanaryRolloutStatus) -> Fresh {
        if rollout.is_unseen() {
            return Fresh::No;
        }
        let first = match &self.known {
            Known::Nothing => return Fresh::No,
            Known::Unreadable => return Fresh::Unknown,
            Known::Read { first, .. } => first,
        };
        let same = status.observed_workload_uid.as_ref() == Some(&first.uid);
        let seen = status.observed_workload_generation >= Some(first.generation);
        let baseline = first.baseline.is_none() || status.observed_baseline_generation >= first.baseline;
        if same && seen && baseline && self.has_image(first) {
            Fresh::Yes
        } else {
            Fresh::No
        }
    }

    /// What has to be seen before conditions count.
    fn not_fresh(&self, rollout: &Rollout, status: &CanaryRolloutStatus) -> Option<String> {
        if self.fresh(rollout, status) != Fresh::No {
            return None;
        }
        let Known::Read { first, last } = &self.known else {
            return Some(if self.known == Known::Nothing {
                // It is being read.
                String::new()
            } else {
                says::unseen_spec(rollout)
            });
        };
        if let Wanted::Image(image) = &self.order.wanted
            && !self.has_image(first)
        {
            return Some(format!(
                "waiting for Deployment {} to have image {image} (it has {})",
                last.name,
                last.images.join(", ")
            ));
        }
        if rollout.is_unseen() {
            return Some(says::unseen_spec(rollout));
        }
        Some(says::unseen_workload(first, status))
    }

    /// How the release that is followed stands: an exit, and its reason.
    fn followed_so_far(&self, status: &CanaryRolloutStatus, followed: &Followed) -> (Option<Exit>, Option<String>) {
        let run = status.run.as_ref().filter(|run| run.number == followed.number);
        let (outcome, why) = match run {
            Some(run) if status.is_active() || run.outcome.is_none() => return self.under_way(status, run),
            Some(run) => (run.outcome, says::end(run, status)),
            None => {
                let ended = status.history.iter().find(|ended| ended.run == followed.number);
                let why = ended.map(|ended| says::ended(&ended.revision, ended.outcome, &ended.message));
                (ended.map(|ended| ended.outcome), why.unwrap_or_default())
            }
        };
        let Some(outcome) = outcome else {
            let text = format!(
                "release {} of revision {} is over, and how it ended is no longer known",
                followed.number, followed.revision
            );
            return (Some(Exit::Superseded), Some(text));
        };
        let (exit, text) = self.ended(outcome, &why);
        (Some(exit), Some(text))
    }

    fn under_way(&self, status: &CanaryRolloutStatus, run: &Run) -> (Option<Exit>, Option<String>) {
        let Some(reason) = run.paused_for.filter(|_| run.ending.is_none()) else {
            return (None, None);
        };
        let text = || Some(format!("paused ({reason}): {}", status.message));
        if self.order.goal == Goal::Paused {
            return (Some(Exit::Reached), text());
        }
        if self.order.fail_on_pause && order::needs_person(reason) {
            return (Some(Exit::NeedsPerson), text());
        }
        (None, None)
    }

    /// The release that is waited for has ended.
    fn ended(&self, outcome: Outcome, why: &str) -> (Exit, String) {
        let exit = match (self.order.goal, outcome) {
            (_, Outcome::Superseded) => Exit::Superseded,
            (Goal::Promoted, Outcome::Promoted) | (Goal::Finished, Outcome::Promoted | Outcome::RolledBack) => {
                Exit::Reached
            }
            (Goal::Promoted | Goal::Paused, Outcome::RolledBack) => Exit::RolledBack,
            (Goal::Paused, Outcome::Promoted) => {
                return (
                    Exit::Failed,
                    format!("the release has ended and was not seen paused: {why}"),
                );
            }
            (_, Outcome::Unknown) => {
                return (
                    Exit::Failed,
                    format!(
                        "the release ended in a way that this version does not know: upgrade kubectl-canary; {why}"
                    ),
                );
            }
        };
        (exit, why.to_owned())
    }

    /// Another release than the one that is waited for took its place before it was followed: the status speaks of the Deployment,
    /// which asks for something else now.
    fn overtaken(&self, status: &CanaryRolloutStatus) -> Option<String> {
        match (&self.order.wanted, &self.known) {
            (Wanted::Image(image), Known::Read { first, last }) => {
                let other = self.has_image(first) && !self.has_image(last) && !self.has_image_still(status);
                let images = last.images.join(", ");
                other.then(|| format!("Deployment {} no longer has image {image} but {images}", last.name))
            }
            (Wanted::Revision(wanted), Known::Read { .. }) => {
                let now: Vec<&str> = if status.is_active() {
                    status.run.iter().map(|run| run.revision.as_str()).collect()
                } else {
                    at_rest(status).map(|(_, revisions, _)| revisions).unwrap_or_default()
                };
                // One of which nothing is known is yet to come.
                let is_past = says::knows(status, wanted) && !now.contains(&wanted.as_str());
                let other = now.last().filter(|_| is_past)?;
                Some(format!(
                    "the Deployment no longer asks for revision {wanted} but for {other}"
                ))
            }
            (Wanted::Any | Wanted::Revision(_) | Wanted::Image(_), _) => None,
        }
    }

    /// No release is under way, and the status speaks of the Deployment: what it says of it.
    fn resting(&self, status: &CanaryRolloutStatus) -> Option<(Exit, String)> {
        let (outcome, revisions, why) = at_rest(status)?;
        match &self.order.wanted {
            Wanted::Any => {}
            Wanted::Image(_) if self.has_image_still(status) => {}
            Wanted::Revision(wanted) if revisions.contains(&wanted.as_str()) => {}
            Wanted::Image(_) | Wanted::Revision(_) => return None,
        }
        Some(self.ended(outcome, &why))
    }
}

#[cfg(test)]
mod tests;
