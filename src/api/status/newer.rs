//! What of a status this version cannot read: it is kept where the rest can be read, and left out on request where it cannot.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::CanaryRolloutSpec, CanaryRolloutStatus, Ending, Phase, Run};

/// The status to be stored: `next`, and of the stored one what this version does not know. Where both say the same the stored text stays,
/// words that a newer version has written among it.
pub fn keeping(stored: &Value, next: &CanaryRolloutStatus) -> Value {
    let next = json!(next);
    match CanaryRolloutStatus::deserialize(stored) {
        Ok(read) => merged(&without_outdated(stored), &json!(read), next),
        Err(_) => next,
    }
}

/// Without what an older version wrote under a name that has another form now: the definition refuses the old one.
fn without_outdated(stored: &Value) -> Cow<'_, Value> {
    let is_outdated = |check: &Value| check.get("evidence").is_some_and(Value::is_string);
    let checks = stored.get("checks").and_then(Value::as_array);
    if !checks.is_some_and(|checks| checks.iter().any(is_outdated)) {
        return Cow::Borrowed(stored);
    }
    let mut stored = stored.clone();
    let checks = stored.get_mut("checks").and_then(Value::as_array_mut);
    for check in checks.into_iter().flatten().filter(|check| is_outdated(check)) {
        check.as_object_mut().and_then(|check| check.remove("evidence"));
    }
    Cow::Owned(stored)
}

/// `known` is what this version has read of `stored`.
fn merged(stored: &Value, known: &Value, next: Value) -> Value {
    if *known == next {
        return stored.clone();
    }
    match (stored, known, next) {
        (Value::Object(_), Value::Object(_), next @ Value::Object(_)) if is_another(known, &next) => next,
        (Value::Object(stored), Value::Object(known), Value::Object(mut next)) => {
            for (key, value) in stored {
                match (known.get(key), next.get_mut(key)) {
                    // A plan is replaced as a whole.
                    (Some(known), Some(next)) if key != "plan" || *known == *next => {
                        *next = merged(value, known, next.take());
                    }
                    (None, None) => drop(next.insert(key.clone(), value.clone())),
                    (Some(_) | None, _) => {}
                }
            }
            Value::Object(next)
        }
        (Value::Array(stored), Value::Array(known), Value::Array(next)) if stored.len() == known.len() => {
            let item = |next: Value| match known.iter().position(|known| *known == next || is_same(known, &next)) {
                Some(at) => merged(&stored[at], &known[at], next),
                None => next,
            };
            next.into_iter().map(item).collect()
        }
        (_, _, next) => next,
    }
}

/// What tells the items of a list apart, and one release from the next.
const NAMES: [&str; 7] = ["name", "type", "uid", "revision", "sequence", "number", "run"];

fn is_same(one: &Value, other: &Value) -> bool {
    NAMES
        .iter()
        .any(|key| one.get(key).is_some_and(|name| !name.is_object()))
        && !is_another(one, other)
}

fn is_another(one: &Value, other: &Value) -> bool {
    let name = |of: &Value, key: &str| of.get(key).filter(|name| !name.is_object()).cloned();
    NAMES.iter().any(|key| name(one, key) != name(other, key))
}

/// What the objects and the spec tell of a release whose status cannot be read.
pub struct Remains<'a> {
    /// The revision that served users when the release began.
    pub stable: String,
    /// The revision that is taken out, and the name of its ReplicaSet.
    pub candidate: (String, String),
    /// How it is taken out.
    pub plan: &'a CanaryRolloutSpec,
    /// How the release ends, and when that was decided.
    pub ending: Ending,
}

/// A status by which everything goes back, with all that can be read of the stored one.
pub fn salvaged(stored: &Value, remains: Remains<'_>) -> Option<CanaryRolloutStatus> {
    let Remains {
        stable,
        candidate: (revision, replica_set),
        plan,
        ending,
    } = remains;
    let (at, plan) = (ending.at, json!(plan));
    let run = json!({"number": 0, "revision": revision, "replicaSet": replica_set, "stableRevision": stable, "startedAt": at,
        "step": 0, "steps": 0, "weight": "0%", "plan": plan});
    // Of what Warmfront took over it knows at least that it did.
    let taken_over = json!({"stableRevision": stable, "originals": {"paused": false}});
    let mut status = readable::<CanaryRolloutStatus>(taken_over, stored.as_object(), &["run"])?;
    let known = stored.get("run").and_then(Value::as_object);
    let run = readable::<Run>(
        run,
        known,
        &["intent", "growing", "undoing", "ending", "endedAt", "outcome", "reason"],
    )?;
    status.run = Some(Run {
        ending: Some(ending),
        ..run
    });
    status.phase = Phase::RollingBack;
    Some(status)
}

