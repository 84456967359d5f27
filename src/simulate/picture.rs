//! A release as a picture of characters: bands over one time axis, and below it what was told.

use std::fmt::Write as _;

use ratatui_core::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Style},
    symbols::Marker,
    widgets::Widget as _,
};
use ratatui_widgets::canvas::{Canvas, Context, Line, Points};

use super::report::{Band, Report, clock};

/// Columns left of the bands, for what stands at their top and bottom.
const MARGIN: u16 = 8;
/// Lines of a band, below its name.
const HEIGHT: u16 = 4;
/// Fewer columns than this are no picture.
const NARROWEST: u16 = 40;
/// More are no clearer one.
const WIDEST: u16 = 200;
/// Marks of Events on the axis.
const MARKS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

const NEW: Color = Color::Cyan;
const OLD: Color = Color::DarkGray;
const LIMIT: Color = Color::Red;
const WARNING: Color = Color::Yellow;

/// Whether the picture has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// It is for a terminal.
    Ansi,
    /// It is plain text.
    None,
}

/// The picture, so many characters wide.
pub fn draw(report: &Report<'_>, width: u16, colours: Colours) -> String {
    let width = width.clamp(NARROWEST, WIDEST);
    let columns = width.saturating_sub(MARGIN);
    let bands = report.bands(u32::from(columns).saturating_mul(2));
    let count = u16::try_from(bands.len()).unwrap_or_default();
    let band_height = HEIGHT.saturating_add(1);
    let area = Rect::new(0, 0, width, count.saturating_mul(band_height).saturating_add(2));
    let mut buffer = Buffer::empty(area);
    for (band, top) in bands.iter().zip((0..).step_by(usize::from(band_height))) {
        band_at(band, &mut buffer, top, columns);
    }
    let notes = notes(report);
    let marks = marks(&notes, report.release.shown(), columns);
    axis(report, &marks, &mut buffer, area.height.saturating_sub(2), columns);
    let mut text = head(report, usize::from(width));
    text.push_str(&lines(&buffer, colours));
    text.push('\n');
    for ((_, mark), note) in marks.iter().zip(&notes) {
        let head = format!("{mark} {:>7}  {}  ", clock(note.at), note.name);
        let colour = note.warning.then_some(WARNING);
        text.push_str(&painted(
            &wrapped(&head, note.says, 11, usize::from(width)),
            colour,
            colours,
        ));
    }
    text.push('\n');
    text.push_str(&wrapped(
        "",
        &format!("{}: {}", report.end(), report.release.message),
        0,
        usize::from(width),
    ));
    text
}

/// What is simulated, and how lines are to be read.
fn head(report: &Report<'_>, width: usize) -> String {
    let (subject, simulation) = (report.subject, &report.subject.simulation);
    let mut said = format!(
        "{}/{}: {} requests/s",
        subject.namespace, subject.name, simulation.traffic.requests_per_second
    );
    match &simulation.cache.cold {
        Some(cold) => {
            let _ = write!(said, ", a cold cache of {} keys", cold.keys);
        }
        None => said.push_str(", a warm cache"),
    }
    if let Some(capacity) = simulation.database.queries_per_second {
        let _ = write!(said, ", a database for {capacity} queries/s");
    }
    let _ = write!(said, ", seed {}.", simulation.seed);
    let queries = report.taken_for_good();
    if !queries.is_empty() {
        let _ = write!(said, " Not simulated, taken for good: {}.", queries.join(", "));
    }
    let key = "Lines: the new version; · the old version; - the limit.";
    format!("{}{}\n", wrapped("", &said, 0, width), wrapped("", key, 0, width))
}

fn band_at(band: &Band, buffer: &mut Buffer, top: u16, columns: u16) {
    let mut name = band.name.clone();
    if let Some((least, most)) = band.least_and_most() {
        let _ = write!(name, "  {} to {}", band.unit.says(least), band.unit.says(most));
    }
    if !band.limit_says.is_empty() {
        let _ = write!(name, "  ({})", band.limit_says);
    }
    buffer.set_stringn(MARGIN, top, &name, usize::from(columns), Style::default());
    let first = top.saturating_add(1);
    let last = top.saturating_add(HEIGHT);
    for (row, number) in [(first, band.top), (last, 0.0)] {
        let label = format!("{:>6}", band.unit.says(number));
        buffer.set_stringn(0, row, &label, usize::from(MARGIN), Style::default());
    }
    for row in first..=last {
        buffer.set_stringn(MARGIN.saturating_sub(1), row, "│", 1, Style::default());
    }
    lines_of(band, buffer, Rect::new(MARGIN, first, columns, HEIGHT));
}

/// The limit, the old version over it, and the new one over both.
fn lines_of(band: &Band, buffer: &mut Buffer, area: Rect) {
    let limit = band.limit.into_iter().flat_map(|limit| {
        let dashes = (0..area.width).step_by(2);
        dashes.map(move |column| (f64::from(column) * 2.0, limit))
    });
    let limit: Vec<(f64, f64)> = limit.collect();
    let old: Vec<(f64, f64)> = points(&band.old).step_by(2).collect();
    let new: Vec<(f64, f64)> = points(&band.new).collect();
    for (coords, color, marker) in [(&limit, LIMIT, '-'), (&old, OLD, '·')] {
        let points = Points { coords, color };
        paint(band, buffer, area, Marker::Custom(marker), |to| to.draw(&points));
    }
    paint(band, buffer, area, Marker::Braille, |to| {
        for (from, next) in new.iter().zip(new.iter().skip(1)) {
            if next.0 - from.0 < 1.5 {
                to.draw(&Line::new(from.0, from.1, next.0, next.1, NEW));
            }
        }
    });
}

