//! The controller dies before and after each of its calls: everything ends as if it had not.

use warmfront_sim::{access::Fault, sweep::sweep};

use super::{conclude, from_environment, releases};

/// The ordinary test plays every fifth kill, in turn before and after a call; `make soak` plays all.
#[test]
fn crash_sweep() {
    let stride = from_environment("WARMFRONT_CRASH_STRIDE", 5);
    let report = sweep(&releases(), &[Fault::DiesBefore, Fault::DiesAfter], stride);
    conclude("crash sweep", "kills", &report);
}
