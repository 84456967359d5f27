//! What the log says of rollouts: which one a line is about, and failures when they begin and when they end.

use std::{fmt, time::Duration};

use kube::{Resource, ResourceExt};
use tokio::time::Instant;
use tracing::Span;

use super::{Context, context::lock, error::Error, named::Named, writes::Target};
use crate::{api::CanaryRolloutStatus, log::millis};

/// A pass that works for longer than this is told. Time in which a metrics store is waited for does not count.
const SLOW: Duration = Duration::from_secs(1);

/// An API server that works for so long has recovered: an overloaded one refuses some requests and answers others.
pub(super) const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// The span that says which rollout a line is about. Every line about a rollout is written in one.
pub(super) fn span(namespace: &str, rollout: &str, status: &CanaryRolloutStatus) -> Span {
    let run = status.run.as_ref().map(|run| run.number);
    // The level is the highest so that no filter that lets a line through takes these fields away from it.
    tracing::error_span!("pass", namespace, rollout, run, phase = <&str>::from(status.phase))
}

/// The same span for lines after a pass: run and phase are those of the newest status that is in memory.
fn span_after(context: &Context, rollout: &Named) -> Span {
    let (namespace, name) = (rollout.namespace().unwrap_or_default(), rollout.name_any());
    let known = context.caches.rollouts.get(Some(&namespace), &name);
    let status = known.as_ref().and_then(|known| known.data.get("status"));
    let run = status.and_then(|status| status.pointer("/run/number")?.as_i64());
    let phase = status.and_then(|status| status.get("phase")?.as_str());
    tracing::error_span!("pass", namespace, rollout = name, run, phase)
}

/// A pass has come to its end; `what` is formatted only if somebody wants to read it.
pub(super) fn passed(namespace: &str, rollout: &str, status: &CanaryRolloutStatus, what: fmt::Arguments<'_>) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let _entered = span(namespace, rollout, status).entered();
        tracing::debug!("pass: {what}");
    }
}

/// How long a pass took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Took {
    /// All of it.
    pub all: Duration,
    /// The part in which a metrics store was waited for, and then for leave to go on.
    pub store: Duration,
}

/// A pass has ended. `failed_before`: the one before it over the same rollout had failed.
pub(super) fn ended<T>(context: &Context, rollout: &Named, result: &Result<T, Error>, took: Took, failed_before: bool) {
    match result {
        // Somebody was faster; the next pass sees it.
        Err(Error::Conflict { action }) => {
            if tracing::enabled!(tracing::Level::DEBUG) {
                let _entered = span_after(context, rollout).entered();
                tracing::debug!(%action, "changed meanwhile");
            }
        }
        Err(error) => return failed(context, rollout, error),
        Ok(_) if failed_before => works(context, rollout),
        Ok(_) => {}
    }
    if took.all.saturating_sub(took.store) > SLOW {
        let (took_ms, store_ms) = (millis(took.all), millis(took.store));
        let _entered = span_after(context, rollout).entered();
        tracing::warn!(
            took_ms,
            store_ms,
            "the pass was slow: is the API server, or is this process short of CPU?"
        );
    }
}

fn failed(context: &Context, rollout: &Named, error: &Error) {
    let now = Instant::now();
    if error.is_outage() {
        if lock(&context.api_server).failed(now) {
            let _entered = span_after(context, rollout).entered();
            tracing::warn!(%error, "the API server fails; what could not be done is tried again at least every 30 s");
        }
    } else if let Error::Panicked(panicked) = error {
        if lock(&context.failing).failed(&panic_key(rollout), now) {
            let backtrace = &panicked.backtrace;
            // Not from the cache: the copy there may be what made it panic.
            let (namespace, name) = (rollout.namespace().unwrap_or_default(), rollout.name_any());
            let _entered = tracing::error_span!("pass", namespace, rollout = name).entered();
            tracing::error!(%error, backtrace, "the pass panicked: this is a fault of Warmfront, please report it; other rollouts go on, and this one is tried again at least every 30 s");
        }
    } else if lock(&context.failing).failed(&key(rollout), now) {
        let _entered = span_after(context, rollout).entered();
        tracing::warn!(%error, "the pass failed; mend what the error names: it is tried again at least every 30 s");
    }
}

fn works(context: &Context, rollout: &Named) {
    let (mut failing, now) = (lock(&context.failing), Instant::now());
    let past = failing.worked(&panic_key(rollout), now);
    if let Some(past) = failing.worked(&key(rollout), now).or(past) {
        let _entered = span_after(context, rollout).entered();
        tracing::info!(lasted_ms = past.lasted_ms(), tries = past.tries, "passes work again");
    }
}

/// A write of a pass failed; what does not need it went on. Belongs into the span of a pass.
pub(super) fn write_failed(context: &Context, rollout: &impl Resource, target: &Target, error: &Error) {
    let now = Instant::now();
    if matches!(error, Error::Conflict { .. }) {
        tracing::debug!(%error, "changed meanwhile");
    } else if error.is_outage() {
        if lock(&context.api_server).failed(now) {
            tracing::warn!(%error, "the API server fails; what could not be done is tried again at least every 30 s");
        }
    } else if lock(&context.failing).failed(&write_key(rollout, target), now) {
        tracing::warn!(%error, "a write was refused; mend what the error names: it is tried again at least every 30 s, and what does not need it goes on");
    }
}

/// A write that had failed has worked.
pub(super) fn write_worked(context: &Context, rollout: &impl Resource, target: &Target) {
    if let Some(past) = lock(&context.failing).worked(&write_key(rollout, target), Instant::now()) {
        let lasted_ms = past.lasted_ms();
        tracing::info!(lasted_ms, tries = past.tries, "what was refused works again: {target}");
    }
}

/// Begins like the key of its passes, so that both are forgotten together.
fn write_key(rollout: &impl Resource, target: &Target) -> String {
    format!("{} {target}", key(rollout))
}

/// The API server has carried out what a pass asked for.
pub(super) fn answered(context: &Context) {
    if let Some(past) = lock(&context.api_server).worked(Instant::now()) {
        let lasted_ms = past.lasted_ms();
        tracing::info!(lasted_ms, tries = past.tries, "the API server works again");
    }
}

/// An Event could not be told. Belongs into the span of a pass.
pub(super) fn event_failed(context: &Context, rollout: &impl Resource, reason: &str, error: &Error) {
    let begins = if error.is_outage() {
        lock(&context.api_server).failed(Instant::now())
    } else {
        lock(&context.failing).failed(&event_key(rollout), Instant::now())
    };
    if begins {
        tracing::warn!(%error, reason, "telling an Event failed; it is tried again at least every 30 s for ten minutes, and the end of a release for longer");
    }
}

/// An Event was told.
pub(super) fn event_worked(context: &Context, rollout: &impl Resource) {
    if let Some(past) = lock(&context.failing).worked(&event_key(rollout), Instant::now()) {
        let lasted_ms = past.lasted_ms();
        tracing::info!(lasted_ms, tries = past.tries, "Events are told again");
    }
    answered(context);
}

fn key(rollout: &impl Resource) -> String {
    rollout.meta().uid.clone().unwrap_or_default()
}

/// Begins like the key of its passes, so that both are forgotten together.
fn panic_key(rollout: &impl Resource) -> String {
    format!("{} panic", key(rollout))
}

/// Begins like the key of its passes, so that both are forgotten together.
fn event_key(rollout: &impl Resource) -> String {
    format!("{} Event", key(rollout))
}

#[cfg(test)]
mod tests;
