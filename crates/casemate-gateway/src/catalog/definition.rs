//! What one server declared, item by item, each as the server wrote it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use casemate_inspect::names::{Look, words};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::names::{QualifiedName, ServerName};
use casemate_mcp::task::Support;

use super::names::OwnNames;
use super::{Mirrored, Schema, Unmirrored, mirror, uri};
use crate::ports::{Declared, Pinned, Standing};

/// The kinds of things that servers list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Tools, named by `name`.
    Tools,
    /// Prompts, named by `name`.
    Prompts,
    /// Resources, named by `uri`.
    Resources,
    /// Resource templates, named by `uriTemplate`.
    Templates,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 4] = [Kind::Tools, Kind::Prompts, Kind::Resources, Kind::Templates];

    /// The kind that a method lists.
    #[must_use]
    pub fn of(method: &Method) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.method() == *method)
    }

    /// The method that lists it.
    #[must_use]
    pub fn method(self) -> Method {
        match self {
            Kind::Tools => Method::ToolsList,
            Kind::Prompts => Method::PromptsList,
            Kind::Resources => Method::ResourcesList,
            Kind::Templates => Method::TemplatesList,
        }
    }

    /// The member of the result that holds the list.
    #[must_use]
    pub fn member(self) -> &'static str {
        match self {
            Kind::Tools => "tools",
            Kind::Prompts => "prompts",
            Kind::Resources => "resources",
            Kind::Templates => "resourceTemplates",
        }
    }

    /// The member of a definition that names the item.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Kind::Tools | Kind::Prompts => "name",
            Kind::Resources => "uri",
            Kind::Templates => "uriTemplate",
        }
    }

    /// What people call one of them.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Kind::Tools => "tool",
            Kind::Prompts => "prompt",
            Kind::Resources => "resource",
            Kind::Templates => "resource template",
        }
    }

    /// What stands before the name of one of them on the command line: `tool:push`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Tools => "tool",
            Kind::Prompts => "prompt",
            Kind::Resources => "resource",
            Kind::Templates => "template",
        }
    }

    /// What of that kind is pinned; nothing, when there may be millions that come and go.
    #[must_use]
    pub fn pinned(self) -> Option<Pinned> {
        match self {
            Kind::Tools => Some(Pinned::Tool),
            Kind::Prompts => Some(Pinned::Prompt),
            Kind::Templates => Some(Pinned::Template),
            Kind::Resources => None,
        }
    }

    /// The capability that a server declares when it has such things.
    #[must_use]
    pub fn capability(self) -> &'static str {
        match self {
            Kind::Tools => "tools",
            Kind::Prompts => "prompts",
            Kind::Resources | Kind::Templates => "resources",
        }
    }
}

/// One thing that a server declared.
#[derive(Debug)]
pub struct Item {
    /// The server's own name or URI for it.
    pub name: Box<str>,
    /// The definition as the server wrote it.
    pub raw: Members,
    /// What the joined endpoint calls it.
    pub joined_name: Box<str>,
    /// The definition under that name.
    pub joined: Raw,
    /// What only tools have.
    pub tool: Tool,
    looks: OnceLock<[Look; 2]>,
    words: OnceLock<Vec<Look>>,
}

/// What only tools have. Empty for everything else.
#[derive(Debug, Default)]
pub struct Tool {
    schema: OnceLock<Option<Result<Schema, String>>>,
    output: OnceLock<Option<Result<Schema, String>>>,
    /// What headers repeat of its arguments; none where that cannot be kept to.
    pub param_headers: Vec<Mirrored>,
    /// Why they cannot be repeated as its schema says: over HTTP, such a tool is not used.
    pub unmirrored: Option<Unmirrored>,
    /// The server says that calling it changes nothing, or that calling it twice is calling it once.
    pub says_repeatable: bool,
    /// It is for the server's own user interface and not for the model (SEP-1865).
    pub is_for_apps: bool,
    /// How it takes being called as a task (2025-11-25).
    pub task_support: Support,
}

/// The extension of user interfaces that servers bring along (SEP-1865).
const APPS: &str = "io.modelcontextprotocol/ui";

/// Whether a client shows user interfaces of servers, and so keeps tools for them from its model.
#[must_use]
pub fn shows_apps(capabilities: &Members) -> bool {
    capabilities.object("extensions").is_some_and(|extensions| extensions.has(APPS))
}

impl Item {
    /// Reads a definition; `None` when it is none.
    #[must_use]
    pub fn read(kind: Kind, server: &ServerName, raw: &Raw) -> Option<Item> {
        let raw = raw.members()?;
        let name = raw.string(kind.key())?.into_boxed_str();
        let joined_name = match kind {
            Kind::Tools | Kind::Prompts => QualifiedName::join(server, &name).as_str().into(),
            Kind::Resources | Kind::Templates => uri::wrap(server, &name).into_boxed_str(),
        };
        let mut joined = raw.edit().set(kind.key(), Raw::string_of(&joined_name));
        if let Some(meta) = own_interface(server, &raw) {
            joined = joined.set("_meta", meta);
        }
        let joined = joined.finish();
        let tool = if kind == Kind::Tools { Tool::read(&raw) } else { Tool::default() };
        let (looks, words) = Default::default();
        Some(Item { name, raw, joined_name, joined, tool, looks, words })
    }

