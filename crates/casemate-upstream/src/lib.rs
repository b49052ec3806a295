//! Upstreams that live and die well: one [`Server`] per entry of the configuration.
//!
//! Knows: when a server's instance is started, shared, left alone, replaced and ended; which dialect it speaks;
//! which call an incoming message belongs to; when a lost call may be sent again.
//! Does not know: who may call what, what a tool is, or what is done with an answer.
//!
//! An *instance* is one running conversation with a server: a process on stdio, a connection that carries whole messages
//! (a WebSocket, a socket with stdio framing), a legacy HTTP session, or the bookkeeping around a stateless modern endpoint. Instances start lazily and in single flight, are kept per
//! subject and offered capabilities (or shared, or per call), stop when idle, and are replaced with backoff when
//! they die. Nothing here outlives the [`Server`] that it belongs to, or [`Host::stop`].

mod alarm;
mod brake;
mod breaker;
mod caller;
mod credentials;
mod deadline;
mod desk;
pub mod entry;
mod fault;
mod host;
mod http;
mod instance;
mod level;
mod life;
mod listen;
mod masks;
mod outlet;
mod probe;
mod process;
pub mod report;
mod server;
mod socket;
mod status;
mod stdio;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use casemate_mcp::call::Call;
use casemate_mcp::json::Raw;

pub use alarm::{ALARMS_MAX, Alarm};
pub use caller::{Caller, Event, Hello, ServerNotice};
pub use credentials::{Credentials, Errand, Fetching, Invitation, NoCredentials, Rejection, Remedy};
pub use fault::Fault;
pub use host::{AnswerSize, Host};
pub use masks::Masks;
pub use process::{Exit, Input, Launch, Launcher, Overrun, Process, ProcessHandle, Soon};
pub use server::Server;
pub use status::{InstanceStatus, State, Status};

/// Locks. A panic while a lock was held cannot leave half a change behind: every change in this room is a step
/// that cannot fail.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A modern request says who asks; when the client did not say it, we are the client.
fn identity<'a>(call: &'a Call, client_info: &Raw) -> Cow<'a, Call> {
    if call.meta.client_info.is_some() {
        return Cow::Borrowed(call);
    }
    let mut call = call.clone();
    call.meta.client_info = Some(client_info.clone());
    Cow::Owned(call)
}
