//! Rules: patterns that are tried where one of their words stands.

mod check;
mod pack;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use regex::bytes::{Regex, RegexBuilder};

pub use check::Check;
pub(crate) use check::crc32;
pub use pack::{Pack, PackFault};

use crate::finding::{Class, Severity};
use crate::needles::Case;

/// Bytes before a word that a pattern is shown in a long text.
const BEFORE: usize = 256;
/// Bytes behind it, unless the rule says more.
const REACH: usize = 2 << 10;
/// The most that a rule may ask for: the longest keys fit.
const REACH_MAX: usize = 32 << 10;
/// Texts of this length are shown whole.
const WHOLE: usize = 8 << 10;
/// What a compiled pattern may take, in bytes.
const COMPILED_MAX: usize = 4 << 20;

/// Where a rule looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// What a server declares: tools, prompts, resources, instructions.
    Definition,
    /// What a server answers or tells.
    Result,
    /// What a client sends to a server.
    Arguments,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name in notes and logs.
    pub id: Arc<str>,
    /// What it is about.
    pub class: Class,
    /// How sure or how bad it is.
    pub severity: Severity,
    /// The words without which it is not tried, whatever their case.
    pub keywords: Vec<Box<str>>,
    /// It is only told of, whatever the settings ask for: it is wrong too often.
    pub only_flags: bool,
    /// Whether its words are looked for as they are written.
    pub(crate) case: Case,
    /// How far behind one of its words it looks, in bytes.
    reach: usize,
    places: Vec<Place>,
    pattern: Pattern,
    /// The group that is the secret; the whole match when there is none.
    group: usize,
    /// Least bits per character of the secret.
    entropy: f64,
    check: Option<Check>,
    /// A secret that contains one of these, in small letters, is none.
    stop_words: Vec<Box<str>>,
    allowed: Vec<Regex>,
}

/// A pattern that is compiled when it is first needed: most never are.
#[derive(Debug)]
struct Pattern {
    text: Box<str>,
    compiled: OnceLock<Option<Regex>>,
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) span: Range<usize>,
    pub(crate) severity: Severity,
}

impl Rule {
    /// Whether the rule looks there.
    #[must_use]
    pub fn looks_at(&self, place: Place) -> bool {
        self.places.contains(&place)
    }

    /// Everything that the rule finds in these parts of a text.
    pub(crate) fn matches(&self, text: &str, windows: &Windows, mut found: impl FnMut(Match)) {
        let Some(regex) = self.pattern.get() else { return };
        for window in &windows.0 {
            let Some(seen) = text.as_bytes().get(..window.end) else { continue };
            let mut at = window.start;
            while let Some(captures) = (at <= seen.len()).then(|| regex.captures_at(seen, at)).flatten() {
                let Some(whole) = captures.get(0) else { break };
                at = whole.end().max(at + 1);
                let secret = captures.get(self.group).unwrap_or(whole);
                if let Some(severity) = self.judge(secret.as_bytes(), whole.as_bytes())
                    && let Some(span) = on_characters(text, secret.range())
                {
                    found(Match { span, severity });
                }
            }
        }
    }

    /// Adds what the rule has to see of a text in which one of its words stands.
    pub(crate) fn widen(&self, windows: &mut Windows, length: usize, word: usize) {
        let (start, end) = match length <= WHOLE {
            true => (0, length),
            false => (word.saturating_sub(BEFORE), (word + self.reach).min(length)),
        };
        match windows.0.last_mut() {
            Some(last) if last.end >= start => last.end = last.end.max(end),
            _ => windows.0.push(start..end),
        }
    }

    /// How sure it is that this is one; `None` when it is none.
    fn judge(&self, secret: &[u8], whole: &[u8]) -> Option<Severity> {
        if secret.is_empty() || check::bits_per_character(secret) < self.entropy {
            return None;
        }
        let small = secret.to_ascii_lowercase();
        let has = |word: &str| memchr::memmem::find(&small, word.as_bytes()).is_some();
        if self.stop_words.iter().any(|word| has(word))
            || self.allowed.iter().any(|regex| regex.is_match(whole))
        {
            return None;
        }
        match self.check.map(|check| check.test(secret)) {
            None | Some(check::Verdict::Holds) => Some(self.severity),
            // Formats change before their checksums' descriptions do; such a value is still covered.
            Some(check::Verdict::Doubtful) => Some(Severity::Low),
            Some(check::Verdict::Fails) => None,
        }
    }

    /// Compiles the pattern now, so that a wrong one is told of before it is needed.
    fn compile(&self) -> Result<(), String> {
        let compiled = compile(&self.pattern.text)?;
        _ = self.pattern.compiled.set(Some(compiled));
        Ok(())
    }
}

impl Pattern {
    fn get(&self) -> Option<&Regex> {
        // The built-in ones are known to compile, a pack's own were compiled when it was read.
        self.compiled.get_or_init(|| compile(&self.text).ok()).as_ref()
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(COMPILED_MAX)
        .dfa_size_limit(COMPILED_MAX)
        .nest_limit(64)
        .build()
        .map_err(|fault| match fault {
            regex::Error::CompiledTooBig(_) => format!("it would take more than {} MiB", COMPILED_MAX >> 20),
            other => other.to_string().lines().last().unwrap_or_default().trim().to_owned(),
        })
}

/// The parts of a text around words, those that touch joined to one.
#[derive(Debug, Default)]
pub(crate) struct Windows(Vec<Range<usize>>);

impl Windows {
    /// A text as a whole.
    pub(crate) fn whole(text: &str) -> Windows {
        Windows(std::iter::once(0..text.len()).collect())
    }
}

/// The span, widened to whole characters: patterns are about bytes.
fn on_characters(text: &str, span: Range<usize>) -> Option<Range<usize>> {
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end);
    (start < end).then_some(start..end)
}
