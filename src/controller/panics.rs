//! Panics: caught where one object is at work, so that it never stops the others; counted, and told with all that is needed to mend them.

use std::{
    any::Any,
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind},
    pin::pin,
    sync::LazyLock,
    task::Poll,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family},
};

/// What is done again, or left out, when it panics. Whatever is not one of these ends the process: `runtime` says so in the log, and
/// whoever started the process is to start it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Work {
    /// A pass over one rollout: it is tried again after a delay, and the other rollouts go on.
    Pass,
    /// What the watch of a kind tells of one object: it is left out. The watch itself is opened again.
    Watch,
    /// A call to a gate or notifier: it has failed, and is made again as any other that fails.
    Call,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Labels {
    work: Work,
}

/// Panics that were caught, since the process began.
pub(super) static CAUGHT: LazyLock<Family<Labels, Counter>> = LazyLock::new(Family::default);

/// A panic that was caught.
#[derive(Debug)]
pub struct Panicked {
    message: String,
    /// File and line.
    place: String,
    /// As far as the binary has names of functions.
    pub backtrace: String,
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.message, self.place)
    }
}

impl Panicked {
    /// Of a payload of which no hook has told more.
    fn of(payload: &(dyn Any + Send)) -> Self {
        Self {
            message: text(payload),
            place: "an unknown place".to_owned(),
            backtrace: String::new(),
        }
    }
}

fn text(payload: &(dyn Any + Send)) -> String {
    let fixed = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = fixed.or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}

thread_local! {
    /// Whether what this thread does now is caught if it panics.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// The panic of this thread that is being caught.
    static LAST: RefCell<Option<Panicked>> = const { RefCell::new(None) };
}

/// From here on a panic is a line of the log, with its backtrace: of one that is caught whoever catches it writes the line, and knows
/// the rollout.
pub fn install() {
    std::panic::set_hook(Box::new(note));
}

fn note(info: &PanicHookInfo<'_>) {
    let panicked = Panicked {
        message: text(info.payload()),
        place: info.location().map(ToString::to_string).unwrap_or_default(),
        backtrace: Backtrace::force_capture().to_string(),
    };
    if CATCHING.get() {
        LAST.set(Some(panicked));
    } else {
        let Panicked { backtrace, .. } = &panicked;
        tracing::error!(error = %panicked, backtrace, "a panic: this is a fault of Warmfront, please report it");
    }
}

/// Does it, and catches its panic. What it has changed up to there stays as it is, so it must be such that anybody can go on with it.
pub fn attempt<T>(work: Work, act: impl FnOnce() -> T) -> Result<T, Panicked> {
    let before = CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(act));
    CATCHING.set(before);
    result.map_err(|payload| {
        CAUGHT.get_or_create(&Labels { work }).inc();
        LAST.take().unwrap_or_else(|| Panicked::of(&*payload))
    })
}

/// Waits for it, and catches its panic, which ends it.
pub async fn caught<T>(work: Work, future: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut future = pin!(future);
    poll_fn(|context| match attempt(work, || future.as_mut().poll(context)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

#[cfg(test)]
mod tests;
