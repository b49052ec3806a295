//! Between permission and the deed, and between the answer and its inspection: judges outside of the gateway are asked.
//!
//! ```text
//! permitted ─► each mutator in its order ─► checked and permitted anew after each ─► all validators at once ─► on
//! answered  ─► each mutator in its order ─► held against everything after each ────► all validators at once ─► inspected
//! ```
//! Nobody outside sees what the subject may not do. What a judge changed is a stranger's text, and takes the way of one: nothing
//! that it writes gets around schemas, guards, rules or inspection. Who says nothing says no, unless its entry says otherwise.
//! Without judges both stages are a look at an empty list.

mod asking;
mod question;
mod reply;
mod verdict;

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use casemate_inspect::{Class, Finding, Findings, Measure, Severity};
use casemate_mcp::json::Raw;
use casemate_mcp::method::Method;

use super::authorize::{self, Judged};
use super::check;
use super::forward::Answered;
use super::receive::Received;
use super::route::Target;
use crate::catalog::Kind;
use crate::gate::Gate;
use crate::refusal::{Code, Refusal, Retry};
use crate::snapshot::{Event, Interceptor, InterceptorKind, Matter, Mode, Phase, Unheard};
pub(super) use asking::{asks, blocked, replied};
pub(super) use question::About;
use question::Question;
pub(super) use reply::same;
use verdict::{Grade, Verdict};

/// Members of params that are nothing for a judge: what belongs to the exchange of messages, and a state that says nothing to
/// anybody but its writer.
pub(super) const UNSHOWN: [&str; 2] = ["_meta", "requestState"];

/// A request to which nobody outside said no. Only [`request`] makes one.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) judged: Judged,
    _seal: Seal,
}

/// An answer to which nobody outside said no. Only [`response`] makes one.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) answered: Answered,
    /// What was found in it before somebody changed it, and what judges had to say.
    pub(super) found: Option<Box<Findings>>,
    _seal: Seal,
}

#[derive(Debug)]
struct Seal;

/// Asks about a request that the policy does not deny.
///
/// # Errors
/// [`Code::Intercepted`], [`Code::Unjudged`].
pub(super) async fn request(gate: &Arc<Gate>, judged: Judged) -> Result<Heard, Refusal> {
    if judged.checked().received.passage.identified.snapshot.interceptors.is_empty() {
        return Ok(Heard { judged, _seal: Seal });
    }
    // On the heap, so that calls about which nobody is asked do not carry the room for it.
    let judged = Box::pin(asked(gate, judged)).await?;
    Ok(Heard { judged, _seal: Seal })
}

/// Asks about the answer of a server.
///
/// # Errors
/// [`Code::Intercepted`], [`Code::Unjudged`], and what the inspection refuses.
pub(super) async fn response(gate: &Arc<Gate>, mut answered: Answered) -> Result<Passed, Refusal> {
    let snapshot = &answered.received.passage.identified.snapshot;
    if snapshot.interceptors.is_empty() || answered.is_question {
        return Ok(Passed { answered, found: None, _seal: Seal });
    }
    Box::pin(asking::requests(gate, &mut answered)).await?;
    let (answered, found) = Box::pin(reply::judged(gate, answered)).await?;
    Ok(Passed { answered, found: (!found.is_empty()).then(|| Box::new(found)), _seal: Seal })
}

