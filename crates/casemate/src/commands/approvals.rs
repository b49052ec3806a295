//! `casemate approvals`: what people are asked before a call is made.

use casemate_gateway::approvals::Answer as Verdict;
use serde::Serialize;

use crate::args::people::{Approvals, ApprovalsAction, Span};
use crate::clock;
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{ApprovalState, Request};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Entry, Page, Report, Tone, text};

/// Does what was asked with the questions.
pub fn run(context: &Context, approvals: &Approvals) -> anyhow::Result<Exit> {
    match &approvals.action {
        None | Some(ApprovalsAction::List) => context.output.print(&Queue(all(context)?))?,
        Some(ApprovalsAction::Show(named)) => context.output.print(&Whole(find(context, &named.id)?))?,
        Some(ApprovalsAction::Allow(allow)) => decide(context, &allow.id, span(allow.span))?,
        Some(ApprovalsAction::Deny(named)) => decide(context, &named.id, Verdict::Deny)?,
    }
    Ok(Exit::Success)
}

fn span(span: Span) -> Verdict {
    match span {
        Span { always: true, .. } => Verdict::Always,
        Span { session: true, .. } => Verdict::Session,
        _ => Verdict::Once,
    }
}

fn all(context: &Context) -> anyhow::Result<Vec<ApprovalState>> {
    let socket = context.paths.control_socket();
    context.small_runtime()?.block_on(client::ask(&socket, &Request::Approvals))
}

fn find(context: &Context, id: &str) -> anyhow::Result<ApprovalState> {
    all(context)?.into_iter().find(|approval| approval.id == id).ok_or_else(|| {
        let failure = Failure::new(Exit::Failure, format!("there is no question {id}, or its time is over"));
        failure.hint("`casemate approvals` lists those that there are").into()
    })
}

fn decide(context: &Context, id: &str, verdict: Verdict) -> anyhow::Result<()> {
    let socket = context.paths.control_socket();
    let request = Request::Decide { id: id.to_owned(), verdict };
    let decided: ApprovalState = context.small_runtime()?.block_on(client::ask(&socket, &request))?;
    context.output.print(&Decided(decided))
}

#[derive(Debug, Serialize)]
struct Queue(Vec<ApprovalState>);

impl Report for Queue {
    fn lay_out(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("Nothing waits for an answer, and nothing is approved.");
            return;
        }
        let row = |one: &ApprovalState| -> Vec<Entry> {
            let tone = if one.standing == "open" { Tone::Warning } else { Tone::Normal };
            let expires = one.expires.map_or_else(|| "never".to_owned(), clock::date_time);
            vec![
                Entry::new(&one.id, Tone::Strong),
                Entry::new(&one.standing, tone),
                Entry::from(&one.subject),
                Entry::from(&one.server),
                Entry::from(&one.name),
                Entry::from(expires),
            ]
        };
        let rows: Vec<_> = self.0.iter().map(row).collect();
        page.table(&["id", "answer", "subject", "server", "name", "expires"], &rows);
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Whole(ApprovalState);

impl Report for Whole {
    fn lay_out(&self, page: &mut Page) {
        let one = &self.0;
        let expires = one.expires.map_or_else(|| "never".to_owned(), clock::date_time);
        let lines = [
            ("id", one.id.clone()),
            ("answer", one.standing.clone()),
            ("subject", one.subject.clone()),
            ("server", one.server.clone()),
            ("method", one.method.clone()),
            ("name", one.name.clone()),
            ("asked", clock::date_time(one.asked)),
            ("expires", expires),
            ("who may answer", one.answerer.clone()),
            ("because of", one.rules.join("; ")),
            ("digest", one.digest.clone()),
        ];
        let rows: Vec<Vec<Entry>> = lines
            .iter()
            .map(|(label, value)| vec![Entry::new(label, Tone::Quiet), Entry::from(value)])
            .collect();
        page.table(&[], &rows);
        page.gap();
        page.heading("arguments");
        page.line(&text::safe_line(&one.arguments));
        if one.standing == "open" {
            page.gap();
            page.line(&format!(
                "casemate approvals allow {} --once | --session | --always",
                text::safe_line(&one.id)
            ));
            page.line(&format!("casemate approvals deny {}", text::safe_line(&one.id)));
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Decided(ApprovalState);

impl Report for Decided {
    fn lay_out(&self, page: &mut Page) {
        let said = match self.0.standing.as_str() {
            "once" => "approved for one call",
            "session" => "approved for this session",
            "always" => "approved until it is withdrawn",
            _ => "denied",
        };
        page.line(&format!("{}: {said}", text::safe_line(&self.0.id)));
    }
}
