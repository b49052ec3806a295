//! Servers that are watched at work, to find out what they need.

use std::path::Path;
use std::sync::Arc;

use casemate_gateway::snapshot::Room;
use casemate_gateway::upstream::report::Granted;
use casemate_mcp::names::ServerName;
use casemate_net::egress::{Rules, Ungranted};
use casemate_net::{Attempt, Witness};
use casemate_sandbox::learn::{Entry, LearnSpec, Lessons};
use casemate_sandbox::{Cell, Kind};

use super::{Cells, Design, Opened, Refused, Spelling, Surroundings};

impl Cells {
    /// Starts what was designed and watches it: it sees the host, but for places that are nobody's business, and changes
    /// nothing that it was not granted. `home` is that of whoever watches.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn learn(
        &self,
        server: &ServerName,
        design: Design,
        home: Option<&Path>,
    ) -> Result<(Opened, Lessons), Refused> {
        let Some(room) = design.room.as_ref().filter(|room| room.kind == Kind::Full) else {
            return Err(self.has_no_full_cell());
        };
        let learn = self.surroundings.hide(LearnSpec { entry: entry(room), ..LearnSpec::new(home) });
        let started = self.spawner.learn(design.spec.clone(), learn).await;
        let (cell, lessons) =
            started.map_err(|error| Refused::by_sandbox(&error, &self.asking(server, &design)))?;
        let opened = self.opened(server, design, Start { cell, lessons: Some(lessons.clone()) })?;
        Ok((opened, lessons))
    }

    fn has_no_full_cell(&self) -> Refused {
        let without = match self.spelling {
            Spelling::Entry => "cell = \"light\" and allow_unsandboxed",
            Spelling::Flags => "--light and --allow-unsandboxed",
        };
        Refused::new("only a server in a full cell can be watched", format!("leave out {without} to learn"))
    }
}

/// A cell that was started, and who learns from it.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) cell: Cell,
    pub(super) lessons: Option<Lessons>,
}

impl Start {
    /// What a watched server sees, which no entry grants.
    pub(super) fn sees(&self) -> Option<Granted> {
        let access = "readable, but for what is nobody's business, since it is watched".to_owned();
        self.lessons.as_ref().map(|_| Granted { path: "/".to_owned(), access })
    }

    /// The same rules, with whoever learns from what is attempted. Then names are answered whatever is granted, since only
    /// who has an address dials, and shows the port.
    pub(super) fn watch(&self, rules: Rules) -> Rules {
        match &self.lessons {
            None => rules,
            Some(lessons) => Rules {
                witness: Arc::new(Both(Arc::clone(&rules.witness), lessons.clone())),
                ungranted: Ungranted::Named,
                ..rules
            },
        }
    }
}

#[derive(Debug)]
struct Both(Arc<dyn Witness>, Lessons);

impl Witness for Both {
    fn attempt(&self, attempt: &Attempt) {
        self.0.attempt(attempt);
        self.1.attempt(attempt);
    }
}

fn entry(room: &Room) -> Entry {
    Entry {
        read: room.read.clone(),
        write: room.write.clone(),
        runtime: room.runtime.clone(),
        network: room.network.destinations().iter().map(ToString::to_string).collect(),
    }
}

impl Surroundings {
    /// Hides what is ours.
    fn hide(&self, learn: LearnSpec) -> LearnSpec {
        let hidden = self.private.iter().chain([&self.config]);
        hidden.fold(learn, |learn, path| learn.hide(path, "it is casemate's own"))
    }
}