async fn asked(gate: &Arc<Gate>, mut judged: Judged) -> Result<Judged, Refusal> {
    asking::replies(gate, &mut judged).await?;
    let round = {
        let checked = judged.checked();
        let Some(matter) = matter(&checked.received, &checked.target, Phase::Request) else {
            return Ok(judged);
        };
        let chosen = checked.received.passage.identified.snapshot.interceptors.about(&matter);
        if chosen.is_empty() {
            return Ok(judged);
        }
        Round {
            gate,
            about: About::of(&checked.received, matter.server),
            event: matter.event,
            phase: Phase::Request,
            chosen,
        }
    };
    let mut flagged = Findings::default();
    for mutator in round.mutators() {
        let said = round.ask(mutator, shown(&judged.checked().received)).await;
        if let Some(payload) = round.change(mutator, said, &mut flagged)? {
            let again = |judged: Judged| {
                let changed = payload.members().ok_or_else(|| not_passing("it is no object"))?;
                authorize::decide(gate, check::again(judged.into_checked(), &changed)?)
            };
            judged = again(judged).map_err(|refusal| round.misled(mutator, &refusal))?;
        }
    }
    let payload = shown(&judged.checked().received);
    round.validate(|_| Ok(payload.clone()), &mut flagged).await?;
    if !flagged.is_empty() {
        judged.received_mut().flagged = Some(Box::new(flagged));
    }
    Ok(judged)
}

/// What a judge is shown of a request: its params, as their server will get them.
fn shown(received: &Received) -> Raw {
    UNSHOWN.into_iter().fold(received.call.params.edit(), |edit, name| edit.remove(name)).finish()
}

/// What passes through, if it is something that a judge can be asked about.
fn matter<'a>(received: &Received, target: &'a Target, phase: Phase) -> Option<Matter<'a>> {
    let server = &target.shelf()?.server().entry().name;
    let (event, tool) = match (&received.call.method, target) {
        (Method::ToolsCall, Target::Item { kind: Kind::Tools, item, .. }) => {
            (Event::ToolsCall, Some(&*item.name))
        }
        (Method::PromptsGet, _) => (Event::PromptsGet, None),
        (Method::ResourcesRead, _) => (Event::ResourcesRead, None),
        // What is said of a tool's task is the tool's, of that tool where it is remembered; where it could be of several,
        // everybody is asked.
        (
            Method::TasksResult | Method::TasksGet | Method::TasksUpdate | Method::TasksCancel,
            Target::Task { tools, .. },
        ) if phase == Phase::Response => {
            let sole = tools.first().filter(|_| tools.len() == 1);
            (Event::ToolsCall, sole.map(|tool| &**tool))
        }
        // So is what a list of them says of them.
        (Method::TasksList, _) if phase == Phase::Response => (Event::ToolsCall, None),
        _ => return None,
    };
    Some(Matter { event, phase, server, tool })
}

/// All who are asked about one thing on one way.
struct Round<'a> {
    gate: &'a Arc<Gate>,
    about: About,
    event: Event,
    phase: Phase,
    chosen: Vec<Arc<Interceptor>>,
}

