//! `[servers.NAME]`: the cell that a server runs in.

use super::{GIB, KIB, MIB};
use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting, Word};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "servers.NAME.cell",
        kind: Kind::Choice(&["full", "light"]),
        default: Some("\"full\""),
        effect: Live,
        reason: "How strong the cell is that the program runs in (docs/sandbox.md). A host that cannot make it \
                 refuses the start: nothing is left out in silence. `light` is for hosts that forbid user \
                 namespaces; it has no network and does not hide the names of the host's files.",
        example: "\"light\"",
    },
    Setting {
        key: "servers.NAME.allow_unsandboxed",
        kind: Kind::Switch,
        default: Some("false"),
        effect: Live,
        reason: "Runs the program without a cell: it can read, change and send whatever you can. `casemate doctor` \
                 warns of it, and each start is recorded.",
        example: "true",
    },
    Setting {
        key: "servers.NAME.read",
        kind: Kind::Words(Word::Path),
        default: Some("[]"),
        effect: Live,
        reason: "Files and folders that the server may read, sockets in them included. It sees no others, but for \
                 its own program and the host's libraries. Absolute paths without symbolic links.",
        example: "[\"/home/you/notes\"]",
    },
    Setting {
        key: "servers.NAME.write",
        kind: Kind::Words(Word::Path),
        default: Some("[]"),
        effect: Live,
        reason: "Files and folders that the server may read and change. All else that it writes is in its own \
                 /tmp and gone when it ends.",
        example: "[\"/home/you/notes/drafts\"]",
    },
    Setting {
        key: "servers.NAME.runtime",
        kind: Kind::Words(Word::Path),
        default: Some("[]"),
        effect: Live,
        reason: "Where further programs and libraries lie that the server needs, for reading. Unlike in `read`, \
                 links are links, and what does not exist is passed over. The runtime of the program itself \
                 (of nvm, pyenv, a virtual environment) is found without it.",
        example: "[\"/opt/oracle/instantclient\"]",
    },
    Setting {
        key: "servers.NAME.network",
        kind: Kind::Words(Word::Destination),
        default: Some("[]"),
        effect: Live,
        reason: "What the server may reach over the network: names with ports, `*.` for all names below one, \
                 addresses. Public addresses only, unless the text begins with `loopback`, `private` or \
                 `link-local`. Nothing else is reached, and every attempt is recorded.",
        example: "[\"api.github.com:443\", \"*.example.org:443\", \"private wiki.corp:443\"]",
    },
    Setting {
        key: "servers.NAME.limits.memory",
        kind: Kind::Size(16 * MIB..=1024 * GIB),
        default: Some("\"1GiB\""),
        effect: Live,
        reason: "Memory of the whole cell where control groups can be used, else of each of its processes. Node \
                 needs 256 MiB to start. A server that needs more is ended.",
        example: "\"512MiB\"",
    },
    Setting {
        key: "servers.NAME.limits.cpu",
        kind: Kind::Processors(10..=1_024_000),
        default: Some("2"),
        effect: Live,
        reason: "Processors that the whole cell may keep busy, where control groups can be used. Two, because \
                 runtimes compile and collect garbage beside what a server does.",
        example: "0.5",
    },
    Setting {
        key: "servers.NAME.limits.processes",
        kind: Kind::Count(4..=1_000_000),
        default: Some("256"),
        effect: Live,
        reason: "Processes and threads. Node has some 12 threads, a package runner a few processes more.",
        example: "64",
    },
    Setting {
        key: "servers.NAME.limits.open_files",
        kind: Kind::Count(32..=1_048_576),
        default: Some("1024"),
        effect: Live,
        reason: "Files and connections that one process may have open, which is what programs are used to.",
        example: "4096",
    },
    Setting {
        key: "servers.NAME.limits.file_size",
        kind: Kind::Size(KIB..=1024 * GIB),
        default: Some("\"1GiB\""),
        effect: Live,
        reason: "The largest file that the server may write, wherever it may write.",
        example: "\"100MiB\"",
    },
    Setting {
        key: "servers.NAME.limits.tmp_size",
        kind: Kind::Size(MIB..=64 * GIB),
        default: Some("\"256MiB\""),
        effect: Live,
        reason: "The size of its /tmp, and again of its /dev/shm. Both are kept in memory and gone when it ends.",
        example: "\"1GiB\"",
    },
    Setting {
        key: "servers.NAME.limits.output_rate",
        kind: Kind::Size(64 * KIB..=16 * GIB),
        default: Some("\"64MiB\""),
        effect: Live,
        reason: "What the server may write to its standard output in a second, in the long run; sixteen seconds' \
                 worth may come at once. A server that floods us is ended. It holds for servers over WebSocket, HTTP with \
                 SSE and sockets too, whose connection is closed; over Streamable HTTP each answer has its own limit.",
        example: "\"1MiB\"",
    },
    Setting {
        key: "servers.NAME.host_stats",
        kind: Kind::Switch,
        default: Some("false"),
        effect: Live,
        reason: "Shows the server the figures of the host: memory, processors, disks and network. The built-in \
                 `system` has them unless this says otherwise, since they are what it is for.",
        example: "true",
    },
    Setting {
        key: "servers.NAME.install_scripts",
        kind: Kind::Switch,
        default: Some("false"),
        effect: Live,
        reason: "Lets a package run its install scripts, in a cell without network, while it is prepared. Most \
                 attacks through packages begin in one, and few packages need any.",
        example: "true",
    },
];
