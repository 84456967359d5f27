//! Why a pass over a rollout did not come to its end: one variant per step.

use crate::engine::contract::observed::Obstacle;

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
    /// The status could not be stored.
    #[error("storing the status: {0}")]
    Persist(#[source] kube::Error),
    /// A change was refused.
    #[error("{action}: {source}")]
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
    /// The pass took too long.
    #[error("no answer within {0:?}")]
    Timeout(std::time::Duration),
}

impl Error {
    /// Label of metrics.
    pub fn category(&self) -> &'static str {
        self.into()
    }
}

impl Error {
    /// What people are told of it in the status: a change that the API server refuses, for others than passing reasons.
    pub fn obstacle(&self) -> Option<Obstacle> {
        let Self::Apply {
            action,
            source: kube::Error::Api(status),
        } = self
        else {
            return None;
        };
        let passing = status.code == 429 || status.code >= 500;
        (!passing).then(|| Obstacle {
            message: format!("{action}: {}", status.message),
            forbidden: status.is_forbidden(),
        })
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
