//! The AI clients whose configuration we can write, as data, and our entry in each.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use crate::jsonc::{Document, Fault};

/// The name of our entry in a client's list of servers.
pub const ENTRY: &str = "casemate";

/// The argument that makes our program a bridge between a client and the running gateway.
pub const CONNECT: &str = "connect";

/// All clients that can be installed to, in the order in which they are shown.
pub const CLIENTS: &[Client] = &[
    Client {
        id: "claude-desktop",
        name: "Claude Desktop",
        base: Base::Config,
        file: "Claude/claude_desktop_config.json",
        container: "mcpServers",
        kind: None,
        next: "quit and start Claude Desktop again",
    },
    Client {
        id: "claude-code",
        name: "Claude Code",
        base: Base::Claude,
        file: ".claude.json",
        container: "mcpServers",
        kind: Some("stdio"),
        next: "start a new Claude Code session",
    },
    Client {
        id: "cursor",
        name: "Cursor",
        base: Base::Home,
        file: ".cursor/mcp.json",
        container: "mcpServers",
        kind: None,
        next: "enable casemate in Cursor's settings under MCP",
    },
    Client {
        id: "vscode",
        name: "VS Code",
        base: Base::Config,
        file: "Code/User/mcp.json",
        container: "servers",
        kind: Some("stdio"),
        next: "start casemate from VS Code's list of MCP servers",
    },
];

/// A client: where its list of servers is kept, and how an entry is written there.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// What is typed on the command line.
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// What a person does for the client to notice.
    pub next: &'static str,
    base: Base,
    file: &'static str,
    /// The member that holds the servers.
    container: &'static str,
    /// The `type` of a stdio server, where the client wants it said.
    kind: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
enum Base {
    Home,
    Config,
    Claude,
}

/// The operating systems that clients run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Os {
    /// Linux, with the XDG folders.
    Linux,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

/// The folders of the user whose clients are configured.
#[derive(Debug, Clone)]
pub struct Homes {
    /// `$HOME` or `%USERPROFILE%`.
    pub home: PathBuf,
    /// Where desktop programs keep their settings.
    pub config: PathBuf,
    /// Where Claude Code keeps its file: `$CLAUDE_CONFIG_DIR`, else the home.
    pub claude: PathBuf,
}

impl Homes {
    /// The folders as they are by default below a home. A caller that knows better (`%APPDATA%`,
    /// `$XDG_CONFIG_HOME`, `$CLAUDE_CONFIG_DIR`) replaces the field.
    #[must_use]
    pub fn of(os: Os, home: &Path) -> Homes {
        let config = match os {
            Os::Linux => ".config",
            Os::MacOs => "Library/Application Support",
            Os::Windows => "AppData/Roaming",
        };
        Homes { home: home.to_owned(), config: home.join(config), claude: home.to_owned() }
    }
}

/// How a client starts us.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Absolute path of our executable: clients start servers with a PATH of their own.
    pub program: String,
    /// Variables of ours that the client sets, such as `CASEMATE_HOME`; never a secret. One without a value must not be
    /// set: it would lead to another installation.
    pub env: BTreeMap<String, Option<String>>,
}

/// No client has that id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no client is called {id:?}\nhint: one of {}", ids())]
pub struct Unknown {
    /// What was asked for.
    pub id: String,
}

impl Client {
    /// The client of that id.
    ///
    /// # Errors
    /// When there is none; the error lists those that there are.
    pub fn find(id: &str) -> Result<&'static Client, Unknown> {
        CLIENTS.iter().find(|client| client.id == id).ok_or_else(|| Unknown { id: id.to_owned() })
    }

    /// The file that holds the client's servers.
    #[must_use]
    pub fn file(&self, homes: &Homes) -> PathBuf {
        let base = match self.base {
            Base::Home => &homes.home,
            Base::Config => &homes.config,
            Base::Claude => &homes.claude,
        };
        base.join(self.file)
    }

    /// Whether the text has our entry.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn installed(&self, text: &str) -> Result<bool, Fault> {
        let document = Document::parse(or_empty(text))?;
        Ok(document.root().get(self.container).and_then(|servers| servers.get(ENTRY)).is_some())
    }

    /// The text with our entry in it; `None` when it is there already. An entry of ours that differs is
    /// corrected member by member, and what else a person put into it stays.
    ///
    /// # Errors
    /// When the text is not JSON, or not of the shape that the client reads.
    pub fn install(&self, text: &str, launch: &Launch) -> Result<Option<String>, Fault> {
        let text = or_empty(text);
        let document = Document::parse(text)?;
        let entry = Entry { kind: self.kind, launch };
        let existing = document.root().get(self.container).and_then(|servers| servers.get(ENTRY));
        if existing.is_none() {
            return document.set(&[self.container, ENTRY], &entry);
        }
        let mut now = Edited { text: text.to_owned(), changed: false };
        for (name, value) in entry.members().into_iter().filter(|(name, _)| *name != ENV) {
            now.apply(|document| document.set(&[self.container, ENTRY, name], &value))?;
        }
        for (name, value) in &launch.env {
            let path = [self.container, ENTRY, ENV, name];
            now.apply(|document| match value {
                Some(value) => document.set(&path, value),
                None => document.remove(&path),
            })?;
        }
        let document = Document::parse(&now.text)?;
        let env = document.root().get(self.container).and_then(|all| all.get(ENTRY)?.get(ENV));
        let had_variables = existing.and_then(|entry| entry.get(ENV)?.members()?.next()).is_some();
        if had_variables && env.is_some_and(|env| env.members().is_some_and(|mut all| all.next().is_none())) {
            now.apply(|document| document.remove(&[self.container, ENTRY, ENV]))?;
        }
        Ok(now.changed.then_some(now.text))
    }

    /// The text without our entry; `None` when it has none.
    ///
    /// # Errors
    /// When the text is not JSON, or not of the shape that the client reads.
    pub fn uninstall(&self, text: &str) -> Result<Option<String>, Fault> {
        Document::parse(or_empty(text))?.remove(&[self.container, ENTRY])
    }
}

/// The member of an entry that holds its variables.
const ENV: &str = "env";

/// A text that is edited in steps.
struct Edited {
    text: String,
    changed: bool,
}

impl Edited {
    fn apply(
        &mut self,
        edit: impl FnOnce(&Document<'_>) -> Result<Option<String>, Fault>,
    ) -> Result<(), Fault> {
        if let Some(text) = edit(&Document::parse(&self.text)?)? {
            *self = Edited { text, changed: true };
        }
        Ok(())
    }
}

fn ids() -> String {
    CLIENTS.iter().map(|client| client.id).collect::<Vec<_>>().join(", ")
}

/// Clients create their file empty, or not at all.
fn or_empty(text: &str) -> &str {
    if text.trim_start_matches('\u{feff}').trim().is_empty() { "{}\n" } else { text }
}

/// Our entry as the client reads it.
struct Entry<'a> {
    kind: Option<&'static str>,
    launch: &'a Launch,
}

impl Entry<'_> {
    fn members(&self) -> Vec<(&'static str, serde_json::Value)> {
        let mut members = Vec::new();
        if let Some(kind) = self.kind {
            members.push(("type", kind.into()));
        }
        members.push(("command", self.launch.program.as_str().into()));
        members.push(("args", vec![CONNECT].into()));
        let set = |(name, value): (&String, &Option<String>)| Some((name.clone(), value.clone()?.into()));
        let env: serde_json::Map<String, serde_json::Value> =
            self.launch.env.iter().filter_map(set).collect();
        if !env.is_empty() {
            members.push((ENV, env.into()));
        }
        members
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.members())
    }
}
