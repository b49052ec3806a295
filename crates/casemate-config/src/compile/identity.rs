//! `[identity]`: issuers, scopes, certificates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use casemate_auth::certificate::Holder;
use casemate_auth::issuers::Issuer;
use casemate_auth::token::{Algorithm, LEEWAY_S_MAX, Rules};
use casemate_gateway::authorization::{Asking, Authorization, TokenScope};
use casemate_mcp::names::RoleName;
use casemate_net::fetch::{Reachable, Url};
use casemate_policy::{Builtin, Scope as Patterns};

use super::Compiler;
use crate::origin::Origin;
use crate::problem::{Fault, nearest, quoted};
use crate::reader::Scope;

/// By what callers prove who they are, besides API keys; live.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// The issuers whose tokens are accepted.
    pub issuers: Vec<Issuer>,
    /// Whose client certificates are whose.
    pub certificates: Vec<Holder>,
    /// Subjects that are refused, by their ids.
    pub refused: BTreeSet<String>,
    /// What the scopes of tokens open; the gateway's snapshot has it too.
    pub authorization: Arc<Authorization>,
}

impl Compiler<'_> {
    pub(super) fn identity(&mut self) -> Identity {
        let at = self.scope("identity.issuers");
        let mut issuers: Vec<Issuer> = Vec::new();
        for name in at.names() {
            let entry = at.child(name);
            let Some(issuer) = self.issuer(name, &entry) else { continue };
            if let Some(twin) = issuers.iter().find(|other| other.rules.issuer == issuer.rules.issuer) {
                let what = format!("the issuer is that of identity.issuers.{} too", twin.name);
                self.refuse(entry.origin_of("issuer"), Fault::new(what).hint("keep one of the two"));
                continue;
            }
            issuers.push(issuer);
        }
        let at = self.scope("identity.certificates");
        let holders =
            at.names().into_iter().map(|name| self.holder(name, &at.child(name))).collect::<Vec<_>>();
        let authorization = Authorization {
            issuers: issuers.iter().map(|issuer| issuer.rules.issuer.clone()).collect(),
            scopes: self.token_scopes(),
        };
        Identity {
            issuers,
            certificates: holders.into_iter().flatten().collect(),
            refused: self.scope("identity").texts("refused").unwrap_or_default().into_iter().collect(),
            authorization: Arc::new(authorization),
        }
    }

    fn issuer(&mut self, name: &str, at: &Scope<'_>) -> Option<Issuer> {
        let Some(issuer) = at.text("issuer") else {
            // One that could not be read was reported where it stands.
            if at.entry("issuer").is_none() {
                let what = format!("identity.issuers.{name} has no issuer");
                let hint = "write issuer = \"https://…\", as tokens have it in `iss`";
                self.refuse(at.origin(), Fault::new(what).hint(hint));
            }
            return None;
        };
        let reachable = match at.text("reach") {
            Some("private") => Reachable::public().and_private(),
            Some("loopback") => Reachable::public().and_loopback(),
            _ => Reachable::public(),
        };
        let url = self.fetched(at, "issuer", &reachable);
        let keys_at = self.fetched(at, "keys_at", &reachable);
        let leeway = at.time("leeway").unwrap_or(Duration::from_secs(30)).as_secs().min(LEEWAY_S_MAX);
        let roles_claim = at.texts("roles_claim").unwrap_or_else(|| vec!["roles".to_owned()]);
        let rules = Rules {
            issuer: issuer.to_owned(),
            audiences: at.texts("audience").unwrap_or_default(),
            algorithms: self.algorithms(at),
            subject_claim: at.text("subject_claim").unwrap_or("sub").to_owned(),
            roles: self.mapped_roles(at),
            everyone: self.roles_of(at, "everyone"),
            roles_claim,
            required_scopes: at.texts("required_scopes").unwrap_or_default(),
            leeway_s: leeway,
        };
        let issuer = Issuer {
            name: name.to_owned(),
            rules,
            keys_at,
            reachable,
            certificates: self.certificates(at),
            refresh_every: at.time("keys_refresh").unwrap_or(Duration::from_secs(300)),
            refresh_pause: at.time("keys_pause").unwrap_or(Duration::from_secs(30)),
        };
        url.map(|_| issuer)
    }

    /// An address that we will fetch from; over plain http from this machine alone.
    fn fetched(&mut self, at: &Scope<'_>, key: &str, reachable: &Reachable) -> Option<Url> {
        let text = at.text(key)?;
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(fault) => {
                self.refuse(at.origin_of(key), Fault::new(format!("{}: {fault}", quoted(text))));
                return None;
            }
        };
        if !url.is_secure() && *reachable != Reachable::public().and_loopback() {
            let what =
                format!("{} goes over plain http, where anybody on the way could give us keys", quoted(text));
            let hint = "write https; for an issuer on this machine, reach = \"loopback\"";
            self.refuse(at.origin_of(key), Fault::new(what).hint(hint));
            return None;
        }
        Some(url)
    }

    fn algorithms(&mut self, at: &Scope<'_>) -> Vec<Algorithm> {
        let Some(words) = at.words("algorithms") else {
            return vec![Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];
        };
        let mut algorithms = Vec::new();
        for word in words {
            match Algorithm::find(&word.text) {
                Some(algorithm) => algorithms.push(algorithm),
                None => {
                    let what = format!("{} is no algorithm for tokens here", quoted(&word.text));
                    let hint = format!("there is {}", Algorithm::ALL.map(Algorithm::as_str).join(", "));
                    self.refuse(word.origin.clone(), Fault::new(what).hint(hint));
                }
            }
        }
        if words.is_empty() {
            let fault = Fault::new("without an algorithm no token is accepted");
            self.refuse(at.origin_of("algorithms"), fault.hint("leave it out for the default"));
        }
        algorithms
    }

    fn mapped_roles(&mut self, at: &Scope<'_>) -> BTreeMap<String, RoleName> {
        let roles = at.below("roles");
        let mut mapped = BTreeMap::new();
        for value in roles.names() {
            // The text at a name that may hold dots.
            let Some((role, origin)) = roles.chosen(value) else { continue };
            if let Some(role) = self.role(role, origin) {
                mapped.insert(value.to_owned(), role);
            }
        }
        mapped
    }

    fn roles_of(&mut self, at: &Scope<'_>, key: &str) -> Vec<RoleName> {
        let words = at.words(key).unwrap_or_default();
        words.iter().filter_map(|word| self.role(&word.text, word.origin.clone())).collect()
    }

    /// A role that there is: one that is not defined denies everything, which nobody means to write.
    fn role(&mut self, text: &str, origin: Origin) -> Option<RoleName> {
        let defined = self.scope("roles").names();
        let built_in = Builtin::ALL.map(Builtin::as_str);
        match RoleName::parse(text) {
            Ok(name) if defined.contains(&text) || Builtin::find(&name).is_some() => Some(name),
            _ => {
                let known = defined.iter().copied().chain(built_in);
                let hint = match nearest(text, known.clone()) {
                    Some(name) => format!("did you mean {name:?}?"),
                    None => format!("there is {}", known.collect::<Vec<_>>().join(", ")),
                };
                self.refuse(origin, Fault::new(format!("there is no role {}", quoted(text))).hint(hint));
                None
            }
        }
    }

    fn certificates(&mut self, at: &Scope<'_>) -> Option<String> {
        let path = self.folder.join(at.text("certificates")?);
        match self.source.read_file(&path) {
            Ok(pem) => Some(pem),
            Err(error) => {
                let what = format!("cannot read {}: {error}", path.display());
                self.refuse(at.origin_of("certificates"), Fault::new(what));
                None
            }
        }
    }

    fn token_scopes(&mut self) -> BTreeMap<String, TokenScope> {
        let at = self.scope("identity.scopes");
        let mut scopes = BTreeMap::new();
        for name in at.names() {
            let entry = at.child(name);
            let asked =
                if entry.text("asked") == Some("when-needed") { Asking::WhenNeeded } else { Asking::First };
            match Patterns::parse(entry.texts("allow").unwrap_or_default()) {
                Ok(holds) => drop(scopes.insert(name.to_owned(), TokenScope { holds, asked })),
                Err(fault) => self.refuse(entry.origin_of("allow"), Fault::new(fault.to_string())),
            }
        }
        scopes
    }

    fn holder(&mut self, name: &str, at: &Scope<'_>) -> Option<Holder> {
        let names = at.texts("names").unwrap_or_default();
        let is_known =
            |name: &&String| ["DNS:", "URI:", "email:", "CN:"].iter().any(|kind| name.starts_with(kind));
        if let Some(odd) = names.iter().find(|name| !is_known(name)) {
            let what = format!("{} does not say what kind of name it is", quoted(odd));
            self.refuse(
                at.origin_of("names"),
                Fault::new(what).hint("begin it with DNS:, URI:, email: or CN:"),
            );
            return None;
        }
        let sha256 = match at.text("sha256").map(digest) {
            Some(None) => {
                let fault = Fault::new("sha256 is not 64 hexadecimal digits");
                let hint = "`openssl x509 -in FILE -noout -fingerprint -sha256` prints them";
                self.refuse(at.origin_of("sha256"), fault.hint(hint));
                return None;
            }
            Some(digest) => digest,
            None => None,
        };
        if names.is_empty() && sha256.is_none() {
            let what = format!("identity.certificates.{name} speaks of no certificate");
            self.refuse(at.origin(), Fault::new(what).hint("write names = [\"DNS:…\"] or sha256 = \"…\""));
            return None;
        }
        Some(Holder { name: name.to_owned(), roles: self.roles_of(at, "roles"), sha256, names })
    }
}

/// 32 bytes in hexadecimal, with colons or without.
fn digest(text: &str) -> Option<[u8; 32]> {
    let digits = text.chars().filter(|c| *c != ':').collect::<Vec<_>>();
    let mut digest = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(digits.chunks(2)) {
        let value = |digit: &char| digit.to_digit(16);
        let (high, low) = (pair.first().and_then(value)?, pair.last().and_then(value)?);
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    Some(digest)
}
