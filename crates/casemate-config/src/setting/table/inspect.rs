//! `[servers.NAME.inspect]` and `[inspect]`: what is looked for in what passes through.

use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting, Word};

pub(super) const SERVER_SETTINGS: &[Setting] = &[
    Setting {
        key: "servers.NAME.inspect.hidden",
        kind: Kind::Choice(&["remove", "flag", "block", "off"]),
        default: Some("\"remove\""),
        effect: Live,
        reason: "What is done about text in results that is not seen: terminal escapes, control, tag and zero-width \
                 characters, changes of direction (docs/inspection.md). Legitimate text of every script stays as it is.",
        example: "\"block\"",
    },
    Setting {
        key: "servers.NAME.inspect.definitions",
        kind: Kind::Choice(&["block", "flag"]),
        default: Some("\"block\""),
        effect: Live,
        reason: "What is done about such text in what the server declares: a tool whose description hides something \
                 is neither shown nor called. No honest one has a use for it.",
        example: "\"flag\"",
    },
    Setting {
        key: "servers.NAME.inspect.secrets",
        kind: Kind::Choice(&["mask", "flag", "block", "off"]),
        default: Some("\"mask\""),
        effect: Live,
        reason: "What is done about tokens and keys in results, known by their formats. The secrets that servers are \
                 given by reference are masked whatever stands here.",
        example: "\"block\"",
    },
    Setting {
        key: "servers.NAME.inspect.arguments",
        kind: Kind::Choice(&["flag", "mask", "block", "off"]),
        default: Some("\"flag\""),
        effect: Live,
        reason: "The same for what clients send to the server. Only told of by default, since a masked argument would \
                 do something else than what was asked for.",
        example: "\"block\"",
    },
    Setting {
        key: "servers.NAME.inspect.personal",
        kind: Kind::Words(Word::Personal),
        default: Some("[]"),
        effect: Live,
        reason: "Kinds of personal data that are looked for in results and arguments. None by default: most tools are \
                 there to handle them, and to look costs more than all else.",
        example: "[\"card\", \"iban\"]",
    },
    Setting {
        key: "servers.NAME.inspect.personal_found",
        kind: Kind::Choice(&["mask", "flag", "block"]),
        default: Some("\"mask\""),
        effect: Live,
        reason: "What is done about personal data where it is looked for.",
        example: "\"block\"",
    },
    Setting {
        key: "servers.NAME.inspect.signals",
        kind: Kind::Choice(&["flag", "block", "off"]),
        default: Some("\"flag\""),
        effect: Live,
        reason: "What is done about text that seems to talk to the model. Told of in `_meta` and the log by default: \
                 such rules are wrong too often to decide (SPECIFICATION.md). `block` is for those of high severity.",
        example: "\"block\"",
    },
    Setting {
        key: "servers.NAME.inspect.names",
        kind: Kind::Choice(&["block", "flag", "off"]),
        default: Some("\"block\""),
        effect: Live,
        reason: "What is done about names that stand for something else: letters that look like others, reserved beginnings, \
                 the name or package of another server (docs/names.md). What is only odd is told of either way.",
        example: "\"flag\"",
    },
    Setting {
        key: "servers.NAME.inspect.output",
        kind: Kind::Choice(&["block", "flag", "off"]),
        default: Some("\"block\""),
        effect: Live,
        reason: "What is done about a result whose structured content is not what the tool's output schema says, or lacks. The \
                 protocol says that servers MUST keep to it, and official clients refuse such results as well.",
        example: "\"flag\"",
    },
];

pub(super) const SETTINGS: &[Setting] = &[Setting {
    key: "inspect.packs",
    kind: Kind::Words(Word::Path),
    default: Some("[]"),
    effect: Live,
    reason: "Files with further rules for secrets and signals, in the format of docs/inspection.md or that of gitleaks. \
             `casemate config check` tells what in them is not understood.",
    example: "[\"/etc/casemate/rules.toml\"]",
}];
