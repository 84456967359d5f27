//! Each reason to pause and to end has a sentence, and each that a person settles a command.

use serde_json::json;

use super::*;
use crate::cli::tests::{golden, rollout, scene};

/// All that are known, and one that is not.
const PAUSES: [&str; 15] = [
    "User",
    "Approval",
    "Window",
    "Gate",
    "GateDeadline",
    "NoData",
    "SharedIncident",
    "OriginLimit",
    "Inconclusive",
    "WarmingSlow",
    "RouteContested",
    "ServiceContested",
    "CheckFailed",
    "WriteRefused",
    "FromTheFuture",
];

fn now() -> Timestamp {
    "2027-01-15T08:10:20Z".parse().unwrap()
}

fn paused(reason: &str) -> Explanation {
    let mut status = golden("shifting");
    status["run"]["pausedFor"] = json!(reason);
    status["run"]["pausedAt"] = json!("2027-01-15T08:09:20Z");
    status["run"]["userPause"] = json!(reason == "User");
    explain(&Rollout::new(serde_json::from_value(rollout(&status)).unwrap()), now())
}

fn commands(explanation: &Explanation) -> Vec<&str> {
    explanation.you_can.iter().map(|choice| choice.run.as_str()).collect()
}

#[test]
fn a_pause_says_since_when_and_what_ends_it() {
    for reason in PAUSES {
        let told = paused(reason);
        let name = if reason == "FromTheFuture" { "Unknown" } else { reason };
        let sentence = format!("It is paused for {name} since 08:09:20Z (60s ago): ");
        assert!(
            told.because.iter().any(|said| said.starts_with(&sentence)),
            "{reason}: {told:#?}"
        );
        let first = commands(&told)[0].to_owned();
        let (promote, resume) = (
            "kubectl canary promote catalog -n shop --step 1",
            "kubectl canary resume catalog -n shop",
        );
        let wanted = match reason {
            "Approval" | "Inconclusive" | "WarmingSlow" => promote,
            "NoData" => "kubectl canary status catalog -n shop",
            "Window" | "SharedIncident" | "OriginLimit" | "WriteRefused" => "kubectl canary abort catalog -n shop",
            _ => resume,
        };
        assert_eq!(first, wanted, "{reason}");
        assert_eq!(*commands(&told).last().unwrap(), "kubectl canary abort catalog -n shop");
    }
}

#[test]
fn a_pause_by_the_spec_is_lifted_there() {
    let mut status = golden("shifting");
    status["run"]["pausedFor"] = json!("User");
    let told = explain(&Rollout::new(serde_json::from_value(rollout(&status)).unwrap()), now());
    assert_eq!(
        commands(&told)[0],
        "kubectl patch canaryrollout catalog -n shop --type=merge -p '{\"spec\":{\"paused\":false}}'"
    );
}

#[test]
fn an_end_says_its_numbers_and_what_comes_next() {
    let told = explain(&scene("rolled-back"), now());
    let text = told.because.join(" ");
    assert!(
        text.contains("was rolled back 08:00:13Z (10m ago), after 13s, at step 1 of 3, because too many requests"),
        "{text}"
    );
    assert!(
        text.contains("97 of 486 requests to the new version failed in 12s (20%, limit 1%)"),
        "{text}"
    );
    assert!(text.contains("Revision stable1 serves all users."), "{text}");
    let commands = commands(&told);
    assert!(
        commands.contains(&"kubectl canary retry catalog -n shop"),
        "{commands:?}"
    );
    assert!(
        commands.contains(&"kubectl canary undo catalog -n shop"),
        "{commands:?}"
    );
    let promoted = explain(&scene("succeeded"), now());
    assert_eq!(
        promoted.you_can[0].run, "kubectl canary abort catalog -n shop",
        "its pods stand by"
    );
}

#[test]
fn a_pair_is_offered_no_undo() {
    let mut status = golden("pair-shifting");
    let past = golden("rolled-back");
    for field in ["phase", "rejected", "history"] {
        status[field] = past[field].clone();
    }
    status["rejected"][0]["revision"] = json!("cachedv1");
    status["run"]["outcome"] = json!("RolledBack");
    let told = explain(&Rollout::new(serde_json::from_value(rollout(&status)).unwrap()), now());
    let commands = commands(&told);
    assert!(
        commands.iter().any(|command| command.contains("canary retry")),
        "{commands:?}"
    );
    assert!(
        !commands.iter().any(|command| command.contains("canary undo")),
        "{commands:?}"
    );
}

#[test]
fn what_the_controller_has_not_seen_is_called_so() {
    let told = explain(&scene("new"), now());
    let mut object = rollout(&golden("shifting"));
    object["metadata"]["generation"] = json!(2);
    let edited = explain(&Rollout::new(serde_json::from_value(object).unwrap()), now());
    assert!(
        edited.because[0].contains("has not seen the newest change"),
        "{edited:#?}"
    );
    let mut bare = rollout(&json!(null));
    bare.as_object_mut().unwrap().remove("status");
    let bare = explain(&Rollout::new(serde_json::from_value(bare).unwrap()), now());
    assert!(
        bare.because[0].contains("has not seen this CanaryRollout yet"),
        "{bare:#?}"
    );
    assert!(!told.because.is_empty());
}

#[test]
fn a_refusal_comes_first() {
    let mut status = golden("idle");
    let conditions = status["conditions"].as_array_mut().unwrap();
    for condition in conditions
        .iter_mut()
        .filter(|condition| condition["type"] == "Accepted")
    {
        condition["status"] = json!("False");
        condition["reason"] = json!("RouteNotFound");
        condition["message"] = json!("HTTPRoute shop/catalog does not exist: create it");
    }
    let told = explain(&Rollout::new(serde_json::from_value(rollout(&status)).unwrap()), now());
    assert!(
        told.because[0].contains("not accepted (RouteNotFound)") && told.because[0].contains("create it."),
        "{told:#?}"
    );
}
