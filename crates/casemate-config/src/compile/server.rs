//! `[servers.NAME]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use casemate_gateway::snapshot::{
    Approval, ClientSecret, CommandSource, Grant, HttpSource, ImageSource, LoginNetwork, Missing, OAuth,
    OutputRate, Resilience, Secrets, ServerEntry, Sharing, Source, Timeouts, ToolEntry,
};
use casemate_mcp::names::{ServerName, ToolName};
use secrecy::{ExposeSecret, SecretString};

use super::room::HostStats;
use super::{Compiler, digest};
use crate::given::Given;
use crate::problem::Fault;
use crate::reader::Scope;
use crate::remote::Remote;

/// The kinds of server, by the key that makes a table one.
const KINDS: [&str; 4] = ["command", "image", "url", "builtin"];

/// The keys that do not mean something for every kind of server, with the kinds for which they do.
const BELONGINGS: [(&str, &[&str]); 15] = [
    ("args", &["command", "image"]),
    ("env", &["command", "image"]),
    ("cwd", &["command"]),
    ("headers", &["url"]),
    ("oauth", &["url"]),
    ("cell", &["command", "builtin"]),
    ("allow_unsandboxed", &["command", "builtin"]),
    ("read", &["command", "image", "builtin"]),
    ("write", &["command", "image", "builtin"]),
    ("runtime", &["command"]),
    ("limits", &["command", "image", "builtin"]),
    ("host_stats", &["command", "builtin"]),
    ("install_scripts", &["command"]),
    ("network", &["command", "image", "builtin"]),
    ("honeytokens", &["command", "image"]),
];

fn approval(word: Option<&str>) -> Option<Approval> {
    match word? {
        "review" => Some(Approval::Review),
        _ => Some(Approval::FirstUse),
    }
}

impl<'a> Compiler<'a> {
    pub(super) fn servers(&mut self) -> BTreeMap<ServerName, Arc<ServerEntry>> {
        let scope = self.scope("servers");
        let mut servers = BTreeMap::new();
        for name in scope.names() {
            let Ok(server) = ServerName::parse(name) else { continue };
            if let Some(entry) = self.server(server.clone(), &scope.child(name)) {
                servers.insert(server, Arc::new(entry));
            }
        }
        servers
    }

    fn server(&mut self, name: ServerName, at: &Scope<'a>) -> Option<ServerEntry> {
        let enabled = at.switch("enabled").unwrap_or(true);
        let timeouts = self.timeouts(at);
        let resilience = self.resilience(at);
        let tools = self.tools(at, &timeouts);
        let mut secrets = Secrets::default();
        let source = self.source_of(&name, at, &mut Vault { enabled, secrets: &mut secrets })?;
        let sharing = match at.text("sharing") {
            Some("shared") => Sharing::Shared,
            Some("call") => Sharing::Call,
            _ => Sharing::Subject,
        };
        let output = match at.count("limits.output_rate") {
            Some(bytes_per_second) => OutputRate { bytes_per_second },
            None => OutputRate::default(),
        };
        let approval = match at.entry("builtin") {
            Some(_) => Approval::OwnPart,
            None => approval(at.text("approve")).unwrap_or_else(|| self.approval()),
        };
        let mut entry = ServerEntry {
            name,
            source,
            enabled,
            sharing,
            timeouts,
            resilience,
            output,
            tools,
            approval,
            secrets,
            digest: [0; 32],
        };
        entry.digest = digest::of(&entry);
        Some(entry)
    }

    /// What it takes for a definition that was never seen before, where an entry does not say.
    fn approval(&self) -> Approval {
        let gateway = self.scope("gateway");
        let is_local = gateway.address("listen").is_none_or(|listen| listen.ip().is_loopback());
        approval(gateway.text("approve")).unwrap_or(if is_local {
            Approval::FirstUse
        } else {
            Approval::Review
        })
    }

