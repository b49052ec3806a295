//! A page of text for people: labelled lines, tables and a handful of tones.

use std::fmt::Write;

use super::text;

/// Whether a stream gets colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// With ANSI colors.
    Colored,
    /// Without.
    Plain,
}

/// What a piece of text is; color is decoration and never the only bearer of a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Ordinary text.
    Normal,
    /// A heading or a name.
    Strong,
    /// Something that matters less.
    Quiet,
    /// All is well.
    Good,
    /// Something needs attention.
    Warning,
    /// Something failed.
    Error,
    /// A next step.
    Hint,
}

impl Tone {
    fn code(self) -> Option<&'static str> {
        match self {
            Tone::Normal => None,
            Tone::Strong => Some("1"),
            Tone::Quiet => Some("2"),
            Tone::Good => Some("32"),
            Tone::Warning => Some("1;33"),
            Tone::Error => Some("1;31"),
            Tone::Hint => Some("1;36"),
        }
    }
}

/// One cell of a table.
#[derive(Debug, Clone)]
pub struct Entry {
    text: String,
    tone: Tone,
}

impl Entry {
    /// A cell; control characters in it are escaped.
    pub fn new(text: &str, tone: Tone) -> Entry {
        Entry { text: text::safe_line(text), tone }
    }
}

impl<T: AsRef<str>> From<T> for Entry {
    fn from(text: T) -> Entry {
        Entry::new(text.as_ref(), Tone::Normal)
    }
}

/// How wide the lines of an [`Page::item`] may be: on any terminal.
const ITEM_WIDTH: usize = 80;

/// Text that is being laid out.
#[derive(Debug)]
pub struct Page {
    text: String,
    style: Style,
}

impl Page {
    /// An empty page.
    pub fn new(style: Style) -> Page {
        Page { text: String::new(), style }
    }

    /// The text of the page.
    pub fn finish(self) -> String {
        self.text
    }

    /// Adds a line as it is: whoever calls this has escaped what strangers wrote.
    pub fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Adds an empty line.
    pub fn gap(&mut self) {
        self.text.push('\n');
    }

    /// Adds a heading.
    pub fn heading(&mut self, heading: &str) {
        let heading = self.toned(Tone::Strong, heading);
        self.line(&heading);
    }

    /// Adds `label message`; control characters in the message are escaped, its further lines are indented.
    pub fn labelled(&mut self, tone: Tone, label: &str, message: &str) {
        let label = self.toned(tone, label);
        let message = text::safe(message).replace('\n', "\n    ");
        let _ = writeln!(self.text, "{label} {message}");
    }

    /// Adds a name and, from a column on, a text of words; what does not fit goes on below its beginning.
    pub fn item(&mut self, column: usize, [name, text]: &[Entry; 2]) {
        let width = name.text.chars().count();
        // The text stands apart from a name that is longer than its column.
        let begin = if width == 0 { column } else { column.max(width + 1) };
        let mut lead = self.toned(name.tone, &name.text);
        lead.extend(std::iter::repeat_n(' ', begin - width));
        let mut line = String::new();
        for word in text.text.split(' ') {
            if !line.is_empty() && begin + line.chars().count() + 1 + word.chars().count() > ITEM_WIDTH {
                self.line(&format!("{lead}{}", self.toned(text.tone, &line)));
                (lead, line) = (" ".repeat(begin), String::new());
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&format!("{lead}{}", self.toned(text.tone, &line)));
    }

    /// Adds a table without borders. Columns are as wide as their longest cell; the last is not padded.
    pub fn table(&mut self, header: &[&str], rows: &[Vec<Entry>]) {
        let header: Vec<Entry> = header.iter().map(|title| Entry::new(title, Tone::Quiet)).collect();
        let header = if header.is_empty() { None } else { Some(&header) };
        let mut widths: Vec<usize> = Vec::new();
        for row in header.into_iter().chain(rows) {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, entry) in widths.iter_mut().zip(row) {
                *width = (*width).max(entry.text.chars().count());
            }
        }
        for row in header.into_iter().chain(rows) {
            self.row(row, &widths);
        }
    }

    fn row(&mut self, row: &[Entry], widths: &[usize]) {
        let mut line = String::new();
        for (index, (entry, width)) in row.iter().zip(widths).enumerate() {
            let padding = if index + 1 == row.len() { 0 } else { width + 2 - entry.text.chars().count() };
            line.push_str(&self.toned(entry.tone, &entry.text));
            line.extend(std::iter::repeat_n(' ', padding));
        }
        self.line(line.trim_end());
    }

    /// The text in a tone, if this page has colors.
    pub fn toned(&self, tone: Tone, text: &str) -> String {
        match (self.style, tone.code()) {
            (Style::Colored, Some(code)) => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Page, Style, Tone};

    fn table(style: Style) -> String {
        let mut page = Page::new(style);
        let row = |name: &str, state: &str| vec![Entry::new(name, Tone::Strong), state.into(), "x".into()];
        page.table(&["name", "state", "last"], &[row("é", "running"), row("everything", "-\x1b[2J")]);
        page.labelled(Tone::Hint, "hint:", "one\ntwo");
        page.finish()
    }

    #[test]
    fn columns_line_up_and_nothing_can_move_the_cursor() {
        let expected = "\
name        state      last
é           running    x
everything  -\\u{1b}[2J  x
hint: one
    two
";
        let expected =
            expected.replace("state      last", "state       last").replace("running    x", "running     x");
        assert_eq!(table(Style::Plain), expected);
    }

    #[test]
    fn what_does_not_fit_goes_on_below() {
        let mut page = Page::new(Style::Plain);
        let words = "word ".repeat(17);
        page.item(4, &["a".into(), words.trim_end().into()]);
        page.item(4, &["longer".into(), "\x1b and".into()]);
        page.item(4, &["".into(), "/a/path/without/any/space".repeat(5).into()]);
        let expected = format!(
            "a   {}word\n    word word\nlonger \\u{{1b}} and\n    {}\n",
            "word ".repeat(14),
            "/a/path/without/any/space".repeat(5)
        );
        assert_eq!(page.finish(), expected);
    }

    #[test]
    fn colors_change_nothing_but_colors() {
        let colored = table(Style::Colored);
        assert!(colored.contains("\x1b[1mé\x1b[0m"), "{colored:?}");
        let mut plain = String::new();
        for (index, part) in colored.split('\x1b').enumerate() {
            plain.push_str(if index == 0 { part } else { part.split_once('m').unwrap().1 });
        }
        assert_eq!(plain, table(Style::Plain));
    }
}
