//! What a server's settings ask for.

use crate::finding::{Class, Measure, Severity};
use crate::rules::{Place, Rule};

/// A kind of personal data that can be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Personal {
    /// Mail addresses.
    Mail,
    /// Telephone numbers.
    Phone,
    /// Numbers of payment cards.
    Card,
    /// Bank accounts.
    Iban,
    /// Numbers by which states know people.
    NationalId,
}

impl Personal {
    /// All kinds.
    pub const ALL: [Personal; 5] =
        [Personal::Mail, Personal::Phone, Personal::Card, Personal::Iban, Personal::NationalId];

    /// The word for it in settings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Personal::Mail => "mail",
            Personal::Phone => "phone",
            Personal::Card => "card",
            Personal::Iban => "iban",
            Personal::NationalId => "national-id",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Personal> {
        Personal::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The kind that a rule of [`Class::Personal`] is about.
    fn of(rule: &Rule) -> Personal {
        Personal::parse(&rule.id).unwrap_or(Personal::NationalId)
    }
}

/// How the messages of one server are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Hidden text in results.
    pub hidden: Measure,
    /// What looks like a secret in results. Secrets that we hand out ourselves are always masked.
    pub secrets: Measure,
    /// What looks like a secret in arguments.
    pub arguments: Measure,
    /// Kinds of personal data that are looked for, in results and arguments.
    pub personal: Vec<Personal>,
    /// What is done about personal data.
    pub personal_found: Measure,
    /// Text that talks to the model: off, told of, or blocked where that is as good as certain.
    pub signals: Measure,
    /// Hidden text in definitions.
    pub definitions: Measure,
    /// Names that stand for something else: off, told of, or blocked where that is as good as certain.
    pub names: Measure,
    /// Results that are not what their tools declared.
    pub output: Measure,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            hidden: Measure::Clean,
            secrets: Measure::Clean,
            arguments: Measure::Flag,
            personal: Vec::new(),
            personal_found: Measure::Clean,
            signals: Measure::Flag,
            definitions: Measure::Block,
            names: Measure::Block,
            output: Measure::Block,
        }
    }
}

impl Policy {
    /// What that comes to at one place.
    #[must_use]
    pub fn at(&self, place: Place) -> Measures<'_> {
        let has_personal = !self.personal.is_empty() && place != Place::Definition;
        Measures {
            place,
            hidden: match place {
                Place::Definition => self.definitions,
                Place::Result => self.hidden,
                // What a person or a model writes is theirs; a file may need such characters.
                Place::Arguments => Measure::Off,
            },
            secrets: if place == Place::Arguments { self.arguments } else { self.secrets },
            personal: if has_personal { self.personal_found } else { Measure::Off },
            kinds: &self.personal,
            signals: if place == Place::Arguments { Measure::Off } else { self.signals },
        }
    }
}

/// What is done about each kind of find at one place.
#[derive(Debug, Clone, Copy)]
pub struct Measures<'a> {
    pub(crate) place: Place,
    pub(crate) hidden: Measure,
    pub(crate) secrets: Measure,
    pub(crate) personal: Measure,
    kinds: &'a [Personal],
    signals: Measure,
}

impl Measures<'_> {
    /// Whether nothing is looked for but the secrets that we hand out.
    pub(crate) fn are_off(&self) -> bool {
        [self.hidden, self.secrets, self.personal, self.signals]
            .iter()
            .all(|measure| *measure == Measure::Off)
    }

    /// What is done about what a rule finds.
    pub(crate) fn of(&self, rule: &Rule) -> Measure {
        let measure = match rule.class {
            Class::Secret => self.secrets,
            Class::Personal if self.kinds.contains(&Personal::of(rule)) => self.personal,
            Class::Personal => Measure::Off,
            Class::Signal | Class::Markup => self.signals,
            Class::Hidden | Class::Exact | Class::Form | Class::Name => Measure::Clean,
        };
        if rule.only_flags { measure.min(Measure::Flag) } else { measure }
    }

    /// What is done about one find: of signals only those block that are as good as certain.
    pub(crate) fn done(&self, rule: &Rule, severity: Severity) -> Measure {
        let measure = self.of(rule);
        let is_signal = matches!(rule.class, Class::Signal | Class::Markup);
        if is_signal && severity < Severity::High { measure.min(Measure::Flag) } else { measure }
    }
}