    fn source_of(&mut self, name: &ServerName, at: &Scope<'a>, vault: &mut Vault<'_>) -> Option<Source> {
        let present: Vec<&str> = KINDS.into_iter().filter(|kind| at.entry(kind).is_some()).collect();
        let kind = match present.as_slice() {
            [kind] => *kind,
            [] => {
                let what = format!("[{}] has none of {}", at.key, named(&KINDS, "and"));
                let hint = "say what the server is, like command = [\"npx\", \"-y\", \"package@1.2.3\"]";
                self.refuse(at.origin(), Fault::new(what).hint(hint));
                return None;
            }
            [first, second, ..] => {
                let what = format!("[{}] has both `{first}` and `{second}`", at.key);
                self.refuse(at.origin_of(second), Fault::new(what).hint("keep one of them"));
                return None;
            }
        };
        for (key, owners) in BELONGINGS {
            let names = at.below(key).names();
            // What a remote server sends us is ours to limit, and nothing else of it is.
            if kind == "url" && key == "limits" && names == ["output_rate"] {
                continue;
            }
            if !owners.contains(&kind) && (at.entry(key).is_some() || !names.is_empty()) {
                let what = format!("`{key}` in [{}] means nothing beside `{kind}`", at.key);
                let origin = if at.entry(key).is_some() { at.origin_of(key) } else { at.below(key).origin() };
                let hint = format!("it belongs to a server with {}", named(owners, "or"));
                self.refuse(origin, Fault::new(what).hint(hint));
            }
        }
        match kind {
            "command" => self.command(name, at, vault),
            "image" => self.image(name, at, vault),
            "url" => self.remote(at, vault),
            _ => self.builtin(name, at),
        }
    }

    fn command(&mut self, name: &ServerName, at: &Scope<'a>, vault: &mut Vault<'_>) -> Option<Source> {
        let words = at.texts("command")?;
        let (program, args) = words.split_first()?;
        let further = at.texts("args").unwrap_or_default();
        let install_scripts = at.switch("install_scripts").unwrap_or(false);
        if install_scripts && !is_runner(program) {
            let what =
                format!("`install_scripts` in [{}] is about packages, and {program:?} runs none", at.key);
            let hint = "it belongs to a command such as [\"npx\", \"-y\", \"package@1.2.3\"]";
            self.refuse(at.origin_of("install_scripts"), Fault::new(what).hint(hint));
        }
        Some(Source::Command(CommandSource {
            program: program.clone(),
            args: args.iter().cloned().chain(further).collect(),
            env: self.variables(name, at, vault),
            cwd: self.cwd(at),
            enclosure: self.enclosure(name, at, HostStats::Hidden),
            install_scripts,
        }))
    }

    fn image(&mut self, name: &ServerName, at: &Scope<'a>, vault: &mut Vault<'_>) -> Option<Source> {
        Some(Source::Image(ImageSource {
            image: at.text("image")?.to_owned(),
            args: at.texts("args").unwrap_or_default(),
            env: self.variables(name, at, vault),
            room: self.room(name, at, HostStats::Hidden),
        }))
    }

    fn remote(&mut self, at: &Scope<'a>, vault: &mut Vault<'_>) -> Option<Source> {
        let headers = self.headers(at, vault);
        let oauth = self.oauth(at, vault);
        match Remote::read(at.text("url")?).ok()? {
            Remote::Http(url, carrier) => Some(Source::Http(HttpSource { url, carrier, headers, oauth })),
            Remote::Socket(socket) => {
                for key in ["headers", "oauth"] {
                    if at.below(key).names().is_empty() {
                        continue;
                    }
                    let what = format!("`{key}` in [{}] means nothing over a socket without HTTP", at.key);
                    let hint = "it belongs to a url that begins with https:// or wss://";
                    self.refuse(at.below(key).origin(), Fault::new(what).hint(hint));
                }
                Some(Source::Socket(socket))
            }
        }
    }

