//! The way to one HTTP server: its address, its connections, and the headers that every request has.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use casemate_policy::SubjectId;
use casemate_transport::http::head::PROTOCOL_VERSION;
use casemate_transport::http::{BodyFault, ClientFault, Endpoint, Posted};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use crate::entry::{HttpSource, ServerEntry, Source};
use crate::instance::Seed;
use crate::{Credentials, Errand, Fault, Host, Masks, Rejection, Remedy};

/// The way to one HTTP server. All its instances share the connections.
pub(crate) struct Door {
    pub(super) endpoint: Endpoint,
    /// What the entry adds to every request. The values are secrets.
    headers: HeaderMap,
    result_bytes_max: usize,
    /// Where tokens come from, and for whom; none for a server whose entry brings a credential of its own.
    pass: Option<Pass>,
}

/// Where the tokens of one instance come from.
#[derive(Clone)]
struct Pass {
    credentials: Arc<dyn Credentials>,
    masks: Arc<Masks>,
    entry: Arc<ServerEntry>,
    subject: Option<SubjectId>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Door({} headers, not shown)", self.headers.len())
    }
}

impl Door {
    /// The way to an entry's server, when it is an HTTP server; or why it cannot be gone.
    pub(crate) fn of(entry: &ServerEntry, host: &Host) -> Option<Result<Arc<Door>, String>> {
        let Source::Http(source) = &entry.source else { return None };
        let door = || {
            let endpoint = host.http.endpoint(&source.url).map_err(|fault| fault.to_string())?;
            let result_bytes_max = host.result_bytes_max;
            Ok(Arc::new(Door { endpoint, headers: static_headers(source)?, result_bytes_max, pass: None }))
        };
        Some(door())
    }

    /// The same way for an instance, which is somebody's.
    pub(super) fn of_instance(&self, seed: &Seed) -> Arc<Door> {
        let pass = (!self.headers.contains_key(AUTHORIZATION)).then(|| Pass {
            credentials: Arc::clone(&seed.host.credentials),
            masks: Arc::clone(&seed.host.masks),
            entry: Arc::clone(&seed.entry),
            subject: seed.subject.clone(),
        });
        let headers = self.headers.clone();
        let result_bytes_max = self.result_bytes_max;
        Arc::new(Door { endpoint: self.endpoint.clone(), headers, result_bytes_max, pass })
    }

    /// Posts a message, with a token where there is one. A server that refuses it for want of a login is asked again
    /// once, when there is another token.
    ///
    /// # Errors
    /// A [`Fault`]: there is no answer, or the server wants a login.
    pub(super) async fn post(&self, headers: HeaderMap, text: Bytes) -> Result<Posted, Fault> {
        let Some(pass) = &self.pass else {
            return self.endpoint.post(headers, text).await.map_err(|fault| self.fault(&fault));
        };
        let mut token = pass.credentials.token(pass.errand()).await;
        for is_last in [false, true] {
            let posted =
                self.endpoint.post(pass.with_token(headers.clone(), token.as_ref()), text.clone()).await;
            let posted = posted.map_err(|fault| self.fault(&fault))?;
            let Some(challenges) = wants_login(&posted) else { return Ok(posted) };
            let rejection = Rejection { status: posted.status(), challenges, sent: token.as_ref() };
            token = match pass.credentials.refused(pass.errand(), rejection).await {
                Remedy::Token(token) if !is_last => Some(token),
                Remedy::Token(_) | Remedy::Login => return Err(Fault::Login),
                Remedy::Nothing(why) => {
                    tracing::warn!(server = %pass.entry.name, why, "the server refuses our requests");
                    return Ok(posted);
                }
            };
        }
        Err(Fault::Login)
    }

    /// The headers of a request that is no post, with a token where there is one.
    pub(super) async fn admitted(&self, headers: HeaderMap) -> HeaderMap {
        match &self.pass {
            None => headers,
            Some(pass) => pass.with_token(headers, pass.credentials.token(pass.errand()).await.as_ref()),
        }
    }

    /// The headers of a request in a revision, with room for those of its method.
    pub(super) fn headers(&self, revision: &'static str) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(revision));
        headers
    }

    /// Puts what happened to an exchange into words, and says whether the server may have seen the request.
    pub(super) fn fault(&self, fault: &ClientFault) -> Fault {
        let too_big = Fault::TooBig { limit: self.result_bytes_max };
        match fault {
            ClientFault::Body { source: BodyFault::TooLarge { .. } } | ClientFault::Event { .. } => too_big,
            _ => Fault::Gone { sent: !fault.never_sent(), why: chain(fault) },
        }
    }

    /// Largest answer that is taken, in bytes.
    pub(super) fn result_bytes_max(&self) -> usize {
        self.result_bytes_max
    }
}

/// A fault with its causes.
fn chain(fault: &ClientFault) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(fault) = cause {
        text.push_str(": ");
        text.push_str(&fault.to_string());
        cause = fault.source();
    }
    text
}

impl Pass {
    fn errand(&self) -> Errand<'_> {
        Errand { entry: &self.entry, subject: self.subject.as_ref() }
    }

    /// Headers with a token where there is one. From before it is sent, whoever repeats it is not heard.
    fn with_token(&self, mut headers: HeaderMap, token: Option<&SecretString>) -> HeaderMap {
        let Some(token) = token else { return headers };
        self.masks.lend(token);
        if let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }
}

/// The challenges of a server that wants a login, or more rights than the token gives.
fn wants_login(posted: &Posted) -> Option<Vec<String>> {
    let values = posted.headers().get_all(WWW_AUTHENTICATE).iter();
    let challenges: Vec<String> = values.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect();
    // A server that forbids without a word about scopes means it.
    let wants_more = || challenges.iter().any(|challenge| challenge.contains("insufficient_scope"));
    match posted.status() {
        StatusCode::UNAUTHORIZED => Some(challenges),
        StatusCode::FORBIDDEN if wants_more() => Some(challenges),
        _ => None,
    }
}

fn static_headers(source: &HttpSource) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(source.headers.len() + 6);
    for (name, value) in &source.headers {
        let wrong = |what| format!("the {what} of the header {name:?} is not one that HTTP can carry");
        let key = HeaderName::try_from(name).map_err(|_| wrong("name"))?;
        let mut value = HeaderValue::try_from(value.expose_secret()).map_err(|_| wrong("value"))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}
