//! Judges are asked about what a server answered.
//!
//! They see what the client would see: hidden text removed and secrets masked, unless their entry says that they see everything.
//! What a mutator makes of it is held against all that an answer of the server is held against, here to name who is at fault, and
//! once more on its way to the client.

use std::borrow::Cow;
use std::sync::Arc;

use casemate_inspect::{Findings, Place};
use casemate_mcp::call::Answer;
use casemate_mcp::frame::ErrorObject;
use casemate_mcp::json::{Members, Raw};
use casemate_mcp::method::Method;
use casemate_mcp::task::Status;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{About, Round, matter, not_passing};
use crate::gate::Gate;
use crate::journey::forward::Answered;
use crate::journey::inspect::{content, structure};
use crate::journey::receive::Received;
use crate::journey::route::Target;
use crate::refusal::{Code, Refusal};
use crate::snapshot::{Interceptor, Phase, Sight};

/// Members that say what a result is, or that only their writer understands. No judge changes them.
const FIXED: [&str; 6] = ["resultType", "requestState", "task", "taskId", "nextCursor", "inputRequests"];

/// What a task came to. No judge makes it up.
const OUTCOME: [&str; 3] = ["result", "error", "status"];

/// The answer, changed or not, and what was found in it and said of it.
pub(super) async fn judged(
    gate: &Arc<Gate>,
    mut answered: Answered,
) -> Result<(Answered, Findings), Refusal> {
    let mut found = answered.received.flagged.take().map(|flagged| *flagged).unwrap_or_default();
    let (received, target) = (&answered.received, &answered.target);
    let Some(matter) = matter(received, target, Phase::Response) else { return Ok((answered, found)) };
    let chosen = received.passage.identified.snapshot.interceptors.about(&matter);
    if chosen.is_empty() {
        return Ok((answered, found));
    }
    let about = About::of(received, matter.server);
    let round = Round { gate, about, event: matter.event, phase: Phase::Response, chosen };
    let mut changed = None;
    for part in Shown::all(received, &answered.answer) {
        if let Some(part) = heard(&round, (received, target), part, &mut found).await? {
            changed = Some(part.finish(changed.as_ref().unwrap_or(&answered.answer)));
        }
    }
    if let Some(answer) = changed {
        answered.answer = answer;
    }
    Ok((answered, found))
}

/// What all who are asked make of one part of an answer; `None` where they leave it as it is.
async fn heard(
    round: &Round<'_>,
    (received, target): (&Received, &Target),
    mut answer: Shown,
    found: &mut Findings,
) -> Result<Option<Shown>, Refusal> {
    let mut is_changed = false;
    for mutator in round.mutators() {
        let (payload, seen) = answer.view(received, target, mutator.sight)?;
        let said = round.ask(mutator, payload.clone()).await;
        if let Some(changed) = round.change(mutator, said, found)? {
            // What was taken out before it saw it is out, and is told of all the same.
            if let Some(shelf) = target.shelf() {
                shelf.tell_planted(&seen, |server| content::answered(server, received));
            }
            found.extend(seen);
            let next = answer.changed(&payload, &changed).and_then(|next| {
                next.view(received, target, Sight::Cleared)?;
                next.fits(received, target)?;
                Ok(next)
            });
            answer = next.map_err(|refusal| round.misled(mutator, &refusal))?;
            is_changed = true;
        }
    }
    let view =
        |validator: &Interceptor| answer.view(received, target, validator.sight).map(|(payload, _)| payload);
    round.validate(view, found).await?;
    Ok(is_changed.then_some(answer))
}

/// What a judge is shown of an answer.
struct Shown {
    payload: Raw,
    part: Part,
}

/// Which part of the answer it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The result.
    Result,
    /// The result of a task, within what is answered about it.
    OfTask,
    /// The error that a task ended with, within the same: an object with nothing but `error`.
    ErrorOfTask,
    /// Whatever else is in what is answered about a task.
    AboutTask,
    /// An error of the server: an object with nothing but `error`.
    Error,
}

