//! What a server offers and nobody gets, and why: for whoever runs the gateway.

use std::sync::Arc;

use super::{Catalog, Kind, Shown};
use crate::endpoint::Endpoint;
use crate::ports::Standing;
use crate::quarantine::Quarantine;
use crate::refusal::Code;
use crate::snapshot::Snapshot;

/// Something that is neither listed nor used.
#[derive(Debug, Clone)]
pub struct Held {
    /// Its server.
    pub server: Box<str>,
    /// What it is.
    pub kind: Kind,
    /// Its server's own name for it.
    pub name: Box<str>,
    /// The code of the refusal of its calls.
    pub code: Code,
    /// Why, in words that follow a colon.
    pub why: String,
}

impl Catalog {
    /// Everything that is known and nobody gets. Servers in quarantine are not taken apart.
    #[must_use]
    pub fn held(&self, snapshot: &Snapshot) -> Vec<Held> {
        let view = self.view(snapshot, &Endpoint::Joined);
        let quarantine = &self.common.quarantine;
        let held = |kind: Kind| {
            let shown = view.all(kind).iter();
            shown.filter_map(move |shown| Held::of(quarantine, kind, shown)).collect::<Vec<_>>()
        };
        Kind::ALL.into_iter().flat_map(held).collect()
    }
}

impl Held {
    /// In the order in which a call would be refused.
    fn of(quarantine: &Arc<Quarantine>, kind: Kind, shown: &Shown) -> Option<Held> {
        let server = shown.shelf.server().entry().name.as_str();
        let of_tool = || quarantine.of_tool(server, &shown.item.name);
        // What keeps a whole server from calls is told of once, and not for each of its tools.
        let alone = kind == Kind::Tools && quarantine.of_server(server).is_none();
        let (code, why) = if let Some(entry) = alone.then(of_tool).flatten() {
            (Code::Quarantined, format!("it is in quarantine: {}", entry.reason))
        } else if let Some(blocked) = &shown.blocked {
            let why = match blocked.code {
                Code::NameRefused => "its name, or that of its server, could be taken for another's",
                _ => "its definition holds what a rule blocks",
            };
            (blocked.code, format!("{why} ({})", blocked.why))
        } else {
            match shown.standing {
                Standing::Approved => return None,
                Standing::New => (Code::Unapproved, "it waits for a person's approval".to_owned()),
                Standing::Changed => (Code::Unapproved, "it has changed since it was approved".to_owned()),
                Standing::Unlocked => {
                    let why = "it is not in the lock file that this gateway is held to";
                    (Code::Unlocked, why.to_owned())
                }
            }
        };
        Some(Held { server: server.into(), kind, name: shown.item.name.clone(), code, why })
    }
}
