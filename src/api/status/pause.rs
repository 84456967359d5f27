//! Why a release is paused, and who ends that.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a release is paused.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display, strum::IntoStaticStr,
)]
pub enum PauseReason {
    /// A person paused it, by a Pause action or `spec.paused`.
    User,
    /// The step needs an approval: a Promote action.
    Approval,
    /// Weights may not rise now; it goes on when a window opens.
    Window,
    /// A gate has not said yes yet; it is asked again.
    Gate,
    /// A gate has not said yes within its deadline; a Resume action asks it again.
    GateDeadline,
    /// A check has had no data, or too few requests, for too long; it goes on when there is data.
    NoData,
    /// Both versions break a limit, again and again; it goes on when that has stopped.
    SharedIncident,
    /// The database behind the cache cannot carry a greater weight yet; it goes on when it can.
    OriginLimit,
    /// For long the share of bad ones has been too close to the limit; it goes on when it is clear, or a Promote action accepts it.
    Inconclusive,
    /// For long only the cache's warming has been waited for; it goes on when it is warm, or a Promote action accepts it.
    WarmingSlow,
    /// Somebody else keeps undoing the weights of a route; a Resume action tries again.
    RouteContested,
    /// Somebody else keeps undoing the selector of a Service; a Resume action tries again.
    ServiceContested,
    /// A check with `onBreach: Pause` failed; a Resume action lets it begin anew.
    CheckFailed,
    /// A write of the controller's that the release needs was refused until its deadline; it goes on when the write is accepted.
    WriteRefused,
    /// Written by a newer version.
    #[serde(other)]
    Unknown,
}

impl PauseReason {
    /// Whether it is for a gate.
    pub fn is_of_gates(self) -> bool {
        match self {
            Self::Gate | Self::GateDeadline => true,
            Self::User
            | Self::Approval
            | Self::Window
            | Self::NoData
            | Self::SharedIncident
            | Self::OriginLimit
            | Self::Inconclusive
            | Self::WarmingSlow
            | Self::RouteContested
            | Self::ServiceContested
            | Self::CheckFailed
            | Self::WriteRefused
            | Self::Unknown => false,
        }
    }

    /// Whether it is because somebody else keeps undoing changes of ours.
    pub fn is_contested(self) -> bool {
        match self {
            Self::RouteContested | Self::ServiceContested => true,
            Self::User
            | Self::Approval
            | Self::Window
            | Self::Gate
            | Self::GateDeadline
            | Self::NoData
            | Self::SharedIncident
            | Self::OriginLimit
            | Self::Inconclusive
            | Self::WarmingSlow
            | Self::CheckFailed
            | Self::WriteRefused
            | Self::Unknown => false,
        }
    }

    /// Whether its cause is looked at anew in every pass, so that the release goes on as soon as the cause is gone.
    pub fn is_looked_at_anew(self) -> bool {
        match self {
            Self::Window | Self::Gate | Self::GateDeadline | Self::WriteRefused => true,
            Self::User
            | Self::Approval
            | Self::NoData
            | Self::SharedIncident
            | Self::OriginLimit
            | Self::Inconclusive
            | Self::WarmingSlow
            | Self::RouteContested
            | Self::ServiceContested
            | Self::CheckFailed
            | Self::Unknown => false,
        }
    }

    /// Whether the judge, or missing data, is its cause: it ends when that is over.
    pub fn is_of_the_judge(self) -> bool {
        match self {
            Self::NoData | Self::SharedIncident | Self::OriginLimit | Self::Inconclusive | Self::WarmingSlow => true,
            Self::User
            | Self::Approval
            | Self::Window
            | Self::Gate
            | Self::GateDeadline
            | Self::RouteContested
            | Self::ServiceContested
            | Self::CheckFailed
            | Self::WriteRefused
            | Self::Unknown => false,
        }
    }

    /// Whether a pause by a person replaces it. The others stay visible, because a person has to settle them as well.
    pub fn gives_way_to_a_person(self) -> bool {
        match self {
            Self::Approval
            | Self::Window
            | Self::Gate
            | Self::GateDeadline
            | Self::NoData
            | Self::SharedIncident
            | Self::OriginLimit
            | Self::Inconclusive
            | Self::WarmingSlow => true,
            Self::User
            | Self::RouteContested
            | Self::ServiceContested
            | Self::CheckFailed
            | Self::WriteRefused
            | Self::Unknown => false,
        }
    }
}
