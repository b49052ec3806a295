//! Adds a key to every request; see `--help`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use casemate_testkit::forward::Forwarder;
use clap::Parser;
use serde_json::json;

/// Forwards HTTP requests with a bearer key, for test clients that cannot send one.
#[derive(Debug, Parser)]
struct Flags {
    /// Where to listen; the bound address is printed as one JSON line. Port 0 picks a free one.
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// Where every request goes, such as http://127.0.0.1:7332/servers/fixture/mcp.
    #[arg(long, value_name = "URL")]
    to: String,
    /// A file that holds the key and nothing else.
    #[arg(long, value_name = "FILE")]
    bearer_file: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(std::io::stderr().lock(), "casemate-forward: {fault}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> std::io::Result<()> {
    let key = tokio::fs::read_to_string(&flags.bearer_file).await?;
    let (address, _guard) = Forwarder::new(&flags.to, &key)?.listen(flags.listen).await?;
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", json!({"address": address.to_string(), "url": format!("http://{address}/mcp")}))?;
        out.flush()?;
    }
    std::future::pending().await
}
