//! Why a webhook brought no answer: in full, and in words without anything of its address.

use std::borrow::Cow;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    hidden: Cow<'static, str>,
    full: String,
}

impl Failure {
    /// Nothing of an address stands in words that are written in the code.
    pub fn new(hidden: &'static str) -> Self {
        Self {
            hidden: hidden.into(),
            full: hidden.to_owned(),
        }
    }

    /// Something of the address may stand in `full`.
    pub fn in_full(hidden: &'static str, full: String) -> Self {
        Self {
            hidden: hidden.into(),
            full,
        }
    }

    /// About a Secret or a ConfigMap that the rollout names: nothing of what it holds stands in this.
    pub fn of_object(full: String) -> Self {
        Self {
            hidden: full.clone().into(),
            full,
        }
    }

    /// In full, for an address that everybody may read.
    pub fn full(self) -> String {
        self.full
    }

    /// For an address that is kept in a Secret.
    pub fn hidden(&self) -> &str {
        &self.hidden
    }
}