fn paint(band: &Band, buffer: &mut Buffer, area: Rect, marker: Marker, lines: impl Fn(&mut Context<'_>)) {
    let canvas = Canvas::default()
        .marker(marker)
        .x_bounds([0.0, f64::from(area.width) * 2.0 - 1.0])
        .y_bounds([0.0, band.top]);
    canvas.paint(lines).render(area, buffer);
}

/// Columns in which there is a figure, and the figure.
fn points(figures: &[Option<f64>]) -> impl Iterator<Item = (f64, f64)> {
    let numbered = (0_u32..).map(f64::from).zip(figures);
    numbered.filter_map(|(column, figure)| Some((column, (*figure)?)))
}

/// What is told below the picture.
struct Note<'a> {
    at: f64,
    /// The reason of an Event; in brackets, what is waited for.
    name: String,
    warning: bool,
    says: &'a str,
}

/// Events and waits in their order. Of what was before the release only warnings are told.
fn notes<'a>(report: &'a Report<'_>) -> Vec<Note<'a>> {
    let events = report.release.events.iter().map(|event| Note {
        at: event.at,
        name: event.reason.clone(),
        warning: event.warning,
        says: &event.note,
    });
    let waits = report.release.waited.iter().map(|waited| Note {
        at: waited.at,
        name: format!("({})", waited.cause),
        warning: false,
        says: &waited.message,
    });
    let mut notes: Vec<Note<'_>> = events
        .filter(|note| note.at >= 0.0 || note.warning)
        .chain(waits)
        .collect();
    notes.sort_by(|one, other| one.at.total_cmp(&other.at));
    notes
}

/// In which column each is marked, and by what: of those that fall together the later ones move on.
fn marks(notes: &[Note<'_>], shown: f64, columns: u16) -> Vec<(u16, char)> {
    let mut free = 0_u16;
    let names = MARKS.chars().chain(std::iter::repeat('*'));
    let at = |note: &Note<'_>| {
        let part = (note.at / shown).clamp(0.0, 1.0);
        let reached = (0..columns).rfind(|column| f64::from(*column) <= part * f64::from(columns));
        reached.unwrap_or_default()
    };
    let marked = notes.iter().zip(names).map(|(note, name)| {
        let column = at(note).max(free);
        free = column.saturating_add(1);
        (column, name)
    });
    marked.collect()
}

/// The time axis, with the Events above its numbers.
fn axis(report: &Report<'_>, marks: &[(u16, char)], buffer: &mut Buffer, row: u16, columns: u16) {
    let line: String = std::iter::repeat_n('─', usize::from(columns)).collect();
    buffer.set_stringn(
        MARGIN.saturating_sub(1),
        row,
        format!("└{line}"),
        usize::from(columns).saturating_add(1),
        Style::default(),
    );
    for (column, mark) in marks.iter().filter(|(column, _)| *column < columns) {
        buffer.set_stringn(
            MARGIN.saturating_add(*column),
            row,
            mark.to_string(),
            1,
            Style::default(),
        );
    }
    for quarter in 0..=4_u16 {
        let label = clock(report.release.shown() * f64::from(quarter) / 4.0);
        let length = u16::try_from(label.len()).unwrap_or_default();
        let at = MARGIN.saturating_add(columns.saturating_mul(quarter) / 4);
        let at = if quarter == 4 { at.saturating_sub(length) } else { at };
        buffer.set_stringn(at, row.saturating_add(1), &label, usize::from(length), Style::default());
    }
}

/// The buffer as lines, without the blanks at their ends.
fn lines(buffer: &Buffer, colours: Colours) -> String {
    let mut text = String::new();
    for row in 0..buffer.area.height {
        let mut line = String::new();
        let mut now = Color::Reset;
        for column in 0..buffer.area.width {
            let Some(cell) = buffer.cell((column, row)) else {
                continue;
            };
            let symbol = cell.symbol();
            let blank = symbol.chars().all(|c| c == ' ' || c == '\u{2800}');
            let wanted = if blank { now } else { cell.fg };
            if colours == Colours::Ansi && wanted != now {
                line.push_str(escape(wanted));
                now = wanted;
            }
            line.push_str(if blank { " " } else { symbol });
        }
        text.push_str(line.trim_end());
        if now != Color::Reset {
            text.push_str(escape(Color::Reset));
        }
        text.push('\n');
    }
    text
}

fn escape(colour: Color) -> &'static str {
    match colour {
        NEW => "\x1b[36m",
        OLD => "\x1b[90m",
        LIMIT => "\x1b[31m",
        WARNING => "\x1b[33m",
        _ => "\x1b[0m",
    }
}

fn painted(text: &str, colour: Option<Color>, colours: Colours) -> String {
    match (colour, colours) {
        (Some(colour), Colours::Ansi) => format!("{}{text}{}", escape(colour), escape(Color::Reset)),
        _ => text.to_owned(),
    }
}

/// `head` and the text after it, in lines of at most `width` characters; all but the first begin with `indent` blanks.
fn wrapped(head: &str, text: &str, indent: usize, width: usize) -> String {
    let mut lines = head.to_owned();
    let mut length = head.chars().count();
    for (number, word) in text.split_whitespace().enumerate() {
        let more = word.chars().count();
        if number > 0 && length.saturating_add(more) >= width {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            length = indent;
        } else if number > 0 {
            lines.push(' ');
            length = length.saturating_add(1);
        }
        lines.push_str(word);
        length = length.saturating_add(more);
    }
    lines.push('\n');
    lines
}