impl Round<'_> {
    fn mutators(&self) -> impl Iterator<Item = &Arc<Interceptor>> {
        self.chosen.iter().filter(|one| one.kind == InterceptorKind::Mutator)
    }

    /// What one says; `None` where nobody waits for that.
    async fn ask(&self, interceptor: &Arc<Interceptor>, payload: Raw) -> Option<Result<Verdict, String>> {
        let question = Question::new(interceptor, (self.event, self.phase), &self.about, &payload);
        match interceptor.mode {
            Mode::Active => Some(question.ask(self.gate).await),
            Mode::Audit => {
                question.ask_aside(self.gate);
                None
            }
        }
    }

    /// What a mutator makes of it, if it makes anything of it.
    fn change(
        &self,
        interceptor: &Interceptor,
        said: Option<Result<Verdict, String>>,
        flagged: &mut Findings,
    ) -> Result<Option<Raw>, Refusal> {
        match said {
            None | Some(Ok(Verdict::Unchanged | Verdict::Judged { .. })) => Ok(None),
            Some(Ok(Verdict::Changed(payload))) => Ok(Some(payload)),
            Some(Err(why)) => self.unheard(interceptor, &why, flagged).map(|()| None),
        }
    }

    /// Asks all validators at once, each about what it may see. Everybody is heard, and the first in their order who says no
    /// is the one that is told of.
    async fn validate(
        &self,
        view: impl Fn(&Interceptor) -> Result<Raw, Refusal>,
        flagged: &mut Findings,
    ) -> Result<(), Refusal> {
        let validators: Vec<_> =
            self.chosen.iter().filter(|one| one.kind == InterceptorKind::Validator).collect();
        let mut asked: Vec<Pin<Box<dyn Future<Output = _> + Send + '_>>> = Vec::new();
        for validator in &validators {
            asked.push(Box::pin(self.ask(validator, view(validator)?)));
        }
        for (validator, said) in validators.into_iter().zip(all(asked).await) {
            match said {
                Some(Ok(Verdict::Judged { is_valid: false, grade: Some(Grade::Error), message })) => {
                    return Err(self.refused(validator, message.as_deref()));
                }
                Some(Ok(Verdict::Judged { is_valid, grade, .. })) => {
                    let severity = if grade == Some(Grade::Warn) { Severity::Medium } else { Severity::Low };
                    if !is_valid || grade == Some(Grade::Warn) {
                        flagged.add(flag(&validator.name, "", severity));
                    }
                }
                Some(Err(why)) => self.unheard(validator, &why, flagged)?,
                None | Some(Ok(Verdict::Unchanged | Verdict::Changed(_))) => {}
            }
        }
        Ok(())
    }

    fn unheard(&self, interceptor: &Interceptor, why: &str, flagged: &mut Findings) -> Result<(), Refusal> {
        let name = &interceptor.name;
        match interceptor.unheard {
            Unheard::Open => {
                flagged.add(flag(name, "/unheard", Severity::Medium));
                Ok(())
            }
            Unheard::Closed => {
                let message = format!("The interceptor {name} could not be heard{}", self.consequence());
                let why = format!("interceptor {name}: {why}");
                Err(Refusal::new(Code::Unjudged, message).with_retry(self.retry()).with_detail(why))
            }
        }
    }

    fn refused(&self, interceptor: &Interceptor, message: Option<&str>) -> Refusal {
        let name = &interceptor.name;
        let (what, says) = match (self.phase, message) {
            (Phase::Request, Some(message)) => ("the request", format!(" It says: {message}")),
            (Phase::Request, None) => ("the request", String::new()),
            (Phase::Response, Some(message)) => ("the answer", format!(" It says: {message}")),
            (Phase::Response, None) => ("the answer", String::new()),
        };
        let text = format!("The interceptor {name} does not let {what} pass{}{says}", self.consequence());
        let refusal =
            Refusal::new(Code::Intercepted, text).with_detail(format!("interceptor {name} said no"));
        if self.phase == Phase::Response { refusal.with_retry(Retry::Check) } else { refusal }
    }

    /// The refusal for what a mutator made of something: whoever called did nothing wrong.
    fn misled(&self, interceptor: &Interceptor, refusal: &Refusal) -> Refusal {
        let name = &interceptor.name;
        let message = format!(
            "The interceptor {name} made something of it that does not pass ({}){}",
            refusal.code,
            self.consequence()
        );
        let why = refusal.detail.as_deref().unwrap_or(&refusal.message);
        let detail = format!("interceptor {name}, {}: {why}", refusal.code);
        Refusal::new(Code::Unjudged, message).with_retry(self.retry()).with_detail(detail)
    }

    fn consequence(&self) -> &'static str {
        match self.phase {
            Phase::Request => ", so the call was not made.",
            Phase::Response => ", so its answer is held back. It may have had its effect.",
        }
    }

    fn retry(&self) -> Retry {
        if self.phase == Phase::Response { Retry::Check } else { Retry::Never }
    }
}

fn not_passing(why: &str) -> Refusal {
    Refusal::new(Code::Unjudged, why)
}

/// What is told of a judge that let something pass all the same.
fn flag(name: &str, what: &str, severity: Severity) -> Finding {
    Finding {
        class: Class::Signal,
        rule: format!("interceptor/{name}{what}").into(),
        severity,
        measure: Measure::Flag,
        count: 1,
        decoy: None,
    }
}

/// What comes of all of them, in their order, once the last one is done.
async fn all<T>(mut futures: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(outcome) = future.as_mut().poll(context)
            {
                *done = Some(outcome);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
