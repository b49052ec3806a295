//! The state that a modern client carries from a question to its reply: sealed, and good for this very call.
//!
//! It stands for a call that waits here. Where a modern server could not tell our subjects apart, its own state travels in it,
//! so that none of them can come with another's.

use std::time::Duration;

use casemate_auth::seal::{Bound, Purpose, SealFault};

use crate::catalog::Shelf;
use crate::clock;
use crate::gate::Gate;
use crate::journey::exchange;
use crate::journey::receive::Received;
use crate::parked::Number;
use crate::refusal::{Code, Refusal, Retry};

/// How long a server's own state is good: nothing waits for it meanwhile.
const SERVERS_TIME: Duration = Duration::from_secs(86_400);

/// What a payload begins with, so that the one is never taken for the other.
const CALL: u8 = 1;
const SERVER: u8 = 2;

/// What a state stands for.
#[derive(Debug)]
pub(super) enum Stands {
    /// A call that waits, and until when its state is good.
    ForCall(Number, u64),
    /// The state that the server gave.
    ForServers(String),
}

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
        self.token(gate, &[&[CALL][..], &number.0].concat(), time)
    }

    /// Seals a server's own state; `None` when it is too large or there is no randomness.
    pub(super) fn seal_servers(&self, gate: &Gate, state: &str) -> Option<String> {
        self.token(gate, &[&[SERVER][..], state.as_bytes()].concat(), SERVERS_TIME)
    }

    fn token(&self, gate: &Gate, payload: &[u8], time: Duration) -> Option<String> {
        let expires = clock::unix_now().as_secs().saturating_add(time.as_secs().max(1));
        gate.seals().seal(Purpose::State, &self.bound, (payload, expires)).ok()
    }

    /// What such a state stands for.
    ///
    /// # Errors
    /// [`NotOurs`].
    pub(super) fn open(&self, gate: &Gate, state: &str) -> Result<Stands, NotOurs> {
        let now = clock::unix_now().as_secs();
        let opened = gate.seals().open(Purpose::State, &self.bound, (state, now)).map_err(NotOurs::Seal)?;
        let foreign = NotOurs::Seal(SealFault::Foreign);
        match opened.payload.split_first() {
            // Any replica can go on with a server's own state, and only one with a call that waits.
            Some((&SERVER, state)) => {
                let state = String::from_utf8(state.to_vec()).map_err(|_| foreign)?;
                Ok(Stands::ForServers(state))
            }
            Some((&CALL, _)) if opened.owner != gate.seals().owner() => Err(NotOurs::Elsewhere),
            Some((&CALL, number)) => {
                let number = number.try_into().map_err(|_| foreign)?;
                Ok(Stands::ForCall(Number(number), opened.expires))
            }
            _ => Err(foreign),
        }
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
            SealFault::Malformed | SealFault::Misused | SealFault::Stranger | SealFault::Tampered => {
                Refusal::new(
                    Code::BadState,
                    "The requestState is none that was given here, or was changed on the way. Send it back exactly as it came, or \
                 begin the call anew without it.",
                )
            }
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
