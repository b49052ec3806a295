//! One message under everything that is looked for.
//!
//! First a pass over the whole text that only asks whether there can be anything at all: for nearly every message it ends
//! there, and the same bytes go on. Otherwise the strings in which there can be something are taken out of their quotes,
//! looked at closely, and put back where they were changed.

mod lent;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use casemate_mcp::json::{Limits, Raw};

use crate::exact::{self, Cover, Form, Secret};
use crate::finding::{Class, Finding, Findings, Measure, Severity};
use crate::hidden;
use crate::marks::Marks;
use crate::needles::{Hit, Needle, Needles};
use crate::policy::Measures;
use crate::rules::{Pack, Place, Rule, Windows};
use crate::strange::strange;
use crate::strings::{self, Part};
pub use lent::Lent;

/// What stands where a secret stood.
const NOTE: &str = "[secret masked]";

/// How often a text is looked at again after it was changed: what was taken out may have joined what stood around it.
const ROUNDS_MAX: usize = 4;

/// Secrets that are covered one by one in a text.
const COVERS_MAX: usize = 1 << 16;

/// Bounds for a text that we changed ourselves. Where it came from it was held against the real ones.
const CHANGED: Limits = Limits { bytes_max: usize::MAX, depth_max: 1024, values_max: u32::MAX };

/// Everything that is looked for, compiled once for each configuration.
#[derive(Clone)]
pub struct Inspection {
    /// The words that are looked for in results and arguments.
    passing: Needles<Use>,
    /// Those that are looked for in definitions, which are few and read once.
    declared: Needles<Use>,
    rules: Vec<Arc<Rule>>,
    /// There are secrets that we hand out, which are looked for whatever a server's settings say.
    hands_out: bool,
    /// The rules that are tried on every text where they are wanted: personal data has no words of its own.
    wordless: Vec<usize>,
    base64_cover: char,
    /// Whose planted values there are, by number.
    owners: Vec<Arc<str>>,
    /// The planted values as names of DNS could carry them.
    spelled: Vec<(String, Arc<str>)>,
    lent: Arc<Lent>,
}

/// What a word is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It is a secret.
    Exact(Form),
    /// A rule wants to see the text.
    Rule(u32),
    /// It is how another word looks inside of JSON; there is something to unescape.
    Escaped,
}

/// A message after its inspection.
#[derive(Debug, Clone)]
pub struct Outcome<T> {
    /// The message, changed where it had to be. It does not pass when [`Findings::blocking`] has something.
    pub message: T,
    /// What was found.
    pub findings: Findings,
}

impl fmt::Debug for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The words are secrets, in whatever form.
        write!(f, "Inspection({} rules)", self.rules.len())
    }
}

impl Default for Inspection {
    fn default() -> Self {
        Inspection::new(&[], &[])
    }
}

impl Inspection {
    /// Looks for these secrets and these rules, besides the built-in ones.
    #[must_use]
    pub fn new(secrets: &[Secret], packs: &[Pack]) -> Inspection {
        let own = packs.iter().flat_map(|pack| &pack.rules);
        Inspection::of(secrets, Pack::builtin().iter().chain(own).cloned().collect())
    }

    /// Looks for the same rules, and for these secrets instead.
    #[must_use]
    pub fn with_secrets(&self, secrets: &[Secret]) -> Inspection {
        Inspection { lent: Arc::clone(&self.lent), ..Inspection::of(secrets, self.rules.clone()) }
    }

    /// Looks for the same, and for these secrets as they come.
    #[must_use]
    pub fn with_lent(&self, lent: &Arc<Lent>) -> Inspection {
        Inspection { lent: Arc::clone(lent), ..self.clone() }
    }

