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
use crate::console::say;
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

/// Entering, as the suite of attacks measures it.
fn entered() -> Result<Vec<Row>> {
    let options =
        ["test", "--release", "--locked", "--quiet", "--package", "casemate-sandbox", "--test", "escapes"];
    let printed = process::capture(process::cargo().args(options).args(["--", "--bench"]))?;
    let times = |name: &str| times(&printed, name).with_context(|| format!("no \"{name}\" in:\n{printed}"));
    let row = |what: String, direct: f64, through: f64, verdict: Verdict| {
        let [direct, through] = [direct, through].map(|time| Rounds::from_iter([time]));
        Row { what, unit: "ms", direct, through, verdict }
    };
    let plain = times("plain")?.end;
    let mut rows = Vec::new();
    for (name, most) in [("light", Some(2.0)), ("full", Some(4.0)), ("full, networked", None)] {
        let what = format!("`true` in a cell ({name}) until it executes, and without one to its end");
        let start = times(name)?.start.with_context(|| format!("when does it execute?\n{printed}"))?;
        rows.push(row(what, plain, start, Verdict::Added(most)));
    }
    if let Ok(bubblewrap) = times("bubblewrap") {
        let what = "`true` to its end: by bubblewrap, and in a full cell".to_owned();
        rows.push(row(what, bubblewrap.end, times("full")?.end, Verdict::Times(1.0)));
    } else {
        say(format_args!("no comparison with bubblewrap, which is not installed (Debian: bubblewrap)"));
    }
    Ok(rows)
}

/// Medians, in milliseconds.
#[derive(Debug, PartialEq)]
struct Times {
    /// Until the program executes, where that can be known.
    start: Option<f64>,
    end: f64,
}

/// The numbers in the line of a name: best and median until it executes, best and median until its end.
fn times(printed: &str, name: &str) -> Option<Times> {
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?.strip_prefix("  ")?;
        let numbers: Vec<f64> = rest.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match *numbers.as_slice() {
            [_, end] => Some(Times { start: None, end }),
            [_, start, _, end] => Some(Times { start: Some(start), end }),
            _ => None,
        }
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
    fn the_medians_of_each_kind_are_found() {
        let printed = "ms, best / median      until it executes         until its end\n\
                       plain                                   -         0.81 / 0.90\n\
                       full                         3.40 / 3.70         4.40 / 4.80\n\
                       full, networked              3.70 / 4.10         4.70 / 5.10\n";
        assert_eq!(times(printed, "plain"), Some(Times { start: None, end: 0.9 }));
        assert_eq!(times(printed, "full"), Some(Times { start: Some(3.7), end: 4.8 }));
        assert_eq!(times(printed, "full, networked"), Some(Times { start: Some(4.1), end: 5.1 }));
        assert_eq!(times(printed, "bubblewrap"), None);
    }
}
