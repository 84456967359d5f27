//! Short releases in an obedient world, and properties that no release may break.

mod routes;
mod world;

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::action::Kind;
use super::observed::Deletion;
use crate::api::{
    action::Verb,
    status::{Outcome, PauseReason, Phase},
};
use world::{STABLE, World};

fn spec() -> Value {
    json!({
        "workload": {"deployment": {"name": "catalog"}},
        "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}},
        "steps": [{"weight": 5, "hold": "10s"}, {"weight": 25, "hold": "10s"}, {"weight": 100, "hold": "10s"}],
        "bake": "10s",
        "checks": [{"errorRate": {"max": "1%"}}],
        "metrics": {"interval": "2s"},
        "keepCanary": "1m", "keepStable": "1m",
    })
}

fn world() -> World {
    World::new(&spec()).adopted()
}

fn condition<'a>(world: &'a World, kind: &str) -> (&'a str, &'a str) {
    let found = world.status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
    (&found.status, &found.reason)
}

#[test]
fn adoption_changes_only_paused() {
    let before = World::new(&spec());
    let after = world();
    for (key, object) in &before.objects {
        let mut now = after.objects[key].clone();
        if key.0 == Kind::Deployment {
            now["spec"].as_object_mut().unwrap().remove("paused");
            now["metadata"]["generation"] = json!(1);
        }
        assert_eq!(&now, object, "{key:?}");
    }
    assert_eq!(condition(&after, "Promoted"), ("True", "Adopted"));
}

#[test]
fn a_good_version_goes_all_the_way_and_its_pods_stay() {
    let mut world = world();
    let original = world.get(Kind::HttpRoute, "catalog")["spec"].clone();
    world.apply_version("v2");
    world.until_phase(Phase::Succeeded);
    let revision = world.status.run.as_ref().unwrap().revision.clone();
    assert_eq!(world.weights, vec![500, 2_500, 10_000, 0]);
    assert_eq!(world.status.stable_revision, Some(revision.clone()));
    assert_eq!(condition(&world, "Promoted"), ("True", "Promoted"));
    // The old version stays for keepStable, then it is history; nothing of ours is left.
    world.until("the end of keepStable", |world| world.sets().iter().all(|set| set.held_by.is_none()));
    assert_eq!(world.get(Kind::HttpRoute, "catalog")["spec"], original);
    assert_eq!(world.get(Kind::Service, "catalog")["spec"]["selector"], json!({"app": "catalog"}));
    assert!(!world.objects.contains_key(&(Kind::Service, "catalog-canary".to_owned())));
    let numbers: Vec<_> = world.sets().into_iter().map(|set| (set.replicas, set.revision)).collect();
    assert!(numbers.contains(&(0, Some(1))) && numbers.contains(&(0, Some(2))) && numbers.contains(&(4, Some(3))), "{numbers:?}");
    let steps = world.told.iter().filter(|reason| *reason == "WeightConfirmed").count();
    assert_eq!(steps, 3, "{:?}", world.told);
}

#[test]
fn a_version_with_errors_comes_back_with_its_numbers() {
    let mut world = world();
    world.bad = 0.2;
    world.apply_version("v2");
    world.until_phase(Phase::RolledBack);
    assert_eq!(world.weights, vec![500, 0]);
    let (status, reason) = condition(&world, "RolledBack");
    assert_eq!((status, reason), ("True", "ErrorRateAboveMax"));
    assert!(world.status.rejected[0].message.contains("20.00%, limit <= 1%"), "{}", world.status.rejected[0].message);
    // Its pods stay for keepCanary, then go; it is not started again.
    let revision = world.status.rejected[0].revision.clone();
    let pods = |world: &World| world.sets().iter().find(|set| set.hash == revision).unwrap().replicas;
    assert_eq!(pods(&world), 1);
    world.until("the end of keepCanary", |world| pods(world) == 0);
    assert_eq!(world.status.run.as_ref().unwrap().number, 1);
    assert_eq!(world.get(Kind::Service, "catalog")["spec"]["selector"], json!({"app": "catalog"}));

    world.bad = 0.0;
    world.ask(Verb::Retry);
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.status.run.as_ref().unwrap().number, 2);
}