    /// What its name looks like at the joined endpoint, and what its own does.
    pub(super) fn looks(&self) -> &[Look; 2] {
        self.looks.get_or_init(|| [&self.joined_name, &self.name].map(|name| Look::of(name)))
    }

    /// The words of its texts that could be names of tools.
    pub(super) fn words(&self) -> &[Look] {
        self.words.get_or_init(|| words(self.raw.raw()))
    }

    /// A definition of a tool as a client of 2025-11-25 has to see it to call it as a task, whose server decides by itself what
    /// becomes one.
    #[must_use]
    pub fn offered_as_task(definition: &Raw) -> Raw {
        let Some(members) = definition.members() else { return definition.clone() };
        let execution = members.object("execution").unwrap_or_else(Members::empty);
        let execution = execution.edit().set("taskSupport", Raw::of("optional")).finish();
        members.edit().set("execution", execution).finish()
    }

    /// The input schema as the server wrote it.
    #[must_use]
    pub fn input_schema(&self) -> Option<Raw> {
        self.raw.get("inputSchema")
    }

    /// What the server claims of a tool.
    #[must_use]
    pub fn annotations(&self) -> Option<Raw> {
        self.raw.get("annotations")
    }

    /// The compiled input schema. `None` when the tool declares none.
    pub fn schema(&self) -> Option<&Result<Schema, String>> {
        self.tool.schema.get_or_init(|| self.raw.get("inputSchema").map(|raw| Schema::compile(&raw))).as_ref()
    }

    /// The compiled output schema. `None` when the tool declares none.
    pub fn output(&self) -> Option<&Result<Schema, String>> {
        self.tool
            .output
            .get_or_init(|| self.raw.get("outputSchema").map(|raw| Schema::compile(&raw)))
            .as_ref()
    }
}

/// The `_meta` of a definition that names a resource for its user interface, with the resource's joined URI: hosts read
/// it unasked, and it must not be another server's.
fn own_interface(server: &ServerName, definition: &Members) -> Option<Raw> {
    let renamed = |holder: &Members, member: &str| {
        let uri = holder.string(member)?;
        Some(holder.edit().set(member, Raw::string_of(&uri::wrap(server, &uri))).finish())
    };
    let meta = definition.object("_meta")?;
    let flat = renamed(&meta, "ui/resourceUri").and_then(|raw| raw.members());
    let nested = meta.object("ui").and_then(|ui| renamed(&ui, "resourceUri"));
    match (flat, nested) {
        (None, None) => None,
        (flat, None) => flat.map(|meta| meta.raw().clone()),
        (flat, Some(ui)) => Some(flat.unwrap_or(meta).edit().set("ui", ui).finish()),
    }
}

