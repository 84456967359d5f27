//! The figures as Markdown: one column per size, what they were measured on, and every request by verb and resource.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use anyhow::Context as _;

use crate::figures::{Figures, Load, Size};

/// A row: what it says, and how a cell is read off the figures.
type Row = (&'static str, fn(&Figures) -> Option<String>);

const ROWS: &[Row] = &[
    ("**at rest**: CPU, s/min", |figures| {
        figures.idle.as_ref().map(|load| format!("{:.2}", load.cpu))
    }),
    ("at rest: resident memory, MiB", |figures| {
        figures.idle.as_ref().map(|load| format!("{:.0}", load.resident))
    }),
    ("at rest: API requests/min (renewals of the lease)", |figures| {
        figures.idle.as_ref().map(requests)
    }),
    ("at rest: metric queries/min", |figures| {
        figures.idle.as_ref().map(|load| format!("{:.0}", load.queries))
    }),
    (
        "at rest: peak memory while others make 50 Deployments of 1 MB and edit a ConfigMap, MiB more",
        |figures| figures.hostile.map(|more| format!("{more:.0}")),
    ),
    ("**all held at 5%, judged every 10 s**: CPU, s/min", |figures| {
        figures.active.as_ref().map(|load| format!("{:.2}", load.cpu))
    }),
    ("held: resident memory, MiB", |figures| {
        figures.active.as_ref().map(|load| format!("{:.0}", load.resident))
    }),
    ("held: API requests/min (renewals of the lease)", |figures| {
        figures.active.as_ref().map(requests)
    }),
    ("held: metric queries/min", |figures| {
        figures.active.as_ref().map(|load| format!("{:.0}", load.queries))
    }),
    ("held: passes/min; median, p99", |figures| {
        let load = figures.active.as_ref()?;
        Some(format!(
            "{:.0}; {}",
            load.passes,
            load.pass
                .map_or("–".to_owned(), |(p50, p99)| format!("{p50:.1} ms, {p99:.1} ms"))
        ))
    }),
    (
        "flipped metric → weight 0, 10 s interval: median (worst; tries)",
        |figures| spread(&figures.flips),
    ),
    (
        "flipped metric → weight 0, 1 s interval, `settle: 0s`: median (worst; tries)",
        |figures| spread(&figures.fast_flips),
    ),
    (
        "the same beside a hostile namespace (10 rollouts, 16 slow queries each), 10 s interval: median (worst; tries)",
        |figures| spread(&figures.hostile_flips),
    ),
    (
        "beside a hostile namespace: CPU, s/min; resident memory, MiB",
        |figures| {
            let load = figures.hostile_load.as_ref()?;
            Some(format!("{:.2}; {:.0}", load.cpu, load.resident))
        },
    ),
    (
        "release 5, 10, 25, 50, 75, 100% with 5 s holds: from the first confirmation to promoted",
        |figures| {
            figures
                .release
                .as_ref()
                .map(|release| format!("{:.1} s", release.seconds))
        },
    ),
    ("that release's API writes besides Events", |figures| {
        figures
            .release
            .as_ref()
            .map(|release| release.writes.values().sum::<u64>().to_string())
    }),
    (
        "SIGKILL in the middle of a 30 s step, restart 5 s later: the step became",
        |figures| seconds(&figures.killed_steps),
    ),
    (
        "SIGKILL in the step's last 5 s, restart 5 s later: went on so long after the restart",
        |figures| seconds(&figures.late_restarts),
    ),
    (
        "metrics store down 2 min, default limits: false rollbacks; weights raised while blind",
        |figures| {
            figures.outage.as_ref().map(|outage| {
                format!(
                    "{} of {}; {} of {}",
                    outage.rolled_back, outage.tries, outage.raised, outage.tries
                )
            })
        },
    ),
    ("after its return the releases went on within", |figures| {
        figures.outage.as_ref().and_then(|outage| seconds(&outage.went_on))
    }),
];

fn requests(load: &Load) -> String {
    format!("{:.0} ({:.0})", load.requests_total, load.lease)
}

fn seconds(values: &[f64]) -> Option<String> {
    let texts: Vec<String> = values.iter().map(|value| format!("{value:.1}")).collect();
    (!texts.is_empty()).then(|| format!("{} s", texts.join(", ")))
}

fn spread(values: &[f64]) -> Option<String> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let worst = sorted.last()?;
    let middle = sorted.len() / 2;
    let median = if sorted.len().is_multiple_of(2) {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    } else {
        sorted[middle]
    };
    Some(format!("{median:.2} s ({worst:.2} s; {})", sorted.len()))
}

