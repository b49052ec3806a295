//! `casemate sandbox`: what cells can be had here, and what is in one.

use crate::args::cells::Sandbox;
use crate::context::Context;
use crate::exit::Exit;

mod probe;

/// Does what was asked.
pub fn run(context: &Context, sandbox: &Sandbox) -> anyhow::Result<Exit> {
    match sandbox {
        Sandbox::Probe => probe::run(context),
    }
}
