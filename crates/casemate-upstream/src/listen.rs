//! The listen stream of a modern instance: one subscription that carries all changes anyone wants to hear of.

use std::collections::BTreeSet;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use casemate_mcp::call::{Answer, Call, Notice};
use casemate_mcp::dialect::modern::SUBSCRIPTION_ID;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_policy::SubjectId;
use serde::Serialize;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep};

use super::desk::Outcome;
use super::life::Life;
use super::outlet::Outlet;
use super::process::Soon;
use super::{Event, Hello, probe};

/// Notices that one stream may have on their way to the outlet, which takes them at once.
const QUEUE: usize = 64;
/// First and longest pause before a stream that ended is opened again.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long an old stream is kept beside its successor that does not acknowledge.
const OVERLAP_MAX: Duration = Duration::from_secs(5);

/// What is wanted of a listen stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Interest {
    #[serde(skip_serializing_if = "is_false")]
    tools_list_changed: bool,
    #[serde(skip_serializing_if = "is_false")]
    prompts_list_changed: bool,
    #[serde(skip_serializing_if = "is_false")]
    resources_list_changed: bool,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    resource_subscriptions: BTreeSet<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Interest {
    /// Every list that the server says it reports changes of.
    pub(super) fn of(hello: &Hello) -> Interest {
        let tells = |kind: &str| declares_changes(&hello.capabilities, kind);
        Interest {
            tools_list_changed: tells("tools"),
            prompts_list_changed: tells("prompts"),
            resources_list_changed: tells("resources"),
            resource_subscriptions: BTreeSet::new(),
        }
    }

    /// Adds or takes away a watched resource.
    pub(super) fn set_watched(&mut self, uri: &str, change: Watching) -> bool {
        match change {
            Watching::Begin => self.resource_subscriptions.insert(uri.to_owned()),
            Watching::End => self.resource_subscriptions.remove(uri),
        }
    }

    fn is_empty(&self) -> bool {
        *self == Interest::default()
    }

    fn call(&self, client_info: &Raw) -> Call {
        let params = Members::empty().edit().set("notifications", Raw::of(self)).finish();
        let params = params.members().unwrap_or_else(Members::empty);
        probe::own_call(Method::Listen, params, client_info)
    }
}

/// Whether a watch begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watching {
    Begin,
    End,
}

/// Whether a server says that it reports changes of a list (`tools`, `prompts` or `resources`).
pub(super) fn declares_changes(capabilities: &Members, kind: &str) -> bool {
    let flag = capabilities.object(kind).and_then(|kind| kind.get("listChanged"));
    flag.is_some_and(|flag| flag.as_str() == "true")
}

/// Tells the gateway that everything may have changed: a stream or an instance was lost for a while.
pub(super) fn tell_all(outlet: &Outlet, subject: Option<&SubjectId>, capabilities: &Members) {
    let lists = [
        ("tools", Method::ToolsChanged),
        ("prompts", Method::PromptsChanged),
        ("resources", Method::ResourcesChanged),
    ];
    for (kind, method) in lists {
        if capabilities.has(kind) {
            outlet.tell(subject, Notice { method, params: None });
        }
    }
}

/// Tells the gateway that watched resources may have changed meanwhile.
pub(super) fn tell_watched<'a>(
    outlet: &Outlet,
    subject: Option<&SubjectId>,
    uris: impl IntoIterator<Item = &'a str>,
) {
    for uri in uris {
        let params = Some(Members::empty().edit().set("uri", Raw::of(uri)).members());
        outlet.tell(subject, Notice { method: Method::ResourceUpdated, params });
    }
}

/// What a listener knows of its instance.
#[derive(Debug)]
pub(super) struct Ear {
    pub(super) outlet: Arc<Outlet>,
    pub(super) subject: Option<SubjectId>,
    pub(super) hello: Arc<Hello>,
    pub(super) client_info: Raw,
    pub(super) life: Life,
}

/// Opens a listen request: a future that ends when the server closes the stream or it is lost.
pub(super) type Open = Box<dyn Fn(Call, mpsc::Sender<Event>) -> Soon<'static, Outcome> + Send + Sync>;

