//! What people, Git tools and nodes do to a release, and how it goes on or back.

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
    assert_eq!(world.status.history[0].reason, EndReason::Reverted);
    assert_eq!(world.sets().len(), sets, "no ReplicaSet is made");
    let old = world.sets().into_iter().find(|set| set.hash == STABLE).unwrap();
    assert_eq!((old.replicas, old.owned_by("d"), old.revision), (4, true, Some(4)));
    // The version that was undone goes after keepCanary, and is history then.
    world.until("rest", |world| {
        world.sets().iter().all(|set| set.held_by.is_none()) && world.status.kept.is_empty()
    });
    assert_eq!(
        world.sets().into_iter().find(|set| set.hash == new).unwrap().replicas,
        0
    );
    assert_eq!(
        world.get(Kind::Service, "catalog")["spec"]["selector"],
        json!({"app": "catalog"})
    );
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
    assert_eq!(
        (
            world.status.stable_revision.as_deref(),
            world.status.rejected[0].revision.as_str()
        ),
        (Some(STABLE), new.as_str())
    );
    world.until("rest", |world| world.status.kept.is_empty());
    let owned: Vec<_> = world
        .sets()
        .into_iter()
        .filter(|set| set.owned_by("d"))
        .map(|set| set.hash)
        .collect();
    assert_eq!(
        owned,
        [STABLE],
        "the template is the rejected one, so the Deployment owns the serving version alone"
    );
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
fn pods_that_are_lost_while_the_deployment_takes_over_give_everything_back_as_long_as_they_are_apart() {
    let mut called_off = 0;
    for moment in 0.. {
        let mut world = world();
        world.apply_version("v2");
        world.until("the last step", |world| world.status.phase == Phase::Baking);
        while world.status.phase != Phase::Promoting {
            let (changed, decision) = world.pass();
            if !changed {
                world.now = decision.wake.unwrap();
            }
        }
        for _ in 0..moment {
            world.pass();
        }
        if world.status.phase != Phase::Promoting {
            break;
        }
        let revision = world.status.run.as_ref().unwrap().revision.clone();
        let apart = world
            .sets()
            .iter()
            .any(|set| set.hash == revision && set.held_by.is_some());
        world.lost = 4;
        world.pass_unchecked();
        if apart {
            called_off += 1;
            assert_eq!(
                (world.status.phase, world.share()),
                (Phase::Preparing, 0),
                "after {moment} passes"
            );
            assert_eq!(
                world.get(Kind::Service, "catalog")["spec"]["selector"]["pod-template-hash"],
                STABLE,
                "after {moment} passes"
            );
            let owned: Vec<_> = world
                .sets()
                .into_iter()
                .filter(|set| set.owned_by("d"))
                .map(|set| (set.hash, set.replicas))
                .collect();
            assert_eq!(owned, [(STABLE.to_owned(), 4)], "after {moment} passes");
            assert_eq!(world.status.run.as_ref().unwrap().capacity_lost, 1);
            // As if the Service could not be changed at once.
            world.objects.get_mut(&(Kind::Service, "catalog".to_owned())).unwrap()["spec"]["selector"]["pod-template-hash"] =
                json!(revision);
            world.settle_unchecked();
            assert!(
                !world.told.iter().any(|reason| reason == "RouteDrift"),
                "nobody else has touched anything: {:?}",
                world.told
            );
        } else {
            assert!(
                matches!(world.status.phase, Phase::Promoting | Phase::Succeeded),
                "what the Deployment has been given it keeps"
            );
        }
        world.lost = 0;
        world.until_phase(Phase::Succeeded);
        assert_eq!(world.status.stable_revision, Some(revision));
    }
    assert!(called_off > 1, "{called_off}");
}

#[test]
fn an_abort_that_waits_for_an_exchange_is_not_lost_with_its_pods() {
    let mut world = world();
    world.apply_version("v2");
    world.until("the last step", |world| world.status.phase == Phase::Baking);
    while world.get(Kind::Service, "catalog")["spec"]["selector"]["pod-template-hash"] == STABLE {
        let (changed, decision) = world.pass();
        if !changed {
            world.now = decision.wake.unwrap();
        }
    }
    world.accepts = false;
    world.ask(Verb::Abort);
    world.pass();
    assert_eq!(world.status.phase, Phase::Promoting);
    world.lost = 4;
    world.accepts = true;
    world.settle_unchecked();
    assert_eq!(
        (world.status.phase, condition(&world, "RolledBack").1),
        (Phase::RolledBack, "Aborted")
    );
    assert_eq!(world.status.history.len(), 1);
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
    assert!(
        world.now >= began + paused + SignedDuration::from_mins(1),
        "the hold goes on where it was"
    );
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
    assert_eq!(
        world.get(Kind::HttpRoute, "catalog")["metadata"]["generation"],
        generation,
        "our writes have stopped"
    );
    world.ask(Verb::Resume);
    world.until_phase(Phase::Succeeded);
}

