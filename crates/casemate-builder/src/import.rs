//! Reading any client's list of MCP servers into a neutral form.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use casemate_mcp::names::ServerName;
use serde_json::Value;

use crate::clients::{CONNECT, ENTRY};
use crate::jsonc::{Document, Fault, Node};

/// What a client's file said, and what of it could not be taken over as it stands.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// The servers in the order of the file.
    pub servers: Vec<Imported>,
    /// What a person should know or do.
    pub warnings: Vec<Warning>,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its name, made legal and unique.
    pub name: ServerName,
    /// Where it comes from.
    pub source: Source,
    /// Whether the client had it switched on.
    pub enabled: bool,
}

/// Where an imported server comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A process that speaks stdio.
    Command {
        /// The program.
        program: String,
        /// Its arguments.
        args: Vec<String>,
        /// Its variables.
        env: BTreeMap<String, Given>,
        /// Its working directory.
        cwd: Option<String>,
    },
    /// A remote endpoint.
    Remote {
        /// Its address.
        url: String,
        /// Its headers.
        headers: BTreeMap<String, Given>,
    },
}

/// The value of a variable or header. A secret is never among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// The value itself.
    Literal(String),
    /// The environment variable that holds it when Casemate starts.
    Env(String),
    /// The secret of the installation that it has to be kept as.
    Secret(String),
}

/// Something that a person should know or do about one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The server, by its name in the client's file.
    pub server: String,
    /// What is the matter. It never quotes a value, since values may be secrets.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.server, self.text)
    }
}

/// Reads the servers of a client's JSON file: `mcpServers`, `servers`, `context_servers`, `mcp`, or a bare map.
///
/// `secret` judges whether a value, given with its key, looks like a secret. Such a value is not taken over:
/// a variable or header refers to a secret of the installation instead, and a server that has one in its arguments
/// or address is left out; both with a warning.
///
/// # Errors
/// When the text is not JSON, or holds no list of servers.
pub fn read(text: &str, secret: &dyn Fn(&str, &str) -> bool) -> Result<Import, Fault> {
    let document = Document::parse(text)?;
    let Some(servers) = container(document.root()) else {
        let what = "no list of servers found: expected `mcpServers`, `servers`, `context_servers` or `mcp`";
        return Err(Fault { line: 1, column: 1, what: what.to_owned() });
    };
    let mut reader =
        Reader { secret, taken: BTreeSet::new(), server: String::new(), import: Import::default() };
    for (name, entry) in servers.members().into_iter().flatten() {
        reader.server = name.to_owned();
        reader.entry(entry);
    }
    Ok(reader.import)
}

/// Where the clients keep their servers, most telling first.
const CONTAINERS: &[&[&str]] = &[
    &["mcpServers"],
    &["servers"],
    &["context_servers"],
    &["amp.mcpServers"],
    &["mcp", "servers"],
    &["mcp"],
];

/// Members of an entry that are understood. Others are named in a warning, unless they are in [`SILENT`].
const KNOWN: &[&str] = &[
    "command",
    "cmd",
    "args",
    "env",
    "envs",
    "environment",
    "cwd",
    "url",
    "serverUrl",
    "httpUrl",
    "headers",
    "type",
    "disabled",
    "enabled",
];

/// Members that mean nothing outside of their client.
const SILENT: &[&str] =
    &["name", "description", "title", "source", "autoApprove", "alwaysAllow", "gallery", "version"];

fn container(root: &Node) -> Option<&Node> {
    for path in CONTAINERS {
        let found = path.iter().try_fold(root, |node, name| node.get(name));
        if let Some(found) = found.filter(|node| node.members().is_some()) {
            return Some(found);
        }
    }
    let bare = |(_, node): (&str, &Node)| node.get("command").or_else(|| address(node)).is_some();
    root.members()?.any(bare).then_some(root)
}

fn address(entry: &Node) -> Option<&Node> {
    ["url", "serverUrl", "httpUrl"].iter().find_map(|name| entry.get(name))
}

