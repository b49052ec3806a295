//! A legacy server asks in a modern client's call: the client is answered with the question, and its next request goes on
//! with the call.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use casemate_mcp::call::{Answer, Call};
use casemate_mcp::dialect::modern;
use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::question::Need;

use super::{Refusal, Reply, down, notice};
use crate::catalog::{Kind, Shelf};
use crate::gate::Gate;
use crate::journey::flow;
use crate::journey::inspect::questions;
use crate::journey::inspect::structure::says_error;
use crate::journey::intercept;
use crate::journey::receive::Received;
use crate::journey::route::Target;
use crate::journey::state::{self, Stands, State};
use crate::parked::{Conversation, Full, NotResumed, Number, Question, Said, Whose};
use crate::refusal::{Code, Retry};
use crate::upstream::{Caller, Event, Fault};

/// How long a server may take to ask the next of several things that it asks at once. Those that come later are asked in a
/// round of their own.
const AT_ONCE: Duration = Duration::from_millis(10);

/// When a subject with too many waiting calls should come again.
pub(super) const COME_AGAIN: Duration = Duration::from_secs(10);

/// Whether the client of a request can be answered with a question, or comes back with the reply to one.
pub(super) fn is_for(received: &Received) -> bool {
    let call = &received.call;
    call.meta.revision.is_modern()
        && modern::may_be_asked(&call.method)
        && (Need::any(&call.meta.capabilities) || call.params.has("requestState"))
}

/// Makes a call, or goes on with one.
pub(super) async fn answer(
    gate: &Arc<Gate>,
    received: &Received,
    (target, shelf, caller): (&Target, &Arc<Shelf>, Caller),
) -> Result<Reply, Refusal> {
    let seen = || flow::seen(gate, received, target);
    let mut conversation = match resumed(gate, received, (shelf, &caller)).await? {
        Part::Further(conversation) => conversation,
        Part::First(call) => Conversation::begin(shelf, caller, call),
    };
    while conversation.open.is_empty() {
        match conversation.next().await {
            Said::Event(event) => {
                seen();
                take(gate, (received, shelf), (&mut conversation, event)).await;
            }
            Said::Outcome(outcome) => {
                return concluded(gate, (received, shelf), (&conversation.unoffered, outcome)).await;
            }
        }
    }
    while let Ok(said) = tokio::time::timeout(AT_ONCE, conversation.next()).await {
        match said {
            Said::Event(event) => {
                seen();
                take(gate, (received, shelf), (&mut conversation, event)).await;
            }
            // It did not wait for the reply.
            Said::Outcome(outcome) => {
                return concluded(gate, (received, shelf), (&conversation.unoffered, outcome)).await;
            }
        }
    }
    ask(gate, received, (target, shelf, conversation))
}

/// Passes on what a server says, and notes what it asks.
async fn take(
    gate: &Arc<Gate>,
    (received, shelf): (&Received, &Shelf),
    (conversation, event): (&mut Conversation, Event),
) {
    match event {
        Event::Notice(told) => notice::pass(received, shelf, told).await,
        Event::Unoffered(need) => _ = conversation.unoffered.insert(need),
        Event::Question { method, params, answer } => {
            match intercept::asks(gate, (received, shelf), (&method, params)).await {
                Ok(params) => conversation.put((method, params), answer),
                // The server may have given the question up; nobody misses the refusal then.
                Err(error) => _ = answer.send(Err(error)),
            }
        }
    }
}

