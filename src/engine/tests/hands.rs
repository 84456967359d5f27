//! What people, Git tools, nodes and autoscalers do to a release, and how it goes on or back.

use super::*;

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

/// An app with an autoscaler of this kind and these fields beside its target, and with what KEDA makes of a `ScaledObject`.
fn with_autoscaler(kind: Kind, spec: &Value) -> World {
    let mut world = world();
    let mut scaler = json!({"metadata": {"name": "catalog", "annotations": {"autoscaling.keda.sh/paused": "false"}}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "catalog"}}});
    json_patch::merge(&mut scaler["spec"], spec);
    if kind == Kind::ScaledObject {
        let mut kept = scaler.clone();
        kept["metadata"] = json!({"name": "keda-hpa-catalog", "ownerReferences": [{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "catalog", "uid": "s", "controller": true}]});
        kept["spec"]["minReplicas"] = json!(1);
        world.objects.insert((Kind::HorizontalPodAutoscaler, "keda-hpa-catalog".to_owned()), kept);
    }
    world.objects.insert((kind, "catalog".to_owned()), scaler);
    world.settle();
    world
}

const SCALERS: [(Kind, &str, &str); 2] =
    [(Kind::HorizontalPodAutoscaler, "minReplicas", "maxReplicas"), (Kind::ScaledObject, "minReplicaCount", "maxReplicaCount")];

#[test]
fn an_autoscaler_cannot_shrink_the_old_version_while_a_release_runs() {
    let ends = [Phase::Succeeded, Phase::RolledBack, Phase::Idle];
    for ((kind, least, most), end) in SCALERS.into_iter().flat_map(|scaler| ends.map(|end| (scaler, end))) {
        for found in [json!({most: 10, least: 2}), json!({most: 10, least: 0}), json!({most: 10}), json!({most: 3, least: 1})] {
            let mut world = with_autoscaler(kind, &found);
            let before = world.objects.clone();
            world.apply_version("v2");
            world.until("5%", |world| at(world, 500));
            assert_eq!(
                world.get(kind, "catalog")["spec"][least],
                if found[most] == 3 { 3 } else { 4 },
                "{kind} {found}: the size at the start, or the maximum"
            );
            match end {
                Phase::RolledBack => world.ask(Verb::Abort),
                Phase::Idle => world.deletion = Deletion::Asked,
                _ => {}
            }
            world.until("the end", |world| if end == Phase::Idle { !world.finalizer } else { world.status.phase == end });
            world.settle();
            for key in before.keys().filter(|key| matches!(key.0, Kind::HorizontalPodAutoscaler | Kind::ScaledObject)) {
                assert_eq!(world.objects[key], before[key], "{kind} {found}: {key:?} as found after {end}");
            }
            assert!(world.status.originals.floors.is_empty() && !world.told.contains(&"ScaleFloorDrift".to_owned()), "{kind} {found}: {:?}", world.told);
        }
    }
}

#[test]
fn what_keda_keeps_is_never_written_and_is_no_drift() {
    let mut world = with_autoscaler(Kind::ScaledObject, &json!({"minReplicaCount": 2}));
    let kept = world.get(Kind::HorizontalPodAutoscaler, "keda-hpa-catalog").clone();
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    assert_eq!(world.get(Kind::HorizontalPodAutoscaler, "keda-hpa-catalog"), &kept, "its minimum is the ScaledObject's business");
    let keys: Vec<&String> = world.status.originals.floors.keys().collect();
    assert_eq!(keys, ["ScaledObject/catalog"]);
    assert!(!world.told.contains(&"ScaleFloorDrift".to_owned()));
}

#[test]
fn the_key_of_a_horizontal_pod_autoscaler_is_its_name() {
    // A release that runs while the controller is upgraded has it in its status.
    let mut world = with_autoscaler(Kind::HorizontalPodAutoscaler, &json!({"minReplicas": 2, "maxReplicas": 10}));
    world.apply_version("v2");
    world.until("5%", |world| at(world, 500));
    assert_eq!(json!(world.status.originals.floors), json!({"catalog": {"found": 2, "raised": 4, "stands": true}}));
}

#[test]
fn a_minimum_that_is_lowered_again_and_again_is_left_so() {
    for (kind, least, most) in SCALERS {
        let mut world = with_autoscaler(kind, &json!({most: 10, least: 2}));
        world.apply_version("v2");
        world.until("5%", |world| at(world, 500));
        for time in 1..=4 {
            let scaler = world.objects.get_mut(&(kind, "catalog".to_owned())).unwrap();
            // A Git tool that knows no minimum takes it out.
            json_patch::merge(scaler, &json!({"spec": {least: if time == 2 { Value::Null } else { json!(1) }}}));
            world.settle();
            assert_eq!(world.get(kind, "catalog")["spec"][least], if time <= 3 { 4 } else { 1 }, "{kind}: time {time}");
        }
        assert!(world.notes.contains(&format!("{kind} catalog: {least} 4 → 1")), "{}", world.notes);
        world.until_phase(Phase::Succeeded);
        assert_eq!(world.get(kind, "catalog")["spec"][least], 1, "{kind}: what another hand has set stays");
    }
}

#[test]
fn metrics_that_count_the_new_version_double_are_told_at_adoption() {
    let triggers = |kind: &str| json!({"triggers": [{"type": "prometheus", "metricType": kind}]});
    for (kind, spec, told) in [
        (Kind::ScaledObject, triggers("Value"), true),
        (Kind::ScaledObject, triggers("AverageValue"), false),
        (Kind::HorizontalPodAutoscaler, json!({"maxReplicas": 9, "metrics": [{"type": "Object"}]}), true),
    ] {
        let mut world = World::new(&super::spec());
        let mut scaler = json!({"metadata": {"name": "catalog"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "catalog"}}});
        json_patch::merge(&mut scaler["spec"], &spec);
        world.objects.insert((kind, "catalog".to_owned()), scaler);
        let notes = world.adopted().notes;
        assert_eq!(notes.contains(&format!("{kind} catalog has Object or Value metrics")), told, "{notes}");
    }
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
