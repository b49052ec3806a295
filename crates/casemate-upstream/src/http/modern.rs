//! A modern server over HTTP: every request stands for itself.

use std::sync::Arc;

use bytes::Bytes;
use casemate_mcp::call::{Answer, Call, Notice};
use casemate_mcp::dialect::modern;
use casemate_mcp::frame::{Id, notification_text, request_text};
use casemate_mcp::header::encode_value;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::revision::Revision;
use casemate_transport::http::Posted;
use casemate_transport::http::head::{MCP_METHOD, MCP_NAME};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::watch;

use super::answer::{Found, Reading, Stream};
use super::door::Door;
use crate::desk::{Desk, Outcome, Ticket};
use crate::instance::{Link, Opened, Request, Seed};
use crate::life::{End, Life};
use crate::listen::{self, Ear, Interest, Watching};
use crate::outlet::Outlet;
use crate::probe::{self, Era, Verdict};
use crate::{Fault, Hello, identity};

/// The bookkeeping around a stateless endpoint.
#[derive(Debug)]
pub(crate) struct Modern {
    wire: Arc<Wire>,
    life: Life,
    interest: watch::Sender<Interest>,
    client_info: Raw,
}

/// Posts requests and reads their answers.
#[derive(Debug)]
struct Wire {
    door: Arc<Door>,
    desk: Arc<Desk>,
    outlet: Arc<Outlet>,
}

/// A request that is ready to be posted.
struct Letter {
    text: Bytes,
    headers: HeaderMap,
}

/// Asks a server what it is.
pub(super) async fn discover(seed: &Seed, door: &Arc<Door>) -> Result<Verdict, Fault> {
    let wire = Wire::new(seed, door);
    match wire.discovered(seed).await {
        Ok(found) => Ok(found.outcome.as_ref().map_or(Verdict::Legacy, probe::judge)),
        // A stream that breaks or a page that is too large is no modern answer; no connection is no answer at all.
        Err(Fault::Gone { sent: true, .. } | Fault::TooBig { .. }) => Ok(Verdict::Legacy),
        Err(fault) => Err(fault),
    }
}

/// Begins to listen to a server that has been found to be modern.
pub(super) fn open(seed: &Seed, door: &Arc<Door>, hello: Hello) -> Opened {
    let life = Life::below(&seed.stop);
    let wire = Arc::new(Wire::new(seed, door));
    let hello = Arc::new(hello);
    let (interest, wanted) = watch::channel(Interest::of(&hello));
    let ear = Ear {
        outlet: Arc::clone(&seed.outlet),
        subject: seed.subject.clone(),
        hello: Arc::clone(&hello),
        client_info: seed.host.client_info.clone(),
        life: life.clone(),
    };
    let open = opener(Arc::clone(&wire));
    let own = life.clone();
    seed.host.tracker.spawn(async move {
        listen::run(ear, wanted, open).await;
        own.end(End::Asked);
    });
    let client_info = seed.host.client_info.clone();
    let link = Link::Modern(Modern { wire, life: life.clone(), interest, client_info });
    Opened { link, hello, proven: Some(Era::Modern), life }
}

fn opener(wire: Arc<Wire>) -> listen::Open {
    Box::new(move |call, events| {
        let wire = Arc::clone(&wire);
        Box::pin(async move {
            let ticket = wire.desk.open(&call.method, Some(events))?;
            let params = modern::params(&call, wire.desk.offered().raw(), None);
            let letter = wire.letter(&ticket, &call, &params);
            wire.exchange(ticket, letter).await?.outcome
        })
    })
}

impl Modern {
    /// Sends a call and waits for what becomes of it. Dropping the future closes its connection, which cancels it.
    pub(crate) async fn call(&self, request: Request<'_>) -> Outcome {
        let call = request.call;
        let ticket = self.wire.desk.open(&call.method, Some(request.events))?;
        let activity = Arc::clone(ticket.activity());
        let progress = call.meta.progress.as_ref().map(|_| Raw::of(&ticket.id()));
        let offered = self.wire.desk.offered_with(call);
        let params = modern::params(&identity(call, &self.client_info), offered.raw(), progress);
        let mut letter = self.wire.letter(&ticket, call, &params);
        for (name, value) in &request.caller.param_headers {
            if let (Ok(name), Some(value)) = (HeaderName::try_from(name), header_value(value)) {
                letter.headers.insert(name, value);
            }
        }
        let found = tokio::select! {
            biased;
            // First, so that a server that never stops talking cannot keep the time from running out.
            fault = request.deadline.passed(&activity) => return Err(fault),
            found = self.wire.exchange(ticket, letter) => found?,
            () = self.life.cut_off() => return Err(Fault::Gone { sent: true, why: "it was stopped".into() }),
        };
        if is_foreign(&found) {
            // It was replaced by a server that is not modern. It did nothing, so the call may be sent to the next one.
            self.life.end(End::Expired);
            return Err(Fault::Gone { sent: false, why: "it no longer speaks the modern dialect".into() });
        }
        found.outcome
    }

