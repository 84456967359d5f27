//! Each example shows what it says, twice the same and at once; what is wrong in a file is named.

use std::{collections::BTreeSet, fs, path::PathBuf};

use super::{
    expected, file,
    picture::{self, Colours},
    release::{self, Release},
    report::Report,
    spec::End,
    svg, table,
};

fn examples() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/simulations");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    found.sort();
    found
}

/// Seconds that this thread has run, however busy the machine is.
fn busy() -> f64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// All that is printed of it.
fn printed(subject: &file::Subject, release: &Release) -> [String; 4] {
    let report = Report::new(subject, release);
    [
        picture::draw(&report, 80, Colours::None),
        svg::draw(&report),
        table::json(&report.summary()).unwrap(),
        table::csv(&report),
    ]
}

#[test]
fn each_example_shows_what_it_says() {
    let examples = examples();
    assert!(examples.len() >= 12, "{examples:?}");
    for path in examples {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let says = fs::read_to_string(&path).unwrap();
        assert!(says.starts_with("# "), "{name} does not say what it shows");
        let subject = file::read(&[path]).unwrap();
        let expect = subject.simulation.expect.as_ref().unwrap();
        let before = busy();
        let release = release::run(&subject).unwrap();
        let took = busy() - before;
        let broken = expected::broken(expect, &release);
        assert!(broken.is_empty(), "{name}: {broken:?}: {}", release.message);
        assert!(took < 2.0, "{name} took {took:.1}s");
        let again = release::run(&subject).unwrap();
        assert_eq!(printed(&subject, &release), printed(&subject, &again), "{name}");
    }
}

const ROLLOUT: &str = "
apiVersion: warmfront.dev/v1alpha1
kind: CanaryRollout
metadata: {name: catalog}
spec:
  workload: {deployment: {name: catalog}}
  traffic: {gatewayAPI: {routes: [{name: catalog, rules: [main, other]}, {name: rpc, kind: GRPCRoute}]}}
  steps: [{weight: 20, hold: 1m}, {weight: 100}]
  bake: 1m
  checks: [{errorRate: {max: 1%}}, {name: queue, query: {promql: queue, max: 9}}]
";

const WORLD: &str = "
apiVersion: warmfront.dev/v1alpha1
kind: Simulation
traffic: {requestsPerSecond: 100}
";

fn both(rollout: &str, world: &str) -> anyhow::Result<Release> {
    release::run(&file::parse(&format!("{rollout}---{world}"))?)
}

#[test]
fn a_release_of_any_kind_goes_through() {
    let release = both(ROLLOUT, WORLD).unwrap();
    assert_eq!(release.end, End::Promoted, "{}", release.message);
    let pair = ROLLOUT.replace(
        "{deployment: {name: catalog}}",
        "{pair: {baseline: {deployment: plain, service: plain}, candidate: {deployment: cached, service: cached}}}",
    );
    let release = both(&pair, WORLD).unwrap();
    assert_eq!(release.end, End::Promoted, "{}", release.message);
    let bad = format!("{WORLD}faults: {{errors: 20%}}\n");
    let release = both(&pair, &bad).unwrap();
    assert_eq!(release.end, End::RolledBack, "{}", release.message);
}

#[test]
fn an_abort_takes_back_what_was_promoted() {
    let keeps = ROLLOUT.replace("  bake: 1m\n", "  bake: 1m\n  keepStable: 30m\n");
    let release = both(&keeps, &format!("{WORLD}actions: [{{at: 20m, action: Abort}}]\n")).unwrap();
    let told = |reason: &str| {
        release
            .events
            .iter()
            .find(|event| event.reason == reason)
            .map(|event| event.at)
    };
    assert!(
        told("Promoted") < Some(1_200.0) && told("ActionApplied") == Some(1_200.0),
        "{:?}",
        release.events
    );
    assert_eq!(release.end, End::RolledBack, "{}", release.message);
}

#[test]
fn only_the_counters_of_the_contract_are_simulated() {
    let stale = "{name: stale, ratio: {bad: cache_stale_total, total: cache_stale_sampled_total}, max: 1%}";
    let rollout = ROLLOUT.replace("{name: queue,", &format!("{stale}, {{name: queue,"));
    let world = format!("{WORLD}cache: {{sampled: 50%}}\nfaults: {{stale: 20%}}\n");
    let release = both(&rollout, &world).unwrap();
    assert_eq!(release.end, End::RolledBack, "{}", release.message);
    let others = rollout.replace("cache_stale_total", "cache_fallback_total");
    let subject = file::parse(&format!("{others}---{world}")).unwrap();
    let release = release::run(&subject).unwrap();
    assert_eq!(release.end, End::Promoted, "{}", release.message);
    assert_eq!(Report::new(&subject, &release).taken_for_good(), ["stale", "queue"]);
}

