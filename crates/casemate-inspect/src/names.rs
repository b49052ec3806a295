//! Names that stand for something else: twice in one list, looking like another, taken from another server.
//!
//! A name is judged by what people and models take it for. Names of any script that look like no other are left alone,
//! and so are tools of one name on two servers, which are told apart by their servers.

mod look;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub use look::{Look, shown};
pub use words::words;

use crate::finding::{Class, Finding, Findings, Measure, Severity};

/// What the names of items may not begin with: what clients put in front of names, and what JSON-RPC keeps for itself.
const RESERVED: [&str; 2] = ["mcp__", "rpc."];

/// What no server's names may begin with as a word.
const OURS: &str = "casemate";

/// What joins the name of a server and that of its tool.
const SEPARATOR: &str = "__";

/// What may be wrong with a name, or with what is said in somebody's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The rule: a word that tells nothing of who is meant.
    pub rule: &'static str,
    /// Whether it is refused, or only told of.
    pub verdict: Verdict,
    /// Why, for whoever runs the gateway: it names the other one.
    pub why: String,
}

/// What a doubt comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is told of.
    Told,
    /// It is not used.
    Refused,
}

impl Doubt {
    fn told(rule: &'static str, why: String) -> Doubt {
        Doubt { rule, verdict: Verdict::Told, why }
    }

    fn refused(rule: &'static str, why: String) -> Doubt {
        Doubt { rule, verdict: Verdict::Refused, why }
    }
}

/// What these doubts come to under a setting.
#[must_use]
pub fn findings<'a>(doubts: impl IntoIterator<Item = &'a Doubt>, names: Measure) -> Findings {
    let mut findings = Findings::default();
    for doubt in doubts {
        let (severity, measure) = match doubt.verdict {
            Verdict::Told => (Severity::Low, names.min(Measure::Flag)),
            Verdict::Refused => (Severity::High, names),
        };
        if measure > Measure::Off {
            findings.add(Finding {
                class: Class::Name,
                rule: doubt.rule.into(),
                severity,
                measure,
                count: 1,
                decoy: None,
            });
        }
    }
    findings
}

/// What is wrong with the names of one list among themselves, by their places in it: those that look like one before them.
/// A plain name is never the one that is refused for it, wherever it stands.
#[must_use]
pub fn among(names: &[&str]) -> Vec<(usize, Doubt)> {
    let mut first: HashMap<Look, usize> = HashMap::with_capacity(names.len());
    let mut doubts = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let look = Look::of(name);
        let Some(before) = first.get(&look).copied() else {
            first.insert(look, at);
            continue;
        };
        let Some(other) = names.get(before).filter(|other| *other != name) else { continue };
        let later_is_odd = other.is_ascii() || !name.is_ascii();
        let (odd, of) = if later_is_odd { (at, other) } else { (before, name) };
        let imitates = if later_is_odd { name } else { other };
        let why = format!("{} looks like {}, which the same server has", shown(imitates), shown(of));
        // Plain letters are told apart by programs and models, if not by everybody at a glance.
        let is_plain = name.is_ascii() && other.is_ascii();
        let differs_in_case = name.to_lowercase() == other.to_lowercase();
        let doubt = if differs_in_case || is_plain { Doubt::told } else { Doubt::refused };
        doubts.push((odd, doubt("look-alike", why)));
        if !later_is_odd {
            first.insert(look, at);
        }
    }
    doubts
}

/// The doubt about a second definition of one name.
#[must_use]
pub fn doubled(name: &str) -> Doubt {
    let why = format!("{} is declared twice, and differently: the first counts", shown(name));
    Doubt::refused("duplicate", why)
}

/// One server, by what others could pass for it.
#[derive(Debug, Clone, Copy)]
pub struct Resident<'a> {
    /// The name of its entry.
    pub server: &'a str,
    /// Where it comes from: `npm:@scope/name`, `pypi:name`, `image:registry/name`, `host:example.com`.
    pub origin: Option<&'a str>,
}

/// All servers, and what they offer, as far as names go.
#[derive(Debug, Default)]
pub struct Neighbors {
    servers: Vec<Neighbor>,
    places: HashMap<Arc<str>, usize>,
    by_name: HashMap<Look, Vec<usize>>,
    by_package: HashMap<Look, Vec<usize>>,
    /// Tools by what is written in place of them: their joined names, and those of their own that are no plain words.
    tools: HashMap<Look, Vec<usize>>,
}

#[derive(Debug)]
struct Neighbor {
    name: Arc<str>,
    origin: Option<Box<str>>,
}

