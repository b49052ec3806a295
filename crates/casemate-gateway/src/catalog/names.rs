//! The names of all servers and of what they offer, judged against one another.

mod said;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use casemate_inspect::names::{Doubt, Look, Neighbors, Resident, among, doubled, findings, words};
use casemate_inspect::{Findings, Measure};
use casemate_mcp::json::Raw;
use casemate_mcp::names::ServerName;

use super::judged::by_rule;
use super::{Blocked, Definitions, Item, Kind, Shelf};
use crate::refusal::Code;
use crate::snapshot::Snapshot;
use said::Said;

/// The kinds that have names of a server's choice.
const NAMED: [Kind; 2] = [Kind::Tools, Kind::Prompts];

/// What is to be said of one server's names, whoever its neighbors are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OwnNames {
    /// By kind and name.
    doubts: HashMap<(Kind, Box<str>), Vec<Doubt>>,
    /// Second definitions of a name. They are dropped when definitions are read.
    doubled: Vec<(Kind, Box<str>, Doubt)>,
    /// What its names look like.
    looks: HashSet<Look>,
    /// What the server calls itself.
    says: Vec<Box<str>>,
}

impl OwnNames {
    /// Looks at all names of a server.
    pub(super) fn of(definitions: &Definitions) -> OwnNames {
        let mut own = OwnNames::default();
        for kind in NAMED {
            let items = definitions.list(kind);
            let names: Vec<&str> = items.iter().map(|item| &*item.name).collect();
            for (at, doubt) in among(&names) {
                let Some(name) = names.get(at) else { continue };
                own.doubts.entry((kind, (*name).into())).or_default().push(doubt);
            }
            own.looks.extend(items.iter().flat_map(|item| item.looks()).cloned());
        }
        let twice = definitions.doubled.iter();
        own.doubled.extend(twice.map(|(kind, name)| (*kind, name.clone(), doubled(name))));
        own.says = definitions.info.as_ref().map(says).unwrap_or_default();
        own
    }
}

/// What a server calls itself.
fn says(info: &Raw) -> Vec<Box<str>> {
    let info = info.members();
    let said = |member| info.as_ref().and_then(|info| info.string(member));
    ["name", "title"].into_iter().filter_map(said).map(String::into_boxed_str).collect()
}

/// What is wrong with one name.
#[derive(Debug, Clone)]
pub struct Doubted {
    /// Of which item; of the server itself when absent.
    pub item: Option<(Kind, Box<str>)>,
    /// Why, for whoever runs the gateway.
    pub why: String,
    /// Whether it is refused for that.
    pub is_refused: bool,
}

/// All names as they are now.
#[derive(Debug)]
pub struct Names {
    generation: u64,
    snapshot: u64,
    neighbors: Neighbors,
    /// What is wrong with servers as a whole. Almost always nothing.
    servers: BTreeMap<ServerName, Vec<Doubt>>,
    /// Whose place servers take by what they say that they are.
    claims: Said<Option<Blocked>>,
    /// Whose tools they name in what they say of themselves.
    mentions: Said<Findings>,
}

impl Names {
    pub(super) fn build(
        snapshot: &Snapshot,
        shelves: &BTreeMap<ServerName, Arc<Shelf>>,
        generation: u64,
        before: Option<&Names>,
    ) -> Names {
        let origins = &snapshot.inspecting.origins;
        let resident = |server: &'_ ServerName| origins.get(server).map(|origin| &**origin);
        let mut neighbors = Neighbors::new(
            shelves.keys().map(|server| Resident { server: server.as_str(), origin: resident(server) }),
        );
        let known: Vec<(&ServerName, Arc<Definitions>)> =
            shelves.iter().filter_map(|(server, shelf)| Some((server, shelf.known()?))).collect();
        for (server, definitions) in &known {
            for item in NAMED.into_iter().flat_map(|kind| definitions.list(kind)) {
                let [joined, own] = item.looks();
                neighbors.add(server.as_str(), [(&item.joined_name, joined), (&item.name, own)]);
            }
        }
        let mut servers: BTreeMap<ServerName, Vec<Doubt>> = BTreeMap::new();
        let told = shelves.keys().map(|server| (server, neighbors.packages(server.as_str())));
        let claims = known.iter().map(|(server, definitions)| {
            (*server, neighbors.claim(server.as_str(), definitions.names.says.iter().map(|said| &**said)))
        });
        for (server, doubts) in told.chain(claims).filter(|(_, doubts)| !doubts.is_empty()) {
            servers.entry(server.clone()).or_default().extend(doubts);
        }
        for (server, doubts) in &servers {
            // Said once, and not at every change of any server.
            let is_known = |doubt: &Doubt| {
                before
                    .and_then(|before| before.servers.get(server))
                    .is_some_and(|known| known.contains(doubt))
            };
            for Doubt { rule, why, .. } in doubts.iter().filter(|doubt| !is_known(doubt)) {
                tracing::warn!(%server, rule, why, "a server's name is in doubt");
            }
        }
        let (claims, mentions) = (Said::default(), Said::default());
        Names { generation, snapshot: snapshot.version, neighbors, servers, claims, mentions }
    }

    pub(super) fn is_of(&self, snapshot: &Snapshot, generation: u64) -> bool {
        self.generation == generation && self.snapshot == snapshot.version
    }

