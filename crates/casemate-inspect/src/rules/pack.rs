//! Packs of rules, in TOML: ours, which is compiled in, and those of users, which may be written for gitleaks.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use super::{Check, Pattern, Place, REACH, REACH_MAX, Rule, compile};
use crate::finding::{Class, Severity};
use crate::needles::Case;

/// Largest pack, in bytes. gitleaks' own has a tenth of it.
const PACK_BYTES_MAX: usize = 1 << 20;
/// Rules of one pack.
const RULES_MAX: usize = 2000;
/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 8 << 10;
/// Words of one rule.
const KEYWORDS_MAX: usize = 100;
/// Shortest word, in bytes: a single letter stands everywhere.
const KEYWORD_BYTES_MIN: usize = 2;

/// Why a pack cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct PackFault(String);

/// Rules that belong together.
#[derive(Debug, Default)]
pub struct Pack {
    /// The rules.
    pub rules: Vec<Arc<Rule>>,
    /// What stands in the pack and was not understood, each a sentence for its author. Rules are used without it where
    /// that only makes them find more.
    pub remarks: Vec<String>,
}

impl Pack {
    /// The rules that come with Casemate: secrets, personal data, signals.
    ///
    /// # Panics
    /// Never: a test reads all of them.
    #[must_use]
    pub fn builtin() -> &'static [Arc<Rule>] {
        static RULES: OnceLock<Vec<Arc<Rule>>> = OnceLock::new();
        RULES.get_or_init(|| {
            let packs = [
                (include_str!("secrets.toml"), Class::Secret),
                (include_str!("personal.toml"), Class::Personal),
                (include_str!("signals.toml"), Class::Signal),
            ];
            let read = |(text, class)| read(text, class).map(|pack| pack.rules).unwrap_or_default();
            packs.into_iter().flat_map(read).collect()
        })
    }

    /// Reads a pack of a user, and compiles its patterns to know that they are good.
    ///
    /// # Errors
    /// What is wrong with it, naming the rule.
    pub fn parse(text: &str) -> Result<Pack, PackFault> {
        let pack = read(text, Class::Secret)?;
        for rule in &pack.rules {
            rule.compile().map_err(|why| PackFault(format!("the pattern of rule {:?}: {why}", &*rule.id)))?;
        }
        Ok(pack)
    }
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    rules: Vec<WrittenRule>,
    allowlist: Option<Allowed>,
    #[serde(default)]
    allowlists: Vec<Allowed>,
    #[serde(flatten)]
    other: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct WrittenRule {
    id: String,
    regex: Option<String>,
    #[serde(default)]
    keywords: Vec<String>,
    #[serde(alias = "secretGroup")]
    group: Option<usize>,
    entropy: Option<f64>,
    class: Option<String>,
    severity: Option<String>,
    places: Option<Vec<String>>,
    check: Option<String>,
    only_flags: Option<bool>,
    case: Option<String>,
    reach: Option<usize>,
    allowlist: Option<Allowed>,
    #[serde(default)]
    allowlists: Vec<Allowed>,
    #[serde(flatten)]
    other: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize, Default, Clone)]
struct Allowed {
    #[serde(default)]
    regexes: Vec<String>,
    #[serde(default)]
    stopwords: Vec<String>,
    #[serde(flatten)]
    other: BTreeMap<String, IgnoredAny>,
}

/// Keys that say something to people and nothing to us.
const FOR_PEOPLE: [&str; 6] = ["title", "description", "tags", "minVersion", "version", "skipReport"];

fn read(text: &str, class: Class) -> Result<Pack, PackFault> {
    if text.len() > PACK_BYTES_MAX {
        return Err(PackFault(format!("it has more than {} MiB", PACK_BYTES_MAX >> 20)));
    }
    let written: Written = toml_edit::de::from_str(text)
        .map_err(|fault| PackFault(format!("not a pack: {}", fault.message())))?;
    if written.rules.len() > RULES_MAX {
        return Err(PackFault(format!("it has more than {RULES_MAX} rules")));
    }
    let mut reading = Reading { class, remarks: Vec::new() };
    reading.unknown("the pack", &written.other);
    let shared: Vec<Allowed> = written.allowlist.into_iter().chain(written.allowlists).collect();
    let mut rules = Vec::with_capacity(written.rules.len());
    for rule in written.rules {
        if let Some(rule) = reading.rule(rule, &shared)? {
            rules.push(Arc::new(rule));
        }
    }
    Ok(Pack { rules, remarks: reading.remarks })
}