    fn oauth(&mut self, at: &Scope<'a>, vault: &mut Vault<'_>) -> OAuth {
        let mut proofs = self.values(at, "oauth", vault);
        let at = at.below("oauth");
        let text = |key: &str| at.text(key).map(str::to_owned);
        let grant = match at.text("grant") {
            Some("client_credentials") => Grant::ClientCredentials,
            Some("token_exchange") => Grant::TokenExchange,
            _ => Grant::AuthorizationCode,
        };
        let (secret, key) = (proofs.remove("client_secret"), proofs.remove("client_key"));
        if secret.is_some() && key.is_some() {
            let what = format!("[{}] has both `client_secret` and `client_key`", at.key);
            self.refuse(at.origin_of("client_key"), Fault::new(what).hint("keep one of them"));
        }
        let oauth = OAuth {
            client_id: text("client_id"),
            client_secret: secret.map(ClientSecret::Text).or(key.map(ClientSecret::Key)),
            client_metadata_url: text("client_metadata_url"),
            scopes: at.texts("scopes").unwrap_or_default(),
            grant,
            issuer: text("issuer"),
            redirect_port: at.count("redirect_port").and_then(|port| u16::try_from(port).ok()),
            network: match at.switch("private_network") {
                Some(true) => LoginNetwork::Private,
                _ => LoginNetwork::Public,
            },
        };
        if oauth.client_id.is_none() && (grant != Grant::AuthorizationCode || oauth.client_secret.is_some()) {
            let what = format!("[{}] has no `client_id`", at.key);
            let hint = "say what the authorization server knows this gateway by: client_id = \"…\"";
            self.refuse(at.origin(), Fault::new(what).hint(hint));
        }
        oauth
    }

    fn builtin(&mut self, name: &ServerName, at: &Scope<'a>) -> Option<Source> {
        let builtin = at.text("builtin")?;
        let Some(program) = self.builtins.program.to_str() else {
            let what = "the path of the casemate executable is not UTF-8";
            self.refuse(
                at.origin_of("builtin"),
                Fault::new(what).hint("move the executable to a plain path"),
            );
            return None;
        };
        Some(Source::Command(CommandSource {
            program: program.to_owned(),
            args: vec!["toolkit".to_owned(), builtin.to_owned()],
            env: BTreeMap::new(),
            cwd: None,
            enclosure: self.enclosure(name, at, HostStats::Shown),
            install_scripts: false,
        }))
    }

    /// The variables that a server is given, and those that are planted with them.
    fn variables(
        &mut self,
        name: &ServerName,
        at: &Scope<'a>,
        vault: &mut Vault<'_>,
    ) -> BTreeMap<String, SecretString> {
        let mut variables = self.values(at, "env", vault);
        let seed = self.source.seed().filter(|_| at.switch("honeytokens") == Some(true));
        let Some(seed) = seed else { return variables };
        for decoy in casemate_inspect::decoys(&seed, name.as_str()) {
            // What the entry says counts.
            if let std::collections::btree_map::Entry::Vacant(free) =
                variables.entry(decoy.variable.to_owned())
            {
                self.secrets.extend(casemate_inspect::Secret::planted(&decoy.value, name.as_str()));
                free.insert(decoy.value.into());
            }
        }
        variables
    }

    /// Headers with values that can be sent. One that cannot is a mistake where it is written; from elsewhere, it costs
    /// the entry alone, as one that is missing does.
    pub(super) fn headers(
        &mut self,
        at: &Scope<'a>,
        vault: &mut Vault<'_>,
    ) -> BTreeMap<String, SecretString> {
        let mut headers = self.values(at, "headers", vault);
        for (name, given, origin) in at.given("headers") {
            let is_sendable =
                |value: &SecretString| http::HeaderValue::from_str(value.expose_secret()).is_ok();
            if headers.get(name).is_none_or(is_sendable) {
                continue;
            }
            headers.remove(name);
            if given.is_reference() {
                let why = "its value has characters that no header can have".to_owned();
                vault.miss(format!("{}.headers.{name}", at.key), given, why);
            } else {
                let what = format!("the value of the header {name} has characters that no header can have");
                self.refuse(origin.clone(), Fault::new(what).hint("one line of visible characters"));
            }
        }
        headers
    }

