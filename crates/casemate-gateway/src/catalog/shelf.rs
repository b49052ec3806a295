//! The definitions of one server: loaded when first needed, kept, and loaded again when they may have changed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use casemate_mcp::call::{Answer, Call, Meta};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::revision::Revision;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Definitions, Item, Kind};
use crate::clock;
use crate::upstream::{Caller, Fault, Host, Server};

/// Definitions older than this are loaded again in the background when somebody looks at them.
const FRESH_FOR: Duration = Duration::from_secs(60);

/// Pages that are read of one list. A server whose cursor never ends is cut off here.
const PAGES_MAX: usize = 200;

/// Items that are kept of one list.
const ITEMS_MAX: usize = 20_000;

/// Bytes that are read of one list; the page that reaches it is the last. Definitions are kept for as long as their server.
const LIST_BYTES_MAX: usize = 64 << 20;

/// One server and what it declared.
#[derive(Debug)]
pub struct Shelf {
    server: Arc<Server>,
    host: Arc<Host>,
    current: ArcSwapOption<Loaded>,
    /// The server said that something changed since the last load began.
    stale: AtomicBool,
    /// A list went out without this server: its clients are told when it is there.
    missed: AtomicBool,
    /// The load in flight, or how the last one ended.
    load: Mutex<Option<watch::Receiver<Option<LoadEnd>>>>,
    generation: Arc<AtomicU64>,
    changes: mpsc::Sender<Arc<Server>>,
}

#[derive(Debug)]
struct Loaded {
    definitions: Arc<Definitions>,
    at: Instant,
}

type LoadEnd = Result<(), Arc<Fault>>;

