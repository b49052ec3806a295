//! What is asked for, and what came back.

use std::fmt::{self, Debug};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::url::Url;

/// A request that has not been sent.
#[derive(Clone)]
pub struct Request {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// An answer, all of it. `Debug` shows no header and no body: tokens come this way.
#[derive(Clone)]
pub struct Fetched {
    /// Where it came from in the end, after the redirects.
    pub url: Url,
    /// The status.
    pub status: StatusCode,
    /// The headers, which nobody has checked.
    pub headers: HeaderMap,
    /// The body, which nobody has checked.
    pub body: Bytes,
}

impl Request {
    /// Asks for what is there.
    #[must_use]
    pub fn get(url: Url) -> Request {
        Request { url, method: Method::GET, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// Posts a form (`application/x-www-form-urlencoded`), as OAuth does.
    #[must_use]
    pub fn post_form(url: Url, fields: &[(&str, &str)]) -> Request {
        let mut body = String::new();
        for (index, (name, value)) in fields.iter().enumerate() {
            if index > 0 {
                body.push('&');
            }
            encode(name, &mut body);
            body.push('=');
            encode(value, &mut body);
        }
        Request::post(url, HeaderValue::from_static("application/x-www-form-urlencoded"), body.into())
    }

    /// Posts JSON, as the registration of clients does (RFC 7591).
    #[must_use]
    pub fn post_json(url: Url, body: Bytes) -> Request {
        Request::post(url, HeaderValue::from_static("application/json"), body)
    }

    /// The same with a header, in the place of one of that name. `Host`, `Accept` and what belongs to the connection
    /// are not the caller's.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, mut value: HeaderValue) -> Request {
        // No header of ours belongs into a log, and this is what hyper and http go by.
        value.set_sensitive(true);
        self.headers.insert(name, value);
        self
    }

    fn post(url: Url, kind: HeaderValue, body: Bytes) -> Request {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind)]);
        Request { url, method: Method::POST, headers, body }
    }

    pub(super) fn has_body(&self) -> bool {
        self.method != Method::GET
    }

    /// The same at another place. What was meant for one origin is not shown to another.
    pub(super) fn moved(mut self, url: Url) -> Request {
        if url.origin() != self.url.origin() {
            self.headers.clear();
        }
        self.url = url;
        self
    }
}

impl Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

impl Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}, {} bytes", self.status, self.url, self.body.len())
    }
}

/// Appends a text in the form of the URL standard's `application/x-www-form-urlencoded` serializer.
fn encode(text: &str, into: &mut String) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or('0');
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => into.push(byte.into()),
            b' ' => into.push('+'),
            _ => into.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
}