#[test]
fn another_seed_is_other_chance_and_the_same_world() {
    let seeds = (1..6).map(|seed| {
        let release = both(ROLLOUT, &format!("{WORLD}faults: {{errors: 5%}}\nseed: {seed}\n")).unwrap();
        assert_eq!(release.end, End::RolledBack, "{}", release.message);
        release.message
    });
    assert!(seeds.collect::<BTreeSet<_>>().len() > 1);
}

/// What stands at the end of a world, and what is said of it.
const WRONG: [(&str, &str); 11] = [
    ("faults: {error: 5%}", "unknown field faults.error"),
    ("cache: {cold: {keys: 10, size: 3}}", "unknown field cache.cold.size"),
    ("speed: 3", "unknown field speed"),
    ("faults: {errors: 500%}", "faults.errors: `500%` is not a percentage"),
    (
        "faults: {databaseStops: {at: soon, for: 2s}}",
        "faults.databaseStops.at: `soon` is not a",
    ),
    ("faults: {databaseStops: {at: 2s}}", "missing field `for`"),
    (
        "actions: [{at: 7h, action: Promote}]",
        "actions[0].at is 7h, when the simulation is over",
    ),
    (
        "actions: [{at: 1m, action: Dance}]",
        "actions[0].action: unknown variant `Dance`",
    ),
    ("duration: 1s", "duration is 1s: write 1m to"),
    ("scrapeInterval: 1h", "scrapeInterval is 1h: write 1s to 10m"),
    ("cache: {cold: {keys: 0}}", "cache.cold.keys is 0: write 1 to"),
];

#[track_caller]
fn wrong(rollout: &str, world: &str, says: &str) {
    let why = format!("{:#}", both(rollout, world).unwrap_err());
    assert!(why.contains(says), "{why}\ndoes not say {says}");
}

#[test]
fn what_is_wrong_in_a_world_is_named() {
    for (end, says) in WRONG {
        wrong(ROLLOUT, &format!("{WORLD}{end}\n"), says);
    }
    let other = |from: &str, to: &str| WORLD.replace(from, to);
    wrong(
        ROLLOUT,
        &other("100", "-1"),
        "traffic.requestsPerSecond is -1: write 0 to",
    );
    wrong(ROLLOUT, &other("v1alpha1", "v9"), "apiVersion is \"warmfront.dev/v9\"");
    let cold = format!("{WORLD}cache: {{cold: {{keys: 10}}}}\n");
    let shared = ROLLOUT.replace("  bake: 1m\n", "  bake: 1m\n  cache: {placement: Shared}\n");
    wrong(&shared, &cold, "a cache that is shared does not begin cold");
}

#[test]
fn what_is_wrong_in_a_file_is_named() {
    let twice = format!("{WORLD}---{WORLD}");
    wrong(ROLLOUT, &twice, "there are 2 documents of kind Simulation");
    let other = WORLD.replace("kind: Simulation", "kind: Other");
    wrong(
        ROLLOUT,
        &other,
        "there is no Simulation: add a document of that kind, such as",
    );
    wrong("\nkind: Pod\n", WORLD, "there is no CanaryRollout");
    let with = |from: &str, to: &str| ROLLOUT.replace(from, to);
    wrong(&with("bake:", "baking:"), WORLD, "does not know spec.baking");
    wrong(&with("weight: 100", "weight: 90"), WORLD, "end with 100");
    wrong(
        &with("{name: catalog}\nspec", "{}\nspec"),
        WORLD,
        "metadata.name is missing",
    );
    let why = format!("{:#}", file::read(&["/no/such/file".into()]).unwrap_err());
    assert!(why.starts_with("reading /no/such/file: "), "{why}");
}

#[test]
fn a_picture_keeps_to_its_width_and_has_colours_only_where_they_are_wanted() {
    let subject = file::parse(&format!("{ROLLOUT}---{WORLD}faults: {{errors: 20%}}\n")).unwrap();
    let release = release::run(&subject).unwrap();
    let report = Report::new(&subject, &release);
    for width in [40, 80, 150] {
        let text = picture::draw(&report, width, Colours::None);
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
        // A word may be longer than a narrow line.
        assert!(
            width == 40 || longest <= usize::from(width),
            "{longest} of {width}:\n{text}"
        );
        assert!(!text.contains('\x1b'));
    }
    let coloured = picture::draw(&report, 80, Colours::Ansi);
    assert!(coloured.contains("\x1b[36m") && coloured.contains("\x1b[33m"));
    let plain = picture::draw(&report, 80, Colours::None);
    let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let told = words.contains("rolled back after") && words.contains("Not simulated, taken for good: queue.");
    assert!(told, "{plain}");
}