    /// What was found about an item's name, its server's, and those that its text names.
    #[must_use]
    pub fn findings(&self, snapshot: &Snapshot, shelf: &Shelf, (kind, item): (Kind, &Item)) -> Findings {
        let server = &shelf.server().entry().name;
        let measure = snapshot.inspecting.names(server);
        if measure == Measure::Off {
            return Findings::default();
        }
        let own = shelf.known();
        findings(&self.doubts(server, own.as_deref(), (kind, item)), measure)
    }

    /// Why a server is not used at all.
    #[must_use]
    pub fn blocked(&self, snapshot: &Snapshot, server: &ServerName) -> Option<Blocked> {
        let found = findings(self.servers.get(server)?, snapshot.inspecting.names(server));
        Some(Blocked { code: Code::NameRefused, why: by_rule(found.blocking()?) })
    }

    /// The same for one of which nothing is known but what it just said it is.
    #[must_use]
    pub fn unmasked(&self, snapshot: &Snapshot, server: &ServerName, info: &Raw) -> Option<Blocked> {
        self.claims.judged(server, info, || {
            let says = says(info);
            let doubts = self.neighbors.claim(server.as_str(), says.iter().map(|said| &**said));
            let found = findings(&doubts, snapshot.inspecting.names(server));
            Some(Blocked { code: Code::NameRefused, why: by_rule(found.blocking()?) })
        })
    }

    /// What a text that a server says of itself, and that goes to the model, names of others.
    #[must_use]
    pub fn mentioned(&self, snapshot: &Snapshot, shelf: &Shelf, text: &Raw) -> Findings {
        let server = &shelf.server().entry().name;
        self.mentions.judged(server, text, || {
            let own = shelf.known();
            let nothing = OwnNames::default();
            let names = own.as_ref().map_or(&nothing, |own| &*own.names);
            let doubts = self.neighbors.mentions(server.as_str(), &words(text), &names.looks);
            findings(&doubts, snapshot.inspecting.names(server))
        })
    }

    /// Everything that is wrong with the names of a server.
    #[must_use]
    pub fn doubted(&self, snapshot: &Snapshot, shelf: &Shelf) -> Vec<Doubted> {
        let server = &shelf.server().entry().name;
        let measure = snapshot.inspecting.names(server);
        let told = |item: Option<(Kind, Box<str>)>, doubt: &Doubt| Doubted {
            item,
            why: doubt.why.clone(),
            is_refused: findings([doubt], measure).blocking().is_some(),
        };
        let of_server = self.servers.get(server).into_iter().flatten();
        let mut all: Vec<Doubted> = of_server.map(|doubt| told(None, doubt)).collect();
        let Some(known) = shelf.known() else { return all };
        all.extend(misguided(snapshot, server, &known));
        if measure == Measure::Off {
            return all;
        }
        for (kind, name, doubt) in &known.names.doubled {
            all.push(told(Some((*kind, name.clone())), doubt));
        }
        for kind in Kind::ALL {
            for item in known.list(kind) {
                let doubts = self.item(server, Some(&known), (kind, item));
                all.extend(doubts.iter().map(|doubt| told(Some((kind, item.name.clone())), doubt)));
            }
        }
        all
    }

    fn doubts(
        &self,
        server: &ServerName,
        own: Option<&Definitions>,
        (kind, item): (Kind, &Item),
    ) -> Vec<Doubt> {
        let mut doubts = self.item(server, own, (kind, item));
        doubts.extend(self.servers.get(server).into_iter().flatten().cloned());
        doubts
    }

    fn item(
        &self,
        server: &ServerName,
        own: Option<&Definitions>,
        (kind, item): (Kind, &Item),
    ) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        let nothing = OwnNames::default();
        let names = own.map_or(&nothing, |own| &*own.names);
        if NAMED.contains(&kind) {
            let [_, look] = item.looks();
            doubts.extend(self.neighbors.name(server.as_str(), (&item.name, look)));
            if !names.doubts.is_empty() {
                let among = names.doubts.get(&(kind, item.name.clone()));
                doubts.extend(among.into_iter().flatten().cloned());
            }
        }
        doubts.extend(self.neighbors.mentions(server.as_str(), item.words(), &names.looks));
        doubts
    }
}

/// Guards on what the server does not have: slips of whoever wrote them.
fn misguided(snapshot: &Snapshot, server: &ServerName, known: &Definitions) -> Vec<Doubted> {
    let Some(guards) = snapshot.inspecting.guards.get(server) else { return Vec::new() };
    let told =
        |tool: &str, why: String| Doubted { item: Some((Kind::Tools, tool.into())), why, is_refused: false };
    let mut slips = Vec::new();
    for tool in guards.tools() {
        let Some(item) = known.find(Kind::Tools, tool) else {
            slips.push(told(tool, "guards are set for it, and the server has no such tool".to_owned()));
            continue;
        };
        let schema = item.input_schema().and_then(|raw| raw.parse::<serde_json::Value>().ok());
        let unknown = guards.unknown(tool, &schema.unwrap_or_default());
        slips.extend(unknown.into_iter().map(|spot| {
            told(tool, format!("a guard is set for its parameter {spot}, which its schema does not have"))
        }));
    }
    slips
}
