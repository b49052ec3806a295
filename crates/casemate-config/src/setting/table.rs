//! The settings themselves.

use std::time::Duration;

use super::Effect::{Live, Process};
use super::{Kind, Setting, Word};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// All settings, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
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
        reason: "Largest answer of a server that is passed on. Images and audio travel inside of answers.",
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
    Setting {
        key: "servers.NAME.command",
        kind: Kind::Command,
        default: None,
        effect: Live,
        reason: "The program that is the server, alone or with its arguments. It is started without a shell.",
        example: "[\"npx\", \"-y\", \"@modelcontextprotocol/server-everything@2026.8.31\"]",
    },
    Setting {
        key: "servers.NAME.args",
        kind: Kind::Words(Word::Argument),
        default: Some("[]"),
        effect: Live,
        reason: "Further arguments of the program, passed as they stand. Secrets do not belong here: every \
                 process of the machine can read them.",
        example: "[\"--verbose\"]",
    },
    Setting {
        key: "servers.NAME.env.VARIABLE",
        kind: Kind::Given,
        default: None,
        effect: Live,
        reason: "A variable that the server sees. It sees no other but PATH, HOME, TMPDIR and LANG. Secrets are \
                 given as `env:NAME` or `file:PATH`.",
        example: "\"env:GITHUB_TOKEN\"",
    },
    Setting {
        key: "servers.NAME.cwd",
        kind: Kind::Path,
        default: None,
        effect: Live,
        reason: "The folder in which the program starts; its own empty home when absent.",
        example: "\"/srv/project\"",
    },
    Setting {
        key: "servers.NAME.url",
        kind: Kind::Url,
        default: None,
        effect: Live,
        reason: "The address of a server that runs elsewhere and speaks Streamable HTTP.",
        example: "\"https://mcp.example.com/mcp\"",
    },
    Setting {
        key: "servers.NAME.headers.HEADER",
        kind: Kind::Given,
        default: None,
        effect: Live,
        reason: "A header that is sent with every request to the url. Secrets are given as `env:NAME` or \
                 `file:PATH`, and hold the whole value (`Bearer …`).",
        example: "\"env:WIKI_AUTHORIZATION\"",
    },
    Setting {
        key: "servers.NAME.builtin",
        kind: Kind::Choice(&["system"]),
        default: None,
        effect: Live,
        reason: "A server that comes with Casemate.",
        example: "\"system\"",
    },
    Setting {
        key: "servers.NAME.enabled",
        kind: Kind::Switch,
        default: Some("true"),
        effect: Live,
        reason: "A server that is switched off stays in the file and serves nobody.",
        example: "false",
    },
    Setting {
        key: "servers.NAME.sharing",
        kind: Kind::Choice(&["subject", "shared", "call"]),
        default: Some("\"subject\""),
        effect: Live,
        reason: "Who shares one running instance: each subject has its own, everyone shares one, or every call \
                 gets a new one. Most servers hold state, so sharing is opted into; a shared instance cannot \
                 ask its users questions.",
        example: "\"shared\"",
    },
    Setting {
        key: "servers.NAME.instances",
        kind: Kind::Count(1..=10_000),
        default: Some("32"),
        effect: Live,
        reason: "Instances at a time, over all subjects. Each is a process with its own memory.",
        example: "4",
    },
    Setting {
        key: "servers.NAME.timeout.start",
        kind: Kind::Time(ms(100)..=s(3600)),
        default: Some("\"60s\""),
        effect: Live,
        reason: "From starting the program, or dialing, to the end of the handshake. Package runners download \
                 on their first start.",
        example: "\"2m\"",
    },
    Setting {
        key: "servers.NAME.timeout.call",
        kind: Kind::Time(ms(100)..=s(86_400)),
        default: Some("\"60s\""),
        effect: Live,
        reason: "From a call to its answer; each report of progress starts it anew. Clients wait 60 s, too.",
        example: "\"90s\"",
    },
    Setting {
        key: "servers.NAME.timeout.hard",
        kind: Kind::Time(ms(100)..=s(86_400)),
        default: Some("\"10m\""),
        effect: Live,
        reason: "From a call to its answer whatever progress is reported, so that no call lasts forever.",
        example: "\"1h\"",
    },
    Setting {
        key: "servers.NAME.timeout.idle",
        kind: Kind::Time(s(1)..=s(86_400)),
        default: Some("\"5m\""),
        effect: Live,
        reason: "An instance without calls for so long is stopped; the next call starts it again.",
        example: "\"1h\"",
    },
    Setting {
        key: "servers.NAME.restart.backoff_min",
        kind: Kind::Time(ms(10)..=s(60)),
        default: Some("\"250ms\""),
        effect: Live,
        reason: "First pause before a server that failed is started again; it doubles with each failure.",
        example: "\"1s\"",
    },
    Setting {
        key: "servers.NAME.restart.backoff_max",
        kind: Kind::Time(ms(10)..=s(3600)),
        default: Some("\"30s\""),
        effect: Live,
        reason: "Longest pause before a server that failed is started again.",
        example: "\"5m\"",
    },
    Setting {
        key: "servers.NAME.circuit.failures",
        kind: Kind::Count(1..=1000),
        default: Some("5"),
        effect: Live,
        reason: "Failures in a row (to start, to answer in time, to stay alive) after which calls are refused at \
                 once instead of waiting for a server that is down.",
        example: "3",
    },
    Setting {
        key: "servers.NAME.circuit.open_for",
        kind: Kind::Time(ms(100)..=s(3600)),
        default: Some("\"10s\""),
        effect: Live,
        reason: "How long calls are refused then, before one of them tries the server again.",
        example: "\"1m\"",
    },
    Setting {
        key: "servers.NAME.tools.TOOL.timeout",
        kind: Kind::Time(ms(100)..=s(86_400)),
        default: None,
        effect: Live,
        reason: "Replaces `timeout.call` of the server for this tool.",
        example: "\"5m\"",
    },
    Setting {
        key: "servers.NAME.tools.TOOL.read_only",
        kind: Kind::Switch,
        default: Some("false"),
        effect: Live,
        reason: "A person confirms that the tool changes nothing, so a call whose answer was lost is sent again. \
                 What the server says about itself is not believed.",
        example: "true",
    },
    Setting {
        key: "servers.NAME.tools.TOOL.idempotent",
        kind: Kind::Switch,
        default: Some("false"),
        effect: Live,
        reason: "A person confirms that calling the tool twice does no more than calling it once, with the same \
                 consequence.",
        example: "true",
    },
    Setting {
        key: "roles.NAME.allow",
        kind: Kind::Words(Word::Pattern),
        default: Some("[]"),
        effect: Live,
        reason: "What the role may use: `server/tool`, `server/prompt:NAME`, `server/resource:URI`, `server`, `*`, \
                 with stars for any run of characters. All else is denied.",
        example: "[\"github/get_*\", \"wiki\"]",
    },
    Setting {
        key: "roles.NAME.deny",
        kind: Kind::Words(Word::Pattern),
        default: Some("[]"),
        effect: Live,
        reason: "What the role may not use, whatever any role allows.",
        example: "[\"github/delete_*\"]",
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