    fn of(secrets: &[Secret], rules: Vec<Arc<Rule>>) -> Inspection {
        let (exact, owners) = exact::needles(secrets);
        // A cover must not be taken for a secret itself, or it would be covered again.
        let base64_cover = "xAz0"
            .chars()
            .find(|cover| {
                !exact.iter().any(|needle| needle.bytes.iter().all(|byte| char::from(*byte) == *cover))
            })
            .unwrap_or('x');
        let words = |looks: &dyn Fn(&Rule) -> bool| {
            let mut needles: Vec<Needle<Use>> = Vec::new();
            for needle in &exact {
                put(&mut needles, Needle::new(needle.bytes.clone(), needle.case, Use::Exact(needle.of)));
            }
            for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| looks(rule)) {
                let of = Use::Rule(u32::try_from(index).unwrap_or(u32::MAX));
                for word in &rule.keywords {
                    put(&mut needles, Needle::new(word.as_bytes(), rule.case, of));
                }
            }
            Needles::new(needles)
        };
        let passing = words(&|rule| rule.looks_at(Place::Result) || rule.looks_at(Place::Arguments));
        let declared = words(&|rule| rule.looks_at(Place::Definition));
        let wordless =
            (0..rules.len()).filter(|at| rules.get(*at).is_some_and(|rule| rule.keywords.is_empty()));
        Inspection {
            passing,
            declared,
            wordless: wordless.collect(),
            rules,
            hands_out: !exact.is_empty(),
            base64_cover,
            owners,
            spelled: exact::spelled(secrets),
            lent: Arc::default(),
        }
    }

    fn needles(&self, place: Place) -> &Needles<Use> {
        if place == Place::Definition { &self.declared } else { &self.passing }
    }

    /// Looks at a message that passed the check of [`Raw`]. When nothing has to be changed, the same bytes come back.
    #[must_use]
    pub fn message(&self, raw: &Raw, measures: &Measures) -> Outcome<Raw> {
        let text = raw.as_bytes();
        let mut findings = Findings::default();
        if self.looks_for_nothing(measures) {
            return Outcome { message: raw.clone(), findings };
        }
        let marks = self.marks(text, measures);
        if marks.is_empty() {
            return Outcome { message: raw.clone(), findings };
        }
        let rewritten = strings::rewritten(text, &marks, |part| match part {
            Part::Name(text) | Part::Value(text) => self.changed(text, measures, &mut findings),
            Part::Number(text) => {
                let seen = self.seen(text, Place::Result);
                (!seen.exact.is_empty()).then(|| {
                    seen.owners.iter().for_each(|owner| findings.add(self.exact_finding(*owner)));
                    NOTE.to_owned()
                })
            }
        });
        let message = match rewritten.map(|text| Raw::check(text.into(), &CHANGED)) {
            None => raw.clone(),
            Some(Ok(raw)) => raw,
            // Two names of one object became one, so nobody can say which of them is meant.
            Some(Err(_)) => {
                findings.add(Finding {
                    class: Class::Form,
                    rule: "names-that-differ-in-what-is-hidden".into(),
                    severity: Severity::High,
                    measure: Measure::Block,
                    count: 1,
                    decoy: None,
                });
                Raw::NULL
            }
        };
        Outcome { message, findings }
    }

    /// The same for a text that is not in JSON.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str, measures: &Measures) -> Outcome<Cow<'a, str>> {
        let mut findings = Findings::default();
        if self.looks_for_nothing(measures) {
            return Outcome { message: Cow::Borrowed(text), findings };
        }
        let message = match self.changed(text, measures, &mut findings) {
            Some(changed) => Cow::Owned(changed),
            None => Cow::Borrowed(text),
        };
        Outcome { message, findings }
    }

    /// The text without the secrets that we hand out: for logs, records and errors.
    #[must_use]
    pub fn masked<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut current = Cow::Borrowed(text);
        for _ in 0..ROUNDS_MAX {
            let seen = self.seen(&current, Place::Result);
            if seen.exact.is_empty() {
                break;
            }
            current = Cow::Owned(covered(&current, seen.exact));
        }
        current
    }

    /// The servers whose planted values stand in a text, in whatever form.
    pub fn planted(&self, text: &str) -> impl Iterator<Item = &Arc<str>> {
        // Without any there is nothing to look for, which is the rule.
        let seen = if self.owners.is_empty() { Seen::default() } else { self.seen(text, Place::Result) };
        let mut numbers: Vec<u16> = seen.owners.into_iter().flatten().collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().filter_map(|number| self.owners.get(usize::from(number)))
    }

    /// The server whose planted value a name of DNS carries away, split over labels as it may be.
    #[must_use]
    pub fn planted_in_name(&self, name: &str) -> Option<&Arc<str>> {
        if self.spelled.is_empty() {
            return None;
        }
        let name = exact::plain(name);
        self.spelled.iter().find(|(value, _)| name.contains(value.as_str())).map(|(_, owner)| owner)
    }

    /// Whether a server's settings turn everything off, and there is no secret of ours either.
    fn looks_for_nothing(&self, measures: &Measures) -> bool {
        measures.are_off() && !self.hands_out && self.lent.needles().is_none()
    }

    /// Where in a JSON text there can be something.
    fn marks(&self, text: &[u8], measures: &Measures) -> Marks {
        let looks_everywhere = measures.personal > Measure::Off;
        let mut marks = if looks_everywhere { Marks::all(text.len()) } else { Marks::on(text.len()) };
        if !looks_everywhere {
            self.needles(measures.place).find(text, |hit| marks.set(hit.start..hit.end));
            if let Some(lent) = self.lent.needles() {
                lent.find(text, |hit| marks.set(hit.start..hit.end));
            }
            strange(text, |at| marks.set(at..at + 1));
        }
        marks
    }

    /// What a string becomes; `None` when it stays.
    fn changed(&self, text: &str, measures: &Measures, findings: &mut Findings) -> Option<String> {
        let mut changed: Option<String> = None;
        for _ in 0..ROUNDS_MAX {
            let current = changed.as_deref().unwrap_or(text);
            let (next, found) = self.round(current, measures);
            let flagged_before = changed.is_some();
            // What is only told of is there in every round; it counts once.
            for finding in found.iter().filter(|found| !flagged_before || found.measure == Measure::Clean) {
                findings.add(finding.clone());
            }
            match next {
                Some(next) => changed = Some(next),
                None => break,
            }
        }
        changed
    }

    fn round(&self, text: &str, measures: &Measures) -> (Option<String>, Findings) {
        let mut findings = Findings::default();
        let mut kept = Cow::Borrowed(text);
        if measures.hidden > Measure::Off {
            let shown = hidden::removed(text, |kind| {
                findings.add(Finding {
                    class: Class::Hidden,
                    rule: kind.as_str().into(),
                    severity: Severity::High,
                    measure: measures.hidden,
                    count: 1,
                    decoy: None,
                });
            });
            // What stays hidden hides a secret from us, too: that is the price of `flag`.
            if measures.hidden > Measure::Flag {
                kept = shown;
            }
        }
        let seen = self.seen(&kept, measures.place);
        let mut covers = seen.exact;
        seen.owners.iter().for_each(|owner| findings.add(self.exact_finding(*owner)));
        for (rule, windows) in self.tried((&kept, seen.rules), measures) {
            let measure = measures.of(rule);
            rule.matches(&kept, &windows, |found| {
                if measure == Measure::Clean {
                    covers.push((found.span, Cow::Owned(format!("[{} masked]", rule.id))));
                }
                findings.add(Finding {
                    class: rule.class,
                    rule: Arc::clone(&rule.id),
                    severity: found.severity,
                    measure: measures.done(rule, found.severity),
                    count: 1,
                    decoy: None,
                });
            });
        }
        if covers.is_empty() {
            return (matches!(kept, Cow::Owned(_)).then(|| kept.into_owned()), findings);
        }
        // Nothing honest repeats a secret so often; what would be left is not worth the memory.
        let changed = if covers.len() > COVERS_MAX { NOTE.to_owned() } else { covered(&kept, covers) };
        (Some(changed), findings)
    }

    /// The words of a text.
    fn seen(&self, text: &str, place: Place) -> Seen {
        let mut seen = Seen::default();
        self.needles(place).find(text.as_bytes(), |hit| match hit.of {
            Use::Exact(form) => {
                if let Some(covered) = self.cover(text, &hit, form.cover) {
                    seen.exact.push(covered);
                    seen.owners.push(form.decoy);
                }
            }
            Use::Rule(number) => {
                if let Some(rule) = self.rules.get(number as usize) {
                    rule.widen(seen.rules.entry(number).or_default(), text.len(), hit.start);
                }
            }
            Use::Escaped => {}
        });
        if let Some(lent) = self.lent.needles() {
            lent.find(text.as_bytes(), |hit| {
                if let Use::Exact(form) = hit.of
                    && let Some(covered) = self.cover(text, &hit, form.cover)
                {
                    seen.exact.push(covered);
                    // What is lent was never planted.
                    seen.owners.push(None);
                }
            });
        }
        seen
    }

    /// What covers a secret.
    fn cover(&self, text: &str, hit: &Hit<Use>, cover: Cover) -> Option<(Range<usize>, Cow<'static, str>)> {
        let span = match cover {
            Cover::Note | Cover::Hex => hit.start..hit.end,
            Cover::Base64 { before, behind } => {
                let is_of_it = |at: Option<usize>| {
                    at.and_then(|at| text.as_bytes().get(at))
                        .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte))
                };
                let before = usize::from(before == 1 && is_of_it(hit.start.checked_sub(1)));
                let behind = usize::from(behind == 1 && is_of_it(Some(hit.end)));
                hit.start - before..hit.end + behind
            }
        };
        let with = match cover {
            Cover::Note => Cow::Borrowed(NOTE),
            Cover::Hex => Cow::Owned("0".repeat(span.len())),
            Cover::Base64 { .. } => Cow::Owned(self.base64_cover.to_string().repeat(span.len())),
        };
        (text.is_char_boundary(span.start) && text.is_char_boundary(span.end)).then_some((span, with))
    }

    fn exact_finding(&self, owner: Option<u16>) -> Finding {
        Finding {
            class: Class::Exact,
            rule: "own-secret".into(),
            severity: Severity::High,
            measure: Measure::Clean,
            count: 1,
            decoy: owner.and_then(|owner| self.owners.get(usize::from(owner)).cloned()),
        }
    }

    /// The rules that a text is shown to, each with what it has to see of it.
    fn tried<'a>(
        &'a self,
        (text, seen): (&'a str, BTreeMap<u32, Windows>),
        measures: &'a Measures,
    ) -> impl Iterator<Item = (&'a Rule, Windows)> {
        let by_word =
            seen.into_iter().filter_map(|(rule, windows)| Some((&**self.rules.get(rule as usize)?, windows)));
        let wordless =
            self.wordless.iter().filter_map(|at| Some((&**self.rules.get(*at)?, Windows::whole(text))));
        by_word
            .chain(wordless.filter(|_| measures.personal > Measure::Off))
            .filter(|(rule, _)| measures.of(rule) > Measure::Off && rule.looks_at(measures.place))
    }
}

