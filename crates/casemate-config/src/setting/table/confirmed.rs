//! `[servers.NAME]`: what is confirmed to change nothing.

use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting, Word};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "servers.NAME.read_only",
        kind: Kind::Switch,
        default: Some("false"),
        effect: Live,
        reason: "Denies everything on the server that is not confirmed to change nothing, whoever asks.",
        example: "true",
    },
    Setting {
        key: "servers.NAME.read_only_tools",
        kind: Kind::Words(Word::Selection),
        default: Some("[]"),
        effect: Live,
        reason: "What you confirm to change nothing: tools, `prompt:NAME` and `resource:URI`, with stars for any run of \
                 characters. The role entry `read-only` and the switch `read_only` go by it; what the server says of \
                 itself does not count.",
        example: "[\"get_*\", \"search\", \"resource:*\"]",
    },
];
