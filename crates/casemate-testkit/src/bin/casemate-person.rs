//! A client with a person in front of it; see `--help`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use bytes::Bytes;
use casemate_testkit::client::{ClientError, LEGACY_REVISION, McpHttp};
use clap::{Parser, ValueEnum};
use http::header::LOCATION;
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// How often the person logs in before they give up.
const LOGINS_MAX: usize = 6;
/// Redirects that a browser follows.
const REDIRECTS_MAX: usize = 5;
/// The code under which the revision 2025-11-25 asks to open an address.
const URL_ELICITATION_REQUIRED: i64 = -32042;

/// Calls a tool, opens every address that it is asked to open as a browser would, and calls again.
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
    let capabilities = json!({ "elicitation": { "url": {} } });
    let mut client = McpHttp::new(&flags.url).bearer(key.trim());
    match flags.era {
        Era::Modern => client = client.modern(capabilities),
        Era::Legacy => {
            // A server that wants a login may want it from the first word on.
            let mut answer = client.initialize(LEGACY_REVISION, capabilities.clone()).await;
            for _ in 0..LOGINS_MAX {
                let Some(url) = asked(&answer) else { break };
                open(&url).await?;
                answer = client.initialize(LEGACY_REVISION, capabilities.clone()).await;
            }
            answer.map_err(|fault| fault.to_string())?;
        }
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

/// Opens an address as a browser whose person agrees to everything.
async fn open(url: &str) -> Result<(), String> {
    let browser: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut url: Uri = url.parse().map_err(|_| "the address to open is none".to_owned())?;
    for _ in 0..REDIRECTS_MAX {
        let request = Request::get(url.clone()).header("sec-fetch-mode", "navigate").body(Empty::new());
        let request = request.map_err(|fault| fault.to_string())?;
        let response = browser.request(request).await.map_err(|fault| fault.to_string())?;
        let next = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
        // The page has to be read to its end, which is when whoever wrote it has done its work.
        let _ = response.into_body().collect().await;
        match next {
            Some(next) => url = next.parse().map_err(|_| "a redirect leads nowhere".to_owned())?,
            None => return Ok(()),
        }
    }
    Err("too many redirects".to_owned())
}
