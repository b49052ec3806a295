//! The server that a command is about: a configured one, or one that was typed.

use casemate_config::{Loaded, PackageSources};
use casemate_gateway::upstream::Launch;
use casemate_mcp::names::ServerName;

use crate::absent::Absent;
use crate::args::cells::Which;
use crate::cells::Spelling;
use crate::configuration;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::typed::Server;

/// The server that a command is about.
#[derive(Debug)]
pub(super) struct Subject {
    /// What would be started.
    pub(super) launch: Launch,
    /// Where packages come from.
    pub(super) packages: PackageSources,
    /// How its settings are spelled.
    pub(super) spelling: Spelling,
}

impl Subject {
    /// Finds it, to look at: references of a configured one to secrets are not followed.
    pub(super) fn of(context: &Context, which: &Which) -> anyhow::Result<Subject> {
        Subject::find(context, which, configuration::inspect)
    }

    /// Finds it, to start it.
    pub(super) fn to_run(context: &Context, which: &Which) -> anyhow::Result<Subject> {
        Subject::find(context, which, |context| configuration::load(context, None))
    }

    fn find(
        context: &Context,
        which: &Which,
        read: impl FnOnce(&Context) -> anyhow::Result<Loaded>,
    ) -> anyhow::Result<Subject> {
        match &which.server {
            None => {
                let Server { launch, packages, .. } = Server::of(context, &which.typed)?;
                Ok(Subject { launch, packages, spelling: Spelling::Flags })
            }
            Some(name) => configured(read(context)?, name),
        }
    }
}

fn configured(loaded: Loaded, name: &ServerName) -> anyhow::Result<Subject> {
    let entry = loaded.snapshot.servers.get(name).ok_or_else(|| {
        Failure::from(Absent::of(name.as_str(), &loaded.snapshot.servers)).hint("a command comes after `--`")
    })?;
    let program = entry.source.program().ok_or_else(|| {
        Failure::new(Exit::Failure, format!("{name} runs elsewhere, so it has no cell"))
            .hint(format!("`casemate show {name}` has what is known about it"))
    })?;
    let launch = Launch { server: name.clone(), program };
    Ok(Subject { launch, packages: loaded.process.packages, spelling: Spelling::Entry })
}