struct Reader<'a> {
    secret: &'a dyn Fn(&str, &str) -> bool,
    taken: BTreeSet<String>,
    /// The name of the entry at hand, as written.
    server: String,
    import: Import,
}

impl Reader<'_> {
    fn entry(&mut self, entry: &Node) {
        let Some(members) = entry.members() else { return self.warn("left out: it is not an object") };
        let foreign: Vec<&str> = members
            .map(|(name, _)| name)
            .filter(|name| !KNOWN.contains(name) && !SILENT.contains(name))
            .collect();
        let mut argv = words(entry.get("command").or_else(|| entry.get("cmd")));
        // Arguments without a command are no command.
        if !argv.is_empty() {
            argv.extend(words(entry.get("args")));
        }
        if is_casemate(&self.server, &argv) {
            return self.warn("left out: it is Casemate itself");
        }
        let url = address(entry).and_then(Node::string);
        let source = match (argv.split_first(), url) {
            (Some((program, args)), _) => self.command(entry, program, args),
            (None, Some(url)) => self.remote(entry, url),
            (None, None) if entry.get("args").is_some() => {
                return self.warn("left out: it has no command");
            }
            (None, None) => return self.warn("left out: it has neither a command nor a url"),
        };
        let Some(source) = source else { return };
        let Some(name) = self.legal_name() else {
            return self.warn("left out: its name has no letter or digit");
        };
        if !foreign.is_empty() {
            self.warn(&format!("not taken over: {}", foreign.join(", ")));
        }
        if foreign.contains(&"timeout") {
            self.warn(
                "clients count its timeout in seconds or in milliseconds; here it is `timeout.call = \"60s\"`",
            );
        }
        let off = entry.get("disabled").is_some_and(|value| value.value() == Value::Bool(true))
            || entry.get("enabled").is_some_and(|value| value.value() == Value::Bool(false));
        self.import.servers.push(Imported { name, source, enabled: !off });
    }

    fn command(&mut self, entry: &Node, program: &str, args: &[String]) -> Option<Source> {
        let mut flag = "";
        for arg in args {
            let (key, value) = arg.split_once('=').unwrap_or((flag, arg));
            if (self.secret)(key.trim_start_matches('-'), value) {
                self.warn("left out: an argument looks like a secret; pass it in a variable or file and add it by hand");
                return None;
            }
            flag = if arg.starts_with('-') { arg } else { "" };
        }
        if args.iter().any(|arg| arg.contains("${")) {
            self.warn("an argument has a placeholder `${…}`, which Casemate passes on as it stands");
        }
        let env = ["env", "envs", "environment"].iter().find_map(|name| entry.get(name));
        let env = self.values(env);
        let cwd = entry.get("cwd").and_then(Node::string).map(str::to_owned);
        Some(Source::Command { program: program.to_owned(), args: args.to_vec(), env, cwd })
    }

    fn remote(&mut self, entry: &Node, url: &str) -> Option<Source> {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or(("", pair)));
        let segments = url.split(['/', '?']).map(|segment| ("", segment));
        let user = url
            .split_once("://")
            .and_then(|(_, rest)| rest.split('/').next())
            .is_some_and(|host| host.contains('@'));
        if user || pairs.chain(segments).any(|(key, value)| (self.secret)(key, value)) {
            self.warn(
                "left out: its url seems to hold a secret; send it in a header and add the server by hand",
            );
            return None;
        }
        let headers = self.values(entry.get("headers"));
        Some(Source::Remote { url: url.to_owned(), headers })
    }

    fn values(&mut self, map: Option<&Node>) -> BTreeMap<String, Given> {
        let mut values = BTreeMap::new();
        for (key, node) in map.and_then(Node::members).into_iter().flatten() {
            let text = match node.value() {
                Value::String(text) => text,
                Value::Null => continue,
                Value::Bool(_) | Value::Number(_) => node.value().to_string(),
                Value::Array(_) | Value::Object(_) => {
                    self.warn(&format!("not taken over: {key}, which is not a text"));
                    continue;
                }
            };
            let given = self.value(key, text);
            values.insert(key.to_owned(), given);
        }
        values
    }

    fn value(&mut self, key: &str, text: String) -> Given {
        if let Some(name) = whole_reference(&text) {
            return Given::Env(name.to_owned());
        }
        let kept = secret_name(&self.server, key);
        if text.contains("${") {
            self.warn(&format!(
                "its {key} has a placeholder; `casemate secret set {kept}` gives it the whole value"
            ));
            return Given::Secret(kept);
        }
        let (before, last) = text.rsplit_once(' ').unwrap_or(("", &text));
        if (self.secret)(key, &text) || (self.secret)(key, last) {
            let scheme = SCHEMES.iter().find(|scheme| **scheme == before);
            let whole = scheme.map(|scheme| format!(", with `{scheme}` before it")).unwrap_or_default();
            self.warn(&format!("its {key} was not copied; `casemate secret set {kept}` gives it{whole}"));
            return Given::Secret(kept);
        }
        Given::Literal(text)
    }

    /// The entry's name as we can write it, made different from those before.
    fn legal_name(&mut self) -> Option<ServerName> {
        let mut plain = String::new();
        for c in self.server.chars() {
            match if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' } {
                '-' | '_' if plain.is_empty() || plain.ends_with(['-', '_']) => {}
                c => plain.push(c),
            }
        }
        // Leaves room for the number that tells names apart.
        let plain = plain.get(..29.min(plain.len()))?.trim_end_matches(['-', '_']);
        let numbered = (2..1000).map(|number| format!("{plain}-{number}"));
        let free = |name: &String| !self.taken.contains(&name.to_lowercase());
        let name = std::iter::once(plain.to_owned()).chain(numbered).find(free)?;
        let parsed = ServerName::parse(&name).ok()?;
        self.taken.insert(name.to_lowercase());
        if name != self.server {
            self.warn(&format!("renamed to {name}"));
        }
        Some(parsed)
    }

    fn warn(&mut self, text: &str) {
        self.import.warnings.push(Warning { server: self.server.clone(), text: text.to_owned() });
    }
}