#[test]
fn another_version_starts_after_a_rejected_one_and_clears_it() {
    let mut world = world();
    world.ready = false;
    world.apply_version("v2");
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "NotReady");
    world.ready = true;
    world.apply_version("v3");
    world.until_phase(Phase::Succeeded);
    world.until("the rejected one to go", |world| world.status.rejected.is_empty() && world.sets().iter().all(|set| set.held_by.is_none()));
}

#[test]
fn the_stable_template_again_is_a_rollback_without_any_check() {
    let mut world = world();
    world.apply_version("v2");
    world.until("25%", |world| world.canary_share().is_some_and(|share| share.hundredths() == 2_500));
    world.answers = false;
    world.apply_version("v1");
    world.settle();
    assert_eq!(world.status.phase, Phase::RolledBack);
    assert_eq!((world.share(), world.status.history[0].reason.as_str()), (0, "Reverted"));
    assert_eq!(condition(&world, "Promoted"), ("True", "AtStable"));
    assert_eq!(condition(&world, "RolledBack").0, "False");
}

#[test]
fn a_newer_version_starts_from_the_first_step_after_weight_0() {
    let mut world = world();
    world.apply_version("v2");
    world.until("25%", |world| world.canary_share().is_some_and(|share| share.hundredths() == 2_500));
    world.apply_version("v3");
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.weights, vec![500, 2_500, 0, 500, 2_500, 10_000, 0]);
    let outcomes: Vec<Outcome> = world.status.history.iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, vec![Outcome::Promoted, Outcome::Superseded]);
}

#[test]
fn abort_reaches_0_during_a_pause_and_without_metrics() {
    let mut world = world();
    world.apply_version("v2");
    world.until("5%", |world| world.status.run.as_ref().is_some_and(|run| run.weight.hundredths() == 500));
    world.ask(Verb::Pause);
    world.settle();
    assert_eq!(condition(&world, "Paused"), ("True", "User"));
    world.answers = false;
    world.ask(Verb::Abort);
    world.settle();
    assert_eq!((world.share(), condition(&world, "RolledBack").1), (0, "Aborted"));
    world.until("the entry to go", |world| world.canary_share().is_none());
    world.ask(Verb::Abort);
    world.settle();
    assert_eq!(world.status.actions.last().unwrap().reason, "NothingToAbort");
}

#[test]
fn a_persons_pause_does_not_stop_the_judge() {
    let mut world = world();
    world.apply_version("v2");
    world.until("5%", |world| world.status.run.as_ref().is_some_and(|run| run.weight.hundredths() == 500));
    world.ask(Verb::Pause);
    world.settle();
    world.bad = 0.5;
    world.until_phase(Phase::RolledBack);
}

#[test]
fn an_approval_waits_for_a_person() {
    let mut spec = spec();
    spec["steps"][0]["approval"] = json!(true);
    let mut world = World::new(&spec).adopted();
    world.apply_version("v2");
    world.until("the approval", |world| world.status.run.as_ref().is_some_and(|run| run.paused_for == Some(PauseReason::Approval)));
    assert_eq!(world.weights, vec![500]);
    world.ask(Verb::Promote);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn no_data_holds_and_pauses_and_goes_on() {
    let mut world = world();
    world.apply_version("v2");
    world.until("5%", |world| world.status.run.as_ref().is_some_and(|run| run.weight.hundredths() == 500));
    world.answers = false;
    world.until("the pause", |world| world.status.run.as_ref().is_some_and(|run| run.paused_for == Some(PauseReason::NoData)));
    assert_eq!(world.weights, vec![500]);
    world.answers = true;
    world.until_phase(Phase::Succeeded);
}

#[test]
fn a_gateway_that_does_not_accept_ends_the_release() {
    let mut world = world();
    world.apply_version("v2");
    world.until("the first weight", |world| !world.weights.is_empty());
    world.accepts = false;
    world.until("25% to be written", |world| world.status.phase == Phase::RollingBack || world.weights.len() > 1);
    world.until("the way back", |world| world.status.phase == Phase::RollingBack);
    assert_eq!(world.share(), 0);
    world.accepts = true;
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "RouteNotAccepted");
}

