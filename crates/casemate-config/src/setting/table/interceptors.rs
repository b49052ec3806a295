//! `[interceptors.NAME]`: judges outside of the gateway.

use super::{KIB, MIB, ms, s};
use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting, Word};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "interceptors.NAME.kind",
        kind: Kind::Choice(&["validator", "mutator"]),
        default: None,
        effect: Live,
        reason: "What the judge may do: a validator says yes or no, a mutator changes what passes (docs/interceptors.md). Neither \
                 gets around schemas, guards, rules or inspection.",
        example: "\"validator\"",
    },
    Setting {
        key: "interceptors.NAME.url",
        kind: Kind::Url,
        default: None,
        effect: Live,
        reason: "Where the judge is asked, by a post. `http` is for this machine alone; names and addresses are public ones, \
                 unless `private_network` says otherwise. Redirects are not followed.",
        example: "\"http://127.0.0.1:8181/judge\"",
    },
    Setting {
        key: "interceptors.NAME.server",
        kind: Kind::Text,
        default: None,
        effect: Live,
        reason: "The server of this file that is the judge, in place of `url`: it is asked by `interceptor/invoke` of the draft \
                 SEP-2624, and no client sees it.",
        example: "\"guard\"",
    },
    Setting {
        key: "interceptors.NAME.interceptor",
        kind: Kind::Text,
        default: None,
        effect: Live,
        reason: "What the server calls this judge; the name of the table when absent.",
        example: "\"acme/pii-check\"",
    },
    Setting {
        key: "interceptors.NAME.headers.HEADER",
        kind: Kind::Given,
        default: None,
        effect: Live,
        reason: "A header that is sent with every question to the url. Secrets are given as `secret:NAME`, `env:NAME` or \
                 `file:PATH`, and hold the whole value (`Bearer …`).",
        example: "\"secret:JUDGE_AUTHORIZATION\"",
    },
    Setting {
        key: "interceptors.NAME.on",
        kind: Kind::Words(Word::Event),
        default: Some("[\"tools/call\"]"),
        effect: Live,
        reason: "What the judge is asked about. Questions that servers ask in mid-call have names of their own.",
        example: "[\"tools/call\", \"resources/read\"]",
    },
    Setting {
        key: "interceptors.NAME.phase",
        kind: Kind::Choice(&["request", "response", "both"]),
        default: Some("\"both\""),
        effect: Live,
        reason: "Whether it is asked about what is asked, about what is answered, or about both.",
        example: "\"request\"",
    },
    Setting {
        key: "interceptors.NAME.servers",
        kind: Kind::Words(Word::Server),
        default: None,
        effect: Live,
        reason: "The servers whose traffic it judges; all when absent.",
        example: "[\"files\", \"mail\"]",
    },
    Setting {
        key: "interceptors.NAME.tools",
        kind: Kind::Words(Word::Argument),
        default: None,
        effect: Live,
        reason: "The tools whose calls it judges, by their servers' names for them; `*` stands for anything. All when absent. What \
                 cannot be told apart is judged.",
        example: "[\"send_*\", \"write_file\"]",
    },
    Setting {
        key: "interceptors.NAME.timeout",
        kind: Kind::Time(ms(10)..=s(60)),
        default: Some("\"2s\""),
        effect: Live,
        reason: "How long it may take. Every call waits for it, and who says nothing says no. The start of a server counts \
                 apart, by its own limit.",
        example: "\"500ms\"",
    },
    Setting {
        key: "interceptors.NAME.mode",
        kind: Kind::Choice(&["active", "audit"]),
        default: Some("\"active\""),
        effect: Live,
        reason: "With `audit` it is asked, what it says is recorded, and nothing waits for it or changes by it: for judges that \
                 are being tried.",
        example: "\"audit\"",
    },
    Setting {
        key: "interceptors.NAME.fail",
        kind: Kind::Choice(&["closed", "open"]),
        default: Some("\"closed\""),
        effect: Live,
        reason: "What counts when it is not there, is late, or says what is not understood: `closed` is no. With `open`, whoever \
                 makes it fail gets past it.",
        example: "\"open\"",
    },
    Setting {
        key: "interceptors.NAME.order",
        kind: Kind::Count(1..=1000),
        default: Some("100"),
        effect: Live,
        reason: "Of several mutators the lower one comes first, and of equal ones the first by name. Validators are asked at once, \
                 about what the mutators made of it; of several that say no the lower one is told of.",
        example: "10",
    },
    Setting {
        key: "interceptors.NAME.size",
        kind: Kind::Size(KIB..=64 * MIB),
        default: Some("\"4MiB\""),
        effect: Live,
        reason: "The largest payload that it is sent, and the largest answer that it may give. What is larger it did not judge, \
                 and `fail` says what that means.",
        example: "\"16MiB\"",
    },
    Setting {
        key: "interceptors.NAME.private_network",
        kind: Kind::Switch,
        default: Some("false"),
        effect: Live,
        reason: "Whether the url may lead to an address of a private network. Not by default, so that a name in other hands leads \
                 nobody inside.",
        example: "true",
    },
    Setting {
        key: "interceptors.NAME.allow_secrets",
        kind: Kind::Switch,
        default: Some("false"),
        effect: Live,
        reason: "Shows it results as servers send them, secrets and hidden text included. By default it sees what the client would \
                 see.",
        example: "true",
    },
    Setting {
        key: "interceptors.NAME.config",
        kind: Kind::Json,
        default: None,
        effect: Live,
        reason: "An object that it is given with each question, as the draft has it.",
        example: "{ level = \"strict\" }",
    },
    Setting {
        key: "interceptors.NAME.enabled",
        kind: Kind::Switch,
        default: Some("true"),
        effect: Live,
        reason: "A judge that is switched off is not asked, and nothing waits for it.",
        example: "false",
    },
];
