//! The rules of the lease, those of client-go: what to write, from the record seen and this process's own clock.
//!
//! Clocks of two machines are never compared: a lease has expired when *this* process has not seen
//! its record change for the lease's duration. The times in the record are there to be read by people.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use tokio::time::Instant;

/// Others may take the lease when it has not been renewed for 15 s.
pub const DURATION: Duration = Duration::from_secs(15);
/// A holder that could not renew for 10 s stops: 5 s before others may take the lease, because a request that it sent at the
/// last moment may take that long.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Pause between two tries.
pub const RETRY: Duration = Duration::from_secs(2);

/// The record as it was last seen, and since when it has been like that.
struct Seen {
    lease: Lease,
    since: Instant,
}

impl Seen {
    fn spec(&self) -> LeaseSpec {
        self.lease.spec.clone().unwrap_or_default()
    }

    /// Nobody holds a lease that was released.
    fn holder(&self) -> Option<String> {
        self.spec().holder_identity.filter(|holder| !holder.is_empty())
    }

    fn expires(&self) -> Instant {
        let seconds = self
            .spec()
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok());
        self.since
            .checked_add(seconds.map_or(DURATION, Duration::from_secs))
            .unwrap_or(self.since)
    }
}

/// Why a leader leads no longer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// It could not renew the lease within the renew deadline.
    #[error(
        "renewing the lease did not succeed for {RENEW_DEADLINE:?}, and soon another process may take it; this one ends, to start afresh"
    )]
    Deadline,
    /// Somebody else has it.
    #[error("the lease was taken from this process, its holder is {0:?}; this one ends, to start afresh")]
    Taken(String),
}

/// What to do next.
#[derive(Debug, PartialEq)]
pub enum Next {
    /// Create the lease: there is none.
    Create(Box<Lease>),
    /// Replace the lease in the version that was seen.
    Replace(Box<Lease>),
    /// Nothing: another process leads.
    Wait,
    /// Stop leading.
    Lost(Loss),
}

/// One who holds the lease or would like to.
pub struct Candidate {
    name: String,
    me: String,
    seen: Option<Seen>,
    /// When the last renewal that succeeded was asked for.
    renewed: Option<Instant>,
}

impl Candidate {
    /// A process with the identity `me`, for the lease of this name.
    pub fn new(name: String, me: String) -> Self {
        Self {
            name,
            me,
            seen: None,
            renewed: None,
        }
    }

    /// What the lease was found to be at this moment.
    pub fn saw(&mut self, found: Option<Lease>, now: Instant) {
        // An edit of labels is no sign of life.
        let same = self
            .seen
            .as_ref()
            .zip(found.as_ref())
            .filter(|(seen, found)| seen.lease.spec == found.spec);
        let since = same.map_or(now, |(seen, _)| seen.since);
        self.seen = found.map(|lease| Seen { lease, since });
    }

    /// What this process asked to store at `asked` was stored.
    pub fn stored(&mut self, lease: Lease, asked: Instant, now: Instant) {
        self.saw(Some(lease), now);
        // The term counts from the request. Others count from when they see the record, which is later.
        self.renewed = Some(asked);
    }

    /// Until when this process leads, if nothing else is stored.
    pub fn leads_until(&self) -> Option<Instant> {
        self.renewed
            .map(|renewed| renewed.checked_add(RENEW_DEADLINE).unwrap_or(renewed))
    }

    /// When to try again even if the pause is not over: at the end of one's own term, or of another's lease.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let expires = || self.seen.as_ref().map(Seen::expires).filter(|expires| *expires > now);
        self.leads_until().or_else(expires)
    }

    /// What to do at this moment; `time` is what people read in the record.
    pub fn next(&self, now: Instant, time: Timestamp) -> Next {
        if self.leads_until().is_some_and(|end| now >= end) {
            return Next::Lost(Loss::Deadline);
        }
        let Some(seen) = &self.seen else {
            let metadata = ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            };
            let spec = LeaseSpec {
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            };
            return Next::Create(Box::new(Lease {
                metadata,
                spec: Some(self.held(spec, time, true)),
            }));
        };
        let holder = seen.holder();
        if holder.as_ref() == Some(&self.me) {
            // Also after a restart: the container before this one, whose name is the same, is gone.
            return Self::replaced(seen, self.held(seen.spec(), time, false));
        }
        if self.renewed.is_some() {
            return Next::Lost(Loss::Taken(holder.unwrap_or_default()));
        }
        if holder.is_some() && now < seen.expires() {
            return Next::Wait;
        }
        let mut spec = seen.spec();
        spec.lease_transitions = Some(spec.lease_transitions.unwrap_or_default().saturating_add(1));
        Self::replaced(seen, self.held(spec, time, true))
    }

    /// The record of a holder that goes and lets others follow at once, if this process is the holder.
    pub fn released(&self, time: Timestamp) -> Option<Lease> {
        self.renewed?;
        let seen = self
            .seen
            .as_ref()
            .filter(|seen| seen.holder().as_ref() == Some(&self.me))?;
        let time = Some(MicroTime(time));
        // client-go writes these values too; a duration of 0 is not valid.
        let spec = LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            acquire_time: time.clone(),
            renew_time: time,
            ..seen.spec()
        };
        Some(Lease {
            spec: Some(spec),
            ..seen.lease.clone()
        })
    }

    fn held(&self, before: LeaseSpec, time: Timestamp, anew: bool) -> LeaseSpec {
        let time = Some(MicroTime(time));
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if anew {
                time.clone()
            } else {
                before.acquire_time.clone()
            },
            renew_time: time,
            ..before
        }
    }

    fn replaced(seen: &Seen, spec: LeaseSpec) -> Next {
        Next::Replace(Box::new(Lease {
            spec: Some(spec),
            ..seen.lease.clone()
        }))
    }
}

#[cfg(test)]
mod tests;
