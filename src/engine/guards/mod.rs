//! What holds, lowers or ends a release; each guard changes its own part of the status and no other.

pub mod capacity;
pub mod config;
pub mod drift;
pub mod floor;
pub mod gates;
pub mod hold;
pub mod holds;
pub mod inspect;
pub mod kept;
pub mod measure;
pub mod outbox;
pub mod quiet;
pub mod refusal;
pub mod waits;
