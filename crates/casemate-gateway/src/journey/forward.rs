//! Stage 8: the request goes to whoever answers it.

mod ask;
mod discovery;
mod listen;
mod notice;
mod own;
mod park;
mod relay;
mod rounds;
mod task;

use std::sync::Arc;

use casemate_mcp::call::Answer;
use casemate_mcp::json::Raw;
use casemate_mcp::names::ServerName;

use super::flow;
use super::receive::Received;
use super::record::Recorded;
use super::route::Target;
use crate::catalog::Shelf;
use crate::client::Session;
use crate::gate::Gate;
use crate::refusal::{Code, Refusal, Retry};
use crate::upstream::Fault;

/// The levels of log messages, in RFC 5424's order from the least to the most severe.
const LOG_LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// A request that was answered, and the answer as it came.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) received: Box<Received>,
    pub(super) target: Target,
    pub(super) answer: Answer,
    /// The session that `initialize` opened.
    pub(super) opened: Option<Arc<Session>>,
    /// It is a question that we put together ourselves, from what was looked at piece by piece.
    pub(super) is_question: bool,
    _seal: Seal,
}

/// What a request came to.
enum Reply {
    /// The server's answer.
    Answer(Answer),
    /// A question of the server to a client that comes back with the answer.
    Question(Raw),
}

#[derive(Debug)]
struct Seal;

/// Sends the request and waits for its answer.
///
/// # Errors
/// [`Code::ServerDown`] and its kin: there is no answer.
pub(super) async fn send(gate: &Arc<Gate>, recorded: Recorded) -> Result<Answered, Refusal> {
    let mut checked = recorded.permitted.checked;
    let wish = task::prepare(&mut checked.received, &checked.target).await?;
    let mut opened = None;
    let reply = match &checked.target {
        // Boxed, since it needs more room than a call to a server, which would carry it along.
        Target::Own(own) => {
            Reply::Answer(Box::pin(own::answer(gate, &checked.received, (*own, &mut opened))).await?)
        }
        target => {
            let reply = relay::answer(gate, &checked.received, (target, &checked.param_headers)).await?;
            task::worded(gate, &checked.received, (target, wish), reply).await?
        }
    };
    flow::seen(gate, &checked.received, &checked.target);
    let (answer, is_question) = match (reply, checked.target.shelf()) {
        (Reply::Answer(answer), Some(shelf)) => {
            (park::kept_apart(gate, &checked.received, (shelf, answer))?, false)
        }
        (Reply::Answer(answer), None) => (answer, false),
        (Reply::Question(text), _) => (Answer::Result(text), true),
    };
    let (received, target) = (checked.received, checked.target);
    Ok(Answered { received, target, answer, opened, is_question, _seal: Seal })
}

/// The end of a call whose server asks on and on.
fn too_often(server: &ServerName, rounds: u32) -> Refusal {
    let message = format!(
        "The server {server} asked {rounds} times in one call and did not come to an end (questions.rounds); the call was \
         canceled."
    );
    Refusal::new(Code::TooManyQuestions, message)
}

/// What a client is told when a server gave no answer.
pub(super) fn down(shelf: &Shelf, fault: &Fault) -> Refusal {
    let name = &shelf.server().entry().name;
    let (code, message, retry) = match fault {
        Fault::Disabled => (Code::ServerDown, format!("The server {name} is disabled."), Retry::Never),
        Fault::Withheld { missing } => (
            Code::NeedsSecret,
            format!(
                "The server {name} is not started, since its entry names the secret {}: {}.",
                missing.secret, missing.why
            ),
            Retry::Never,
        ),
        Fault::Login => (
            Code::NeedsLogin,
            format!("The server {name} wants a login: run `casemate login {name}` and call again."),
            Retry::Never,
        ),
        Fault::Stopping => (Code::ServerDown, format!("The server {name} is stopped."), Retry::Never),
        Fault::CircuitOpen { retry_after } => (
            Code::CircuitOpen,
            format!("The server {name} failed repeatedly and is left alone for a while."),
            Retry::After(*retry_after),
        ),
        Fault::Busy { instances_max } => (
            Code::ServerDown,
            format!("The server {name} runs {instances_max} times already, and all of them are in use."),
            Retry::After(std::time::Duration::from_secs(5)),
        ),
        Fault::Start { .. } => {
            (Code::ServerDown, format!("The server {name} could not be started."), Retry::Never)
        }
        Fault::Gone { sent: false, .. } => {
            (Code::ServerDown, format!("The server {name} cannot be reached."), Retry::Never)
        }
        Fault::Gone { sent: true, .. } => (
            Code::CallLost,
            format!(
                "The server {name} went away while it worked on the call. The call may have had its effect."
            ),
            Retry::Check,
        ),
        Fault::OverLimit { overrun } => (
            Code::OverLimit,
            format!(
                "The server {name} was ended, since it was over its limit: {overrun}. The call may have had its effect."
            ),
            Retry::Check,
        ),
        Fault::Timeout { after, hard } => {
            let kind = if *hard { "hard limit" } else { "limit" };
            let message =
                format!("The server {name} did not answer within its {kind} of {} ms.", after.as_millis());
            (Code::Timeout, message, Retry::Check)
        }
        Fault::TooBig { limit } => (
            Code::AnswerTooLarge,
            format!(
                "The answer of the server {name} has more than {limit} bytes (gateway.limits.result_size)."
            ),
            Retry::Never,
        ),
        Fault::Protocol { .. } => {
            (Code::BadAnswer, format!("The server {name} does not keep to the protocol."), Retry::Never)
        }
    };
    let refusal = Refusal::new(code, message).with_retry(retry).with_detail(fault);
    if code == Code::NeedsLogin { refusal.for_login(shelf.server().entry()) } else { refusal }
}
