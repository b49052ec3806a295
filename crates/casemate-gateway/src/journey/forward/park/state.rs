//! The state that a modern client carries from a question to its reply: sealed, and good for this very call.

use std::time::Duration;

use casemate_auth::seal::{Bound, Purpose, SealFault};

use crate::catalog::Shelf;
use crate::clock;
use crate::gate::Gate;
use crate::journey::exchange;
use crate::journey::receive::Received;
use crate::parked::Number;
use crate::refusal::{Code, Refusal, Retry};

/// What a state is bound to.
pub(super) struct State<'a> {
    bound: Bound<'a>,
}

/// Why a state is not good for this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotOurs {
    /// It was not made here, or not for this.
    Seal(SealFault),
    /// Another replica made it, and has the call.
    Elsewhere,
}

impl<'a> State<'a> {
    /// The state of this call.
    pub(super) fn of(received: &'a Received, shelf: &'a Shelf) -> State<'a> {
        let bound = Bound {
            subject: received.passage.identified.subject.id.as_str(),
            server: shelf.server().entry().name.as_str(),
            method: received.call.method.as_str(),
            digest: exchange::digest(&received.call.params),
        };
        State { bound }
    }

    /// Seals the number of a call that waits for so long; `None` when there is no randomness.
    pub(super) fn seal(&self, gate: &Gate, number: Number, time: Duration) -> Option<String> {
        let expires = clock::unix_now().as_secs().saturating_add(time.as_secs().max(1));
        gate.seals().seal(Purpose::State, &self.bound, (&number.0, expires)).ok()
    }

    /// The number of the call that waits, and until when its state is good.
    ///
    /// # Errors
    /// [`NotOurs`].
    pub(super) fn open(&self, gate: &Gate, state: &str) -> Result<(Number, u64), NotOurs> {
        let now = clock::unix_now().as_secs();
        let opened =
            gate.seals().open(Purpose::State, &self.bound, (state, now)).map_err(NotOurs::Seal)?;
        if opened.owner != gate.seals().owner() {
            return Err(NotOurs::Elsewhere);
        }
        let number = opened.payload.try_into().map_err(|_| NotOurs::Seal(SealFault::Foreign))?;
        Ok((Number(number), opened.expires))
    }
}

impl NotOurs {
    /// Whether it could be a state that a modern server gave. One under a key of ours is not: whoever changed it, it was
    /// made here.
    pub(super) fn may_be_the_servers(self) -> bool {
        matches!(self, NotOurs::Seal(SealFault::Malformed | SealFault::Misused | SealFault::Stranger))
    }

    /// What the client is told.
    pub(super) fn refusal(self) -> Refusal {
        let fault = match self {
            NotOurs::Elsewhere => return over("another replica of this gateway has it"),
            NotOurs::Seal(fault) => fault,
        };
        let refusal = match fault {
            SealFault::Late => return over("its time was up (questions.time)"),
            SealFault::Foreign => Refusal::new(
                Code::ForeignState,
                "The requestState belongs to another call: it was given to another subject, or for another server, method or \
                 params. Send the request that it was given for, unchanged, or begin anew without it.",
            ),
            SealFault::Malformed | SealFault::Misused | SealFault::Stranger | SealFault::Tampered => Refusal::new(
                Code::BadState,
                "The requestState is none that was given here, or was changed on the way. Send it back exactly as it came, or \
                 begin the call anew without it.",
            ),
        };
        refusal.with_detail(fault)
    }
}

/// The answer for a call that waits no longer.
pub(super) fn over(why: &str) -> Refusal {
    let message = format!(
        "The call waits no longer: {why}. It was canceled at its server; begin it anew, without requestState."
    );
    Refusal::new(Code::NotWaiting, message).with_retry(Retry::Check)
}
