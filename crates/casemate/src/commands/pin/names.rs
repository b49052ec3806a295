//! What is wrong with the names of what waits, judged by what the store knows: no gateway has to run for it.

use std::collections::{HashMap, HashSet};

use casemate_inspect::names::{Doubt, Look, Neighbors, Resident, among, words};
use casemate_mcp::json::{Limits, Raw};
use casemate_mcp::names::{QualifiedName, ServerName};
use casemate_store::{Pin as Stored, PinKind};

use crate::configuration;
use crate::context::Context;

/// The kinds that have names of a server's choice.
const NAMED: [PinKind; 2] = [PinKind::Tool, PinKind::Prompt];

/// All servers and the names that they ever declared.
#[derive(Debug)]
pub(super) struct Names {
    neighbors: Neighbors,
    own: HashMap<String, HashSet<Look>>,
    among: HashMap<(String, PinKind, String), Vec<Doubt>>,
}

impl Names {
    /// Reads the names. Where the configuration cannot be read, servers are those that were ever seen.
    pub(super) fn of(context: &Context, pins: &[Stored]) -> Names {
        let configured = configuration::inspect(context).map(|loaded| loaded.snapshot.inspecting.origins);
        let neighbors = match &configured {
            Ok(origins) => Neighbors::new(
                origins
                    .iter()
                    .map(|(server, origin)| Resident { server: server.as_str(), origin: Some(origin) }),
            ),
            Err(_) => {
                let seen: HashSet<&str> = pins.iter().map(|pin| pin.server.as_str()).collect();
                Neighbors::new(seen.into_iter().map(|server| Resident { server, origin: None }))
            }
        };
        let mut names = Names { neighbors, own: HashMap::new(), among: HashMap::new() };
        let mut lists: HashMap<(&str, PinKind), Vec<&str>> = HashMap::new();
        for pin in pins.iter().filter(|pin| NAMED.contains(&pin.kind)) {
            let Ok(server) = ServerName::parse(&pin.server) else { continue };
            let joined = QualifiedName::join(&server, &pin.name);
            let [as_joined, as_own] = [joined.as_str(), &pin.name].map(Look::of);
            names.neighbors.add(&pin.server, [(joined.as_str(), &as_joined), (&pin.name, &as_own)]);
            names.own.entry(pin.server.clone()).or_default().extend([as_joined, as_own]);
            lists.entry((&pin.server, pin.kind)).or_default().push(&pin.name);
        }
        for ((server, kind), list) in lists {
            for (at, doubt) in among(&list) {
                let Some(name) = list.get(at) else { continue };
                let place = (server.to_owned(), kind, (*name).to_owned());
                names.among.entry(place).or_default().push(doubt);
            }
        }
        names
    }

    /// What is wrong with the name of one thing, and whose tools its text names. The pin has its definition.
    pub(super) fn doubts(&self, pin: &Stored) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        if NAMED.contains(&pin.kind) {
            doubts.extend(self.neighbors.name(&pin.server, (&pin.name, &Look::of(&pin.name))));
            let place = (pin.server.clone(), pin.kind, pin.name.clone());
            doubts.extend(self.among.get(&place).into_iter().flatten().cloned());
        }
        let definition = Raw::check(pin.seen.definition.clone().into(), &Limits::default());
        let words = definition.map(|raw| words(&raw)).unwrap_or_default();
        let nothing = HashSet::new();
        let own = self.own.get(&pin.server).unwrap_or(&nothing);
        doubts.extend(self.neighbors.mentions(&pin.server, &words, own));
        doubts
    }
}
