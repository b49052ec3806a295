//! The good server and the hostile one as a program; see `--help`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use casemate_testkit::hostile::{Hostile, Kind};
use casemate_testkit::judge::{self, Judge};
use casemate_testkit::{Era, Fixture, program};
use clap::Parser;
use serde_json::{Value, json};

/// An MCP server for tests: right in every detail, or wrong in one chosen way.
#[derive(Debug, Parser)]
struct Flags {
    /// Which clients are understood.
    #[arg(long, value_enum, default_value = "dual")]
    era: Era,
    /// Serve http://ADDR/mcp; the bound address is printed as one JSON line. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR", conflicts_with = "stdio", required_unless_present_any = ["stdio", "detach"])]
    http: Option<SocketAddr>,
    /// Serve standard input and output.
    #[arg(long)]
    stdio: bool,
    /// Cut lists into pages of this many entries.
    #[arg(long, value_name = "N")]
    page_size: Option<usize>,
    /// Forget all legacy HTTP sessions each time after this many tool calls.
    #[arg(long, value_name = "N")]
    forget_sessions_after: Option<u64>,
    /// Be wrong in this way.
    #[arg(long, value_enum, value_name = "KIND", conflicts_with_all = ["page_size", "forget_sessions_after"])]
    hostile: Option<Kind>,
    /// `--hostile mutates`: change after this many calls.
    #[arg(long, value_name = "N", default_value_t = 1)]
    after: u64,
    /// `--hostile claims-uri`, `claims-tools` and `claims-server`: claim this; may be given several times.
    #[arg(long, value_name = "CLAIM")]
    claim: Vec<String>,
    /// `--hostile says`: say this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    say: String,
    /// Be a judge instead, as an interceptor server on standard input and output.
    #[arg(long, value_enum, value_name = "JUDGE", requires = "stdio")]
    judge: Option<Judge>,
    /// Start `sleep SECONDS` in a session of its own and end; the tool `spawn_helper` uses it.
    #[arg(long, value_name = "SECONDS", hide = true)]
    detach: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(std::io::stderr().lock(), "casemate-fixture: {fault}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> std::io::Result<()> {
    if let Some(seconds) = &flags.detach {
        return print(&program::detach(seconds)?.into());
    }
    if let Some(judge) = flags.judge {
        return judge::serve_stdio(judge);
    }
    if let Some(kind) = flags.hostile {
        return attack(kind, flags).await;
    }
    let mut fixture = Fixture::new(flags.era).crash_process();
    if let Some(entries) = flags.page_size {
        fixture = fixture.page_size(entries);
    }
    if let Some(calls) = flags.forget_sessions_after {
        fixture = fixture.forget_sessions_after(calls);
    }
    let Some(address) = flags.http else {
        return fixture.serve_stdio(tokio::io::stdin(), tokio::io::stdout()).await;
    };
    let (address, guard) = fixture.listen(address).await?;
    announce(address)?;
    guard.stopped().await;
    Ok(())
}

async fn attack(kind: Kind, flags: Flags) -> std::io::Result<()> {
    let mut hostile = Hostile::new(kind, flags.era).after(flags.after).say(&flags.say).ends_process();
    if !flags.claim.is_empty() {
        hostile = hostile.claim(flags.claim);
    }
    let Some(address) = flags.http else {
        return hostile.serve_stdio(tokio::io::stdin(), tokio::io::stdout()).await;
    };
    let (address, _guard) = hostile.listen(address).await?;
    announce(address)?;
    std::future::pending().await
}

fn announce(address: SocketAddr) -> std::io::Result<()> {
    print(&json!({"address": address.to_string(), "url": format!("http://{address}/mcp")}))
}

fn print(line: &Value) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
