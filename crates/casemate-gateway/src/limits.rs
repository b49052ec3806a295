//! How often somebody may ask, and how much a day.
//!
//! A rate is a token bucket (GCRA, of `governor`) for each address, subject, key, server and tool; a budget is a count
//! for a day of UTC, which a restart does not begin anew. Nothing here waits, holds a lock across an await, or grows
//! with the number of strangers: see [`buckets`].

mod attempts;
mod buckets;
mod budgets;
mod pacer;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use casemate_mcp::names::{RoleName, ServerName};
use casemate_policy::{Authentication, Subject, SubjectId};
use casemate_transport::listener::Peer;

use crate::ports::{Ledger, Spent};
use crate::refusal::{Code, Refusal, Retry};
use crate::snapshot::{Pace, Rate};
use attempts::Attempts;
use budgets::{Budgets, Purse};
use pacer::Pacer;

/// All rates and budgets, and what was used of them.
#[derive(Debug)]
pub struct Limiter {
    /// Keyed at random, so that nobody can choose names that meet in one bucket.
    hasher: RandomState,
    rules: ArcSwap<Rules>,
    attempts: Attempts,
    budgets: Budgets,
}

/// What holds now. A new configuration keeps the buckets of every rate that it did not change.
#[derive(Debug)]
struct Rules {
    address: Arc<Pacer>,
    attempts: Arc<Pacer>,
    subject: Arc<Pacer>,
    key: Arc<Pacer>,
    /// Those of single keys, by their subjects' ids.
    keys: HashMap<SubjectId, (Option<Arc<Pacer>>, Option<u64>)>,
    server: Arc<Pacer>,
    tool: Arc<Pacer>,
    refusals: Arc<Pacer>,
    roles: HashMap<RoleName, Arc<Pacer>>,
    servers: HashMap<ServerName, Arc<Pacer>>,
    /// By server and tool.
    tools: HashMap<u64, Arc<Pacer>>,
    tool_budgets: HashMap<u64, u64>,
    pace: Pace,
}

impl Limiter {
    /// Limits at the beginning of a run; `spent` is what was used of budgets before.
    #[must_use]
    pub fn new(pace: &Pace, ledger: Arc<dyn Ledger>, spent: Vec<Spent>) -> Self {
        let hasher = RandomState::new();
        let rules = Rules::new(pace, &hasher, None);
        Limiter {
            rules: ArcSwap::from_pointee(rules),
            attempts: Attempts::default(),
            budgets: Budgets::new(ledger, spent),
            hasher,
        }
    }

    /// Follows a new configuration.
    pub fn follow(&self, pace: &Pace) {
        let rules = Rules::new(pace, &self.hasher, Some(&self.rules.load()));
        self.rules.store(Arc::new(rules));
    }

    /// Writes down exactly what was used of the budgets, before the gateway ends.
    pub fn settle(&self) {
        self.budgets.settle();
    }

    /// One more request from an address, of which nothing else is known yet.
    pub(crate) fn arrival(&self, peer: &Peer) -> Result<(), Refusal> {
        let Some(address) = self.address(peer) else { return Ok(()) };
        let rules = self.rules.load();
        rules.address.take(address, NonZeroU32::MIN).map_err(|wait| {
            too_often(&format!("Your address may send {}", rules.address.rate().of("request")), wait)
        })
    }

    /// Whether a credential may be tried from there. One that was good from there lately always may.
    pub(crate) fn attempt(&self, peer: &Peer, credential: &str) -> Result<(), Refusal> {
        let Some(address) = self.address(peer) else { return Ok(()) };
        self.attempts.may_try(address, self.hasher.hash_one((address, credential))).map_err(|wait| {
            let message =
                "Too many credentials from your address were not accepted; wait before you send another.";
            Refusal::new(Code::TooManyAttempts, message).with_retry(Retry::After(wait))
        })
    }

    /// How a trial ended.
    pub(crate) fn tried(&self, peer: &Peer, credential: &str, outcome: Trial) {
        let Some(address) = self.address(peer) else { return };
        match outcome {
            Trial::Good => self.attempts.good(self.hasher.hash_one((address, credential))),
            Trial::Bad => {
                let beyond = self.rules.load().attempts.take(address, NonZeroU32::MIN).is_err();
                if beyond {
                    self.attempts.failed(address);
                }
            }
        }
    }

    /// Messages of a subject: its rate, and that of its key.
    pub(crate) fn messages(&self, subject: &Subject, count: NonZeroU32) -> Result<(), Refusal> {
        let rules = self.rules.load();
        let who = self.hasher.hash_one(&subject.id);
        let own = rules.of_roles(subject);
        let refuse = |what: &str, pacer: &Pacer, wait| {
            too_often(&format!("{what} may send {}", pacer.rate().of("message")), wait)
        };
        own.take(who, count).map_err(|wait| refuse("You", own, wait))?;
        if subject.authentication == Authentication::Key {
            let own = rules.of_key(subject);
            own.take(who, count).map_err(|wait| refuse("Your key", own, wait))?;
        }
        Ok(())
    }

