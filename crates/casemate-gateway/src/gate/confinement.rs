//! What follows from quarantine: servers end, sessions close, clients look anew; and the rules that need no person.

use std::sync::atomic::Ordering;

use casemate_mcp::method::Method;
use casemate_mcp::names::ServerName;
use casemate_policy::{Action, Authentication, Effect, Request, Resource, Subject};

use super::Gate;
use crate::clock;
use crate::parked::Whose;
use crate::quarantine::rules::Trigger;
use crate::quarantine::{Entry, Quarantine, Ward};
use crate::refusal::{Code, Refusal};
use crate::upstream::Alarm;

impl Gate {
    /// What is in quarantine.
    #[must_use]
    pub fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// Follows a change of what is in quarantine. New calls are refused and those in flight are struck without this; here the
    /// servers that are in it end, the sessions of subjects that are in it close, and clients are told to list anew.
    pub fn enforce(&self) {
        let version = self.quarantine.version();
        if self.enforced.swap(version, Ordering::AcqRel) == version {
            return;
        }
        self.confine_servers();
        self.give_up();
        self.sessions.revoke(|session| self.quarantine.of_subject(&session.subject).is_some());
        self.results.retain(&|subject| self.quarantine.of_subject(subject).is_none());
        for (listener, _) in self.hearing() {
            for method in [Method::ToolsChanged, Method::PromptsChanged, Method::ResourcesChanged] {
                listener.tell(&method, None);
            }
        }
    }

    /// Gives up what waits for its client and may go on no more: calls whose servers asked something, and the requests on which
    /// tasks ask. Nobody's request is there that could be refused.
    pub(super) fn give_up(&self) {
        let snapshot = self.snapshot.load();
        let may_go_on = |whose: &Whose| {
            let Whose { owner, server, tool } = whose;
            let Some(subject) = self.current(owner) else { return false };
            let kept = match tool {
                Some(tool) => self.quarantine.of_tool(server.as_str(), tool),
                None => self.quarantine.of_server(server.as_str()),
            };
            // Asked for as in a list: what depends on arguments is judged when the client comes back with them.
            let resource = match tool {
                Some(tool) => Resource::Tool(server, tool),
                None => Resource::Server(server),
            };
            let decision = snapshot.policy.decide(&subject, &Request::new(Action::List, resource));
            kept.is_none() && decision.effect != Effect::Deny
        };
        self.parked.sweep(may_go_on);
        self.tasks.give_up(may_go_on);
    }

    /// Ends the servers that are in quarantine, and lets the others start.
    pub(super) fn confine_servers(&self) {
        for (name, shelf) in self.catalog.shelves().iter() {
            match self.quarantine.of_server(name.as_str()) {
                Some(_) => shelf.server().confine(),
                None => shelf.server().release(),
            }
        }
    }

    /// Counts a refusal of a subject, and puts whoever is refused too often in quarantine. A local user never is.
    pub(crate) fn note_refusal<T>(&self, subject: &Subject, outcome: &Result<T, Refusal>) {
        let Err(refusal) = outcome else { return };
        if !is_trespass(refusal) || subject.authentication == Authentication::Local {
            return;
        }
        let rules = &self.snapshot.load().quarantine;
        if rules.on.contains(&Trigger::Refusals) && self.limiter.refused(subject) {
            let ward = Ward::Subject(subject.id.as_str().into());
            let until = clock::unix_now().as_secs().saturating_add(rules.refused_for.as_secs());
            let reason = format!("refused too often, last with {}", refusal.code);
            self.confine(ward, (Trigger::Refusals, &reason), Some(until));
        }
    }

    /// Hears of something that no honest server does, and acts on it where a rule says so.
    pub(crate) fn hear(&self, alarm: &Alarm) {
        let rules = &self.snapshot.load().quarantine;
        let now = clock::unix_now().as_secs();
        let named;
        let (trigger, server, reason) = match alarm {
            Alarm::Drift { server, item } => {
                (Trigger::Drift, server, format!("{item} is another than was approved"))
            }
            Alarm::Escape { server, place } => {
                if !self.escapes.note((server, place), (rules.escapes_max, now)) {
                    return;
                }
                let max = rules.escapes_max;
                (Trigger::Escapes, server, format!("more than {max} forbidden places tried, last {place}"))
            }
            Alarm::Honeytoken { owner, seen } => {
                if self.touches.note((owner, seen), now) {
                    tracing::warn!(server = %owner, %seen, "a honeytoken was touched");
                    self.wards.alarm(&format!("server:{owner}"), &format!("honeytoken in {seen}"));
                }
                // The configuration that planted it may be gone.
                let Ok(server) = ServerName::parse(owner) else { return };
                named = server;
                (Trigger::Honeytokens, &named, format!("what was planted in it was found in {seen}"))
            }
        };
        if rules.on.contains(&trigger) {
            self.confine(Ward::Server(server.clone()), (trigger, &reason), None);
        }
    }

    /// Puts something in quarantine by a rule. It holds when this returns; that it outlasts us is for the port.
    fn confine(&self, ward: Ward, (trigger, reason): (Trigger, &str), until: Option<u64>) {
        let reason = self.host.masks.masked(reason).into_owned();
        let entry = Entry {
            ward,
            reason: reason.into(),
            by: format!("rule:{}", trigger.as_str()).into(),
            since: clock::unix_now().as_secs(),
            until,
        };
        if self.quarantine.confine(entry.clone()) {
            tracing::warn!(ward = %entry.ward, reason = %entry.reason, by = %entry.by, "put in quarantine");
            self.wards.keep(&entry);
        }
    }
}

/// What somebody is refused who reaches for what is not theirs. A client that asks whether a method exists does not.
fn is_trespass(refusal: &Refusal) -> bool {
    use casemate_mcp::frame::code::METHOD_NOT_FOUND;
    let probes = refusal.prescribed.as_ref().is_some_and(|error| error.code == METHOD_NOT_FOUND);
    let codes = [Code::Unknown, Code::Denied, Code::InsufficientScope, Code::ArgumentsBlocked];
    codes.contains(&refusal.code) && !probes
}
