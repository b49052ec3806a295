//! Checks of single texts.

use std::path::Path;

use casemate_gateway::front::{Network, NetworkFault, PublicUrl, PublicUrlFault};
use casemate_gateway::quarantine::rules::Trigger;
use casemate_gateway::snapshot::Event;
use casemate_inspect::Personal;
use casemate_inspect::guard::{HostFault, Hosts};
use casemate_mcp::names::{JOINED_MAX, ServerName};
use casemate_net::{Destination, DestinationFault};
use casemate_policy::{Entry, Label, Pattern, ServerDef};
use casemate_sandbox::CellSpec;
use http::Uri;
use serde_json::Value as Json;
use toml_edit::{Item, TableLike, Value as Toml};

use crate::problem::{Fault, nearest, quoted};
use crate::remote::Remote;
use crate::secret;
use crate::setting::Word;

/// Longest text, in bytes. Descriptions are the longest that people write.
const TEXT_MAX: usize = 64 << 10;

pub(super) fn choice(choices: &[&str], text: &str) -> Result<String, Fault> {
    if choices.contains(&text) {
        return Ok(text.to_owned());
    }
    let listed = choices.iter().map(|choice| format!("{choice:?}")).collect::<Vec<_>>().join(", ");
    let hint = match nearest(text, choices.iter().copied()) {
        Some(choice) => format!("did you mean {choice:?}? There is {listed}"),
        None => format!("there is {listed}"),
    };
    Err(Fault::new(format!("{} is not a choice", quoted(text))).hint(hint))
}

pub(super) fn plain(text: &str) -> Result<&str, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new("the text is empty"));
    }
    if text.contains('\0') || text.len() > TEXT_MAX {
        return Err(Fault::new(format!("the text has a NUL character or more than {TEXT_MAX} bytes")));
    }
    Ok(text)
}

/// Where a server is. What [`crate::remote::Remote`] reads is what may be written.
pub(super) fn remote(text: &str) -> Result<(), Fault> {
    match Remote::read(text)? {
        Remote::Http(..) => {
            // A WebSocket is asked for with a request of HTTP: what holds for one holds for the other.
            let text = match text.strip_prefix("ws") {
                Some(rest) => format!("http{rest}"),
                None => text.to_owned(),
            };
            if !text.starts_with("http://") && !text.starts_with("https://") {
                return Err(Fault::new(format!("{} is not where a server can be", quoted(&text)))
                    .hint("`https://…`, `wss://…`, `unix:/PATH` or `tcp://HOST:PORT`"));
            }
            url(&text)
        }
        Remote::Socket(_) => Ok(()),
    }
}

pub(super) fn url(text: &str) -> Result<(), Fault> {
    if let Some(reason) = secret::in_url(text) {
        return Err(Fault::new(format!("the address is not kept in a file: {reason}"))
            .hint("send it in a header: headers.Authorization = \"secret:NAME\""));
    }
    let uri: Uri = text.parse().map_err(|_| Fault::new(format!("{} is not an address", quoted(text))))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(Fault::new(format!("{} is not an http or https address", quoted(text))));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(Fault::new("the address has a user in it")
            .hint("send it in a header: headers.Authorization = \"secret:NAME\""));
    }
    Ok(())
}

pub(super) fn shown(text: &str) -> Result<(), Fault> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.is_empty() || text.len() > JOINED_MAX || !text.chars().all(legal) {
        let hint =
            format!("1 to {JOINED_MAX} letters, digits, `-` and `_`, which is what models' vendors take");
        return Err(Fault::new(format!("{} cannot be shown as a tool name", quoted(text))).hint(hint));
    }
    Ok(())
}

/// A program alone: a whole command line in one text is a slip that would be looked up as one file name.
pub(super) fn program(text: &str) -> Result<(), Fault> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.len() > 1 && words.first().is_some_and(|first| !first.contains(['/', '\\']));
    if line {
        return Err(Fault::new("a command is not a shell line").hint(format!("write {words:?}")));
    }
    plain(text).map(drop)
}

