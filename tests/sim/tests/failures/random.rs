//! Random worlds: everybody does anything at any time; nothing that must never be is, and all comes to rest.

use warmfront_sim::{
    scenario::{Leaders, random::scenario},
    sweep::in_parallel,
};

use super::{from_environment, thousands};

/// Broken worlds that are shown whole.
const SHOWN: usize = 4;

#[test]
fn random_worlds() {
    let first = from_environment("WARMFRONT_FIRST_SEED", 0);
    let number = from_environment("WARMFRONT_WORLDS", 100);
    let seeds: Vec<u64> = (first..first + number).map(|seed| seed as u64).collect();
    let found = in_parallel(&seeds, |seed| {
        let scenario = scenario(*seed);
        // Every third world has calls that take random times.
        let ended = scenario.play_with(Leaders {
            number: 1,
            seed: seed.is_multiple_of(3).then_some(*seed),
        });
        (!ended.wrong.is_empty()).then(|| {
            let script = serde_yaml::to_string(&serde_json::to_value(&scenario).unwrap()).unwrap();
            let wrong = format!("seed {seed}:\n  {}", ended.wrong.join("\n  "));
            (wrong, script)
        })
    });
    let found: Vec<(String, String)> = found.into_iter().flatten().collect();
    for (wrong, _) in found.iter().skip(SHOWN) {
        super::say(wrong);
    }
    super::say(&format!(
        "random worlds: {} played, {} broken",
        thousands(seeds.len()),
        found.len()
    ));
    assert!(
        found.is_empty(),
        "{} broken, the first ones:\n{}",
        found.len(),
        found
            .iter()
            .take(SHOWN)
            .map(|(wrong, script)| format!("{wrong}\n# play it again with `make scenario FILE=…`\n{script}"))
            .collect::<Vec<_>>()
            .join("\n")
    );
}
