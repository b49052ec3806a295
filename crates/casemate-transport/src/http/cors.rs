//! Which web pages may read our answers (CORS), and whether a request is one that a page made without asking.
//!
//! Off unless origins are listed. There are no cookies, so `Access-Control-Allow-Credentials` is never sent, and
//! `*` never is either: a page is told its own origin or nothing.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::head::{Head, PARAM_PREFIX};
use super::reply::Reply;
use super::rules::Origin;

/// Said by browsers of the page that a request comes from: `same-origin`, `same-site`, `cross-site` or `none`.
pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// What pages may send.
const METHODS: [Method; 3] = [Method::GET, Method::POST, Method::DELETE];
const METHODS_TEXT: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");
/// The headers that they may send besides those that browsers always let through; `Mcp-Param-*` as well.
const HEADERS: [&str; 8] = [
    "accept",
    "authorization",
    "content-type",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
];
/// The headers of answers that they may read.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("mcp-session-id, retry-after, www-authenticate, x-request-id");
/// Longest list of headers that is asked for, in bytes: all ours are shorter.
const ASKED_MAX: usize = 1024;
/// How long a browser may remember the permission, in seconds. A page that is taken off the list is refused anyway.
const AGE: HeaderValue = HeaderValue::from_static("600");

/// What the answer to a request says to the browser that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Page {
    /// No page is listed, so nothing depends on who asks.
    Off,
    /// Pages are listed, and this is none of them.
    Other,
    /// This page may read the answer.
    Listed(HeaderValue),
}

impl Page {
    /// Who asks, by headers that are known to be readable and to occur once.
    pub(super) fn of(list: &[Origin], headers: &HeaderMap) -> Page {
        if list.is_empty() {
            return Page::Off;
        }
        let origin = headers.get(ORIGIN).filter(|value| {
            headers.get_all(ORIGIN).iter().nth(1).is_none() && {
                value.to_str().is_ok_and(|text| Origin::admitted(list, text))
            }
        });
        origin.map_or(Page::Other, |origin| Page::Listed(origin.clone()))
    }

    /// Adds what the browser needs to show the answer to the page.
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        match self {
            Page::Off => {}
            Page::Other => _ = headers.insert(VARY, HeaderValue::from_static("origin")),
            Page::Listed(origin) => {
                headers.insert(VARY, HeaderValue::from_static("origin"));
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            }
        }
    }

    /// The answer to a listed page that asks whether it may send something; `None` for every other request.
    pub(super) fn preflight(&self, head: &Head) -> Option<Reply> {
        let asked = head.headers.get(ACCESS_CONTROL_REQUEST_METHOD)?;
        if !matches!(self, Page::Listed(_)) || head.method != Method::OPTIONS {
            return None;
        }
        let is_ours = METHODS.iter().any(|method| method.as_str().as_bytes() == asked.as_bytes());
        let reply = Reply::empty(StatusCode::NO_CONTENT);
        if !is_ours {
            return Some(reply);
        }
        let reply = reply.with(ACCESS_CONTROL_ALLOW_METHODS, METHODS_TEXT).with(ACCESS_CONTROL_MAX_AGE, AGE);
        Some(match allowed_headers(&head.headers) {
            Some(allowed) => reply.with(ACCESS_CONTROL_ALLOW_HEADERS, allowed),
            None => reply,
        })
    }
}

/// The headers of those that are asked for which a page may send. The browser refuses the page when one is missing.
fn allowed_headers(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS)?.to_str().ok()?;
    let asked = (asked.len() <= ASKED_MAX).then_some(asked)?.to_ascii_lowercase();
    let is_ours = |name: &&str| HEADERS.contains(name) || is_param(name);
    let allowed: Vec<&str> = asked.split(',').map(str::trim_ascii).filter(is_ours).collect();
    HeaderValue::from_str(&allowed.join(", ")).ok().filter(|value| !value.is_empty())
}

fn is_param(name: &str) -> bool {
    name.strip_prefix(PARAM_PREFIX).is_some_and(|rest| !rest.is_empty()) && name.parse::<HeaderName>().is_ok()
}

/// Whether a browser says that another site's page makes the request, and no `Origin` says which: an image, a link, a form
/// of old. What has an `Origin` was judged by it already.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    let Some(site) = headers.get(SEC_FETCH_SITE) else { return false };
    !headers.contains_key(ORIGIN) && !matches!(site.as_bytes(), b"same-origin" | b"none")
}

/// Whether a browser says that a person goes somewhere with it: what the page gets to see, no other page does.
pub(super) fn is_visit(headers: &HeaderMap) -> bool {
    let is = |name, wanted: &[u8]| headers.get(name).is_some_and(|value| value.as_bytes() == wanted);
    is(SEC_FETCH_MODE, b"navigate") && is(SEC_FETCH_DEST, b"document")
}

#[cfg(test)]
mod tests;
