//! `[flows]` and labels: what may flow within a conversation.

use casemate_gateway::snapshot::{Flows, Follow, ServerLabels, Verdict};
use casemate_mcp::names::ServerName;
use casemate_policy::{Answerer, Label, Labels};

use super::Compiler;
use crate::reader::Scope;

impl Compiler<'_> {
    pub(super) fn flows(&self) -> Flows {
        let at = self.scope("flows");
        let default = Flows::default();
        let answerer = at.text("answerer").and_then(Answerer::find).unwrap_or_default();
        let verdict = match at.text("outbound") {
            Some("deny") => Verdict::Deny,
            Some("pass") => Verdict::Pass,
            _ => Verdict::Ask(answerer),
        };
        let follow = if at.text("follow") == Some("subject") { Follow::Subject } else { default.follow };
        let servers = self.scope("servers");
        let of = |name: &str| {
            let labels = server(&servers.child(name));
            (labels != ServerLabels::default()).then_some((ServerName::parse(name).ok()?, labels))
        };
        let labelled = servers.names().into_iter().filter_map(of).collect();
        Flows { verdict, follow, window: at.time("window").unwrap_or(default.window), servers: labelled }
    }
}

fn server(at: &Scope<'_>) -> ServerLabels {
    let tools = at.below("tools");
    let of = |name: &&str| Some(((*name).into(), labels(&tools.child(name))?));
    ServerLabels { own: labels(at).unwrap_or_default(), tools: tools.names().iter().filter_map(of).collect() }
}

/// The labels that stand there; `None` where nothing is said, which is another thing than none.
fn labels(at: &Scope<'_>) -> Option<Labels> {
    Some(at.texts("labels")?.iter().filter_map(|name| Label::find(name)).collect())
}
