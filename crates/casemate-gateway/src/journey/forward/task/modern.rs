//! A modern client asks about a task of a legacy server.

use casemate_mcp::call::Answer;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::task::{self, Status};

use super::super::park::{self, COME_AGAIN};
use super::{Asked, Refusal};
use crate::client::tasks::{Attending, Looked};
use crate::journey::inspect::{content, questions};
use crate::journey::intercept;
use crate::parked::{Conversation, Full, Number};
use crate::refusal::{Code, Retry};
use crate::upstream::Caller;

/// Answers `tasks/get`, `tasks/update` and `tasks/cancel`.
pub(super) async fn answer(asked: Asked<'_>) -> Result<Answer, Refusal> {
    match asked.received.call.method {
        Method::TasksUpdate => update(asked).await,
        Method::TasksCancel => cancel(asked).await,
        _ => get(asked).await,
    }
}

/// The task with all that belongs to it: the older dialect fetches results and questions with another request.
async fn get(asked: Asked<'_>) -> Result<Answer, Refusal> {
    let method = Method::TasksGet;
    for look in [Look::First, Look::Last] {
        let told = match asked.ask(method.clone(), None).await? {
            Answer::Result(result) => result.members().ok_or_else(|| asked.bad_answer(&method))?,
            error @ Answer::Error(_) => return Ok(error),
        };
        let status = Status::of(&told).ok_or_else(|| asked.bad_answer(&method))?;
        if status.is_final() {
            asked.gate.tasks().attended().end(&key(asked));
        }
        let shown = task::modern(&told);
        return Ok(Answer::Result(match status {
            Status::Completed | Status::Failed => ended(asked, &shown).await?,
            Status::Working | Status::Cancelled => shown.raw().clone(),
            Status::InputRequired => match asking(asked).await? {
                Some(requests) => shown.edit().set("inputRequests", requests).finish(),
                // What it asked is answered by now, or its question is on the way.
                None if look == Look::First => continue,
                None => shown.edit().set("status", Raw::of(Status::Working.as_str())).finish(),
            },
        }));
    }
    Err(asked.bad_answer(&method))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    First,
    Last,
}

/// A task that came to an end, with its result. A tool that failed has one too, and a task without any has its error.
async fn ended(asked: Asked<'_>, shown: &Members) -> Result<Raw, Refusal> {
    let (status, name, value) = match asked.ask(Method::TasksResult, None).await? {
        Answer::Result(result) => {
            let bare = result.members().map(|result| task::relate(&result, None));
            (Status::Completed, "result", bare.map_or(result, |bare| bare.raw().clone()))
        }
        Answer::Error(error) => (Status::Failed, "error", Raw::of(&error)),
    };
    Ok(shown.edit().set("status", Raw::of(status.as_str())).set(name, value).finish())
}

/// What the task asks, as requests; `None` when nothing is open.
async fn asking(asked: Asked<'_>) -> Result<Option<Raw>, Refusal> {
    let attending = attended(asked)?;
    let (endpoint, server) =
        (&asked.received.passage.identified.head.endpoint, &asked.shelf.server().entry().name);
    let mut requests = Members::empty();
    for Looked { key, method, params } in attending.look().await {
        let params = params.map(|params| task::relate(&params, None));
        match content::told(asked.received, asked.shelf, params) {
            Some(params) => {
                let request = questions::request(endpoint, server, (&method, params));
                requests = requests.edit().set(key.to_string(), request).members();
            }
            None => attending.refuse(key, intercept::blocked()).await,
        }
    }
    Ok((!requests.is_empty()).then(|| requests.raw().clone()))
}

/// The keeper of the request on whose stream the questions come.
fn attended(asked: Asked<'_>) -> Result<Attending, Refusal> {
    let key = key(asked);
    let attended = asked.gate.tasks().attended();
    if let Some(attending) = attended.find(&key) {
        return Ok(attending);
    }
    let limits = asked.received.passage.identified.snapshot.limits.questions;
    let caller = Caller { timeout: Some(limits.time_max), ..asked.caller.clone() };
    // A name of a question is never used again for another one of the same task.
    let number = Number::generate().map_or([0; 16], |number| number.0);
    let name = number.iter().take(4).fold("question-".to_owned(), |name, byte| format!("{name}{byte:02x}"));
    let call = asked.call(Method::TasksResult, None);
    let conversation = Conversation::begin(asked.shelf, caller, call).named(&name);
    attended.attend(key, conversation, (&asked.gate.ground(), &limits)).map_err(full)
}

fn key(asked: Asked<'_>) -> (casemate_policy::SubjectId, casemate_mcp::names::ServerName, Box<str>) {
    let subject = asked.received.passage.identified.subject.id.clone();
    (subject, asked.shelf.server().entry().name.clone(), asked.id.into())
}

fn full(why: Full) -> Refusal {
    let setting = match why {
        Full::Subject => "questions.waiting",
        Full::All => "questions.waiting_all",
    };
    let message = format!(
        "The task asks something, and too many others wait for answers already ({setting}): answer those first."
    );
    Refusal::new(Code::TooManyQuestions, message).with_retry(Retry::After(COME_AGAIN))
}

/// Hands replies to the server. Those to what is not asked are left out, as the protocol has it.
async fn update(asked: Asked<'_>) -> Result<Answer, Refusal> {
    let replies = park::replies(&asked.received.call.params)?;
    if let Some(attending) = asked.gate.tasks().attended().find(&key(asked)) {
        attending.reply(replies).await;
        return Ok(Answer::Result(Raw::EMPTY_OBJECT));
    }
    // Nothing is asked; but whether there is such a task has to be told.
    Ok(match asked.ask(Method::TasksGet, None).await? {
        Answer::Result(_) => Answer::Result(Raw::EMPTY_OBJECT),
        error => error,
    })
}

/// Gives a task up. One that is over already stays what it is; the newer dialect does not mind.
async fn cancel(asked: Asked<'_>) -> Result<Answer, Refusal> {
    if let Answer::Result(_) = asked.ask(Method::TasksCancel, None).await? {
        asked.gate.tasks().attended().end(&key(asked));
        return Ok(Answer::Result(Raw::EMPTY_OBJECT));
    }
    Ok(match asked.ask(Method::TasksGet, None).await? {
        Answer::Result(_) => Answer::Result(Raw::EMPTY_OBJECT),
        error => error,
    })
}
