//! `casemate sessions`: the sessions of older clients at the running gateway.

use serde::Serialize;

use crate::args::people::{Revoke, Sessions, SessionsAction};
use crate::clock;
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Ended, Request, SessionState, Whose};
use crate::exit::Exit;
use crate::output::{Entry, Page, Report};

/// Lists or ends sessions.
pub fn run(context: &Context, sessions: &Sessions) -> anyhow::Result<Exit> {
    match &sessions.action {
        None | Some(SessionsAction::List) => list(context),
        Some(SessionsAction::Revoke(Revoke { id: Some(id), .. })) => {
            revoke(context, Whose::Session(id.clone()))
        }
        Some(SessionsAction::Revoke(Revoke { subject, .. })) => {
            revoke(context, Whose::Subject(subject.clone().unwrap_or_default()))
        }
    }
}

fn list(context: &Context) -> anyhow::Result<Exit> {
    let socket = context.paths.control_socket();
    let open = context.small_runtime()?.block_on(client::ask(&socket, &Request::Sessions))?;
    context.output.print(&Open(open))?;
    Ok(Exit::Success)
}

fn revoke(context: &Context, whose: Whose) -> anyhow::Result<Exit> {
    let socket = context.paths.control_socket();
    let request = Request::EndSessions(whose);
    let Ended { ended } = context.small_runtime()?.block_on(client::ask(&socket, &request))?;
    context.output.print(&Revoked { ended })?;
    Ok(Exit::Success)
}

#[derive(Debug, Serialize)]
struct Open(Vec<SessionState>);

impl Report for Open {
    fn lay_out(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("No client has a session or a connection. Clients of the present protocol need none over HTTP.");
            return;
        }
        let row = |session: &SessionState| -> Vec<Entry> {
            vec![
                Entry::from(&session.id),
                Entry::from(&session.subject),
                Entry::from(&session.endpoint),
                Entry::from(&session.over),
                Entry::from(session.client.as_deref().unwrap_or("-")),
                Entry::from(clock::date_time(session.opened)),
                Entry::from(clock::date_time(session.used)),
                Entry::from(clock::date_time(session.ends)),
                Entry::from(session.in_flight.to_string()),
            ]
        };
        let rows: Vec<_> = self.0.iter().map(row).collect();
        page.table(
            &["id", "subject", "endpoint", "over", "client", "opened", "last used", "ends", "in flight"],
            &rows,
        );
    }
}

#[derive(Debug, Serialize)]
struct Revoked {
    ended: usize,
}

impl Report for Revoked {
    fn lay_out(&self, page: &mut Page) {
        page.line(&format!(
            "{} ended",
            if self.ended == 1 { "1 session".to_owned() } else { format!("{} sessions", self.ended) }
        ));
    }
}
