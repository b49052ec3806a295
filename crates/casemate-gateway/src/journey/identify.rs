//! Stage 2: who asks. Before a body is buffered, so that strangers cannot make us hold memory.

use std::sync::Arc;

use casemate_policy::Subject;
use casemate_transport::listener::Peer;

use super::head::Head;
use crate::clock;
use crate::gate::Gate;
use crate::limits::Trial;
use crate::refusal::{Code, Refusal};
use crate::snapshot::Snapshot;

/// A message whose sender is known.
#[derive(Debug)]
pub struct Identified {
    /// Who asks.
    pub subject: Arc<Subject>,
    /// What is known of the message.
    pub head: Head,
    /// The configuration that the whole journey is judged by.
    pub snapshot: Arc<Snapshot>,
    _seal: Seal,
}

#[derive(Debug)]
struct Seal;

/// Finds the subject: a local user by what the kernel says of a Unix socket's peer, everybody else by a credential.
///
/// # Errors
/// [`Code::NoCredential`] and [`Code::BadCredential`], whose reason is private; [`Code::TooOften`] and
/// [`Code::TooManyAttempts`] when its address asks or guesses too much.
pub fn subject(gate: &Gate, head: Head) -> Result<Identified, Refusal> {
    gate.limiter().arrival(&head.peer)?;
    let subject = match (&head.credential, &head.peer) {
        // A key counts before the socket it came through: it may stand for fewer rights.
        (Some(credential), peer) => presented(gate, peer, credential)?,
        (None, Peer::Unix { uid, .. }) => gate.identities().local(*uid).ok_or_else(|| {
            Refusal::new(Code::BadCredential, "Only the user who runs the gateway may use its socket.")
                .with_detail(format_args!("uid {uid}"))
        })?,
        (None, _) => {
            return Err(Refusal::new(
                Code::NoCredential,
                "A credential is required: send `Authorization: Bearer KEY` with a key from `casemate key create`.",
            ));
        }
    };
    Ok(Identified { subject, head, snapshot: gate.snapshot(), _seal: Seal })
}

/// The subject of a credential, unless too many from there were not accepted.
fn presented(gate: &Gate, peer: &Peer, credential: &str) -> Result<Arc<Subject>, Refusal> {
    gate.limiter().attempt(peer, credential)?;
    let found = gate.identities().key(credential, clock::unix_now().as_secs());
    let trial = if found.is_ok() { Trial::Good } else { Trial::Bad };
    gate.limiter().tried(peer, credential, trial);
    found.map_err(|why| {
        Refusal::new(
            Code::BadCredential,
            "The credential is not accepted: it is unknown, expired or revoked.",
        )
        .with_detail(why)
    })
}