impl Tool {
    fn read(raw: &Members) -> Tool {
        let mirrored = raw.object("inputSchema").map_or(Ok(Vec::new()), |schema| mirror::read(&schema));
        let (param_headers, unmirrored) = match mirrored {
            Ok(headers) => (headers, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        let hints = raw.object("annotations");
        let says =
            |hint| hints.as_ref().and_then(|hints| hints.get(hint)).is_some_and(|raw| raw.as_str() == "true");
        Tool {
            schema: OnceLock::new(),
            output: OnceLock::new(),
            param_headers,
            unmirrored,
            says_repeatable: says("readOnlyHint") || says("idempotentHint"),
            is_for_apps: is_for_apps(raw),
            task_support: Support::of(raw),
        }
    }
}

/// Whether a tool says who may see it, and does not name the model.
fn is_for_apps(raw: &Members) -> bool {
    let seen_by = raw.object("_meta").and_then(|meta| meta.object("ui")?.get("visibility")?.elements());
    seen_by.is_some_and(|seen_by| !seen_by.iter().any(|who| who.string().as_deref() == Some("model")))
}

/// Everything that one server declared.
#[derive(Debug, Default)]
pub struct Definitions {
    lists: [Vec<Arc<Item>>; 4],
    by_name: [HashMap<Box<str>, Arc<Item>>; 4],
    /// Those that may not be used, and why.
    held: HashMap<(Kind, Box<str>), Standing>,
    /// Definitions of a name that had another one.
    pub(super) doubled: Vec<(Kind, Box<str>)>,
    /// What is to be said of its names.
    pub(super) names: Arc<OwnNames>,
    /// What the server says it is.
    pub(super) info: Option<Raw>,
    /// The server gives tasks to clients that know the extension.
    pub(super) gives_tasks: bool,
}

impl Definitions {
    /// Adds an item; the first of a name counts, since a second one could stand for something else.
    pub fn add(&mut self, kind: Kind, item: Item) {
        let item = Arc::new(item);
        let (Some(list), Some(names)) =
            (self.lists.get_mut(kind as usize), self.by_name.get_mut(kind as usize))
        else {
            return;
        };
        match names.get(&item.name) {
            Some(first) if first.raw.raw() != item.raw.raw() => self.doubled.push((kind, item.name.clone())),
            Some(_) => {}
            None => {
                names.insert(item.name.clone(), Arc::clone(&item));
                list.push(item);
            }
        }
    }

    /// The items of a kind in the server's order.
    #[must_use]
    pub fn list(&self, kind: Kind) -> &[Arc<Item>] {
        self.lists.get(kind as usize).map_or(&[], Vec::as_slice)
    }

    /// An item by the server's own name for it.
    #[must_use]
    pub fn find(&self, kind: Kind, name: &str) -> Option<&Arc<Item>> {
        self.by_name.get(kind as usize)?.get(name)
    }

    /// Where an item stands. Only what was found to stand elsewhere is not approved, so that this must be asked of
    /// judged definitions alone; a shelf holds no others.
    #[must_use]
    pub fn standing(&self, kind: Kind, name: &str) -> Standing {
        // Without a single held item, which is the rule, nothing is allocated for the look-up.
        if self.held.is_empty() {
            return Standing::Approved;
        }
        self.held.get(&(kind, name.into())).copied().unwrap_or(Standing::Approved)
    }

    /// The same definitions, each with its standing.
    #[must_use]
    pub(super) fn judged<'a>(&'a self, judge: impl FnOnce(&[Declared<'a>]) -> Vec<Standing>) -> Definitions {
        let pinned = Kind::ALL.into_iter().filter_map(|kind| Some((kind, kind.pinned()?)));
        let items: Vec<(Kind, Declared<'_>)> = pinned
            .flat_map(|(kind, pinned)| {
                let declared = move |item: &'a Arc<Item>| Declared {
                    kind: pinned,
                    name: &item.name,
                    definition: item.raw.raw(),
                };
                self.list(kind).iter().map(move |item| (kind, declared(item)))
            })
            .collect();
        let declared: Vec<Declared<'_>> = items.iter().map(|(_, declared)| *declared).collect();
        let standings = judge(&declared);
        // A judge that says too little has approved of nothing more.
        let standings = standings.into_iter().chain(std::iter::repeat(Standing::New));
        let held = items.iter().zip(standings).filter(|(_, standing)| *standing != Standing::Approved);
        Definitions {
            held: held.map(|((kind, item), standing)| ((*kind, item.name.into()), standing)).collect(),
            lists: self.lists.clone(),
            by_name: self.by_name.clone(),
            doubled: self.doubled.clone(),
            names: Arc::clone(&self.names),
            info: self.info.clone(),
            gives_tasks: self.gives_tasks,
        }
    }

    /// What is another than was approved, by its server's own names.
    pub(super) fn drifted(&self) -> impl Iterator<Item = &str> {
        let changed = self.held.iter().filter(|(_, standing)| **standing == Standing::Changed);
        changed.map(|((_, name), _)| &**name)
    }

    /// Whether two sets of definitions say the same to the letter, and stand where the other stands.
    #[must_use]
    pub fn same(&self, other: &Definitions) -> bool {
        self.same_pinned(other) && self.lists_same(other, Kind::Resources)
    }

    /// The same, whatever the resources are.
    pub(super) fn same_pinned(&self, other: &Definitions) -> bool {
        let kinds = [Kind::Tools, Kind::Prompts, Kind::Templates];
        self.held == other.held
            && self.names == other.names
            && kinds.into_iter().all(|kind| self.lists_same(other, kind))
    }

    fn lists_same(&self, other: &Definitions, kind: Kind) -> bool {
        let (ours, theirs) = (self.list(kind), other.list(kind));
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| a.raw.raw() == b.raw.raw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_mcp::json::Limits;

    #[test]
    fn a_tool_shows_no_interface_of_another_server() {
        let text = r#"{"name":"t","_meta":{"ui":{"resourceUri":"casemate://bank/ui://pay","v":1},"ui/resourceUri":"ui://own","x":2}}"#;
        let raw = Raw::check(text.into(), &Limits::default()).unwrap();
        let item = Item::read(Kind::Tools, &ServerName::parse("evil").unwrap(), &raw).unwrap();
        let expected = r#"{"name":"evil__t","_meta":{"ui":{"resourceUri":"casemate://evil/casemate://bank/ui://pay","v":1},"ui/resourceUri":"casemate://evil/ui://own","x":2}}"#;
        assert_eq!(item.joined.as_str(), expected);
        assert_eq!(item.raw.raw().as_str(), text);
    }
}