impl Shown {
    /// All parts of an answer that say something, each of which is shown by itself.
    fn all(received: &Received, answer: &Answer) -> Vec<Shown> {
        match answer {
            Answer::Error(error) => {
                let error = json!({ "code": error.code, "message": error.message, "data": error.data });
                vec![Shown { payload: Raw::of(&json!({ "error": error })), part: Part::Error }]
            }
            Answer::Result(result) => {
                let Some(members) = result.members().map(content::unclaimed) else { return Vec::new() };
                match received.call.method {
                    Method::TasksGet | Method::TasksUpdate | Method::TasksCancel => {
                        Shown::of_task(received, &members)
                    }
                    _ => vec![Shown { payload: members.raw().clone(), part: Part::Result }],
                }
            }
        }
    }

    /// The result and the error of a task are shown as those of a call are; what is asked is shown as a question.
    fn of_task(received: &Received, answer: &Members) -> Vec<Shown> {
        let mut parts = Vec::new();
        let mut rest = answer.edit();
        if received.call.meta.revision.is_modern() {
            rest = rest.remove("inputRequests");
        }
        if let Some(payload) = answer.get("result").filter(|result| result.members().is_some()) {
            rest = rest.remove("result");
            parts.push(Shown { payload, part: Part::OfTask });
        }
        if let Some(error) = answer.get("error") {
            rest = rest.remove("error");
            let payload = Members::empty().edit().set("error", error).finish();
            parts.push(Shown { payload, part: Part::ErrorOfTask });
        }
        let rest = rest.members();
        if !rest.iter().all(|(name, value)| is_plain(&received.call.params, &rest, (&name, &value))) {
            parts.push(Shown { payload: rest.raw().clone(), part: Part::AboutTask });
        }
        parts
    }

    /// What may be seen of it, and what was found in it on the way.
    fn view(&self, received: &Received, target: &Target, sight: Sight) -> Result<(Raw, Findings), Refusal> {
        if sight == Sight::Everything {
            return Ok((self.payload.clone(), Findings::default()));
        }
        let snapshot = &received.passage.identified.snapshot;
        let Some(shelf) = target.shelf() else { return Ok((self.payload.clone(), Findings::default())) };
        let server = &shelf.server().entry().name;
        let measures = snapshot.inspecting.measures(server, Place::Result);
        let outcome = snapshot.inspecting.inspection.message(&self.payload, &measures);
        if outcome.findings.blocking().is_some() {
            // It will not pass, so nobody else has to see it.
            return content::result(received, (target, Findings::default()), self.payload.clone())
                .and_then(|_| Err(not_passing("it holds what a rule blocks")));
        }
        Ok((outcome.message, outcome.findings))
    }

    /// What a mutator put in the place of what it saw.
    fn changed(&self, seen: &Raw, changed: &Raw) -> Result<Shown, Refusal> {
        let (Some(before), Some(after)) = (seen.members(), changed.members()) else {
            return Err(not_passing("it is no object"));
        };
        if matches!(self.part, Part::Error | Part::ErrorOfTask) {
            let code = |members: &Members| members.object("error").and_then(|error| error.get("code"));
            let is_one = after.len() == 1 && code(&after) == code(&before);
            let says = after.object("error").is_some_and(|error| error.string("message").is_some());
            if !is_one || !says {
                return Err(not_passing("an error stays an error, of its code, with a message"));
            }
        }
        if let Some(new) = OUTCOME.into_iter().find(|name| after.has(name) && !before.has(name))
            && self.part == Part::AboutTask
        {
            return Err(not_passing(&format!("it adds `{new}`")));
        }
        for name in FIXED {
            if !same(before.get(name).as_ref(), after.get(name).as_ref()) {
                return Err(not_passing(&format!("it changes `{name}`")));
            }
        }
        // Of what only its writer understands nothing is masked, and nothing is lost by a judge who saw it masked.
        let own = self.payload.members().unwrap_or_else(Members::empty);
        let restored = FIXED.iter().fold(after.edit(), |edit, name| match own.get(name) {
            Some(value) => edit.set(*name, value),
            None => edit,
        });
        Ok(Shown { payload: restored.finish(), part: self.part })
    }

