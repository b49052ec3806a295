//! A legacy stream that is resumed when it breaks off.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::Instant;

use super::events::Events;
use super::fault::ClientFault;
use super::{Endpoint, Posted};
use crate::http::events::Event;
use crate::http::head::LAST_EVENT_ID;

/// What a server may ask us to wait at most: a longer wait would only keep the call's place.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// What we wait at least, so that a server cannot make us spin.
const RETRY_MIN: Duration = Duration::from_millis(10);

/// How to come back to a stream.
#[derive(Debug, Clone)]
pub struct ResumePlan {
    /// The server's endpoint for GET.
    pub endpoint: Endpoint,
    /// The headers of the GET: session, protocol version, credentials. `Last-Event-ID` is added.
    pub headers: HeaderMap,
    /// The wait before coming back where the server names none (1 s is usual).
    pub retry: Duration,
    /// How often to come back without getting a single event before giving up (5 is usual).
    pub tries_max: u32,
}

/// A stream that ends only when the server will not resume it: at its end the client comes back with the id of
/// the last event. The caller stops asking when it has what it wants.
#[derive(Debug)]
pub struct ResumingEvents {
    plan: ResumePlan,
    state: State,
    last_id: Option<HeaderValue>,
    tries: u32,
}

#[derive(Debug)]
enum State {
    Reading(Events),
    Waiting(Instant),
    Ended,
}

impl ResumingEvents {
    /// Goes on with a stream that has begun.
    #[must_use]
    pub fn new(events: Events, plan: ResumePlan) -> Self {
        Self { plan, state: State::Reading(events), last_id: None, tries: 0 }
    }

    /// The next event; `None` when the stream ended and cannot be gone on with: it gave no id, or coming back
    /// brought nothing for too many times. Cancel safe: a wait goes on where it was, a GET is repeated.
    ///
    /// # Errors
    /// [`ClientFault`] when the stream broke and cannot be resumed, for the same reasons or because the server
    /// answers with something else than a stream ([`ClientFault::NotResumed`]).
    pub async fn next(&mut self) -> Result<Option<Event>, ClientFault> {
        loop {
            match &mut self.state {
                State::Ended => return Ok(None),
                State::Waiting(until) => {
                    tokio::time::sleep_until(*until).await;
                    self.come_back().await?;
                }
                State::Reading(events) => match events.next().await {
                    Ok(Some(event)) => {
                        self.tries = 0;
                        return Ok(Some(event));
                    }
                    Ok(None) => self.lose(None)?,
                    Err(fault @ ClientFault::Lost { .. }) => self.lose(Some(fault))?,
                    Err(fault) => {
                        self.state = State::Ended;
                        return Err(fault);
                    }
                },
            }
        }
    }

    /// The stream is over: decides whether and when to come back.
    fn lose(&mut self, fault: Option<ClientFault>) -> Result<(), ClientFault> {
        let State::Reading(events) = std::mem::replace(&mut self.state, State::Ended) else { return Ok(()) };
        if let Some(id) = events.last_id().and_then(|id| HeaderValue::from_str(id).ok()) {
            self.last_id = Some(id);
        }
        if let Some(retry) = events.retry() {
            self.plan.retry = retry.clamp(RETRY_MIN, RETRY_MAX);
        }
        if self.last_id.is_some() && self.tries < self.plan.tries_max {
            self.wait();
            return Ok(());
        }
        fault.map_or(Ok(()), Err)
    }

    fn wait(&mut self) {
        self.tries += 1;
        self.state = State::Waiting(Instant::now() + self.plan.retry);
    }

    /// Asks for the rest of the stream.
    async fn come_back(&mut self) -> Result<(), ClientFault> {
        let mut headers = self.plan.headers.clone();
        if let Some(id) = &self.last_id {
            headers.insert(LAST_EVENT_ID, id.clone());
        }
        let outcome = match self.plan.endpoint.get_events(headers).await {
            Ok(Posted::Events { events, .. }) => {
                self.state = State::Reading(events);
                return Ok(());
            }
            Ok(other) => Err(ClientFault::NotResumed { status: other.status() }),
            Err(fault) => Err(fault),
        };
        let passing = match &outcome {
            Err(ClientFault::NotResumed { status }) => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => true,
        };
        if passing && self.tries < self.plan.tries_max {
            self.wait();
            return Ok(());
        }
        self.state = State::Ended;
        outcome
    }
}
