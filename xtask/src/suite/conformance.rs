//! The official conformance suite: against the fixture itself, to know that both are right, and against the
//! same fixture through the gateway, with the upstream side over HTTP and over stdio; and with the gateway as the
//! client that logs in (docs/conformance.md).

pub(crate) mod client;

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::cache::Cache;
use crate::console::say;
use crate::installation::{Installation, Running};
use crate::{process, target};

/// The frozen requirement sets, and the fixture that each is run against.
const SETS: [Set; 2] =
    [Set { requirements: "2025-11-25", era: "legacy" }, Set { requirements: "2026-07-28", era: "modern" }];

/// One requirement set.
#[derive(Debug, Clone, Copy)]
struct Set {
    requirements: &'static str,
    era: &'static str,
}

/// The programs that take part.
struct Programs {
    casemate: PathBuf,
    fixture: PathBuf,
    forward: PathBuf,
    node: PathBuf,
    suite: PathBuf,
}

/// Runs all sets directly and through the gateway. All are run, whatever fails.
pub(crate) fn run(cache: &Cache) -> Result<()> {
    let programs = Programs::find(cache)?;
    let reports = tempfile::tempdir()?;
    let mut failed = Vec::new();
    let mut judge = |what: String, set: Set, url: &str| -> Result<()> {
        let folder = reports.path().join(what.replace(' ', "-"));
        if !programs.judge(&what, set, (url, &folder))? {
            failed.push(what);
        }
        Ok(())
    };
    let upstreams = SETS.map(|set| (set, programs.serve(set)));
    let mut configuration = String::new();
    for (set, upstream) in &upstreams {
        let address = upstream.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?.address;
        judge(format!("{} directly", set.requirements), *set, &format!("http://{address}/mcp"))?;
        // Writing to a string cannot fail.
        let _ = write!(configuration, "{}", programs.servers(*set, address));
    }
    let installation = Installation::new(&programs.casemate, &configuration)?;
    let key = installation.home().join("key");
    fs::write(&key, installation.key("user")?)?;
    let gateway = installation
        .up(process::command(&programs.casemate))
        .with_context(|| format!("the gateway printed:\n{}", installation.printed()))?;
    for set in SETS {
        for link in ["http", "stdio"] {
            let server = format!("{}-{link}", set.era);
            let forward = programs.forward(&gateway, &server, &key)?;
            let what = format!("{} through the gateway over {link}", set.requirements);
            judge(what, set, &format!("http://{}/mcp", forward.address))?;
        }
    }
    drop(gateway);
    failed.extend(client::run(&programs, reports.path())?);
    match failed.as_slice() {
        [] => Ok(()),
        failed => bail!("{}; the gateway printed:\n{}", failed.join(", "), installation.printed()),
    }
}

impl Programs {
    fn find(cache: &Cache) -> Result<Programs> {
        target::build()?;
        let node = cache.node()?;
        Ok(Programs {
            casemate: target::program("debug", "casemate")?,
            fixture: target::program("debug", "casemate-fixture")?,
            forward: target::program("debug", "casemate-forward")?,
            suite: node.join("conformance"),
            node: node.join("node"),
        })
    }

    /// The fixture over HTTP.
    fn serve(&self, set: Set) -> Result<Running> {
        let mut command = process::command(&self.fixture);
        command.args(["--era", set.era, "--http", "127.0.0.1:0"]);
        Running::announced(command).context("casemate-fixture did not start")
    }

    /// The fixture as two servers of the gateway's configuration, `ERA-http` and `ERA-stdio`.
    fn servers(&self, set: Set, address: std::net::SocketAddr) -> String {
        let era = set.era;
        let fixture = toml_edit::Value::from(self.fixture.to_string_lossy().into_owned());
        format!(
            "[servers.{era}-http]\nurl = \"http://{address}/mcp\"\n\
             [servers.{era}-stdio]\ncommand = [{fixture}, \"--stdio\", \"--era\", \"{era}\"]\n"
        )
    }

    /// A forwarder that adds the key, which the suite cannot send.
    fn forward(&self, gateway: &Running, server: &str, key: &Path) -> Result<Running> {
        let mut command = process::command(&self.forward);
        command.args(["--listen", "127.0.0.1:0", "--bearer-file"]).arg(key);
        command.args(["--to", &format!("http://{}/servers/{server}/mcp", gateway.address)]);
        Running::announced(command).context("casemate-forward did not start")
    }

    /// Runs one set against one address and says whether all of it passed.
    ///
    /// The suite runs more than its revision requires and forgives failures there. Where the fixture passes, the
    /// gateway has to; but some of those scenarios race with themselves on a busy machine, so they get a
    /// second run. What is required gets none.
    fn judge(&self, what: &str, set: Set, (url, folder): (&str, &Path)) -> Result<bool> {
        let first = self.once(what, set, (url, folder))?;
        Ok(match first {
            Verdict::Beyond => self.once(&format!("{what}, again"), set, (url, folder))? == Verdict::Passed,
            verdict => verdict == Verdict::Passed,
        })
    }

    fn once(&self, what: &str, set: Set, (url, folder): (&str, &Path)) -> Result<Verdict> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        let mut suite = process::command(&self.node);
        suite.arg(&self.suite).args(["server", "--url", url, "--requirements", set.requirements, "-o"]);
        let output = suite.arg(folder).output().context("cannot start the conformance suite")?;
        let printed = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&printed);
        let total = text.lines().find(|line| line.starts_with("Total:")).unwrap_or("it printed no total");
        let verdict = match (output.status.success(), total.ends_with(", 0 failed")) {
            (true, true) => Verdict::Passed,
            (true, false) => Verdict::Beyond,
            (false, _) => Verdict::Failed,
        };
        say(format_args!("conformance {what}: {verdict} ({total})"));
        if verdict != Verdict::Passed {
            text.lines().filter(|line| line.starts_with('✗')).for_each(say);
            failures(folder)?.iter().for_each(say);
        }
        Ok(verdict)
    }
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Every check passed.
    Passed,
    /// What is required passed, and something else did not.
    Beyond,
    /// Something that is required did not pass.
    Failed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Passed => "passed",
            Verdict::Beyond => "FAILED beyond what is required",
            Verdict::Failed => "FAILED",
        })
    }
}

/// What the suite's reports say about each check that failed.
fn failures(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for scenario in fs::read_dir(folder).context("the suite wrote no reports")? {
        let Ok(text) = fs::read_to_string(scenario?.path().join("checks.json")) else { continue };
        let checks: Vec<serde_json::Value> =
            serde_json::from_str(&text).context("a report is no list of checks")?;
        let failed =
            checks.iter().filter(|check| check.get("status").is_some_and(|status| status == "FAILURE"));
        found.extend(failed.map(|check| format!("{check:#}")));
    }
    Ok(found)
}
