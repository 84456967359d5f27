//! Follows a watch: hands on what it tells, and logs when it begins to fail and when it works again.

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use kube::runtime::watcher::Event;
use tokio::time::{Instant, timeout};

use super::list::Error;
use crate::log::outage::Outage;

/// A watch that fails tries again after a minute at most. One that has been silent for longer has been opened again: there was
/// nothing to tell.
const QUIET: Duration = Duration::from_secs(90);

/// What the watch of this kind tells, without its failures.
pub fn follow<T>(
    events: impl Stream<Item = Result<Event<T>, Error>> + Unpin,
    kind: String,
) -> impl Stream<Item = Event<T>> {
    let state = (events, Outage::new(Duration::ZERO), kind);
    stream::unfold(state, |(mut events, mut outage, kind)| async move {
        loop {
            let next = if outage.is_on() {
                timeout(QUIET, events.next()).await
            } else {
                Ok(events.next().await)
            };
            match next {
                Ok(None) => return None,
                Ok(Some(Ok(event))) => {
                    // A list is announced before it is asked for.
                    if !matches!(event, Event::Init) {
                        works(&mut outage, &kind, Instant::now());
                    }
                    return Some((event, (events, outage, kind)));
                }
                Ok(Some(Err(error))) => {
                    if outage.failed(Instant::now()) {
                        tracing::warn!(kind, %error, "the watch fails and is opened again until it works; meanwhile passes see old objects of the kind");
                    }
                }
                Err(_) => {
                    let now = Instant::now();
                    works(&mut outage, &kind, now.checked_sub(QUIET).unwrap_or(now));
                }
            }
        }
    })
}

fn works(outage: &mut Outage, kind: &str, now: Instant) {
    if let Some(past) = outage.worked(now) {
        let lasted_ms = past.lasted_ms();
        tracing::info!(kind, lasted_ms, tries = past.tries, "the watch works again");
    }
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use tokio::{sync::mpsc, time::sleep};

    use super::*;
    use crate::{controller::kinds::Kinds, log::captured::capture};

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_fails_is_told_twice_however_often_it_is_opened_again() {
        let (log, _guard) = capture("info");
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let events = stream::poll_fn(move |context| receiver.poll_recv(context)).boxed();
        let mut told = follow(events, "Service".to_owned()).boxed();
        let object = || DynamicObject::new("catalog", &Kinds::rollout());
        let told = tokio::spawn(async move {
            let mut count = 0;
            while told.next().await.is_some() {
                count += 1;
            }
            count
        });
        let captured = || log.messages().len();
        for _ in 0..25 {
            sender.send(Err(Error::NoList(String::new()))).unwrap();
            sender.send(Ok(Event::Init)).unwrap();
            sleep(Duration::from_secs(30)).await;
        }
        assert_eq!(captured(), 1);
        sender.send(Ok(Event::Apply(object()))).unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(
            log.messages(),
            [
                "WARN the watch fails and is opened again until it works; meanwhile passes see old objects of the kind",
                "INFO the watch works again"
            ]
        );
        let lines = log.lines();
        assert_eq!(
            (&lines[0]["fields"]["kind"], &lines[1]["fields"]["tries"]),
            (&"Service".into(), &25.into())
        );
        assert_eq!(lines[1]["fields"]["lasted_ms"], 750_000);

        // Nothing of the kind changes any more.
        sender.send(Err(Error::NoList(String::new()))).unwrap();
        sleep(QUIET + Duration::from_secs(1)).await;
        assert_eq!(captured(), 4);
        drop(sender);
        assert_eq!(told.await.unwrap(), 26, "the failures are left out, and nothing else");
    }
}