    /// Variables or headers with their values. A server that is off needs none of its secrets. A value that is not where
    /// it is kept is no mistake in the file: it can come and go while the gateway runs, and costs its server alone.
    pub(super) fn values(
        &mut self,
        at: &Scope<'a>,
        key: &str,
        vault: &mut Vault<'_>,
    ) -> BTreeMap<String, SecretString> {
        let mut values = BTreeMap::new();
        let written = if vault.enabled { at.given(key) } else { Vec::new() };
        for (name, given, _) in written {
            let setting = format!("{}.{key}.{name}", at.key);
            match given.resolve(self.folder, self.source) {
                Ok(value) => {
                    if given.is_reference() {
                        self.remember(&setting, &value);
                        vault.secrets.exposed.add(&value);
                    }
                    values.insert(name.to_owned(), value);
                }
                Err(why) => vault.miss(setting, given, why),
            }
        }
        values
    }

    fn timeouts(&mut self, at: &Scope<'a>) -> Timeouts {
        let default = Timeouts::default();
        let timeouts = Timeouts {
            start: at.time("timeout.start").unwrap_or(default.start),
            call: at.time("timeout.call").unwrap_or(default.call),
            hard: at.time("timeout.hard").unwrap_or(default.hard),
            idle: at.time("timeout.idle").unwrap_or(default.idle),
        };
        if timeouts.call > timeouts.hard {
            let later = if at.entry("timeout.call").is_some() { "timeout.call" } else { "timeout.hard" };
            let what = format!("{}: timeout.call is longer than timeout.hard, which ends every call", at.key);
            self.refuse(
                at.origin_of(later),
                Fault::new(what).hint("raise timeout.hard, whose default is 10m"),
            );
        }
        timeouts
    }

    fn resilience(&mut self, at: &Scope<'a>) -> Resilience {
        let default = Resilience::default();
        let failures = at.count("circuit.failures").and_then(|count| u32::try_from(count).ok());
        let resilience = Resilience {
            failures_max: failures.unwrap_or(default.failures_max),
            open_for: at.time("circuit.open_for").unwrap_or(default.open_for),
            backoff_min: at.time("restart.backoff_min").unwrap_or(default.backoff_min),
            backoff_max: at.time("restart.backoff_max").unwrap_or(default.backoff_max),
            instances_max: at.number("instances").unwrap_or(default.instances_max),
        };
        if resilience.backoff_min > resilience.backoff_max {
            let what = format!("{}: restart.backoff_min is longer than restart.backoff_max", at.key);
            let later = if at.entry("restart.backoff_min").is_some() { "backoff_min" } else { "backoff_max" };
            self.refuse(
                at.origin_of(&format!("restart.{later}")),
                Fault::new(what).hint("the first pause is the shortest"),
            );
        }
        resilience
    }

    fn tools(&mut self, at: &Scope<'a>, timeouts: &Timeouts) -> BTreeMap<ToolName, ToolEntry> {
        let mut tools = BTreeMap::new();
        let scope = at.below("tools");
        for name in scope.names() {
            let (at, Ok(tool)) = (scope.child(name), ToolName::parse(name)) else { continue };
            let entry = ToolEntry {
                timeout: at.time("timeout"),
                read_only: at.switch("read_only").unwrap_or(false),
                idempotent: at.switch("idempotent").unwrap_or(false),
            };
            if entry.timeout.is_some_and(|timeout| timeout > timeouts.hard) {
                let what = format!("{}: timeout is longer than the server's timeout.hard", at.key);
                self.refuse(
                    at.origin_of("timeout"),
                    Fault::new(what).hint("raise timeout.hard of the server"),
                );
            }
            tools.insert(tool, entry);
        }
        tools
    }
}

/// Where the secrets of one entry are gathered.
pub(super) struct Vault<'s> {
    /// A server that is off needs none.
    pub(super) enabled: bool,
    pub(super) secrets: &'s mut Secrets,
}

impl Vault<'_> {
    fn miss(&mut self, setting: String, given: &Given, why: String) {
        self.secrets.missing.push(Missing { setting, secret: given.called(), why });
    }
}

/// Whether a program fetches the package that it runs.
fn is_runner(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    casemate_sandbox::environment::RUNNERS.contains(&name)
}

/// Keys as a phrase: "`a`, `b` and `c`".
fn named(keys: &[&str], last: &str) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    match quoted.split_last() {
        Some((tail, [])) => tail.clone(),
        Some((tail, rest)) => format!("{} {last} {tail}", rest.join(", ")),
        None => String::new(),
    }
}
