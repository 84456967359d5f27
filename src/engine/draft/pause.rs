//! Entering and leaving a pause.

use jiff::SignedDuration;

use crate::{
    api::{Duration, Percent, status::PauseReason},
    engine::draft::{
        Draft,
        events::{Reason, Severity},
    },
};

impl Draft {
    /// Enters a pause, and tells so with `detail`, which may be empty.
    pub fn hold(&mut self, reason: PauseReason, detail: &str) {
        self.turn(Some(reason));
        let weight = self.held_at();
        let detail = if detail.is_empty() {
            String::new()
        } else {
            format!(": {detail}")
        };
        match reason {
            PauseReason::User => self.tell_as(
                Reason::Paused,
                Severity::Normal,
                format!("paused at {weight} by a person{detail}"),
            ),
            PauseReason::Approval => self.tell_as(
                Reason::Paused,
                Severity::Normal,
                format!("paused at {weight}: {reason}{detail}"),
            ),
            PauseReason::Window
            | PauseReason::Gate
            | PauseReason::GateDeadline
            | PauseReason::NoData
            | PauseReason::SharedIncident
            | PauseReason::OriginLimit
            | PauseReason::Inconclusive
            | PauseReason::WarmingSlow
            | PauseReason::RouteContested
            | PauseReason::ServiceContested
            | PauseReason::CheckFailed
            | PauseReason::WriteRefused
            | PauseReason::Unknown => self.tell_as(
                Reason::Paused,
                Severity::Warning,
                format!("paused at {weight}: {reason}{detail}"),
            ),
        }
    }

    /// Leaves a pause, and tells so.
    pub fn resume(&mut self) {
        self.turn(None);
        let weight = self.held_at();
        self.tell(Reason::Resumed, format!("goes on at {weight}"));
    }

    /// People were reminded of the pause once more, and `missed` reminders are made good by it.
    pub fn reminded(&mut self, missed: i64) {
        let missed = i32::try_from(missed).unwrap_or(i32::MAX - 1);
        self.change(|run| run.reminders = run.reminders.saturating_add(1).saturating_add(missed));
    }

    fn held_at(&self) -> Percent {
        self.run().map_or(Percent::ZERO, |run| run.weight)
    }

    /// From what held the release to `reason`. A person's pause counts towards no hold, and no pause towards the deadlines
    /// of pods and routes.
    fn turn(&mut self, reason: Option<PauseReason>) {
        let now = self.now;
        self.change(|run| {
            let began = run.paused_at.filter(|_| run.paused_for == Some(PauseReason::User));
            // What was paused before the step began is no part of it.
            if let Some(lasted) = began
                .map(|at| run.step_started_at.map_or(at, |step| at.max(step)))
                .map(|at| now.duration_since(at))
                .filter(SignedDuration::is_positive)
            {
                let lasted = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX);
                run.paused_total = Duration::from_millis(run.paused_total.as_millis().saturating_add(lasted));
            }
            if run.paused_for.is_some() {
                // Deadlines begin anew: nothing was waited for meanwhile.
                if let Some(growing) = &mut run.growing {
                    growing.since = now;
                }
                if let Some(intent) = &mut run.intent {
                    intent.at = now;
                }
            }
            run.paused_for = reason;
            run.paused_at = reason.map(|_| now);
            run.reminders = 0;
        });
    }
}
