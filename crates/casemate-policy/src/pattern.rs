//! The patterns that roles and profiles are written in.
//!
//! ```text
//! pattern   = server [ "/" selection ]
//! server    = "*"                          every server
//!           | server-name                  that server; written whole, as in the configuration
//! selection = "*"                          everything of the server; the same as leaving it out
//!           | "prompt:" glob               its prompts of that name
//!           | "resource:" glob             its resources and resource templates of that URI
//!           | glob                         its tools of that name
//! glob      = ( "*" | character )+         "*" stands for any run of characters, none included
//! ```
//! A `character` is any but `*` and control characters. A glob holds at most [`STARS_MAX`] stars, never two in
//! a row, and neither starts nor ends with white space; a URI glob has no white space at all, and no `.` or
//! `..` segment. The whole pattern has at most [`PATTERN_MAX`] bytes. Names are compared case by case, as
//! servers write them; the glob takes `/` like any other character. URIs are also compared in a plain spelling
//! (see `uri.rs`). Nothing is escaped: a name that contains a star is reached by a glob, and a tool whose name
//! begins with `prompt:` or `resource:` by `server/*` or a glob that starts with a star.

mod glob;
mod rule;
#[cfg(test)]
mod tests;

use std::fmt;

use casemate_mcp::names::{NameFault, ServerName};
use thiserror::Error;

pub(crate) use glob::Glob;
pub use rule::Rule;

use crate::request::{Resource, Thing};
use crate::uri;

/// Longest pattern, in bytes. Servers' names end at 32 and tools' at 256; the rest is for URIs.
const PATTERN_MAX: usize = 1024;

/// Most stars in one glob. Matching costs one search per star, and nobody reads more.
const STARS_MAX: usize = 8;

/// One pattern, as its module describes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
    server: Option<ServerName>,
    selection: Selection,
}

/// What of a server a pattern speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Selection {
    Everything,
    Named(Thing, Glob),
    /// The glob as written, and the glob for plain spellings.
    Resources(Glob, Glob),
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatternFault {
    /// Nothing was given, or nothing after the slash or the colon.
    #[error("the {part} is empty")]
    Empty {
        /// The part that is missing.
        part: &'static str,
    },
    /// More bytes than allowed.
    #[error("a pattern has at most {PATTERN_MAX} bytes, this one has {len}")]
    TooLong {
        /// What was given.
        len: usize,
    },
    /// The part before the slash is not a server.
    #[error("the part before the first `/` is a server's whole name or a single `*`: {why}")]
    Server {
        /// What is wrong with the name.
        why: NameFault,
    },
    /// Two stars in a row mean no more than one.
    #[error("`**` means the same as `*`: write one star")]
    DoubleStar,
    /// More stars than allowed.
    #[error("the {part} has more than {STARS_MAX} stars")]
    Stars {
        /// The part that has them.
        part: &'static str,
    },
    /// A character that no name can have there.
    #[error("the {part} has {found:?}, which nothing can match there")]
    Character {
        /// The part that has it.
        part: &'static str,
        /// The character.
        found: char,
    },
    /// A URI that is resolved before it is compared would never match.
    #[error("the resource URI has a `.` or `..` segment: write it resolved")]
    Dots,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A [`PatternFault`] for every text that the grammar above does not produce.
    pub fn parse(text: &str) -> Result<Self, PatternFault> {
        if text.is_empty() {
            return Err(PatternFault::Empty { part: "pattern" });
        }
        if text.len() > PATTERN_MAX {
            return Err(PatternFault::TooLong { len: text.len() });
        }
        let (server, selection) = match text.split_once('/') {
            Some((server, selection)) => (server, Selection::parse(selection)?),
            None => (text, Selection::Everything),
        };
        let server = match server {
            "*" => None,
            name => Some(ServerName::parse(name).map_err(|why| PatternFault::Server { why })?),
        };
        Ok(Pattern { text: text.into(), server, selection })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True when the pattern speaks of the resource. A server as a whole is spoken of only by a pattern for
    /// everything of it; the gateway, keys and records never are. A URI has to match as it came and in its
    /// plain spelling, which is the careful side for a pattern that allows or shows.
    #[must_use]
    pub fn matches(&self, resource: &Resource<'_>) -> bool {
        match *resource {
            Resource::Server(server) => self.is_for(server) && self.selection == Selection::Everything,
            Resource::Tool(server, name) => self.is_for(server) && self.selection.has(Thing::Tool, name),
            Resource::Prompt(server, name) => self.is_for(server) && self.selection.has(Thing::Prompt, name),
            Resource::Resource(server, uri) => {
                self.is_for(server) && self.selection.has(Thing::Resource, uri)
            }
            Resource::Gateway | Resource::Keys | Resource::Records => false,
        }
    }

    /// The one server that the pattern speaks of; nothing when it speaks of all.
    pub(crate) fn server(&self) -> Option<&ServerName> {
        self.server.as_ref()
    }

    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    fn is_for(&self, server: &ServerName) -> bool {
        self.server.as_ref().is_none_or(|own| own == server)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Selection {
    /// Reads what follows the slash.
    pub(crate) fn parse(text: &str) -> Result<Self, PatternFault> {
        if text == "*" {
            return Ok(Selection::Everything);
        }
        if let Some(name) = text.strip_prefix("prompt:") {
            return Ok(Selection::Named(Thing::Prompt, Glob::parse(name, "prompt name")?));
        }
        let Some(written) = text.strip_prefix("resource:") else {
            return Ok(Selection::Named(Thing::Tool, Glob::parse(text, "tool name")?));
        };
        if let Some(found) = written.chars().find(|found| found.is_whitespace()) {
            return Err(PatternFault::Character { part: "resource URI", found });
        }
        if uri::has_dots(written) {
            return Err(PatternFault::Dots);
        }
        let glob = Glob::parse(written, "resource URI")?;
        let plain = Glob::of(&uri::plain(written));
        Ok(Selection::Resources(glob, plain))
    }

    pub(crate) fn has(&self, thing: Thing, name: &str) -> bool {
        match self {
            Selection::Everything => true,
            Selection::Named(own, glob) => *own == thing && glob.matches(name),
            Selection::Resources(glob, plain) => {
                thing == Thing::Resource && glob.matches(name) && plain.matches(&uri::plain(name))
            }
        }
    }
}
