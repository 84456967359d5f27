//! Columns of text.

use super::paint::{Paint, Tone};

/// One field of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A field with a meaning.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// Blanks between two columns.
const GAP: usize = 3;

/// The rows as lines, each column as wide as its widest field; a last column that is empty leaves no blanks.
pub fn lines(rows: &[Vec<Cell>], paint: Paint) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let fields = rows.iter().filter_map(|row| row.get(column));
        fields.map(|cell| cell.text.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<Cell>| {
        let last = row.iter().rposition(|cell| !cell.text.is_empty());
        let mut line = String::new();
        for (index, cell) in row.iter().enumerate().take(last.map_or(0, |last| last + 1)) {
            line.push_str(&paint.tone(cell.tone, &cell.text));
            if Some(index) != last {
                let used = cell.text.chars().count();
                let blanks = widths[index].saturating_sub(used) + GAP;
                line.extend(std::iter::repeat_n(' ', blanks));
            }
        }
        line
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other_whatever_their_colours() {
        let rows = vec![
            vec!["NAME".into(), "PHASE".into()],
            vec![Cell::new("a", Tone::Bad), "→→".into()],
            vec!["longer".into(), "".into()],
        ];
        assert_eq!(lines(&rows, Paint::None), ["NAME     PHASE", "a        →→", "longer"]);
        assert_eq!(lines(&rows, Paint::Ansi)[1], "\x1b[31ma\x1b[0m        →→");
    }
}
