//! Golden routes: object in, wanted state, object out; the cases are in the YAML files beside this one.

use serde::Deserialize;

use super::*;
use crate::api::traffic::Tester;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Golden {
    case: String,
    #[serde(default)]
    target: Asked,
    rules: Value,
    steps: Vec<Step>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Asked {
    rules: Vec<String>,
    ports: Vec<u64>,
    testers: Vec<Tester>,
    /// The canary's Service is the user's too; its ports.
    theirs: Option<Vec<u64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// JSON Patch by another hand, before our write.
    #[serde(default)]
    edit: Patch,
    want: String,
    /// `away`: testers are not to reach the canary now.
    #[serde(default)]
    testers: String,
    /// `found`: as at the start.
    rules: Value,
}

impl Step {
    fn wanted(&self) -> Want {
        match self.want.as_str() {
            "absent" => Want::Absent,
            "left" => Want::Left,
            "drained" => Want::Drained,
            share => Want::Weight(share.parse().unwrap()),
        }
    }
}

fn run(kind: RouteKind, text: &str) {
    let cases: Vec<Golden> = serde_yaml::from_str(text).unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        play(kind, case);
    }
}

fn play(kind: RouteKind, golden: Golden) {
    let Golden {
        case,
        target: asked,
        rules,
        steps,
    } = golden;
    let theirs = asked.theirs.map(|ports| Theirs {
        ports,
        testers: asked.testers.clone(),
        ..Theirs::default()
    });
    let mut all = Target {
        rules: asked.rules,
        ports: asked.ports,
        testers: asked.testers,
        theirs,
        ..target(kind)
    };
    let found = route(kind, &rules);
    let (mut live, mut originals) = (found.clone(), RouteOriginal::default());
    for (number, step) in steps.into_iter().enumerate() {
        let (place, want) = (format!("{case}, step {}: {}", number + 1, step.want), step.wanted());
        live = apply(&live, (!step.edit.is_empty()).then_some(step.edit));
        let state = read(&live, &all).unwrap();
        if state.canary.is_none() || (all.theirs.is_some() && number == 0) {
            originals = state.weights;
        }
        if let Some(theirs) = &mut all.theirs {
            theirs.found = originals.clone();
        }
        let mut asked = all.clone();
        if step.testers == "away" {
            asked.testers.clear();
        }
        let mut expected = live.clone();
        live = apply(&live, change(&live, &asked, want, &originals).unwrap());
        expected["spec"]["rules"] = if step.rules == "found" {
            rules.clone()
        } else {
            step.rules
        };
        assert_eq!(
            serde_json::to_string_pretty(&live).unwrap(),
            serde_json::to_string_pretty(&expected).unwrap(),
            "{place}"
        );
        assert_eq!(
            change(&live, &asked, want, &originals).unwrap(),
            None,
            "{place}: written once"
        );
        is_read_back(&read(&live, &all).unwrap(), want, &place);
    }
}

fn is_read_back(state: &RouteState, want: Want, place: &str) {
    match want {
        Want::Absent => assert!(state.entry_gone(), "{place}"),
        Want::Left => assert_eq!(state.tester_rules, 0, "{place}"),
        Want::Drained => assert!(state.carries(Percent::ZERO) && state.tester_rules == 0, "{place}"),
        Want::Weight(weight) => assert!(state.carries(weight) && state.entry_stands(), "{place}"),
    }
}

#[test]
fn http_routes() {
    run(RouteKind::Http, include_str!("http.yaml"));
}

#[test]
fn routes_of_pairs() {
    run(RouteKind::Http, include_str!("pair.yaml"));
}

#[test]
fn grpc_routes() {
    run(RouteKind::Grpc, include_str!("grpc.yaml"));
}
