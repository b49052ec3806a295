//! One record as one line, written by hand: the members are known and already sorted, so a line costs a few
//! copies and no allocation.

use super::canonical::INTEGER_MAX;
use super::{
    Act, Approval, Arguments, CellEnd, CellStart, Intent, Judgement, Network, Outcome, Record, TurnedAway,
};

/// Longest text in a record, in bytes. Longer ones are cut; names and methods that a server knows are shorter.
pub const TEXT_MAX: usize = 512;

/// Most texts of one list in a record: rules, of which a decision has one per role of the subject, or what a server was
/// granted. The last one tells how many more there were.
const TEXTS_MAX: usize = 64;

/// What the log itself says about a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp<'a> {
    pub(super) seq: u64,
    /// RFC 3339, UTC, milliseconds.
    pub(super) time: &'a [u8],
}

/// Appends the record and its newline to the buffer.
pub(super) fn write(out: &mut Vec<u8>, record: &Record<'_>, stamp: Stamp<'_>) {
    let mut members = Members { out, first: true };
    members.out.push(b'{');
    match record {
        Record::Intent(intent) => write_intent(&mut members, intent, stamp),
        Record::Outcome(outcome) => write_outcome(&mut members, outcome, stamp),
        Record::CellStart(start) => write_start(&mut members, start, stamp),
        Record::CellEnd(end) => write_end(&mut members, end, stamp),
        Record::Network(network) => write_network(&mut members, network, stamp),
        Record::Approval(approval) => write_approval(&mut members, approval, stamp),
        Record::TurnedAway(away) => write_turned_away(&mut members, away, stamp),
        Record::Judgement(judgement) => write_judgement(&mut members, judgement, stamp),
        Record::Act(act) => write_act(&mut members, act, stamp),
        Record::Torn { bytes } => {
            members.number("bytes", *bytes);
            members.text("kind", "torn");
            members.number("seq", stamp.seq);
            members.time(stamp);
        }
    }
    out.extend_from_slice(b"}\n");
}

fn write_intent(members: &mut Members<'_>, intent: &Intent<'_>, stamp: Stamp<'_>) {
    if let Some(arguments) = &intent.arguments {
        members.arguments(arguments);
    }
    members.text("call", intent.call);
    members.text("effect", intent.effect);
    members.text("endpoint", intent.endpoint);
    members.text("kind", "intent");
    members.text("method", intent.method);
    members.optional("name", intent.name);
    members.optional("peer", intent.peer);
    members.text("revision", intent.revision);
    members.texts("rules", intent.rules);
    members.number("seq", stamp.seq);
    members.optional("server", intent.server);
    members.number("snapshot", intent.snapshot);
    members.text("subject", intent.subject);
    members.time(stamp);
}

fn write_outcome(members: &mut Members<'_>, outcome: &Outcome<'_>, stamp: Stamp<'_>) {
    members.number("bytes", outcome.bytes);
    members.text("call", outcome.call);
    members.optional("code", outcome.code);
    members.optional("detail", outcome.detail);
    members.text("kind", "outcome");
    members.number("micros", outcome.micros);
    members.text("result", outcome.result.as_str());
    members.number("seq", stamp.seq);
    members.time(stamp);
}

fn write_start(members: &mut Members<'_>, start: &CellStart<'_>, stamp: Stamp<'_>) {
    members.texts("absent", start.absent);
    members.text("cell", start.cell);
    members.text("containment", start.containment);
    members.texts("grants", start.grants);
    members.text("instance", start.instance);
    members.text("kind", "cell-start");
    members.texts("layers", start.layers);
    members.texts("limits", start.limits);
    members.texts("network", start.network);
    members.optional("origin", start.origin);
    members.optional("origin_sha256", start.origin_sha256);
    members.text("program", start.program);
    members.optional("scripts", start.scripts);
    members.number("seq", stamp.seq);
    members.text("server", start.server);
    members.time(stamp);
}

fn write_end(members: &mut Members<'_>, end: &CellEnd<'_>, stamp: Stamp<'_>) {
    members.text("how", end.how);
    members.text("instance", end.instance);
    members.text("kind", "cell-end");
    members.optional("limit", end.limit);
    members.number("seq", stamp.seq);
    members.text("server", end.server);
    members.time(stamp);
}

fn write_approval(members: &mut Members<'_>, approval: &Approval<'_>, stamp: Stamp<'_>) {
    members.text("answer", approval.answer);
    members.text("approval", approval.approval);
    members.text("by", approval.by);
    members.text("digest", approval.digest);
    members.text("kind", "approval");
    members.text("method", approval.method);
    members.text("name", approval.name);
    members.texts("rules", approval.rules);
    members.number("seq", stamp.seq);
    members.text("server", approval.server);
    members.text("subject", approval.subject);
    members.time(stamp);
}

