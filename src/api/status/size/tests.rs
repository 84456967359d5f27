//! However much is put into a status, it stays below its limit.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const AT: &str = "2026-01-01T00:00:00.000Z";

/// A status in which everything has something in it.
fn full() -> Value {
    let at = AT;
    let check = |name: usize| json!({"name": format!("c{name}"), "query": {"promql": "x".repeat(1_900), "max": 1.0}});
    let plan = json!({"workload": {"deployment": {"name": "catalog"}}, "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}},
        "checks": (0..16).map(check).collect::<Vec<_>>()});
    let seen = json!({"object": "HTTPRoute/catalog", "at": at, "generation": 1, "by": "kubectl"});
    let gate = json!({"name": "g", "step": 1, "state": "Asking", "since": at, "until": at, "asked": 1, "nextAt": at, "said": "HTTP 500"});
    let point = json!({"t": at, "w": "25%", "h": 83.1, "e": 0.12, "l": 182.0, "bh": 91.0, "be": 0.1, "bl": 150.0});
    let run = json!({"number": 1, "trace": [point], "revision": "w", "replicaSet": "catalog-w", "stableRevision": "s", "startedAt": at, "step": 2, "steps": 3,
        "weight": "25%", "intent": {"weight": "50%", "generations": {"HTTPRoute/catalog": 1}, "at": at}, "undoing": "s", "abort": "why",
        "ending": {"outcome": "RolledBack", "reason": "Aborted", "message": "why", "at": at}, "gates": [gate], "plan": plan,
        "judge": {"lastTick": at, "memory": {"clock": 15, "checks": [{"values": [1.0]}], "note": "why"},
            "said": {"advice": "Rise", "check": "c", "message": "why"},
            "worst": {"errors": {"badness": 1.0, "value": "1%"}}}});
    let notice = json!({"sequence": 1, "reason": "Paused", "warning": true, "note": "why", "at": at});
    let notification = json!({"sequence": 1, "to": "chat", "event": "Paused", "note": "why", "at": at, "run": 1, "revision": "w", "from": "s",
        "step": 1, "weight": "25%", "attempts": 1, "nextAt": at});
    json!({"phase": "Shifting", "message": "why", "figures": {"step": "1/3", "hitRatio": "80%"}, "stableRevision": "s", "run": run,
        "rejected": [{"revision": "x", "reason": "NotReady", "message": "why", "at": at}],
        "actions": [{"name": "a", "uid": "u", "phase": "Applied", "reason": "Applied", "message": "why"}],
        "kept": [{"revision": "x", "until": at, "standby": true}],
        "draining": [{"revision": "x", "needs": "Pods", "since": at, "asked": at, "lastSeen": at, "requests": 3}],
        "originals": {"paused": true, "floors": {"catalog": {"found": 1, "raised": 2}}},
        "hold": {"by": "Pause", "deployment": "u", "template": "d", "unpaused": [{"by": "kubectl", "at": at}]},
        "configs": {"settings": {"version": "1", "digest": "d"}},
        "events": {"emitted": 9, "pending": [notice], "suppressed": {"NoData": 3}}, "outbox": [notification],
        "inspection": {"at": at, "revision": "s", "basis": "w", "run": 1, "unread": 2, "againAt": at, "broken": ["c"], "scrapedTwice": "two jobs", "message": "why"},
        "checks": [{"name": "c", "verdict": "wait", "value": "1%", "threshold": "<= 1%", "baseline": "1%", "evidence": {"bad": 2, "total": 100, "limit": 0.01, "baselineBad": 1, "baselineTotal": 900, "since": at, "strength": 0.123, "needed": 27}, "at": at, "message": "why"}],
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "why", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "drift": {"corrected": 1, "last": seen, "recent": [seen]},
        "history": [{"run": 1, "revision": "x", "outcome": "RolledBack", "reason": "NotReady", "message": "why", "from": at, "to": at, "worst": {"errors": "1%"}}]})
}

