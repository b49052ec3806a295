//! The official client SDKs: every era, both transports, all servers joined and one alone.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

use super::parts::Parts;
use super::site::Site;
use crate::home::CASEMATE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sdk {
    Python,
    /// 1.x for the legacy era, 2.x for the modern one.
    TypeScript,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    Legacy,
    Modern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Http,
    /// `casemate connect`, as the client's child.
    Connect,
}

/// Which servers the client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Joined,
    /// `everything` alone, under its own names.
    One,
}

/// What a client did and saw; `client.py` and `client.mjs` do the same and word it so.
#[derive(Debug, Deserialize)]
struct Seen {
    revision: String,
    /// The names that it was shown.
    tools: Vec<String>,
    /// What came back from `echo`.
    echo: String,
    /// The structured content of `get-structured-content`, which the SDK has held against the tool's schema.
    structured: Value,
    /// A resource from the list, read by the URI that the list had, and whether the answer has the same URI.
    document: String,
    document_uri_kept: bool,
    /// A resource whose URI the client made from a template.
    dynamic: String,
    prompt: String,
    completion: Vec<String>,
    /// What was reported while a call ran: done, of how much.
    progress: Vec<[f64; 2]>,
    /// What the client was asked in mid-call.
    asked: Vec<String>,
    /// What became of that call.
    answered: Option<String>,
}

#[test]
fn the_python_sdk_in_the_legacy_era() {
    every_way(Sdk::Python, Era::Legacy);
}

#[test]
fn the_python_sdk_in_the_modern_era() {
    every_way(Sdk::Python, Era::Modern);
}

#[test]
fn the_typescript_sdk_in_the_legacy_era() {
    every_way(Sdk::TypeScript, Era::Legacy);
}

#[test]
fn the_typescript_sdk_in_the_modern_era() {
    every_way(Sdk::TypeScript, Era::Modern);
}

fn every_way(sdk: Sdk, era: Era) {
    let Some(parts) = Parts::find() else { return };
    let site = Site::start().with_everything(&parts).with_fixture();
    for transport in [Transport::Http, Transport::Connect] {
        for scope in [Scope::Joined, Scope::One] {
            let question = question(era, scope);
            let wish = wish(&site, (era, transport, scope), question.map(|(tool, ..)| tool));
            let output = client(&parts, &site, (sdk, &wish)).output().unwrap();
            let seen = serde_json::from_slice(&output.stdout);
            let seen: Seen =
                seen.unwrap_or_else(|fault| panic!("{transport:?} {scope:?}: {fault}\n{output:?}"));
            judge(&seen, era, scope);
            judge_progress(&seen, sdk);
            judge_question(&seen, question);
        }
    }
    site.close();
}

/// A tool that asks, what it asks, and what it says to the answer. Where servers are joined, a question says which one asks.
fn question(era: Era, scope: Scope) -> Option<(&'static str, &'static str, &'static str)> {
    let form = "Please provide inputs for the following fields:";
    match (era, scope) {
        (Era::Legacy, Scope::Joined) => {
            let asked = "everything asks: Please provide inputs for the following fields:";
            Some(("everything__trigger-elicitation-request", asked, "- Name: Vauban"))
        }
        (Era::Legacy, Scope::One) => Some(("trigger-elicitation-request", form, "- Name: Vauban")),
        (Era::Modern, Scope::Joined) => {
            let asked = "fixture asks: What is your name?";
            Some(("fixture__test_input_required_result_elicitation", asked, "Hello, Vauban!"))
        }
        (Era::Modern, Scope::One) => None,
    }
}

#[track_caller]
fn judge(seen: &Seen, era: Era, scope: Scope) {
    assert_eq!(seen.revision, if era == Era::Legacy { "2025-11-25" } else { "2026-07-28" });
    let has = |name: &str| seen.tools.iter().any(|tool| tool == name);
    match scope {
        Scope::Joined => assert!(has("everything__echo") && has("system__get_memory_stats"), "{seen:?}"),
        Scope::One => assert!(has("echo") && !seen.tools.iter().any(|tool| tool.contains("__")), "{seen:?}"),
    }
    assert_eq!(seen.echo, "Echo: hi");
    assert_eq!(
        seen.structured,
        json!({"temperature": 36, "conditions": "Light rain / drizzle", "humidity": 82})
    );
    assert!(seen.document_uri_kept && seen.document.starts_with("# Everything Server"), "{seen:?}");
    assert!(seen.dynamic.starts_with("Resource 7: "), "{}", seen.dynamic);
    assert_eq!(seen.prompt, "What's weather in Bern?");
    assert_eq!(seen.completion, ["Sales", "Support"]);
}

#[track_caller]
fn judge_progress(seen: &Seen, sdk: Sdk) {
    let reports = [[1.0, 2.0], [2.0, 2.0]];
    match sdk {
        Sdk::Python => assert_eq!(seen.progress, reports),
        // This SDK loses a report that it reads in one piece with the answer, as it can the last one.
        Sdk::TypeScript => {
            assert!(!seen.progress.is_empty() && reports.starts_with(&seen.progress), "{:?}", seen.progress);
        }
    }
}

#[track_caller]
fn judge_question(seen: &Seen, question: Option<(&str, &str, &str)>) {
    match question {
        Some((_, asked, answered)) => {
            assert_eq!(seen.asked, [asked]);
            assert!(seen.answered.as_ref().unwrap().contains(answered), "{:?}", seen.answered);
        }
        None => assert!(seen.asked.is_empty() && seen.answered.is_none(), "{seen:?}"),
    }
}

/// What a client is told to do.
pub(super) fn wish(site: &Site, way: (Era, Transport, Scope), question: Option<&str>) -> Value {
    let (era, transport, scope) = way;
    let mut wish = json!({
        "era": if era == Era::Legacy { "legacy" } else { "modern" },
        "prefix": if scope == Scope::Joined { "everything__" } else { "" },
        "question": question,
    });
    match transport {
        Transport::Http => {
            let one = || site.endpoint_of("everything");
            wish["url"] = if scope == Scope::Joined { site.endpoint().into() } else { one().into() };
            wish["key"] = site.key().into();
        }
        Transport::Connect => {
            let one: &[&str] = if scope == Scope::One { &["--server", "everything"] } else { &[] };
            wish["command"] = json!([&[CASEMATE, "connect"], one].concat());
            wish["env"] = json!({"CASEMATE_HOME": site.home.root()});
        }
    }
    wish
}

/// The client, ready to run.
pub(super) fn client(parts: &Parts, site: &Site, (sdk, wish): (Sdk, &Value)) -> Command {
    script(parts, site, (sdk, "client", wish))
}

/// A script with an SDK, ready to run.
pub(super) fn script(parts: &Parts, site: &Site, (sdk, name, wish): (Sdk, &str, &Value)) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/real");
    let (interpreter, ending) = match sdk {
        Sdk::Python => (parts.pypi("python"), "py"),
        Sdk::TypeScript => (parts.node(), "mjs"),
    };
    let script = scripts.join(format!("{name}.{ending}")).to_str().unwrap().to_owned();
    let mut wish = wish.clone();
    wish["packages"] = json!(parts.packages());
    let mut command = site.program(&[interpreter, script, wish.to_string()]);
    // The scripts lie among the sources, and nothing is to be written there.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
