//! The task that sees one container through, from its making to its removal. It outlives whoever asked for it: a start
//! that is given up is undone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::blueprint::Blueprint;
use super::engine::Inner;
use super::error::ContainerError;
use super::handle::{Container, ContainerHandle, Ended, Wish};
use super::porch::{self, Porch};
use super::report::ContainerReport;
use super::streams;
use super::wire::{Ask, Wire};
use crate::exit::Exit;
use crate::overrun::{Certainty, Limit, Overrun};

/// How long a container may take to end after it was killed, before it is removed by force.
const KILL_TIME: Duration = Duration::from_secs(10);

/// How often a removal is tried, and how long after each failure it is tried again.
const REMOVALS: u32 = 4;
const REMOVAL_PAUSE: Duration = Duration::from_millis(500);

/// What a container that does not fit into memory exits with.
const KILLED_CODE: i32 = 128 + libc::SIGKILL;

/// What one that wrote too long a file exits with.
const FILE_SIZE_CODE: i32 = 128 + libc::SIGXFSZ;

/// What is to be made, under which name.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) name: String,
    pub(super) blueprint: Blueprint,
    /// The ports of its network, when it has one, and the labels of what else is made for it.
    pub(super) doors: Option<(BTreeSet<u16>, Value)>,
    pub(super) overrides: Vec<(&'static str, Value)>,
}

/// `POST /containers/create`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

/// `POST /containers/{id}/wait`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Waited {
    status_code: i32,
}

/// `GET /containers/{id}/json`, as far as it is about the end.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    state: State,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    #[serde(rename = "OOMKilled", default)]
    oom_killed: bool,
}

impl Task {
    /// Removes what else was made for it.
    async fn leave(&self, wire: &Wire) {
        if self.doors.is_some() {
            remove(wire, &porch::name(&self.name)).await;
        }
    }
}

/// Makes a container, tells `reply` of it, and stays until it is removed.
pub(super) async fn keep(
    inner: Arc<Inner>,
    task: Task,
    reply: oneshot::Sender<Result<Container, ContainerError>>,
) {
    let wire = &inner.wire;
    match begin(&inner, &task).await {
        Err(error) => {
            // By its name, because it may exist although its id never arrived.
            remove(wire, &task.name).await;
            task.leave(wire).await;
            let _ = reply.send(Err(error));
        }
        Ok((container, life)) => {
            // One that nobody wants any more is dropped here, which is a wish to kill it.
            let _ = reply.send(Ok(container));
            life.run(wire, &task).await;
        }
    }
}

async fn begin(inner: &Inner, task: &Task) -> Result<(Container, Life), ContainerError> {
    let Inner { wire, about, tasks, .. } = inner;
    let mut asked = task.blueprint.body.0.clone();
    let porch = match &task.doors {
        None => None,
        Some((ports, labels)) => {
            let porch = porch::open(inner, &task.name, (ports, labels)).await?;
            porch::join(&mut asked, &porch);
            Some(porch)
        }
    };
    let mut body = asked.clone();
    for (pointer, value) in &task.overrides {
        if let Some(place) = body.pointer_mut(pointer) {
            *place = value.clone();
        }
    }
    let create = Ask::post("a container", format!("/containers/create?name={}", task.name));
    let Created { id } = wire.ask(create.with(&body)).await?;
    let found: Value = wire.ask(Ask::get("what the container is", format!("/containers/{id}/json"))).await?;
    let report = ContainerReport::of(&asked, &found, task.blueprint.ids, about);
    if let Some(missing) = report.missing().filter(|_| task.overrides.is_empty()) {
        let what = format!("{} would not be in force ({})", missing.layer, missing.reason);
        return Err(ContainerError::Spec {
            what,
            remedy: "use another engine, or a newer version of this one",
        });
    }
    // First the streams, so that nothing that it says is lost.
    let attach = format!("/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1");
    let (connection, early) = wire.take_over(Ask::post("the container's streams", attach)).await?;
    let pipes = streams::pipes().map_err(ContainerError::lost("the container's streams"))?;
    wire.tell(Ask::post("to start the container", format!("/containers/{id}/start"))).await?;
    let (output, stdin) = connection.into_split();
    tasks.spawn(streams::sort(output, early, pipes.sinks));
    let (wish, wishes) = watch::channel(Wish::Run);
    let (ending, ended) = watch::channel(None);
    let report = Arc::new(report.complete(about));
    let handle = ContainerHandle { id: id.clone(), report, wish, ended };
    // The porter goes here: the network is the server's now.
    let doorway = porch.map(|Porch { doorway, .. }| doorway);
    let container = Container { stdin, stdout: pipes.stdout, stderr: pipes.stderr, doorway, handle };
    Ok((container, Life { id, wishes, ending }))
}

