//! Every scenario file holds, with an API server that holds changed templates and with one that does not.

use warmfront_sim::{scenario::Scenario, sweep::in_parallel};

#[test]
fn every_scenario_holds() {
    let all: Vec<(String, Scenario)> = Scenario::all()
        .unwrap()
        .into_iter()
        .flat_map(|(name, scenario)| scenario.both_ways(&name))
        .collect();
    let ended = in_parallel(&all, |(name, scenario)| (name.clone(), scenario.play(Vec::new())));
    let wrong: Vec<String> = ended
        .iter()
        .filter(|(_, ended)| !ended.wrong.is_empty())
        .map(|(name, ended)| format!("{name}:\n  {}", ended.wrong.join("\n  ")))
        .collect();
    super::say(&format!("scenarios: {} played, {} do not hold", all.len(), wrong.len()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_unknown_key_is_an_error() {
    let read = |text: &str| Scenario::read(text).map(|_| ()).map_err(|error| format!("{error:#}"));
    assert_eq!(read("title: a\nscript: [{do: [crash]}]"), Ok(()));
    assert!(read("title: a\nscirpt: []").unwrap_err().contains("scirpt"));
    assert!(
        read("title: a\nscript: [{do: [explode]}]")
            .unwrap_err()
            .contains("explode")
    );
    assert!(read("title: a\nend: {wieght: 5}").unwrap_err().contains("wieght"));
    assert!(read("title: a\ntitle: b").is_err());
}
