//! A picture that is drawn again in place, and that stays when the command ends.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

use super::print;

/// What of the terminal the last picture takes.
#[derive(Debug, Default)]
pub struct Screen {
    drawn: usize,
}

/// Lines of a terminal that does not tell.
const HEIGHT: usize = 24;
/// Columns of a terminal that does not tell.
const WIDTH: usize = 80;

impl Screen {
    /// Nothing is drawn yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next picture begins below what stands there: something else was written meanwhile.
    pub fn forget(&mut self) {
        self.drawn = 0;
    }

    /// Draws the lines where the last ones stand. What the terminal is too small for is left out: lines that have scrolled away cannot be
    /// drawn again.
    pub fn draw(&mut self, lines: &[String]) -> anyhow::Result<()> {
        let (width, height) = size();
        let (text, drawn) = picture(lines, self.drawn, width, height);
        self.drawn = drawn;
        print::text(&text)
    }

    /// Draws the lines where the last ones stand, all of them: the last picture stays.
    pub fn leave(&mut self, lines: &[String]) -> anyhow::Result<()> {
        if !io::stdout().is_terminal() {
            return print::lines(lines);
        }
        let (text, _) = picture(lines, self.drawn, usize::MAX, usize::MAX);
        self.drawn = 0;
        print::text(&text)
    }
}

/// Columns and lines of the terminal.
pub fn size() -> (usize, usize) {
    terminal_size::terminal_size_of(io::stdout()).map_or((WIDTH, HEIGHT), |(width, height)| {
        (usize::from(width.0), usize::from(height.0))
    })
}

/// What is written, and how many lines of the terminal it then takes.
fn picture(lines: &[String], drawn: usize, width: usize, height: usize) -> (String, usize) {
    let fits = height.saturating_sub(1).max(1);
    let mut text = String::new();
    if drawn > 0 {
        // Up to the first line, and clear all that follows.
        let _ = write!(text, "\x1b[{drawn}F\x1b[J");
    }
    // Where room is short blank lines are the first to go.
    let close: Vec<&String> = lines
        .iter()
        .filter(|line| lines.len() <= fits || !line.is_empty())
        .collect();
    let lines = close.as_slice();
    let shown = if lines.len() > fits {
        fits.saturating_sub(1)
    } else {
        lines.len()
    };
    for line in lines.iter().take(shown) {
        text.push_str(&clipped(line, width));
        text.push('\n');
    }
    if shown < lines.len() {
        let _ = writeln!(text, "… {} more lines", lines.len().saturating_sub(shown));
        return (text, shown.saturating_add(1));
    }
    (text, shown)
}

/// At most so many columns of a line, which may have colours.
pub fn clipped(line: &str, width: usize) -> String {
    let mut clipped = String::with_capacity(line.len());
    let mut used = 0_usize;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\x1b' {
            clipped.push(character);
            for code in characters.by_ref() {
                clipped.push(code);
                if code == 'm' {
                    break;
                }
            }
        } else if used < width {
            used = used.saturating_add(1);
            clipped.push(character);
        }
    }
    clipped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> Vec<String> {
        (1..=count).map(|number| format!("line {number}")).collect()
    }

    #[test]
    fn a_picture_takes_the_place_of_the_last_one() {
        let (text, drawn) = picture(&lines(2), 0, 80, 24);
        assert_eq!((text.as_str(), drawn), ("line 1\nline 2\n", 2));
        let (text, drawn) = picture(&lines(1), drawn, 80, 24);
        assert_eq!((text.as_str(), drawn), ("\x1b[2F\x1b[Jline 1\n", 1));
    }

    #[test]
    fn what_would_scroll_away_is_left_out() {
        let (text, drawn) = picture(&lines(9), 0, 80, 5);
        assert_eq!(text, "line 1\nline 2\nline 3\n… 6 more lines\n");
        assert_eq!(
            drawn, 4,
            "a line less than the terminal has: the last one is the cursor's"
        );
        assert_eq!(picture(&lines(4), 0, 80, 5).1, 4);
    }

    #[test]
    fn blank_lines_go_first() {
        let spaced: Vec<String> = ["a", "", "b", "", "c"].map(str::to_owned).to_vec();
        assert_eq!(picture(&spaced, 0, 80, 6).0, "a\n\nb\n\nc\n");
        assert_eq!(picture(&spaced, 0, 80, 5).0, "a\nb\nc\n");
    }

    #[test]
    fn a_line_that_would_wrap_is_clipped_and_its_colours_end() {
        assert_eq!(clipped("\x1b[31mabcdef\x1b[0m", 3), "\x1b[31mabc\x1b[0m");
        assert_eq!(clipped("abc", 3), "abc");
    }
}
