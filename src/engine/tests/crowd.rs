//! Hundreds of RolloutActions at once: each is carried out once at most, an Abort first, and no list grows with them.

use super::*;
use crate::{
    api::action::ActionPhase,
    engine::contract::{
        Decision,
        action::Action,
        observed::{ActionSeen, Observed},
    },
};

fn at_5(world: &World) -> bool {
    let run = world.status.run.as_ref();
    run.is_some_and(|run| run.weight.hundredths() == 500 && run.intent.is_none())
}

/// A release at its first step, which needs an approval after an hour.
fn held() -> World {
    let mut spec = spec();
    spec["steps"][0] = json!({"weight": 5, "hold": "1h", "approval": true});
    let mut world = World::new(&spec).adopted();
    world.apply_version("v2");
    world.until("5%", at_5);
    world
}

/// So many ask for the same, each with a time of its own, and nobody for longer than a minute ago.
fn ask_many(world: &mut World, number: usize, verb: Verb) {
    let first = world.actions.len();
    for _ in 0..number {
        world.ask(verb);
    }
    for (index, action) in world.actions.iter_mut().enumerate().skip(first) {
        let earlier = i64::try_from(number + first - index).unwrap() * 6;
        action.created -= SignedDuration::from_millis(earlier);
    }
}

/// How often people were told that it was answered.
fn told(world: &World, name: &str) -> usize {
    world.notes.matches(&format!("by RolloutAction {name} of ")).count()
}

/// Names of those that a pass has answered.
fn answers(decision: &Decision) -> Vec<&str> {
    let actions = decision.actions.iter();
    actions
        .filter_map(|one| match &one.action {
            Action::Answer { name, .. } => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn of_hundreds_each_is_carried_out_once_at_most_and_the_rest_are_rejected() {
    let mut world = held();
    ask_many(&mut world, 600, Verb::Pause);
    let mut most = 0;
    for _ in 0..1_000 {
        let before = world.notes.matches("by RolloutAction").count();
        let (changed, decision) = world.pass();
        let taken = world.notes.matches("by RolloutAction").count() - before;
        assert!(taken <= 20, "{taken} are taken in one pass");
        assert!(answers(&decision).len() <= 120, "and no pass answers thousands");
        most = most.max(world.status.actions.len());
        if !changed {
            break;
        }
    }
    assert_eq!(most, 20);
    let open = world.actions.iter().filter(|action| action.decided.is_none()).count();
    assert_eq!(open, 0, "every one has its answer");
    let told: Vec<usize> = (0..600).map(|index| told(&world, &format!("a{index}"))).collect();
    assert_eq!(told.iter().max(), Some(&1));
    let taken = told.iter().sum::<usize>();
    assert_eq!(taken, 100, "those beyond 100 are rejected");
    let applied = world.notes.matches("the weight stays; the checks go on").count();
    assert_eq!(applied, 1, "the others found the release paused");
}

#[test]
fn answers_that_do_not_get_through_are_kept_and_no_more_are_taken() {
    let mut world = held();
    ask_many(&mut world, 30, Verb::Promote);
    let asked = world.actions.clone();
    for _ in 0..10 {
        world.pass();
        // What was written is lost.
        world.actions.clone_from(&asked);
    }
    let all = |world: &World| {
        (0..30)
            .map(|index| told(world, &format!("a{index}")))
            .collect::<Vec<_>>()
    };
    assert_eq!(all(&world), [vec![1; 20], vec![0; 10]].concat());
    world.settle();
    assert_eq!(all(&world), vec![1; 30]);
    let run = world.status.run.as_ref().unwrap();
    assert!(run.hold_waived && !run.approved, "nobody has given the approval");
}

#[test]
fn an_abort_waits_for_no_crowd() {
    let mut world = held();
    ask_many(&mut world, 500, Verb::Promote);
    world.ask(Verb::Abort);
    world.pass();
    assert_eq!(world.status.phase, Phase::RollingBack);
    assert_eq!(told(&world, "a500"), 1);
}

#[test]
fn one_that_another_process_has_answered_is_not_taken_from_an_old_copy() {
    let mut world = held();
    world.ask(Verb::Abort);
    let mut seen = world.look();
    let needs = world.needs(&seen);
    assert_eq!(needs.actions, ["a0"]);
    let decide = |world: &World, seen: &Observed| {
        let (id, in_force) = world.subject();
        super::super::decide(&id, &in_force, &world.status, seen, world.now).status
    };
    assert_eq!(decide(&world, &seen).phase, Phase::Shifting, "it was not read anew");
    seen.actions_read = needs.actions.iter().cloned().collect();
    let gone = seen.actions.pop().unwrap();
    assert_eq!(decide(&world, &seen).phase, Phase::Shifting, "it is gone");
    let decided = Some(world.now);
    seen.actions.push(ActionSeen {
        decided,
        ..gone.clone()
    });
    assert_eq!(decide(&world, &seen).phase, Phase::Shifting, "it has its answer");
    seen.actions = vec![gone];
    assert_eq!(decide(&world, &seen).phase, Phase::RollingBack);
}

#[test]
fn answers_whose_actions_are_gone_make_room() {
    let mut world = held();
    ask_many(&mut world, 20, Verb::Retry);
    world.pass();
    assert_eq!(world.status.actions.len(), 20);
    // Somebody has deleted them all, whether they had their answers or not.
    world.actions.clear();
    world.settle();
    world.ask(Verb::Abort);
    world.actions[0].uid = "another".to_owned();
    world.actions[0].name = "another".to_owned();
    let needs = world.needs(&world.look());
    assert_eq!(needs.actions.len(), 21, "{:?}", needs.actions);
    world.pass();
    assert_eq!(world.status.phase, Phase::RollingBack);
    let last = world.status.actions.last().unwrap();
    assert_eq!((last.phase, world.status.actions.len()), (ActionPhase::Applied, 20));
}

#[test]
fn of_those_that_are_answered_a_hundred_stay_for_a_day() {
    let mut world = held();
    ask_many(&mut world, 300, Verb::Retry);
    world.settle();
    assert_eq!(world.actions.len(), 300, "whoever asked may read the answer");
    world.now += SignedDuration::from_mins(2);
    world.settle();
    assert_eq!(world.actions.len(), 100);
    let next = world.settle().wake;
    assert!(next.is_some_and(|at| at > world.now), "{next:?}");
    world.now += SignedDuration::from_hours(25);
    world.settle();
    assert_eq!(world.actions.len(), 0);
}