/// Texts that anybody may make long.
const TEXTS: [&str; 18] = [
    "message",
    "note",
    "said",
    "value",
    "threshold",
    "baseline",
    "object",
    "by",
    "abort",
    "revision",
    "to",
    "template",
    "step",
    "hitRatio",
    "stableRevision",
    "undoing",
    "basis",
    "scrapedTwice",
];
/// Maps whose keys others choose.
const MAPS: [&str; 4] = ["worst", "suppressed", "generations", "configs"];

/// The same with `times` as much of everything, and texts of `length`.
fn inflate(value: &mut Value, key: &str, times: usize, text: &str) {
    match value {
        Value::Object(fields) => {
            if let (true, Some(item)) = (MAPS.contains(&key), fields.values().next().cloned()) {
                fields.extend((0..times).map(|index| (format!("{index}-{}", "n".repeat(200)), item.clone())));
            }
            for (key, value) in fields.iter_mut().filter(|(key, _)| *key != "plan") {
                inflate(value, key, times, text);
            }
        }
        Value::Array(items) => {
            for item in items.iter_mut() {
                inflate(item, key, times, text);
            }
            let item = items[0].clone();
            items.extend(std::iter::repeat_n(item, times));
        }
        Value::String(old) if TEXTS.contains(&key) && old != AT => text.clone_into(old),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_status_is_larger_than_the_largest(times in 0_usize..200, text in "[ a\"\\\\\u{1}ä€]{0,40}", repeated in 0_usize..400) {
        let mut status = full();
        inflate(&mut status, "", times, &text.repeat(repeated));
        let mut status: CanaryRolloutStatus = serde_json::from_value(status).unwrap();
        status.fit();
        let size = serde_json::to_vec(&status).unwrap().len();
        prop_assert!(size <= LARGEST, "{size} bytes");
        let once = status.clone();
        status.fit();
        prop_assert_eq!(once, status, "what fits stays as it is");
    }
}

#[test]
fn what_is_not_told_of_the_past_stays_below_what_is_taken_for_it() {
    let mut status = full();
    inflate(&mut status, "", 200, &"\"".repeat(5_000));
    let mut status: CanaryRolloutStatus = serde_json::from_value(status).unwrap();
    status.fit();
    (status.outbox, status.events.pending, status.history) = (Vec::new(), Vec::new(), Vec::new());
    status.run.as_mut().unwrap().trace.clear();
    let size = serde_json::to_vec(&status).unwrap().len();
    assert!(size <= REST, "{size} bytes");
}

#[test]
fn traces_have_an_end_and_go_first_where_there_is_too_much() {
    let mut status: CanaryRolloutStatus = serde_json::from_value(full()).unwrap();
    let run = status.run.as_mut().unwrap();
    run.trace = vec![run.trace[0]; 1_000];
    let trace = run.trace.clone();
    let ended = status.history[0].clone();
    status.history = vec![ended; 3];
    status.history[1].trace = trace.clone();
    status.history[2].trace = trace;
    status.fit();
    let kept: Vec<usize> = status.history.iter().map(|ended| ended.trace.len()).collect();
    assert_eq!((status.run.as_ref().unwrap().trace.len(), kept), (63, vec![0, 63, 0]));
    let notice = Notice {
        note: "x".repeat(SENTENCE),
        ..status.events.pending[0].clone()
    };
    status.events.pending = vec![notice; 100];
    status.fit();
    assert_eq!(status.history.iter().map(|ended| ended.trace.len()).sum::<usize>(), 0);
    assert!(serde_json::to_vec(&status).unwrap().len() <= LARGEST);
}

#[test]
fn an_ordinary_status_stays_as_it_is() {
    let mut status: CanaryRolloutStatus = serde_json::from_value(full()).unwrap();
    let before = status.clone();
    status.fit();
    assert_eq!(status, before);
}

#[test]
fn a_cut_text_takes_no_more_bytes_as_json_either() {
    for (text, most, cut_to) in [
        ("short", 10, "short"),
        ("ä€ä€", 5, "ä€"),
        ("\"\"\"\"", 5, "\"\""),
        ("a\u{1}\nb", 10, "a  b"),
    ] {
        let mut text = text.to_owned();
        cut(&mut text, most);
        assert_eq!(text, cut_to);
        assert!(json!(text).to_string().len() <= most.saturating_add(2));
    }
}
