//! The handshake: an HTTP request that asks for a WebSocket, and the answer that opens it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::digest;
use thiserror::Error;

use crate::http::Head;

/// What MCP over WebSocket is called in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "mcp";

const VERSION: HeaderValue = HeaderValue::from_static("13");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
/// The text that RFC 6455 section 1.3 has both sides put behind the key.
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Why a request does not open a WebSocket, or an answer did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HandshakeFault {
    /// It does not ask for one.
    #[error("the request does not ask for a WebSocket (Upgrade: websocket, over HTTP/1.1)")]
    Unasked,
    /// It asks for another version.
    #[error("only version 13 of the WebSocket protocol is spoken here")]
    Version,
    /// Its key is none.
    #[error("Sec-WebSocket-Key is missing, doubled or not 16 bytes in base64")]
    Key,
    /// The answer was not made for our request.
    #[error("the answer does not fit the key that was sent")]
    Answer,
    /// The answer chose an extension or a subprotocol that was not offered.
    #[error("the answer chose what was not offered")]
    Choice,
}

/// The headers of the answer that opens the WebSocket which a request asks for. `Host`, `Origin` and whoever asks are
/// judged elsewhere.
///
/// # Errors
/// [`HandshakeFault`].
pub fn accept(head: &Head) -> Result<HeaderMap, HandshakeFault> {
    let headers = &head.headers;
    if !head.can_switch || !lists(headers, &CONNECTION, "upgrade") || !lists(headers, &UPGRADE, "websocket") {
        return Err(HandshakeFault::Unasked);
    }
    if only(headers, &SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(HandshakeFault::Version);
    }
    let key = only(headers, &SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let key = key.filter(|key| STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16));
    let answer = digest_of(key.ok_or(HandshakeFault::Key)?);
    let mut answer_headers = HeaderMap::with_capacity(16);
    answer_headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer_headers.insert(UPGRADE, WEBSOCKET);
    answer_headers.insert(SEC_WEBSOCKET_ACCEPT, answer);
    if lists(headers, &SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        answer_headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    Ok(answer_headers)
}

/// A request that was made, so that its answer can be told from another's.
#[derive(Debug)]
pub struct Asking(HeaderValue);

/// Adds what asks for a WebSocket to the headers of a GET request.
///
/// # Errors
/// [`HandshakeFault::Key`]: the system gave no randomness.
pub fn ask(headers: &mut HeaderMap) -> Result<Asking, HandshakeFault> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|_| HandshakeFault::Key)?;
    let key = STANDARD.encode(nonce);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, WEBSOCKET);
    headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&key).map_err(|_| HandshakeFault::Key)?);
    Ok(Asking(digest_of(&key)))
}

impl Asking {
    /// Whether the headers of a 101 are the answer to this request.
    ///
    /// # Errors
    /// [`HandshakeFault`].
    pub fn is_answered_by(&self, headers: &HeaderMap) -> Result<(), HandshakeFault> {
        let is_switched = lists(headers, &CONNECTION, "upgrade") && lists(headers, &UPGRADE, "websocket");
        if !is_switched || only(headers, &SEC_WEBSOCKET_ACCEPT) != Some(&self.0) {
            return Err(HandshakeFault::Answer);
        }
        let chosen = headers.get(SEC_WEBSOCKET_PROTOCOL);
        let is_ours = chosen.is_none_or(|chosen| chosen == SUBPROTOCOL);
        if !is_ours || headers.contains_key(http::header::SEC_WEBSOCKET_EXTENSIONS) {
            return Err(HandshakeFault::Choice);
        }
        Ok(())
    }
}

pub(super) fn digest_of(key: &str) -> HeaderValue {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(MAGIC.as_bytes());
    // Base64 is always a legal value.
    HeaderValue::from_str(&STANDARD.encode(context.finish())).unwrap_or(WEBSOCKET)
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Whether a list of tokens, which may come in several headers, holds one.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim_ascii().eq_ignore_ascii_case(token))
}