pub(super) fn word(word: Word, text: &str) -> Result<(), Fault> {
    match word {
        Word::Argument if text.contains('\0') => Err(Fault::new("an argument has a NUL character")),
        Word::Argument => Ok(()),
        Word::Host => host(text),
        Word::Origin => origin(text),
        Word::Rule => {
            Entry::parse(text).map(drop).map_err(|why| Fault::new(format!("pattern {}: {why}", quoted(text))))
        }
        Word::Selection => {
            ServerDef::check(text).map_err(|why| Fault::new(format!("{}: {why}", quoted(text))))
        }
        Word::Pattern => Pattern::parse(text)
            .map(drop)
            .map_err(|why| Fault::new(format!("pattern {}: {why}", quoted(text)))),
        Word::Server => {
            ServerName::parse(text).map(drop).map_err(|why| Fault::new(format!("{}: {why}", quoted(text))))
        }
        Word::Scope => scope(text),
        Word::Path => path(text),
        Word::Destination => destination(text),
        Word::Site => site(text),
        Word::Personal => personal(text),
        Word::Trigger => trigger(text),
        Word::Label => label(text),
        Word::Event => event(text),
        Word::Network => network(text),
    }
}

/// What RFC 6749 takes for a scope: visible ASCII without quotes and backslashes.
fn scope(text: &str) -> Result<(), Fault> {
    let legal = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
    if text.is_empty() || text.len() > 256 || !text.chars().all(legal) {
        return Err(
            Fault::new(format!("{} is no scope", quoted(text))).hint("one scope for each text of the list")
        );
    }
    Ok(())
}

/// Where others reach us.
pub(super) fn base(text: &str) -> Result<(), Fault> {
    let refused = |why: PublicUrlFault| {
        let fault = Fault::new(format!("{}: {why}", quoted(text)));
        match why {
            PublicUrlFault::Path => fault.hint("leave the path out; endpoints are found below it"),
            PublicUrlFault::Plaintext => fault.hint("https, with `gateway.tls` or a proxy that ends TLS"),
            PublicUrlFault::Malformed | PublicUrlFault::User => fault,
        }
    };
    PublicUrl::parse(text).map(drop).map_err(refused)
}

fn network(text: &str) -> Result<(), Fault> {
    let refused = |why: NetworkFault| {
        let fault = Fault::new(why.to_string());
        match &why {
            NetworkFault::Host { network, .. } => fault.hint(format!("write \"{network}\"")),
            NetworkFault::Everything(_) => {
                fault.hint("name the proxies that are yours: everybody else could pretend to be anybody")
            }
            NetworkFault::Malformed(_) => fault,
        }
    };
    text.parse::<Network>().map(drop).map_err(refused)
}

fn label(text: &str) -> Result<(), Fault> {
    let known: Vec<&str> = Label::ALL.iter().map(|label| label.as_str()).collect();
    let fault = || Fault::new(format!("{text:?} is no label"));
    Label::find(text).map(drop).ok_or_else(|| fault().hint(format!("there is {}", known.join(", "))))
}

fn event(text: &str) -> Result<(), Fault> {
    let known: Vec<&str> = Event::ALL.iter().map(|event| event.as_str()).collect();
    let fault = || Fault::new(format!("{} is nothing that an interceptor is asked about", quoted(text)));
    Event::find(text).map(drop).ok_or_else(|| fault().hint(format!("there is {}", known.join(", "))))
}

fn trigger(text: &str) -> Result<(), Fault> {
    let known: Vec<&str> = Trigger::ALL.iter().map(|trigger| trigger.as_str()).collect();
    let fault = || Fault::new(format!("{text:?} puts nothing in quarantine"));
    Trigger::find(text).map(drop).ok_or_else(|| fault().hint(format!("there is {}", known.join(", "))))
}

fn personal(text: &str) -> Result<(), Fault> {
    let known: Vec<&str> = Personal::ALL.iter().map(|kind| kind.as_str()).collect();
    let fault = || Fault::new(format!("{} is no kind of personal data", quoted(text)));
    Personal::parse(text).map(drop).ok_or_else(|| fault().hint(format!("there is {}", known.join(", "))))
}

fn site(text: &str) -> Result<(), Fault> {
    let refused = |(host, why): (&str, HostFault)| {
        let fault = Fault::new(format!("{}: {why}", quoted(host)));
        fault.hint("a host as addresses name it: \"example.com\", \"*.example.com\", \"127.0.0.1:8080\"")
    };
    Hosts::new(&[text], &[]).map(drop).map_err(|(host, why)| refused((&host, why)))
}

fn destination(text: &str) -> Result<(), Fault> {
    let refused = |fault: DestinationFault| {
        Fault::new(format!("{}: {}", quoted(text), fault.what())).hint(fault.hint())
    };
    text.parse::<Destination>().map(drop).map_err(refused)
}

