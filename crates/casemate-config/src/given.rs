//! The value of a variable or header: itself, or where it is kept.

use std::fmt;
use std::path::{Path, PathBuf};

use casemate_auth::SecretName;
use secrecy::{ExposeSecret, SecretString};

use crate::problem::Fault;
use crate::secret::looks_like_secret;

/// The value of a variable or header as it is written.
#[derive(Debug, Clone)]
pub enum Given {
    /// The value itself: a text, or `{ not_secret = "…" }` for one that could be taken for something else.
    Literal(SecretString),
    /// `env:NAME`: an environment variable of ours holds it.
    Env(String),
    /// `file:PATH`: a file holds it; a newline at its end is not part of the value.
    File(PathBuf),
    /// `secret:NAME`: one of the secrets of this installation.
    Secret(SecretName),
}

impl Given {
    /// Reads a value as it is typed: `secret:NAME`, `env:NAME`, `file:PATH`, or a literal.
    ///
    /// # Errors
    /// When a reference is malformed, or when a literal looks like a secret; the hint then names the reference
    /// to use instead. The value is never quoted.
    pub fn parse(key: &str, text: &str) -> Result<Given, Refused> {
        let refused = |what: String, hint: String| Refused(Fault::new(what).hint(hint));
        if let Some(name) = text.strip_prefix("env:") {
            let example = format!("env:{}", suggested_variable(key));
            return if is_variable(name) {
                Ok(Given::Env(name.to_owned()))
            } else {
                Err(refused(format!("{key} refers to no variable name"), format!("like {example:?}")))
            };
        }
        if let Some(path) = text.strip_prefix("file:") {
            return if path.is_empty() || path.starts_with("//") {
                let hint =
                    "like \"file:/run/secrets/token\"; `{ not_secret = \"…\" }` takes a text as it stands";
                Err(refused(format!("{key} refers to no file"), hint.to_owned()))
            } else {
                Ok(Given::File(path.into()))
            };
        }
        if let Some(name) = text.strip_prefix("secret:") {
            return SecretName::parse(name).map(Given::Secret).map_err(|fault| {
                let example = format!("secret:{}", suggested_variable(key));
                refused(format!("{key} refers to no secret: {fault}"), format!("like {example:?}"))
            });
        }
        match looks_like_secret(key, text) {
            Some(reason) => Err(refused(
                format!("the value of {key} is not kept in a file: {reason}"),
                format!(
                    "`casemate secret set {0}` keeps it, and \"secret:{0}\" refers to it; \"env:{0}\" and \
                     \"file:PATH\" do where it is kept elsewhere",
                    suggested_variable(key)
                ),
            )),
            None => Ok(Given::Literal(text.to_owned().into())),
        }
    }

    /// How it is shown to people: a literal is not shown, since nobody checked every kind of secret.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Given::Literal(text) => format!("a text of {} characters", text.expose_secret().chars().count()),
            Given::Env(name) => format!("env:{name}"),
            Given::File(path) => format!("file:{}", path.display()),
            Given::Secret(name) => format!("secret:{name}"),
        }
    }

    /// Whether the value is kept elsewhere, as secrets are.
    #[must_use]
    pub fn is_reference(&self) -> bool {
        !matches!(self, Given::Literal(_))
    }

    /// What it is called where it is missed. Callers read that in a refusal, so a file goes by its name without its folder.
    pub(crate) fn called(&self) -> String {
        match self {
            Given::Secret(name) => name.to_string(),
            Given::File(path) => {
                format!("file:{}", path.file_name().unwrap_or_default().display())
            }
            Given::Env(_) | Given::Literal(_) => self.shown(),
        }
    }

    /// Reads the value from where it is kept, or says for a person why it cannot be had now. What is kept elsewhere
    /// can come and go, and a client that starts us passes on few variables: that it is not there is no mistake in the file.
    pub(crate) fn resolve(&self, folder: &Path, source: &dyn Source) -> Result<SecretString, String> {
        match self {
            Given::Literal(text) => Ok(text.clone()),
            Given::Secret(name) => source.secret(name),
            Given::Env(name) => source
                .env(name)
                .map(SecretString::from)
                .ok_or_else(|| "this environment variable is not set".to_owned()),
            Given::File(path) => {
                let text = source
                    .read_file(&folder.join(path))
                    .map_err(|error| format!("this file cannot be read: {error}"))?;
                let value = text.strip_suffix('\n').unwrap_or(&text);
                let value = value.strip_suffix('\r').unwrap_or(value);
                if value.is_empty() || value.contains('\0') || value.len() > BYTES_MAX {
                    return Err(format!("this file does not hold a text of 1 to {BYTES_MAX} bytes"));
                }
                Ok(value.to_owned().into())
            }
        }
    }
}

/// Longest value of a secret, in bytes. Tokens with many claims reach a few KiB.
const BYTES_MAX: usize = 64 << 10;

/// A value that is not written into a configuration. Displays what is wrong and a `hint:` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub(crate) Fault);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)?;
        self.0.hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for Refused {}

/// Where references to secrets lead: the caller's environment and disk.
pub trait Source {
    /// The value of an environment variable.
    fn env(&self, name: &str) -> Option<String>;

    /// The text of a file.
    ///
    /// # Errors
    /// What the system says.
    fn read_file(&self, path: &Path) -> std::io::Result<String>;

    /// The policy files of a folder, in the order of their names: each with its name there and its text. A folder
    /// that does not exist has none.
    ///
    /// # Errors
    /// What the system says.
    fn policies(&self, folder: &Path) -> std::io::Result<Vec<(String, String)>>;

    /// The text of a file with rules, which is no secret.
    ///
    /// # Errors
    /// What the system says.
    fn read_rules(&self, path: &Path) -> std::io::Result<String> {
        self.read_file(path)
    }

    /// What the values are made from that are planted in cells; `None` where nothing is started, and none are planted.
    fn seed(&self) -> Option<[u8; casemate_inspect::SEED_BYTES]> {
        None
    }

    /// A secret of this installation.
    ///
    /// # Errors
    /// Why it cannot be had, for a person.
    fn secret(&self, name: &SecretName) -> Result<SecretString, String>;
}

/// Whether the text can be the name of an environment variable.
pub(crate) fn is_variable(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=256).contains(&name.len())
        && name.chars().all(legal)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn suggested_variable(key: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    key.chars().map(legal).collect()
}
