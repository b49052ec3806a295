//! A client of 2025-11-25 asks about a task of a modern server, or has one of our own.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use casemate_mcp::call::Answer;
use casemate_mcp::frame::{ErrorObject, code};
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::task::{self, Status};
use jiff::Timestamp;
use serde_json::json;

use super::super::{Refusal, down, rounds};
use super::{Asked, invalid};
use crate::catalog::Shelf;
use crate::client::tasks::KeptTask;
use crate::clock;
use crate::gate::Gate;
use crate::journey::admit::stopping;
use crate::journey::inspect::structure::says_error;
use crate::journey::receive::Received;
use crate::refusal::{Code, Retry};
use crate::upstream::Fault;

/// The shortest and the longest pause between two looks at a task.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The pause where the server names none.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a task that is to be canceled may take to say so.
const CANCEL_TIME: Duration = Duration::from_secs(2);

/// How often our own tasks are to be looked at: they are over.
const OWN_PAUSE_MS: u64 = 1000;

/// Answers `tasks/get`, `tasks/result` and `tasks/cancel`.
pub(super) async fn answer(asked: Asked<'_>) -> Result<Answer, Refusal> {
    match asked.received.call.method {
        Method::TasksResult => {
            let answer = followed(asked).await?;
            Ok(related(&answer, asked.received.asked()))
        }
        Method::TasksCancel => cancel(asked).await,
        _ => Ok(match look(asked).await? {
            Ok(told) => Answer::Result(task::legacy(&told).raw().clone()),
            Err(error) => Answer::Error(error),
        }),
    }
}

/// The task as its server tells it, or its error.
async fn look(asked: Asked<'_>) -> Result<Result<Members, ErrorObject>, Refusal> {
    match asked.ask(Method::TasksGet, None).await? {
        Answer::Result(result) => {
            let told = result.members().filter(|told| Status::of(told).is_some());
            told.map(Ok).ok_or_else(|| asked.bad_answer(&Method::TasksGet))
        }
        Answer::Error(error) => Ok(Err(error)),
    }
}

/// Waits for the end of a task: what it asks is put to the client on the stream of this request.
///
/// # Errors
/// [`Code::Timeout`] when it does not come to an end in the time that a call may take.
pub(super) async fn followed(asked: Asked<'_>) -> Result<Answer, Refusal> {
    let hard = asked.shelf.server().entry().timeouts.hard;
    let until = clock::instant() + hard;
    // A question that was answered may be told for a moment longer.
    let mut answered = HashSet::new();
    loop {
        let told = match look(asked).await? {
            Ok(told) => told,
            Err(error) => return Ok(Answer::Error(error)),
        };
        match Status::of(&told) {
            Some(Status::Completed) => {
                return told
                    .get("result")
                    .map(Answer::Result)
                    .ok_or_else(|| asked.bad_answer(&Method::TasksGet));
            }
            Some(Status::Failed) => return Ok(Answer::Error(error_of(&told))),
            Some(Status::Cancelled) => return Ok(invalid("The task was canceled.")),
            Some(Status::InputRequired) => {
                if let Some(error) = reply(asked, &told, &mut answered).await? {
                    return Ok(Answer::Error(error));
                }
            }
            Some(Status::Working) | None => {}
        }
        if clock::instant() >= until {
            let fault = Fault::Timeout { after: hard, hard: true };
            return Err(down(asked.shelf, &fault).with_retry(Retry::Check));
        }
        tokio::select! {
            () = tokio::time::sleep(pause(&told)) => {}
            () = asked.gate.stopping() => return Err(stopping()),
        }
    }
}

/// Puts what a task asks to the client, and hands its replies over; the error of a server that does not take them, which goes the
/// way of every other word of a server.
async fn reply(
    asked: Asked<'_>,
    told: &Members,
    answered: &mut HashSet<String>,
) -> Result<Option<ErrorObject>, Refusal> {
    let requests = told.object("inputRequests").unwrap_or_else(Members::empty);
    let empty = Members::empty();
    let fresh = requests.iter().filter(|(key, _)| !answered.contains(key.as_ref()));
    let fresh =
        fresh.fold(empty.edit(), |edit, (key, request)| edit.set(key.into_owned(), request)).members();
    if fresh.is_empty() {
        return Ok(None);
    }
    let limit = asked.received.passage.identified.snapshot.limits.questions.rounds_max;
    if answered.len() >= limit as usize {
        return Err(super::super::too_often(&asked.shelf.server().entry().name, limit));
    }
    let replies = rounds::replies(asked.gate, asked.received, (asked.shelf, &fresh)).await?;
    answered.extend(fresh.iter().map(|(key, _)| key.into_owned()));
    match asked.ask(Method::TasksUpdate, Some(("inputResponses", replies))).await? {
        Answer::Result(_) => Ok(None),
        Answer::Error(error) => Ok(Some(error)),
    }
}

