//! `[gateway]`.

use super::{GIB, KIB, MIB, ms, s};
use crate::setting::Effect::{Live, Process};
use crate::setting::{Kind, Setting, Word};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "gateway.listen",
        kind: Kind::Address,
        default: Some("\"127.0.0.1:7332\""),
        effect: Process,
        reason: "The address that MCP clients connect to. Only this machine can reach the default. Any other \
                 address needs `plaintext_beyond_loopback`; port 0 lets the system choose.",
        example: "\"127.0.0.1:7400\"",
    },
    Setting {
        key: "gateway.plaintext_beyond_loopback",
        kind: Kind::Switch,
        default: Some("false"),
        effect: Process,
        reason: "Allows listening on an address that other machines reach, without TLS: keys and results can be \
                 read on the way. Meant for a gateway behind a proxy that ends TLS.",
        example: "true",
    },
    Setting {
        key: "gateway.hosts",
        kind: Kind::Words(Word::Host),
        default: Some("[]"),
        effect: Live,
        reason: "Further names this gateway is reached by (the `Host` header). The local names are always \
                 accepted and all others refused, which defeats DNS rebinding.",
        example: "[\"mcp.example.com\"]",
    },
    Setting {
        key: "gateway.origins",
        kind: Kind::Words(Word::Origin),
        default: Some("[]"),
        effect: Live,
        reason: "Further web pages that may call this gateway (the `Origin` header). Pages of this machine are \
                 always accepted and all others refused; programs that are no browser send none.",
        example: "[\"https://inspector.example.com\"]",
    },
    Setting {
        key: "gateway.approve",
        kind: Kind::Choice(&["first-use", "review"]),
        default: None,
        effect: Live,
        reason: "What it takes for a definition to be used that was never seen before, where a server's entry does not \
                 say: `first-use` believes what a server declares first, `review` waits for a person. When absent, \
                 `first-use` while only this machine reaches the gateway, and `review` otherwise.",
        example: "\"review\"",
    },
    Setting {
        key: "gateway.locked",
        kind: Kind::Path,
        default: None,
        effect: Process,
        reason: "A lock file that every gateway of this installation is held to, also one that `casemate connect` starts: of what \
                 servers declare it uses nothing but what the file has (docs/pins.md). `casemate up --locked` names another.",
        example: "\"casemate.lock\"",
    },
    Setting {
        key: "gateway.lock_key",
        kind: Kind::Path,
        default: None,
        effect: Process,
        reason: "The public Ed25519 key, in PEM, by which the lock file has to be signed. A file whose signature is not good starts \
                 no gateway.",
        example: "\"release.pub\"",
    },
    Setting {
        key: "gateway.log",
        kind: Kind::Choice(&["error", "warn", "info", "debug", "trace"]),
        default: Some("\"info\""),
        effect: Process,
        reason: "How much is logged on stderr. The records of calls are kept whatever is set here.",
        example: "\"debug\"",
    },
    Setting {
        key: "gateway.shutdown_grace",
        kind: Kind::Time(ms(100)..=s(300)),
        default: Some("\"10s\""),
        effect: Process,
        reason: "How long calls in flight may take to finish when the gateway is told to stop. Service managers \
                 kill after 30 s or more, so the default leaves time to close.",
        example: "\"25s\"",
    },
    Setting {
        key: "gateway.limits.request_size",
        kind: Kind::Size(KIB..=256 * MIB),
        default: Some("\"16MiB\""),
        effect: Live,
        reason: "Largest request or message of a client. Arguments are text; files go by reference.",
        example: "\"4MiB\"",
    },
    Setting {
        key: "gateway.limits.result_size",
        kind: Kind::Size(KIB..=GIB),
        default: Some("\"64MiB\""),
        effect: Live,
        reason: "Largest answer of a server that is passed on. Images and audio travel inside of answers. A process that \
                 runs already takes larger ones after its next start.",
        example: "\"16MiB\"",
    },
    Setting {
        key: "gateway.limits.calls_in_flight",
        kind: Kind::Count(1..=100_000),
        default: Some("256"),
        effect: Live,
        reason: "Calls that one subject may have running at a time, so that none takes all there is.",
        example: "64",
    },
    Setting {
        key: "gateway.limits.body_time",
        kind: Kind::Time(ms(100)..=s(600)),
        default: Some("\"30s\""),
        effect: Live,
        reason: "How long the body of a request may take to arrive. Slower senders are cut off.",
        example: "\"10s\"",
    },
    Setting {
        key: "gateway.limits.list_time",
        kind: Kind::Time(ms(100)..=s(120)),
        default: Some("\"10s\""),
        effect: Live,
        reason: "How long a list over many servers waits for each. Clients give up on a list after about 30 s.",
        example: "\"5s\"",
    },
    Setting {
        key: "gateway.limits.sessions",
        kind: Kind::Count(1..=1_000_000),
        default: Some("1024"),
        effect: Live,
        reason: "Sessions of older clients that one subject may hold; each costs memory until it ends.",
        example: "128",
    },
    Setting {
        key: "gateway.limits.session_idle",
        kind: Kind::Time(s(10)..=s(7 * 86_400)),
        default: Some("\"1h\""),
        effect: Live,
        reason: "A session that is not used for so long ends. Clients start a new one by themselves.",
        example: "\"15m\"",
    },
    Setting {
        key: "gateway.limits.connections",
        kind: Kind::Count(1..=100_000),
        default: Some("4096"),
        effect: Live,
        reason: "Connections at a time: some 100 MiB at worst while idle, and more than one gateway serves.",
        example: "1000",
    },
    Setting {
        key: "gateway.limits.connections_per_address",
        kind: Kind::Count(1..=100_000),
        default: Some("1024"),
        effect: Live,
        reason: "Connections at a time from one address. All local clients share one, and a stranger still \
                 cannot take every place.",
        example: "100",
    },
];
