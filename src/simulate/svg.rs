//! A release as a picture for documents: the bands of the terminal's picture as SVG.

use std::fmt::Write as _;

use super::report::{Band, Report, clock};

/// Of the whole picture, in pixels.
const WIDTH: f64 = 960.0;
/// Left of the bands.
const MARGIN: f64 = 64.0;
/// Right of them.
const EDGE: f64 = 16.0;
/// Of a band, without its name.
const HEIGHT: f64 = 72.0;
/// From one band to the next.
const STEP: f64 = 104.0;
/// Above the first band.
const TOP: f64 = 72.0;
/// Figures along the time.
const COLUMNS: u32 = 440;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#57606a}.t{font-weight:600;fill:#24292f}\
.n{fill:none;stroke:#0969da;stroke-width:1.5}.o{fill:none;stroke:#8c959f;stroke-width:1.2}\
.l{stroke:#cf222e;stroke-dasharray:4 4}.f{fill:none;stroke:#d0d7de}.e{stroke:#bf8700;stroke-opacity:.5}";

/// The picture.
pub fn draw(report: &Report<'_>) -> String {
    let bands = report.bands(COLUMNS);
    let count = u32::try_from(bands.len()).map_or(0.0, f64::from);
    let bottom = TOP + count * STEP;
    let height = bottom + 24.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    label(
        &mut text,
        16.0,
        24.0,
        "t",
        &format!("{}/{}: {}", report.subject.namespace, report.subject.name, report.end()),
    );
    label(&mut text, 16.0, 42.0, "", &report.release.message);
    let key = "blue: the new version; grey: the old version; dashed: the limit; yellow: Events";
    label(&mut text, 16.0, 58.0, "", key);
    let mut top = TOP;
    for band in &bands {
        draw_band(&mut text, band, top);
        top += STEP;
    }
    marks(&mut text, report, bottom);
    text.push_str("</svg>\n");
    text
}

/// A place on the time axis, from 0 to 1.
fn across(part: f64) -> f64 {
    MARGIN + (WIDTH - MARGIN - EDGE) * part
}

// A text cannot fail to grow.
fn label(text: &mut String, x: f64, y: f64, class: &str, says: &str) {
    let _ = writeln!(
        text,
        "<text x=\"{x:.0}\" y=\"{y:.0}\" class=\"{class}\">{}</text>",
        escaped(says)
    );
}

fn escaped(says: &str) -> String {
    says.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn draw_band(text: &mut String, band: &Band, top: f64) {
    let first = top + 20.0;
    let at = |figure: f64| first + HEIGHT * (1.0 - (figure / band.top).clamp(0.0, 1.0));
    let mut name = band.name.clone();
    if !band.limit_says.is_empty() {
        let _ = write!(name, " ({})", band.limit_says);
    }
    label(text, MARGIN, top + 14.0, "t", &name);
    label(text, 8.0, first + 10.0, "", &band.unit.says(band.top));
    label(text, 8.0, first + HEIGHT, "", &band.unit.says(0.0));
    let width = WIDTH - MARGIN - EDGE;
    let _ = writeln!(
        text,
        "<rect x=\"{MARGIN}\" y=\"{first}\" width=\"{width}\" height=\"{HEIGHT}\" class=\"f\"/>"
    );
    if let Some(limit) = band.limit {
        let (y, right) = (at(limit), WIDTH - EDGE);
        let _ = writeln!(
            text,
            "<line x1=\"{MARGIN}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" class=\"l\"/>"
        );
    }
    for (figures, class) in [(&band.old, "o"), (&band.new, "n")] {
        let path = path(figures, at);
        if !path.is_empty() {
            let _ = writeln!(text, "<path d=\"{path}\" class=\"{class}\"/>");
        }
    }
}

/// A line that is broken where there is no figure.
fn path(figures: &[Option<f64>], at: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut goes_on = false;
    for (column, figure) in (0_u32..).map(f64::from).zip(figures) {
        if let Some(figure) = figure {
            let sign = if goes_on { 'L' } else { 'M' };
            let x = across((column + 1.0) / f64::from(COLUMNS));
            let _ = write!(path, "{sign}{x:.1} {:.1}", at(*figure));
        }
        goes_on = figure.is_some();
    }
    path
}

/// A line for each Event, with its time and sentence where a pointer rests on it, and the time axis.
fn marks(text: &mut String, report: &Report<'_>, bottom: f64) {
    let shown = report.release.shown();
    for event in report.release.events.iter().filter(|event| event.at >= 0.0) {
        let x = across(event.at / shown);
        let says = escaped(&format!("{} {}: {}", clock(event.at), event.reason, event.note));
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{bottom}\" class=\"e\"><title>{says}</title></line>",
            TOP + 20.0
        );
    }
    for quarter in [0.0, 0.25, 0.5, 0.75, 1.0] {
        label(
            text,
            across(quarter) - 20.0 * quarter - 10.0,
            bottom + 14.0,
            "",
            &clock(shown * quarter),
        );
    }
}
