//! What a wait is told: by whoever starts it, and by the cluster.

use super::super::rollout::Rollout;
use crate::api::status::PauseReason;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Goal {
    /// The new version serves all users.
    Promoted,
    /// The release stands still, for whatever reason.
    Paused,
    /// The release has ended, in either way.
    Finished,
}

/// Which release is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// That of the Deployment as it was when the wait began.
    Any,
    /// That of this revision, a `pod-template-hash`.
    Revision(String),
    /// That of the template with this image.
    Image(String),
}

/// What a wait is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What is waited for.
    pub goal: Goal,
    /// Which release.
    pub wanted: Wanted,
    /// A pause that only a person can end ends the wait too.
    pub fail_on_pause: bool,
}

/// The Deployment, or a pair's two, as they were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Name of the Deployment that is released.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Images of its template.
    pub images: Vec<String>,
    /// Generation of a pair's baseline.
    pub baseline: Option<i64>,
}

/// What is seen.
#[derive(Debug)]
pub enum Seen<'a> {
    /// The rollout as it is now; nothing if there is none of that name.
    Rollout(Option<&'a Rollout>),
    /// The Deployment as it is now.
    Workload(Workload),
    /// There is no Deployment of that name.
    NoWorkload(String),
    /// The Deployment must not be read, for this reason.
    Unreadable(String),
    /// The cluster does not answer, for this reason.
    Trouble(String),
    /// The time that was given is over.
    Over,
}

/// Only a person lets it go on.
pub fn needs_person(reason: PauseReason) -> bool {
    match reason {
        PauseReason::User
        | PauseReason::Approval
        | PauseReason::GateDeadline
        | PauseReason::RouteContested
        | PauseReason::ServiceContested
        | PauseReason::CheckFailed => true,
        PauseReason::Window
        | PauseReason::Gate
        | PauseReason::NoData
        | PauseReason::SharedIncident
        | PauseReason::OriginLimit
        | PauseReason::Inconclusive
        | PauseReason::WarmingSlow
        | PauseReason::WriteRefused
        | PauseReason::Unknown => false,
    }
}
