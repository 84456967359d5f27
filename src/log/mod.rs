//! The log: its format, what of other libraries' lines it leaves out, and failures that are told when they begin and when they end.

#[cfg(test)]
pub(crate) mod captured;
pub mod outage;

use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// Other libraries' lines that are left out unless somebody asks for them by the same target.
///
/// `controller`: kube opens a span for every pass, which costs more than some passes. `watcher` and `builder` write a line for
/// every request that fails; our own lines say what it was for, once when it begins to fail and once when it works again.
const LEFT_OUT: &str = "kube_runtime::controller=warn,kube_runtime::watcher=error,kube_client::client::builder=off";

/// A log of one JSON object per line, such as `{"level": …, "fields": {"message": …}, "span": {"rollout": …}}`.
///
/// `filter` is what the user asks for, such as `info` or `warmfront=debug`.
pub fn to<W>(filter: &str, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        // There is one span at most, and it stands in `span` already.
        .with_span_list(false)
        .with_env_filter(EnvFilter::new(format!("{LEFT_OUT},{filter}")))
        .with_writer(writer)
        .finish()
}

/// Milliseconds as a line has them: those of `as_millis` would be written as a text.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
