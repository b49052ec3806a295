//! What servers declare, and the approval of it.

use std::path::PathBuf;

use casemate_mcp::names::ServerName;
use casemate_store::PinKind;
use clap::Subcommand;

/// `casemate pin`
#[derive(Debug, Subcommand)]
pub enum Pin {
    /// List what servers declared, and what of it was approved
    List(List),
    /// Show what is new or has changed, with every character visible; on a terminal, approve of it one by one
    Review(Review),
    /// Approve of what a server declares now
    Approve(Approve),
    /// Take an approval back: the thing is blocked until it is approved of again
    Revoke(Revoke),
    /// Forget everything that a server ever declared: the next time is the first
    Forget(Forget),
    /// Write what was approved as a lock file, which people review and `casemate up --locked` is held to
    Export(Export),
}

/// `casemate pin export`
#[derive(Debug, clap::Args)]
pub struct Export {
    /// Where to write it [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Sign it with this private Ed25519 key in PEM, as `openssl genpkey -algorithm ed25519` makes it; the signature goes to
    /// FILE.sig
    #[arg(long, value_name = "KEY", requires = "output")]
    pub sign: Option<PathBuf>,
}

/// `casemate pin list`
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only what this server declared
    #[arg(value_parser = ServerName::parse)]
    pub server: Option<ServerName>,
    /// Only what waits for an approval
    #[arg(long)]
    pub waiting: bool,
}

/// `casemate pin review`
#[derive(Debug, clap::Args)]
pub struct Review {
    /// Only what this server declared
    #[arg(value_parser = ServerName::parse)]
    pub server: Option<ServerName>,
}

/// `casemate pin approve`
#[derive(Debug, clap::Args)]
pub struct Approve {
    /// The server
    #[arg(value_parser = ServerName::parse)]
    pub server: ServerName,
    /// What to approve of, as `pin list` shows it: `tool:push`, `prompt:greet`, `instructions`
    #[arg(value_parser = Item::parse, required_unless_present = "all", conflicts_with = "all")]
    pub items: Vec<Item>,
    /// Everything of this server that waits
    #[arg(long)]
    pub all: bool,
    /// Only if the definition still has this fingerprint, or its beginning, as `pin review` showed it
    #[arg(long, value_name = "HEX", value_parser = fingerprint, conflicts_with = "all")]
    pub fingerprint: Option<String>,
}

/// `casemate pin revoke`
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// The server
    #[arg(value_parser = ServerName::parse)]
    pub server: ServerName,
    /// What to take back, as `pin list` shows it: `tool:push`
    #[arg(value_parser = Item::parse, required = true)]
    pub items: Vec<Item>,
}

/// `casemate pin forget`
#[derive(Debug, clap::Args)]
pub struct Forget {
    /// The server; it need not be configured any more
    #[arg(value_parser = ServerName::parse)]
    pub server: ServerName,
}

/// One thing that a server declared: `tool:push`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What kind of thing.
    pub kind: PinKind,
    /// The server's own name for it.
    pub name: String,
}

impl Item {
    fn parse(text: &str) -> Result<Item, String> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        let kind = PinKind::find(kind).filter(|kind| (*kind == PinKind::Instructions) == name.is_empty());
        let kind = kind.ok_or("expected `tool:NAME`, `prompt:NAME`, `template:URI` or `instructions`")?;
        Ok(Item { kind, name: name.to_owned() })
    }
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            PinKind::Instructions => f.write_str(self.kind.as_str()),
            kind => write!(f, "{kind}:{}", self.name),
        }
    }
}

fn fingerprint(text: &str) -> Result<String, String> {
    let is_one = (8..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_one { Ok(text.to_ascii_lowercase()) } else { Err("expected 8 to 64 hexadecimal digits".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_named_by_its_kind_and_name() {
        for text in ["tool:push", "tool:a:b", "prompt:greet", "template:file:///{path}", "instructions"] {
            assert_eq!(Item::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["push", "tool", "tool:", "instructions:x", "resource:a", ""] {
            assert!(Item::parse(wrong).is_err(), "{wrong}");
        }
    }
}