impl Neighbors {
    /// The servers of an installation.
    pub fn new<'a>(residents: impl IntoIterator<Item = Resident<'a>>) -> Neighbors {
        let mut neighbors = Neighbors::default();
        for resident in residents {
            let at = neighbors.servers.len();
            let name: Arc<str> = resident.server.into();
            neighbors.places.insert(Arc::clone(&name), at);
            neighbors.by_name.entry(Look::of(resident.server)).or_default().push(at);
            if let Some(package) = resident.origin.and_then(package) {
                neighbors.by_package.entry(Look::of(package)).or_default().push(at);
            }
            neighbors.servers.push(Neighbor { name, origin: resident.origin.map(Into::into) });
        }
        neighbors
    }

    /// Adds a tool or prompt of a server, under the name that joined endpoints give it and its own.
    pub fn add(&mut self, server: &str, names: [(&str, &Look); 2]) {
        let Some(at) = self.places.get(server).copied() else { return };
        for (_, look) in names.into_iter().filter(|(name, _)| words::is_distinct(name)) {
            // What begins with another's name is not made this one's by being listed.
            if self.prefixed(server, look).is_some() {
                continue;
            }
            let owners = self.tools.entry(look.clone()).or_default();
            if owners.last() != Some(&at) {
                owners.push(at);
            }
        }
    }

    /// What is wrong with a name that a server gives to a tool or prompt, whatever else it has.
    #[must_use]
    pub fn name(&self, server: &str, (name, look): (&str, &Look)) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        let reserved = RESERVED.into_iter().find(|prefix| look.begins_with(&Look::of(prefix)));
        if let Some(prefix) = reserved.or_else(|| look.begins_with_word(&Look::of(OURS)).then_some(OURS)) {
            let why = format!("{} begins with {prefix:?}, which is reserved", shown(name));
            doubts.push(Doubt::refused("reserved-prefix", why));
        }
        if let Some(other) = self.prefixed(server, look) {
            let why = format!("{} begins like the tools of the server {}", shown(name), other.name);
            doubts.push(Doubt::refused("other-servers-prefix", why));
        }
        if let Some(word) = look::mixed(name) {
            let why = format!(
                "{} mixes letters of several scripts that look alike, in {}",
                shown(name),
                shown(word)
            );
            doubts.push(Doubt::refused("mixed-scripts", why));
        }
        doubts
    }

    /// What is wrong with what a server says it is, in its name and title.
    pub fn claim<'a>(&self, server: &str, says: impl IntoIterator<Item = &'a str>) -> Vec<Doubt> {
        let Some(own) = self.get(server) else { return Vec::new() };
        let own_package = own.origin.as_deref().and_then(package).map(Look::of);
        let mut doubts = Vec::new();
        for said in says {
            let look = Look::of(said);
            if look == Look::of(server) || Some(&look) == own_package.as_ref() {
                continue;
            }
            let strange = |at: &&usize| {
                self.servers.get(**at).is_some_and(|other| other.name != own.name && !same(other, own))
            };
            for (rule, table) in [("claims-server", &self.by_name), ("claims-package", &self.by_package)] {
                let others = table.get(&look).map(Vec::as_slice).unwrap_or_default();
                if let Some(other) = others.iter().find(|at| strange(at)) {
                    doubts.push(self.claimed(rule, said, *other));
                }
            }
        }
        doubts
    }

    fn claimed(&self, rule: &'static str, said: &str, other: usize) -> Doubt {
        let other = self.servers.get(other).map_or("", |other| &other.name);
        let what = if rule == "claims-server" { "the name" } else { "the package" };
        Doubt::refused(rule, format!("it says that it is {}, {what} of the server {other}", shown(said)))
    }

    /// The packages of entries that look like the package of another and are another.
    #[must_use]
    pub fn packages(&self, server: &str) -> Vec<Doubt> {
        let Some(own) = self.get(server) else { return Vec::new() };
        let Some(name) = own.origin.as_deref().and_then(package) else { return Vec::new() };
        let alike = self.by_package.get(&Look::of(name)).into_iter().flatten();
        let others = alike.filter_map(|at| self.servers.get(*at)).filter(|other| {
            other.name != own.name && other.origin.as_deref().and_then(package).is_some_and(|it| it != name)
        });
        let told = |other: &Neighbor| {
            let theirs = other.origin.as_deref().and_then(package).unwrap_or_default();
            let why = format!(
                "its package {} looks like {}, which is that of the server {}",
                shown(name),
                shown(theirs),
                other.name
            );
            Doubt::told("package-look-alike", why)
        };
        others.map(told).collect()
    }

    /// What of a server's words names the tools of others. Its own names are its own business.
    pub fn mentions<'a>(
        &self,
        server: &str,
        words: impl IntoIterator<Item = &'a Look>,
        own: &HashSet<Look>,
    ) -> Vec<Doubt> {
        let at = self.places.get(server);
        let mut named: Vec<(&str, String)> = Vec::new();
        // A name that begins with another's does not become its own by being listed.
        let is_own = |word: &Look| own.contains(word) && self.prefixed(server, word).is_none();
        for word in words.into_iter().filter(|word| !is_own(word)) {
            let Some(owners) =
                self.tools.get(word).filter(|owners| !owners.iter().any(|one| Some(one) == at))
            else {
                continue;
            };
            let other = owners.first().and_then(|at| self.servers.get(*at)).map_or("", |other| &other.name);
            named.push((other, shown(word.as_str())));
        }
        let Some((other, word)) = named.first() else { return Vec::new() };
        let more = if named.len() > 1 { format!(", and {} more", named.len() - 1) } else { String::new() };
        let why = format!("its text names {word} of the server {other}{more}");
        vec![Doubt::told("names-anothers-tool", why)]
    }

    /// The other server whose joined names begin like this one.
    fn prefixed(&self, server: &str, look: &Look) -> Option<&Neighbor> {
        let own = self.places.get(server);
        let heads = self.by_name.get(&look.before(SEPARATOR)?)?;
        let other = heads.first().filter(|_| !heads.iter().any(|at| Some(at) == own))?;
        self.servers.get(*other)
    }

    fn get(&self, server: &str) -> Option<&Neighbor> {
        self.servers.get(*self.places.get(server)?)
    }
}

/// Two entries of one program, or of one place, may say the same of themselves.
fn same(one: &Neighbor, other: &Neighbor) -> bool {
    one.origin.is_some() && one.origin == other.origin
}

/// The name of a package, where an origin is one.
fn package(origin: &str) -> Option<&str> {
    ["npm:", "pypi:", "image:"].iter().find_map(|world| origin.strip_prefix(world))
}
