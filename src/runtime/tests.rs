//! How the process ends, and what goes on beside a worker that is busy.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use super::{lease::Loss, *};
use crate::{
    controller::tests::{api_server, caches, context_of},
    log::captured::capture,
};

#[test]
fn why_a_leader_ends_is_a_line_of_the_log() {
    let (log, _guard) = capture("info");
    let error = Err::<(), _>(Loss::Taken("b".to_owned())).context("the election ended");
    log_end(&error.unwrap_err());
    let line = &log.lines()[0];
    assert_eq!(line["level"], "ERROR");
    let why = line["fields"]["error"].as_str().unwrap();
    assert!(
        why.starts_with("the election ended: the lease was taken") && why.contains(r#""b""#),
        "{why}"
    );
}

/// What runs for ever, and nothing of it does anything.
fn idle() -> Tasks {
    let context = context_of(api_server(Duration::ZERO).0, Arc::new(caches(Vec::new())));
    Tasks {
        stop: CancellationToken::new(),
        finish: CancellationToken::new(),
        controller: tokio::spawn(std::future::pending()),
        election: tokio::spawn(std::future::pending()),
        admin: tokio::spawn(std::future::pending()),
        discovery: tokio::spawn(std::future::pending()),
        context: Arc::new(context),
    }
}

/// Puts something in the place of one of these.
type Breaks = fn(&mut Tasks);

#[tokio::test]
async fn whatever_is_not_there_for_one_object_ends_the_process_when_it_ends() {
    fn panics<T>() -> T {
        panic!("a fault")
    }
    let breaks: [(Breaks, &str); 8] = [
        (
            |tasks| tasks.controller = tokio::spawn(async { panics() }),
            "the controller ended: task",
        ),
        (
            |tasks| tasks.controller = tokio::spawn(async {}),
            "the controller ended by itself",
        ),
        (
            |tasks| tasks.election = tokio::spawn(async { panics() }),
            "the election ended: task",
        ),
        (
            |tasks| tasks.election = aside(async { panics() }).unwrap(),
            "the thread of the lease panicked",
        ),
        (
            |tasks| tasks.election = tokio::spawn(async { Err(Loss::Taken("b".to_owned()).into()) }),
            "the lease was taken",
        ),
        (
            |tasks| tasks.admin = tokio::spawn(async { panics() }),
            "the admin port ended: task",
        ),
        (
            |tasks| tasks.admin = tokio::spawn(async { Err(io::Error::other("no port")) }),
            "the admin port ended: no port",
        ),
        (
            |tasks| tasks.discovery = tokio::spawn(async { panics() }),
            "looking for kinds that the cluster lacked ended: task",
        ),
    ];
    for (breaks, why) in breaks {
        let mut tasks = idle();
        breaks(&mut tasks);
        let ended = timeout(Duration::from_secs(10), tasks.ended()).await;
        let error = ended.expect(why).expect_err(why);
        assert!(format!("{error:#}").contains(why), "{error:#}");
    }
    let mut tasks = idle();
    tasks.discovery = tokio::spawn(async {});
    let goes_on = timeout(Duration::from_millis(50), tasks.ended()).await;
    assert!(goes_on.is_err(), "no kind is missing any more");
}

#[tokio::test]
async fn the_lease_goes_on_beside_a_worker_that_is_busy() {
    let ticks = Arc::new(AtomicUsize::new(0));
    let counted = ticks.clone();
    let held = aside(async move {
        let mut every = tokio::time::interval(Duration::from_millis(5));
        while counted.fetch_add(1, Ordering::Relaxed) < 10 {
            every.tick().await;
        }
        Ok(())
    });
    // This test's only worker does nothing else meanwhile, as in a long pass.
    let began = Instant::now();
    while ticks.load(Ordering::Relaxed) <= 10 {
        assert!(began.elapsed() < Duration::from_secs(10), "it waits for the worker");
        std::thread::yield_now();
    }
    held.unwrap().await.unwrap().unwrap();
}
