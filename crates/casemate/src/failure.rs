//! What a command reports when it does not succeed: a message, a next step and an exit code.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::exit::Exit;

/// A failure that a person reads. It is carried inside an [`anyhow::Error`], alone or as the context of a cause.
#[derive(Debug, Clone)]
pub struct Failure {
    exit: Exit,
    message: String,
    code: Option<String>,
    hints: Vec<String>,
    problems: Vec<Problem>,
}

/// One of several mistakes in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where it is: `FILE:LINE:COLUMN`, or less when less is known.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    /// A failure that ends the program with this code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), code: None, hints: Vec::new(), problems: Vec::new() }
    }

    /// Adds a next step, a sentence in the imperative.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hints.push(hint.into());
        self
    }

    /// Adds the stable code of a refusal, for example `CM1505`.
    #[must_use]
    pub fn refusal(mut self, code: impl Into<String>) -> Failure {
        self.code = Some(code.into());
        self
    }

    /// Adds the single mistakes that make up this failure.
    #[must_use]
    pub fn problems(mut self, problems: Vec<Problem>) -> Failure {
        self.problems = problems;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Everything that there is to say about an error, ready to be shown.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The number that the shell sees.
    pub exit: u8,
    /// The refusal's stable code, when the gateway refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What failed.
    pub message: String,
    /// Why, from the outermost cause to the innermost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// Next steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// The single mistakes, when there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

impl Account {
    /// Reads an error; one that holds no [`Failure`] is a plain failure. A message of a crate below may carry its
    /// hint on a line of its own or after a semicolon, which is set apart here.
    pub fn of(error: &anyhow::Error) -> Account {
        let mut account = Account { exit: exit_of(error).code(), ..Account::default() };
        let mut said = error.chain().map(ToString::to_string).map(|text| {
            let text = text.replace("; hint: ", "\nhint: ");
            let mut lines = text.split("\nhint: ").map(str::to_owned).collect::<Vec<_>>().into_iter();
            let message = lines.next().unwrap_or_default();
            account.hints.extend(lines);
            message
        });
        account.message = said.next().unwrap_or_default();
        account.causes = said.collect();
        if let Some(failure) = error.downcast_ref::<Failure>() {
            account.hints.extend(failure.hints.iter().cloned());
            account.code = failure.code.clone();
            account.problems = failure.problems.clone();
        }
        account
    }
}

/// The exit code that an error asks for.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    error.downcast_ref::<Failure>().map_or(Exit::Failure, |failure| failure.exit)
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::{Account, Failure, exit_of};
    use crate::exit::Exit;

    #[test]
    fn an_account_has_everything_that_was_said_on_the_way_up() {
        let failed: Result<(), _> = Err(anyhow::Error::msg("the disk is full\nhint: delete something"));
        let error = failed
            .context("cannot write the key")
            .context(Failure::new(Exit::Configuration, "cannot begin").hint("try later").refusal("CM1901"))
            .unwrap_err();
        assert_eq!(exit_of(&error), Exit::Configuration);
        let expected = Account {
            exit: 3,
            code: Some("CM1901".to_owned()),
            message: "cannot begin".to_owned(),
            causes: vec!["cannot write the key".to_owned(), "the disk is full".to_owned()],
            hints: vec!["delete something".to_owned(), "try later".to_owned()],
            problems: Vec::new(),
        };
        assert_eq!(Account::of(&error), expected);
        let line = serde_json::to_string(&expected).unwrap();
        assert_eq!(serde_json::from_str::<Account>(&line).unwrap(), expected);
    }

    #[test]
    fn a_hint_stood_in_the_middle_of_a_sentence() {
        let account =
            Account::of(&anyhow::Error::msg("it has mode 0644; hint: chmod 0600 keys").context("wrong"));
        assert_eq!(
            (&account.causes[..], &account.hints[..]),
            (&["it has mode 0644".to_owned()][..], &["chmod 0600 keys".to_owned()][..])
        );
    }

    #[test]
    fn an_error_without_a_failure_is_a_plain_one() {
        assert_eq!(exit_of(&anyhow::anyhow!("no")), Exit::Failure);
    }
}