/// A text, or a list of texts: both are in use for commands.
fn words(node: Option<&Node>) -> Vec<String> {
    match node.map(Node::value) {
        Some(Value::String(word)) if !word.is_empty() => vec![word],
        Some(Value::Array(words)) => {
            let word = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            words.into_iter().map(word).collect()
        }
        _ => Vec::new(),
    }
}

fn is_casemate(name: &str, argv: &[String]) -> bool {
    let program = argv.first().map(Path::new).and_then(Path::file_stem);
    let connects = argv.get(1).is_some_and(|arg| arg == CONNECT);
    name == ENTRY || (connects && program.is_some_and(|program| program == ENTRY))
}

/// The variable that the whole value refers to: `${NAME}`, `${env:NAME}` or `$NAME`.
fn whole_reference(text: &str) -> Option<&str> {
    let name = text.strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let name = name.strip_prefix("env:").unwrap_or(name);
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(legal) && !name.starts_with(|c: char| c.is_ascii_digit()))
        .then_some(name)
}

/// What stands before a secret in a header, and is none.
const SCHEMES: [&str; 4] = ["Bearer", "Basic", "Token", "ApiKey"];

/// A name for a secret of a server. Two servers may both have an `API_KEY`, and neither is to be given the other's.
fn secret_name(server: &str, key: &str) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let [server, key] = [server, key].map(|text| text.chars().map(legal).collect::<String>());
    let name = if key.starts_with(&format!("{server}_")) { key } else { format!("{server}_{key}") };
    let name = name.trim_start_matches('_');
    // The name of a secret has 64 characters at most, and the end says what it is.
    name.get(name.len().saturating_sub(NAME_MAX)..).unwrap_or(name).trim_start_matches('_').to_owned()
}

/// Longest name of a secret.
const NAME_MAX: usize = 64;