fn pause(told: &Members) -> Duration {
    let said = told.get("pollIntervalMs").and_then(|raw| raw.parse().ok()).map(Duration::from_millis);
    said.unwrap_or(PAUSE).clamp(PAUSE_MIN, PAUSE_MAX)
}

fn error_of(told: &Members) -> ErrorObject {
    let error = told.object("error").unwrap_or_else(Members::empty);
    let message = error.string("message").unwrap_or_else(|| "The task failed.".to_owned());
    let code = error.get("code").and_then(|raw| raw.parse().ok()).unwrap_or(code::INTERNAL);
    ErrorObject { data: error.get("data"), ..ErrorObject::new(code, message) }
}

/// A result that says which task it is of, as the older dialect has it.
fn related(answer: &Answer, id: &str) -> Answer {
    match answer {
        Answer::Result(result) => {
            let members = result.members().map(|members| task::relate(&members, Some(id)));
            Answer::Result(members.map_or_else(|| result.clone(), |members| members.raw().clone()))
        }
        Answer::Error(error) => Answer::Error(error.clone()),
    }
}

/// Gives a task up. The older dialect refuses that for one that is over, and answers once it has come to pass.
async fn cancel(asked: Asked<'_>) -> Result<Answer, Refusal> {
    let told = match look(asked).await? {
        Ok(told) => told,
        Err(error) => return Ok(Answer::Error(error)),
    };
    if let Some(status) = Status::of(&told).filter(|status| status.is_final()) {
        return Ok(over(status));
    }
    if let error @ Answer::Error(_) = asked.ask(Method::TasksCancel, None).await? {
        return Ok(error);
    }
    let until = clock::instant() + CANCEL_TIME;
    loop {
        let told = match look(asked).await? {
            Ok(told) => told,
            Err(error) => return Ok(Answer::Error(error)),
        };
        let is_over = Status::of(&told).is_some_and(Status::is_final);
        // The newer dialect promises nothing: a server that works on says so.
        if is_over || clock::instant() >= until {
            return Ok(Answer::Result(task::legacy(&told).raw().clone()));
        }
        tokio::time::sleep(pause(&told).min(CANCEL_TIME / 4)).await;
    }
}

fn over(status: Status) -> Answer {
    invalid(format!("Cannot cancel task: already in terminal status '{}'", status.as_str()))
}

/// A task of our own around an answer that came at once.
///
/// # Errors
/// [`Code::TooManyCalls`] when there is no room to keep it.
pub(super) fn kept(
    gate: &Arc<Gate>,
    received: &Received,
    (shelf, answer): (&Arc<Shelf>, Answer),
    lasts: Option<Duration>,
) -> Result<Raw, Refusal> {
    let (subject, server) = (&received.passage.identified.subject.id, &shelf.server().entry().name);
    let (id, task) = gate.tasks().kept().keep((subject, server), answer, lasts).ok_or_else(|| {
        let message = "The call was made, and there is no room to keep its result as a task: fetch the results of others first, or \
                       call without `task`.";
        Refusal::new(Code::TooManyCalls, message).with_retry(Retry::Check)
    })?;
    Ok(Raw::of(&json!({ "task": shown(&task, &id) })))
}

/// The answer to a request about a task of our own; `None` when it is none.
pub(super) fn of_kept(asked: Asked<'_>) -> Option<Answer> {
    let (subject, server) =
        (&asked.received.passage.identified.subject.id, &asked.shelf.server().entry().name);
    let task = asked.gate.tasks().kept().find((subject, server), asked.id)?;
    Some(match asked.received.call.method {
        Method::TasksResult => related(&task.answer, asked.received.asked()),
        Method::TasksCancel => over(status(&task)),
        _ => Answer::Result(Raw::of(&shown(&task, asked.id))),
    })
}

fn status(task: &KeptTask) -> Status {
    match &task.answer {
        Answer::Result(result) if !result.members().is_some_and(|result| says_error(&result)) => {
            Status::Completed
        }
        _ => Status::Failed,
    }
}

fn shown(task: &KeptTask, id: &str) -> serde_json::Value {
    let at = i64::try_from(task.at).ok().and_then(|at| Timestamp::from_second(at).ok());
    let at = at.map(|at| at.to_string()).unwrap_or_default();
    json!({
        "taskId": id, "status": status(task).as_str(), "createdAt": at, "lastUpdatedAt": at,
        "ttl": u64::try_from(task.time.as_millis()).unwrap_or(u64::MAX), "pollInterval": OWN_PAUSE_MS,
    })
}
