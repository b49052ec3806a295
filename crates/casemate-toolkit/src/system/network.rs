//! `get_network_stats`: what goes through the network interfaces.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::procfs::{Procfs, ask};
use super::provider::Question;
use super::sample::{Sample, per_second};
use super::{Fault, INTERVAL, interval};
use crate::parameter::{Arguments, Kind, Parameter};
use crate::tool::{Effect, Tool};

pub(super) const NAME: &str = "get_network_stats";

const INTERFACE: Parameter = Parameter {
    name: "interface",
    description: "Report only on this interface, for example eth0. Without it, on all.",
    // IFNAMSIZ without its NUL byte.
    kind: Kind::Text { chars_max: 15 },
};

pub(super) const TOOL: Tool = Tool {
    name: NAME,
    title: "Network",
    description: "What goes through the network interfaces: bytes, packets, errors and drops since the start, and \
                  the rates while we looked.",
    parameters: &[&INTERFACE, &INTERVAL],
    output: || {
        let count = json!({ "type": "integer", "minimum": 0 });
        let rate = json!({ "type": "number", "minimum": 0 });
        let direction = json!({
            "type": "object",
            "properties": {
                "bytes": count, "packets": count, "errors": count, "dropped": count, "bytes_per_second": rate,
                "packets_per_second": rate,
            },
            "required": ["bytes", "packets", "errors", "dropped", "bytes_per_second", "packets_per_second"],
        });
        json!({
            "type": "object",
            "properties": {
                "interfaces": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": { "type": "string" }, "received": direction, "sent": direction,
                        },
                        "required": ["name", "received", "sent"],
                    },
                },
                "watched_ms": count,
            },
            "required": ["interfaces", "watched_ms"],
        })
    },
    effect: Effect::Reads,
};

/// What the tool returns.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    interfaces: Vec<Interface>,
    watched_ms: u64,
}

#[derive(Debug, Serialize)]
struct Interface {
    name: String,
    received: Direction,
    sent: Direction,
}

#[derive(Debug, Serialize)]
struct Direction {
    #[serde(flatten)]
    counters: Counters,
    bytes_per_second: f64,
    packets_per_second: f64,
}

impl Direction {
    fn between(before: Counters, after: Counters, lasted: Duration) -> Direction {
        Direction {
            counters: after,
            bytes_per_second: per_second(before.bytes, after.bytes, lasted),
            packets_per_second: per_second(before.packets, after.packets, lasted),
        }
    }
}

pub(super) async fn stats(procfs: &Procfs, arguments: &Arguments) -> Result<Stats, Fault> {
    let sample = Sample::take(interval(arguments), || links(procfs)).await?;
    let wanted = arguments.text(&INTERFACE);
    if let Some(wanted) = wanted
        && !sample.after.iter().any(|link| link.name == wanted)
    {
        let names: Vec<&str> = sample.after.iter().map(|link| link.name.as_str()).collect();
        let known = names.join(", ");
        return Err(Fault::Unknown(format!("there is no network interface {wanted:?}; there are: {known}")));
    }
    let lasted = sample.lasted;
    let shown = sample.after.iter().filter(|link| wanted.is_none_or(|wanted| link.name == wanted));
    let interfaces = shown.map(|after| {
        // One that has just come had no traffic before.
        let before = sample.before.iter().find(|before| before.name == after.name).unwrap_or(after);
        Interface {
            name: after.name.clone(),
            received: Direction::between(before.received, after.received, lasted),
            sent: Direction::between(before.sent, after.sent, lasted),
        }
    });
    Ok(Stats {
        interfaces: interfaces.collect(),
        watched_ms: u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
    })
}

async fn links(procfs: &Procfs) -> Result<Vec<Link>, Fault> {
    match procfs {
        Procfs::Whole(_) => procfs.read("self/net/dev", parse),
        Procfs::Told(folder) => ask(folder, Question::Interfaces, parse).await,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Counters {
    bytes: u64,
    packets: u64,
    errors: u64,
    dropped: u64,
}

/// A line of `/proc/net/dev`.
#[derive(Debug, Clone, PartialEq)]
struct Link {
    name: String,
    received: Counters,
    sent: Counters,
}

fn parse(text: &str) -> Option<Vec<Link>> {
    // Two lines of headings come first. A network namespace of its own has at least `lo`, but may be without.
    let mut lines = text.lines();
    lines.next().filter(|heading| heading.contains("Receive"))?;
    lines.next()?;
    lines.map(line).collect()
}

/// `eth0: bytes packets errors dropped fifo frame compressed multicast bytes packets errors dropped …`.
fn line(text: &str) -> Option<Link> {
    let (name, numbers) = text.rsplit_once(':')?;
    let numbers: Vec<u64> =
        numbers.split_ascii_whitespace().map(|number| number.parse().ok()).collect::<Option<_>>()?;
    let counters = |at: usize| match numbers.get(at..at + 4)? {
        [bytes, packets, errors, dropped] => {
            Some(Counters { bytes: *bytes, packets: *packets, errors: *errors, dropped: *dropped })
        }
        _ => None,
    };
    Some(Link { name: name.trim().to_owned(), received: counters(0)?, sent: counters(8)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Inter-|   Receive                        |  Transmit\n face |bytes    packets errs\n";

    #[test]
    fn interfaces_are_read() {
        let text = format!(
            "{HEAD}    lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n  eth0:17 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
        );
        let links = parse(&text).unwrap();
        assert_eq!(links[0].name, "lo");
        assert_eq!(links[0].received, Counters { bytes: 1, packets: 2, errors: 3, dropped: 4 });
        assert_eq!(links[0].sent, Counters { bytes: 9, packets: 10, errors: 11, dropped: 12 });
        assert_eq!((links[1].name.as_str(), links[1].received.bytes), ("eth0", 17));
    }

    #[test]
    fn no_interface_is_not_a_fault_and_nonsense_is() {
        assert_eq!(parse(HEAD), Some(vec![]));
        for text in
            ["", "a\nb\n", &format!("{HEAD}lo: 1 2 3"), &format!("{HEAD}lo: a b c"), &format!("{HEAD}lo")]
        {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
