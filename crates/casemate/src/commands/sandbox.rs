//! `casemate sandbox`: what cells can be had here, and what is in one.

use casemate_sandbox::Absent;
use serde::Serialize;

use crate::args::cells::Sandbox;
use crate::context::Context;
use crate::exit::Exit;

mod explain;
mod learn;
mod probe;
mod subject;

/// Does what was asked.
pub fn run(context: &Context, sandbox: &Sandbox) -> anyhow::Result<Exit> {
    match sandbox {
        Sandbox::Probe => probe::run(context),
        Sandbox::Explain(which) => explain::run(context, which),
        Sandbox::Learn(learn) => learn::run(context, learn),
    }
}

/// Something that is not in force.
#[derive(Debug, Serialize)]
struct Gap {
    layer: &'static str,
    reason: String,
}

impl Gap {
    fn of(absent: &Absent) -> Gap {
        Gap { layer: absent.layer.as_str(), reason: absent.reason.clone() }
    }
}