    /// A request that is about to go to a server: the server's rate, its tool's, and the budgets.
    pub(crate) fn request(
        &self,
        subject: &Subject,
        server: &ServerName,
        tool: Option<&str>,
    ) -> Result<(), Refusal> {
        let rules = self.rules.load();
        let one = NonZeroU32::MIN;
        let at_server = rules.servers.get(server).unwrap_or(&rules.server);
        at_server.take(self.hasher.hash_one(server), one).map_err(|wait| {
            too_often(&format!("The server {server} takes {}", at_server.rate().of("request")), wait)
        })?;
        let mut purses = vec![Purse {
            name: ["subject", subject.id.as_str(), ""],
            key: self.hasher.hash_one(("subject", &subject.id)),
            budget: rules.budget_of(subject),
        }];
        if let Some(tool) = tool {
            let key = self.hasher.hash_one((server, tool));
            let pacer = rules.tools.get(&key).unwrap_or(&rules.tool);
            pacer.take(key, one).map_err(|wait| {
                too_often(&format!("The tool {tool} takes {}", pacer.rate().of("call")), wait)
            })?;
            let budget = rules.tool_budgets.get(&key).copied().unwrap_or(rules.pace.tool.budget);
            purses.push(Purse { name: ["tool", server.as_str(), tool], key, budget });
        }
        self.budgets.spend(&purses)
    }

    /// Counts a refusal of a subject that reached for what is not its own, and says whether it was one too many.
    pub(crate) fn refused(&self, subject: &Subject) -> bool {
        let who = self.hasher.hash_one(("refused", &subject.id));
        self.rules.load().refusals.take(who, NonZeroU32::MIN).is_err()
    }

    /// What stands for an address; `None` for local connections, which have none.
    fn address(&self, peer: &Peer) -> Option<u64> {
        let Peer::Tcp(address) = peer else { return None };
        Some(self.hasher.hash_one(Group::of(address.ip())))
    }
}

/// How a credential turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trial {
    /// It was accepted.
    Good,
    /// It was not.
    Bad,
}

/// Addresses that count as one: whoever has an IPv6 address has its whole network of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Group {
    V4([u8; 4]),
    V6([u16; 4]),
}

impl Group {
    fn of(address: IpAddr) -> Group {
        match address.to_canonical() {
            IpAddr::V4(address) => Group::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Group::V6([a, b, c, d])
            }
        }
    }
}

impl Rules {
    fn new(pace: &Pace, hasher: &RandomState, old: Option<&Rules>) -> Rules {
        let keep = |rate: Rate, old: Option<&Arc<Pacer>>| match old {
            Some(old) if old.rate() == rate => Arc::clone(old),
            _ => Arc::new(Pacer::new(rate)),
        };
        let mut roles = HashMap::new();
        for (name, exception) in &pace.roles {
            if let Some(rate) = exception.rate {
                roles.insert(name.clone(), keep(rate, old.and_then(|old| old.roles.get(name))));
            }
        }
        let mut keys = HashMap::new();
        for (id, exception) in &pace.keys {
            let id = SubjectId::key(id);
            let before = old.and_then(|old| old.keys.get(&id)?.0.as_ref());
            let pacer = exception.rate.map(|rate| keep(rate, before));
            keys.insert(id, (pacer, exception.budget));
        }
        let mut servers = HashMap::new();
        for (name, exception) in &pace.servers {
            if let Some(rate) = exception.rate {
                servers.insert(name.clone(), keep(rate, old.and_then(|old| old.servers.get(name))));
            }
        }
        let (mut tools, mut tool_budgets) = (HashMap::new(), HashMap::new());
        for ((server, tool), exception) in &pace.tools {
            let key = hasher.hash_one((server, tool.as_str()));
            if let Some(rate) = exception.rate {
                tools.insert(key, keep(rate, old.and_then(|old| old.tools.get(&key))));
            }
            if let Some(budget) = exception.budget {
                tool_budgets.insert(key, budget);
            }
        }
        Rules {
            address: keep(pace.address, old.map(|old| &old.address)),
            attempts: keep(pace.attempts, old.map(|old| &old.attempts)),
            subject: keep(pace.subject.rate, old.map(|old| &old.subject)),
            key: keep(pace.key.rate, old.map(|old| &old.key)),
            keys,
            server: keep(pace.server, old.map(|old| &old.server)),
            tool: keep(pace.tool.rate, old.map(|old| &old.tool)),
            refusals: keep(pace.refusals, old.map(|old| &old.refusals)),
            roles,
            servers,
            tools,
            tool_budgets,
            pace: pace.clone(),
        }
    }

    /// The most generous of what is said of a subject's roles, or else what holds for all.
    fn of_roles(&self, subject: &Subject) -> &Pacer {
        let said = subject.roles.iter().filter_map(|role| self.roles.get(role));
        said.max_by(|one, other| one.generosity().total_cmp(&other.generosity())).unwrap_or(&self.subject)
    }

    /// What holds for the key that a subject is.
    fn of_key(&self, subject: &Subject) -> &Pacer {
        self.keys.get(&subject.id).and_then(|(pacer, _)| pacer.as_ref()).unwrap_or(&self.key)
    }

    /// What a subject may use in a day; that of its key counts too.
    fn budget_of(&self, subject: &Subject) -> u64 {
        let said = subject.roles.iter().filter_map(|role| self.pace.roles.get(role)?.budget);
        let own = said.max().unwrap_or(self.pace.subject.budget);
        if subject.authentication != Authentication::Key {
            return own;
        }
        let of_key = self.keys.get(&subject.id).and_then(|(_, budget)| *budget);
        own.min(of_key.unwrap_or(self.pace.key.budget))
    }
}

fn too_often(what: &str, wait: Duration) -> Refusal {
    Refusal::new(Code::TooOften, format!("{what}; wait before you send the next."))
        .with_retry(Retry::After(wait))
}
