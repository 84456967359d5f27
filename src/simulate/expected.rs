//! Whether a release ended as its Simulation expects.

use super::{
    release::Release,
    report::{clock, share},
    spec::Expect,
};

/// What of an expectation does not hold, in one sentence each.
pub fn broken(expect: &Expect, release: &Release) -> Vec<String> {
    let word = |said: Option<String>| said.unwrap_or_else(|| "none".to_owned());
    let same = [
        (
            "outcome",
            expect.outcome.map(|end| end.to_string()),
            release.end.to_string(),
        ),
        (
            "reason",
            expect.reason.map(|reason| reason.to_string()),
            word(release.reason.map(|reason| reason.to_string())),
        ),
        (
            "pausedFor",
            expect.paused_for.map(|reason| reason.to_string()),
            word(release.paused_for.map(|reason| reason.to_string())),
        ),
        (
            "greatestWeight",
            expect.greatest_weight.map(|weight| share(weight.fraction())),
            share(release.greatest),
        ),
    ];
    let mut broken: Vec<String> = same
        .into_iter()
        .filter_map(|(field, should, is)| Some((field, should?, is)))
        .filter(|(_, should, is)| should != is)
        .map(|(field, should, is)| format!("expect.{field} is {should}, and it is {is}"))
        .collect();
    let told = |reason: &&String| !release.events.iter().any(|event| event.reason == **reason);
    let waited = |cause: &&String| !release.waited.iter().any(|waited| waited.cause == **cause);
    let missing = |field: &str, name: &String| format!("expect.{field} names {name}, which has not come");
    broken.extend(expect.events.iter().filter(told).map(|name| missing("events", name)));
    broken.extend(expect.causes.iter().filter(waited).map(|name| missing("causes", name)));
    let took = clock(release.took);
    if let Some(least) = expect.at_least.filter(|least| release.took < least.as_secs_f64()) {
        broken.push(format!("expect.atLeast is {least}, and it took {took}"));
    }
    if let Some(most) = expect.at_most.filter(|most| release.took > most.as_secs_f64()) {
        broken.push(format!("expect.atMost is {most}, and it took {took}"));
    }
    broken
}