/// `value` with every field of `stored` that can be read, but for those that are left out.
fn readable<T: for<'de> Deserialize<'de>>(
    mut value: Value,
    stored: Option<&serde_json::Map<String, Value>>,
    left_out: &[&str],
) -> Option<T> {
    for (key, known) in stored
        .into_iter()
        .flatten()
        .filter(|(key, _)| !left_out.contains(&key.as_str()))
    {
        let mut with = value.clone();
        with[key] = known.clone();
        if T::deserialize(&with).is_ok() {
            value = with;
        }
    }
    T::deserialize(&value).ok()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::api::status::{EndReason, Outcome};

    fn stored() -> Value {
        let plan = json!({"workload": {"deployment": {"name": "catalog"}}, "traffic": {"gatewayAPI": {"routes": [{"name": "catalog"}]}},
            "unjudged": true, "later": {"placement": "Shared"}});
        json!({
            "phase": "Shifting", "stableRevision": "s", "later": {"unheard": "of"},
            "run": {"number": 3, "revision": "w", "replicaSet": "catalog-w", "stableRevision": "s", "startedAt": "2026-01-01T00:00:00Z",
                "step": 1, "steps": 3, "weight": "5%", "plan": plan, "warming": {"since": "now"}},
            "checks": [{"name": "a", "verdict": "perhaps", "threshold": "", "mood": 1}, {"name": "b", "verdict": "pass", "threshold": "", "mood": 2}],
            "history": [{"run": 2, "revision": "v", "outcome": "Evaporated", "reason": "Heat", "from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z", "heat": 9}],
        })
    }

    #[test]
    fn evidence_of_the_first_form_goes() {
        let mut stored = stored();
        stored["checks"][0]["evidence"] = json!("0 of the last 2 results bad");
        stored["checks"][1]["evidence"] = json!("0 of the last 2 results bad");
        let mut next = CanaryRolloutStatus::deserialize(&stored).unwrap();
        next.message = "goes on".to_owned();
        let kept = keeping(&stored, &next);
        for (index, name) in ["a", "b"].into_iter().enumerate() {
            let check = &kept["checks"][index];
            assert_eq!((&check["name"], &check["evidence"]), (&json!(name), &Value::Null));
        }
    }

    #[test]
    fn what_is_not_known_is_kept_by_every_write() {
        let stored = stored();
        let read = CanaryRolloutStatus::deserialize(&stored).unwrap();
        let same = keeping(&stored, &read);
        for (key, value) in stored.as_object().unwrap() {
            assert_eq!(same[key], *value, "{key}");
        }
        let mut next = read.clone();
        next.message = "goes on".to_owned();
        next.run.as_mut().unwrap().step = 2;
        next.checks.remove(0);
        next.checks[0].message = "more".to_owned();
        let mut newest = next.history[0].clone();
        newest.run = 3;
        next.history.insert(0, newest);
        let kept = keeping(&stored, &next);
        assert_eq!(
            (&kept["later"], &kept["run"]["warming"]),
            (&stored["later"], &stored["run"]["warming"])
        );
        assert_eq!(
            (&kept["run"]["step"], &kept["run"]["plan"]),
            (&json!(2), &stored["run"]["plan"])
        );
        assert_eq!(
            (&kept["checks"][0]["mood"], &kept["checks"][0]["message"]),
            (&json!(2), &json!("more"))
        );
        assert_eq!(
            (&kept["history"][0].get("heat"), &kept["history"][1]),
            (&None, &stored["history"][0])
        );
        assert_eq!(
            CanaryRolloutStatus::deserialize(&kept).unwrap(),
            next,
            "it reads back as it was decided"
        );
    }

    #[test]
    fn what_a_newer_version_knows_of_a_release_is_no_news_of_the_next_one() {
        let stored = stored();
        let mut next = CanaryRolloutStatus::deserialize(&stored).unwrap();
        let run = next.run.as_mut().unwrap();
        (run.number, run.revision) = (4, "x".to_owned());
        assert_eq!(keeping(&stored, &next)["run"].get("warming"), None);
    }

    #[test]
    fn of_a_status_that_cannot_be_read_the_rest_is_used() {
        let now: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
        let plan = CanaryRolloutSpec::deserialize(&stored()["run"]["plan"]).unwrap();
        for (field, value) in [
            ("/run/plan", json!(5)),
            ("/run/number", json!("many")),
            ("/run", json!([])),
            ("/checks", json!(7)),
            ("/events", json!("x")),
        ] {
            let mut stored = stored();
            stored["events"] = json!({"emitted": 9});
            *stored.pointer_mut(field).unwrap() = value;
            assert!(CanaryRolloutStatus::deserialize(&stored).is_err(), "{field}");
            let ending = Ending {
                outcome: Outcome::RolledBack,
                reason: EndReason::Aborted,
                message: String::new(),
                at: now,
            };
            let remains = Remains {
                stable: "s".to_owned(),
                candidate: ("w".to_owned(), "catalog-w".to_owned()),
                plan: &plan,
                ending,
            };
            let status = salvaged(&stored, remains).unwrap();
            let run = status.run.as_ref().unwrap();
            assert_eq!(
                (status.phase, run.revision.as_str(), status.stable_revision.as_deref()),
                (Phase::RollingBack, "w", Some("s"))
            );
            assert_eq!(status.events.emitted, if field == "/events" { 0 } else { 9 });
        }
    }
}
