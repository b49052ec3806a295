//! The written file as a flat map of checked values, each with its origin.
//!
//! The walk is steered by the table of settings alone; it stops at nothing, so that all mistakes come out at
//! once. What depends on two values is checked later, when the configuration is compiled.

mod written;

use std::ops::Range;

use casemate_mcp::names::{ServerName, ToolName};
use toml_edit::{Document, Item, TableLike};

use crate::given::is_variable;
use crate::key::Key;
use crate::origin::Origin;
use crate::problem::{Fault, nearest, quoted};
use crate::setting::{Blank, children, exact};
use crate::value::{self, Report, article};

pub(crate) use written::{Entry, Scope, Written};

/// Largest configuration file, in bytes. Ten thousand servers fit.
pub const BYTES_MAX: usize = 4 << 20;

/// How many syntax mistakes are looked for before the reader gives up on a file.
const SYNTAX_MAX: usize = 20;

/// Reads the text of a file. The second part says whether all of it could be read: when not, what is missing
/// in one place may just stand in a part that was skipped.
pub(crate) fn read(
    text: &str,
    locate: &dyn Fn(Option<Range<usize>>) -> Origin,
    written: &mut Written,
) -> Completeness {
    let mut reader = Reader { report: Report { locate, problems: Vec::new() }, written };
    let completeness = reader.document(text);
    let problems = reader.report.problems;
    written.problems.extend(problems);
    completeness
}

/// Whether a file was read from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completeness {
    Whole,
    Partial,
}

struct Reader<'a, 'w> {
    report: Report<'a>,
    written: &'w mut Written,
}

impl Reader<'_, '_> {
    fn document(&mut self, text: &str) -> Completeness {
        if text.len() > BYTES_MAX {
            let what = format!("the configuration has more than {} MiB", BYTES_MAX >> 20);
            self.report.fault(None, Fault::new(what));
            return Completeness::Partial;
        }
        let mut text = text.to_owned();
        for _ in 0..SYNTAX_MAX {
            match Document::parse(text.as_str()) {
                Ok(document) => {
                    self.table(document.as_table(), &[], &Key::default());
                    break;
                }
                Err(error) => {
                    self.report.fault(error.span(), Fault::new(format!("not TOML: {}", error.message())));
                    let at = error.span().map_or(0, |span| span.start);
                    let Some(rest) = without_line(&text, at) else { break };
                    text = rest;
                }
            }
        }
        if self.report.problems.iter().any(|problem| problem.what.starts_with("not TOML")) {
            Completeness::Partial
        } else {
            Completeness::Whole
        }
    }

    fn table(&mut self, table: &dyn TableLike, path: &[&'static str], key: &Key) {
        let known = children(path);
        let blank = known.iter().find_map(|segment| Some((*segment, Blank::of(segment)?)));
        for (name, item) in table.iter() {
            let span = table.key(name).and_then(toml_edit::Key::span);
            let segment = match (known.iter().find(|segment| **segment == name), blank) {
                (Some(segment), None) => *segment,
                (_, Some((segment, blank))) => match check_name(blank, path, name) {
                    Ok(()) => segment,
                    Err(fault) => {
                        self.report.fault(span, fault);
                        continue;
                    }
                },
                (None, None) => {
                    self.report.fault(span, unknown(name, key, &known));
                    continue;
                }
            };
            let path = path.iter().copied().chain([segment]).collect();
            self.item(item, &Spot { path, key: key.child(name), name: span });
        }
    }

    fn item(&mut self, item: &Item, spot: &Spot) {
        let Spot { path, key, name } = spot;
        let origin = (self.report.locate)(name.clone());
        if let Some(setting) = exact(path) {
            let value = value::read(setting, key, item, &mut self.report);
            self.written.set(key.clone(), Entry { value, origin, setting });
        } else if let Some(table) = item.as_table_like() {
            self.written.tables.insert(key.clone(), origin);
            self.table(table, path, key);
        } else {
            let fault = Fault::new(format!("{key} has to be a table, not {}", article(item.type_name())))
                .hint(format!("write [{key}] and its settings below it"));
            self.report.fault(item.span().or(name.clone()), fault);
        }
    }
}

/// Where the walk is.
struct Spot {
    /// The way through the table of settings.
    path: Vec<&'static str>,
    /// The way through the file.
    key: Key,
    /// Where the last name stands.
    name: Option<Range<usize>>,
}

/// The text with the line at the offset blanked out, so that reading can go on behind a mistake. `None` when
/// the lines that follow would be misunderstood: they belong to a header, or to a text of many lines.
fn without_line(text: &str, at: usize) -> Option<String> {
    let start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let end = text.get(at..)?.find('\n').map_or(text.len(), |newline| at + newline);
    let line = text.get(start..end)?;
    let opens = ["\"\"\"", "'''"].iter().any(|quote| line.contains(quote));
    if opens || line.trim().is_empty() || line.trim_start().starts_with('[') {
        return None;
    }
    let blank = " ".repeat(line.len());
    Some([text.get(..start)?, &blank, text.get(end..)?].concat())
}

fn unknown(name: &str, key: &Key, known: &[&str]) -> Fault {
    let place = if key.names().is_empty() { String::new() } else { format!(" in [{key}]") };
    let hint = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there is {}", known.join(", ")),
    };
    Fault::new(format!("unknown key {}{place}", quoted(name))).hint(hint)
}

