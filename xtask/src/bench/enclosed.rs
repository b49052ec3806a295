//! What a cell costs its server: entering it, starting in it, and reaching something from it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Runtime;

use super::cells::Plan;
use super::client::{Client, Target};
use super::host::Core;
use super::protocol::Era;
use super::report::{Row, Verdict};
use super::statistics::Rounds;
use crate::cache::Cache;
use crate::clock::Moment;
use crate::installation::{Installation, Running};
use crate::process;

/// How often a server is started for each round.
const STARTS: usize = 4;
/// How many requests a client makes in a round; a cell may make 600 connections a minute.
const REQUESTS: usize = 200;

/// All rows of the group.
pub(super) fn measure(plan: &Plan, runtime: &Runtime) -> Result<Vec<Row>> {
    let mut rows = entered()?;
    let cache = Cache::open()?;
    let (node, python) = (cache.node()?, cache.python()?);
    let text = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
    let everything = vec![text(node.join("node")), text(node.join("mcp-server-everything"))];
    let time = vec![text(python.join("mcp-server-time"))];
    for (name, command) in [("server-everything", everything), ("mcp-server-time", time)] {
        rows.push(listed(plan, runtime, (name, &command))?);
    }
    rows.push(reached(plan)?);
    Ok(rows)
}

/// Entering, as the suite of attacks measures it with the same code.
fn entered() -> Result<Vec<Row>> {
    let options =
        ["test", "--release", "--locked", "--quiet", "--package", "casemate-sandbox", "--test", "escapes"];
    let printed = process::capture(process::cargo().args(options).args(["--", "--bench"]))?;
    let median = |name: &str| median(&printed, name).with_context(|| format!("no {name} in:\n{printed}"));
    let row = |name: &str, most| {
        Ok(Row {
            what: format!("start of `true` in a cell: {name}"),
            unit: "ms",
            direct: Rounds::from_iter([median("plain")?]),
            through: Rounds::from_iter([median(name)?]),
            verdict: Verdict::Added(most),
        })
    };
    [("light", Some(2.0)), ("full", Some(4.0)), ("full, networked", None)]
        .map(|(name, most)| row(name, most))
        .into_iter()
        .collect()
}

/// The median in the line `NAME best 1.234 ms, median 2.345 ms`; a comment may follow the name of the plain one.
fn median(printed: &str, name: &str) -> Option<f64> {
    let of = |line: &str| {
        let (front, rest) = line.split_once(" best ")?;
        let front = front.trim();
        let is_it = front == name || (name == "plain" && front.starts_with("plain"));
        let (_, median) = rest.split_once("median")?;
        is_it.then(|| median.trim().trim_end_matches("ms").trim().parse().ok())?
    };
    printed.lines().find_map(of)
}

/// A server that nobody has started yet, until its tools are listed: without a cell, and in a full one.
fn listed(plan: &Plan, runtime: &Runtime, (name, command): (&str, &[String])) -> Result<Row> {
    let command = command.iter().collect::<toml_edit::Array>();
    let configuration = format!(
        "[servers.plain]\ncommand = {command}\nallow_unsandboxed = true\n[servers.enclosed]\ncommand = {command}\n"
    );
    let installation = Installation::new(&plan.casemate, &configuration)?;
    let key = installation.key("user")?;
    let first = |server: &str| -> Result<f64> {
        let gateway = installation.up(Core::Gateway.command(&plan.casemate))?;
        let path = format!("/servers/{server}/mcp");
        let key = Some(key.clone());
        let target = Arc::new(Target { address: gateway.address, path, key, era: Era::Modern });
        let time = runtime.block_on(first_list(&target));
        time.with_context(|| format!("{name}, {server}; the gateway printed:\n{}", installation.printed()))
    };
    let (mut direct, mut through) = (Rounds::default(), Rounds::default());
    for _ in 0..plan.rounds * STARTS {
        direct.push(first("plain")?);
        through.push(first("enclosed")?);
    }
    let what = format!("time to the tools of {name}, without a cell and in a full one");
    Ok(Row { what, unit: "ms", direct, through, verdict: Verdict::Times(1.1) })
}

async fn first_list(target: &Arc<Target>) -> Result<f64> {
    let started = Moment::now();
    let count = Client::connect(target).await?.list().await?;
    ensure!(count > 0, "no tools are listed");
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

/// A request over TLS on a connection of its own: from outside, and from a cell to which the host was granted.
fn reached(plan: &Plan) -> Result<Row> {
    let folder = tempfile::Builder::new().prefix("casemate-bench-").tempdir()?;
    make_identity(folder.path())?;
    let mut server = Core::Load.command(&plan.echo);
    server.arg("https-server").arg(folder.path());
    let server = Running::announced(server).context("the HTTPS server did not start")?;
    let installation = Installation::new(&plan.casemate, "")?;
    let port = server.address.port().to_string();
    let ask = |command: &mut Command| -> Result<f64> {
        command.arg("https-client").arg(folder.path()).args([&port, &REQUESTS.to_string()]);
        let printed = process::capture(command)?;
        printed.trim().parse().with_context(|| format!("\"{printed}\" is no time"))
    };
    let (mut direct, mut through) = (Rounds::default(), Rounds::default());
    for _ in 0..plan.rounds {
        direct.push(ask(&mut Core::Gateway.command(&plan.echo))?);
        let mut enclosed = Core::Gateway.command(&plan.casemate);
        enclosed.env("CASEMATE_HOME", installation.home()).args(["run", "--raw", "--read"]);
        enclosed.arg(folder.path()).args(["--network", &format!("loopback localhost:{port}"), "--"]);
        through.push(ask(enclosed.arg(&plan.echo))?);
    }
    let what = format!("an HTTPS request from a cell by name, median of {REQUESTS}");
    Ok(Row { what, unit: "µs", direct, through, verdict: Verdict::Times(1.3) })
}

/// A key and a certificate for `localhost`.
fn make_identity(folder: &Path) -> Result<()> {
    let mut openssl = process::command("openssl");
    openssl.current_dir(folder).args(["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"]);
    openssl.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args([
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]);
    openssl.args(["-keyout", super::https::KEY, "-out", super::https::CERTIFICATE]);
    process::capture(&mut openssl).context("the certificate of a benchmark is made by openssl")?;
    ensure!(fs::exists(folder.join(super::https::KEY))?, "openssl has made no key");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_each_kind_is_found() {
        let printed = "plain, to its end    best    0.812 ms, median    0.901 ms\n\
                       full                 best    3.401 ms, median    3.702 ms\n\
                       full, networked      best    3.701 ms, median    4.102 ms\n";
        let found = ["plain", "full", "full, networked", "light"].map(|name| median(printed, name));
        assert_eq!(found, [Some(0.901), Some(3.702), Some(4.102), None]);
    }
}