/// The whole report.
pub fn markdown(commit: &str, results: &Path, sizes: &[Size]) -> anyhow::Result<String> {
    let mut columns = Vec::with_capacity(sizes.len());
    for size in sizes {
        let file = results.join(format!("{size}.json"));
        let text =
            fs::read_to_string(&file).with_context(|| format!("reading {}: measure it first", file.display()))?;
        columns.push(serde_json::from_str::<Figures>(&text).with_context(|| format!("reading {}", file.display()))?);
    }
    let mut text = format!(
        "Commit {commit}, measured by `make bench` on {}; etcd, kube-apiserver, kube-controller-manager, kwok and the stand-ins for gateway and metrics store share it.\n\n",
        machine()
    );
    let heads: Vec<String> = sizes
        .iter()
        .map(|size| {
            format!(
                "{}{}",
                size.rollouts,
                if size.idle_only { " (at rest only)" } else { "" }
            )
        })
        .collect();
    table(
        &mut text,
        "rollouts",
        &heads,
        ROWS.iter()
            .map(|(name, cell)| (*name, columns.iter().map(cell).collect())),
    );

    for (title, load) in [
        (
            "at rest",
            (|figures| figures.idle.as_ref()) as fn(&Figures) -> Option<&Load>,
        ),
        ("held at 5%", |figures| figures.active.as_ref()),
    ] {
        let names: BTreeSet<&str> = columns
            .iter()
            .filter_map(load)
            .flat_map(|load| load.requests.keys().map(String::as_str))
            .collect();
        let cell = |name: &str, figures: &Figures| load(figures)?.requests.get(name).map(|rate| format!("{rate:.1}"));
        let rows = names
            .iter()
            .map(|name| (*name, columns.iter().map(|figures| cell(name, figures)).collect()));
        if !names.is_empty() {
            table(&mut text, &format!("API requests/min, {title}"), &heads, rows);
        }
    }
    let names: BTreeSet<&str> = columns
        .iter()
        .filter_map(|figures| figures.release.as_ref())
        .flat_map(|release| release.writes.keys().map(String::as_str))
        .collect();
    let cell = |name: &str, figures: &Figures| figures.release.as_ref()?.writes.get(name).map(u64::to_string);
    if !names.is_empty() {
        table(
            &mut text,
            "writes of a release",
            &heads,
            names
                .iter()
                .map(|name| (*name, columns.iter().map(|figures| cell(name, figures)).collect())),
        );
    }
    Ok(text)
}

/// Rows in which no column has a figure are left out.
fn table<'a>(
    text: &mut String,
    corner: &str,
    heads: &[String],
    rows: impl Iterator<Item = (&'a str, Vec<Option<String>>)>,
) {
    // Writing to a text cannot fail.
    let _ = writeln!(
        text,
        "| {corner} | {} |\n|---|{}",
        heads.join(" | "),
        "---:|".repeat(heads.len())
    );
    for (name, cells) in rows.filter(|(_, cells)| cells.iter().any(Option::is_some)) {
        let cells: Vec<String> = cells
            .into_iter()
            .map(|cell| cell.unwrap_or_else(|| "–".to_owned()))
            .collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text.push('\n');
}

/// Cores, memory and model of the machine.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines()
            .find_map(|line| {
                line.strip_prefix(name)
                    .map(|rest| rest.trim_start_matches([':', ' ', '\t']).to_owned())
            })
            .unwrap_or_default()
    };
    let memory: u64 = field("/proc/meminfo", "MemTotal")
        .split_whitespace()
        .next()
        .and_then(|kib| kib.parse().ok())
        .unwrap_or_default();
    format!(
        "{cores} cores ({}), {} GiB of memory",
        field("/proc/cpuinfo", "model name"),
        (memory + (1 << 19)) >> 20
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Outage;

    #[test]
    fn a_column_without_a_figure_has_a_dash_and_an_empty_row_is_left_out() -> anyhow::Result<()> {
        let folder = std::env::temp_dir().join(format!("warmfront-bench-report-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let outage = Outage {
            tries: 5,
            rolled_back: 0,
            raised: 1,
            went_on: vec![],
        };
        let one = Figures {
            flips: vec![1.0, 4.0, 2.0, 9.0],
            outage: Some(outage),
            ..Figures::default()
        };
        for (size, figures) in [("1", &one), ("200", &Figures::default())] {
            fs::write(folder.join(format!("{size}.json")), serde_json::to_string(figures)?)?;
        }
        let sizes = ["1", "200"]
            .map(str::parse::<Size>)
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .map_err(anyhow::Error::msg)?;
        let text = markdown("abc", &folder, &sizes);
        fs::remove_dir_all(&folder)?;
        let text = text?;
        assert!(
            text.contains(
                "| flipped metric → weight 0, 10 s interval: median (worst; tries) | 3.00 s (9.00 s; 4) | – |"
            ),
            "{text}"
        );
        assert!(text.contains("| 0 of 5; 1 of 5 | – |"), "{text}");
        assert!(!text.contains("SIGKILL"), "{text}");
        Ok(())
    }
}
