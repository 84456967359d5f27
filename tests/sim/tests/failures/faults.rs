//! Each call goes wrong in every other way: everything ends as if it had not.

use warmfront_sim::{access::Fault, sweep::sweep};

use super::{conclude, from_environment, releases};

const FAULTS: [Fault; 9] = [
    Fault::Refused(409),
    Fault::Refused(429),
    Fault::Refused(500),
    Fault::Refused(503),
    Fault::AnswerLost,
    Fault::Hangs,
    Fault::WatchesBreak,
    Fault::WatchesExpire,
    Fault::WatchesLag,
];

/// Of all combinations the ordinary test plays every so-manieth; `make soak` plays all.
#[test]
fn fault_sweep() {
    let report = sweep(&releases(), &FAULTS, from_environment("WARMFRONT_FAULT_STRIDE", 61));
    conclude("fault sweep", "faults", &report);
}