/// What stands in a text.
#[derive(Debug, Default)]
struct Seen {
    exact: Vec<Covered>,
    /// Whose planted value each of them is.
    owners: Vec<Option<u16>>,
    /// Rules by number, and what they have to see.
    rules: BTreeMap<u32, Windows>,
}

/// A part of a text, and what is put in its place.
type Covered = (Range<usize>, Cow<'static, str>);

/// The text with these parts covered. Where they overlap, the first one's cover stands for all.
fn covered(text: &str, mut covers: Vec<Covered>) -> String {
    covers.sort_by_key(|(span, _)| (span.start, usize::MAX - span.end));
    let mut out = String::with_capacity(text.len());
    let mut kept_to = 0;
    for (span, with) in covers {
        if span.start >= kept_to {
            out.push_str(text.get(kept_to..span.start).unwrap_or_default());
            out.push_str(&with);
        }
        kept_to = kept_to.max(span.end);
    }
    out.push_str(text.get(kept_to..).unwrap_or_default());
    out
}

/// Adds a word, and the word as JSON writes it where that is another: the first pass reads JSON.
fn put(needles: &mut Vec<Needle<Use>>, needle: Needle<Use>) {
    if needle.bytes.iter().any(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        let quoted = Raw::string_of(&String::from_utf8_lossy(&needle.bytes));
        let escaped = quoted.as_bytes().get(1..quoted.as_bytes().len() - 1).unwrap_or_default();
        needles.push(Needle::new(escaped, needle.case, Use::Escaped));
    }
    needles.push(needle);
}
