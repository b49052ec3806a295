//! `[roles.NAME]` and `[profiles.NAME]`.

use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting, Word};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "roles.NAME.allow",
        kind: Kind::Words(Word::Rule),
        default: Some("[]"),
        effect: Live,
        reason: "What the role may use: `server/tool`, `server/prompt:NAME`, `server/resource:URI`, `server`, `*`, \
                 with stars for any run of characters; `read-only` for all that is confirmed to change nothing. All \
                 else is denied.",
        example: "[\"github/get_*\", \"wiki\"]",
    },
    Setting {
        key: "roles.NAME.deny",
        kind: Kind::Words(Word::Rule),
        default: Some("[]"),
        effect: Live,
        reason: "What the role may not use, whatever any role allows.",
        example: "[\"github/delete_*\"]",
    },
    Setting {
        key: "roles.NAME.ask",
        kind: Kind::Words(Word::Rule),
        default: Some("[]"),
        effect: Live,
        reason: "What the role may use once a person has approved of the call, whatever any role allows.",
        example: "[\"github/merge_*\"]",
    },
    Setting {
        key: "roles.NAME.answered_by",
        kind: Kind::Choice(&["subject", "operator"]),
        default: Some("\"operator\""),
        effect: Live,
        reason: "Who may approve of what `ask` names. The subject is asked through their own client, and an agent that \
                 runs the client could answer in their place; the operator is asked by a way that no client has.",
        example: "\"subject\"",
    },
    Setting {
        key: "profiles.NAME.servers",
        kind: Kind::Words(Word::Server),
        default: None,
        effect: Live,
        reason: "The servers that the endpoint `/profiles/NAME/mcp` joins.",
        example: "[\"github\", \"wiki\"]",
    },
    Setting {
        key: "profiles.NAME.only",
        kind: Kind::Words(Word::Pattern),
        default: None,
        effect: Live,
        reason: "Shows only what these patterns name. Everything is shown when absent.",
        example: "[\"github/get_*\"]",
    },
    Setting {
        key: "profiles.NAME.hidden",
        kind: Kind::Words(Word::Pattern),
        default: Some("[]"),
        effect: Live,
        reason: "Hides what these patterns name, after `only`.",
        example: "[\"github/delete_*\"]",
    },
    Setting {
        key: "profiles.NAME.tools.SERVER/TOOL.rename",
        kind: Kind::Shown,
        default: None,
        effect: Live,
        reason: "The name under which the tool is shown here.",
        example: "\"find_issue\"",
    },
    Setting {
        key: "profiles.NAME.tools.SERVER/TOOL.description",
        kind: Kind::Text,
        default: None,
        effect: Live,
        reason: "The description with which the tool is shown here.",
        example: "\"Finds an issue of our project.\"",
    },
    Setting {
        key: "profiles.NAME.tools.SERVER/TOOL.fixed.ARGUMENT",
        kind: Kind::Json,
        default: None,
        effect: Live,
        reason: "An argument that is filled in with this value. It vanishes from the shown schema, and a client \
                 that sends it is refused.",
        example: "\"our-organization\"",
    },
];
