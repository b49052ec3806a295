//! What the servers offer, and how it is shown at each endpoint.
//!
//! A [`Shelf`] holds the definitions of one server; a [`View`] joins the shelves of one endpoint under the names that
//! clients see. Views are immutable and rebuilt when a definition or the configuration changed, so that a list
//! is a look into a cache.

mod definition;
mod held;
mod judged;
mod mirror;
mod names;
mod pattern;
mod schema;
mod search;
mod shelf;
mod shelved;
mod uri;
mod view;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use casemate_mcp::names::ServerName;

pub use definition::{Definitions, Item, Kind, Tool, shows_apps};
pub use held::Held;
pub(crate) use judged::noted;
pub use judged::{Blocked, Judged};
pub use mirror::{Mirrored, Unmirrored};
pub use names::{Doubted, Names};
pub(crate) use pattern::fits;
pub use schema::{Misfit, Schema};
pub use shelf::{Common, Shelf};
pub use uri::{unwrap as unwrap_uri, wrap as wrap_uri};
use view::Age;
pub use view::{Page, Shown, View};

use crate::endpoint::Endpoint;
use crate::snapshot::Snapshot;
use crate::upstream::{Host, Server};

/// All shelves and the views made of them.
#[derive(Debug)]
pub struct Catalog {
    shelves: ArcSwap<BTreeMap<ServerName, Arc<Shelf>>>,
    common: Common,
    views: Mutex<HashMap<Endpoint, Arc<View>>>,
    names: ArcSwapOption<Names>,
}

impl Catalog {
    /// A shelf for each server of the snapshot; nothing is started.
    #[must_use]
    pub fn new(snapshot: &Snapshot, host: &Arc<Host>, common: Common) -> Catalog {
        let (shelves, names) = (ArcSwap::default(), ArcSwapOption::empty());
        let catalog = Catalog { shelves, common, views: Mutex::new(HashMap::new()), names };
        catalog.swap(snapshot, host);
        catalog
    }

    /// Follows a new snapshot. Servers whose entry did not change keep running; the others are returned, for the
    /// caller to stop.
    pub fn swap(&self, snapshot: &Snapshot, host: &Arc<Host>) -> Vec<Arc<Shelf>> {
        let old = self.shelves.load_full();
        let mut new = BTreeMap::new();
        for (name, entry) in snapshot.servers.iter().filter(|(_, entry)| entry.enabled) {
            let kept = old.get(name).filter(|shelf| shelf.server().entry().digest == entry.digest);
            let shelf = kept.cloned().unwrap_or_else(|| {
                let server = Server::new(Arc::clone(entry), Arc::clone(host));
                Arc::new(Shelf::new(server, Arc::clone(host), self.common.clone()))
            });
            new.insert(name.clone(), shelf);
        }
        let gone = old
            .iter()
            .filter(|(name, shelf)| new.get(*name).is_none_or(|kept: &Arc<Shelf>| !Arc::ptr_eq(kept, shelf)))
            .map(|(_, shelf)| Arc::clone(shelf))
            .collect();
        self.shelves.store(Arc::new(new));
        self.common.generation.fetch_add(1, Ordering::AcqRel);
        gone
    }

    /// The shelf of a server; `None` when there is no such server or it is disabled.
    #[must_use]
    pub fn shelf(&self, name: &str) -> Option<Arc<Shelf>> {
        self.shelves.load().get(name).cloned()
    }

    /// All shelves by name.
    #[must_use]
    pub fn shelves(&self) -> Arc<BTreeMap<ServerName, Arc<Shelf>>> {
        self.shelves.load_full()
    }

    /// All names as they are now, judged anew only when something changed since the last time.
    #[must_use]
    pub fn names(&self, snapshot: &Snapshot) -> Arc<Names> {
        let generation = self.common.generation.load(Ordering::Acquire);
        let before = self.names.load_full();
        if let Some(names) = before.as_ref().filter(|names| names.is_of(snapshot, generation)) {
            return Arc::clone(names);
        }
        let names = Arc::new(Names::build(snapshot, &self.shelves.load(), generation, before.as_deref()));
        self.names.store(Some(Arc::clone(&names)));
        names
    }

    /// The view of an endpoint, built anew only when something changed since the last time.
    #[must_use]
    pub fn view(&self, snapshot: &Snapshot, endpoint: &Endpoint) -> Arc<View> {
        let quarantine = &self.common.quarantine;
        let age = Age {
            generation: self.common.generation.load(Ordering::Acquire),
            quarantine: quarantine.version(),
        };
        let fresh = |view: &Arc<View>| view.age() == age && view.snapshot() == snapshot.version;
        let views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.get(endpoint).filter(|view| fresh(view)) {
            return Arc::clone(view);
        }
        drop(views);
        // Built outside the lock: two callers may build the same view once, none waits for the other.
        let names = self.names(snapshot);
        let shelves = self.shelves.load();
        let from = (&**shelves, &*names, quarantine);
        let view = Arc::new(View::build(snapshot, from, endpoint, age));
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.retain(|kept, _| snapshot_has(snapshot, kept));
        views.insert(endpoint.clone(), Arc::clone(&view));
        view
    }
}

/// Whether the snapshot knows an endpoint, so that views of removed ones do not pile up.
fn snapshot_has(snapshot: &Snapshot, endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Joined => true,
        Endpoint::Server(name) => snapshot.servers.contains_key(name),
        Endpoint::Profile(name) => snapshot.profiles.contains_key(name),
    }
}
