//! The definitions of one server: loaded when first needed, kept, and loaded again when they may have changed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use casemate_inspect::Findings;
use casemate_mcp::call::{Answer, Call, Meta};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::names::ServerName;
use casemate_mcp::revision::Revision;
use casemate_mcp::task::has_extension;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::names::OwnNames;
use super::{Definitions, Item, Kind, shelved};
use crate::clock;
use crate::ports::{Declared, Pins, Standing};
use crate::quarantine::Quarantine;
use crate::snapshot::Approval;
use crate::upstream::entry::{Carrier, Source};
use crate::upstream::{Alarm, Caller, Fault, Hello, Host, Server};

/// No call is judged by definitions that are older than this, or than their server says that they hold.
const HOLDS_MAX: Duration = Duration::from_secs(60);

/// A server that says its lists hold for no time at all is asked for them this often at most.
const HOLDS_MIN: Duration = Duration::from_secs(1);

/// After this part of their time, definitions are loaded again in the background, so that a server that is called all
/// the time keeps nobody waiting.
const RENEWED_AFTER: (u32, u32) = (3, 4);

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
    /// The server gives tasks to clients that know the extension (SEP-2663).
    gives_tasks: AtomicBool,
    /// A list went out without this server: its clients are told when it is there.
    missed: AtomicBool,
    /// The load in flight, or how the last one ended.
    load: Mutex<Option<watch::Receiver<Option<LoadEnd>>>>,
    common: Common,
}

/// What all shelves share.
#[derive(Debug, Clone)]
pub struct Common {
    /// Grows with each change of a definition.
    pub generation: Arc<AtomicU64>,
    /// Told of every server whose definitions changed.
    pub changes: mpsc::Sender<Arc<Server>>,
    /// Knows which definitions may be used.
    pub pins: Arc<dyn Pins>,
    /// Nothing in it is started.
    pub quarantine: Arc<Quarantine>,
}

#[derive(Debug)]
struct Loaded {
    definitions: Arc<Definitions>,
    at: Instant,
    /// For how long the server said so, when it listed them the last time.
    holds_for: Option<Duration>,
    from: From,
}

/// Where definitions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// The server listed them to us.
    Server,
    /// It listed them to a gateway before us; whether it has resources besides.
    Memory { has_resources: bool },
}

/// How old what is known may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    /// For a list of this kind: as old as it is, as long as nobody said that it changed.
    Any(Kind),
    /// For a call: it holds still.
    Holding,
}

type LoadEnd = Result<(), Arc<Fault>>;

impl Shelf {
    /// A shelf with what the server listed the last time, if that is known. Nothing is started for it.
    #[must_use]
    pub fn new(server: Arc<Server>, host: Arc<Host>, common: Common) -> Shelf {
        let shelf = Shelf::empty(server, host, common);
        let entry = shelf.server.entry();
        let remembered = (entry.approval != Approval::OwnPart)
            .then(|| shelf.common.pins.remembered(&entry.name))
            .flatten()
            .and_then(|text| shelved::read(entry, text));
        if let Some(remembered) = remembered {
            shelf.gives_tasks.store(remembered.definitions.gives_tasks, Ordering::Relaxed);
            let definitions = Arc::new(shelf.judged(&remembered.definitions));
            let from = From::Memory { has_resources: remembered.has_resources };
            let (at, holds_for) = (clock::instant(), None);
            shelf.current.store(Some(Arc::new(Loaded { definitions, at, holds_for, from })));
        }
        shelf
    }

    fn empty(server: Arc<Server>, host: Arc<Host>, common: Common) -> Shelf {
        Shelf {
            server,
            host,
            current: ArcSwapOption::empty(),
            stale: AtomicBool::new(false),
            gives_tasks: AtomicBool::new(false),
            missed: AtomicBool::new(false),
            load: Mutex::new(None),
            common,
        }
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Notes what the server says it can do, where lists depend on it.
    pub(crate) fn note(&self, hello: &Hello) {
        let gives_tasks = hello.revision.is_modern() && has_extension(&hello.capabilities);
        self.gives_tasks.store(gives_tasks, Ordering::Relaxed);
    }

    /// Whether the server gives tasks to clients that know the extension. Of any tool, and as it likes.
    pub(crate) fn gives_tasks(&self) -> bool {
        self.gives_tasks.load(Ordering::Relaxed)
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
            self.common.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Whether the server said so, and nobody has looked since.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// Raises an alarm where something was found that had been planted in a cell. `place` says where, in words that are the
    /// same each time.
    pub(crate) fn tell_planted(&self, findings: &Findings, place: impl Fn(&ServerName) -> String) {
        for owner in findings.decoys() {
            let seen = place(&self.server.entry().name);
            // Whoever hears nothing of it now hears of the next.
            _ = self.host.alarms.try_send(Alarm::Honeytoken { owner: Arc::clone(owner), seen });
        }
    }

    /// Judges what is known anew, after somebody approved of something or took an approval back.
    pub fn judge_anew(&self) {
        let Some(loaded) = self.current.load_full() else { return };
        let definitions = Arc::new(self.judged(&loaded.definitions));
        if definitions.same(&loaded.definitions) {
            return;
        }
        let Loaded { at, holds_for, from, .. } = *loaded;
        let anew = Arc::new(Loaded { definitions, at, holds_for, from });
        // A load that ended meanwhile has judged by the same pins.
        let before = self.current.compare_and_swap(&Some(Arc::clone(&loaded)), Some(anew));
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, &loaded)) {
            self.tell_changed();
        }
    }

