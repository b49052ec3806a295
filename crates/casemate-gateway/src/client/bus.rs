//! Who wants to be told of changes.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use casemate_mcp::dialect::modern;
use casemate_mcp::frame::{Id, notification_text};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_policy::Subject;

use super::Outlet;
use crate::endpoint::Endpoint;

/// Resources that one client can watch.
const WATCHED_MAX: usize = 1024;

/// Which changes a client wants to be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wants {
    /// Tools were added, removed or changed.
    pub tools: bool,
    /// Prompts were.
    pub prompts: bool,
    /// Resources were.
    pub resources: bool,
}

impl Wants {
    /// What a legacy session is told: it has no way to choose.
    pub const ALL: Wants = Wants { tools: true, prompts: true, resources: true };
}

/// One client that listens.
#[derive(Debug)]
pub struct Listener {
    /// Who listens.
    pub subject: Arc<Subject>,
    /// Where.
    pub endpoint: Endpoint,
    wants: Wants,
    watched: Mutex<HashSet<Box<str>>>,
    outlet: Outlet,
    /// The request that opened the stream; the modern dialect names it in every notification.
    subscription: Option<Id>,
}

impl Listener {
    /// A client that wants to be told of list changes.
    #[must_use]
    pub fn new(subject: Arc<Subject>, endpoint: Endpoint, wants: Wants, outlet: Outlet) -> Listener {
        Listener { subject, endpoint, wants, watched: Mutex::default(), outlet, subscription: None }
    }

    /// The same for a modern listen stream.
    #[must_use]
    pub fn of_request(self, id: Id) -> Listener {
        Listener { subscription: Some(id), ..self }
    }

    /// Whether it is a stream that a modern client opened.
    #[must_use]
    pub fn is_modern(&self) -> bool {
        self.subscription.is_some()
    }

    /// Tells this client something. A full queue drops it: a client that does not read learns on its next list.
    pub fn tell(&self, method: &Method, params: Option<Raw>) {
        let wanted = match method {
            Method::ToolsChanged => self.wants.tools,
            Method::PromptsChanged => self.wants.prompts,
            Method::ResourcesChanged => self.wants.resources,
            _ => true,
        };
        if wanted {
            let params = self.marked(params);
            self.outlet.push(notification_text(method, params.as_ref()));
        }
    }

    fn marked(&self, params: Option<Raw>) -> Option<Raw> {
        let Some(id) = &self.subscription else { return params };
        let params = params.and_then(|raw| raw.members()).unwrap_or_else(Members::empty);
        let meta = params.object("_meta").unwrap_or_else(Members::empty);
        let meta = meta.edit().set(modern::SUBSCRIPTION_ID, Raw::of(id)).finish();
        Some(params.edit().set("_meta", meta).finish())
    }
}

/// A place among the listeners; given up when dropped.
#[derive(Debug)]
pub struct Listening(Arc<Listener>);

impl Listening {
    /// Adds a resource, by the URI that this client knows. Beyond the bound it is not added.
    pub fn watch(&self, uri: &str) {
        let mut watched = self.0.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.len() < WATCHED_MAX {
            watched.insert(uri.into());
        }
    }

    /// Removes a resource.
    pub fn unwatch(&self, uri: &str) {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(uri);
    }
}

/// All listeners.
#[derive(Debug, Default)]
pub struct Bus {
    listeners: Mutex<Vec<Weak<Listener>>>,
}

impl Bus {
    /// Adds a listener for as long as the returned place is kept.
    pub fn join(&self, listener: Listener) -> Listening {
        let listener = Arc::new(listener);
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if listeners.len() == listeners.capacity() {
            listeners.retain(|other| other.strong_count() > 0);
        }
        listeners.push(Arc::downgrade(&listener));
        Listening(listener)
    }

    /// Those who listen now.
    #[must_use]
    pub fn listeners(&self) -> Vec<Arc<Listener>> {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().filter_map(Weak::upgrade).collect()
    }

    /// Those who watch a resource, which each may know under another URI.
    pub fn watchers(&self, shown: impl Fn(&Endpoint) -> Option<String>) -> Vec<(Arc<Listener>, String)> {
        let knows = |listener: Arc<Listener>| {
            let uri = shown(&listener.endpoint)?;
            let watched =
                listener.watched.lock().unwrap_or_else(PoisonError::into_inner).contains(uri.as_str());
            watched.then_some((listener, uri))
        };
        self.listeners().into_iter().filter_map(knows).collect()
    }
}
