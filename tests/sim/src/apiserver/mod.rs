//! An API server in memory: as much of one as the controller and the world use.

pub mod answer;
pub mod kinds;
pub mod refusal;
pub mod refused;
pub mod request;
pub mod store;
pub mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::world::Cluster;

/// The cluster, shared by clients and the world.
pub type Shared = Arc<Mutex<Cluster>>;

/// Looks at the cluster, or changes it.
pub fn lock(cluster: &Shared) -> MutexGuard<'_, Cluster> {
    // A panic elsewhere has failed the run already.
    cluster.lock().unwrap_or_else(PoisonError::into_inner)
}