/// What a call came to. One that failed after its server was not allowed to ask says what would have been needed.
async fn concluded(
    gate: &Arc<Gate>,
    (received, shelf): (&Received, &Shelf),
    (unoffered, outcome): (&BTreeSet<Need>, Result<Answer, Fault>),
) -> Result<Reply, Refusal> {
    let answer = outcome.map_err(|fault| down(shelf, &fault))?;
    if let Some(question) = url_required(gate, (received, shelf), &answer).await {
        return Ok(Reply::Question(question));
    }
    if unoffered.is_empty() || !is_failure(&answer) {
        return Ok(Reply::Answer(answer));
    }
    let server = &shelf.server().entry().name;
    let capabilities = &received.call.meta.capabilities;
    let missing = unoffered.iter().copied().filter(|need| !need.is_met(capabilities));
    Err(questions::undeclared(missing).unwrap_or_else(|| {
        let message = format!(
            "The server {server} asked something in mid-call. One process of it serves several subjects, so that it can ask none \
             of them: an operator can set [servers.{server}] sharing = \"subject\"."
        );
        Refusal::new(Code::CannotAsk, message)
    }))
}

fn is_failure(answer: &Answer) -> bool {
    match answer {
        Answer::Error(_) => true,
        Answer::Result(result) => result.members().is_some_and(|members| says_error(&members)),
    }
}

/// The revision 2025-11-25 has an error for "open this address and call again"; the modern dialect asks. Nothing has to be
/// remembered for it.
async fn url_required(
    gate: &Arc<Gate>,
    (received, shelf): (&Received, &Shelf),
    answer: &Answer,
) -> Option<Raw> {
    let Answer::Error(error) = answer else { return None };
    if error.code != code::URL_ELICITATION_REQUIRED || !Need::Url.is_met(&received.call.meta.capabilities) {
        return None;
    }
    let identified = &received.passage.identified;
    let server = &shelf.server().entry().name;
    let listed = error.data.as_ref()?.members()?.get("elicitations")?.elements()?;
    let empty = Members::empty();
    let mut requests = empty.edit();
    for (at, params) in listed.iter().enumerate() {
        // What does not pass stays the error that it was, of which all judges of the call are asked.
        let asked = (&Method::ElicitationCreate, Some(params.members()?));
        let params = intercept::asks(gate, (received, shelf), asked).await.ok()?;
        let request =
            questions::request(&identified.head.endpoint, server, (&Method::ElicitationCreate, params));
        requests = requests.set(format!("question-{}", at + 1), request);
    }
    let requests = requests.members();
    (!requests.is_empty()).then(|| questions::input_required(requests.raw().clone(), None))
}

/// Answers with the questions that are open, and keeps the call until the client comes back.
fn ask(
    gate: &Gate,
    received: &Received,
    (target, shelf, mut conversation): (&Target, &Shelf, Conversation),
) -> Result<Reply, Refusal> {
    let identified = &received.passage.identified;
    let server = &shelf.server().entry().name;
    let limits = identified.snapshot.limits.questions;
    conversation.rounds += 1;
    if conversation.rounds > limits.rounds_max {
        return Err(super::too_often(server, limits.rounds_max));
    }
    let empty = Members::empty();
    let requests = conversation.open.iter().fold(empty.edit(), |edit, question| {
        let Question { key, method, params, .. } = question;
        let request = questions::request(&identified.head.endpoint, server, (method, params.clone()));
        edit.set(key.to_string(), request)
    });
    let requests = requests.finish();
    let sealed = Number::generate()
        .and_then(|number| Some((number, State::of(received, shelf).seal(gate, number, limits.time_max)?)));
    let Some((number, state)) = sealed else {
        let message = "The server's question could not be put.";
        return Err(Refusal::new(Code::Internal, message).with_detail("no seal"));
    };
    let tool = match target {
        Target::Item { kind: Kind::Tools, item, .. } => Some(item.name.clone()),
        _ => None,
    };
    let whose = Whose { owner: identified.subject.id.clone(), server: server.clone(), tool };
    gate.parked().keep((number, whose), conversation, (&gate.ground(), &limits)).map_err(full)?;
    Ok(Reply::Question(questions::input_required(requests, Some(&state))))
}

