//! What a test logs, line by line, in the format of the real log.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::Value;
use tracing::{
    Subscriber,
    span::{Attributes, Id},
    subscriber::DefaultGuard,
};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// The lines that this thread has logged since, and the number of spans.
#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>, Arc<AtomicUsize>);

/// Captures what this thread logs from here on, until the guard goes.
pub fn capture(filter: &str) -> (Captured, DefaultGuard) {
    let captured = Captured::default();
    let writer = captured.clone();
    let log = super::to(filter, move || writer.clone());
    let log = log.with(captured.clone());
    (captured, tracing::subscriber::set_default(log))
}

impl<S: Subscriber> Layer<S> for Captured {
    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

impl Captured {
    /// Spans so far.
    pub fn spans(&self) -> usize {
        self.1.load(Ordering::Relaxed)
    }

    /// Every line as it was written.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Every line, read.
    pub fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The messages, each behind its level.
    pub fn messages(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let lines = self.lines();
        lines
            .iter()
            .map(|line| format!("{} {}", text(&line["level"]), text(&line["fields"]["message"])))
            .collect()
    }
}

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
