//! A client with a person in front of it; see `--help`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use casemate_testkit::client::{ClientError, LEGACY_REVISION, McpHttp};
use casemate_testkit::person::{self, Tour, open};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

/// How often the person logs in before they give up.
const LOGINS_MAX: usize = 6;
/// The code under which the revision 2025-11-25 asks to open an address.
const URL_ELICITATION_REQUIRED: i64 = -32042;

/// Calls a tool, opens every address that it is asked to open as a browser would, and calls again; or uses everything that
/// is offered, and agrees to everything that it is asked.
#[derive(Debug, Parser)]
struct Flags {
    /// The endpoint, such as http://127.0.0.1:7332/servers/remote/mcp.
    #[arg(long, value_name = "URL")]
    url: String,
    /// A file that holds the key and nothing else.
    #[arg(long, value_name = "FILE")]
    bearer_file: PathBuf,
    /// The dialect to speak.
    #[arg(long, value_enum)]
    era: Era,
    /// The tool to call, without arguments.
    #[arg(long, default_value = "test-tool")]
    tool: String,
    /// How often to call it, one after the other.
    #[arg(long, default_value_t = 1)]
    times: usize,
    /// Use every tool, resource and prompt once instead.
    #[arg(long)]
    everything: bool,
    /// With --everything: a JSON list of objects with `name` and `arguments`, the calls to make of these tools.
    #[arg(long, value_name = "JSON", requires = "everything")]
    calls: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Era {
    Legacy,
    Modern,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(std::io::stderr().lock(), "casemate-person: {fault}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), String> {
    let key = tokio::fs::read_to_string(&flags.bearer_file).await.map_err(|fault| fault.to_string())?;
    let capabilities =
        if flags.everything { person::capabilities() } else { json!({ "elicitation": { "url": {} } }) };
    let mut client = McpHttp::new(&flags.url).bearer(key.trim());
    let hello = match flags.era {
        Era::Modern => {
            client = client.modern(capabilities);
            if flags.everything {
                client.request("server/discover", json!({})).await
            } else {
                Ok(Value::Null)
            }
        }
        Era::Legacy => {
            // A server that wants a login may want it from the first word on.
            let mut answer = client.initialize(LEGACY_REVISION, capabilities.clone()).await;
            for _ in 0..LOGINS_MAX {
                let Some(url) = asked(&answer) else { break };
                open(&url).await?;
                answer = client.initialize(LEGACY_REVISION, capabilities.clone()).await;
            }
            answer
        }
    };
    let hello = hello.map_err(|fault| fault.to_string())?;
    if flags.everything {
        let calls = flags.calls.map_or(Ok(Vec::new()), |text| serde_json::from_str(&text));
        let calls = calls.map_err(|fault| format!("--calls is no list: {fault}"))?;
        let offered = hello.get("capabilities").unwrap_or(&Value::Null);
        return Tour::new(&client, calls).run(offered).await;
    }
    for _ in 0..flags.times {
        call(&client, &flags.tool).await?;
    }
    Ok(())
}

async fn call(client: &McpHttp, tool: &str) -> Result<(), String> {
    for _ in 0..=LOGINS_MAX {
        let answer = client.call(tool, json!({})).await;
        match asked(&answer) {
            Some(url) => open(&url).await?,
            None => return answer.map(drop).map_err(|fault| fault.to_string()),
        }
    }
    Err(format!("still asked to log in after {LOGINS_MAX} times"))
}

/// The address that an answer asks to open.
fn asked(answer: &Result<Value, ClientError>) -> Option<String> {
    let url = match answer {
        Ok(result) => {
            let requests = result.get("inputRequests")?.as_object()?;
            requests.values().next()?.pointer("/params/url")?.clone()
        }
        Err(ClientError::Rpc(error)) if error.code == URL_ELICITATION_REQUIRED => {
            error.data.as_ref()?.pointer("/elicitations/0/url")?.clone()
        }
        Err(_) => return None,
    };
    url.as_str().map(str::to_owned)
}
