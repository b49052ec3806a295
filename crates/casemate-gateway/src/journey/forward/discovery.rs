//! Finding tools instead of listing them: three tools of our own that stand for all others (`gateway.discovery`).
//!
//! `find_tools` and `describe_tool` are answered here, from what the subject may see. `call_tool` is not: it becomes the call
//! of the real tool before anything is judged (`journey/route/indirect.rs`).

use casemate_mcp::json::{Members, Raw};
use casemate_mcp::revision::Revision;
use serde_json::{Value, json};

use super::own::load;
use crate::catalog::{Kind, Page, Shown, View, shows_apps};
use crate::gate::Gate;
use crate::journey::receive::Received;
use crate::journey::route::{CALL, DESCRIBE, FIND, no_item};
use crate::refusal::{Code, Refusal};
use crate::snapshot::Discovery;

/// Tools that one search shows, where the client names no number, and at most.
const FOUND: u64 = 8;
const FOUND_MAX: u64 = 50;
/// Characters of a description that a search shows; `describe_tool` has all of it.
const SHOWN_CHARS: usize = 300;
/// Bytes of JSON that are counted as one token: measured over the definitions of common servers, tokenizers of several
/// vendors come to 3.6 to 4.4.
const TOKEN_BYTES: usize = 4;

/// Whether the list of tools gives way to the three, given its first page as it would be sent.
pub(super) fn takes_over(discovery: Discovery, page: &Raw) -> bool {
    match discovery {
        Discovery::All => false,
        Discovery::Search => true,
        Discovery::Auto { tokens_max } => {
            let has_more = page.members().is_some_and(|page| page.has("nextCursor"));
            has_more || page.as_bytes().len() / TOKEN_BYTES > tokens_max
        }
    }
}

/// The list of the three.
pub(super) fn tools(revision: Revision) -> Raw {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let reads = json!({ "readOnlyHint": true, "openWorldHint": false });
    let tools = json!([
        {
            "name": FIND,
            "title": "Find tools",
            "description": "Searches the tools that you may use and shows the best matches. Use it first: what you need may \
                            be there under another name.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "query": text("What you want to do, in a few words."),
                    "limit": {
                        "type": "integer", "minimum": 1, "maximum": FOUND_MAX, "default": FOUND,
                        "description": "How many matches to show.",
                    },
                },
                "required": ["query"],
            },
            "annotations": reads,
        },
        {
            "name": DESCRIBE,
            "title": "Describe a tool",
            "description": "Shows the whole definition of one tool, with the schema of its arguments.",
            "inputSchema": {
                "type": "object",
                "properties": { "name": text("The tool's name, as find_tools shows it.") },
                "required": ["name"],
            },
            "annotations": reads,
        },
        {
            "name": CALL,
            "title": "Call a tool",
            "description": "Calls one tool by its name, with arguments that fit its schema.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "name": text("The tool's name, as find_tools shows it."),
                    "arguments": { "type": "object", "description": "Its arguments, as describe_tool shows them." },
                },
                "required": ["name"],
            },
        },
    ]);
    let list = Raw::of(&json!({ "tools": tools }));
    if revision.is_modern() {
        casemate_mcp::dialect::modern::result(&Kind::Tools.method(), list)
    } else {
        list
    }
}

/// Answers `find_tools`.
pub(super) async fn find(gate: &Gate, received: &Received) -> Result<Raw, Refusal> {
    let arguments = arguments(received);
    let query = arguments.string("query").filter(|query| !query.trim().is_empty());
    let query = query.ok_or_else(|| wrong("find_tools needs `query`, a text"))?;
    let limit = match arguments.get("limit") {
        None => FOUND,
        Some(raw) => raw
            .parse::<u64>()
            .ok()
            .filter(|limit| (1..=FOUND_MAX).contains(limit))
            .ok_or_else(|| wrong(&format!("`limit` is a whole number from 1 to {FOUND_MAX}")))?,
    };
    let view = known_view(gate, received).await;
    let snapshot = &received.passage.identified.snapshot;
    let found: Vec<Value> = view
        .ranked_tools(&query)
        .filter(|shown| view.shows(snapshot, page(received), shown))
        .take(usize::try_from(limit).unwrap_or(usize::MAX))
        .map(brief)
        .collect();
    let text = if found.is_empty() {
        format!(
            "No tool matches {query:?}. Try other words: tools are found by their names, descriptions and parameters."
        )
    } else {
        found.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    Ok(Raw::of(&json!({
        "content": [{ "type": "text", "text": text }],
        "structuredContent": { "tools": found },
    })))
}

/// Answers `describe_tool`.
pub(super) async fn describe(gate: &Gate, received: &Received) -> Result<Raw, Refusal> {
    let name =
        arguments(received).string("name").ok_or_else(|| wrong("describe_tool needs `name`, a text"))?;
    let view = known_view(gate, received).await;
    let snapshot = &received.passage.identified.snapshot;
    let shown = view.find(Kind::Tools, &name).filter(|shown| view.shows(snapshot, page(received), shown));
    let shown = shown.ok_or_else(|| no_item(Kind::Tools, &name))?;
    let content = Raw::array([&Raw::of(&json!({ "type": "text", "text": shown.raw.as_str() }))]);
    let empty = Members::empty();
    Ok(empty.edit().set("content", content).set("structuredContent", shown.raw.clone()).finish())
}

/// The view of the endpoint after all servers that the subject may see had their chance to be in it.
async fn known_view(gate: &Gate, received: &Received) -> std::sync::Arc<View> {
    let identified = &received.passage.identified;
    let view = gate.catalog().view(&identified.snapshot, &identified.head.endpoint);
    load(gate, received, (&view, Kind::Tools)).await;
    gate.catalog().view(&identified.snapshot, &identified.head.endpoint)
}

/// Who looks, and for what: the same as for lists.
fn page(received: &Received) -> Page<'_> {
    let call = &received.call;
    let (subject, apps) = (&received.passage.identified.subject, shows_apps(&call.meta.capabilities));
    Page { subject, kind: Kind::Tools, cursor: None, revision: call.meta.revision, apps }
}

fn brief(shown: &Shown) -> Value {
    let description = shown.raw.members().and_then(|members| members.string("description"));
    let description = description.unwrap_or_default();
    let mut beginning: String = description.chars().take(SHOWN_CHARS).collect();
    if beginning.len() < description.len() {
        beginning.push('…');
    }
    json!({ "name": shown.name, "description": beginning })
}

fn line(found: &Value) -> String {
    let text = |member: &str| found.get(member).and_then(Value::as_str).unwrap_or_default();
    format!("{}: {}", text("name"), text("description").split_whitespace().collect::<Vec<_>>().join(" "))
}

fn arguments(received: &Received) -> Members {
    received.call.params.object("arguments").unwrap_or_else(Members::empty)
}

fn wrong(what: &str) -> Refusal {
    Refusal::new(Code::BadArguments, format!("{what}."))
}