/// A container that was started.
struct Life {
    id: String,
    wishes: watch::Receiver<Wish>,
    ending: watch::Sender<Option<Ended>>,
}

impl Life {
    async fn run(mut self, wire: &Wire, task: &Task) {
        let code = self.end(wire).await;
        let was_killed = *self.wishes.borrow() == Wish::Kill;
        let overrun = match code {
            Some(code) if !was_killed => self.overrun(wire, code).await,
            _ => None,
        };
        remove(wire, &self.id).await;
        task.leave(wire).await;
        let exit = code.map_or(Exit::KILLED, exit_of);
        self.ending.send_replace(Some(Ended { exit, overrun }));
    }

    /// Waits for the end, and brings it about when that is wished for. Nothing when the engine does not say.
    async fn end(&mut self, wire: &Wire) -> Option<i32> {
        let wait = Ask::post("the end of the container", format!("/containers/{}/wait", self.id));
        let mut end = std::pin::pin!(wire.tell_at_leisure(wait));
        let code = |answer: Result<Bytes, ContainerError>| {
            let waited: Waited = serde_json::from_slice(&answer.ok()?).ok()?;
            Some(waited.status_code)
        };
        loop {
            tokio::select! {
                answer = &mut end => return code(answer),
                changed = self.wishes.changed() => {
                    let wish = if changed.is_err() { Wish::Kill } else { *self.wishes.borrow_and_update() };
                    let signal = if wish == Wish::Kill { "KILL" } else { "TERM" };
                    let path = format!("/containers/{}/kill?signal={signal}", self.id);
                    // One that has just ended cannot be signaled, and one that cannot be killed is removed by force.
                    let _ = wire.tell(Ask::post("to end the container", path)).await;
                    if wish == Wish::Kill {
                        return timeout(KILL_TIME, end).await.ok().and_then(code);
                    }
                }
            }
        }
    }

    /// The limit that ended it, if one did. Memory may also run out for a child, without the server ending by it.
    async fn overrun(&self, wire: &Wire, code: i32) -> Option<Overrun> {
        let known = |limit| Overrun { limit, certainty: Certainty::Known };
        match code {
            FILE_SIZE_CODE => Some(known(Limit::FileSize)),
            KILLED_CODE => {
                let ask = Ask::get("how the container ended", format!("/containers/{}/json", self.id));
                let found: Found = wire.ask(ask).await.ok()?;
                found.state.oom_killed.then_some(known(Limit::Memory))
            }
            _ => None,
        }
    }
}

/// Removes a container, whatever it does, with the volumes that belong to it alone. What cannot be removed is found at
/// the next start.
async fn remove(wire: &Wire, container: &str) {
    for _ in 0..REMOVALS {
        match super::sweep::remove(wire, container).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(container, %error, "a container is not removed yet"),
        }
        sleep(REMOVAL_PAUSE).await;
    }
}

fn exit_of(code: i32) -> Exit {
    match code {
        129..160 => Exit::Signal(code - 128),
        code => Exit::Code(code),
    }
}
