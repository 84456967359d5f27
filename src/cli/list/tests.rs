//! The list of releases in the states that a version has left.

use super::super::tests::{golden, rollout, scene};
use super::*;
use crate::cli::rollout::Rollout;

fn now() -> Timestamp {
    "2027-01-15T08:10:00Z".parse().unwrap()
}

fn shown(rollouts: &[Rollout], columns: Columns) -> Vec<String> {
    table(rollouts.iter(), columns, now(), Paint::None)
}

const NARROW: Columns = Columns {
    namespace: false,
    wide: false,
};

#[test]
fn a_line_tells_how_far_a_release_has_come_and_what_holds_it() {
    let scenes = ["shifting", "paused-by-a-person", "new", "succeeded"].map(scene);
    let lines = shown(&scenes, NARROW);
    assert!(lines[0].starts_with("NAME      PHASE"), "{lines:#?}");
    assert!(
        lines[1].contains("Shifting        1/3    5%       100.0%   0.00%"),
        "{lines:#?}"
    );
    assert!(lines[2].contains("Shifting/User"), "{lines:#?}");
    assert!(lines[4].contains("Succeeded") && lines[4].contains("70m"), "{lines:#?}");
    let wide = Columns {
        namespace: true,
        wide: true,
    };
    let lines = shown(&scenes[..1], wide);
    assert!(
        lines[0].starts_with("NAMESPACE   NAME") && lines[0].contains("BASE-HIT"),
        "{lines:#?}"
    );
    assert!(
        lines[1].starts_with("shop        catalog") && lines[1].contains("wbd5g9f55x   stable1"),
        "{lines:#?}"
    );
}

#[test]
fn one_that_cannot_be_read_does_not_hide_the_others() {
    let mut broken = rollout(&golden("shifting"));
    broken["status"]["run"]["number"] = serde_json::json!("seven");
    let broken = Rollout::new(serde_json::from_value(broken).unwrap());
    let lines = shown(&[broken, scene("shifting")], NARROW);
    assert!(
        lines[1].contains("run.number") && lines[1].contains("upgrade kubectl-canary"),
        "{lines:#?}"
    );
    assert!(lines[2].contains("Shifting"), "{lines:#?}");
}
