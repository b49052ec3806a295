//! From a written value to a checked one, by the kind of its setting.

mod check;

use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use casemate_gateway::snapshot::Rate;
use toml_edit::{Array, Item, Value as Toml};

use crate::amount;
use crate::given::Given;
use crate::key::Key;
use crate::origin::Origin;
use crate::problem::{Fault, Problem, quoted};
use crate::setting::{Kind, Setting, Word};

/// The highest rate a second. What comes faster is no caller.
const RATE_MAX: u64 = 1_000_000;

/// A checked value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Switch(bool),
    Count(u64),
    Time(Duration),
    Size(u64),
    Rate(Rate),
    Budget(u64),
    Address(SocketAddr),
    /// Also choices, paths, addresses of servers and shown names.
    Text(String),
    Words(Vec<Text>),
    Given(Given),
    /// Compact JSON text.
    Json(String),
}

/// One text of a list, and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// Takes problems and knows where things stand.
pub(crate) struct Report<'a> {
    pub(crate) locate: &'a dyn Fn(Option<Range<usize>>) -> Origin,
    pub(crate) problems: Vec<Problem>,
}

impl Report<'_> {
    pub(crate) fn fault(&mut self, span: Option<Range<usize>>, fault: Fault) {
        self.problems.push(fault.at((self.locate)(span)));
    }
}

/// Reads the value of a setting; `None` when it was refused, which is then reported.
pub(crate) fn read(setting: &Setting, key: &Key, item: &Item, report: &mut Report<'_>) -> Option<Value> {
    let reading = Reading { setting, key, item };
    match &setting.kind {
        Kind::Words(word) => reading.words(*word, report),
        Kind::Command => reading.command(report),
        _ => match reading.single() {
            Ok(value) => Some(value),
            Err(fault) => {
                report.fault(item.span(), fault);
                None
            }
        },
    }
}

/// The text of an environment variable or flag as the item that a file would have.
pub(crate) fn from_text(kind: &Kind, text: &str) -> Item {
    let value = match kind {
        Kind::Switch => text.parse::<bool>().map_or_else(|_| text.into(), Toml::from),
        Kind::Count(_) => text.parse::<i64>().map_or_else(|_| text.into(), Toml::from),
        Kind::Processors(_) => text.parse::<f64>().map_or_else(|_| text.into(), Toml::from),
        Kind::Words(_) => {
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            Toml::Array(words.collect::<Array>())
        }
        _ => text.into(),
    };
    Item::Value(value)
}

/// A TOML value as compact JSON text; `None` when JSON has no such value.
pub(crate) fn json(item: &Item) -> Option<String> {
    check::json(item).ok()
}

struct Reading<'a> {
    setting: &'a Setting,
    key: &'a Key,
    item: &'a Item,
}

