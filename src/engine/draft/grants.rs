//! What people grant a release: a pause and its end, the rest of a hold, an approval, a doubt, all steps at once.

use crate::engine::draft::Draft;

impl Draft {
    /// A person holds the release, until Resume or Promote.
    pub fn hold_for_a_person(&mut self) {
        self.change(|run| run.user_pause = true);
    }

    /// No person holds the release any more.
    pub fn let_go_by_a_person(&mut self) {
        self.change(|run| run.user_pause = false);
    }

    /// The rest of this step's hold is waived.
    pub fn waive_hold(&mut self) {
        self.change(|run| run.hold_waived = true);
    }

    /// What is too close to call at this step is accepted.
    pub fn accept(&mut self) {
        self.change(|run| run.accepted = true);
    }

    /// What was accepted is no longer what the weight waits for.
    pub fn accept_no_longer(&mut self) {
        self.change(|run| run.accepted = false);
    }

    /// The approval of this step was given.
    pub fn approve(&mut self) {
        self.change(|run| run.approved = true);
    }

    /// The steps that are left are dropped.
    pub fn skip_steps(&mut self) {
        self.change(|run| {
            run.skip_steps = true;
            run.user_pause = false;
        });
    }
}
