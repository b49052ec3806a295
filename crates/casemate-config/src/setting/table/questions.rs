//! `[questions]`: what servers ask in mid-call.

use super::s;
use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "questions.time",
        kind: Kind::Time(s(1)..=s(3600)),
        default: Some("\"5m\""),
        effect: Live,
        reason: "How long a client may take to answer what a server asks in mid-call. The call is canceled then.",
        example: "\"1m\"",
    },
    Setting {
        key: "questions.waiting",
        kind: Kind::Count(1..=10_000),
        default: Some("16"),
        effect: Live,
        reason: "Calls of one subject that may wait for its answers, where its client comes back with them in a new request \
                 (2026-07-28). Each keeps its server at work; further ones are canceled.",
        example: "4",
    },
    Setting {
        key: "questions.waiting_all",
        kind: Kind::Count(1..=100_000),
        default: Some("1024"),
        effect: Live,
        reason: "The same for all subjects together.",
        example: "64",
    },
    Setting {
        key: "questions.rounds",
        kind: Kind::Count(1..=1000),
        default: Some("16"),
        effect: Live,
        reason: "How often a server may ask in one call. One that asks on and on is stopped.",
        example: "5",
    },
];
