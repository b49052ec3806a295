//! Labels that a server's word about its tools suggests, for a person to write into the configuration or not.

use casemate_gateway::snapshot::Flows;
use casemate_mcp::names::ServerName;
use casemate_policy::Labels;
use serde_json::Value;

use crate::output::{Entry, Page, Tone};

/// The labels that a tool's annotations suggest, whatever they are, where nobody gave the tool or its server any.
pub(super) fn proposed(
    annotations: &Value,
    flows: &Flows,
    (server, tool): (&ServerName, &str),
) -> Vec<&'static str> {
    let said = flows.servers.get(server);
    if said.is_some_and(|labels| !labels.own.is_empty() || labels.tools.contains_key(tool)) {
        return Vec::new();
    }
    let hint = |name: &str| annotations.get(name).and_then(Value::as_bool);
    let proposed = Labels::proposed(hint("readOnlyHint"), hint("openWorldHint"));
    proposed.iter().map(|label| label.as_str()).collect()
}

/// Lists what is proposed, tool by tool.
pub(super) fn lay_out<'a>(tools: impl Iterator<Item = (&'a str, &'a [&'static str])>, page: &mut Page) {
    let rows: Vec<Vec<Entry>> = tools
        .filter(|(_, labels)| !labels.is_empty())
        .map(|(tool, labels)| vec![format!("  {tool}").into(), labels.join(", ").into()])
        .collect();
    if rows.is_empty() {
        return;
    }
    page.gap();
    page.heading("labels that its annotations suggest");
    page.table(&[], &rows);
    page.line(&page.toned(Tone::Quiet, "They count once they stand in the configuration (docs/flows.md)."));
}

#[cfg(test)]
mod tests {
    use casemate_gateway::snapshot::ServerLabels;
    use casemate_policy::Label;

    use super::*;

    #[test]
    fn what_a_person_said_of_a_tool_or_its_server_is_proposed_no_more() {
        let hints = serde_json::json!({"openWorldHint": true, "title": "x"});
        let name = |name| ServerName::parse(name).unwrap();
        let (web, git, wiki) = (name("web"), name("git"), name("wiki"));
        let mut flows = Flows::default();
        assert_eq!(proposed(&hints, &flows, (&web, "get")), ["untrusted", "outbound"]);
        let own = ServerLabels { own: Labels::NONE.with(Label::Private), ..ServerLabels::default() };
        flows.servers.insert(web.clone(), own);
        let tools = [("log".into(), Labels::NONE)].into();
        flows.servers.insert(git.clone(), ServerLabels { tools, ..ServerLabels::default() });
        assert!(proposed(&hints, &flows, (&web, "get")).is_empty());
        assert!(proposed(&hints, &flows, (&git, "log")).is_empty(), "none is an answer too");
        assert_eq!(proposed(&hints, &flows, (&git, "fetch")), ["untrusted", "outbound"]);
        assert!(proposed(&Value::Null, &flows, (&wiki, "get")).is_empty());
    }
}
