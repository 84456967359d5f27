//! Pictures and explanations of the states that a version has left, kept in `src/cli/golden/`; UPDATE=1 writes them anew.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::cli::{
    paint::Paint,
    tests::{golden, rollout, scene},
    why,
};

/// Ten minutes after most of them began.
fn now() -> Timestamp {
    "2027-01-15T08:10:20Z".parse().unwrap()
}

fn scenes() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/engine/tests/golden/v0.1");
    let files = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().file_name().to_string_lossy().replace(".json", ""))
        .collect();
    names.sort();
    names
}

#[test]
fn every_state_is_shown_and_explained_as_it_was() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/cli/golden");
    let update = std::env::var_os("UPDATE").is_some();
    if update {
        fs::create_dir_all(&folder).unwrap();
    }
    let scenes = scenes();
    assert!(scenes.len() >= 16, "{scenes:?}");
    let mut stale = Vec::new();
    for name in scenes {
        let rollout = scene(&name);
        let mut lines = vec!["$ kubectl canary status catalog".to_owned()];
        lines.extend(view::lines(&rollout, now(), 100, Paint::None));
        lines.push(String::new());
        lines.push("$ kubectl canary why catalog".to_owned());
        lines.extend(why::lines(&why::explain(&rollout, now()), 100, Paint::None));
        let text = lines.join("\n") + "\n";
        let file = folder.join(format!("{name}.txt"));
        if update {
            fs::write(&file, &text).unwrap();
        }
        if fs::read_to_string(&file).unwrap_or_default() != text {
            stale.push(name);
        }
    }
    assert!(
        stale.is_empty(),
        "{stale:?} look otherwise: UPDATE=1 writes them, then look at the difference"
    );
}

#[test]
fn the_documentation_shows_what_is_printed() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("src/cli/golden/rolled-back.txt")).unwrap();
    let page = root.join("docs/cli.md");
    let page = fs::read_to_string(page).unwrap();
    assert!(
        page.contains(&text),
        "docs/cli.md shows another text than src/cli/golden/rolled-back.txt: copy it"
    );
}

fn with(scene: &str, change: impl FnOnce(&mut Value)) -> Rollout {
    let mut status = golden(scene);
    change(&mut status);
    Rollout::new(serde_json::from_value(rollout(&status)).unwrap())
}

fn shown(rollout: &Rollout) -> String {
    view::lines(rollout, now(), 100, Paint::None).join("\n")
}

#[test]
fn the_present_step_is_marked_and_those_behind_it_are_done() {
    let rollout = with("shifting", |status| status["run"]["step"] = json!(2));
    let text = shown(&rollout);
    let marks: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("hold 10s"))
        .map(str::trim_end)
        .collect();
    assert!(marks[0].starts_with("  ✓      5%  hold 10s"), "{marks:#?}");
    assert!(marks[1].starts_with("  ▶     25%  hold 10s"), "{marks:#?}");
    assert!(marks[2].starts_with("       100%  hold 10s"), "{marks:#?}");
    let back = shown(&scene("rolled-back"));
    assert!(back.lines().any(|line| line.starts_with("  ✗      5%")), "{back}");
}

#[test]
fn a_weight_that_is_not_confirmed_has_its_deadline() {
    let rollout = with("shifting", |status| {
        status["run"]["intent"] = json!({"weight": "25%", "at": "2027-01-15T08:10:00Z"});
    });
    let text = shown(&rollout).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("5% for the new version, confirmed 08:00:02Z"), "{text}");
    assert!(text.contains("25% asked for 08:10:00Z (20s ago)"), "{text}");
    assert!(
        text.contains("the gateway to confirm 25%; rolled back 08:20:00Z (in 9m40s)"),
        "{text}"
    );
}

#[test]
fn what_is_waited_for_has_its_end_and_nothing_is_once_the_way_up_is_over() {
    let waiting = |rollout: &Rollout| {
        let status = rollout.status.as_ref().unwrap();
        let run = status.run.as_ref().unwrap();
        waits(status.phase, run, rollout.plan.as_ref().ok(), now())
    };
    let rollout = with("shifting", |status| {
        status["run"]["judge"]["said"]["holdUntil"] = json!("2027-01-15T08:10:50Z");
    });
    assert_eq!(waiting(&rollout)[0], "the hold of this step, until 08:10:50Z (in 30s)");
    let rollout = with("shifting", |status| {
        status["run"]["noDataSince"] = json!("2027-01-15T08:09:20Z");
    });
    assert_eq!(
        waiting(&rollout),
        ["data, which is missing since 08:09:20Z (60s ago); paused 08:19:20Z (in 9m) otherwise"]
    );
    let paused = waiting(&scene("without-data"));
    assert!(paused[0].starts_with("the end of the pause for NoData"), "{paused:#?}");
    assert!(!paused.iter().any(|line| line.contains("otherwise")), "{paused:#?}");
    for name in ["promoting", "rolling-back", "succeeded"] {
        assert!(waiting(&scene(name)).is_empty(), "{name}");
    }
}

#[test]
fn what_others_write_moves_no_cursor() {
    let rollout = with("shifting", |status| {
        status["message"] = json!("pod said \u{1b}[2J");
        status["checks"][0]["message"] = json!("\u{1b}]0;title\u{7}");
    });
    assert!(!shown(&rollout).contains('\u{1b}'));
    assert!(!line(&rollout).contains('\u{1b}'));
}

#[test]
fn colours_change_nothing_but_the_colour() {
    for name in scenes() {
        let rollout = scene(&name);
        let coloured = view::lines(&rollout, now(), 100, Paint::Ansi).join("\n");
        assert!(coloured.contains("\x1b["), "{name}");
        let mut plain = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, behind)) = rest.split_once('\x1b') {
            plain.push_str(before);
            rest = behind.split_once('m').unwrap().1;
        }
        plain.push_str(rest);
        let trimmed = |text: &str| -> Vec<String> { text.lines().map(|line| line.trim_end().to_owned()).collect() };
        assert_eq!(trimmed(&plain), trimmed(&shown(&rollout)), "{name}");
    }
}

#[test]
fn watching_ends_with_the_release_and_says_how_it_ended() {
    let first = scene("shifting");
    assert_eq!(ended(&first, &first), None);
    assert_eq!(ended(&first, &scene("succeeded")), Some(Exit::Reached));
    assert_eq!(ended(&first, &scene("rolled-back")), Some(Exit::RolledBack));
    // Back it goes, but it is not back yet.
    assert_eq!(ended(&first, &scene("rolling-back")), None);
    let newer = with("shifting", |status| status["run"]["number"] = json!(2));
    assert_eq!(ended(&first, &newer), Some(Exit::Superseded));
    let both = with("shifting", |status| {
        status["run"]["number"] = json!(2);
        status["history"] = golden("rolled-back")["history"].clone();
    });
    assert_eq!(ended(&first, &both), Some(Exit::RolledBack), "its own end counts");
    assert_eq!(ended(&scene("idle"), &scene("idle")), Some(Exit::Reached));
    assert_eq!(
        ended(&scene("rolled-back"), &scene("rolled-back")),
        Some(Exit::RolledBack)
    );
}

#[test]
fn a_log_has_a_line_for_each_change() {
    let text = line(&scene("shifting"));
    assert!(text.starts_with("Shifting 1/3 5%: holding until 08:00:14Z"), "{text}");
    assert!(line(&scene("idle")).starts_with("Idle: "), "{}", line(&scene("idle")));
}
