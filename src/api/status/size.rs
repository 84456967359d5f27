//! How large a status may become: texts are cut, lists have an end, and where that is still too much what only tells of the past goes.

use std::collections::BTreeMap;

use super::{
    CanaryRolloutStatus, CheckStatus, Drift, DriftSeen, EventLog, Figures, HistoryEntry, Hold, Inspection, JudgeMemory,
    Notice, Notification, Originals, Run, TracePoint,
    trace::{MOST_POINTS, thin},
};

/// No status is stored with more bytes of JSON than this, whatever users, routes and metrics stores do. The plan of a release, of which
/// it holds a copy, has a limit of its own.
pub const LARGEST: usize = 100_000;

/// Longest name of anything that Kubernetes stores.
const NAME: usize = 253;
/// Longest value of a label, such as a revision, and longest name of a check.
const LABEL: usize = 63;
/// Longest sentence: what the API takes as the text of an Event.
pub const SENTENCE: usize = 1_024;
/// Longest text beside others of its kind, and longest figure.
const REMARK: usize = 300;
/// The judge's memory of 16 checks has four fifths of it.
const LARGEST_MEMORY: usize = 10_240;
/// It is one object with fewer fields.
const PARTS_OF_MEMORY: usize = 32;
const FIGURE: usize = 100;

/// What a status has at most beside the lists that are shortened when it is too large: measured by the test below.
const REST: usize = 90_000;

/// Cuts a text so that it takes at most so many bytes, as text and as JSON. Control characters become spaces: in JSON each takes six.
pub fn cut(text: &mut String, most: usize) {
    if text.contains(char::is_control) {
        *text = text.replace(char::is_control, " ");
    }
    if text.len().saturating_mul(2) <= most {
        return;
    }
    let mut size = 0_usize;
    let end = text.char_indices().find(|(_, character)| {
        let escape = usize::from(matches!(character, '"' | '\\'));
        size = size.saturating_add(character.len_utf8()).saturating_add(escape);
        size > most
    });
    if let Some((end, _)) = end {
        text.truncate(end);
    }
}

fn cut_all<'a>(texts: impl IntoIterator<Item = &'a mut String>, most: usize) {
    texts.into_iter().for_each(|text| cut(text, most));
}

/// Leaves the newest of a list that has the newest last.
fn newest<T>(list: &mut Vec<T>, most: usize) {
    list.drain(..list.len().saturating_sub(most));
}

/// Leaves every second point of a trace, until it has so many at most.
fn shorten(trace: &mut Vec<TracePoint>, most: usize) {
    if most == 0 {
        trace.clear();
    }
    while trace.len() > most {
        thin(trace);
    }
}

/// Leaves the first entries of a map.
fn first<K: Ord, V>(map: &mut BTreeMap<K, V>, most: usize) {
    while map.len() > most {
        map.pop_last();
    }
}

impl CanaryRolloutStatus {
    /// Cuts what is too long. Every field is named here: a new one needs a limit.
    pub fn fit(&mut self) {
        let Self {
            observed_generation: _,
            observed_workload_generation: _,
            observed_workload_uid,
            observed_baseline_generation: _,
            phase: _,
            message,
            figures,
            stable_revision,
            run,
            rejected,
            actions,
            kept,
            draining,
            originals,
            hold,
            configs,
            target_missing_since: _,
            events,
            outbox,
            inspection,
            checks,
            conditions,
            drift,
            history,
        } = self;
        cut(message, 2_048);
        figures.fit();
        cut_all(stable_revision.iter_mut().chain(observed_workload_uid), NAME);
        run.iter_mut().for_each(Run::fit);
        newest(rejected, 20);
        for rejected in rejected {
            cut(&mut rejected.revision, LABEL);
            cut(&mut rejected.message, REMARK);
        }
        newest(actions, 20);
        for action in actions {
            cut(&mut action.message, REMARK);
        }
        newest(kept, 16);
        cut_all(kept.iter_mut().map(|kept| &mut kept.revision), LABEL);
        newest(draining, 16);
        cut_all(draining.iter_mut().map(|draining| &mut draining.revision), LABEL);
        originals.fit();
        hold.fit();
        first(configs, 16);
        events.fit();
        newest(outbox, 32);
        outbox.iter_mut().for_each(Notification::fit);
        inspection.iter_mut().for_each(Inspection::fit);
        checks.truncate(16);
        checks.iter_mut().for_each(CheckStatus::fit);
        conditions.truncate(8);
        cut_all(conditions.iter_mut().map(|condition| &mut condition.message), SENTENCE);
        drift.fit();
        fit_history(history);
        self.shed();
    }

