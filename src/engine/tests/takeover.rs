//! The Deployment takes over what was promoted: aborts and lost pods meanwhile, and what undoes it.

use super::*;

/// A release whose promotion has begun.
fn promoting() -> World {
    let mut world = world();
    world.apply_version("v2");
    world.until("the last step", |world| world.status.phase == Phase::Baking);
    while world.status.phase != Phase::Promoting {
        let (changed, decision) = world.pass();
        if !changed {
            world.now = decision.wake.unwrap();
        }
    }
    world
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
    let mut world = promoting();
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

/// The pods that were about to be promoted are lost after so many passes, and the release is where it was before them.
fn everything_is_given_back(world: &mut World, revision: &str, moment: u32) {
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
}

#[test]
fn pods_that_are_lost_while_the_deployment_takes_over_give_everything_back_as_long_as_they_are_apart() {
    let mut called_off = 0;
    for moment in 0.. {
        let mut world = promoting();
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
            everything_is_given_back(&mut world, &revision, moment);
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
