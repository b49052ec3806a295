//! What one endpoint shows: the items of its servers under the names that clients use there.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use casemate_mcp::dialect::modern;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::names::ServerName;
use casemate_mcp::revision::Revision;
use casemate_policy::{Action, Effect, Request, Resource, Subject};
use tokio::time::Instant;

use super::pattern::fits;
use super::search::Index;
use super::{Blocked, Definitions, Item, Judged, Kind, Names, Shelf};
use crate::clock;
use crate::endpoint::Endpoint;
use crate::ports::Standing;
use crate::quarantine::Quarantine;
use crate::snapshot::{Profile, ProfileTool, Snapshot};

/// Items on one page of a list. Many clients never ask for a second page, so the first one is long.
const PAGE_ITEMS: usize = 1000;

/// Pages that are kept, over all sets of roles, scopes and kinds of items.
const KEPT_PAGES_MAX: usize = 256;

/// Bytes of them; a larger page is kept alone.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// How long a kept page stands before the servers behind it are looked at again. Every change that we hear of makes
/// a new view at once; this is for servers whose definitions grow old in silence.
const SETTLED_FOR: Duration = Duration::from_secs(1);

/// One item as an endpoint shows it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The name or URI that clients use here.
    pub name: Box<str>,
    /// Its server.
    pub shelf: Arc<Shelf>,
    /// The item itself.
    pub item: Arc<Item>,
    /// The definition that clients see here.
    pub raw: Raw,
    /// Arguments that the profile fills in.
    pub fixed: Option<Arc<ProfileTool>>,
    /// Whether it may be used. What may not is not listed either.
    pub standing: Standing,
    /// Why it is not shown after all, and cannot be used.
    pub blocked: Option<Blocked>,
}

impl Shown {
    /// Whether it is not in quarantine, alone or with its server.
    #[must_use]
    pub fn is_free(&self, quarantine: &Quarantine, kind: Kind) -> bool {
        let server = self.shelf.server().entry().name.as_str();
        let kept = match kind {
            Kind::Tools => quarantine.of_tool(server, &self.item.name),
            Kind::Prompts | Kind::Resources | Kind::Templates => quarantine.of_server(server),
        };
        kept.is_none()
    }

    /// The item as policy sees it: by its server and the server's own name.
    #[must_use]
    pub fn resource(&self, kind: Kind) -> Resource<'_> {
        let server = &self.shelf.server().entry().name;
        match kind {
            Kind::Tools => Resource::Tool(server, &self.item.name),
            Kind::Prompts => Resource::Prompt(server, &self.item.name),
            Kind::Resources | Kind::Templates => Resource::Resource(server, &self.item.name),
        }
    }
}

/// What a view was put together from. Another one of either makes another view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Age {
    /// Of the definitions.
    pub(super) generation: u64,
    /// Of what is in quarantine.
    pub(super) quarantine: u64,
}

/// Everything that one endpoint shows, before anybody's rights are looked at.
#[derive(Debug)]
pub struct View {
    snapshot: u64,
    age: Age,
    quarantine: Arc<Quarantine>,
    shelves: Vec<Arc<Shelf>>,
    lists: [Vec<Shown>; 4],
    by_name: [HashMap<Box<str>, usize>; 4],
    /// Finished pages. Subjects of one sight share them.
    pages: Mutex<HashMap<(String, PageKey), (Raw, Instant)>>,
    /// The words of its tools; made when somebody first searches.
    index: OnceLock<Index>,
}

/// Which page of which list, in the words of which dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct PageKey {
    kind: Kind,
    start: usize,
    modern: bool,
    /// The client's revision has the experimental tasks.
    tasks: bool,
    apps: bool,
}

/// A page that a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Whose rights count.
    pub subject: &'a Subject,
    /// What is listed.
    pub kind: Kind,
    /// After which item it begins.
    pub cursor: Option<&'a str>,
    /// The dialect that it is written in.
    pub revision: Revision,
    /// Whether the client shows user interfaces of servers: others do not see the tools that are for these alone.
    pub apps: bool,
}

