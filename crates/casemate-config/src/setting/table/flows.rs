//! `[flows]` and labels: what may flow within a conversation.

use super::s;
use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting, Word};

pub(super) const SERVERS: &[Setting] = &[
    Setting {
        key: "servers.NAME.labels",
        kind: Kind::Words(Word::Label),
        default: Some("[]"),
        effect: Live,
        reason: "What this server touches: `private` where its answers are somebody's own, `untrusted` where strangers wrote \
                 them, `outbound` where what it is asked leaves the house (docs/flows.md). `casemate show` proposes some; \
                 only what stands here counts.",
        example: "[\"private\"]",
    },
    Setting {
        key: "servers.NAME.tools.TOOL.labels",
        kind: Kind::Words(Word::Label),
        default: None,
        effect: Live,
        reason: "The same for one tool, in place of its server's.",
        example: "[\"untrusted\", \"outbound\"]",
    },
];

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "flows.outbound",
        kind: Kind::Choice(&["ask", "deny", "pass"]),
        default: Some("\"ask\""),
        effect: Live,
        reason: "What becomes of a call with the label `outbound` once private data and untrusted text have both been seen in \
                 its conversation: a person is asked about exactly this call, or it is refused. Without labels nothing is \
                 followed.",
        example: "\"deny\"",
    },
    Setting {
        key: "flows.answerer",
        kind: Kind::Choice(&["operator", "subject"]),
        default: Some("\"operator\""),
        effect: Live,
        reason: "Who is asked. The subject is asked through its own client, where an agent that was talked into the call might \
                 answer for itself.",
        example: "\"subject\"",
    },
    Setting {
        key: "flows.follow",
        kind: Kind::Choice(&["session", "subject"]),
        default: Some("\"session\""),
        effect: Live,
        reason: "What counts as one conversation: a session or connection, and for clients that have none all that their subject \
                 asks; or the latter for everybody, which no new session gets around.",
        example: "\"subject\"",
    },
    Setting {
        key: "flows.window",
        kind: Kind::Time(s(60)..=s(7 * 86_400)),
        default: Some("\"1h\""),
        effect: Live,
        reason: "How long what was seen counts. Conversations with models go back over what was said for about so long.",
        example: "\"8h\"",
    },
];
