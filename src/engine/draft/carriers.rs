//! The pods that carry a weight, and since when some of them are not reached.

use super::{Draft, cursor::count};

impl Draft {
    /// More pods carry the weight than were needed when it was decided: a loss is counted from them.
    pub fn note_carriers(&mut self, reached: u32) {
        self.change(|run| {
            run.carriers = run.carriers.max(count(reached));
            run.unreached_since = None;
        });
    }

    /// Pods that carry the weight are not behind their Service, as far as EndpointSlices tell.
    pub fn note_unreached(&mut self) {
        let now = self.now;
        self.change(|run| run.unreached_since = run.unreached_since.or(Some(now)));
    }
}