impl Reading<'_> {
    fn single(&self) -> Result<Value, Fault> {
        match &self.setting.kind {
            Kind::Switch => self.item.as_bool().map(Value::Switch).ok_or_else(|| self.mismatch()),
            Kind::Count(range) => self.count(range).map(Value::Count),
            Kind::Time(range) => {
                let time = amount::time(self.text()?).map_err(|fault| self.named(fault))?;
                self.within(&time, range, amount::show_time).map(|()| Value::Time(time))
            }
            Kind::Size(range) => {
                let size = amount::size(self.text()?).map_err(|fault| self.named(fault))?;
                self.within(&size, range, amount::show_size).map(|()| Value::Size(size))
            }
            Kind::Rate => {
                let rate = amount::rate(self.text()?).map_err(|fault| self.named(fault))?;
                if u64::from(rate.count.get()) > RATE_MAX * rate.per.as_secs() {
                    let what = format!("the rate is more than {RATE_MAX} a second");
                    return Err(self.named(Fault::new(what)));
                }
                Ok(Value::Rate(rate))
            }
            Kind::Budget => {
                amount::budget(self.text()?).map(Value::Budget).map_err(|fault| self.named(fault))
            }
            Kind::Processors(range) => self.processors(range).map(Value::Count),
            Kind::Choice(choices) => {
                check::choice(choices, self.text()?).map_err(|fault| self.named(fault)).map(Value::Text)
            }
            Kind::Address => {
                let text = self.text()?;
                text.parse().map(Value::Address).map_err(|_| {
                    let what = format!("{} is {}, which is no IP address and port", self.key, quoted(text));
                    Fault::new(what).hint(format!("like {}; IPv6 as \"[::1]:7332\"", self.setting.example))
                })
            }
            Kind::Text | Kind::Path => {
                let text = check::plain(self.text()?).map_err(|fault| self.named(fault))?;
                Ok(Value::Text(text.to_owned()))
            }
            Kind::Url => {
                let text = self.text()?;
                check::url(text).map_err(|fault| self.named(fault))?;
                Ok(Value::Text(text.to_owned()))
            }
            Kind::Remote => {
                let text = self.text()?;
                check::remote(text).map_err(|fault| self.named(fault))?;
                Ok(Value::Text(text.to_owned()))
            }
            Kind::Base => {
                let text = self.text()?;
                check::base(text).map_err(|fault| self.named(fault))?;
                Ok(Value::Text(text.to_owned()))
            }
            Kind::Image => {
                let text = self.text()?;
                check::image(text).map_err(|fault| self.named(fault))?;
                Ok(Value::Text(text.to_owned()))
            }
            Kind::Shown => {
                let text = self.text()?;
                check::shown(text).map_err(|fault| self.named(fault))?;
                Ok(Value::Text(text.to_owned()))
            }
            Kind::Given => self.given(),
            Kind::Json => check::json(self.item).map(Value::Json).map_err(|fault| self.named(fault)),
            Kind::Words(_) | Kind::Command => Err(self.mismatch()),
        }
    }

    fn count(&self, range: &RangeInclusive<u64>) -> Result<u64, Fault> {
        let number = self.item.as_integer().ok_or_else(|| self.mismatch())?;
        match u64::try_from(number) {
            Ok(count) => self.within(&count, range, |count| count.to_string()).map(|()| count),
            Err(_) => {
                Err(self.outside(&number.to_string(), &range.start().to_string(), &range.end().to_string()))
            }
        }
    }

    /// A number of processors in thousandths.
    fn processors(&self, range: &RangeInclusive<u64>) -> Result<u64, Fault> {
        let whole = self.item.as_integer().map(|number| number.to_string());
        let text = match self.item.as_float() {
            Some(number) => number.to_string(),
            None => whole.ok_or_else(|| self.mismatch())?,
        };
        let millis = amount::millis(&text).unwrap_or(0);
        match range.contains(&millis) {
            true => Ok(millis),
            false => Err(self.outside(
                &text,
                &amount::show_millis(*range.start()),
                &amount::show_millis(*range.end()),
            )),
        }
    }

    fn given(&self) -> Result<Value, Fault> {
        let name = self.key.names().last().map(String::as_str).unwrap_or_default();
        if let Some(table) = self.item.as_table_like() {
            let only = table.len() == 1;
            let text = table.get("not_secret").and_then(Item::as_str).filter(|_| only);
            let text = text.ok_or_else(|| self.mismatch())?;
            return Ok(Value::Given(Given::Literal(text.to_owned().into())));
        }
        let text = self.item.as_str().ok_or_else(|| self.mismatch())?;
        if text.contains('\0') {
            return Err(Fault::new(format!("{} has a NUL character", self.key)));
        }
        Given::parse(name, text).map(Value::Given).map_err(|refused| refused.0)
    }

    fn words(&self, word: Word, report: &mut Report<'_>) -> Option<Value> {
        let Some(array) = self.item.as_array() else {
            report.fault(self.item.span(), self.mismatch());
            return None;
        };
        let before = report.problems.len();
        let mut texts = Vec::new();
        for element in array {
            let checked = match element.as_str() {
                Some(text) => check::word(word, text).map(|()| text),
                None => Err(Fault::new(format!("has {}, which is not a text", article(element.type_name())))),
            };
            match checked {
                Ok(text) => {
                    texts.push(Text { text: text.to_owned(), origin: (report.locate)(element.span()) })
                }
                Err(fault) => report.fault(element.span(), self.named(fault)),
            }
        }
        if word == Word::Argument && self.has_secret(&texts, report) {
            return None;
        }
        (report.problems.len() == before).then_some(Value::Words(texts))
    }

    fn command(&self, report: &mut Report<'_>) -> Option<Value> {
        let value = match self.item.as_str() {
            Some(text) => {
                if let Err(fault) = check::program(text) {
                    report.fault(self.item.span(), self.named(fault));
                    return None;
                }
                Value::Words(vec![Text { text: text.to_owned(), origin: (report.locate)(self.item.span()) }])
            }
            None => self.words(Word::Argument, report)?,
        };
        let Value::Words(words) = &value else { return None };
        if words.first().is_none_or(|program| program.text.is_empty()) {
            report.fault(self.item.span(), self.named(Fault::new("names no program")));
            return None;
        }
        Some(value)
    }

    fn has_secret(&self, texts: &[Text], report: &mut Report<'_>) -> bool {
        let words: Vec<String> = texts.iter().map(|text| text.text.clone()).collect();
        let Some((index, reason)) = crate::secret::in_arguments(&words) else { return false };
        let origin = texts.get(index).map(|text| text.origin.clone()).unwrap_or(Origin::Default);
        let fault = Fault::new(format!("an argument in {} is not kept in a file: {reason}", self.key))
            .hint("give it to the server in a variable: env.NAME = \"secret:NAME\"");
        report.problems.push(fault.at(origin));
        true
    }

    fn text(&self) -> Result<&str, Fault> {
        self.item.as_str().ok_or_else(|| self.mismatch())
    }

    fn within<T: PartialOrd + Copy>(
        &self,
        value: &T,
        range: &RangeInclusive<T>,
        show: impl Fn(T) -> String,
    ) -> Result<(), Fault> {
        if range.contains(value) {
            return Ok(());
        }
        Err(self.outside(&show(*value), &show(*range.start()), &show(*range.end())))
    }

    fn outside(&self, value: &str, least: &str, most: &str) -> Fault {
        let zero = value.trim_end_matches(char::is_alphabetic) == "0";
        let unlimited = if zero { "nothing is unlimited or off: " } else { "" };
        Fault::new(format!("{} is {value}, outside of {least} to {most}", self.key))
            .hint(format!("{unlimited}choose from {least} to {most}, like {}", self.setting.example))
    }

    /// The written value is of another type.
    fn mismatch(&self) -> Fault {
        let expected = self.setting.kind.expects();
        Fault::new(format!("{} is {}, and has to be {expected}", self.key, article(self.item.type_name())))
            .hint(format!("like {}", self.setting.example))
    }

    fn named(&self, fault: Fault) -> Fault {
        let hint = fault.hint.or_else(|| Some(format!("like {}", self.setting.example)));
        Fault { what: format!("{}: {}", self.key, fault.what), hint, image: fault.image }
    }
}

