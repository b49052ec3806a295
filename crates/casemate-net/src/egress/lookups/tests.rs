use std::net::Ipv4Addr;
use std::sync::Arc;

use domain::base::iana::Rcode;
use domain::base::{Name as DomainName, ToName};
use proptest::prelude::*;

use super::super::tests::{Seen, gate_with, watched_gate};
use super::*;

const GRANTS: [&str; 3] = ["api.example.org:443", "*.wild.example:443", "10.1.2.3:443"];

/// A question, as a resolver asks it.
fn question(name: &str, kind: Rtype) -> Vec<u8> {
    let name = DomainName::<Vec<u8>>::from_chars(name.chars()).expect("a name");
    raw(&name, kind, Class::IN)
}

fn raw(name: impl ToName, kind: Rtype, class: Class) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec().question();
    builder.header_mut().set_id(0x1234);
    builder.header_mut().set_rd(true);
    builder.push((name, kind, class)).expect("room");
    builder.finish()
}

#[derive(Debug, PartialEq, Eq)]
struct Answered {
    code: Rcode,
    addresses: Vec<Ipv4Addr>,
}

fn answered(answer: &[u8]) -> Answered {
    let message = Message::from_octets(answer).expect("a message");
    let header = message.header();
    assert!(header.qr() && header.ra() && header.rd() && header.id() == 0x1234, "{header:?}");
    let records = message.answer().expect("answers").limit_to::<A>();
    let addresses = records.map(|record| record.expect("an address").data().addr()).collect();
    Answered { code: header.rcode(), addresses }
}

fn ask(gate: &Gate, name: &str, kind: Rtype) -> Answered {
    answered(&gate.answer(&question(name, kind)).expect("an answer"))
}

fn gate() -> (Gate, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    (gate_with(&GRANTS, seen.clone()), seen)
}

#[test]
fn granted_names_have_an_address_each() {
    let (gate, seen) = gate();
    let first = Answered { code: Rcode::NOERROR, addresses: vec![Ipv4Addr::new(127, 1, 0, 1)] };
    let second = Answered { code: Rcode::NOERROR, addresses: vec![Ipv4Addr::new(127, 1, 0, 2)] };
    assert_eq!(ask(&gate, "api.example.org", Rtype::A), first);
    assert_eq!(ask(&gate, "deep.a.wild.example", Rtype::A), second);
    assert_eq!(ask(&gate, "aPi.EXAMPLE.oRg.", Rtype::A), first);
    assert_eq!(seen.take(), []);
}

#[test]
fn granted_names_have_nothing_else() {
    let (gate, seen) = gate();
    let kinds = [Rtype::AAAA, Rtype::HTTPS, Rtype::SVCB, Rtype::MX, Rtype::TXT, Rtype::ANY, Rtype::CNAME];
    for kind in kinds {
        let nothing = Answered { code: Rcode::NOERROR, addresses: vec![] };
        assert_eq!(ask(&gate, "api.example.org", kind), nothing, "{kind}");
    }
    assert_eq!(seen.take(), []);
}

#[test]
fn other_names_are_refused_and_told() {
    let (gate, seen) = gate();
    for name in [
        "example.org",
        "www.example.org",
        "wild.example",
        "evilwild.example",
        "api.example.org.evil.net",
        "api-example.org",
        "secret-value.attacker.example",
        "localhost",
        "4.3.2.1.in-addr.arpa",
    ] {
        let refused = Answered { code: Rcode::REFUSED, addresses: vec![] };
        assert_eq!(ask(&gate, name, Rtype::A), refused, "{name}");
        let told = seen.take();
        assert_eq!(told.len(), 1, "{name}");
        assert_eq!(told[0].name.as_deref(), Some(name));
        assert_eq!((told[0].port, told[0].protocol), (53, Protocol::Lookup));
        assert_eq!(told[0].verdict, Verdict::Refused(Reason::NotGranted));
    }
}

/// The port of a name that was refused was a guess, until its dialing could be seen.
#[test]
fn a_watched_server_is_answered_and_what_it_dials_is_refused_by_name_and_port() {
    let seen = Arc::<Seen>::default();
    let gate = watched_gate(&["api.example.org:443"], Arc::clone(&seen));
    let Answered { code, addresses } = ask(&gate, "Db.Example.Com", Rtype::A);
    assert_eq!((code, addresses.len()), (Rcode::NOERROR, 1));
    let call = gate.call((addresses[0], 5432).into());
    assert_eq!(call.name.as_ref().map(ToString::to_string).as_deref(), Some("db.example.com"));
    assert_eq!(gate.target(&call), Err(Reason::NotGranted));
    assert_eq!(ask(&gate, "bad_name!.example.com", Rtype::A).code, Rcode::REFUSED);
    assert_eq!(seen.take()[0].name.as_deref(), Some("db.example.com"), "that it asked is told as well");
}

#[test]
fn the_case_of_a_question_is_repeated_in_the_answer() {
    let (gate, _) = gate();
    let answer = gate.answer(&question("aPi.eXample.ORG", Rtype::A)).expect("an answer");
    let message = Message::from_octets(answer.as_slice()).expect("a message");
    let asked = message.sole_question().expect("the question");
    assert_eq!(asked.qname().to_string(), "aPi.eXample.ORG");
    // Its owner is the question's name, by a pointer.
    assert_eq!(answer.len(), 12 + 17 + 4 + 2 + 10 + 4);
}