    /// Of what only tells of the past the oldest goes, until the rest is small enough.
    fn shed(&mut self) {
        for (told, ended, text, points) in [(10, 3, FIGURE, 32), (4, 1, FIGURE, 8), (1, 1, LABEL, 0)] {
            if !self.may_be_too_large() || serde_json::to_vec(self).is_ok_and(|json| json.len() <= LARGEST) {
                return;
            }
            newest(&mut self.outbox, told);
            newest(&mut self.events.pending, told);
            self.history.truncate(ended);
            let traces = self.history.iter_mut().map(|ended| &mut ended.trace);
            traces.for_each(Vec::clear);
            self.run.iter_mut().for_each(|run| shorten(&mut run.trace, points));
            self.drift.recent.clear();
            let rejected = self.rejected.iter_mut().map(|rejected| &mut rejected.message);
            let actions = self.actions.iter_mut().map(|action| &mut action.message);
            let checks = self.checks.iter_mut().map(|check| &mut check.message);
            let conditions = self.conditions.iter_mut().map(|condition| &mut condition.message);
            cut_all(rejected.chain(actions).chain(checks).chain(conditions), text);
        }
    }

    /// Whether it is worth measuring: mostly the lists are short.
    fn may_be_too_large(&self) -> bool {
        /// What an item has besides its text.
        const ITEM: usize = 300;
        /// What a point of a trace has, with all digits that numbers may have.
        const POINT: usize = 260;
        let as_json = |text: &String| text.len().saturating_add(text.matches(['"', '\\']).count());
        let told = self.events.pending.iter().map(|notice| as_json(&notice.note));
        let outbox = self.outbox.iter().map(|notification| as_json(&notification.note));
        let ended = self.history.iter().map(|ended| {
            let figures = ended.worst.len().saturating_mul(FIGURE.saturating_mul(2));
            as_json(&ended.message).saturating_add(figures)
        });
        let traces = self.history.iter().map(|ended| &ended.trace);
        let traces = traces.chain(self.run.iter().map(|run| &run.trace));
        let points = traces.map(|trace| trace.len().saturating_mul(POINT));
        let texts = told.chain(outbox).chain(ended).chain(points);
        let size = texts.fold(REST, |size, text| size.saturating_add(text).saturating_add(ITEM));
        size > LARGEST
    }
}

/// Of the ended releases the ten newest stay, and the trace of one: that of the release before the last one.
fn fit_history(history: &mut Vec<HistoryEntry>) {
    history.truncate(10);
    history.iter_mut().for_each(HistoryEntry::fit);
    let traced = history.iter_mut().filter(|ended| !ended.trace.is_empty());
    traced.skip(1).for_each(|ended| ended.trace.clear());
}

impl Figures {
    fn fit(&mut self) {
        let Self {
            step,
            weight,
            hit_ratio,
            error_rate,
            latency,
            baseline,
        } = self;
        let baseline = [&mut baseline.hit_ratio, &mut baseline.error_rate, &mut baseline.latency];
        cut_all(
            [step, weight, hit_ratio, error_rate, latency]
                .into_iter()
                .chain(baseline),
            FIGURE,
        );
    }
}

