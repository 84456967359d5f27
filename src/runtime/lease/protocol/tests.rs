//! The rules in tables, under a clock that is moved by hand.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn lease(holder: &str, transitions: i32, version: &str) -> Lease {
    let mut lease = Lease::default();
    lease.metadata.name = Some("warmfront".to_owned());
    lease.metadata.resource_version = Some(version.to_owned());
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(holder.to_owned()),
        lease_duration_seconds: Some(15),
        lease_transitions: Some(transitions),
        acquire_time: Some(time(100).into()),
        // Far from this process's time: it must not matter.
        renew_time: Some(time(i64::from(transitions)).into()),
        ..LeaseSpec::default()
    });
    lease
}

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn candidate() -> Candidate {
    Candidate::new("warmfront".to_owned(), "a".to_owned())
}

/// What would be written at second 1000: version that it replaces, holder, transitions, second of acquisition.
fn written(next: &Next) -> (Option<&str>, &str, i32, i64) {
    let lease = match next {
        Next::Create(lease) | Next::Replace(lease) => lease,
        Next::Wait | Next::Lost(_) => panic!("nothing is written: {next:?}"),
    };
    let spec = lease.spec.as_ref().unwrap();
    assert_eq!(spec.renew_time, Some(time(1000).into()));
    assert_eq!(spec.lease_duration_seconds, Some(15));
    let acquired = spec.acquire_time.as_ref().unwrap().0.as_second();
    (
        lease.metadata.resource_version.as_deref(),
        spec.holder_identity.as_deref().unwrap(),
        spec.lease_transitions.unwrap(),
        acquired,
    )
}

#[tokio::test(start_paused = true)]
async fn who_may_take_the_lease() {
    let start = Instant::now();
    // What was found at the start, seconds later, and what is written then.
    let table = [
        ("none", None, 0, Some((None, "a", 0, 1000))),
        ("released", Some(lease("", 3, "7")), 0, Some((Some("7"), "a", 4, 1000))),
        ("held and alive", Some(lease("b", 3, "7")), 14, None),
        (
            "held and expired",
            Some(lease("b", 3, "7")),
            15,
            Some((Some("7"), "a", 4, 1000)),
        ),
        (
            "of the container before this one",
            Some(lease("a", 3, "7")),
            0,
            Some((Some("7"), "a", 3, 100)),
        ),
    ];
    for (what, found, later, expected) in table {
        let mut candidate = candidate();
        candidate.saw(found, start);
        let next = candidate.next(start + SECOND * later, time(1000));
        match expected {
            Some(expected) => assert_eq!(written(&next), expected, "{what}"),
            None => assert_eq!(next, Next::Wait, "{what}"),
        }
        assert_eq!(matches!(next, Next::Create(_)), what == "none", "{what}");
        assert_eq!(
            candidate.leads_until(),
            None,
            "{what}: nobody leads before the write has succeeded"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn expiry_counts_from_the_last_change_seen_here() {
    let start = Instant::now();
    let mut candidate = candidate();
    candidate.saw(Some(lease("b", 3, "7")), start);
    // Renewed: another time in the record, whatever it says.
    candidate.saw(Some(lease("b", 2, "8")), start + SECOND * 14);
    assert_eq!(candidate.next(start + SECOND * 28, time(1000)), Next::Wait);
    // Somebody put a label on it: another version, the same record.
    candidate.saw(Some(lease("b", 2, "9")), start + SECOND * 28);
    let next = candidate.next(start + SECOND * 29, time(1000));
    assert_eq!(
        written(&next).0,
        Some("9"),
        "the takeover replaces the version that was seen"
    );
}

#[tokio::test(start_paused = true)]
async fn a_leader_renews_and_stops() {
    let start = Instant::now();
    let mut leader = candidate();
    leader.stored(lease("a", 3, "7"), start, start + SECOND);
    assert_eq!(
        leader.leads_until(),
        Some(start + SECOND * 10),
        "from when it was asked for, not from the answer"
    );
    assert_eq!(
        written(&leader.next(start + SECOND * 9, time(1000))),
        (Some("7"), "a", 3, 100)
    );
    assert_eq!(leader.next(start + SECOND * 10, time(1000)), Next::Lost(Loss::Deadline));

    for (what, found, expected) in [
        ("taken", Some(lease("b", 4, "8")), Some(Loss::Taken("b".to_owned()))),
        (
            "cleared by hand",
            Some(lease("", 3, "8")),
            Some(Loss::Taken(String::new())),
        ),
        ("deleted by hand", None, None),
        ("its own, whose answer was lost", Some(lease("a", 3, "8")), None),
    ] {
        leader.saw(found, start + SECOND * 2);
        let next = leader.next(start + SECOND * 2, time(1000));
        match expected {
            Some(loss) => assert_eq!(next, Next::Lost(loss), "{what}"),
            None => assert!(matches!(next, Next::Create(_) | Next::Replace(_)), "{what}: {next:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_holder_gives_the_lease_back() {
    let start = Instant::now();
    let mut candidate = candidate();
    candidate.saw(Some(lease("b", 3, "7")), start);
    assert_eq!(candidate.released(time(1000)), None);
    candidate.stored(lease("a", 4, "8"), start, start);
    let released = candidate.released(time(1000)).unwrap();
    assert_eq!(released.metadata.resource_version.as_deref(), Some("8"));
    let spec = released.spec.unwrap();
    assert_eq!(
        (
            spec.holder_identity.as_deref(),
            spec.lease_duration_seconds,
            spec.lease_transitions
        ),
        (Some(""), Some(1), Some(4))
    );
    candidate.saw(Some(lease("b", 5, "9")), start);
    assert_eq!(candidate.released(time(1000)), None, "somebody else's is not touched");
}