#[test]
fn a_resolver_that_mixes_the_case_is_told_once() {
    let (gate, seen) = gate();
    for name in ["google.com", "GOOGLE.com", "gOOgle.cOm"] {
        ask(&gate, name, Rtype::A);
    }
    assert_eq!(seen.take().len(), 1);
}

#[test]
fn labels_with_strange_bytes_are_no_granted_name() {
    let (gate, seen) = gate();
    for labels in [
        &[b"api.example".as_slice(), b"org"][..],
        &[b"api.example.org"],
        &[b"a\0", b"wild", b"example"],
        &[b"a.b", b"wild", b"example"],
        &[b"*", b"wild", b"example"],
        &[b"a b", b"wild", b"example"],
        &["\u{e9}".as_bytes(), b"wild", b"example"],
        &[b"\x1b[31m", b"wild", b"example"],
    ] {
        let wire = labels.iter().flat_map(|label| [&[label.len() as u8], *label].concat());
        let wire = wire.chain([0]).collect::<Vec<_>>();
        let name = DomainName::from_octets(wire).expect("a name");
        let answer = gate.answer(&raw(name, Rtype::A, Class::IN)).expect("an answer");
        assert_eq!(answered(&answer).code, Rcode::REFUSED, "{labels:?}");
        let told = seen.take();
        let shown = told[0].name.as_deref().expect("a name");
        assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown:?}");
    }
}

#[test]
fn other_classes_and_the_root_are_refused() {
    let (gate, _) = gate();
    let name = DomainName::<Vec<u8>>::from_chars("api.example.org".chars()).expect("a name");
    let chaos = gate.answer(&raw(name, Rtype::A, Class::CH)).expect("an answer");
    assert_eq!(answered(&chaos).code, Rcode::REFUSED);
    let root = gate.answer(&raw(DomainName::root_slice(), Rtype::NS, Class::IN)).expect("an answer");
    assert_eq!(answered(&root).code, Rcode::REFUSED);
}

#[test]
fn what_is_no_question_gets_no_address() {
    let (gate, seen) = gate();
    let good = question("api.example.org", Rtype::A);
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let code = |bytes: &[u8]| {
        let answer = gate.answer(bytes)?;
        let message = Message::from_octets(answer.as_slice()).expect("a message");
        assert_eq!(message.header_counts().ancount(), 0);
        Some(message.header().rcode())
    };
    // An answer, too short, a status inquiry, no question, two of them, a pointer to itself, a pointer ahead, a cut name.
    assert_eq!(code(&changed(2, 0x81)), None);
    assert_eq!(code(&good[..11]), None);
    assert_eq!(code(&changed(2, 0x11)), Some(Rcode::NOTIMP));
    assert_eq!(code(&changed(5, 0)), Some(Rcode::FORMERR));
    assert_eq!(code(&changed(5, 2)), Some(Rcode::FORMERR));
    assert_eq!(code(&[&good[..12], &[0xc0, 12, 0, 1, 0, 1]].concat()), Some(Rcode::FORMERR));
    assert_eq!(code(&[&good[..12], &[0xc0, 40, 0, 1, 0, 1]].concat()), Some(Rcode::FORMERR));
    assert_eq!(code(&good[..20]), Some(Rcode::FORMERR));
    assert_eq!(seen.take(), []);
}

#[test]
fn extensions_do_not_disturb() {
    let (gate, _) = gate();
    let mut builder = MessageBuilder::new_vec().question();
    builder.header_mut().set_id(0x1234);
    builder.header_mut().set_rd(true);
    let name = DomainName::<Vec<u8>>::from_chars("api.example.org".chars()).expect("a name");
    builder.push((name, Rtype::A)).expect("room");
    let mut builder = builder.additional();
    builder
        .opt(|opt| {
            opt.set_udp_payload_size(1232);
            opt.set_dnssec_ok(true);
            Ok(())
        })
        .expect("room");
    let answer = gate.answer(&builder.finish()).expect("an answer");
    assert_eq!(answered(&answer).addresses, [Ipv4Addr::new(127, 1, 0, 1)]);
}

proptest! {
    #[test]
    fn answering_never_panics(bytes: Vec<u8>) {
        let (gate, _) = gate();
        gate.answer(&bytes);
        gate.answer(&[&question("a", Rtype::A)[..12], bytes.as_slice()].concat());
    }

    #[test]
    fn no_answer_is_longer_than_a_datagram_may_be(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let (gate, _) = gate();
        let answer = gate.answer(&[&question("a", Rtype::A)[..12], bytes.as_slice()].concat());
        prop_assert!(answer.is_none_or(|answer| answer.len() <= 512));
    }

    /// Only what the policy names gets an address, whatever bytes a question has.
    #[test]
    fn an_address_is_given_for_granted_names_only(labels in prop::collection::vec("[a-zA-Z.*_-]{1,8}|wild|example|api|org", 1..5)) {
        let (gate, _) = gate();
        let wire = labels.iter().flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
        let name = DomainName::from_octets(wire.chain([0]).collect::<Vec<_>>()).expect("a name");
        let answer = gate.answer(&raw(name, Rtype::A, Class::IN)).expect("an answer");
        if !answered(&answer).addresses.is_empty() {
            let name = labels.join(".").to_ascii_lowercase();
            prop_assert!(name == "api.example.org" || name.ends_with(".wild.example"), "{}", name);
        }
    }
}
