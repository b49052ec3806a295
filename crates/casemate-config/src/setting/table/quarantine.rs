//! `[quarantine]`: what puts something in without a person.

use super::s;
use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting, Word};

pub(super) const SERVERS: &[Setting] = &[Setting {
    key: "servers.NAME.honeytokens",
    kind: Kind::Switch,
    default: Some("false"),
    effect: Live,
    reason: "Plants variables in the cell that look like credentials and open nothing (docs/quarantine.md). Where one of \
             their values turns up (answers, arguments, logs, names that are looked up) the server has been through what \
             is not its own. Not for servers whose purpose is to show their environment.",
    example: "true",
}];

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "quarantine.automatic",
        kind: Kind::Words(Word::Trigger),
        default: Some("[\"refusals\", \"escapes\", \"honeytokens\"]"),
        effect: Live,
        reason: "What puts something in quarantine without a person (docs/quarantine.md). Not `drift`: what has changed is \
                 blocked alone until somebody looked at it, and an honest update changes much at once. An empty list \
                 leaves all to people.",
        example: "[\"drift\", \"escapes\", \"honeytokens\"]",
    },
    Setting {
        key: "quarantine.refusals",
        kind: Kind::Rate,
        default: Some("\"120/m\""),
        effect: Live,
        reason: "How often a subject may be refused what is not its own (CM1401, CM1503, CM1601, CM1603) before it is put \
                 in. Nobody mistypes twice a second for a minute. Local users are refused, and never put in.",
        example: "\"20/m\"",
    },
    Setting {
        key: "quarantine.refused_for",
        kind: Kind::Time(s(60)..=s(30 * 86_400)),
        default: Some("\"15m\""),
        effect: Live,
        reason: "For how long a subject is kept out that was refused so often. An agent in a loop is let back in by itself; \
                 everything else that rules put in waits for a person.",
        example: "\"1d\"",
    },
    Setting {
        key: "quarantine.escapes",
        kind: Kind::Count(1..=1000),
        default: Some("16"),
        effect: Live,
        reason: "Different places within an hour that a server may try in vain and that no grant opens by a name: addresses \
                 of this machine and its networks, names that stand for such, handshakes that mean another server. \
                 Libraries look for the credentials of a cloud, which is one or two.",
        example: "4",
    },
];