#[test]
fn a_raised_weight_is_put_back_and_is_no_progress() {
    let mut world = world();
    world.apply_version("v2");
    world.until("5%", |world| world.status.run.as_ref().is_some_and(|run| run.weight.hundredths() == 500));
    let route = world.objects.get_mut(&(Kind::HttpRoute, "catalog".to_owned())).unwrap();
    route["spec"]["rules"][0]["backendRefs"][0]["weight"] = json!(40);
    route["spec"]["rules"][0]["backendRefs"][1]["weight"] = json!(60);
    route["metadata"]["generation"] = json!(50);
    world.settle_unchecked();
    assert_eq!(world.canary_share().unwrap().hundredths(), 500);
    assert_eq!(world.status.drift.corrected, 1);
    assert_eq!(world.status.run.as_ref().unwrap().step, 1);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn deletion_mid_way_leaves_the_app_as_it_was_and_paused() {
    let mut world = world();
    let before = World::new(&spec());
    world.apply_version("v2");
    world.until("25%", |world| world.canary_share().is_some_and(|share| share.hundredths() == 2_500));
    world.deletion = Deletion::Asked;
    world.until("the end", |world| !world.finalizer);
    for kind in [Kind::Service, Kind::HttpRoute] {
        assert_eq!(world.get(kind, "catalog")["spec"], before.get(kind, "catalog")["spec"]);
    }
    assert_eq!(world.get(Kind::Deployment, "catalog")["spec"]["paused"], true);
    assert!(world.told.iter().any(|reason| reason == "LeftPaused"), "{:?}", world.told);
    assert!(world.sets().iter().all(|set| set.held_by.is_none()));
    assert_eq!(world.sets().iter().find(|set| set.hash == STABLE).unwrap().replicas, 4);
}

#[test]
fn deletion_at_rest_unpauses() {
    let mut world = world();
    world.deletion = Deletion::Asked;
    world.until("the end", |world| !world.finalizer);
    assert_eq!(world.get(Kind::Deployment, "catalog")["spec"].get("paused"), None);
}

fn at(world: &World, hundredths: u32) -> bool {
    world.status.run.as_ref().is_some_and(|run| run.weight.hundredths() == hundredths && run.intent.is_none())
}

#[test]
fn a_promotion_is_undone_by_the_old_template_onto_the_pods_that_still_stand() {
    let mut world = world();
    world.apply_version("v2");
    world.until_phase(Phase::Succeeded);
    let sets = world.sets().len();
    let new = world.status.run.as_ref().unwrap().revision.clone();
    world.apply_version("v1");
    world.until_phase(Phase::RolledBack);
    assert_eq!(world.status.stable_revision.as_deref(), Some(STABLE));
    assert_eq!(condition(&world, "Promoted"), ("True", "AtStable"));
    assert_eq!(world.status.history[0].reason, "Reverted");
    assert_eq!(world.sets().len(), sets, "no ReplicaSet is made");
    let old = world.sets().into_iter().find(|set| set.hash == STABLE).unwrap();
    assert_eq!((old.replicas, old.owned_by("d"), old.revision), (4, true, Some(4)));
    // The version that was undone goes after keepCanary, and is history then.
    world.until("rest", |world| world.sets().iter().all(|set| set.held_by.is_none()) && world.status.kept.is_empty());
    assert_eq!(world.sets().into_iter().find(|set| set.hash == new).unwrap().replicas, 0);
    assert_eq!(world.get(Kind::Service, "catalog")["spec"]["selector"], json!({"app": "catalog"}));
}

#[test]
fn an_abort_after_a_promotion_undoes_it_and_rejects_the_version() {
    let mut world = world();
    world.apply_version("v2");
    world.until_phase(Phase::Succeeded);
    let new = world.status.run.as_ref().unwrap().revision.clone();
    world.ask(Verb::Abort);
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack"), ("True", "Aborted"));
    assert_eq!((world.status.stable_revision.as_deref(), world.status.rejected[0].revision.as_str()), (Some(STABLE), new.as_str()));
    world.until("rest", |world| world.status.kept.is_empty());
    let owned: Vec<_> = world.sets().into_iter().filter(|set| set.owned_by("d")).map(|set| set.hash).collect();
    assert_eq!(owned, [STABLE], "the template is the rejected one, so the Deployment owns the serving version alone");
}

#[test]
fn an_abort_while_the_deployment_takes_over_is_carried_out_after_that() {
    let mut world = world();
    world.apply_version("v2");
    world.until("the last step", |world| world.status.phase == Phase::Baking);
    while world.status.phase != Phase::Promoting {
        let (changed, decision) = world.pass();
        if !changed {
            world.now = decision.wake.unwrap();
        }
    }
    // The Services are moved; from here the exchange is finished forward.
    while world.get(Kind::Service, "catalog")["spec"]["selector"]["pod-template-hash"] == STABLE {
        world.pass();
    }
    world.ask(Verb::Abort);
    world.until_phase(Phase::RolledBack);
    assert_eq!(world.status.stable_revision.as_deref(), Some(STABLE));
    let outcomes: Vec<Outcome> = world.status.history.iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::RolledBack, Outcome::Promoted]);
}

