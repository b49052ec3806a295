//! `[interceptors.NAME]`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use casemate_gateway::snapshot::{
    Event, HttpJudge, Interceptor, InterceptorKind, Interceptors, JudgeNetwork, Mode, Phase, Profile,
    Secrets, ServerEntry, Sight, Unheard, Way,
};
use casemate_mcp::json::{Limits, Raw};
use casemate_mcp::names::{ProfileName, ServerName};
use casemate_net::fetch::Url;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use super::Compiler;
use super::server::Vault;
use crate::problem::{Fault, nearest};
use crate::reader::Scope;

type Servers = BTreeMap<ServerName, Arc<ServerEntry>>;

/// Judges of one installation. Each call waits for them.
const INTERCEPTORS_MAX: usize = 32;

/// What means something for a judge with a url alone.
const OF_URLS: [&str; 2] = ["headers", "private_network"];

impl<'a> Compiler<'a> {
    /// Who is asked about what passes. Their headers' secrets are masked like all others, so this comes before what is looked
    /// for.
    pub(super) fn interceptors(&mut self, servers: &Servers) -> Interceptors {
        let scope = self.scope("interceptors");
        let names = scope.names();
        if names.len() > INTERCEPTORS_MAX {
            let what = format!("there are more than {INTERCEPTORS_MAX} interceptors");
            self.refuse(scope.origin(), Fault::new(what).hint("each call waits for them: join some"));
        }
        let compiled = names.into_iter().filter_map(|name| {
            let at = scope.child(name);
            let interceptor = self.interceptor(name, &at, servers)?;
            at.switch("enabled").unwrap_or(true).then_some(interceptor)
        });
        Interceptors::new(compiled.collect())
    }

    fn interceptor(&mut self, name: &str, at: &Scope<'a>, servers: &Servers) -> Option<Interceptor> {
        let kind = match at.text("kind") {
            Some("validator") => Some(InterceptorKind::Validator),
            Some("mutator") => Some(InterceptorKind::Mutator),
            _ => {
                if at.entry("kind").is_none() {
                    let what = format!("[{}] has no `kind`", at.key);
                    let hint = "say what it may do: kind = \"validator\" or kind = \"mutator\"";
                    self.refuse(at.origin(), Fault::new(what).hint(hint));
                }
                None
            }
        };
        let way = self.way(name, at, servers);
        let events = self.events(at);
        let phases: BTreeSet<Phase> = match at.text("phase") {
            Some("request") => [Phase::Request].into(),
            Some("response") => [Phase::Response].into(),
            _ => [Phase::Request, Phase::Response].into(),
        };
        let judged = self.judged(at);
        self.judges_something(at, (&events, &phases), kind);
        let config = self.config(at);
        Some(Interceptor {
            name: name.into(),
            kind: kind?,
            way: way?,
            events,
            phases,
            servers: judged,
            tools: at.texts("tools"),
            time_max: at.time("timeout").unwrap_or(Duration::from_secs(2)),
            mode: if at.text("mode") == Some("audit") { Mode::Audit } else { Mode::Active },
            unheard: if at.text("fail") == Some("open") { Unheard::Open } else { Unheard::Closed },
            order: at.count("order").unwrap_or(100),
            bytes_max: at.number("size").unwrap_or(4 << 20),
            sight: if at.switch("allow_secrets") == Some(true) { Sight::Everything } else { Sight::Cleared },
            config,
        })
    }

    fn way(&mut self, name: &str, at: &Scope<'a>, servers: &Servers) -> Option<Way> {
        match (at.entry("url").is_some(), at.entry("server").is_some()) {
            (true, true) => {
                let what = format!("[{}] has both `url` and `server`", at.key);
                self.refuse(at.origin_of("server"), Fault::new(what).hint("keep one of them"));
                None
            }
            (false, false) => {
                let what = format!("[{}] has neither `url` nor `server`", at.key);
                let hint = "say who is asked, like url = \"http://127.0.0.1:8181/judge\"";
                self.refuse(at.origin(), Fault::new(what).hint(hint));
                None
            }
            (true, false) => self.posted(at).map(Box::new).map(Way::Http),
            (false, true) => self.invoked(name, at, servers),
        }
    }

