//! Plays one scenario file and prints what happened.
//!
//! `scenario FILE`, with one call going wrong `scenario FILE CALL FAULT`, with two controllers whose
//! calls take random times `scenario FILE leaders SEED`, with one of that kind `scenario FILE leader SEED`.
#![allow(clippy::disallowed_methods, reason = "the fence is the engine's")]

use warmfront_sim::{
    access::Fault,
    process::Faults,
    scenario::{Leaders, Scenario},
};

fn fault(name: &str) -> anyhow::Result<Fault> {
    Ok(match name {
        "DiesBefore" => Fault::DiesBefore,
        "DiesAfter" => Fault::DiesAfter,
        "Hangs" => Fault::Hangs,
        "AnswerLost" => Fault::AnswerLost,
        "WatchesBreak" => Fault::WatchesBreak,
        "WatchesExpire" => Fault::WatchesExpire,
        "WatchesLag" => Fault::WatchesLag,
        code => Fault::Refused(code.parse().map_err(|_| anyhow::anyhow!("{code} is no fault"))?),
    })
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(file) = arguments.first() else {
        anyhow::bail!("usage: scenario FILE [CALL FAULT | leaders SEED | leader SEED]")
    };
    let scenario = Scenario::open(std::path::Path::new(file))?;
    let began = std::time::Instant::now();
    let ended = match (arguments.get(1).map(String::as_str), arguments.get(2)) {
        (Some("leaders"), Some(seed)) => scenario.play_with(Leaders {
            number: 2,
            seed: Some(seed.parse()?),
        }),
        (Some("leader"), Some(seed)) => scenario.play_with(Leaders {
            number: 1,
            seed: Some(seed.parse()?),
        }),
        (Some(call), Some(name)) => scenario.play(vec![Faults::from([(call.parse()?, fault(name)?)])]),
        _ => scenario.play(Vec::new()),
    };
    println!("{}\n{}", scenario.title, ended.timeline);
    println!("{} calls, {:?} of real time", ended.calls.len(), began.elapsed());
    if std::env::var_os("CALLS").is_some() {
        for (number, call) in ended.calls.iter().enumerate() {
            println!("call {number}: {call}");
        }
    }
    anyhow::ensure!(
        ended.wrong.is_empty(),
        "not as it must be:\n  {}",
        ended.wrong.join("\n  ")
    );
    println!("as it must be");
    Ok(())
}
