//! The servers that people use, of both eras, from the official SDKs, each pinned to one era: whatever meets, works.
//!
//! One gateway joins them all, and each client is one process that calls a row of every server.

use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::Parts;
use super::sdks::{Era, Sdk, script};
use super::site::Site;

/// The servers, the revision that the gateway speaks with each, and one of its tools.
const SERVERS: [(&str, &str, &str); 7] = [
    ("everything", "2025-11-25", "get-sum"),
    ("files", "2025-11-25", "read_text_file"),
    ("memory", "2025-11-25", "create_entities"),
    ("git", "2026-07-28", "git_status"),
    ("time", "2026-07-28", "convert_time"),
    ("fetch", "2026-07-28", "fetch"),
    ("context7", "2026-07-28", "resolve-library-id"),
];

/// What a client got; `caller.py` and `caller.mjs` word it so.
#[derive(Debug, Deserialize)]
struct Got {
    revision: String,
    tools: Vec<String>,
    /// One for each call.
    answers: Vec<Answer>,
    /// What the client was asked in mid-call.
    asked: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Answer {
    text: String,
    is_error: bool,
    /// The whole of a result that was too large to be shown at once, read by its link.
    kept: Option<String>,
}

/// One call, and what its answer has to hold.
struct Row {
    tool: &'static str,
    arguments: Value,
    holds: &'static str,
    is_error: bool,
}

#[test]
fn all_servers_of_both_eras_work_from_all_clients_pinned_to_each() {
    let Some(parts) = Parts::find() else { return };
    let site = Site::start();
    let folder = furnish(&site, &parts);
    for sdk in [Sdk::Python, Sdk::TypeScript] {
        for (era, revision) in [(Era::Legacy, "2025-11-25"), (Era::Modern, "2026-07-28")] {
            let rows = rows(&folder);
            let calls: Vec<Value> =
                rows.iter().map(|row| json!({"name": row.tool, "arguments": row.arguments})).collect();
            let wish = json!({
                "era": if era == Era::Legacy { "legacy" } else { "modern" },
                "pinned": true,
                "url": site.endpoint(),
                "key": site.key(),
                "calls": calls,
            });
            let output = script(&parts, &site, (sdk, "caller", &wish)).output().unwrap();
            let got = serde_json::from_slice(&output.stdout);
            let got: Got = got.unwrap_or_else(|fault| panic!("{sdk:?} {era:?}: {fault}\n{output:?}"));
            assert_eq!(got.revision, revision, "{sdk:?}");
            for (server, _, tool) in SERVERS {
                let shown = format!("{server}__{tool}");
                assert!(got.tools.contains(&shown), "{sdk:?} {era:?} {shown}: {:?}", got.tools);
            }
            for (row, answer) in rows.iter().zip(&got.answers) {
                let fits = answer.text.contains(row.holds) && answer.is_error == row.is_error;
                assert!(fits, "{sdk:?} {era:?} {}: {answer:?}", row.tool);
            }
            assert_eq!(got.answers.len(), rows.len());
            let large = got.answers.last().unwrap().kept.as_deref();
            assert!(large == Some(&site.home.read("work/large.txt")), "{sdk:?} {era:?}");
            assert_eq!(got.answers.iter().filter(|answer| answer.kept.is_some()).count(), 1);
            let asked = ["everything asks: Please provide inputs for the following fields:"];
            assert_eq!(got.asked[..1], asked, "{sdk:?} {era:?}");
            assert!(got.asked[1].contains("What is a bastion?"), "{sdk:?} {era:?}: {:?}", got.asked);
        }
    }
    for (server, revision, tool) in SERVERS {
        site.expect(server, revision, &[tool]);
    }
    site.close();
}

/// Adds all servers, and gives back the folder that they may work in.
fn furnish(site: &Site, parts: &Parts) -> String {
    let file = site.home.write("work/plan.txt", "star fort\n");
    let folder = file.parent().unwrap().to_str().unwrap().to_owned();
    site.home.write("work/large.txt", &(0..200_000).map(|line| format!("{line}é\n")).collect::<String>());
    assert!(Command::new("git").args(["init", "--quiet", &folder]).status().unwrap().success());
    site.add("everything", &parts.npm("mcp-server-everything"));
    let files = [parts.npm("mcp-server-filesystem"), vec![folder.clone()]].concat();
    site.add_with("files", &["--write", &folder], &files);
    let memory = format!("MEMORY_FILE_PATH={folder}/memory.jsonl");
    site.add_with("memory", &["--write", &folder, "--env", &memory], &parts.npm("mcp-server-memory"));
    let git = [parts.pypi("mcp-server-git"), "--repository".to_owned(), folder.clone()];
    site.add_with("git", &["--write", &folder], &git);
    site.add("time", &[parts.pypi("mcp-server-time")]);
    site.add("fetch", &[parts.pypi("mcp-server-fetch")]);
    site.add("context7", &parts.npm("context7-mcp"));
    folder
}

/// What every client calls. Two of the servers are there to reach addresses of the internet, which tests do not: `fetch` refuses an
/// address of this machine by itself, and `context7` says that it reached nothing.
fn rows(folder: &str) -> Vec<Row> {
    let row = |tool, arguments, holds| Row { tool, arguments, holds, is_error: false };
    let entity = json!({"name": "Casemate", "entityType": "fortification", "observations": ["vaulted"]});
    let noon = json!({"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Kathmandu"});
    vec![
        row("everything__trigger-elicitation-request", json!({}), "- Name: Vauban"),
        row("everything__trigger-sampling-request", json!({"prompt": "What is a bastion?"}), "a star fort"),
        row("everything__get-sum", json!({"a": 19, "b": 23}), "42"),
        row("files__read_text_file", json!({"path": format!("{folder}/plan.txt")}), "star fort"),
        row("memory__create_entities", json!({"entities": [entity]}), ""),
        row("memory__read_graph", json!({}), "fortification"),
        row("git__git_status", json!({"repo_path": folder}), "plan.txt"),
        row("time__convert_time", noon, "T17:45:00"),
        Row { is_error: true, ..row("fetch__fetch", json!({"url": "http://127.0.0.1:9/"}), "private") },
        row(
            "context7__resolve-library-id",
            json!({"query": "How is a server started?", "libraryName": "tokio"}),
            "Error",
        ),
        // The server promises structured content, which clients hold against its schema.
        row(
            "files__read_text_file",
            json!({"path": format!("{folder}/large.txt")}),
            "The result of files__read_text_file has ",
        ),
    ]
}
