//! Two controllers that both believe to be the leader: no step twice, weights in order.

use warmfront_sim::{
    scenario::Leaders,
    sweep::{Report, in_parallel},
};

use super::{conclude, from_environment, releases};

#[test]
fn two_leaders() {
    let seeds = from_environment("WARMFRONT_LEADER_SEEDS", 3);
    let releases = releases();
    let alone = in_parallel(&releases, |(_, scenario)| scenario.play(Vec::new()));
    let jobs: Vec<(usize, u64)> = (0..releases.len())
        .flat_map(|index| (0..seeds as u64).map(move |seed| (index, seed)))
        .collect();
    let found = in_parallel(&jobs, |(index, seed)| {
        let (name, scenario) = &releases[*index];
        let ended = scenario.play_with(Leaders {
            number: 2,
            seed: Some(*seed),
        });
        let mut wrong = ended.wrong.clone();
        wrong.extend(alone[*index].outcome.differences(&ended.outcome));
        (!wrong.is_empty()).then(|| format!("{name} with two leaders, seed {seed}:\n  {}", wrong.join("\n  ")))
    });
    conclude(
        "two leaders",
        "interleavings",
        &Report {
            scenarios: releases.len(),
            runs: jobs.len(),
            differences: found.into_iter().flatten().collect(),
        },
    );
}
