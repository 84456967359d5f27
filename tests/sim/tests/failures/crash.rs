//! The controller dies before and after each of its calls: everything ends as if it had not.

use warmfront_sim::{access::Fault, sweep::sweep};

use super::{conclude, from_environment, releases};

/// The ordinary test plays every third kill, before one call and after the next; `make soak` plays all.
#[test]
fn crash_sweep() {
    let stride = from_environment("WARMFRONT_CRASH_STRIDE", 3);
    let report = sweep(&releases(), &[Fault::DiesBefore, Fault::DiesAfter], stride);
    conclude("crash sweep", "kills", &report);
}
