//! A release for programs: JSON and CSV.

use std::fmt::Write as _;

use serde::Serialize;

use super::report::{Figures, Report};

/// As JSON.
pub fn json(summary: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(summary).map(|text| text + "\n")
}

const HEAD: &str = "seconds,weight,new_requests_per_second,new_hit_ratio,new_error_rate,new_latency_seconds,new_slow,\
old_requests_per_second,old_hit_ratio,old_error_rate,old_latency_seconds,old_slow,database_queries_per_second,events\n";

/// As CSV: a row for each tick, empty where there is no figure, with the Events of its time.
pub fn csv(report: &Report<'_>) -> String {
    let mut text = HEAD.to_owned();
    let mut from = 0.0;
    for row in report.rows() {
        let within = |at: f64| at <= row.time && (at > from || from <= 0.0);
        let events = report.release.events.iter().filter(|event| within(event.at));
        let events: Vec<&str> = events.map(|event| event.reason.as_str()).collect();
        // A text cannot fail to grow.
        let _ = writeln!(
            text,
            "{},{},{},{},{},{}",
            row.time,
            row.weight,
            of(&row.new),
            of(&row.old),
            row.database_load,
            events.join(" ")
        );
        from = row.time;
    }
    text
}

fn of(figures: &Figures) -> String {
    let maybe = |figure: Option<f64>| figure.map(|figure| figure.to_string()).unwrap_or_default();
    format!(
        "{},{},{},{},{}",
        figures.requests_per_second,
        maybe(figures.hit_ratio),
        maybe(figures.error_rate),
        maybe(figures.latency),
        maybe(figures.slow)
    )
}