    /// Whether a tool's result is still what the tool declares.
    fn fits(&self, received: &Received, target: &Target) -> Result<(), Refusal> {
        let limit = received.passage.identified.snapshot.limits.result_bytes_max;
        if self.payload.as_bytes().len() > limit {
            return Err(Refusal::new(
                Code::AnswerTooLarge,
                format!("The answer has more than {limit} bytes."),
            ));
        }
        match self.payload.members().filter(|_| self.part == Part::Result) {
            Some(members) => structure::judged(received, target, &members).map(drop),
            None => Ok(()),
        }
    }

    /// The answer with this in its place.
    fn finish(self, answer: &Answer) -> Answer {
        match (self.part, answer) {
            (Part::OfTask, Answer::Result(result)) => {
                let whole =
                    result.members().map(|members| members.edit().set("result", self.payload).finish());
                Answer::Result(whole.unwrap_or_else(|| result.clone()))
            }
            (Part::ErrorOfTask, Answer::Result(result)) => {
                let error = self.payload.members().and_then(|payload| payload.get("error"));
                let whole = result.members().zip(error);
                let whole = whole.map(|(members, error)| members.edit().set("error", error).finish());
                Answer::Result(whole.unwrap_or_else(|| result.clone()))
            }
            (Part::AboutTask, Answer::Result(result)) => {
                let whole = result.members().zip(self.payload.members()).map(|(whole, own)| {
                    // What was shown by itself. A result that is no object was not.
                    let result = whole.get("result").filter(|result| result.members().is_some());
                    let apart = [
                        ("result", result),
                        ("error", whole.get("error")),
                        ("inputRequests", whole.get("inputRequests")),
                    ];
                    let apart = apart.into_iter().filter_map(|(name, value)| Some((name, value?)));
                    apart.fold(own.edit(), |edit, (name, value)| edit.set(name, value)).finish()
                });
                Answer::Result(whole.unwrap_or_else(|| result.clone()))
            }
            (Part::Error, Answer::Error(error)) => {
                let own = self.payload.members().and_then(|payload| payload.object("error"));
                let message = own.as_ref().and_then(|own| own.string("message"));
                let data = own.and_then(|own| own.get("data")).filter(|data| data.as_str() != "null");
                Answer::Error(ErrorObject { code: error.code, message: message.unwrap_or_default(), data })
            }
            _ => Answer::Result(self.payload),
        }
    }
}

/// Whether a member of what is answered about a task is of the protocol's and says nothing in words.
fn is_plain(params: &Members, task: &Members, (name, value): (&str, &Raw)) -> bool {
    match name {
        "taskId" => value.string().map(Cow::into_owned) == params.string("taskId"),
        "resultType" => value.string().as_deref() == Some("complete"),
        "status" => Status::of(task).is_some(),
        "createdAt" | "lastUpdatedAt" => value.string().is_some_and(|at| at.parse::<Timestamp>().is_ok()),
        "ttl" | "ttlMs" | "pollInterval" | "pollIntervalMs" => value.parse::<Option<u64>>().is_ok(),
        _ => false,
    }
}

/// Whether two texts say the same, however they are spaced.
pub(in crate::journey) fn same(one: Option<&Raw>, other: Option<&Raw>) -> bool {
    let value = |raw: &Raw| raw.parse::<Value>().ok();
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => one == other || value(one).is_some_and(|one| Some(one) == value(other)),
        _ => false,
    }
}
