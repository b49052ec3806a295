//! `[servers.NAME]`: what a server is, and how it is called.

use super::{ms, s};
use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting, Word};

pub(super) const SETTINGS: &[Setting] = &[
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
                 given as `secret:NAME`, `env:NAME` or `file:PATH`.",
        example: "\"secret:GITHUB_TOKEN\"",
    },
    Setting {
        key: "servers.NAME.cwd",
        kind: Kind::Path,
        default: None,
        effect: Live,
        reason: "The folder in which the program starts, which it may then read; its own empty home when \
                 absent. A relative one starts at the configuration's folder.",
        example: "\"/srv/project\"",
    },
    Setting {
        key: "servers.NAME.image",
        kind: Kind::Image,
        default: None,
        effect: Live,
        reason: "The container image that is the server, by digest: a tag can be another image tomorrow. Docker or \
                 Podman runs it. With `args` and `env`.",
        example: "\"ghcr.io/example/server@sha256:\
                  9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
    },
    Setting {
        key: "servers.NAME.url",
        kind: Kind::Remote,
        default: None,
        effect: Live,
        reason: "The address of a server that is started by somebody else. `https://…` speaks Streamable HTTP, or HTTP \
                 with SSE where the server knows nothing newer; `wss://…` is a WebSocket with a message in each frame; \
                 `unix:/PATH` and `tcp://HOST:PORT` have a message on each line. What goes over `http`, `ws` and `tcp` \
                 can be read on its way; a name in `tcp://` may only stand for this machine or a private network.",
        example: "\"https://mcp.example.com/mcp\"",
    },
    Setting {
        key: "servers.NAME.headers.HEADER",
        kind: Kind::Given,
        default: None,
        effect: Live,
        reason: "A header that is sent with every request to the url. Secrets are given as `secret:NAME`, \
                 `env:NAME` or `file:PATH`, and hold the whole value (`Bearer …`).",
        example: "\"secret:WIKI_AUTHORIZATION\"",
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
        key: "servers.NAME.approve",
        kind: Kind::Choice(&["first-use", "review"]),
        default: None,
        effect: Live,
        reason: "What it takes for a tool, prompt, template or instruction of this server to be used that was never \
                 seen before: nothing, or a person's approval (`casemate pin review`). One that changed always takes \
                 a person. As `gateway.approve` says when absent.",
        example: "\"review\"",
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
];
