//! Tasks: whose they are, what came of those that we keep ourselves, and those whose questions wait for clients.

mod attended;
mod begun;
mod kept;

use casemate_mcp::names::ServerName;
use casemate_policy::SubjectId;

use crate::parked::Whose;

pub(crate) use attended::{Attended, Attending, Looked};
use begun::Begun;
pub(crate) use kept::{Kept, KeptTask};

/// What is known of tasks.
#[derive(Debug, Default)]
pub struct Tasks {
    begun: Begun,
    kept: Kept,
    attended: Attended,
}

impl Tasks {
    /// Remembers who began a task, with which tool. An id that a server gives once more is the newest owner's, and of all the
    /// tools that its owner began it with.
    pub fn begin(&self, (server, id): (&ServerName, &str), owner: &SubjectId, tool: Option<&str>) {
        self.begun.begin((server, id), owner, tool);
    }

    /// Whether the subject began that task, and nobody else one of the same id since.
    #[must_use]
    pub fn is_own(&self, server: &ServerName, id: &str, subject: &SubjectId) -> bool {
        self.begun.is_own((server, id), subject)
    }

    /// The tools with which the subject began tasks of that id, the newest last; nearly always one, and none where that is
    /// not remembered. `None` for an id that stands for too many of them to be judged.
    #[must_use]
    pub fn tools(&self, server: &ServerName, id: &str, subject: &SubjectId) -> Option<Vec<Box<str>>> {
        self.begun.tools((server, id), subject)
    }

    /// Those that we keep.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Those whose questions wait.
    pub(crate) fn attended(&self) -> &Attended {
        &self.attended
    }

    /// Lets go of the questions of tasks that may ask no more.
    pub(crate) fn give_up(&self, may_go_on: impl Fn(&Whose) -> bool) {
        self.attended.retain(|(owner, server, id)| {
            let whose = |tool| Whose { owner: owner.clone(), server: server.clone(), tool };
            match self.tools(server, id, owner) {
                Some(tools) if tools.is_empty() => may_go_on(&whose(None)),
                Some(tools) => tools.into_iter().all(|tool| may_go_on(&whose(Some(tool)))),
                None => false,
            }
        });
    }

    /// Lets go of what belongs to subjects that are there no more.
    pub(crate) fn sweep(&self, is_there: impl Fn(&SubjectId) -> bool) {
        self.kept.sweep(&is_there);
        self.attended.retain(|(owner, ..)| is_there(owner));
    }
}
