//! Stage 2: who asks. Before a body is buffered, so that strangers cannot make us hold memory.

use std::sync::Arc;

use casemate_policy::Subject;
use casemate_transport::http::ClientCertificate;
use casemate_transport::listener::Peer;

use super::cordon;
use super::head::Head;
use crate::clock;
use crate::gate::Gate;
use crate::limits::Trial;
use crate::ports::{Asked, Rejection};
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

/// Finds the subject: by a key or a token that came in the header made for it, and else a local user by what the
/// kernel says of a Unix socket's peer.
///
/// # Errors
/// [`Code::NoCredential`], [`Code::BadCredential`] and [`Code::InsufficientScope`], whose reason is private;
/// [`Code::TooOften`] and [`Code::TooManyAttempts`] when its address asks or guesses too much;
/// [`Code::SubjectQuarantined`].
pub async fn subject(gate: &Gate, head: Head) -> Result<Identified, Refusal> {
    gate.limiter().arrival(&head.peer)?;
    let snapshot = gate.snapshot();
    let subject = match (&head.credential, &head.peer) {
        // A key counts before the socket it came through: it may stand for fewer rights.
        (Some(presented), peer) => {
            gate.limiter().attempt(peer, presented)?;
            bearer(gate, &snapshot, (presented, &head)).await?
        }
        (None, Peer::Unix { uid, .. }) => gate.identities().local(*uid).ok_or_else(|| {
            Refusal::new(Code::BadCredential, "Only the user who runs the gateway may use its socket.")
                .with_detail(format_args!("uid {uid}"))
        })?,
        (None, _) => match &head.certificate {
            Some(certificate) => holder(gate, certificate)?,
            None => return Err(Refusal::new(Code::NoCredential, missing(&snapshot))),
        },
    };
    // Over HTTP, nothing is read for somebody in quarantine. A line has to be: its request wants an answer by its id.
    if head.claims.is_some() {
        cordon::admitted(gate.quarantine(), &subject.id)?;
    }
    Ok(Identified { subject, head, snapshot, _seal: Seal })
}

/// The subject of the certificate that was shown when the connection was made.
fn holder(gate: &Gate, certificate: &ClientCertificate) -> Result<Arc<Subject>, Refusal> {
    let now_unix_s = clock::unix_now().as_secs();
    let judged = match certificate.validity.covers(now_unix_s) {
        true => gate.identities().certificate(&certificate.der, now_unix_s),
        // It was valid when the connection was made.
        false => Err("the certificate has expired".to_owned()),
    };
    judged.map_err(|why| {
        let message = "The client certificate is not accepted: it has expired, or stands for nobody.";
        Refusal::new(Code::BadCredential, message).with_detail(why)
    })
}

/// The subject of a key or token. Only a token of a configured issuer whose key is not known yet is waited for.
async fn bearer(
    gate: &Gate,
    snapshot: &Snapshot,
    (presented, head): (&str, &Head),
) -> Result<Arc<Subject>, Refusal> {
    let judge = || {
        let now_unix_s = clock::unix_now().as_secs();
        gate.identities()
            .bearer(presented, Asked { endpoint: &head.endpoint, base: gate.base(snapshot), now_unix_s })
    };
    let outcome = match judge() {
        Err(Rejection::Unsettled(_)) => {
            gate.identities().settled(presented).await;
            judge()
        }
        outcome => outcome,
    };
    // One that has too little scope was recognized all the same: nobody guesses such a thing.
    let trial = if matches!(outcome, Ok(_) | Err(Rejection::Scopes(_))) { Trial::Good } else { Trial::Bad };
    gate.limiter().tried(&head.peer, presented, trial);
    outcome.map_err(|rejection| match rejection {
        Rejection::Scopes(scopes) => {
            Refusal::insufficient(scopes).with_detail("a scope that all tokens need")
        }
        Rejection::Refused(why) | Rejection::Unsettled(why) => Refusal::new(
            Code::BadCredential,
            "The credential is not accepted: it is unknown, expired or revoked.",
        )
        .with_detail(why),
    })
}

fn missing(snapshot: &Snapshot) -> &'static str {
    if snapshot.authorization.issuers.is_empty() {
        "A credential is required: send `Authorization: Bearer KEY` with a key from `casemate key create`."
    } else {
        "A credential is required: send `Authorization: Bearer …` with a token of an issuer that the metadata name, or \
         a key from `casemate key create`."
    }
}