/// Keeps one stream open for what is wanted, until the instance ends.
pub(super) async fn run(ear: Ear, mut wanted: watch::Receiver<Interest>, open: Open) {
    let work = async {
        let mut old: Option<Soon<'_, End>> = None;
        let mut pause = PAUSE_MIN;
        loop {
            let interest = wanted.borrow_and_update().clone();
            let acknowledged = Arc::new(Notify::new());
            let opened = Instant::now();
            let mut stream = relay(&ear, &interest, &open, Arc::clone(&acknowledged));
            let end = match hold(&mut stream, &mut old, &acknowledged, &mut wanted).await {
                // The successor is opened before this one is closed, so that no change falls between the two.
                Held::Changed => {
                    old = (!interest.is_empty()).then_some(stream);
                    continue;
                }
                Held::Abandoned => return,
                Held::Ended(end) => end,
            };
            drop(stream);
            match end {
                End::Refused if wanted.changed().await.is_err() => return,
                End::Refused => continue,
                End::Lost => {}
            }
            pause = if opened.elapsed() > PAUSE_MAX { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
            sleep(pause).await;
            ear.tell_all(&interest);
        }
    };
    tokio::select! { () = work => {}, () = ear.life.stopping() => {} }
}

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The server does not want to be listened to in this way.
    Refused,
    /// It was closed or lost, and may be opened again.
    Lost,
}

/// Why a stream is no longer waited for.
enum Held {
    Changed,
    Abandoned,
    Ended(End),
}

/// Waits beside a stream, and lets its predecessor go when it is no longer needed.
async fn hold(
    stream: &mut Soon<'_, End>,
    old: &mut Option<Soon<'_, End>>,
    acknowledged: &Notify,
    wanted: &mut watch::Receiver<Interest>,
) -> Held {
    let mut patience = pin!(sleep(OVERLAP_MAX));
    loop {
        tokio::select! {
            end = &mut *stream => return Held::Ended(end),
            changed = wanted.changed() => {
                return if changed.is_ok() { Held::Changed } else { Held::Abandoned };
            }
            () = acknowledged.notified() => *old = None,
            () = &mut patience, if old.is_some() => *old = None,
            _ = end_of(old), if old.is_some() => *old = None,
        }
    }
}

async fn end_of(stream: &mut Option<Soon<'_, End>>) -> End {
    match stream {
        Some(stream) => stream.await,
        None => pending().await,
    }
}

/// Opens one stream and tells the gateway what it brings.
fn relay<'a>(ear: &'a Ear, interest: &Interest, open: &Open, acknowledged: Arc<Notify>) -> Soon<'a, End> {
    if interest.is_empty() {
        return Box::pin(pending());
    }
    let (sender, mut events) = mpsc::channel(QUEUE);
    let mut stream = open(interest.call(&ear.client_info), sender);
    Box::pin(async move {
        loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => match event {
                    Event::Notice(notice) if notice.method == Method::ListenAcknowledged => {
                        acknowledged.notify_one();
                    }
                    Event::Notice(notice) => ear.outlet.tell(ear.subject.as_ref(), unaddressed(notice)),
                    Event::Question { .. } | Event::Unoffered(_) => {}
                },
                outcome = &mut stream => return match outcome {
                    Ok(Answer::Error(_)) => End::Refused,
                    Ok(Answer::Result(_)) | Err(_) => End::Lost,
                },
            }
        }
    })
}

/// The id of our subscription means nothing to others.
fn unaddressed(notice: Notice) -> Notice {
    let Some(params) = &notice.params else { return notice };
    let Some(meta) = params.object("_meta") else { return notice };
    let rest = meta.edit().remove(SUBSCRIPTION_ID).finish();
    let edit = params.edit();
    let edit = if rest == Raw::EMPTY_OBJECT { edit.remove("_meta") } else { edit.set("_meta", rest) };
    Notice { method: notice.method, params: Some(edit.members()) }
}

impl Ear {
    /// Nobody knows what changed while there was no stream.
    fn tell_all(&self, interest: &Interest) {
        tell_all(&self.outlet, self.subject.as_ref(), &self.hello.capabilities);
        let uris = interest.resource_subscriptions.iter().map(String::as_str);
        tell_watched(&self.outlet, self.subject.as_ref(), uris);
    }
}
