//! `[servers.NAME.guards.TOOL.ARGUMENT]`: what is demanded of arguments beyond the schemas of tools.

use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting, Word};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "servers.NAME.guards.TOOL.ARGUMENT.within",
        kind: Kind::Words(Word::Path),
        default: None,
        effect: Live,
        reason: "The argument is an absolute path within one of these folders, and does not lead upward. `*` in place of the \
                 tool stands for every tool, and an argument can be a way into it: \"/files/*/path\" (docs/guards.md).",
        example: "[\"/home/you/notes\"]",
    },
    Setting {
        key: "servers.NAME.guards.TOOL.ARGUMENT.hosts",
        kind: Kind::Words(Word::Site),
        default: None,
        effect: Live,
        reason: "The argument is an https address of one of these hosts, without a user in it. `*.` stands for everything \
                 below a name; without a port only the usual one is meant.",
        example: "[\"example.com\", \"*.docs.example:8443\"]",
    },
    Setting {
        key: "servers.NAME.guards.TOOL.ARGUMENT.plain_http",
        kind: Kind::Switch,
        default: Some("false"),
        effect: Live,
        reason: "Allows http beside https where `hosts` are named. Everybody on the way can read and change what goes over it.",
        example: "true",
    },
    Setting {
        key: "servers.NAME.guards.TOOL.ARGUMENT.no_leading_dash",
        kind: Kind::Switch,
        default: Some("false"),
        effect: Live,
        reason: "The argument does not begin with a dash: a server that hands it to a program would hand over an option.",
        example: "true",
    },
    Setting {
        key: "servers.NAME.guards.TOOL.ARGUMENT.read_only_sql",
        kind: Kind::Switch,
        default: Some("false"),
        effect: Live,
        reason: "The argument is one SQL statement that reads: SELECT, WITH, EXPLAIN or SHOW. What databases read in different \
                 ways is refused. Give the server an account that can only read as well.",
        example: "true",
    },
    Setting {
        key: "servers.NAME.guards.TOOL.ARGUMENT.length",
        kind: Kind::Count(1..=100_000_000),
        default: None,
        effect: Live,
        reason: "The most characters that the argument has.",
        example: "200",
    },
    Setting {
        key: "servers.NAME.guards.TOOL.ARGUMENT.pattern",
        kind: Kind::Text,
        default: None,
        effect: Live,
        reason: "The argument fits this pattern as a whole. Patterns are those of Rust's regex crate and take linear time.",
        example: "\"[a-z0-9-]+\"",
    },
];
