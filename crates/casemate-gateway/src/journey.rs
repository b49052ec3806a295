//! The journey of a call. Read this file first.
//!
//! Each stage takes the type that the stage before returned and gives the next one, or a [`Refusal`]. Constructors are
//! private to their stage's module, so a stage that is skipped does not compile. `docs/journey.md` tells the
//! same story in words.

mod admit;
mod afford;
mod answer;
mod authorize;
mod check;
mod consent;
mod cordon;
mod exchange;
#[cfg(test)]
mod figures;
mod flow;
mod forward;
mod head;
mod identify;
mod inspect;
mod intercept;
mod invite;
mod receive;
mod record;
mod route;
mod spool;
mod state;
mod stepup;

use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

pub use admit::Admissions;
pub use answer::Delivery;
pub use head::{Claims, Head, Incoming, SessionRef};
pub use identify::{Identified, subject as identify};
pub(crate) use receive::{ID_BYTES_MAX, unread};

use crate::gate::Gate;
use crate::refusal::{Code, Refusal};
use answer::Ticket;
use consent::Consent;
use cordon::Cordon;
use receive::{Message, Received};
use record::Record;

/// Takes what arrived from its head to its deliveries: one for each request in it, none for notifications.
///
/// # Errors
/// A [`Refusal`] when what arrived could not even be read as messages; it belongs to no request.
pub async fn run<B: Incoming>(gate: &Arc<Gate>, head: Head, body: B) -> Result<Vec<Delivery>, Refusal> {
    let identified = identify::subject(gate, head).await?;
    invite::present(gate, &identified);
    let admitted = admit::subject(gate, identified).await?;
    let messages = receive::messages(gate, admitted, body).await?;
    let mut deliveries = Vec::with_capacity(messages.len());
    for message in messages {
        match message {
            Message::Call(received) => deliveries.push(call(gate, received).await),
            Message::Unreadable(ticket, refusal) => deliveries.push(unreadable(gate, &ticket, refusal)),
            Message::Told(told) => told.deliver(gate).await,
        }
    }
    Ok(deliveries)
}

/// Takes one request to its delivery, whatever happens on the way: a panic is a refusal and a record too.
async fn call(gate: &Arc<Gate>, mut received: Box<Received>) -> Delivery {
    let ticket = received.ticket();
    let cancelled = received.cancelled();
    let mut record = Record::of(gate, &received);
    received.number = Some(record.call());
    // Listening begins before anything is judged, so that whatever is put in quarantine meanwhile is noticed.
    let turns = gate.quarantine().turns();
    let cordon = Cordon::around(gate, &received);
    // Pinned where it is made: a future that is handed on by value is copied at every hand.
    let outcome = {
        let journey = pin!(async {
            cordon.admit()?;
            let routed = route::target(gate, received).await?;
            let free = cordon.pass(routed)?;
            let checked = check::arguments(free)?;
            let judged = authorize::decide(gate, checked)?;
            let heard = intercept::request(gate, judged).await?;
            let permitted = match consent::given(gate, heard).await? {
                Consent::Given(permitted) => permitted,
                Consent::Question(question) => return Ok(inspect::question(question)),
            };
            let afforded = afford::request(gate, permitted)?;
            let recorded = record.intent(afforded)?;
            let answered = forward::send(gate, recorded).await?;
            consent::follow(gate, &answered);
            let passed = intercept::response(gate, answered).await?;
            let whole = spool::Whole::of(&passed.answered);
            let cleared = inspect::answer(gate, passed)?;
            Ok(spool::shown(gate, whole, cleared).await)
        });
        tokio::select! {
            biased;
            outcome = caught(journey) => outcome,
            () = cancelled => Err(Refusal::new(Code::Canceled, "The call was given up by the client.")),
            refusal = cordon.struck(turns) => Err(refusal),
        }
    };
    let outcome = invite::offer(gate, &ticket, outcome).await;
    let outcome = outcome.map_err(|refusal| refusal.under(record.call()));
    gate.note_refusal(record.subject(), &outcome);
    record.close(&outcome);
    answer::deliver(&ticket, outcome)
}

/// Answers a request that is wrong in itself. It is counted, and was never a call.
fn unreadable(gate: &Gate, ticket: &Ticket, refusal: Refusal) -> Delivery {
    let refusal = gate.turn_away(ticket.address, refusal);
    answer::deliver(ticket, Err(refusal))
}

/// Runs a future and turns a panic in it into a refusal: one broken call never takes the gateway down.
async fn caught<T, F>(mut journey: Pin<&mut F>) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, Refusal>>,
{
    std::future::poll_fn(|context| {
        // The future is dropped unfinished after a panic, so nobody can see what it left half done.
        match std::panic::catch_unwind(AssertUnwindSafe(|| journey.as_mut().poll(context))) {
            Ok(poll) => poll,
            Err(_) => Poll::Ready(Err(Refusal::new(
                Code::Internal,
                "Something failed inside the gateway; the call was not completed.",
            )
            .with_detail("panic"))),
        }
    })
    .await
}