fn check_name(blank: Blank, path: &[&str], name: &str) -> Result<(), Fault> {
    let fault = |what: String| Fault::new(format!("{}: {what}", quoted(name)));
    match blank {
        // Servers, roles and profiles are named alike; only the message says which it is.
        Blank::Name => ServerName::parse(name).map(drop).map_err(|why| {
            let kind = path.last().and_then(|section| section.strip_suffix('s')).unwrap_or("server");
            fault(why.to_string().replacen("server", kind, 1))
        }),
        Blank::Tool => ToolName::parse(name).map(drop).map_err(|why| fault(why.to_string())),
        Blank::Pair => pair(name).map(drop).ok_or_else(|| {
            fault("not a server and its tool".to_owned()).hint("quoted, with a slash: \"server/tool\"")
        }),
        Blank::Variable if is_variable(name) => Ok(()),
        Blank::Variable => {
            Err(fault("not the name of a variable".to_owned())
                .hint("letters, digits and `_`, like GITHUB_TOKEN"))
        }
        Blank::Header => header(name).map_err(|what| fault(what).hint("remove it, or correct its name")),
        Blank::Scope if is_scope(name) => Ok(()),
        Blank::Scope => {
            Err(fault("not a scope of OAuth".to_owned())
                .hint("visible characters of ASCII, without \" and \\"))
        }
        Blank::Value if name.is_empty() => Err(fault("a value is not empty".to_owned())),
        Blank::Value => Ok(()),
        Blank::Argument if name.is_empty() => Err(fault("an argument has a name".to_owned())),
        Blank::Argument => Ok(()),
    }
}

/// Whether it is one scope (RFC 6749 section 3.3). Nothing else may stand in a challenge.
fn is_scope(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    (1..=128).contains(&name.len()) && name.bytes().all(legal)
}

/// Splits `server/tool`.
pub(crate) fn pair(text: &str) -> Option<(ServerName, ToolName)> {
    let (server, tool) = text.split_once('/')?;
    Some((ServerName::parse(server).ok()?, ToolName::parse(tool).ok()?))
}

/// Headers that the transport writes; another value would break the protocol or smuggle a request.
const OWN_HEADERS: &[&str] = &[
    "accept",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn header(name: &str) -> Result<(), String> {
    let parsed = http::HeaderName::try_from(name).map_err(|_| "not the name of a header".to_owned())?;
    let own = OWN_HEADERS.contains(&parsed.as_str()) || parsed.as_str().starts_with("mcp-param-");
    if own { Err("this header is set by Casemate itself".to_owned()) } else { Ok(()) }
}