fn full(why: Full) -> Refusal {
    let whose = match why {
        Full::Subject => "of your calls (questions.waiting)",
        Full::All => "calls (questions.waiting_all)",
    };
    let message = format!(
        "The server asked something, and too many {whose} wait for answers already. The call was canceled; answer some \
         of the others first."
    );
    Refusal::new(Code::TooManyQuestions, message).with_retry(Retry::After(COME_AGAIN))
}

/// What a request is of a call.
enum Part {
    /// Its beginning, or a further one for a server that keeps nothing: it is sent as it stands here.
    First(Call),
    /// The reply to a question in a call that waits.
    Further(Conversation),
}

/// What a request is of a call.
async fn resumed(
    gate: &Gate,
    received: &Received,
    (shelf, caller): (&Shelf, &Caller),
) -> Result<Part, Refusal> {
    let params = &received.call.params;
    let first = || Part::First(received.call.clone());
    let Some(state) = params.get("requestState") else { return Ok(first()) };
    let replies = replies(params)?;
    let text = state.string().unwrap_or_default();
    let (number, expires) = match State::of(received, shelf).open(gate, &text) {
        Ok(Stands::ForCall(number, expires)) => (number, expires),
        Ok(Stands::ForServers(state)) => {
            let params = params.edit().set("requestState", Raw::string_of(&state)).members();
            return Ok(Part::First(Call { params, ..received.call.clone() }));
        }
        // A server that cannot tell our subjects apart has its state sealed by us.
        Err(not_ours) if not_ours.may_be_the_servers() && !shelf.server().entry().mixes_subjects() => {
            let hello = shelf.server().hello(caller).await.map_err(|fault| down(shelf, &fault))?;
            if hello.revision.is_modern() {
                return Ok(first());
            }
            return Err(not_ours.refusal());
        }
        Err(not_ours) => return Err(not_ours.refusal()),
    };
    let mut conversation = gate.parked().resume(number, expires).await.map_err(|why| match why {
        NotResumed::Before => Refusal::new(
            Code::Resumed,
            "The call was gone on with already, with another request; its requestState counts once. Begin the call anew, \
             without requestState, if there was no answer. The call may have had its effect.",
        )
        .with_retry(Retry::Check),
        NotResumed::Gone => state::over("it was given up, or the gateway was restarted"),
    })?;
    conversation.reply(&replies);
    Ok(Part::Further(conversation))
}

/// What the client replied to our questions: an object for each.
pub(super) fn replies(params: &Members) -> Result<Members, Refusal> {
    let wrong = || {
        let message = "params.inputResponses has to be an object that has an object for each question";
        Refusal::new(Code::BadParams, message).prescribed(ErrorObject::new(code::INVALID_PARAMS, message))
    };
    let Some(given) = params.get("inputResponses") else { return Ok(Members::empty()) };
    let given = given.members().ok_or_else(wrong)?;
    if given.iter().all(|(_, reply)| reply.members().is_some()) { Ok(given) } else { Err(wrong()) }
}

/// A modern server's question as it goes to the client, where it could not tell our subjects apart: with its state bound to
/// this one. `None` for a result that stays as it is.
pub(super) fn kept_apart(
    gate: &Gate,
    received: &Received,
    (shelf, result): (&Shelf, Option<&Members>),
) -> Result<Option<Raw>, Refusal> {
    let call = &received.call;
    let is_apart = !call.meta.revision.is_modern() || !modern::may_be_asked(&call.method);
    if is_apart || !shelf.server().entry().mixes_subjects() {
        return Ok(None);
    }
    let Some(asked) = result.filter(|result| modern::asks(result)) else { return Ok(None) };
    let Some(given) = asked.string("requestState") else { return Ok(None) };
    let sealed = State::of(received, shelf).seal_servers(gate, &given).ok_or_else(|| {
        let server = &shelf.server().entry().name;
        let message = format!("The server {server} asked something with a requestState that is too large.");
        Refusal::new(Code::AnswerTooLarge, message)
    })?;
    Ok(Some(asked.edit().set("requestState", Raw::string_of(&sealed)).finish()))
}
