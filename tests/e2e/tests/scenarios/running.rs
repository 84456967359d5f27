//! Several controllers, one of which works: a leader that goes, dies or sleeps in the middle of a release.
//!
//! They disturb every other scenario, so they run by themselves, one after the other.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use warmfront_e2e::{Controllers, Shop, controllers::writes};

use super::release::Release;

/// Longer than any of the disturbances that fall into the first step.
const HOLD: u32 = 25;

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_deleted_leader_is_followed_within_seconds() -> anyhow::Result<()> {
    let controllers = Controllers::new(&Shop::client().await?);
    controllers.replace().await?;
    let (_, standby) = controllers.both().await?;
    // Before, both may have tried to get the lease.
    let elected = Timestamp::now();
    let release = Release::begin("follow", HOLD).await?;
    let leader = controllers.lease().await?;
    assert_eq!(writes(&standby, elected)?, [] as [&str; 0], "a standby writes nothing");

    let deleted = Instant::now();
    controllers.delete(&leader.by).await?;
    let next = controllers
        .until("another pod leads", Duration::from_secs(5), |lease| {
            !lease.by.is_empty() && lease.by != leader.by
        })
        .await?;
    println!("followed {} ms after the deletion", deleted.elapsed().as_millis());
    assert_eq!(next.transitions, leader.transitions + 1);
    release.end().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_killed_container_has_its_own_lease_back() -> anyhow::Result<()> {
    let controllers = Controllers::new(&Shop::client().await?);
    // New pods: kubelet starts a container again at once only the first time.
    controllers.replace().await?;
    let (leader, _) = controllers.both().await?;
    let release = Release::begin("killed", HOLD).await?;

    let killed = (Instant::now(), Timestamp::now());
    controllers.process(&leader.by).await?.signal("KILL").await?;
    let (_, signal) = controllers.restarted(&leader.by, 1, Duration::from_secs(15)).await?;
    assert!(signal == 9 || signal == 0, "ended by signal {signal}");
    let again = controllers
        .until("the lease is renewed", Duration::from_secs(15), |lease| {
            lease
                .renewed
                .parse::<Timestamp>()
                .is_ok_and(|renewed| renewed > killed.1)
        })
        .await?;
    println!("renewed {} ms after the kill", killed.0.elapsed().as_millis());
    assert_eq!(
        (&again.by, again.transitions, &again.since),
        (&leader.by, leader.transitions, &leader.since),
        "the same holder all the time"
    );
    release.end().await
}

#[tokio::test]
#[ignore = "needs the test cluster: make test"]
async fn a_frozen_leader_is_replaced_and_wakes_without_a_word() -> anyhow::Result<()> {
    let controllers = Controllers::new(&Shop::client().await?);
    controllers.replace().await?;
    let (leader, standby) = controllers.both().await?;
    let release = Release::begin("frozen", HOLD).await?;

    let process = controllers.process(&leader.by).await?;
    let frozen = Instant::now();
    process.signal("STOP").await?;
    let next = controllers
        .until("the standby leads", Duration::from_secs(20), |lease| {
            lease.by == standby
        })
        .await;
    println!("replaced {} ms after the freeze", frozen.elapsed().as_millis());
    let woken = Timestamp::now();
    process.signal("CONT").await?;
    assert_eq!(next?.transitions, leader.transitions + 1);
    let (code, _) = controllers.restarted(&leader.by, 1, Duration::from_mins(1)).await?;
    assert_eq!(code, 1, "it ends by itself, and says so");
    release.end().await?;
    assert_eq!(
        controllers.lease().await?.by,
        standby,
        "it does not come back into the lead"
    );
    assert_eq!(
        writes(&leader.by, woken)?,
        [] as [&str; 0],
        "whoever slept through the end of his term writes nothing"
    );
    Ok(())
}