/// A path that a server gets to see.
fn path(text: &str) -> Result<(), Fault> {
    let hint = match text.trim_end_matches('/') {
        "" => "a server sees what is named, and never everything".to_owned(),
        whole if whole.starts_with('/') && whole != text => format!("write {whole:?}"),
        _ if text.starts_with('~') => {
            "nothing here knows `~`: write the folder out, like \"/home/you/notes\"".to_owned()
        }
        _ if !text.starts_with('/') => "write the whole path, like \"/home/you/notes\"".to_owned(),
        _ => "name what is needed, like \"/home/you/notes\"".to_owned(),
    };
    match CellSpec::fault(Path::new(text)) {
        Some(fault) => Err(Fault::new(format!("{} {fault}", quoted(text))).hint(hint)),
        None => Ok(()),
    }
}

/// A reference that says which image is meant: `[registry/]name[:tag]@sha256:…`.
pub(super) fn image(text: &str) -> Result<(), Fault> {
    let example = "`docker image inspect --format '{{index .RepoDigests 0}}' IMAGE` prints it";
    let hexadecimal = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    let is_digest = |text: &str| {
        text.strip_prefix("sha256:").is_some_and(|hash| hash.len() == 64 && hash.chars().all(hexadecimal))
    };
    // The id of an image that was built here.
    if is_digest(text) {
        return Ok(());
    }
    let Some((name, digest)) = text.split_once('@') else {
        let what = format!("{} names no digest, so it could be another image tomorrow", quoted(text));
        return Err(Fault::new(what).hint(format!("write it with its digest; {example}")).of_image(text));
    };
    if !is_digest(digest) {
        let what = format!("{} has no digest of the form sha256:… with 64 digits", quoted(text));
        return Err(Fault::new(what).hint(example));
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-/:".contains(c);
    let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(legal)
        && !name.contains("//");
    if is_name { Ok(()) } else { Err(Fault::new(format!("{} is no name of an image", quoted(name)))) }
}

fn host(text: &str) -> Result<(), Fault> {
    let fault =
        || Fault::new(format!("{} is not a host name or address with an optional port", quoted(text)));
    if text.contains("://") {
        return Err(fault().hint("a host has no scheme: \"mcp.example.com\""));
    }
    let authority: http::uri::Authority = text.parse().map_err(|_| fault())?;
    if text.contains(['@', '*']) || authority.host().is_empty() || text.ends_with(':') {
        return Err(fault());
    }
    Ok(())
}

fn origin(text: &str) -> Result<(), Fault> {
    let fault = || Fault::new(format!("{} is not an origin", quoted(text)));
    if text == "*" {
        return Err(fault().hint("every page of the web could call your servers: name the pages that may"));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(fault().hint(format!("an origin has a scheme: \"https://{text}\"")));
    };
    let known = scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    if !known || scheme.is_empty() || rest.contains('/') {
        return Err(fault().hint("scheme and host, without a path: \"https://app.example.com\""));
    }
    host(rest.strip_suffix(":*").unwrap_or(rest)).map_err(|_| fault())
}

/// Any TOML value as compact JSON text.
pub(super) fn json(item: &Item) -> Result<String, Fault> {
    from_item(item).map(|value| value.to_string())
}

fn from_item(item: &Item) -> Result<Json, Fault> {
    match item {
        Item::Value(value) => from_value(value),
        Item::Table(table) => from_table(table),
        Item::ArrayOfTables(tables) => tables.iter().map(|table| from_table(table)).collect(),
        Item::None => Ok(Json::Null),
    }
}

fn from_value(value: &Toml) -> Result<Json, Fault> {
    Ok(match value {
        Toml::String(text) => text.value().as_str().into(),
        Toml::Integer(number) => (*number.value()).into(),
        Toml::Float(number) => {
            let number = serde_json::Number::from_f64(*number.value());
            number.ok_or_else(|| Fault::new("JSON has no infinite number"))?.into()
        }
        Toml::Boolean(flag) => (*flag.value()).into(),
        Toml::Datetime(time) => time.value().to_string().into(),
        Toml::Array(array) => array.iter().map(from_value).collect::<Result<_, _>>()?,
        Toml::InlineTable(table) => from_table(table)?,
    })
}

fn from_table(table: &dyn TableLike) -> Result<Json, Fault> {
    let members = table.iter().map(|(name, item)| Ok((name.to_owned(), from_item(item)?)));
    members.collect::<Result<serde_json::Map<_, _>, Fault>>().map(Json::Object)
}
