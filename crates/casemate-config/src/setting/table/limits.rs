//! `[limits]`, what roles, servers and tools have in their place, and `[approvals]`.

use super::{ms, s};
use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "limits.address_rate",
        kind: Kind::Rate,
        default: Some("\"20000/s\""),
        effect: Live,
        reason: "Requests from one address, judged before anything else. All local clients share one address, and so \
                 may an office; a network of IPv6 (64 bits) counts as one.",
        example: "\"200/s\"",
    },
    Setting {
        key: "limits.attempts",
        kind: Kind::Rate,
        default: Some("\"10/m\""),
        effect: Live,
        reason: "Credentials from one address that may be wrong before it has to wait: a second, then twice as long \
                 each time, up to a minute. Credentials that were good from there within the hour never wait.",
        example: "\"5/m\"",
    },
    Setting {
        key: "limits.subject_rate",
        kind: Kind::Rate,
        default: Some("\"10000/s\""),
        effect: Live,
        reason: "Messages of one subject. The default is what no client of a person comes near, and an agent in a loop \
                 still leaves the others their part.",
        example: "\"100/s\"",
    },
    Setting {
        key: "limits.subject_budget",
        kind: Kind::Budget,
        default: Some("\"10000000/day\""),
        effect: Live,
        reason: "Requests to servers that one subject may make in a day of UTC; a restart does not begin the day anew. \
                 The default is more than a hundred a second without a pause.",
        example: "\"5000/day\"",
    },
    Setting {
        key: "limits.key_rate",
        kind: Kind::Rate,
        default: Some("\"10000/s\""),
        effect: Live,
        reason: "Messages with one API key, whatever its roles are given. Keys lie in files and are copied.",
        example: "\"20/s\"",
    },
    Setting {
        key: "limits.key_budget",
        kind: Kind::Budget,
        default: Some("\"10000000/day\""),
        effect: Live,
        reason: "Requests to servers with one API key in a day of UTC, whatever its roles are given.",
        example: "\"1000/day\"",
    },
    Setting {
        key: "limits.keys.NAME.rate",
        kind: Kind::Rate,
        default: None,
        effect: Live,
        reason: "Messages with one API key, by the id that `casemate key list` shows, in place of limits.key_rate. A key \
                 in a build server is another thing than one of a person.",
        example: "\"2/s\"",
    },
    Setting {
        key: "limits.keys.NAME.budget",
        kind: Kind::Budget,
        default: None,
        effect: Live,
        reason: "Requests to servers with that key in a day of UTC, in place of limits.key_budget.",
        example: "\"200/day\"",
    },
    Setting {
        key: "limits.server_rate",
        kind: Kind::Rate,
        default: Some("\"20000/s\""),
        effect: Live,
        reason: "Requests to each server, of all subjects together. The default is somewhat more than one server answers.",
        example: "\"50/s\"",
    },
    Setting {
        key: "limits.tool_rate",
        kind: Kind::Rate,
        default: Some("\"10000/s\""),
        effect: Live,
        reason: "Calls of each tool, of all subjects together. Tools that cost money get a rate of their own.",
        example: "\"10/s\"",
    },
    Setting {
        key: "limits.tool_budget",
        kind: Kind::Budget,
        default: Some("\"10000000/day\""),
        effect: Live,
        reason: "Calls of each tool in a day of UTC, of all subjects together.",
        example: "\"10000/day\"",
    },
    Setting {
        key: "limits.queue",
        kind: Kind::Count(1..=10_000),
        default: Some("64"),
        effect: Live,
        reason: "Messages of one subject that may wait, first come, first served, while it has as many calls in flight \
                 as it may. Further ones are refused at once.",
        example: "16",
    },
    Setting {
        key: "limits.queue_time",
        kind: Kind::Time(ms(1)..=s(60)),
        default: Some("\"2s\""),
        effect: Live,
        reason: "How long such a message waits. A short burst passes, and nobody waits for what will not come.",
        example: "\"500ms\"",
    },
    Setting {
        key: "limits.session_life",
        kind: Kind::Time(s(60)..=s(30 * 86_400)),
        default: Some("\"7d\""),
        effect: Live,
        reason: "A session of an older client ends after so long, however much it is used; the client opens a new one. \
                 A stolen credential that opened one is not good for longer.",
        example: "\"12h\"",
    },
    Setting {
        key: "approvals.wait",
        kind: Kind::Time(s(1)..=s(3600)),
        default: Some("\"5m\""),
        effect: Live,
        reason: "How long a call waits for a person's answer, where its client can wait. Clients give up by themselves, \
                 many after a minute.",
        example: "\"1m\"",
    },
    Setting {
        key: "approvals.expire",
        kind: Kind::Time(s(60)..=s(7 * 86_400)),
        default: Some("\"1h\""),
        effect: Live,
        reason: "How long a question stays in the queue, and how long an approval is good for a call that is sent again.",
        example: "\"8h\"",
    },
    Setting {
        key: "approvals.waiting",
        kind: Kind::Count(1..=10_000),
        default: Some("64"),
        effect: Live,
        reason: "Calls that may wait for answers at a time. Each holds a place among its subject's calls; beyond it \
                 the client is told to come again.",
        example: "16",
    },
];

/// What is said of a role in place of what holds for all.
pub(super) const ROLES: &[Setting] = &[
    Setting {
        key: "roles.NAME.rate",
        kind: Kind::Rate,
        default: None,
        effect: Live,
        reason: "Messages of each subject in this role, in place of limits.subject_rate. Of several roles the most \
                 generous one counts; a role that says nothing does not count.",
        example: "\"5/s\"",
    },
    Setting {
        key: "roles.NAME.budget",
        kind: Kind::Budget,
        default: None,
        effect: Live,
        reason: "Requests to servers of each subject in this role in a day, in place of limits.subject_budget.",
        example: "\"500/day\"",
    },
];

/// What is said of a server and its tools.
pub(super) const SERVERS: &[Setting] = &[
    Setting {
        key: "servers.NAME.rate",
        kind: Kind::Rate,
        default: None,
        effect: Live,
        reason: "Requests to this server, of all subjects together, in place of limits.server_rate.",
        example: "\"20/s\"",
    },
    Setting {
        key: "servers.NAME.tools.TOOL.rate",
        kind: Kind::Rate,
        default: None,
        effect: Live,
        reason: "Calls of this tool, of all subjects together, in place of limits.tool_rate.",
        example: "\"30/m\"",
    },
    Setting {
        key: "servers.NAME.tools.TOOL.budget",
        kind: Kind::Budget,
        default: None,
        effect: Live,
        reason: "Calls of this tool in a day of UTC, of all subjects together, in place of limits.tool_budget.",
        example: "\"200/day\"",
    },
];
