//! How often something may be asked for, and how much of it a day. Nothing is unlimited.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use casemate_mcp::names::{RoleName, ServerName, ToolName};

/// So many within a time: as many may come at once, and what was used comes back evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// Within what time.
    pub per: Duration,
}

impl Rate {
    /// So many a second.
    #[must_use]
    pub const fn a_second(count: NonZeroU32) -> Rate {
        Rate { count, per: Duration::from_secs(1) }
    }

    /// The same in words, of something that makes its plural with an s: `1 message a minute`.
    #[must_use]
    pub fn of(self, thing: &str) -> String {
        let plural = if self.count.get() == 1 { "" } else { "s" };
        format!("{} {thing}{plural} a {}", self.count, self.unit())
    }

    fn unit(self) -> &'static str {
        match self.per.as_secs() {
            60 => "minute",
            3600 => "hour",
            86_400 => "day",
            _ => "second",
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} a {}", self.count, self.unit())
    }
}

/// A rate, and what may be used of it in one day of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How often.
    pub rate: Rate,
    /// How much a day.
    pub budget: u64,
}

/// What is said of one role, server or tool, in place of what holds for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exception {
    /// How often.
    pub rate: Option<Rate>,
    /// How much a day.
    pub budget: Option<u64>,
}

/// All rates and budgets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Requests from one address, before anything else of them is looked at. An IPv6 network of 64 bits is one
    /// address. Default 20,000 a second.
    pub address: Rate,
    /// Credentials from one address that were not accepted, before further ones are slowed. Default 10 a minute.
    pub attempts: Rate,
    /// Messages of one subject. Default 10,000 a second and 10 million a day.
    pub subject: Allowance,
    /// Messages with one API key. Default as for a subject.
    pub key: Allowance,
    /// Requests to one server, of all subjects together. Default 20,000 a second.
    pub server: Rate,
    /// Calls of one tool, of all subjects together. Default 10,000 a second and 10 million a day.
    pub tool: Allowance,
    /// Refusals of one subject that reaches for what is not its own, before it is put in quarantine. Default 120 a minute.
    pub refusals: Rate,
    /// What is said of one API key, by its id, in place of [`Pace::key`].
    pub keys: BTreeMap<Box<str>, Exception>,
    /// What is said of subjects in a role. Of several roles the most generous one counts.
    pub roles: BTreeMap<RoleName, Exception>,
    /// What is said of a server.
    pub servers: BTreeMap<ServerName, Exception>,
    /// What is said of a tool.
    pub tools: BTreeMap<(ServerName, ToolName), Exception>,
}

const fn number(count: u32) -> NonZeroU32 {
    match NonZeroU32::new(count) {
        Some(count) => count,
        None => NonZeroU32::MIN,
    }
}

impl Default for Pace {
    fn default() -> Self {
        let generous = Allowance { rate: Rate::a_second(number(10_000)), budget: 10_000_000 };
        Pace {
            address: Rate::a_second(number(20_000)),
            attempts: Rate { count: number(10), per: Duration::from_secs(60) },
            subject: generous,
            key: generous,
            server: Rate::a_second(number(20_000)),
            tool: generous,
            refusals: Rate { count: number(120), per: Duration::from_secs(60) },
            keys: BTreeMap::new(),
            roles: BTreeMap::new(),
            servers: BTreeMap::new(),
            tools: BTreeMap::new(),
        }
    }
}

/// How long questions to people wait, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApprovalLimits {
    /// How long a call waits for an answer, where its client can wait. Default 5 min.
    pub wait_max: Duration,
    /// How long a question stays open, and how long an approval is good for a call that is sent again. Default 1 h.
    pub expire_after: Duration,
    /// Calls that may wait at a time. Default 64.
    pub waiting_max: usize,
}

impl Default for ApprovalLimits {
    fn default() -> Self {
        ApprovalLimits {
            wait_max: Duration::from_secs(300),
            expire_after: Duration::from_secs(3600),
            waiting_max: 64,
        }
    }
}
