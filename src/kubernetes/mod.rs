//! What holds of any object of Kubernetes: how its JSON is read and patched, who wrote its fields, how pods are named.
//!
//! The ground of the project: nothing in here knows of releases.

pub mod json;
pub mod managed_fields;
pub mod patch;
pub mod pod_name;
