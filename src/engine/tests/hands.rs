//! What people and their tools do to a release and around it, and how it goes on.

use super::*;

impl World {
    /// Lets things happen one after the other, each for so many seconds: what metrics, gateway and people do, or
    /// from number 7 on, counted from 0, what the world's `own` apps do.
    pub fn live_through(&mut self, events: Vec<(u8, i64)>, own: impl Fn(&mut Self, u8)) {
        for (event, seconds) in events {
            match event {
                0 => self.bad = 0.3,
                1 => self.bad = 0.0,
                2 => self.answers = !self.answers,
                3 => self.accepts = !self.accepts,
                4 => self.ask(Verb::Promote),
                5 => self.ask(Verb::Pause),
                6 => self.ask(Verb::Resume),
                more => own(self, more - 7),
            }
            for _ in 0..seconds {
                self.settle();
                self.now += SignedDuration::from_secs(1);
            }
        }
    }
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
        world.is_paused_for(PauseReason::RouteContested)
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
fn a_check_that_asks_for_a_pause_waits_for_a_person() {
    let mut spec = spec();
    spec["checks"] = json!([{"errorRate": {"max": "1%"}, "onBreach": "Pause"}]);
    let mut world = World::new(&spec).adopted();
    world.bad = 0.2;
    world.apply_version("v2");
    world.until("the pause", |world| world.is_paused_for(PauseReason::CheckFailed));
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