struct Reading {
    class: Class,
    remarks: Vec<String>,
}

impl Reading {
    fn unknown(&mut self, whose: &str, other: &BTreeMap<String, IgnoredAny>) {
        for key in other.keys().filter(|key| !FOR_PEOPLE.contains(&key.as_str())) {
            self.remarks.push(format!("{whose}: `{key}` is not understood and does nothing here"));
        }
    }

    fn rule(&mut self, rule: WrittenRule, shared: &[Allowed]) -> Result<Option<Rule>, PackFault> {
        let whose = format!("rule {:?}", rule.id);
        let fault = |what: String| PackFault(format!("{whose}: {what}"));
        self.unknown(&whose, &rule.other);
        let Some(pattern) = rule.regex.filter(|_| !rule.other.contains_key("path")) else {
            self.remarks.push(format!(
                "{whose}: it is about the names of files, and there are none here; it is not used"
            ));
            return Ok(None);
        };
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(fault(format!("its pattern has more than {PATTERN_BYTES_MAX} bytes")));
        }
        let is_word = |word: &&String| word.len() >= KEYWORD_BYTES_MIN;
        if rule.keywords.len() > KEYWORDS_MAX || !rule.keywords.iter().all(|word| is_word(&word)) {
            return Err(fault(format!(
                "it needs at most {KEYWORDS_MAX} keywords of {KEYWORD_BYTES_MIN} or more letters each"
            )));
        }
        let class =
            self.class_of(rule.class.as_deref()).ok_or_else(|| fault("its class is unknown".to_owned()))?;
        if rule.keywords.is_empty() && class != Class::Personal {
            self.remarks.push(format!(
                "{whose}: it has no keywords, and would have to be tried on every text; it is not used"
            ));
            return Ok(None);
        }
        let mut stop_words = Vec::new();
        let mut allowed = Vec::new();
        for list in rule.allowlist.iter().chain(&rule.allowlists).chain(shared) {
            self.unknown(&format!("{whose}, allowlist"), &list.other);
            stop_words.extend(list.stopwords.iter().map(|word| word.to_ascii_lowercase().into_boxed_str()));
            for regex in &list.regexes {
                allowed.push(compile(regex).map_err(|why| fault(format!("an allowed pattern: {why}")))?);
            }
        }
        Ok(Some(Rule {
            severity: severity(rule.severity.as_deref())
                .ok_or_else(|| fault("its severity is unknown".to_owned()))?,
            places: places(rule.places.as_deref())
                .ok_or_else(|| fault("one of its places is unknown".to_owned()))?,
            check: match rule.check.as_deref() {
                None => None,
                Some(name) => {
                    Some(Check::parse(name).ok_or_else(|| fault("its check is unknown".to_owned()))?)
                }
            },
            id: rule.id.into(),
            class,
            keywords: rule.keywords.into_iter().map(String::into_boxed_str).collect(),
            only_flags: rule.only_flags.unwrap_or(false),
            case: match rule.case.as_deref() {
                None | Some("ignored") => Case::Ignored,
                Some("exact") => Case::Exact,
                Some(_) => return Err(fault("its case is neither `exact` nor `ignored`".to_owned())),
            },
            reach: rule.reach.unwrap_or(REACH).min(REACH_MAX),
            pattern: Pattern { text: pattern.into_boxed_str(), compiled: OnceLock::new() },
            // gitleaks takes the first group when there is one; so does everybody who writes rules for it.
            group: rule.group.unwrap_or(1),
            entropy: rule.entropy.unwrap_or(0.0),
            stop_words,
            allowed,
        }))
    }

    fn class_of(&self, name: Option<&str>) -> Option<Class> {
        Some(match name {
            None => self.class,
            Some("secret") => Class::Secret,
            Some("personal") => Class::Personal,
            Some("signal") => Class::Signal,
            Some("markup") => Class::Markup,
            Some(_) => return None,
        })
    }
}

fn severity(name: Option<&str>) -> Option<Severity> {
    Some(match name {
        Some("low") => Severity::Low,
        Some("medium") => Severity::Medium,
        None | Some("high") => Severity::High,
        Some(_) => return None,
    })
}

fn places(names: Option<&[String]>) -> Option<Vec<Place>> {
    let Some(names) = names else { return Some(vec![Place::Definition, Place::Result, Place::Arguments]) };
    let place = |name: &String| {
        Some(match name.as_str() {
            "definition" => Place::Definition,
            "result" => Place::Result,
            "arguments" => Place::Arguments,
            _ => return None,
        })
    };
    names.iter().map(place).collect()
}
