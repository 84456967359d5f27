//! What stands in for the data plane and the metrics store.

pub mod gateway;
pub mod store;
