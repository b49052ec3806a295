//! The two dialects of the protocol as adapters around the version-free [`Call`](crate::call::Call).
//!
//! *Legacy* (2024-11-05 to 2025-11-25) opens a session with `initialize` and says there what the client is and can
//! do. *Modern* (2026-07-28) says it in `params._meta` of every request. Both directions are here: reading what a
//! client sent, writing for a server, and writing a server's answer for the client.

pub mod legacy;
pub mod modern;

#[cfg(test)]
mod tests;

use crate::json::{Members, Raw};

/// Members of `_meta` that belong to a dialect, not to the caller's payload.
const DIALECT_META: [&str; 5] =
    [modern::VERSION, modern::CAPABILITIES, modern::CLIENT_INFO, modern::LOG_LEVEL, "progressToken"];

/// Replaces the dialect's part of `params._meta` and keeps everything else byte for byte.
fn with_meta(params: &Members, own: &[(&'static str, Raw)]) -> Raw {
    let meta = params.object("_meta").unwrap_or_else(Members::empty);
    let mut edit = meta.edit();
    for name in DIALECT_META.into_iter().filter(|name| meta.has(name)) {
        edit = edit.remove(name);
    }
    for (name, value) in own {
        edit = edit.set(*name, value.clone());
    }
    let edited = edit.finish();
    match edited.as_bytes() {
        b"{}" if !params.has("_meta") => params.raw().clone(),
        b"{}" => params.edit().remove("_meta").finish(),
        _ => params.edit().set("_meta", edited).finish(),
    }
}