impl View {
    pub(super) fn build(
        snapshot: &Snapshot,
        (shelves, names, quarantine): (&BTreeMap<ServerName, Arc<Shelf>>, &Names, &Arc<Quarantine>),
        endpoint: &Endpoint,
        age: Age,
    ) -> View {
        let mut view = View {
            snapshot: snapshot.version,
            age,
            quarantine: Arc::clone(quarantine),
            shelves: Vec::new(),
            lists: Default::default(),
            by_name: Default::default(),
            pages: Mutex::default(),
            index: OnceLock::new(),
        };
        let profile = match endpoint {
            Endpoint::Profile(name) => snapshot.profiles.get(name),
            Endpoint::Joined | Endpoint::Server(_) => None,
        };
        // A server that judges others is for us alone.
        let is_shown =
            |name: &ServerName| !snapshot.interceptors.has_server(name) && joins(endpoint, profile, name);
        for (_, shelf) in shelves.iter().filter(|(name, _)| is_shown(name)) {
            view.shelves.push(Arc::clone(shelf));
            if let Some(definitions) = shelf.known() {
                let scope = Scope { shelf, snapshot, names, joined: endpoint.joins(), profile };
                view.add(&scope, &definitions);
            }
        }
        view
    }

    fn add(&mut self, scope: &Scope<'_>, definitions: &Definitions) {
        for kind in Kind::ALL {
            let (Some(list), Some(names)) =
                (self.lists.get_mut(kind as usize), self.by_name.get_mut(kind as usize))
            else {
                continue;
            };
            for mut shown in definitions.list(kind).iter().filter_map(|item| scope.show(kind, item)) {
                shown.standing = definitions.standing(kind, &shown.item.name);
                // A rename could meet another name: the first in the order of servers keeps it.
                if !names.contains_key(&shown.name) {
                    names.insert(shown.name.clone(), list.len());
                    list.push(shown);
                }
            }
        }
    }

    pub(super) fn age(&self) -> Age {
        self.age
    }

    pub(super) fn snapshot(&self) -> u64 {
        self.snapshot
    }

    /// The servers that this endpoint joins.
    #[must_use]
    pub fn shelves(&self) -> &[Arc<Shelf>] {
        &self.shelves
    }

    /// Its items of a kind, before anybody's rights are looked at, with those that nobody gets.
    pub(super) fn all(&self, kind: Kind) -> &[Shown] {
        self.lists.get(kind as usize).map_or(&[], Vec::as_slice)
    }

    /// An item by the name that clients use here.
    #[must_use]
    pub fn find(&self, kind: Kind, name: &str) -> Option<&Shown> {
        let at = self.by_name.get(kind as usize)?.get(name)?;
        self.lists.get(kind as usize)?.get(*at)
    }

    /// Its tools that have words of the query, the best first, before anybody's rights are looked at.
    pub(crate) fn ranked_tools(&self, query: &str) -> impl Iterator<Item = &Shown> {
        let tools = self.all(Kind::Tools);
        let named = || tools.iter().map(|shown| (&*shown.name, &shown.raw));
        let index = self.index.get_or_init(|| Index::of(named()));
        index.ranked(query).into_iter().filter_map(move |at| tools.get(at))
    }

    /// A page that was written a moment ago; nothing has changed since.
    #[must_use]
    pub fn kept(&self, snapshot: &Snapshot, page: Page<'_>) -> Option<Raw> {
        let key = (snapshot.policy.sight(page.subject), self.key(page)?);
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, at) = pages.get(&key)?;
        (clock::instant().duration_since(*at) < SETTLED_FOR).then(|| text.clone())
    }

    /// A page with what the subject may see, in the client's dialect. `None` for a cursor that is none of ours (any
    /// more).
    #[must_use]
    pub fn page(&self, snapshot: &Snapshot, page: Page<'_>) -> Option<Raw> {
        let key = self.key(page)?;
        let plain = self.write_page(snapshot, (page, key.start));
        let text = if key.modern { modern::result(&page.kind.method(), plain) } else { plain };
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = pages.values().map(|(text, _)| text.as_bytes().len()).sum();
        if pages.len() >= KEPT_PAGES_MAX || kept + text.as_bytes().len() > KEPT_BYTES_MAX {
            pages.clear();
        }
        pages.insert((snapshot.policy.sight(page.subject), key), (text.clone(), clock::instant()));
        Some(text)
    }

    /// Whether an item is shown to the subject of a page, on that page or another one.
    #[must_use]
    pub fn shows(&self, snapshot: &Snapshot, page: Page<'_>, shown: &Shown) -> bool {
        let request = Request::new(Action::List, shown.resource(page.kind));
        let is_fit = shown.standing == Standing::Approved
            && shown.blocked.is_none()
            && (page.apps || !shown.item.tool.is_for_apps)
            && shown.is_free(&self.quarantine, page.kind);
        is_fit && snapshot.policy.decide(page.subject, &request).effect != Effect::Deny
    }

    fn key(&self, page: Page<'_>) -> Option<PageKey> {
        let start = match page.cursor {
            None => 0,
            Some(after) => self.by_name.get(page.kind as usize)?.get(after)? + 1,
        };
        let (modern, tasks) = (page.revision.is_modern(), page.revision == Revision::LATEST_LEGACY);
        Some(PageKey { kind: page.kind, start, modern, tasks, apps: page.apps })
    }

    fn write_page(&self, snapshot: &Snapshot, (page, start): (Page<'_>, usize)) -> Raw {
        let kind = page.kind;
        let rest = self.lists.get(kind as usize).and_then(|list| list.get(start..)).unwrap_or_default();
        let mut allowed = rest.iter().filter(|shown| self.shows(snapshot, page, shown));
        let items: Vec<&Shown> = allowed.by_ref().take(PAGE_ITEMS).collect();
        let tasks = kind == Kind::Tools && page.revision == Revision::LATEST_LEGACY;
        let texts: Vec<Raw> = items
            .iter()
            .map(|shown| match tasks && shown.shelf.gives_tasks() {
                true => Item::offered_as_task(&shown.raw),
                false => shown.raw.clone(),
            })
            .collect();
        let list = Raw::array(&texts);
        let empty = Members::empty();
        let mut result = empty.edit().set(kind.member(), list);
        if let (Some(last), Some(_)) = (items.last(), allowed.next()) {
            result = result.set("nextCursor", Raw::string_of(&last.name));
        }
        result.finish()
    }
}

