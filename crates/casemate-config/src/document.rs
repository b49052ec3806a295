//! Editing the written configuration without losing a comment.

#[cfg(test)]
mod tests;

use casemate_mcp::names::ServerName;
use secrecy::ExposeSecret;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

use crate::given::Given;
use crate::secret;

/// The text of a configuration, open for editing.
#[derive(Debug, Clone)]
pub struct Document {
    document: DocumentMut,
    frame: Frame,
}

/// What an editor of another system puts around the text, which the TOML library does not keep.
#[derive(Debug, Clone, Copy)]
struct Frame {
    byte_order_mark: bool,
    carriage_returns: bool,
}

/// A server to add.
#[derive(Debug, Clone)]
pub struct NewServer {
    /// Where it comes from.
    pub source: NewSource,
    /// Whether it serves at once.
    pub state: State,
    /// Further settings of its table, such as `limits.memory`, in the order in which they are to stand.
    pub settings: Vec<(&'static str, NewValue)>,
}

impl NewServer {
    /// A server that serves at once, and of which nothing else is said.
    #[must_use]
    pub fn new(source: NewSource) -> NewServer {
        NewServer { source, state: State::Enabled, settings: Vec::new() }
    }
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum NewValue {
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A whole number.
    Number(i64),
    /// A number.
    Fraction(f64),
    /// On or off.
    Switch(bool),
}

/// Where a new server comes from.
#[derive(Debug, Clone)]
pub enum NewSource {
    /// A process.
    Command {
        /// The program and its arguments; at least one word.
        command: Vec<String>,
        /// Its variables.
        env: Vec<(String, Given)>,
        /// Its working directory.
        cwd: Option<String>,
    },
    /// A container image.
    Image {
        /// Its name and digest.
        image: String,
        /// The arguments of its program.
        args: Vec<String>,
        /// Its variables.
        env: Vec<(String, Given)>,
    },
    /// A remote endpoint.
    Url {
        /// Its address.
        url: String,
        /// Its headers.
        headers: Vec<(String, Given)>,
    },
}

/// Whether a server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does.
    Enabled,
    /// It stays in the file and serves nobody.
    Disabled,
}

/// Why an edit was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditFault {
    /// The text is not TOML; `casemate config check` says where.
    #[error("the configuration is not valid TOML: {0}\nhint: `casemate config check` names the line")]
    Syntax(String),
    /// `servers`, or the server, is something else than a table.
    #[error("`{0}` in the configuration is not a table")]
    Shape(String),
    /// There is a server of that name.
    #[error("a server called {0} is configured already\nhint: `casemate remove {0}`, or choose another name")]
    Exists(ServerName),
    /// There is no server of that name.
    #[error("no server called {0} is configured\nhint: `casemate list` shows those that are")]
    Missing(ServerName),
    /// An argument or the address looks like a secret.
    #[error("the {place} is not written into a file: {reason}\nhint: pass it with {remedy}")]
    Secret {
        /// Where it is.
        place: &'static str,
        /// Why it looks like one.
        reason: secret::Reason,
        /// What to use instead.
        remedy: &'static str,
    },
}

/// Windows editors begin a file with it.
const MARK: char = '\u{feff}';

impl Document {
    /// Opens a text.
    ///
    /// # Errors
    /// When it is not TOML.
    pub fn parse(text: &str) -> Result<Document, EditFault> {
        let syntax = |error: toml_edit::TomlError| EditFault::Syntax(error.message().to_owned());
        let document = text.parse::<DocumentMut>().map_err(syntax)?;
        let carriage_returns = text.contains("\r\n");
        Ok(Document { document, frame: Frame { byte_order_mark: text.starts_with(MARK), carriage_returns } })
    }

    /// The text as it is now. What was not edited is byte for byte as it was, except that lines all end alike:
    /// with a carriage return when any did.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.document.to_string();
        if self.frame.carriage_returns {
            text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        }
        if self.frame.byte_order_mark && !text.starts_with(MARK) {
            text.insert(0, MARK);
        }
        text
    }

    /// The names of the servers in the file.
    #[must_use]
    pub fn servers(&self) -> Vec<&str> {
        let servers = self.document.get("servers").and_then(Item::as_table_like);
        servers.map(|servers| servers.iter().map(|(name, _)| name).collect()).unwrap_or_default()
    }

    /// Adds a server at the end of the servers.
    ///
    /// # Errors
    /// When the name is taken, or when the command or address looks like a secret.
    pub fn add(&mut self, name: &ServerName, server: &NewServer) -> Result<(), EditFault> {
        check_secrets(&server.source)?;
        let blank = self.text().is_empty();
        let servers = self.document.entry("servers").or_insert_with(implicit_table);
        let shape = || EditFault::Shape("servers".to_owned());
        let servers = servers.as_table_like_mut().ok_or_else(shape)?;
        if servers.contains_key(name.as_str()) {
            return Err(EditFault::Exists(name.clone()));
        }
        let mut table = Table::new();
        let blank_line = if blank { "" } else { "\n" };
        table.decor_mut().set_prefix(blank_line);
        fill(&mut table, server);
        servers.insert(name.as_str(), Item::Table(table));
        Ok(())
    }

    /// Removes a server with the comments that stand directly above it.
    ///
    /// # Errors
    /// When there is no server of that name.
    pub fn remove(&mut self, name: &ServerName) -> Result<(), EditFault> {
        let missing = || EditFault::Missing(name.clone());
        let before = self.document.to_string();
        let servers =
            self.document.get_mut("servers").and_then(Item::as_table_like_mut).ok_or_else(missing)?;
        let removed = servers.remove(name.as_str()).ok_or_else(missing)?;
        if let Some(heading) = heading(&before, &removed) {
            let text = format!("{heading}\n{}", self.document.to_string().trim_start_matches('\n'));
            self.document = Document::parse(&text)?.document;
        }
        Ok(())
    }

    /// Switches a server on or off; `false` when it was so already.
    ///
    /// # Errors
    /// When there is no server of that name.
    pub fn set_state(&mut self, name: &ServerName, state: State) -> Result<bool, EditFault> {
        let missing = || EditFault::Missing(name.clone());
        let servers =
            self.document.get_mut("servers").and_then(Item::as_table_like_mut).ok_or_else(missing)?;
        let server = servers.get_mut(name.as_str()).ok_or_else(missing)?;
        let shape = || EditFault::Shape(format!("servers.{name}"));
        let server = server.as_table_like_mut().ok_or_else(shape)?;
        let on = state == State::Enabled;
        match server.get_mut("enabled") {
            Some(Item::Value(old)) if old.as_bool() == Some(on) => Ok(false),
            Some(Item::Value(old)) => {
                let decor = old.decor().clone();
                *old = Value::from(on);
                *old.decor_mut() = decor;
                Ok(true)
            }
            None if on => Ok(false),
            _ => {
                server.insert("enabled", toml_edit::value(on));
                Ok(true)
            }
        }
    }
}

