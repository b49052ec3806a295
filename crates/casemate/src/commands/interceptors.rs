//! `casemate interceptors`: who is asked about what passes through, in the order in which they are.

use casemate_gateway::snapshot::{Interceptor, InterceptorKind, Mode, Unheard, Way};
use serde::Serialize;

use crate::configuration;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Entry, Page, Report, Tone};

/// Lists them as the configuration has them.
pub fn list(context: &Context) -> anyhow::Result<Exit> {
    let loaded = configuration::inspect(context)?;
    context.output.print(&Listed(loaded.snapshot.interceptors.iter().map(|one| Shown::of(one)).collect()))?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    kind: &'static str,
    asked: String,
    on: Vec<&'static str>,
    phases: Vec<&'static str>,
    mode: &'static str,
    fail: &'static str,
    order: u64,
}

impl Shown {
    fn of(one: &Interceptor) -> Shown {
        Shown {
            name: one.name.to_string(),
            kind: match one.kind {
                InterceptorKind::Validator => "validator",
                InterceptorKind::Mutator => "mutator",
            },
            asked: match &one.way {
                // A query may hold a secret.
                Way::Http(judge) => judge.url.to_string().split('?').next().unwrap_or_default().to_owned(),
                Way::Server { server, interceptor } => format!("server {server}, {interceptor}"),
            },
            on: one.events.iter().map(|event| event.as_str()).collect(),
            phases: one.phases.iter().map(|phase| phase.as_str()).collect(),
            mode: if one.mode == Mode::Audit { "audit" } else { "active" },
            fail: if one.unheard == Unheard::Open { "open" } else { "closed" },
            order: one.order,
        }
    }
}

#[derive(Debug, Serialize)]
struct Listed(Vec<Shown>);

impl Report for Listed {
    fn lay_out(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("Nobody outside is asked.");
            return;
        }
        let row = |one: &Shown| -> Vec<Entry> {
            vec![
                Entry::new(&one.name, Tone::Strong),
                Entry::from(one.kind),
                Entry::from(&one.asked),
                Entry::from(one.on.join(", ")),
                Entry::from(one.phases.join(", ")),
                Entry::from(one.mode),
                Entry::from(one.fail),
            ]
        };
        let rows: Vec<_> = self.0.iter().map(row).collect();
        page.table(&["name", "kind", "asked", "on", "phases", "mode", "fail"], &rows);
    }
}
