//! What a group measures on: an upstream server, a gateway in front of it, and a key.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::cells::Plan;
use super::client::{Client, Target};
use super::host::{self, Core};
use super::load::{self, Outcome, Work};
use super::protocol::{Ask, Era};
use super::report::{Row, Verdict};
use super::statistics::Rounds;
use crate::clock::Moment;
use crate::installation::{Installation, Running};

/// How long a gateway may take from its start to its first answer before we give up.
const START_MAX: Duration = Duration::from_secs(30);

/// An upstream server and a gateway, stopped when dropped.
#[derive(Debug)]
pub(crate) struct Bed<'a> {
    ground: Ground<'a>,
    gateway: Running,
}

/// All that a gateway needs before it starts.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    plan: &'a Plan,
    echo: Running,
    installation: Installation,
    key: String,
}

/// One thing to measure.
#[derive(Debug)]
pub(crate) struct Cell {
    /// Without the gateway, where that means something.
    pub(crate) direct: Option<Arc<Target>>,
    /// Through it.
    pub(crate) through: Arc<Target>,
    /// What each client does.
    pub(crate) work: Work,
    /// How many clients do it.
    pub(crate) clients: usize,
}

/// The rounds of one cell.
#[derive(Debug, Default)]
pub(crate) struct Series {
    direct: Vec<Outcome>,
    through: Vec<Outcome>,
    /// Microseconds of processor time per call, of the gateway and what it started.
    cpu: Rounds,
}

impl Ground<'_> {
    /// Starts the upstream server and makes an installation with a key; `configuration` gets its address.
    pub(crate) fn prepare(plan: &Plan, configuration: impl Fn(SocketAddr) -> String) -> Result<Ground<'_>> {
        let mut command = Core::Load.command(&plan.echo);
        command.arg("echo-http");
        let echo = Running::announced(command).context("the echo server did not start")?;
        let installation = Installation::new(&plan.casemate, &configuration(echo.address))?;
        let key = installation.key("user")?;
        Ok(Ground { plan, echo, installation, key })
    }

    /// Starts the gateway and times its way to the first answered call.
    pub(crate) async fn first_answer(self, path: &str) -> Result<Duration> {
        let started = Moment::now();
        let gateway = self.installation.start(Core::Gateway.command(&self.plan.casemate))?;
        let target = self.target(gateway.address, path, Era::Modern);
        loop {
            if let Ok(mut client) = Client::connect(&target).await {
                client.call(Ask::Echo).await?;
                return Ok(started.elapsed());
            }
            if started.elapsed() > START_MAX {
                bail!("nothing answers; the gateway printed:\n{}", self.installation.printed());
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }

    fn target(&self, address: SocketAddr, path: &str, era: Era) -> Arc<Target> {
        Arc::new(Target { address, path: path.to_owned(), key: Some(self.key.clone()), era })
    }
}

impl Bed<'_> {
    /// Starts an upstream server and a gateway in front of it.
    pub(crate) fn start(plan: &Plan, configuration: impl Fn(SocketAddr) -> String) -> Result<Bed<'_>> {
        let ground = Ground::prepare(plan, configuration)?;
        let gateway = ground
            .installation
            .up(Core::Gateway.command(&plan.casemate))
            .with_context(|| format!("the gateway printed:\n{}", ground.installation.printed()))?;
        Ok(Bed { ground, gateway })
    }

    /// The upstream server itself.
    pub(crate) fn direct(&self, path: &str, era: Era) -> Arc<Target> {
        Arc::new(Target { address: self.ground.echo.address, path: path.to_owned(), key: None, era })
    }

    /// The same through a relay that copies bytes, on the gateway's core; it ends with the returned process.
    pub(crate) fn relayed(&self, path: &str, era: Era) -> Result<(Running, Arc<Target>)> {
        let mut command = Core::Gateway.command(&self.ground.plan.echo);
        command.arg("relay").arg(self.ground.echo.address.to_string());
        let relay = Running::announced(command).context("the relay did not start")?;
        let target = Target { address: relay.address, path: path.to_owned(), key: None, era };
        Ok((relay, Arc::new(target)))
    }

    /// The same through the gateway.
    pub(crate) fn through(&self, path: &str, era: Era) -> Arc<Target> {
        self.ground.target(self.gateway.address, path, era)
    }

    /// Measures a cell both ways, in turns.
    pub(crate) async fn series(&self, cell: &Cell) -> Result<Series> {
        let Cell { direct, through, work, clients } = cell;
        let time = self.ground.plan.time;
        let mut series = Series::default();
        for _ in 0..self.ground.plan.rounds {
            if let Some(direct) = direct {
                series.direct.push(load::run(direct, *work, *clients, time).await.context("direct")?);
            }
            let before = host::cpu_seconds(self.gateway.pid())?;
            let outcome = load::run(through, *work, *clients, time).await.context("through the gateway")?;
            let used = host::cpu_seconds(self.gateway.pid())? - before;
            series.cpu.push(used * 1e6 / outcome.count as f64);
            series.through.push(outcome);
        }
        Ok(series)
    }

    /// Files, sockets and pipes that the gateway has open.
    pub(crate) fn descriptors(&self) -> Result<usize> {
        host::open_descriptors(self.gateway.pid())
    }

    /// Bytes of memory that the gateway occupies.
    pub(crate) fn resident(&self) -> Result<f64> {
        host::resident_bytes(self.gateway.pid())
    }
}

impl Series {
    /// A row about one number of each round.
    pub(crate) fn row(
        &self,
        what: String,
        number: (&'static str, fn(&Outcome) -> f64),
        verdict: Verdict,
    ) -> Row {
        let (unit, of) = number;
        let rounds = |outcomes: &[Outcome]| outcomes.iter().map(of).collect();
        Row { what, unit, direct: rounds(&self.direct), through: rounds(&self.through), verdict }
    }

    /// A row about processor time.
    pub(crate) fn cpu_row(&self, what: String, verdict: Verdict) -> Row {
        Row { what, unit: "µs", direct: Rounds::default(), through: self.cpu.clone(), verdict }
    }

    /// The same the other way round: calls per second of one core.
    pub(crate) fn rate_row(&self, what: String, verdict: Verdict) -> Row {
        let through = self.cpu.map(|micros| 1e6 / micros);
        Row { what, unit: "1/s", direct: Rounds::default(), through, verdict }
    }
}