/// What stands at the top of the file, set apart from the table below it by a blank line: it speaks of the
/// whole file and stays when that table goes.
fn heading<'t>(text: &'t str, table: &Item) -> Option<&'t str> {
    let prefix = table.as_table()?.decor().prefix()?.as_str()?;
    let end = prefix.rfind("\n\n").filter(|_| text.starts_with(prefix))?;
    text.get(..=end)
}

fn implicit_table() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

fn fill(table: &mut Table, server: &NewServer) {
    let (name, values) = match &server.source {
        NewSource::Command { command, env, cwd } => {
            table.insert("command", toml_edit::value(command.iter().map(String::as_str).collect::<Array>()));
            if let Some(cwd) = cwd {
                table.insert("cwd", toml_edit::value(cwd));
            }
            ("env", env)
        }
        NewSource::Image { image, args, env } => {
            table.insert("image", toml_edit::value(image));
            if !args.is_empty() {
                table.insert("args", toml_edit::value(args.iter().map(String::as_str).collect::<Array>()));
            }
            ("env", env)
        }
        NewSource::Url { url, headers } => {
            table.insert("url", toml_edit::value(url));
            ("headers", headers)
        }
    };
    if server.state == State::Disabled {
        table.insert("enabled", toml_edit::value(false));
    }
    for (key, value) in &server.settings {
        set(table, key, value);
    }
    if values.is_empty() {
        return;
    }
    let mut below = Table::new();
    for (key, given) in values {
        below.insert(key, Item::Value(written(given)));
    }
    table.insert(name, Item::Table(below));
}

/// Sets `a.b`, on a line of its own, as people write it.
fn set(table: &mut Table, key: &str, value: &NewValue) {
    match key.split_once('.') {
        None => {
            table.insert(key, Item::Value(value.written()));
        }
        Some((first, rest)) => {
            let below = table.entry(first).or_insert_with(|| {
                let mut below = Table::new();
                below.set_dotted(true);
                Item::Table(below)
            });
            if let Some(below) = below.as_table_mut() {
                set(below, rest, value);
            }
        }
    }
}

impl NewValue {
    fn written(&self) -> Value {
        match self {
            NewValue::Text(text) => text.as_str().into(),
            NewValue::Texts(texts) => texts.iter().map(String::as_str).collect::<Array>().into(),
            NewValue::Number(number) => (*number).into(),
            NewValue::Fraction(number) => (*number).into(),
            NewValue::Switch(on) => (*on).into(),
        }
    }
}

fn written(given: &Given) -> Value {
    match given {
        Given::Env(name) => format!("env:{name}").into(),
        Given::File(path) => format!("file:{}", path.display()).into(),
        Given::Secret(name) => format!("secret:{name}").into(),
        Given::Literal(text) => {
            let text = text.expose_secret();
            // A plain text that begins like a reference would be read as one.
            if ["env:", "file:", "secret:"].iter().any(|reference| text.starts_with(reference)) {
                Value::InlineTable(InlineTable::from_iter([("not_secret", text)]))
            } else {
                text.into()
            }
        }
    }
}

fn check_secrets(source: &NewSource) -> Result<(), EditFault> {
    let (found, values) = match source {
        NewSource::Command { command: words, env, .. } | NewSource::Image { args: words, env, .. } => {
            let found =
                secret::in_arguments(words).map(|(_, reason)| ("argument", reason, "--env KEY=secret:NAME"));
            (found, env)
        }
        NewSource::Url { url, headers } => {
            (secret::in_url(url).map(|reason| ("address", reason, "--header KEY=secret:NAME")), headers)
        }
    };
    let literal = values.iter().find_map(|(key, given)| match given {
        Given::Literal(text) => secret::looks_like_secret(key, text.expose_secret()),
        Given::Env(_) | Given::File(_) | Given::Secret(_) => None,
    });
    let found =
        found.or(literal.map(|reason| ("value", reason, "KEY=secret:NAME, KEY=env:NAME or KEY=file:PATH")));
    match found {
        Some((place, reason, remedy)) => Err(EditFault::Secret { place, reason, remedy }),
        None => Ok(()),
    }
}