pub(crate) fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

impl Kind {
    /// What may be written, as a phrase for people.
    #[must_use]
    pub fn expects(&self) -> String {
        let plain = match self {
            Kind::Switch => "true or false",
            Kind::Count(range) => return format!("a whole number from {} to {}", range.start(), range.end()),
            Kind::Time(range) => {
                let [least, most] = [range.start(), range.end()].map(|time| amount::show_time(*time));
                return format!("a time from {least} to {most}");
            }
            Kind::Size(range) => {
                let [least, most] = [range.start(), range.end()].map(|bytes| amount::show_size(*bytes));
                return format!("a size from {least} to {most}");
            }
            Kind::Processors(range) => {
                let [least, most] = [range.start(), range.end()].map(|millis| amount::show_millis(*millis));
                return format!("a number of processors from {least} to {most}");
            }
            Kind::Choice(choices) => {
                let choices: Vec<String> = choices.iter().map(|choice| format!("{choice:?}")).collect();
                return if choices.len() == 1 {
                    choices.concat()
                } else {
                    format!("one of {}", choices.join(", "))
                };
            }
            Kind::Rate => "a rate, such as 100/s, 30/m, 500/h or 1000/day",
            Kind::Budget => "what may be used in a day, such as 1000/day",
            Kind::Address => "an IP address and port",
            Kind::Text => "a text",
            Kind::Path => "a path",
            Kind::Url => "an http or https address",
            Kind::Remote => {
                "an address: https://…, wss://…, unix:/PATH, tcp://HOST:PORT, or http://… and ws://…"
            }
            Kind::Base => "an https address without a path",
            Kind::Image => "the reference of a container image with its digest, `registry/name@sha256:…`",
            Kind::Command => "a program, or a list of a program and its arguments",
            Kind::Words(Word::Argument) => "a list of texts",
            Kind::Words(Word::Host) => "a list of host names, each with an optional port",
            Kind::Words(Word::Origin) => "a list of origins",
            Kind::Words(Word::Pattern | Word::Rule) => "a list of patterns",
            Kind::Words(Word::Selection) => "a list of names",
            Kind::Words(Word::Server) => "a list of servers",
            Kind::Words(Word::Path) => "a list of absolute paths",
            Kind::Words(Word::Scope) => "a list of scopes",
            Kind::Words(Word::Destination) => "a list of host names or addresses, each with a port",
            Kind::Words(Word::Site) => "a list of host names or addresses, each with an optional port",
            Kind::Words(Word::Label) => "a list of `private`, `untrusted`, `outbound`",
            Kind::Words(Word::Trigger) => "a list of `drift`, `refusals`, `escapes`, `honeytokens`",
            Kind::Words(Word::Personal) => "a list of `mail`, `phone`, `card`, `iban`, `national-id`",
            Kind::Words(Word::Event) => {
                "a list of `tools/call`, `prompts/get`, `resources/read`, `sampling/createMessage`, `elicitation/create`"
            }
            Kind::Words(Word::Network) => "a list of addresses or networks",
            Kind::Given => "a text, \"secret:NAME\", \"env:NAME\", \"file:PATH\", or { not_secret = \"…\" }",
            Kind::Shown => "1 to 48 letters, digits, `-` and `_`",
            Kind::Json => "any value that JSON has",
        };
        plain.to_owned()
    }
}
