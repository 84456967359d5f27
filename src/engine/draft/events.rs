//! What people are told: one Event per transition, numbered so that none is lost or told twice.

use crate::api::moment::Moment as _;
use jiff::SignedDuration;

use crate::{
    api::{
        CanaryRolloutStatus,
        status::{Notice, Warning, size},
        webhook::Occasion,
    },
    engine::draft::{Draft, outbox, trace},
};

/// Reasons of Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
pub enum Reason {
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
    SteppedBack,
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
    RequestsContinue,
    NoData,
    StableBreaksLimit,
    JudgeWarning,
    ScrapedTwice,
    GateOpened,
    GateRejected,
    NotificationFailed,
    ActionApplied,
    ActionRejected,
    Unpaused,
    Released,
    LeftPaused,
    HoldLost,
    HoldGained,
    HoldDrift,
    ScaledDown,
}

/// How much an Event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It goes as planned.
    Normal,
    /// Somebody should look.
    Warning,
}

impl Reason {
    fn severity(self) -> Severity {
        match self {
            Self::CheckFailed
            | Self::SteppedBack
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
            | Self::RequestsContinue
            | Self::NoData
            | Self::StableBreaksLimit
            | Self::JudgeWarning
            | Self::ScrapedTwice
            | Self::GateRejected
            | Self::NotificationFailed
            | Self::ActionRejected
            | Self::Unpaused
            | Self::LeftPaused
            | Self::HoldLost
            | Self::HoldDrift => Severity::Warning,
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
            | Self::HoldGained
            | Self::ScaledDown => Severity::Normal,
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
                | Self::HoldDrift
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

/// What can happen again and again without the release moving is told at most so often.
const REPEATED_AFTER: SignedDuration = SignedDuration::from_mins(1);

/// Events that are kept to be written again after a crash: those of several transitions.
const KEPT_EVENTS: usize = 10;
/// Most Events that are kept, untold ones included.
const MOST_EVENTS: usize = 60;

/// Whether it reports how a release ended: that must reach people, however long nobody was there to tell it.
pub fn reports_an_end(notice: &Notice) -> bool {
    [Reason::Promoted, Reason::RolledBack, Reason::Superseded]
        .iter()
        .any(|reason| notice.reason == reason.to_string())
}

impl Draft {
    /// Events up to number `told` have reached the API server. That the end of a release did is remembered, so that the
    /// next process need not tell it; other Events are worth no write.
    pub fn note_delivered(&mut self, told: i64) {
        let events = &mut self.status.events;
        let pending = events.pending.iter();
        let ends = pending.filter(|notice| reports_an_end(notice) && notice.sequence <= told);
        events.delivered = ends.map(|notice| notice.sequence).fold(events.delivered, i64::max);
    }

    /// Tells people about a transition.
    pub fn tell(&mut self, reason: Reason, note: impl Into<String>) {
        self.tell_as(reason, reason.severity(), note);
    }

    /// The same where the weight of the news depends on who caused it.
    pub fn tell_as(&mut self, reason: Reason, severity: Severity, note: impl Into<String>) {
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
            if told.is_some_and(|notice| self.now < notice.at.plus(REPEATED_AFTER)) {
                let suppressed = self.status.events.suppressed.entry(name).or_default();
                *suppressed = suppressed.saturating_add(1);
                return;
            }
            if let Some(more) = self.status.events.suppressed.remove(&name) {
                note = format!("{note} (and {more} more since the last time)");
            }
        }
        size::cut(&mut note, size::SENTENCE);
        self.status.events.emitted = self.status.events.emitted.saturating_add(1);
        let sequence = self.status.events.emitted;
        if let Some(occasion) = reason.occasion() {
            outbox::put(self, occasion, &note);
        }
        self.status.events.pending.push(Notice {
            sequence,
            reason: reason.to_string(),
            warning: severity == Severity::Warning,
            note,
            at: self.now,
        });
    }

    /// Tells what somebody should look at, each thing once in a release.
    pub fn warn(&mut self, warning: &Warning) {
        let run = self.status.run.as_mut();
        let Some(judge) = run
            .map(|run| &mut run.judge)
            .filter(|judge| !judge.warned.contains(&warning.about))
        else {
            return;
        };
        judge.warned.push(warning.about);
        self.tell(Reason::JudgeWarning, warning.message.clone());
    }

    /// The status to be stored. The oldest Events make room for those of this transition, but never so
    /// many that one which a crash left untold is lost with the next transition. `stored` is the number of the newest one
    /// that is stored: none after it was told; `told` is that of the newest one that this process has told.
    pub fn finish(mut self, stored: i64, told: i64) -> CanaryRolloutStatus {
        let before = self.emitted_before.min(stored).min(told);
        let events = &mut self.status.events;
        let new = usize::try_from(events.emitted.saturating_sub(before)).unwrap_or(MOST_EVENTS);
        let kept = new.clamp(KEPT_EVENTS, MOST_EVENTS);
        while events.pending.len() > kept {
            // How a release ended is told at any age.
            let delivered = events.delivered;
            let may_go = |notice: &Notice| notice.sequence <= delivered || !reports_an_end(notice);
            let oldest = events.pending.iter().position(may_go);
            events.pending.remove(oldest.unwrap_or_default());
        }
        trace::note_weight(&mut self.status, self.now);
        self.status.fit();
        self.status
    }
}
