//! The official conformance suite: against the fixture itself, to know that both are right, and against the
//! same fixture through the gateway, with the upstream side over HTTP and over stdio, and with each era on either side;
//! and with the gateway as the client (docs/conformance.md).

pub(crate) mod client;
mod report;
pub(crate) mod wordless;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::cache::Cache;
use crate::console::say;
use crate::installation::{Installation, Running};
use crate::{process, target};
use report::{Report, Verdict};
use wordless::Wordless;

/// The frozen requirement sets, and the fixture that each is run against.
const SETS: [Set; 2] =
    [Set { requirements: "2025-11-25", era: "legacy" }, Set { requirements: "2026-07-28", era: "modern" }];

/// The suite does not come back to a call that asks something else than it wanted, and a legacy server on stdio works on one
/// call at a time from its first question on: such a call must not hold up the others for longer than this.
const QUESTIONS: &str = "[questions]\ntime = \"2s\"\n";

/// One requirement set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// One run of the suite.
struct Trial<'a> {
    what: String,
    set: Set,
    url: String,
    /// What the server has no words for.
    wordless: &'a [Wordless],
}

/// Runs all sets directly and through the gateway, also with a server of the other era behind it. All are run, whatever fails.
pub(crate) fn run(cache: &Cache) -> Result<()> {
    let programs = Programs::find(cache)?;
    let reports = tempfile::tempdir()?;
    let mut failed = Vec::new();
    let mut judge = |trial: Trial<'_>| -> Result<()> {
        let folder = reports.path().join(trial.what.replace(' ', "-"));
        if !programs.judge(&trial, &folder)? {
            failed.push(trial.what);
        }
        Ok(())
    };
    let upstreams = SETS.map(|set| (set, programs.serve(set)));
    let mut configuration = String::from(QUESTIONS);
    for (set, upstream) in &upstreams {
        let address = upstream.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?.address;
        let what = format!("{} directly", set.requirements);
        judge(Trial { what, set: *set, url: format!("http://{address}/mcp"), wordless: &[] })?;
        // Writing to a string cannot fail.
        let _ = write!(configuration, "{}", programs.servers(*set, address));
    }
    let installation = Installation::new(&programs.casemate, &configuration)?;
    let key = installation.home().join("key");
    fs::write(&key, installation.key("user")?)?;
    let gateway = installation
        .up(process::command(&programs.casemate))
        .with_context(|| format!("the gateway printed:\n{}", installation.printed()))?;
    for (set, server) in SETS.into_iter().flat_map(|set| SETS.map(|server| (set, server))) {
        for link in ["http", "stdio"] {
            let forward = programs.forward(&gateway, &format!("{}-{link}", server.era), &key)?;
            let to =
                if set == server { "the gateway".into() } else { format!("the gateway to {}", server.era) };
            let what = format!("{} through {to} over {link}", set.requirements);
            let url = format!("http://{}/mcp", forward.address);
            judge(Trial { what, set, url, wordless: set.wordless(server) })?;
        }
    }
    drop(gateway);
    failed.extend(client::run(&programs, reports.path())?);
    match failed.as_slice() {
        [] => Ok(()),
        failed => bail!("{}; the gateway printed:\n{}", failed.join(", "), installation.printed()),
    }
}

impl Set {
    /// What a server has no words for when this set is run against it.
    fn wordless(self, server: Set) -> &'static [Wordless] {
        if self.era == "modern" && server.era == "legacy" { wordless::MODERN_ON_LEGACY } else { &[] }
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

    /// Makes one trial and says whether all of it passed that can.
    ///
    /// The suite runs more than its revision requires and forgives failures there. Where the fixture passes, the
    /// gateway has to; but some of those scenarios race with themselves on a busy machine, so they get a
    /// second run. What is required gets none.
    fn judge(&self, trial: &Trial<'_>, folder: &Path) -> Result<bool> {
        let first = self.once(trial, folder, "")?;
        Ok(match first {
            Verdict::Beyond => self.once(trial, folder, ", again")? == Verdict::Passed,
            verdict => verdict == Verdict::Passed,
        })
    }

    fn once(&self, trial: &Trial<'_>, folder: &Path, attempt: &str) -> Result<Verdict> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        let mut suite = process::command(&self.node);
        let requirements = trial.set.requirements;
        suite.arg(&self.suite).args(["server", "--url", &trial.url, "--requirements", requirements, "-o"]);
        let output = suite.arg(folder).output().context("cannot start the conformance suite")?;
        let printed = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&printed);
        let total = text.lines().find(|line| line.starts_with("Total:")).unwrap_or("it printed no total");
        let report = Report::read(folder, output.status)?;
        let required = self.required(requirements, "Server scenarios")?;
        let (verdict, faults) = report.verdict(&required, trial.wordless);
        say(format_args!("conformance {}{attempt}: {verdict} ({total})", trial.what));
        faults.iter().for_each(say);
        Ok(verdict)
    }

    /// The scenarios that a revision requires, of the part of the list under this heading.
    fn required(&self, revision: &str, heading: &str) -> Result<Vec<String>> {
        let mut suite = process::command(&self.node);
        suite.arg(&self.suite).args(["list", "--requirements", revision]);
        let listed = process::capture(&mut suite)?;
        let part = listed.lines().skip_while(|line| !line.starts_with(heading)).skip(1);
        let scenarios = part.map_while(|line| line.strip_prefix("  - ")).map(|name| name.trim().to_owned());
        let scenarios: Vec<String> = scenarios.collect();
        if scenarios.is_empty() {
            bail!("the suite lists nothing under {heading:?} for {revision}");
        }
        Ok(scenarios)
    }
}
