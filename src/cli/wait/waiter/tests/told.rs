//! What a wait says: once, and with its numbers.

use super::*;

#[test]
fn who_may_not_read_deployments_is_told_what_that_cannot_promise() {
    let refused = || Seen::Unreadable("reading Deployment shop/catalog failed: forbidden".to_owned());
    let mut any = waiter(Goal::Promoted, Wanted::Any);
    any.step(&Seen::Rollout(Some(&rollout(&under_way(7, 2, "n", &json!({}))))), now());
    let step = any.step(&refused(), now());
    assert!(step.line.unwrap().contains("may be taken for this one's"));
    assert!(!any.wants_workload());
    assert_eq!(
        any.step(&Seen::Rollout(Some(&rollout(&serves(7, "n")))), now()).exit,
        Some(Exit::Reached)
    );
    let mut image = waiter(Goal::Promoted, Wanted::Image("i".to_owned()));
    image.step(&Seen::Rollout(Some(&rollout(&serves(7, "n")))), now());
    assert_eq!(image.step(&refused(), now()).exit, Some(Exit::Failed));
    // A revision that is not here yet may be the one that the Deployment asks for.
    let mut revision = waiter(Goal::Promoted, Wanted::Revision("n".to_owned()));
    revision.step(&Seen::Rollout(Some(&rollout(&serves(7, "m")))), now());
    revision.step(&refused(), now());
    assert_eq!(
        revision
            .step(&Seen::Rollout(Some(&rollout(&serves(7, "m")))), now())
            .exit,
        None
    );
}

#[test]
fn what_is_missing_is_waited_for_until_the_time_is_over() {
    let mut waiter = waiter(Goal::Promoted, Wanted::Any);
    let line = |step: Step| step.line.unwrap_or_default();
    assert!(line(waiter.step(&Seen::Rollout(None), now())).contains("waiting for the CanaryRollout to exist"));
    assert_eq!(line(waiter.step(&Seen::Rollout(None), now())), "", "it is said once");
    let trouble = || Seen::Trouble("watching CanaryRollouts failed: the kind is missing".to_owned());
    assert!(line(waiter.step(&trouble(), now())).contains("trying again"));
    assert_eq!(line(waiter.step(&trouble(), now())), "");
    waiter.step(&Seen::Rollout(Some(&rollout(&json!({})))), now());
    assert!(
        line(waiter.step(&Seen::NoWorkload("catalog".to_owned()), now()))
            .contains("waiting for Deployment catalog to exist")
    );
    assert!(waiter.wants_workload());
    waiter.step(&Seen::Workload(workload(1, "i")), now());
    let over = waiter.step(&Seen::Over, now());
    assert_eq!(over.exit, Some(Exit::TimedOut));
    assert!(
        line(over)
            .contains("timed out; the last was: waiting for the controller to see generation 1 of the CanaryRollout")
    );
}

#[test]
fn another_rollout_of_the_same_name_is_another_one() {
    let mut waiter = waiter(Goal::Promoted, Wanted::Any);
    assert_eq!(
        exit(&mut waiter, &workload(8, "i"), &[under_way(8, 2, "n", &json!({}))]),
        None
    );
    assert_eq!(waiter.step(&Seen::Rollout(None), now()).exit, None);
    assert_eq!(
        waiter.step(&Seen::Rollout(Some(&rollout(&serves(8, "n")))), now()).exit,
        None,
        "the Deployment is read anew"
    );
    assert_eq!(
        waiter.step(&Seen::Workload(workload(8, "i")), now()).exit,
        Some(Exit::Reached)
    );
}

#[test]
fn there_is_one_line_for_each_change_and_none_for_each_tick() {
    let mut waiter = waiter(Goal::Promoted, Wanted::Any);
    let shown = |step: i32, hit: &str, message: &str| {
        let mut shown = under_way(8, 2, "n", &json!({"step": step}));
        shown["figures"] = json!({"hitRatio": hit, "errorRate": "0.12%"});
        shown["message"] = json!(message);
        rollout(&shown)
    };
    waiter.step(&Seen::Rollout(Some(&shown(1, "-", "holding"))), now());
    waiter.step(&Seen::Workload(workload(8, "i")), now());
    let mut line = |rollout: &Rollout| waiter.step(&Seen::Rollout(Some(rollout)), now()).line;
    assert_eq!(line(&shown(1, "80.0%", "holding")), None);
    let told = line(&shown(2, "83.1%", "holding until 08:05:00Z; hit ratio 83.1% (min 80%)")).unwrap();
    assert_eq!(
        told,
        "08:00:00Z revision n: Shifting, step 2/5, weight 10% (10m after it began), hit ratio 83.1%, errors 0.12%: holding until 08:05:00Z; hit ratio 83.1% (min 80%)"
    );
    assert_eq!(
        line(&shown(2, "84.0%", "holding until 08:06:00Z; hit ratio 84.0% (min 80%)")),
        None
    );
}
