//! The gateway as a client: the suite plays the server and the authorization server, and we are the client that it
//! starts. That client is a gateway with one remote server, a caller behind it, and a person who opens what they are
//! asked to open and fills in what they are asked to fill in (docs/conformance.md).

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::Programs;
use crate::console::say;
use crate::installation::Installation;
use crate::{environment, process, target};

/// The address that the suite expects of a client that has a document about itself.
const DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";

/// Runs every scenario that a revision requires of a client, and some besides; says which did not pass.
pub(super) fn run(programs: &Programs, reports: &Path) -> Result<Vec<String>> {
    // Not the file that this process was started from: the build of the steps before may have replaced it.
    let own = target::program("debug", "xtask")?;
    let command = format!("{} conformance-client", own.display());
    let mut failed = Vec::new();
    for set in super::SETS {
        let mut scenarios = programs.required(set.requirements, "Client scenarios")?;
        scenarios.extend(BESIDES.map(str::to_owned));
        let mut passed = 0;
        for scenario in &scenarios {
            let folder = reports.join(format!("client-{}-{}", set.requirements, scenario.replace('/', "-")));
            let mut suite = process::command(&programs.node);
            suite.arg(&programs.suite).args(["client", "--command", &command, "--scenario", scenario]);
            suite.args(["--spec-version", set.requirements, "-o"]).arg(&folder);
            let output = suite.output().context("cannot start the conformance suite")?;
            if output.status.success() {
                passed += 1;
                continue;
            }
            let text = [output.stdout, output.stderr].concat();
            say(format_args!("{}", String::from_utf8_lossy(&text)));
            failed.push(format!("{scenario} of {} as a client", set.requirements));
        }
        let total = scenarios.len();
        say(format_args!(
            "conformance {} as a client: {passed} of {total} scenarios passed",
            set.requirements
        ));
    }
    Ok(failed)
}

/// Scenarios that no revision requires yet, and that pass all the same.
const BESIDES: [&str; 1] = ["json-schema-2020-12-preservation"];

/// What the names of scenarios about logins begin with. In the others the server takes everybody.
const LOGINS: &str = "auth/";

/// Is the client: one gateway with the scenario's server, which is called twice where a login is wanted, and used in all
/// that it offers where none is.
pub(crate) fn be(url: &str) -> Result<()> {
    let [revision, scenario, context] = environment::conformance();
    let scenario = scenario.unwrap_or_default();
    let context: Value = context.map_or(Ok(Value::Null), |text| serde_json::from_str(&text))?;
    let own = std::env::current_exe().context("cannot find this program")?;
    let casemate = own.with_file_name("casemate");
    let secrets = tempfile::tempdir()?;
    let secret = secrets.path().join("client-secret");
    if let Some(text) =
        context.get("client_secret").or(context.get("private_key_pem")).and_then(Value::as_str)
    {
        fs::write(&secret, text)?;
    }
    let written = configuration(url, &scenario, (&context, &secret));
    let installation = Installation::new(&casemate, &written)?;
    let key = installation.home().join("key");
    fs::write(&key, installation.key("user")?)?;
    let gateway = installation.up(process::command(&casemate))?;
    let mut person = process::command(own.with_file_name("casemate-person"));
    person
        .args(["--url", &format!("http://{}/servers/remote/mcp", gateway.address), "--bearer-file"])
        .arg(&key);
    person.args(["--era", if revision.as_deref() == Some("2025-11-25") { "legacy" } else { "modern" }]);
    if scenario.starts_with(LOGINS) {
        person.args(["--times", "2"]);
    } else {
        person.arg("--everything");
        let calls = context.get("toolCalls").into_iter();
        person.args(calls.flat_map(|calls| ["--calls".to_owned(), calls.to_string()]));
    }
    let status = person.status().context("cannot start casemate-person")?;
    if status.success() {
        return Ok(());
    }
    bail!("the call did not come through; the gateway printed:\n{}", installation.printed())
}

fn configuration(url: &str, scenario: &str, (context, secret): (&Value, &Path)) -> String {
    let mut oauth = toml_edit::Table::new();
    if let Some(id) = context.get("client_id").and_then(Value::as_str) {
        oauth.insert("client_id", toml_edit::value(id));
    }
    if let Some(issuer) = context.get("issuer").and_then(Value::as_str) {
        oauth.insert("issuer", toml_edit::value(issuer));
    }
    for (name, setting) in [("client_secret", "client_secret"), ("private_key_pem", "client_key")] {
        if context.get(name).is_some() {
            oauth.insert(setting, toml_edit::value(format!("file:{}", secret.display())));
        }
    }
    if scenario.starts_with("auth/client-credentials") {
        oauth.insert("grant", toml_edit::value("client_credentials"));
    }
    if scenario == "auth/basic-cimd" {
        oauth.insert("client_metadata_url", toml_edit::value(DOCUMENT));
    }
    let mut server = toml_edit::Table::new();
    server.insert("url", toml_edit::value(url));
    if scenario.starts_with(LOGINS) {
        server.insert("oauth", toml_edit::Item::Table(oauth));
    }
    let mut servers = toml_edit::Table::new();
    servers.insert("remote", toml_edit::Item::Table(server));
    let mut document = toml_edit::DocumentMut::new();
    document.insert("servers", toml_edit::Item::Table(servers));
    document.to_string()
}
