//! Colours, and text of others that is safe to print.

use std::io::{self, IsTerminal as _};

/// Whether and how text is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// It is for a terminal.
    Ansi,
    /// It is plain text.
    None,
}

/// What a text means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing of its own.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Somebody should look at it.
    Warning,
    /// Broken.
    Bad,
    /// Less important.
    Dim,
    /// More important.
    Strong,
}

impl Paint {
    /// For a terminal only, and not where somebody does not want it (<https://no-color.org>).
    pub fn of_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self::chosen(io::stdout().is_terminal(), unwanted || dumb)
    }

    fn chosen(terminal: bool, unwanted: bool) -> Self {
        if terminal && !unwanted { Self::Ansi } else { Self::None }
    }

    /// The text, coloured by what it means.
    pub fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Dim => "2",
            Tone::Strong => "1",
        };
        match self {
            Self::Ansi if !text.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Ansi | Self::None => text.to_owned(),
        }
    }
}

/// Text of others without what a terminal would obey: pods and people write into messages.
pub fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        clean.push(if character.is_control() { ' ' } else { character });
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_a_terminal_that_wants_them() {
        assert_eq!(Paint::chosen(true, false), Paint::Ansi);
        assert_eq!(Paint::chosen(true, true), Paint::None);
        assert_eq!(Paint::chosen(false, false), Paint::None);
        assert_eq!(Paint::Ansi.tone(Tone::Bad, "fail"), "\x1b[31mfail\x1b[0m");
        assert_eq!(Paint::None.tone(Tone::Bad, "fail"), "fail");
    }

    #[test]
    fn text_of_others_moves_no_cursor() {
        assert_eq!(clean("a\x1b[2Jb\nc"), "a [2Jb c");
    }
}