impl Run {
    fn fit(&mut self) {
        let names = [&mut self.revision, &mut self.replica_set, &mut self.stable_revision];
        cut_all(names.into_iter().chain(&mut self.undoing), NAME);
        cut_all(&mut self.abort, REMARK);
        cut_all(self.ending.iter_mut().map(|ending| &mut ending.message), REMARK);
        shorten(&mut self.trace, MOST_POINTS);
        newest(&mut self.gates, 32);
        for gate in &mut self.gates {
            cut(&mut gate.name, FIGURE);
            cut(&mut gate.said, FIGURE);
        }
        let generations = self.intent.iter_mut().map(|intent| &mut intent.generations);
        for generations in generations {
            first(generations, 16);
        }
        let judge = &mut self.judge;
        judge.fit_memory();
        if let Some(said) = &mut judge.said {
            cut(&mut said.message, REMARK);
            cut_all(&mut said.check, LABEL);
            cut_all(said.warning.iter_mut().map(|warning| &mut warning.message), REMARK);
        }
        newest(&mut judge.warned, 8);
        judge.worst.retain(|check, _| check.len() <= LABEL);
        first(&mut judge.worst, 16);
        cut_all(judge.worst.values_mut().map(|worst| &mut worst.value), FIGURE);
    }
}

impl JudgeMemory {
    /// What the judge writes is small; anything else is not its own.
    fn fit_memory(&mut self) {
        let parts = self.memory.as_object().map_or(0, serde_json::Map::len);
        let large = || serde_json::to_vec(&self.memory).is_ok_and(|json| json.len() > LARGEST_MEMORY);
        if parts > PARTS_OF_MEMORY || !(self.memory.is_object() || self.memory.is_null()) || large() {
            self.memory = serde_json::Value::Null;
        }
    }
}

impl Originals {
    fn fit(&mut self) {
        // Nobody can put back more minima than that, and routes are refused before they are remembered.
        first(&mut self.floors, 8);
    }
}

impl Hold {
    fn fit(&mut self) {
        cut(&mut self.deployment, NAME);
        cut_all(&mut self.template, NAME);
        newest(&mut self.unpaused, 12);
        cut_all(self.unpaused.iter_mut().flat_map(|seen| &mut seen.by), FIGURE);
    }
}

impl EventLog {
    fn fit(&mut self) {
        newest(&mut self.pending, 64);
        self.pending.iter_mut().for_each(Notice::fit);
        self.suppressed.retain(|reason, _| reason.len() <= LABEL);
        first(&mut self.suppressed, 32);
    }
}

impl Notice {
    fn fit(&mut self) {
        cut(&mut self.reason, FIGURE);
        cut(&mut self.note, SENTENCE);
    }
}

impl Notification {
    fn fit(&mut self) {
        cut_all([&mut self.to, &mut self.event], FIGURE);
        cut_all([&mut self.revision, &mut self.from], NAME);
        cut(&mut self.note, SENTENCE);
    }
}

impl Inspection {
    fn fit(&mut self) {
        let Self {
            at: _,
            revision,
            basis,
            run: _,
            unread: _,
            again_at: _,
            broken,
            scraped_twice,
            message,
        } = self;
        cut_all([revision, basis], LABEL);
        broken.truncate(16);
        cut_all(broken, LABEL);
        cut(scraped_twice, REMARK);
        cut(message, SENTENCE);
    }
}

impl CheckStatus {
    fn fit(&mut self) {
        let figures = [&mut self.name, &mut self.threshold];
        cut_all(
            figures.into_iter().chain(&mut self.value).chain(&mut self.baseline),
            FIGURE,
        );
        cut(&mut self.message, REMARK);
    }
}

impl Drift {
    fn fit(&mut self) {
        newest(&mut self.recent, 12);
        for DriftSeen { object, by, .. } in self.recent.iter_mut().chain(&mut self.last) {
            cut(object, NAME);
            cut_all(by, FIGURE);
        }
    }
}

impl HistoryEntry {
    fn fit(&mut self) {
        shorten(&mut self.trace, MOST_POINTS);
        cut(&mut self.revision, LABEL);
        cut(&mut self.message, REMARK);
        self.worst.retain(|check, _| check.len() <= LABEL);
        first(&mut self.worst, 16);
        cut_all(self.worst.values_mut(), FIGURE);
    }
}

#[cfg(test)]
mod tests;