#[test]
fn promote_fully_drops_the_steps_but_not_the_evidence() {
    let mut world = world();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    world.answers = false;
    world.ask(Verb::PromoteFully);
    for _ in 0..60 {
        world.settle();
        world.now += SignedDuration::from_secs(1);
    }
    assert_eq!(world.weights, vec![500], "nothing rises without a pass");
    world.answers = true;
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.weights, vec![500, 10_000, 0]);
}

#[test]
fn a_pause_longer_than_every_deadline_harms_nothing_and_its_time_is_not_served() {
    let mut spec = spec();
    spec["steps"][0]["hold"] = json!("1m");
    let mut world = World::new(&spec).adopted();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    let began = world.now;
    world.now += SignedDuration::from_secs(20);
    world.ask(Verb::Pause);
    world.settle();
    for _ in 0..180 {
        world.now += SignedDuration::from_secs(30);
        world.settle();
    }
    world.ask(Verb::Resume);
    world.settle();
    assert!(at(&world, 500));
    let paused = SignedDuration::from_secs(180 * 30);
    world.until("25%", |world| at(world, 2_500));
    assert!(world.now >= began + paused + SignedDuration::from_mins(1), "the hold goes on where it was");
    world.until_phase(Phase::Succeeded);
}

#[test]
fn who_rewrites_the_route_time_and_again_keeps_it() {
    let mut world = world();
    world.apply_version("v2");
    for time in 0..3 {
        world.until("5%", |world| at(world, 500));
        world.edit_route(json!([{"name": "catalog", "port": 80}]), "argocd");
        world.settle();
        let contested = world.status.run.as_ref().unwrap().paused_for == Some(PauseReason::RouteContested);
        assert_eq!(contested, time == 2, "after {} times", time + 1);
    }
    assert_eq!(condition(&world, "Paused"), ("True", "RouteContested"));
    assert!(world.status.message.contains("argocd"), "{}", world.status.message);
    let generation = world.get(Kind::HttpRoute, "catalog")["metadata"]["generation"].clone();
    for _ in 0..50 {
        world.now += SignedDuration::from_secs(10);
        world.settle();
    }
    assert_eq!(world.get(Kind::HttpRoute, "catalog")["metadata"]["generation"], generation, "our writes have stopped");
    world.ask(Verb::Resume);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn who_undoes_every_write_at_once_keeps_the_route_too() {
    let mut world = world();
    world.fighter = Some("argocd".to_owned());
    world.apply_version("v2");
    world.until("the end of the fight", |world| world.status.run.as_ref().is_some_and(|run| run.paused_for == Some(PauseReason::RouteContested)));
    assert_eq!(world.share(), 0);
    world.fighter = None;
    world.ask(Verb::Resume);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn who_widens_the_service_time_and_again_holds_the_release() {
    let mut world = world();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    for _ in 0..3 {
        world.objects.get_mut(&(Kind::Service, "catalog".to_owned())).unwrap()["spec"]["selector"].as_object_mut().unwrap().remove("pod-template-hash");
        world.settle_unchecked();
        assert_eq!(world.get(Kind::Service, "catalog")["spec"]["selector"]["pod-template-hash"], STABLE);
    }
    assert_eq!(condition(&world, "Paused"), ("True", "ServiceContested"));
    world.ask(Verb::Resume);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn lost_pods_lower_the_weight_to_what_the_others_carry_and_the_third_time_end_it() {
    let mut spec = spec();
    spec["steps"] = json!([{"weight": 25, "hold": "10s"}, {"weight": 50, "hold": "10m"}, {"weight": 100}]);
    let mut world = World::new(&spec).adopted();
    world.apply_version("v2");
    world.until("50%", |world| at(world, 5_000));
    world.lost = 1;
    world.settle_unchecked();
    assert_eq!((world.share(), world.status.run.as_ref().unwrap().step), (2_500, 1), "one of two pods carries 25%");
    world.lost = 0;
    world.until("50% again", |world| at(world, 5_000));
    world.lost = 2;
    world.settle_unchecked();
    assert_eq!((world.share(), world.status.phase), (0, Phase::Preparing), "none carries nothing");
    world.lost = 0;
    world.until("50% once more", |world| at(world, 5_000));
    world.lost = 2;
    world.settle_unchecked();
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "CapacityLost");
}

#[test]
fn a_broken_stable_version_holds_and_keeps_every_pod() {
    let mut world = world();
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    world.stable_ready = false;
    for _ in 0..100 {
        world.now += SignedDuration::from_secs(10);
        world.settle_unchecked();
    }
    assert!(at(&world, 2_500), "no rise and no fall");
    assert_eq!(condition(&world, "Healthy"), ("False", "StableUnavailable"));
    let pods = |world: &World| world.sets().into_iter().map(|set| set.replicas).collect::<Vec<_>>();
    let before = pods(&world);
    world.ask(Verb::Abort);
    for _ in 0..100 {
        world.now += SignedDuration::from_secs(10);
        world.settle_unchecked();
    }
    assert_eq!((world.status.phase, world.share()), (Phase::RolledBack, 0));
    assert_eq!(pods(&world), before, "nothing goes before stable is whole");
    world.stable_ready = true;
    world.until("the canary's pods go", |world| pods(world) != before);
}

#[test]
fn a_check_that_asks_for_a_pause_waits_for_a_person() {
    let mut spec = spec();
    spec["checks"] = json!([{"errorRate": {"max": "1%"}, "onBreach": "Pause"}]);
    let mut world = World::new(&spec).adopted();
    world.bad = 0.2;
    world.apply_version("v2");
    world.until("the pause", |world| world.status.run.as_ref().is_some_and(|run| run.paused_for == Some(PauseReason::CheckFailed)));
    assert_eq!(world.weights, vec![500]);
    world.bad = 0.0;
    world.ask(Verb::Resume);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn an_edit_of_the_services_waits_for_the_end_of_the_release() {
    let mut world = world();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    world.spec.traffic.service = Some("another".to_owned());
    world.settle();
    assert!(at(&world, 500) && world.share() == 500);
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.status.conditions.iter().find(|condition| condition.type_ == "Accepted").unwrap().reason, "ServiceNotFound");
}

#[test]
fn a_deployment_that_does_not_come_back_takes_what_was_held_for_it_along() {
    let mut world = world();
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    let deployment = world.objects.remove(&(Kind::Deployment, "catalog".to_owned())).unwrap();
    world.settle_unchecked();
    assert_eq!(world.share(), 2_500, "the weight stays");
    world.objects.insert((Kind::Deployment, "catalog".to_owned()), deployment);
    world.until_phase(Phase::Succeeded);

    world.apply_version("v3");
    world.until("25%", |world| at(world, 2_500));
    world.objects.remove(&(Kind::Deployment, "catalog".to_owned()));
    world.until("the end", |world| world.status.phase == Phase::Idle && world.sets().iter().all(|set| set.replicas == 0 || set.labels.contains_key("app")));
    assert!(world.told.iter().any(|reason| reason == "ScaledDown"), "{:?}", world.told);
}

fn with_autoscaler() -> World {
    let mut world = world();
    let scaler =
        json!({"metadata": {"name": "catalog"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "catalog"}, "minReplicas": 2, "maxReplicas": 10}});
    world.objects.insert((Kind::HorizontalPodAutoscaler, "catalog".to_owned()), scaler);
    world.settle();
    world
}

fn floor(world: &World) -> i64 {
    world.get(Kind::HorizontalPodAutoscaler, "catalog")["spec"]["minReplicas"].as_i64().unwrap()
}

#[test]
fn an_autoscaler_cannot_shrink_the_old_version_while_a_release_runs() {
    for end in [Phase::Succeeded, Phase::RolledBack, Phase::Idle] {
        let mut world = with_autoscaler();
        assert_eq!(floor(&world), 2, "nothing is touched at rest");
        world.apply_version("v2");
        world.until("5%", |world| at(world, 500));
        assert_eq!(floor(&world), 4);
        match end {
            Phase::RolledBack => world.ask(Verb::Abort),
            Phase::Idle => world.deletion = Deletion::Asked,
            _ => {}
        }
        world.until("the end", |world| if end == Phase::Idle { !world.finalizer } else { world.status.phase == end });
        world.settle();
        assert_eq!((floor(&world), world.status.originals.floors.len()), (2, 0), "as found after {end}");
    }
}

#[test]
fn a_minimum_that_is_lowered_again_and_again_is_left_so() {
    let mut world = with_autoscaler();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    for time in 1..=4 {
        world.objects.get_mut(&(Kind::HorizontalPodAutoscaler, "catalog".to_owned())).unwrap()["spec"]["minReplicas"] = json!(1);
        world.settle();
        assert_eq!(floor(&world), if time <= 3 { 4 } else { 1 }, "time {time}");
    }
    world.until_phase(Phase::Succeeded);
    assert_eq!(floor(&world), 1, "what another hand has set stays");
}

#[test]
fn a_config_that_changes_in_place_lets_the_step_begin_anew() {
    let mut world = world();
    world.config = Some("one");
    world.settle();
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    world.now += SignedDuration::from_secs(8);
    world.settle();
    world.config = Some("two");
    world.settle();
    let since = world.status.run.as_ref().unwrap().step_started_at.unwrap();
    assert_eq!(since, world.now, "its hold and evidence begin anew");
    assert_eq!(world.status.run.as_ref().unwrap().number, 1);
    world.until_phase(Phase::Succeeded);
    assert_eq!(world.told.iter().filter(|reason| *reason == "ConfigChanged").count(), 1, "{:?}", world.told);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever people, metrics, pods and gateways do: the invariants checked after every pass hold,
    /// and once all is well again an abort or the end of the release leaves no canary traffic.
    #[test]
    fn nothing_that_happens_breaks_an_invariant(events in proptest::collection::vec((0..9_u8, 1..30_i64), 1..25)) {
        let mut world = world();
        world.apply_version("v2");
        for (event, seconds) in events {
            match event {
                0 => world.bad = 0.3,
                1 => world.bad = 0.0,
                2 => world.answers = !world.answers,
                3 => world.accepts = !world.accepts,
                4 => world.apply_version("v1"),
                5 => world.apply_version("v3"),
                6 => world.ask(Verb::Promote),
                7 => world.ask(Verb::Pause),
                _ => world.ask(Verb::Resume),
            }
            for _ in 0..seconds {
                world.settle();
                world.now += SignedDuration::from_secs(1);
            }
        }
        world.accepts = true;
        world.ask(Verb::Abort);
        world.until("the end", |world| matches!(world.status.phase, Phase::Idle | Phase::RolledBack | Phase::Succeeded | Phase::Preparing | Phase::Shifting));
        let rolled_back = world.status.history.first().is_some_and(|entry| entry.reason == "Aborted");
        prop_assert!(!rolled_back || world.status.phase != Phase::RolledBack || world.share() == 0);
    }

    /// Deciding never panics, whatever the status says.
    #[test]
    fn any_status_gives_a_decision(step in -3..300_i32, weight in 0..=10_000_u32, phase in 0..8_usize, confirmed: bool) {
        let mut world = world();
        world.apply_version("v2");
        world.until("a run", |world| world.status.run.is_some());
        let phases = [Phase::Idle, Phase::Preparing, Phase::Shifting, Phase::Baking, Phase::Promoting, Phase::Succeeded, Phase::RollingBack, Phase::RolledBack];
        world.status.phase = phases[phase];
        let run = world.status.run.as_mut().unwrap();
        run.step = step;
        run.weight = crate::api::Percent::from_hundredths(weight).unwrap();
        run.growing = None;
        run.step_started_at = confirmed.then_some(world.now);
        let seen = crate::engine::observed::Observed::default();
        let id = crate::engine::Identity { namespace: "shop".into(), name: "catalog".into(), uid: "u".into(), generation: 1 };
        let _ = crate::engine::decide(&id, Some(&world.spec), &world.status, &seen, world.now);
        let _ = world.pass_unchecked();
    }
}
