//! Why a pass over a rollout did not come to its end: one variant per step.

use std::time::Duration;

use super::{leadership::NotLeading, panics::Panicked};
use crate::engine::contract::{kind::Kind, observed::Obstacle};

/// Why a pass did not come to its end.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    /// The status cannot be read.
    #[error("the status of {object} cannot be read, so nothing is decided: {source}")]
    Status {
        /// Namespace and name.
        object: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The rollout itself cannot be read.
    #[error("{object} cannot be read, so nothing is decided: {why}")]
    Unreadable {
        /// Namespace and name.
        object: String,
        /// What is wrong.
        why: String,
    },
    /// The status could not be stored.
    #[error("storing the status: {}", said(.0))]
    Persist(#[source] kube::Error),
    /// A change was refused, or what the rollout needs could not be fetched.
    #[error("{action}: {}", said(source))]
    Apply {
        /// What was tried, on what.
        action: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// Something was changed by another hand in between; the next pass sees it.
    #[error("{action}: it was changed meanwhile")]
    Conflict {
        /// What was tried, on what.
        action: String,
    },
    /// A request took too long.
    #[error("{action}: the API server gave no answer within {after:?}")]
    #[strum(serialize = "Timeout")]
    NoAnswer {
        /// What was tried, on what.
        action: String,
        /// How long was waited.
        after: Duration,
    },
    /// The whole pass took too long.
    #[error("the pass was given up after {0:?}; most of it was spent waiting for the metrics store or the API server")]
    Timeout(Duration),
    /// The pass panicked.
    #[error("the pass came upon a fault of Warmfront: {0}")]
    Panicked(Panicked),
}

impl Error {
    /// Label of metrics.
    pub fn category(&self) -> &'static str {
        self.into()
    }

    /// The API server is to blame, not this rollout.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Persist(source) | Self::Apply { source, .. } => is_outage(source),
            Self::NoAnswer { .. } => true,
            Self::Status { .. }
            | Self::Unreadable { .. }
            | Self::Conflict { .. }
            | Self::Timeout(_)
            | Self::Panicked(_) => false,
        }
    }

    /// The API server refuses a write, for a reason that does not pass by itself.
    pub(super) fn is_refusal(&self) -> bool {
        self.code().is_some_and(|code| !is_passing(code))
    }

    /// What the status tells people of it; `object` is what was to be written.
    pub fn obstacle(&self, object: Option<(Kind, String)>) -> Obstacle {
        let code = self.code();
        let what_to_do = match code {
            Some(403) => "allow it in the rights, the quota or the policy that is named here",
            Some(400 | 422) => "change the policy, the webhook or the object that is named here",
            _ => "mend what is named here, or wait for it",
        };
        Obstacle {
            object,
            message: format!("{self} ({what_to_do}; it is tried again at least every 30 s)"),
            forbidden: code == Some(403),
        }
    }

    /// The HTTP code with which the API server said no.
    fn code(&self) -> Option<u16> {
        match self {
            Self::Persist(kube::Error::Api(status))
            | Self::Apply {
                source: kube::Error::Api(status),
                ..
            } => Some(status.code),
            _ => None,
        }
    }
}

/// What the API server said, or why it said nothing, without the structure round it.
pub(super) fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Of HTTP statuses those that say nothing against what was asked for: it may work in a moment.
fn is_passing(code: u16) -> bool {
    code == 429 || code >= 500
}

/// The API server is to blame, not what was asked of it: it cannot be reached, or is overloaded or broken.
pub(super) fn is_outage(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => is_passing(status.code),
        kube::Error::Service(error) => !error.is::<NotLeading>(),
        kube::Error::HyperError(_) => true,
        _ => false,
    }
}

/// The API server refuses a write because the object has changed since it was read.
pub(super) fn is_stale(error: &kube::Error) -> bool {
    match error {
        // A JSON Patch whose `test` failed comes as 422 with no causes; a change that validation refuses names them.
        kube::Error::Api(status) => {
            status.is_conflict()
                || (status.code == 422 && status.details.as_ref().is_none_or(|details| details.causes.is_empty()))
        }
        _ => false,
    }
}
