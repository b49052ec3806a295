//! Frames as text.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};

use super::{ErrorObject, Id};
use crate::json::Raw;
use crate::method::Method;

/// The text of a request.
#[must_use]
pub fn request_text(id: &Id, method: &Method, params: Option<&Raw>) -> Bytes {
    let mut out =
        BytesMut::with_capacity(64 + method.as_str().len() + params.map_or(0, |raw| raw.as_bytes().len()));
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    put_id(&mut out, id);
    put_method(&mut out, method, params);
    out.freeze()
}

/// The text of a notification.
#[must_use]
pub fn notification_text(method: &Method, params: Option<&Raw>) -> Bytes {
    let mut out =
        BytesMut::with_capacity(48 + method.as_str().len() + params.map_or(0, |raw| raw.as_bytes().len()));
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
    put_method(&mut out, method, params);
    out.freeze()
}

/// The text of a response in three parts, so that a large result is passed on without a copy.
#[must_use]
pub fn response_parts(id: &Id, result: &Raw) -> [Bytes; 3] {
    let mut head = BytesMut::with_capacity(48);
    head.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    put_id(&mut head, id);
    head.extend_from_slice(b",\"result\":");
    [head.freeze(), result.bytes(), Bytes::from_static(b"}")]
}

/// The text of a response.
#[must_use]
pub fn response_text(id: &Id, result: &Raw) -> Bytes {
    let parts = response_parts(id, result);
    let mut out = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    for part in &parts {
        out.extend_from_slice(part);
    }
    out.freeze()
}

/// The text of an error response. Without an id the request's could not be read; JSON-RPC writes `null` then.
#[must_use]
pub fn error_text(id: Option<&Id>, error: &ErrorObject) -> Bytes {
    let mut out = BytesMut::with_capacity(64 + error.message.len());
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    match id {
        Some(id) => put_id(&mut out, id),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"error\":");
    out.extend_from_slice(Raw::of(error).as_bytes());
    out.extend_from_slice(b"}");
    out.freeze()
}

fn put_id(out: &mut BytesMut, id: &Id) {
    match id {
        // Writing to memory cannot fail.
        Id::Number(number) => _ = write!(out, "{number}"),
        Id::String(text) => out.extend_from_slice(Raw::string_of(text).as_bytes()),
    }
}

fn put_method(out: &mut BytesMut, method: &Method, params: Option<&Raw>) {
    out.extend_from_slice(b",\"method\":");
    out.extend_from_slice(Raw::string_of(method.as_str()).as_bytes());
    if let Some(params) = params {
        out.extend_from_slice(b",\"params\":");
        out.extend_from_slice(params.as_bytes());
    }
    out.extend_from_slice(b"}");
}