    fn posted(&mut self, at: &Scope<'a>) -> Option<HttpJudge> {
        if at.entry("interceptor").is_some() {
            let what = format!("`interceptor` in [{}] means nothing beside `url`", at.key);
            self.refuse(at.origin_of("interceptor"), Fault::new(what).hint("it belongs to `server`"));
        }
        let enabled = at.switch("enabled").unwrap_or(true);
        let mut secrets = Secrets::default();
        let values = self.headers(at, &mut Vault { enabled, secrets: &mut secrets });
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            // What could not be sent is left out and told of already.
            let pair = (HeaderName::try_from(&name), HeaderValue::from_str(value.expose_secret()));
            let (Ok(name), Ok(mut value)) = pair else { continue };
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let text = at.text("url")?;
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(fault) => {
                let what = format!("{}.url: {fault}", at.key);
                self.refuse(
                    at.origin_of("url"),
                    Fault::new(what).hint("like \"https://judge.example.com/ask\""),
                );
                return None;
            }
        };
        if !url.is_secure() && !url.is_loopback() {
            let what = format!("{}.url goes over plain http, which is for this machine alone", at.key);
            let hint = "use https: everybody on the way could read what is judged, and say yes";
            self.refuse(at.origin_of("url"), Fault::new(what).hint(hint));
            return None;
        }
        let network = match at.switch("private_network") {
            Some(true) => JudgeNetwork::Private,
            _ => JudgeNetwork::Public,
        };
        for missing in &secrets.missing {
            self.remarks.push(format!(
                "{missing}; until it is there nobody is asked, and `fail` says what that means"
            ));
        }
        let missing = secrets.missing.into_iter().next();
        Some(HttpJudge { url: text.parse().ok()?, headers, network, missing })
    }

    fn invoked(&mut self, name: &str, at: &Scope<'a>, servers: &Servers) -> Option<Way> {
        for key in OF_URLS {
            if at.entry(key).is_some() || !at.below(key).names().is_empty() {
                let origin = if at.entry(key).is_some() { at.origin_of(key) } else { at.below(key).origin() };
                let what = format!("`{key}` in [{}] means nothing beside `server`", at.key);
                self.refuse(origin, Fault::new(what).hint("it belongs to `url`"));
            }
        }
        let text = at.text("server")?;
        let server = self.known(at, ("server", text))?;
        if servers.get(&server).is_some_and(|entry| !entry.enabled) && at.switch("enabled").unwrap_or(true) {
            let what = format!("{}: the server {server} is switched off, so nobody could be asked", at.key);
            self.refuse(
                at.origin_of("server"),
                Fault::new(what).hint("switch this off as well: enabled = false"),
            );
        }
        Some(Way::Server { server, interceptor: at.text("interceptor").unwrap_or(name).into() })
    }

    /// A server by the name that a setting gives.
    fn known(&mut self, at: &Scope<'a>, (key, text): (&str, &str)) -> Option<ServerName> {
        let tables = self.scope("servers").names();
        if let Ok(server) = ServerName::parse(text)
            && tables.contains(&text)
        {
            return Some(server);
        }
        let hint = match nearest(text, tables.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "it is one of [servers]".to_owned(),
        };
        let what = format!("{}.{key}: there is no server called {text:?}", at.key);
        self.refuse(at.origin_of(key), Fault::new(what).hint(hint));
        None
    }

    fn events(&mut self, at: &Scope<'a>) -> BTreeSet<Event> {
        match at.words("on") {
            Some([]) => {
                let what = format!("`on` in [{}] names nothing, so it would never be asked", at.key);
                self.refuse(at.origin_of("on"), Fault::new(what).hint("leave it out, or enabled = false"));
                BTreeSet::new()
            }
            Some(words) => words.iter().filter_map(|word| Event::find(&word.text)).collect(),
            None => [Event::ToolsCall].into(),
        }
    }

    fn judged(&mut self, at: &Scope<'a>) -> Option<BTreeSet<ServerName>> {
        for key in ["servers", "tools"] {
            if at.words(key).is_some_and(<[_]>::is_empty) {
                let what = format!("`{key}` in [{}] names nothing, so it would never be asked", at.key);
                self.refuse(at.origin_of(key), Fault::new(what).hint("leave it out for all"));
            }
        }
        let words = at.texts("servers")?;
        let mut judged = BTreeSet::new();
        for word in &words {
            judged.extend(self.known(at, ("servers", word)));
        }
        Some(judged)
    }

    /// A judge that could never change or be asked anything is a slip.
    fn judges_something(
        &mut self,
        at: &Scope<'a>,
        (events, phases): (&BTreeSet<Event>, &BTreeSet<Phase>),
        kind: Option<InterceptorKind>,
    ) {
        let only = |event: Event| events.len() == 1 && events.contains(&event);
        if at.entry("tools").is_some() && !events.contains(&Event::ToolsCall) {
            let what = format!("`tools` in [{}] means nothing without tools/call in `on`", at.key);
            self.refuse(at.origin_of("tools"), Fault::new(what).hint("on = [\"tools/call\"]"));
        }
        let only_requests = phases.len() == 1 && phases.contains(&Phase::Request);
        if kind == Some(InterceptorKind::Mutator) && only(Event::ResourcesRead) && only_requests {
            let what =
                format!("[{}] could change nothing: a request to read has nothing but its address", at.key);
            self.refuse(at.origin(), Fault::new(what).hint("phase = \"response\""));
        }
    }

    fn config(&mut self, at: &Scope<'a>) -> Option<Raw> {
        let text = at.json_text("config")?.to_owned();
        let raw = Raw::check(text.into(), &Limits::default()).ok().filter(|raw| raw.members().is_some());
        if raw.is_none() {
            let what = format!("{}.config is no object", at.key);
            self.refuse(at.origin_of("config"), Fault::new(what).hint("like { level = \"strict\" }"));
        }
        raw
    }

    /// Nobody joins a server that judges, and none judges itself.
    pub(super) fn judges_are_apart(
        &mut self,
        interceptors: &Interceptors,
        profiles: &BTreeMap<ProfileName, Arc<Profile>>,
    ) {
        for profile in profiles.values() {
            for server in profile.servers.iter().filter(|server| interceptors.has_server(server)) {
                let what = format!(
                    "profiles.{}: the server {server} is an interceptor, which no client sees",
                    profile.name
                );
                let at = self.scope("profiles").child(profile.name.as_str());
                self.refuse(at.origin_of("servers"), Fault::new(what).hint("take it out of `servers`"));
            }
        }
        for interceptor in interceptors.iter() {
            for server in
                interceptor.servers.iter().flatten().filter(|server| interceptors.has_server(server))
            {
                let at = self.scope("interceptors").child(&interceptor.name);
                let what = format!(
                    "{}.servers: the server {server} is an interceptor, and no client calls it",
                    at.key
                );
                self.refuse(at.origin_of("servers"), Fault::new(what).hint("name servers that clients use"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