    /// Tells the server something.
    pub(crate) async fn notify(&self, notice: &Notice) {
        let params = notice.params.as_ref();
        let text = notification_text(&notice.method, params.map(Members::raw));
        let headers = self.wire.headers(&notice.method, params);
        _ = self.wire.door.post(headers, text).await;
    }

    /// Begins or ends a watch on a resource: the listen stream is opened anew.
    pub(crate) fn watch(&self, uri: &str, change: Watching) -> Outcome {
        self.interest.send_if_modified(|interest| interest.set_watched(uri, change));
        Ok(Answer::Result(Raw::EMPTY_OBJECT))
    }
}

/// Whether an answer can only come from a server that is not modern: an error status that no modern server gives
/// without saying why, or the code under which legacy servers ask for a session.
fn is_foreign(found: &Found) -> bool {
    const NO_SESSION: i64 = -32000;
    let is_error = matches!(
        found.status,
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    );
    is_error
        && match &found.outcome {
            Err(Fault::Protocol { .. }) => true,
            Ok(Answer::Error(error)) => error.code == NO_SESSION,
            _ => false,
        }
}

impl Wire {
    fn new(seed: &Seed, door: &Arc<Door>) -> Wire {
        let outlet = Arc::clone(&seed.outlet);
        let desk = Desk::new(seed.subject.clone(), seed.offered.clone(), Arc::clone(&outlet));
        Wire { door: Arc::clone(door), desk, outlet }
    }

    /// The answer to `server/discover`, asked a second time where the first one wants it.
    async fn discovered(&self, seed: &Seed) -> Result<Found, Fault> {
        let call = probe::own_call(Method::Discover, Members::empty(), &seed.host.client_info);
        let params = modern::params(&call, seed.offered.raw(), None);
        let ask = || async {
            let ticket = self.desk.open(&Method::Discover, None)?;
            let letter = self.letter(&ticket, &call, &params);
            self.exchange(ticket, letter).await
        };
        let found = ask().await?;
        if found.outcome.as_ref().is_ok_and(probe::wants_again) { ask().await } else { Ok(found) }
    }

    /// Writes a request.
    fn letter(&self, ticket: &Ticket, call: &Call, params: &Raw) -> Letter {
        let text = request_text(&Id::Number(ticket.id()), &call.method, Some(params));
        Letter { text, headers: self.headers(&call.method, Some(&call.params)) }
    }

    /// The headers that every request has.
    fn headers(&self, method: &Method, params: Option<&Members>) -> HeaderMap {
        let mut headers = self.door.headers(Revision::LATEST.as_str());
        if let Some(value) = header_value(method.as_str()) {
            headers.insert(MCP_METHOD, value);
        }
        let name = method.name_member().and_then(|member| params?.string(member));
        if let Some(value) = name.and_then(|name| header_value(&name)) {
            headers.insert(MCP_NAME, value);
        }
        headers
    }

    /// Posts a request and reads its answer. Dropping the future closes the connection.
    async fn exchange(&self, mut ticket: Ticket, letter: Letter) -> Result<Found, Fault> {
        let Letter { text, headers } = letter;
        let posted = self.door.post(headers, text).await?;
        let reading = Reading {
            door: &self.door,
            desk: &self.desk,
            outlet: &self.outlet,
            revision: Some(Revision::LATEST),
            id: ticket.id(),
        };
        match posted {
            Posted::Events { events, .. } => {
                let outcome = reading.stream(Stream::Plain(events), &mut ticket, |_| ()).await;
                Ok(Found { outcome, status: StatusCode::OK, is_addressed: true })
            }
            posted => Ok(reading.whole(posted, |_| ())),
        }
    }
}

/// A header's value; text that ASCII cannot carry is encoded as the protocol has it.
fn header_value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&encode_value(text)).ok()
}
