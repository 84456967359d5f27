//! What the owner of a pair keeps: what is not fit is left alone, and the route is theirs before and after.

use super::*;

#[test]
fn deletion_at_any_moment_leaves_the_route_as_found_or_at_the_candidate() {
    for found in [Some(0), None] {
        let route = backends(&pair_with(found));
        for moment in 0..60 {
            let mut world = pair_with(found);
            for _ in 0..moment {
                let (changed, decision) = world.pass();
                if let (false, Some(wake)) = (changed, decision.wake) {
                    world.now = wake;
                }
            }
            let promoted = world.status.phase == Phase::Succeeded;
            world.deletion = Deletion::Asked;
            if world.finalizer {
                world.until("the end", |world| !world.finalizer);
            } else {
                world.settle();
            }
            let left = backends(&world);
            if promoted {
                assert_eq!(world.share(), 10_000, "after {moment} passes");
            } else {
                assert_eq!(left, route, "after {moment} passes");
            }
        }
    }
}

#[test]
fn after_a_promotion_the_route_is_its_owners() {
    let mut world = pair();
    world.until_phase(Phase::Succeeded);
    world.until("rest", |world| world.status.kept.is_empty());
    world.edit_route(
        json!([{"name": "catalog", "port": 80, "weight": 60}, {"name": "catalog-canary", "port": 80, "weight": 40}]),
        "kubectl-edit",
    );
    world.settle();
    assert_eq!(world.share(), 4_000, "who lowers it has a reason");
    assert_eq!(condition(&world, "Healthy"), ("False", "RouteDrift"));
    assert!(
        world
            .notes
            .contains("gives Deployment cached 40% and not 100%: another hand (manager kubectl-edit)"),
        "{}",
        world.notes
    );
    let told = world.told.len();
    world.now += SignedDuration::from_secs(60);
    world.settle();
    assert_eq!(world.told.len(), told, "once");
    // What is no longer needed may go.
    world.edit_route(json!([{"name": "catalog-canary", "port": 80}]), "kubectl-edit");
    apps(&mut world).baseline.exists = false;
    world.settle();
    assert_eq!(
        (condition(&world, "Healthy"), condition(&world, "Accepted")),
        (("True", "Serving"), ("True", "Accepted"))
    );
}

#[test]
fn what_is_not_fit_is_refused_with_the_reason_and_left_alone() {
    let refused = |change: &dyn Fn(&mut World), reason: &str, part: &str| {
        let mut world = pair();
        change(&mut world);
        let before = world.get(Kind::HttpRoute, "catalog").clone();
        world.settle();
        assert_eq!(condition(&world, "Accepted"), ("False", reason), "{}", message(&world));
        assert!(message(&world).contains(part), "{}", message(&world));
        assert_eq!(world.get(Kind::HttpRoute, "catalog"), &before);
        assert!(world.status.stable_revision.is_none() && !world.finalizer);
    };
    refused(
        &|world| apps(world).baseline.exists = false,
        "TargetNotFound",
        "Deployment plain does not exist",
    );
    refused(
        &|world| apps(world).candidate.exists = false,
        "TargetNotFound",
        "Deployment cached does not exist",
    );
    refused(
        &|world| apps(world).candidate.foreign = true,
        "UnsupportedService",
        "Service catalog-canary also selects pod worker-1, which is not of Deployment cached",
    );
    let share = |weight: i64| {
        move |world: &mut World| {
            world.edit_route(json!([{"name": "catalog", "port": 80, "weight": 1}, {"name": "catalog-canary", "port": 80, "weight": weight}]), "git");
        }
    };
    refused(
        &share(1),
        "UnsupportedFeature",
        "gives Service catalog-canary 50% already",
    );
    // A baseline that is not rolled out is waited for.
    let mut world = pair();
    apps(&mut world).baseline.ready = 2;
    world.settle();
    assert!(
        message(&world).contains("waiting for the rollout of Deployment plain: 2/4 up to date"),
        "{}",
        message(&world)
    );
    // As a promotion has left it.
    let mut world = pair();
    world.edit_route(
        json!([{"name": "catalog", "port": 80, "weight": 0}, {"name": "catalog-canary", "port": 80, "weight": 100}]),
        "git",
    );
    world.settle();
    assert_eq!(
        (condition(&world, "Promoted"), world.share()),
        (("True", "Adopted"), 10_000)
    );
}

#[test]
fn an_unknown_phase_of_a_newer_version_does_not_release_what_users_have_already() {
    let mut world = pair();
    world.until_phase(Phase::Succeeded);
    for with_run in [true, false] {
        world.status.phase = Phase::Unknown;
        if !with_run {
            // As it was taken over at 100%.
            world.status.run = None;
        }
        world.settle();
        assert_eq!((world.status.phase, world.share()), (Phase::Succeeded, 10_000));
    }
}