/// One server while it is put into a view.
struct Scope<'a> {
    shelf: &'a Arc<Shelf>,
    snapshot: &'a Snapshot,
    names: &'a Names,
    joined: bool,
    profile: Option<&'a Arc<Profile>>,
}

impl Scope<'_> {
    fn show(&self, kind: Kind, item: &Arc<Item>) -> Option<Shown> {
        let plain = !self.joined;
        let name = &self.shelf.server().entry().name;
        let raw = if plain { item.raw.raw().clone() } else { item.joined.clone() };
        let named = self.names.findings(self.snapshot, self.shelf, (kind, item));
        let judged = Judged::of(&self.snapshot.inspecting, self.shelf, (raw, named));
        let mut shown = Shown {
            name: if plain { item.name.clone() } else { item.joined_name.clone() },
            shelf: Arc::clone(self.shelf),
            item: Arc::clone(item),
            raw: judged.raw,
            fixed: None,
            standing: Standing::Approved,
            blocked: judged.blocked,
        };
        let (Some(profile), Kind::Tools) = (self.profile, kind) else { return Some(shown) };
        let path = format!("{name}/{}", item.name);
        let chosen = profile.only.as_ref().is_none_or(|only| only.iter().any(|pattern| fits(pattern, &path)));
        if !chosen || profile.hidden.iter().any(|pattern| fits(pattern, &path)) {
            return None;
        }
        let changed =
            profile.tools.iter().find(|((server, tool), _)| server == name && tool.as_str() == &*item.name);
        if let Some((_, change)) = changed {
            dress(&mut shown, change);
        }
        Some(shown)
    }
}

/// Applies what a profile says about a tool.
fn dress(shown: &mut Shown, change: &ProfileTool) {
    let Some(members) = shown.raw.members() else { return };
    let mut edit = members.edit();
    if let Some(name) = &change.rename {
        shown.name = name.as_str().into();
        edit = edit.set("name", Raw::string_of(name.as_str()));
    }
    if let Some(description) = &change.description {
        edit = edit.set("description", Raw::string_of(description));
    }
    if let (false, Some(schema)) = (change.fixed.is_empty(), members.object("inputSchema")) {
        edit = edit.set("inputSchema", without(&schema, change));
    }
    shown.raw = edit.finish();
    shown.fixed = (!change.fixed.is_empty()).then(|| Arc::new(change.clone()));
}

/// The schema without the arguments that are filled in.
fn without(schema: &Members, change: &ProfileTool) -> Raw {
    let mut edit = schema.edit();
    if let Some(properties) = schema.object("properties") {
        let kept = change.fixed.keys().fold(properties.edit(), |edit, name| edit.remove(name.as_str()));
        edit = edit.set("properties", kept.finish());
    }
    if let Some(required) = schema.get("required").and_then(|list| list.elements()) {
        let is_free = |raw: &&Raw| raw.string().is_none_or(|name| !change.fixed.contains_key(&*name));
        edit = edit.set("required", Raw::array(required.iter().filter(is_free)));
    }
    edit.finish()
}

fn joins(endpoint: &Endpoint, profile: Option<&Arc<Profile>>, name: &ServerName) -> bool {
    match endpoint {
        Endpoint::Joined => true,
        Endpoint::Server(only) => only == name,
        Endpoint::Profile(_) => profile.is_some_and(|profile| profile.servers.contains(name)),
    }
}
