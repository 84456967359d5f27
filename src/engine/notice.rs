//! What people are told: one Event per transition, numbered so that none is lost or told twice.

use jiff::SignedDuration;

use super::{Draft, facts::Facts, outbox};
use crate::api::{Plan, status::Notice, webhook::Occasion};

/// Reasons of Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub(super) enum Reason {
    Adopted,
    ReleaseStarted,
    Superseded,
    PlanChanged,
    CanaryReady,
    WeightConfirmed,
    Paused,
    Resumed,
    BakeStarted,
    Promoted,
    CheckFailed,
    CapacityLost,
    RollbackStarted,
    RolledBack,
    StableUnavailable,
    RouteDrift,
    RouteContested,
    ScaleFloorDrift,
    ConfigChanged,
    BaselineChanged,
    CandidateChanged,
    RouteNotAccepted,
    NoData,
    GateOpened,
    GateRejected,
    NotificationFailed,
    ActionApplied,
    ActionRejected,
    Unpaused,
    Released,
    LeftPaused,
    ScaledDown,
}

impl Reason {
    fn is_warning(self) -> bool {
        match self {
            Self::CheckFailed
            | Self::CapacityLost
            | Self::RollbackStarted
            | Self::RolledBack
            | Self::StableUnavailable
            | Self::RouteDrift
            | Self::RouteContested
            | Self::ScaleFloorDrift
            | Self::ConfigChanged
            | Self::BaselineChanged
            | Self::CandidateChanged
            | Self::RouteNotAccepted
            | Self::NoData
            | Self::GateRejected
            | Self::NotificationFailed
            | Self::ActionRejected
            | Self::Unpaused
            | Self::LeftPaused => true,
            Self::Adopted
            | Self::ReleaseStarted
            | Self::Superseded
            | Self::PlanChanged
            | Self::CanaryReady
            | Self::WeightConfirmed
            | Self::Paused
            | Self::Resumed
            | Self::BakeStarted
            | Self::Promoted
            | Self::ActionApplied
            | Self::GateOpened
            | Self::Released
            | Self::ScaledDown => false,
        }
    }
}

impl Reason {
    /// It may come many times while nothing else changes.
    fn repeats(self) -> bool {
        matches!(
            self,
            Self::RouteDrift
                | Self::ScaleFloorDrift
                | Self::ConfigChanged
                | Self::BaselineChanged
                | Self::CandidateChanged
                | Self::StableUnavailable
                | Self::NoData
        )
    }

    /// What notifiers are told of.
    fn occasion(self) -> Option<Occasion> {
        match self {
            Self::ReleaseStarted => Some(Occasion::Started),
            Self::Paused => Some(Occasion::Paused),
            Self::RolledBack => Some(Occasion::RolledBack),
            Self::Promoted => Some(Occasion::Promoted),
            _ => None,
        }
    }
}

/// How the owner gets out by hand, whatever becomes of this controller.
pub(super) fn way_out(plan: &Plan) -> String {
    if let Some(baseline) = &plan.baseline {
        let routes: Vec<&str> = plan.routes.iter().map(|route| route.name.as_str()).collect();
        return format!(
            "in an emergency an Abort action brings all traffic back to Deployment {baseline}; while no controller runs, set the weights in route {} by hand",
            routes.join(", ")
        );
    }
    format!(
        "to roll out natively in an emergency: kubectl rollout resume deployment/{}; while no controller runs, first: kubectl patch service {} --type=json -p '[{{\"op\":\"remove\",\"path\":\"/spec/selector/pod-template-hash\"}}]'",
        plan.deployment, plan.service
    )
}

/// What can happen again and again without the release moving is told at most so often.
const REPEATED_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Longest text of an Event that the API takes.
const MAX_NOTE: usize = 1_024;

/// Whether it reports how a release ended: that must reach people, however long nobody was there to tell it.
pub fn reports_an_end(notice: &Notice) -> bool {
    [Reason::Promoted, Reason::RolledBack, Reason::Superseded]
        .iter()
        .any(|reason| notice.reason == reason.to_string())
}

/// Remembers that the end of a release was told, so that the next process need not. Other Events are worth no write.
pub(super) fn note_told(facts: &Facts<'_>, next: &mut Draft) {
    let known = next.status.events.delivered;
    let ends = next
        .status
        .events
        .pending
        .iter()
        .filter(|notice| reports_an_end(notice) && notice.sequence <= facts.seen.told);
    next.status.events.delivered = ends.map(|notice| notice.sequence).fold(known, i64::max);
}

impl Draft {
    /// Tells people about a transition.
    pub(super) fn tell(&mut self, reason: Reason, note: impl Into<String>) {
        self.tell_as(reason, reason.is_warning(), note);
    }

    /// The same where the weight of the news depends on who caused it.
    pub(super) fn tell_as(&mut self, reason: Reason, warning: bool, note: impl Into<String>) {
        let mut note = note.into();
        if reason.repeats() {
            let name = reason.to_string();
            let told = self
                .status
                .events
                .pending
                .iter()
                .rev()
                .find(|notice| notice.reason == name);
            if told.is_some_and(|notice| self.now < notice.at + REPEATED_AFTER) {
                *self.status.events.suppressed.entry(name).or_default() += 1;
                return;
            }
            if let Some(more) = self.status.events.suppressed.remove(&name) {
                note = format!("{note} (and {more} more since the last time)");
            }
        }
        if let Some((cut, _)) = note.char_indices().nth(MAX_NOTE) {
            note.truncate(cut);
        }
        self.status.events.emitted += 1;
        let sequence = self.status.events.emitted;
        if let Some(occasion) = reason.occasion() {
            outbox::put(self, occasion, &note);
        }
        self.status.events.pending.push(Notice {
            sequence,
            reason: reason.to_string(),
            warning,
            note,
            at: self.now,
        });
    }
}
