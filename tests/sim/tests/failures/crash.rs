//! The controller dies before and after each of its calls: everything ends as if it had not.

use warmfront_sim::{access::Fault, sweep::sweep};

use super::{conclude, releases};

#[test]
fn crash_sweep() {
    let report = sweep(&releases(), &[Fault::DiesBefore, Fault::DiesAfter], 1);
    conclude("crash sweep", "kills", &report);
}
