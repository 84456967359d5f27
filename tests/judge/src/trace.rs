//! One release, tick by tick, for people.

use std::fmt::Write;

use warmfront::engine::judge::tick::{Count, Reading, Sides, Tick};

use crate::{
    cache, drive,
    engine::Engine,
    params::Scenario,
    rule::{Order, Said},
    table,
    world::{PRE_RUN, Seen, checks},
};

/// The run with this number of a scenario: a line for each tick, shares in percent of the new version and of the old one.
pub fn of(scenario: &Scenario, seed: u64, run: u32) -> String {
    let mut text = format!(
        "{}, run {run}\n{:>5} {:>6} {:>14} {:>13} {:>13} {:>13} {:>7}\n",
        scenario.name, "tick", "weight", "requests", "errors", "slow", "misses", "load"
    );
    let mut t = -i64::from(PRE_RUN);
    let seed = table::seed_of(scenario.seed.unwrap_or(seed), run);
    let params = &scenario.params;
    let mut watch = |seen: &Seen, said: &Said| {
        let _ = writeln!(text, "{}", line(t, seen, said));
        t += 1;
    };
    let mut rule = Engine::new(params);
    let ended = drive::release(params, cache::curve(params), seed, &mut rule, &mut watch);
    let _ = writeln!(text, "{ended:?}");
    text
}

fn line(t: i64, seen: &Seen, said: &Said) -> String {
    let tick = &seen.tick;
    let counted = |check: usize| match tick.readings.get(check) {
        Some(Reading::Counts(sides)) => shares(*sides),
        _ => String::new(),
    };
    let mut line = format!(
        "{t:>5} {:>6.1} {:>14} {:>13} {:>13} {:>13} {:>7}",
        tick.weight * 100.0,
        requests(tick),
        counted(checks::ERRORS),
        counted(checks::SLOW),
        tick.lookups.map_or_else(String::new, shares),
        tick.origin_load.map_or_else(String::new, |load| format!("{load:.0}")),
    );
    if seen.overloaded {
        line += " overloaded";
    }
    match &said.order {
        Order::Stay => {}
        order => drop(write!(line, "  => {order:?}")),
    }
    for (what, why) in [("paused", &said.pause), ("waits", &said.cause)] {
        if let Some(why) = why {
            let _ = write!(line, "  {what}: {why}");
        }
    }
    if !said.says.is_empty() {
        line.push_str("  ");
        line.push_str(&said.says);
    }
    line
}

fn requests(tick: &Tick) -> String {
    tick.requests.map_or_else(String::new, |sides| {
        format!("{:.0}/{:.0}", sides.candidate, sides.baseline.unwrap_or(0.0))
    })
}

fn shares(sides: Sides<Count>) -> String {
    let percent = |count: Count| {
        if count.total > 0.0 {
            100.0 * count.bad / count.total
        } else {
            0.0
        }
    };
    let baseline = sides
        .baseline
        .map_or_else(String::new, |count| format!("/{:.2}", percent(count)));
    format!("{:.2}{baseline}", percent(sides.candidate))
}