impl Shelf {
    /// An empty shelf. `generation` grows with each change, and `changes` is told of it.
    #[must_use]
    pub fn new(
        server: Arc<Server>,
        host: Arc<Host>,
        generation: Arc<AtomicU64>,
        changes: mpsc::Sender<Arc<Server>>,
    ) -> Shelf {
        Shelf {
            server,
            host,
            current: ArcSwapOption::empty(),
            stale: AtomicBool::new(false),
            missed: AtomicBool::new(false),
            load: Mutex::new(None),
            generation,
            changes,
        }
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// What is known now, however old. Nothing is started for it.
    #[must_use]
    pub fn known(&self) -> Option<Arc<Definitions>> {
        self.current.load().as_ref().map(|loaded| Arc::clone(&loaded.definitions))
    }

    /// The server said that its definitions changed: whoever needs them next has to wait for new ones.
    pub fn invalidate(&self) {
        // Said again before anybody looked, it costs nothing again.
        if !self.stale.swap(true, Ordering::AcqRel) {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The definitions, loaded first when none are known or the server said that they changed.
    ///
    /// # Errors
    /// Why they could not be loaded, when none are known.
    pub async fn definitions(self: &Arc<Self>, caller: &Caller) -> Result<Arc<Definitions>, Arc<Fault>> {
        if let Some(definitions) = self.fresh(caller) {
            return Ok(definitions);
        }
        let mut load = self.begin(caller);
        let end = match load.wait_for(Option::is_some).await {
            Ok(end) => end.clone(),
            Err(_) => None,
        };
        match (self.known(), end) {
            (Some(definitions), _) => Ok(definitions),
            (None, Some(Err(fault))) => Err(fault),
            (None, _) => Err(Arc::new(Fault::Stopping)),
        }
    }

    /// For lists over many servers: what is known, or what can be loaded until `deadline`. A server that failed the
    /// last time is tried again, but nobody waits for it.
    pub async fn listed(self: &Arc<Self>, caller: &Caller, deadline: Instant) {
        let failed_before = self.last_load_failed();
        if self.fresh(caller).is_some() {
            return;
        }
        let mut load = self.begin(caller);
        if !failed_before {
            // Late or failed, the list goes out without it, and a notice follows when it is there.
            _ = tokio::time::timeout_at(deadline, load.wait_for(Option::is_some)).await;
        }
        if self.known().is_none() {
            self.missed.store(true, Ordering::Release);
        }
    }

    /// Whether nobody has to wait for the definitions.
    #[must_use]
    pub fn is_fresh(self: &Arc<Self>, caller: &Caller) -> bool {
        self.fresh(caller).is_some()
    }

    /// What is known when nobody has to wait; an old shelf is renewed in the background.
    fn fresh(self: &Arc<Self>, caller: &Caller) -> Option<Arc<Definitions>> {
        let loaded = self.current.load_full()?;
        if self.stale.load(Ordering::Acquire) {
            return None;
        }
        if clock::instant().duration_since(loaded.at) > FRESH_FOR {
            self.begin(caller);
        }
        Some(Arc::clone(&loaded.definitions))
    }

    fn last_load_failed(&self) -> bool {
        let load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        load.as_ref().is_some_and(|end| matches!(&*end.borrow(), Some(Err(_))))
    }

    /// Joins the load in flight or begins one.
    fn begin(self: &Arc<Self>, caller: &Caller) -> watch::Receiver<Option<LoadEnd>> {
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = load.as_ref().filter(|end| end.borrow().is_none() && end.has_changed().is_ok())
        {
            return running.clone();
        }
        let (done, end) = watch::channel(None);
        *load = Some(end.clone());
        let (shelf, caller) = (Arc::clone(self), caller.clone());
        self.host.tracker.spawn(async move {
            let outcome = shelf.load(&caller).await.map_err(Arc::new);
            _ = done.send(Some(outcome));
        });
        end
    }

    async fn load(&self, caller: &Caller) -> Result<(), Fault> {
        // Cleared before asking: a change that is announced while we read counts as a change after it.
        self.stale.store(false, Ordering::Release);
        let new = self.fetch(caller).await.inspect_err(|_| self.stale.store(true, Ordering::Release))?;
        let old = self.known();
        let is_first = old.is_none();
        let changed = old.as_ref().is_none_or(|old| !old.same(&new));
        let definitions = match old {
            Some(old) if !changed => old,
            _ => Arc::new(new),
        };
        self.current.store(Some(Arc::new(Loaded { definitions, at: clock::instant() })));
        if changed {
            self.generation.fetch_add(1, Ordering::AcqRel);
            if self.missed.swap(false, Ordering::AcqRel) || !is_first {
                // When the queue is full, clients have been told of a change that they have not looked at yet.
                _ = self.changes.try_send(Arc::clone(&self.server));
            }
        }
        Ok(())
    }

    async fn fetch(&self, caller: &Caller) -> Result<Definitions, Fault> {
        let hello = self.server.hello(caller).await?;
        let mut definitions = Definitions::default();
        let hello = &hello;
        let kinds = Kind::ALL.map(|kind| async move {
            let declared = hello.capabilities.has(kind.capability());
            if declared { self.list(caller, kind).await } else { Ok(Vec::new()) }
        });
        let [tools, prompts, resources, templates] = kinds;
        let (tools, prompts, resources, templates) = tokio::join!(tools, prompts, resources, templates);
        for (kind, items) in Kind::ALL.into_iter().zip([tools, prompts, resources, templates]) {
            for item in items? {
                definitions.add(kind, item);
            }
        }
        Ok(definitions)
    }

    async fn list(&self, caller: &Caller, kind: Kind) -> Result<Vec<Item>, Fault> {
        let name = &self.server.entry().name;
        let mut items = Vec::new();
        let mut bytes = 0;
        let mut params = Members::empty();
        for _ in 0..PAGES_MAX {
            let call = own_call(kind, params, caller);
            let (events, _) = mpsc::channel(1);
            let page = match self.server.call(caller, &call, events).await? {
                Answer::Result(result) => result.members(),
                // Some servers declare `resources` and know nothing of templates.
                Answer::Error(_) => return Ok(items),
            };
            let Some(page) = page else { return Ok(items) };
            bytes += page.raw().as_bytes().len();
            let listed = page.get(kind.member()).and_then(|list| list.elements()).unwrap_or_default();
            items.extend(listed.iter().filter_map(|raw| Item::read(kind, name, raw)));
            match page.get("nextCursor").filter(|cursor| cursor.string().is_some()) {
                Some(cursor) if items.len() < ITEMS_MAX && bytes < LIST_BYTES_MAX => {
                    params = Members::empty()
                        .edit()
                        .set("cursor", cursor)
                        .finish()
                        .members()
                        .unwrap_or_else(Members::empty);
                }
                _ => break,
            }
        }
        items.truncate(ITEMS_MAX);
        Ok(items)
    }
}

fn own_call(kind: Kind, params: Members, caller: &Caller) -> Call {
    let meta = Meta {
        revision: Revision::LATEST,
        progress: None,
        capabilities: caller.capabilities.clone(),
        client_info: None::<Raw>,
        log_level: None,
    };
    Call { method: kind.method(), params, meta }
}