#[test]
fn who_undoes_every_write_at_once_keeps_the_route_too() {
    let mut world = world();
    world.fighter = Some("argocd".to_owned());
    world.apply_version("v2");
    world.until("the end of the fight", |world| {
        world
            .status
            .run
            .as_ref()
            .is_some_and(|run| run.paused_for == Some(PauseReason::RouteContested))
    });
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
        world.objects.get_mut(&(Kind::Service, "catalog".to_owned())).unwrap()["spec"]["selector"]
            .as_object_mut()
            .unwrap()
            .remove("pod-template-hash");
        world.settle_unchecked();
        assert_eq!(
            world.get(Kind::Service, "catalog")["spec"]["selector"]["pod-template-hash"],
            STABLE
        );
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
    assert_eq!(
        (world.share(), world.status.run.as_ref().unwrap().step),
        (2_500, 1),
        "one of two pods carries 25%"
    );
    world.lost = 0;
    world.until("50% again", |world| at(world, 5_000));
    world.lost = 2;
    world.settle_unchecked();
    assert_eq!(
        (world.share(), world.status.phase),
        (0, Phase::Preparing),
        "none carries nothing"
    );
    world.lost = 0;
    world.until("50% once more", |world| at(world, 5_000));
    world.lost = 2;
    world.settle_unchecked();
    world.until_phase(Phase::RolledBack);
    assert_eq!(condition(&world, "RolledBack").1, "CapacityLost");
}

#[test]
fn what_is_left_of_the_new_version_keeps_its_traffic_while_the_old_one_has_nobody() {
    let mut spec = spec();
    spec["steps"] = json!([{"weight": 25, "hold": "10s"}, {"weight": 50, "hold": "10m"}, {"weight": 100}]);
    let mut world = World::new(&spec).adopted();
    world.apply_version("v2");
    world.until("50%", |world| at(world, 5_000));
    (world.lost, world.stable_ready) = (1, false);
    world.settle_unchecked();
    assert_eq!(
        (world.share(), condition(&world, "Healthy")),
        (5_000, ("False", "StableUnavailable"))
    );
    world.stable_ready = true;
    world.settle_unchecked();
    assert_eq!(world.share(), 2_500, "now somebody can take the rest");
    (world.lost, world.stable_ready) = (0, false);
    world.settle_unchecked();
    world.stable_ready = true;
    world.until("50% again", |world| at(world, 5_000));
    (world.lost, world.stable_ready) = (2, false);
    world.settle_unchecked();
    assert_eq!(world.share(), 0, "of two that have nobody the old one is the safer");
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
    world.until("the pause", |world| {
        world
            .status
            .run
            .as_ref()
            .is_some_and(|run| run.paused_for == Some(PauseReason::CheckFailed))
    });
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
    assert_eq!(
        world
            .status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Accepted")
            .unwrap()
            .reason,
        "ServiceNotFound"
    );
}

#[test]
fn a_deployment_that_does_not_come_back_takes_what_was_held_for_it_along() {
    let mut world = world();
    world.apply_version("v2");
    world.until("25%", |world| at(world, 2_500));
    let deployment = world.objects.remove(&(Kind::Deployment, "catalog".to_owned())).unwrap();
    world.settle_unchecked();
    assert_eq!(world.share(), 2_500, "the weight stays");
    world
        .objects
        .insert((Kind::Deployment, "catalog".to_owned()), deployment);
    world.until_phase(Phase::Succeeded);

    world.apply_version("v3");
    world.until("25%", |world| at(world, 2_500));
    world.objects.remove(&(Kind::Deployment, "catalog".to_owned()));
    world.until("the end", |world| {
        world.status.phase == Phase::Idle
            && world
                .sets()
                .iter()
                .all(|set| set.replicas == 0 || set.labels.contains_key("app"))
    });
    assert!(
        world.told.iter().any(|reason| reason == "ScaledDown"),
        "{:?}",
        world.told
    );
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
    assert_eq!(
        world.told.iter().filter(|reason| *reason == "ConfigChanged").count(),
        1,
        "{:?}",
        world.told
    );
}

#[test]
fn pods_are_asked_what_keeps_them_only_once_they_are_late() {
    let mut world = world();
    world.ready = false;
    world.apply_version("v2");
    world.until_phase(Phase::Preparing);
    let asked = |world: &World| {
        let id = crate::engine::contract::Identity {
            namespace: "shop".into(),
            name: "catalog".into(),
            uid: "u".into(),
            generation: 1,
        };
        let in_force = crate::engine::contract::in_force::InForce::new(Some(&world.spec.clone().into()), &world.status);
        crate::engine::needs(&id, &in_force, &world.status, &world.look(), world.now).trouble_of
    };
    let run = world.status.run.clone().unwrap();
    assert_eq!(asked(&world), None, "most are ready a moment later");
    world.until("the question", |world| asked(world).as_ref() == Some(&run.replica_set));
    assert_eq!(
        world.now.duration_since(run.growing.unwrap().since),
        SignedDuration::from_secs(3),
        "nobody but the clock wakes it"
    );
}
