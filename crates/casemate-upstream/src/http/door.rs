//! The way to one HTTP server: its address, its connections, and the headers that every request has.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use casemate_transport::http::head::PROTOCOL_VERSION;
use casemate_transport::http::{BodyFault, ClientFault, Endpoint};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

use crate::entry::{HttpSource, ServerEntry, Source};
use crate::{Fault, Host};

/// The way to one HTTP server. All its instances share the connections.
pub(crate) struct Door {
    pub(super) endpoint: Endpoint,
    /// What the entry adds to every request. The values are secrets.
    headers: HeaderMap,
    result_bytes_max: usize,
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
            Ok(Arc::new(Door { endpoint, headers: static_headers(source)?, result_bytes_max }))
        };
        Some(door())
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