fn write_network(members: &mut Members<'_>, network: &Network<'_>, stamp: Stamp<'_>) {
    members.optional("address", network.address);
    if let Some(traffic) = network.traffic {
        members.number("bytes_in", traffic.bytes_in);
        members.number("bytes_out", traffic.bytes_out);
    }
    members.text("instance", network.instance);
    members.text("kind", "network");
    if let Some(traffic) = network.traffic {
        members.number("millis", traffic.millis);
    }
    members.optional("name", network.name);
    members.number("port", network.port.into());
    members.text("protocol", network.protocol);
    members.optional("reason", network.reason);
    members.number("seq", stamp.seq);
    members.text("server", network.server);
    members.time(stamp);
    members.number("times", network.times);
    members.text("verdict", network.verdict);
}

fn write_turned_away(members: &mut Members<'_>, away: &TurnedAway<'_>, stamp: Stamp<'_>) {
    let ((first_call, first), (last_call, last)) = (away.first, away.last);
    members.number("count", away.count);
    members.number("first", first);
    members.text("first_call", first_call);
    members.text("from", away.from);
    members.text("kind", "turned-away");
    members.number("last", last);
    members.text("last_call", last_call);
    members.texts("reasons", away.reasons);
    members.number("seq", stamp.seq);
    members.time(stamp);
}

fn write_judgement(members: &mut Members<'_>, judgement: &Judgement<'_>, stamp: Stamp<'_>) {
    members.text("call", judgement.call);
    members.optional("detail", judgement.detail);
    members.text("event", judgement.event);
    members.text("interceptor", judgement.interceptor);
    members.text("kind", "judgement");
    members.number("micros", judgement.micros);
    members.text("mode", judgement.mode);
    members.text("phase", judgement.phase);
    members.number("seq", stamp.seq);
    members.optional("severity", judgement.severity);
    members.time(stamp);
    members.text("verdict", judgement.verdict);
}

fn write_act(members: &mut Members<'_>, act: &Act<'_>, stamp: Stamp<'_>) {
    members.text("act", act.act);
    members.text("by", act.by);
    members.optional("detail", act.detail);
    members.text("kind", "act");
    members.text("object", act.object);
    members.number("seq", stamp.seq);
    members.time(stamp);
}

/// The inside of an object. Names are ours and need no escapes.
struct Members<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Members<'_> {
    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        cut(self.out, text);
    }

    fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn texts(&mut self, name: &str, texts: &[&str]) {
        self.name(name);
        self.out.push(b'[');
        let told = if texts.len() > TEXTS_MAX { TEXTS_MAX - 1 } else { texts.len() };
        for (at, text) in texts.iter().take(told).enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            cut(self.out, text);
        }
        if told < texts.len() {
            self.out.extend_from_slice(format!(",\"… and {} more\"", texts.len() - told).as_bytes());
        }
        self.out.push(b']');
    }

    fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        decimal(self.out, number.min(INTEGER_MAX));
    }

    fn time(&mut self, stamp: Stamp<'_>) {
        self.name("time");
        self.out.push(b'"');
        self.out.extend_from_slice(stamp.time);
        self.out.push(b'"');
    }

    fn arguments(&mut self, arguments: &Arguments) {
        self.name("arguments");
        self.out.extend_from_slice(b"{\"bytes\":");
        decimal(self.out, arguments.bytes.min(INTEGER_MAX));
        self.out.extend_from_slice(b",\"sha256\":\"");
        for byte in arguments.sha256 {
            self.out.push(hex(byte >> 4));
            self.out.push(hex(byte & 15));
        }
        self.out.extend_from_slice(b"\"}");
    }
}

/// Writes a JSON string with the escapes of RFC 8785: the two-character ones where they exist, `\u00xx` for
/// the other control characters, everything else as it is.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\') {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        if let Some((byte, after)) = tail.split_first() {
            escape(out, *byte);
            rest = after;
        }
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        b'"' | b'\\' => byte,
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(hex(byte >> 4));
            out.push(hex(byte & 15));
            return;
        }
    };
    out.push(b'\\');
    out.push(short);
}

fn cut(out: &mut Vec<u8>, text: &str) {
    if text.len() <= TEXT_MAX {
        return string(out, text);
    }
    let (head, _) = text.split_at(text.floor_char_boundary(TEXT_MAX));
    string(out, head);
    // Takes the place of the closing quote.
    out.pop();
    out.extend_from_slice("…\"".as_bytes());
}

fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut len = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        len += 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - len..).unwrap_or_default());
}

fn hex(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}
