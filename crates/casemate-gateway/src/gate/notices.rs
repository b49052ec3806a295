//! What servers say outside of calls, brought to the clients that listen and may hear it.

use std::sync::Arc;

use casemate_inspect::Place;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_policy::{Action, Context, Effect, Request, Resource, Subject};

use super::Gate;
use crate::catalog::{Shelf, wrap_uri};
use crate::client::Listener;
use crate::clock;
use crate::endpoint::Endpoint;
use crate::snapshot::Snapshot;
use crate::upstream::{Server, ServerNotice};

impl Gate {
    /// Tells everybody who listens that any list may be another.
    pub(super) fn tell_all(&self) {
        for (listener, _) in self.hearing() {
            for method in [Method::ToolsChanged, Method::PromptsChanged, Method::ResourcesChanged] {
                listener.tell(&method, None);
            }
        }
    }

    /// Those who listen and still may, each with the subject as it is now: a credential may have been withdrawn, or
    /// given another role, since the stream was opened.
    pub(super) fn hearing(&self) -> Vec<(Arc<Listener>, Arc<Subject>)> {
        let listeners = self.bus.listeners().into_iter();
        listeners
            .filter_map(|listener| self.current(&listener.subject.id).map(|now| (listener, now)))
            .collect()
    }

    /// Brings what a server said outside of calls to those whom it concerns.
    pub(super) fn told(&self, notice: &ServerNotice) {
        let Some(shelf) = self.catalog.shelf(notice.server.as_str()) else { return };
        match &notice.notice.method {
            method @ (Method::ToolsChanged | Method::PromptsChanged | Method::ResourcesChanged) => {
                shelf.invalidate();
                self.tell_changed(shelf.server(), std::slice::from_ref(method));
            }
            Method::ResourceUpdated => {
                let Some(params) = self.passed(&shelf, notice, &["uri", "title"]) else { return };
                let Some(uri) = params.string("uri") else { return };
                self.tell_updated(notice, (&params, &uri));
            }
            method @ Method::ElicitationComplete => {
                let Some(params) = self.passed(&shelf, notice, &["elicitationId"]) else { return };
                // The modern dialect has no word for it: there, the client calls again.
                let whose = notice.subject.as_ref();
                let listeners = self
                    .hearing()
                    .into_iter()
                    .filter(|(listener, subject)| whose == Some(&subject.id) && !listener.is_modern());
                listeners.for_each(|(listener, _)| listener.tell(method, Some(params.raw().clone())));
            }
            _ => {}
        }
    }

    /// What a server says outside of calls, as it may pass: the texts that the protocol has there and nothing else, looked at
    /// like an answer. `None` when nothing of it may.
    fn passed(&self, shelf: &Shelf, notice: &ServerNotice, names: &[&'static str]) -> Option<Members> {
        let said = notice.notice.params.as_ref()?;
        let empty = Members::empty();
        let known = names.iter().fold(empty.edit(), |edit, name| match said.string(name) {
            Some(text) => edit.set(*name, Raw::string_of(&text)),
            None => edit,
        });
        let snapshot = self.snapshot.load();
        let measures = snapshot.inspecting.measures(&notice.server, Place::Result);
        let outcome = snapshot.inspecting.inspection.message(&known.finish(), &measures);
        if !outcome.findings.is_empty() {
            shelf.tell_planted(&outcome.findings, |server| match &notice.subject {
                Some(subject) => format!("what {server} told {subject}"),
                None => format!("what {server} told its clients"),
            });
            let found = outcome.findings.line();
            tracing::warn!(server = %notice.server, %found, "a notice was not left as it was, or should not be trusted");
        }
        if outcome.findings.blocking().is_some() { None } else { outcome.message.members() }
    }

    pub(super) fn tell_changed(&self, server: &Server, methods: &[Method]) {
        let name = &server.entry().name;
        let snapshot = self.snapshot.load();
        for (listener, subject) in self.hearing() {
            if !sees(&snapshot, (&listener, &subject), server) {
                continue;
            }
            tracing::debug!(server = %name, subject = %subject.id, "definitions changed");
            methods.iter().for_each(|method| listener.tell(method, None));
        }
    }

    fn tell_updated(&self, notice: &ServerNotice, (params, uri): (&Members, &str)) {
        let snapshot = self.snapshot.load();
        let shown = |endpoint: &Endpoint| {
            Some(if endpoint.joins() { wrap_uri(&notice.server, uri) } else { uri.to_owned() })
        };
        for (listener, shown) in self.bus.watchers(shown) {
            // What a server tells one subject's instance is nobody else's business.
            let whose = notice.subject.as_ref().is_none_or(|subject| *subject == listener.subject.id);
            let resource = Resource::Resource(&notice.server, uri);
            let allowed = self.current(&listener.subject.id).is_some_and(|subject| {
                let context = Context { unix_ms: clock::unix_ms(), ..Context::default() };
                let request = Request::new(Action::Subscribe, resource).under(context);
                snapshot.policy.decide(&subject, &request).effect == Effect::Allow
            });
            if whose && allowed {
                listener
                    .tell(&Method::ResourceUpdated, Some(params.edit().set("uri", Raw::of(&shown)).finish()));
            }
        }
    }
}

/// Whether a listener's endpoint shows a server that its subject may see.
fn sees(snapshot: &Snapshot, (listener, subject): (&Listener, &Subject), server: &Server) -> bool {
    let name = &server.entry().name;
    let shown = match &listener.endpoint {
        Endpoint::Joined => true,
        Endpoint::Server(only) => only == name,
        Endpoint::Profile(profile) => {
            snapshot.profiles.get(profile).is_some_and(|profile| profile.servers.contains(name))
        }
    };
    let resource = Resource::Server(name);
    shown && snapshot.policy.decide(subject, &Request::new(Action::List, resource)).effect != Effect::Deny
}
