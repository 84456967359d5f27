//! Exit codes: what a script is told about how a command, or a release, ended.

use std::process::ExitCode;

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked for is done, or what was waited for has come.
    Reached,
    /// Anything else: a wrong argument, no cluster, a request that was refused.
    Failed,
    /// The release was rolled back.
    RolledBack,
    /// The release is paused, and only a person can let it go on.
    NeedsPerson,
    /// The time given was over first.
    TimedOut,
    /// A newer revision, or another hand, took the place of the release.
    Superseded,
}

impl Exit {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 6] = [
        Self::Reached,
        Self::Failed,
        Self::RolledBack,
        Self::NeedsPerson,
        Self::TimedOut,
        Self::Superseded,
    ];

    /// The exit code of the process, 0 to 5.
    pub fn code(self) -> u8 {
        match self {
            Self::Reached => 0,
            Self::Failed => 1,
            Self::RolledBack => 2,
            Self::NeedsPerson => 3,
            Self::TimedOut => 4,
            Self::Superseded => 5,
        }
    }

    /// What it means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Reached => "done, or reached what was waited for",
            Self::Failed => "anything else, such as a wrong argument, no cluster, a request that was rejected",
            Self::RolledBack => "the release was rolled back",
            Self::NeedsPerson => "the release is paused and needs a person",
            Self::TimedOut => "timed out",
            Self::Superseded => "the release was superseded",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_rely_on_the_codes() {
        let codes = Exit::ALL.map(Exit::code);
        assert_eq!(codes, [0, 1, 2, 3, 4, 5]);
    }
}
