//! How the two versions are run: as one Deployment whose ReplicaSets change hands, or as a pair of Deployments.

pub mod one_deployment;
pub mod pair;
pub mod route_want;
pub mod safe;
pub mod texts;
pub mod want;

use std::ops::ControlFlow;

use crate::{
    api::{CanaryRolloutStatus, status::Run},
    engine::{
        draft::Draft,
        facts::{Facts, mode::Mode},
    },
};
use want::Desired;

/// How the two versions are run, where it moves a release or says what the world is to be.
pub trait Workflow: Mode {
    /// Between releases: takes the workload over, and begins a release that is due.
    fn rest(&self, facts: &Facts<'_>, next: &mut Draft);
    /// Between releases: users have what another hand has made, where it may.
    fn follow(&self, facts: &Facts<'_>, next: &mut Draft);
    /// Ends the run if another hand has changed what is released.
    fn end_if_overtaken(&self, facts: &Facts<'_>, run: &Run, next: &mut Draft) -> ControlFlow<()>;
    /// Tells what a deletion leaves behind.
    fn tell_release(&self, facts: &Facts<'_>, next: &mut Draft);
    /// The world that a status asks for.
    fn desired(&self, facts: &Facts<'_>, status: &CanaryRolloutStatus) -> Desired;
}