    /// Where a definition stands that the server declared just now, outside of what is loaded.
    #[must_use]
    pub fn standing(&self, declared: Declared<'_>) -> Standing {
        self.standings(&[declared]).first().copied().unwrap_or(Standing::New)
    }

    fn standings(&self, declared: &[Declared<'_>]) -> Vec<Standing> {
        let entry = self.server.entry();
        match entry.approval {
            Approval::OwnPart => vec![Standing::Approved; declared.len()],
            approval => self.common.pins.judge(&entry.name, approval, declared),
        }
    }

    fn judged(&self, definitions: &Definitions) -> Definitions {
        definitions.judged(|declared| self.standings(declared))
    }

    fn tell_changed(&self) {
        self.common.generation.fetch_add(1, Ordering::AcqRel);
        // When the queue is full, clients have been told of a change that they have not looked at yet.
        _ = self.common.changes.try_send(Arc::clone(&self.server));
    }

    /// The definitions, loaded first when none are known, when they have grown old or when the server said that they
    /// changed. An old definition stays in force while the server does not answer: what cannot be listed cannot be
    /// called for long either, and a change that is made meanwhile is found at the next list.
    ///
    /// # Errors
    /// Why they could not be loaded, when none are known.
    pub async fn definitions(self: &Arc<Self>, caller: &Caller) -> Result<Arc<Definitions>, Arc<Fault>> {
        if let Some(definitions) = self.fresh(caller, Age::Holding) {
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
    pub async fn listed(self: &Arc<Self>, caller: &Caller, (kind, deadline): (Kind, Instant)) {
        let failed_before = self.last_load_failed();
        if self.fresh(caller, Age::Any(kind)).is_some() {
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

    /// Whether nobody has to wait for a list of the definitions.
    #[must_use]
    pub fn is_fresh(self: &Arc<Self>, caller: &Caller, kind: Kind) -> bool {
        self.fresh(caller, Age::Any(kind)).is_some()
    }

    /// What is known when nobody has to wait; an old shelf is renewed in the background.
    fn fresh(self: &Arc<Self>, caller: &Caller, age: Age) -> Option<Arc<Definitions>> {
        let loaded = self.current.load_full()?;
        if self.stale.load(Ordering::Acquire) {
            return None;
        }
        if let From::Memory { has_resources } = loaded.from {
            // Enough for a list, and no server is started for it. A call is judged by what the server says now.
            let is_enough = matches!(age, Age::Any(kind) if kind != Kind::Resources || !has_resources);
            return is_enough.then(|| Arc::clone(&loaded.definitions));
        }
        let holds_for = loaded.holds_for.unwrap_or(HOLDS_MAX).clamp(HOLDS_MIN, HOLDS_MAX);
        let old = clock::instant().duration_since(loaded.at);
        if old > holds_for * RENEWED_AFTER.0 / RENEWED_AFTER.1 {
            self.begin(caller);
        }
        if age == Age::Holding && old > holds_for {
            return None;
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
        if self.common.quarantine.of_server(self.server.entry().name.as_str()).is_some() {
            return Err(Fault::Stopping);
        }
        // Cleared before asking: a change that is announced while we read counts as a change after it.
        self.stale.store(false, Ordering::Release);
        let fetched = self.fetch(caller).await.inspect_err(|_| self.stale.store(true, Ordering::Release));
        let (new, holds_for) = fetched?;
        let new = self.judged(&new);
        let before = self.current.load_full();
        let old = before.as_ref().map(|before| Arc::clone(&before.definitions));
        let changed = old.as_ref().is_none_or(|old| !old.same(&new));
        // What was remembered has no resources, so nobody was told that there are none.
        let is_news = before.is_some_and(|before| match before.from {
            From::Server => changed,
            From::Memory { .. } => !before.definitions.same_pinned(&new),
        });
        if changed && let Some(item) = new.drifted().next() {
            let server = self.server.entry().name.clone();
            // Whoever hears nothing of it now hears of the next; what has changed is blocked in any case.
            _ = self.host.alarms.try_send(Alarm::Drift { server, item: item.to_owned() });
        }
        let definitions = match old {
            Some(old) if !changed => old,
            _ => Arc::new(new),
        };
        self.remember(&definitions);
        let (at, from) = (clock::instant(), From::Server);
        self.current.store(Some(Arc::new(Loaded { definitions, at, holds_for, from })));
        if changed && (self.missed.swap(false, Ordering::AcqRel) || is_news) {
            self.tell_changed();
        } else if changed {
            self.common.generation.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Keeps what the server lists for the next start of the gateway.
    fn remember(&self, definitions: &Definitions) {
        let entry = self.server.entry();
        if entry.approval == Approval::OwnPart {
            return;
        }
        let Some(text) = shelved::written(entry, definitions) else { return };
        if self.common.pins.remembered(&entry.name).as_ref() != Some(&text) {
            self.common.pins.remember(&entry.name, text);
        }
    }

    /// What the server lists now, and for how long it says that this holds.
    async fn fetch(&self, caller: &Caller) -> Result<(Definitions, Option<Duration>), Fault> {
        let hello = self.server.hello(caller).await?;
        self.note(&hello);
        let (mut definitions, mut holds_for) = (Definitions::default(), None);
        let hello = &hello;
        let kinds = Kind::ALL.map(|kind| async move {
            let declared = hello.capabilities.has(kind.capability());
            if declared { self.list(caller, kind).await } else { Ok(List::default()) }
        });
        let [tools, prompts, resources, templates] = kinds;
        let (tools, prompts, resources, templates) = tokio::join!(tools, prompts, resources, templates);
        for (kind, list) in Kind::ALL.into_iter().zip([tools, prompts, resources, templates]) {
            let list = list?;
            if kind.pinned().is_some() {
                holds_for = [holds_for, list.holds_for].into_iter().flatten().min();
            }
            for item in list.items {
                definitions.add(kind, item);
            }
        }
        definitions.info = hello.server_info.as_ref().map(Raw::detached);
        definitions.gives_tasks = self.gives_tasks();
        definitions.names = Arc::new(OwnNames::of(&definitions));
        Ok((definitions, holds_for))
    }

    /// Whether a definition can be used at all. Over HTTP, a tool whose annotations of headers cannot be kept to is none; the
    /// protocol has clients exclude it, and say so.
    pub(crate) fn takes(&self, item: &Item) -> bool {
        let entry = self.server.entry();
        let is_http = matches!(&entry.source, Source::Http(source) if source.carrier == Carrier::Http);
        let Some(why) = item.tool.unmirrored.as_ref().filter(|_| is_http) else { return true };
        tracing::warn!(server = %entry.name, tool = %item.name, %why, "a tool is left out");
        false
    }

    async fn list(&self, caller: &Caller, kind: Kind) -> Result<List, Fault> {
        let name = &self.server.entry().name;
        let mut list = List::default();
        let mut bytes = 0;
        let mut params = Members::empty();
        for _ in 0..PAGES_MAX {
            let call = own_call(kind, params, caller);
            let (events, _) = mpsc::channel(1);
            let page = match self.server.call(caller, &call, events).await? {
                Answer::Result(result) => result.members(),
                // Some servers declare `resources` and know nothing of templates.
                Answer::Error(_) => return Ok(list),
            };
            let Some(page) = page else { return Ok(list) };
            bytes += page.raw().as_bytes().len();
            let holds_for = page.get("ttlMs").and_then(|raw| raw.parse().ok()).map(Duration::from_millis);
            list.holds_for = [list.holds_for, holds_for].into_iter().flatten().min();
            list.items.extend(items(kind, name, &page).into_iter().filter(|item| self.takes(item)));
            match page.get("nextCursor").filter(|cursor| cursor.string().is_some()) {
                Some(cursor) if list.items.len() < ITEMS_MAX && bytes < LIST_BYTES_MAX => {
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
        list.items.truncate(ITEMS_MAX);
        Ok(list)
    }
}

/// The items of a page, in memory of their own: they stay, and nothing of the message around them does.
fn items(kind: Kind, server: &ServerName, page: &Members) -> Vec<Item> {
    let listed = page.get(kind.member()).and_then(|list| list.elements()).unwrap_or_default();
    listed.iter().filter_map(|raw| Item::read(kind, server, &raw.detached())).collect()
}

/// One list of a server, from its first page to its last.
#[derive(Debug, Default)]
struct List {
    items: Vec<Item>,
    /// For how long the server says that it holds.
    holds_for: Option<Duration>,
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use casemate_mcp::json::Limits;

    use super::*;

    #[test]
    fn a_padded_page_stayed_for_as_long_as_its_tools() {
        let (one, pad) = (ServerName::parse("one").unwrap(), "x".repeat(9999));
        let message = Bytes::from(format!(r#"{{"pad":"{pad}","result":{{"tools":[{{"name":"t"}}]}}}}"#));
        let page = Raw::check(message.clone(), &Limits::default()).unwrap().members().unwrap();
        let tools = items(Kind::Tools, &one, &page.object("result").unwrap());
        drop(page);
        assert_eq!(tools.len(), 1);
        assert!(message.is_unique(), "nothing of it is kept alive");
    }
}
