//! Leader election: at most one process works, the others stand by; the requests round `protocol`.
//!
//! No published crate fits: a takeover must be a compare-and-swap on the record that was seen to
//! expire, or a slow standby robs a fresh leader.

pub mod protocol;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

pub use protocol::Loss;
use protocol::{Candidate, Next, RENEW_DEADLINE, RETRY};

use crate::{api::FIELD_MANAGER, controller::leadership::Leadership, log::outage::Outage};

/// Give up on a request after 3 s: two fit into the 10 s renew deadline.
const PATIENCE: Duration = Duration::from_secs(3);
/// The pause between two tries is longer by a random share of up to 25 %, so that candidates do not try at the same moment.
const JITTER: f64 = 0.25;

/// Holds the lease or tries to get it.
pub struct Elector {
    api: Api<Lease>,
    name: String,
    candidate: Candidate,
    leadership: Leadership,
    /// Whether requests about the lease fail, for the log.
    outage: Outage,
}

impl Elector {
    /// A candidate `me` for the lease `namespace`/`name`. The client must not be the fenced one.
    pub fn new(client: Client, namespace: &str, name: String, me: String, leadership: Leadership) -> Self {
        let candidate = Candidate::new(name.clone(), me);
        Self {
            api: Api::namespaced(client, namespace),
            name,
            candidate,
            leadership,
            outage: Outage::new(Duration::ZERO),
        }
    }

    /// Holds the lease, or tries to get it, until it is lost or until `release`, when it gives the lease back.
    pub async fn run(mut self, release: CancellationToken) -> Result<(), Loss> {
        loop {
            let now = Instant::now();
            let patient = now.checked_add(PATIENCE).unwrap_or(now);
            let limit = self.candidate.leads_until().unwrap_or(patient).min(patient);
            match timeout_at(limit, self.attempt()).await {
                Ok(Ok(())) => {}
                Ok(Err(loss)) => {
                    self.leadership.end();
                    return Err(loss);
                }
                // The write may have been carried out all the same. Then the next one conflicts, and the lease is read again.
                Err(_) => self.fails(&format!("no answer within {:?}", limit.saturating_duration_since(now))),
            }
            let now = Instant::now();
            let pause = RETRY.mul_f64(1.0 + JITTER * fastrand::f64());
            let pause = self
                .candidate
                .due(now)
                .map_or(pause, |due| pause.min(due.saturating_duration_since(now)));
            tokio::select! {
                biased;
                () = release.cancelled() => break,
                () = sleep(pause) => {}
            }
        }
        self.leadership.end();
        if timeout(PATIENCE, self.release()).await.is_err() {
            tracing::warn!(
                lease = self.name,
                "giving the lease back failed: no answer within {PATIENCE:?}; another process leads when it has expired, after 15 s"
            );
        }
        Ok(())
    }

    /// One look at the lease, and one write if it is due.
    async fn attempt(&mut self) -> Result<(), Loss> {
        // A leader knows the record, so it need not read it: its write conflicts if another hand has changed it.
        let mut known = self.candidate.leads_until().is_some();
        // After a first conflict the lease is read and written again at once, after a second one not before the usual pause.
        for _ in 0..2 {
            if !known && !self.look().await {
                return Ok(());
            }
            let asked = Instant::now();
            let answer = match self.candidate.next(asked, Timestamp::now()) {
                Next::Create(lease) => self.api.create(&params(), &lease).await,
                Next::Replace(lease) => self.api.replace(&self.name, &params(), &lease).await,
                Next::Wait => return Ok(()),
                Next::Lost(loss) => return Err(loss),
            };
            match answer {
                Ok(lease) => {
                    self.works();
                    self.lead(lease, asked);
                    return Ok(());
                }
                Err(error) if another_hand(&error) => known = false,
                Err(error) => {
                    self.fails(&error);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Reads the lease. Returns whether that succeeded; a failure changes nothing of what is known.
    async fn look(&mut self) -> bool {
        match self.api.get_opt(&self.name).await {
            Ok(found) => {
                self.candidate.saw(found, Instant::now());
                self.works();
                true
            }
            Err(error) => {
                self.fails(&error);
                false
            }
        }
    }

    fn fails(&mut self, error: &dyn std::fmt::Display) {
        if self.outage.failed(Instant::now()) {
            tracing::warn!(
                lease = self.name,
                %error,
                "reading or renewing the lease failed; it is tried again every {RETRY:?}, and a leader ends after {RENEW_DEADLINE:?} without"
            );
        }
    }

    fn works(&mut self) {
        if let Some(past) = self.outage.worked(Instant::now()) {
            let lasted_ms = past.lasted_ms();
            tracing::info!(
                lease = self.name,
                lasted_ms,
                tries = past.tries,
                "requests about the lease work again"
            );
        }
    }

    fn lead(&mut self, lease: Lease, asked: Instant) {
        let first = self.candidate.leads_until().is_none();
        self.candidate.stored(lease, asked, Instant::now());
        if let Some(end) = self.candidate.leads_until() {
            self.leadership.lead_until(end);
        }
        if first {
            tracing::info!(lease = self.name, "this process leads");
        }
    }

    /// Empties the lease if this process holds it, so that another one can take it at once.
    async fn release(&mut self) {
        for _ in 0..2 {
            let Some(lease) = self.candidate.released(Timestamp::now()) else {
                return;
            };
            match self.api.replace(&self.name, &params(), &lease).await {
                Ok(_) => return tracing::info!(lease = self.name, "the lease is given back"),
                // The lease is newer than what was seen, perhaps by a renewal of ours whose answer was lost: try with the newest one.
                Err(error) if another_hand(&error) && self.look().await => {}
                Err(error) => {
                    return tracing::warn!(lease = self.name, %error, "giving the lease back failed; another process leads when it has expired, after 15 s");
                }
            }
        }
    }
}

fn params() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        dry_run: false,
    }
}

/// Somebody has changed, made or deleted the lease since it was seen.
fn another_hand(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict() || status.is_already_exists() || status.is_not_found())
}
