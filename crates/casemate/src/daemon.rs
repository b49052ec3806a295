//! The running gateway: everything is wired here, and ends here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use arc_swap::ArcSwap;
use casemate_auth::{KeySecret, Vault};
use casemate_config::{Loaded, PackageSources, Process};
use casemate_gateway::edge;
use casemate_gateway::front::PublicUrl;
use casemate_gateway::gate::{Gate, Parts};
use casemate_gateway::snapshot::Limits;
use casemate_gateway::upstream::{
    ALARMS_MAX, Alarm, AnswerSize, Credentials, Host, Launcher, Masks, ServerNotice,
};
use casemate_mcp::json::Raw;
use casemate_registry::lock::Lock;
use casemate_sandbox::Spawner;
use casemate_store::Store;
use casemate_transport::http::{Client, ClientOptions, Server, Shell, Tls};
use casemate_transport::listener::{BindFault, Listener, UnixSocket};
use casemate_transport::unix::Acceptor;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cells::{Cells, Surroundings};
use crate::context::Context;
use crate::control;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::packages::{self, Life};
use crate::wiring::judges::HttpJudges;
use crate::wiring::ledger::StoredLedger;
use crate::wiring::locked;
use crate::wiring::logins::Logins;
use crate::wiring::recorder::Log;
use crate::wiring::results::Spooled;
use ledgers::Ledgers;
use live::{Cause, Live};
use memory::Memory;
use operator::{Operator, Order};
use seat::Seat;
use signals::{Asked, Signals};
use watch::Watch;

pub mod first_key;
pub mod ledgers;
pub mod live;
pub mod memory;
pub mod operator;
pub mod seat;
pub mod signals;
pub mod tls;
pub mod watch;

/// Connections of local clients at a time. Each is a person's client, or one of its sessions.
const LOCAL_CONNECTIONS_MAX: usize = 1024;
/// Notices of servers that wait to be passed on.
const NOTICES_MAX: usize = 256;
/// The longest that a call can be configured to take is a day.
const CALL_TIME_MAX: Duration = Duration::from_secs(86_400 + 60);
/// Where large results are kept, in the data folder.
const SPOOL: &str = "spool";
/// After the grace time, how long tasks may take to notice that all is over.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// A gateway that serves.
#[derive(Debug)]
pub struct Daemon {
    live: Arc<Live>,
    gate: Arc<Gate>,
    log: Arc<Log>,
    ledger: Arc<StoredLedger>,
    cells: Arc<Cells>,
    orders: mpsc::Receiver<Order>,
    signals: Signals,
    watch: Option<Watch>,
    listening: CancellationToken,
    grace: Duration,
    /// Freed when everything else is gone.
    _lock: seat::Lock,
    /// Where all servers are joined.
    pub endpoint: String,
    /// The first API key, when this start made it.
    pub first_key: Option<KeySecret>,
}

/// What was read before anything was started.
#[derive(Debug)]
pub struct Start {
    /// The configuration.
    pub loaded: Loaded,
    /// Its text, to notice changes.
    pub text: Option<String>,
    /// What the command line said about the address.
    pub listen: Option<SocketAddr>,
    /// Starts processes.
    pub spawner: Spawner,
    /// The memory of the installation.
    pub store: Store,
    /// Its secrets.
    pub vault: Arc<Vault>,
    /// What the gateway is held to, if to anything.
    pub lock: Option<Lock>,
}

impl Daemon {
    /// Takes the seat of the installation and begins to serve.
    pub async fn start(context: Arc<Context>, start: Start) -> anyhow::Result<Daemon> {
        let signals = Signals::listen()?;
        context.paths.prepare_data()?;
        let seat = Seat::take(&context.paths)?;
        let Process { listen, shutdown_grace, packages: ref sources, ref tls, .. } = start.loaded.process;
        let tls = tls.clone().map(tls::open).transpose()?;
        let (listener, address) = bind(listen).await?;
        let log = Arc::new(Log::open(&context)?);
        let first_key = first_key::make(&start.store, &log).await?;
        let (tracker, stop, listening) = <(TaskTracker, CancellationToken, CancellationToken)>::default();
        let memory = Memory::open(&start.store, (&tracker, &stop)).await?;
        let ledgers = Ledgers::open(start.store, &log, (&tracker, &stop)).await?;
        let (alarms, heard) = mpsc::channel(ALARMS_MAX);
        let life = Life { tracker: tracker.clone(), stop: stop.clone(), log: Arc::clone(&log) };
        let cells = cells(&context, (start.spawner, sources), (life, alarms.clone()))?;
        live::warn_of_unknown_keys(&start.loaded.resolved, &ledgers.papers);
        let vault = (&start.vault, &context.masks);
        let (ground, logins) = ground(vault, &start.loaded, (&tracker, &stop), alarms);
        let (host, notices) = host(Arc::clone(&cells) as _, &start.loaded.snapshot.limits, ground);
        let shell = Arc::new(ArcSwap::from_pointee(live::shell(&start.loaded.front)?));
        ledgers.papers.configure(start.loaded.identity);
        let gate = Gate::start(Parts {
            snapshot: start.loaded.snapshot,
            own_url: PublicUrl::parse(&format!("http://{address}")).ok(),
            identities: Arc::clone(&ledgers.papers) as _,
            recorder: Arc::clone(&log) as _,
            ledger: (Arc::clone(&memory.keepers.ledger) as _, memory.spent),
            desk: memory.desk,
            seals: Arc::clone(&memory.keepers.seals),
            pins: locked::over(start.lock, &ledgers.pins),
            judges: Arc::new(HttpJudges::new()),
            wards: (Arc::clone(&ledgers.wards) as _, ledgers.wards.stored().await?),
            results: Spooled::open(&context.paths.data().join(SPOOL)),
            alarms: heard,
            host,
            notices,
        });
        open_doors(&gate, (&shell, tls.as_ref()), (listener, seat.mcp), &listening);
        let endpoint = format!("{}://{address}/mcp", if tls.is_some() { "https" } else { "http" });
        let live = Arc::new(Live::new(
            context,
            live::Start {
                gate: Arc::clone(&gate),
                papers: Arc::clone(&ledgers.papers),
                shell,
                listen: start.listen,
                process: start.loaded.process,
                tls,
                text: start.text,
                vault: start.vault,
                logins,
            },
        ));
        let orders = obey(&live, (ledgers, &log, &stop), &endpoint, (seat.control, &listening));
        Ok(Daemon {
            watch: watch(live.context()),
            live,
            gate,
            log,
            ledger: memory.keepers.ledger,
            cells,
            orders,
            signals,
            listening,
            grace: shutdown_grace,
            _lock: seat.lock,
            endpoint,
            first_key,
        })
    }

    /// Serves until it is told to stop, and then stops.
    pub async fn serve(mut self) {
        let grace = self.until_told().await;
        tracing::info!(grace_ms = grace.as_millis(), "stopping; a second signal stops at once");
        let again = async { while self.signals.next().await != Asked::Stop {} };
        tokio::select! {
            () = self.gate.stop(grace) => {}
            () = again => {
                tracing::warn!("stopping at once");
                self.gate.host().stop.cancel();
            }
        }
        self.listening.cancel();
        self.cells.close().await;
        let tracker = self.gate.tracker();
        tracker.close();
        if tokio::time::timeout(FAREWELL, tracker.wait()).await.is_err() {
            tracing::warn!(tasks = tracker.len(), "some tasks did not end in time and are dropped");
        }
        self.ledger.flush().await;
        self.gate.settle();
        self.log.sync();
        tracing::info!("stopped");
    }

    /// Follows the configuration file and reload requests; returns the grace time of the stop.
    async fn until_told(&mut self) -> Duration {
        // What changed between reading the file and watching it was seen by nobody.
        self.live.reload(Cause::Noticed).await;
        loop {
            let file_changed = async {
                match &mut self.watch {
                    Some(watch) => watch.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                asked = self.signals.next() => match asked {
                    Asked::Stop => return self.grace,
                    Asked::Reload => drop(self.live.reload(Cause::Asked).await),
                },
                Some(Order::Stop { grace }) = self.orders.recv() => return grace.unwrap_or(self.grace),
                () = file_changed => drop(self.live.reload(Cause::Noticed).await),
            }
        }
    }
}

/// Follows what is written to the store, and answers the command line; its orders are received where they can be followed.
fn obey(
    live: &Arc<Live>,
    (ledgers, log, stop): (Ledgers, &Arc<Log>, &CancellationToken),
    endpoint: &str,
    (socket, listening): (UnixSocket, &CancellationToken),
) -> mpsc::Receiver<Order> {
    ledgers.follow(live.gate(), stop);
    let (ordered, orders) = mpsc::channel(1);
    let operator = Operator::new(Arc::clone(live), (ledgers, log), ordered, endpoint.to_owned());
    live.gate().tracker().spawn(control::server::serve(socket, Arc::new(operator), listening.clone()));
    orders
}

/// Takes the address that clients connect to.
async fn bind(listen: SocketAddr) -> anyhow::Result<(Listener, SocketAddr)> {
    let listener = Listener::bind_tcp(listen).await.map_err(|fault| {
        let failure = Failure::new(Exit::Failure, format!("cannot listen on {listen}"));
        match fault {
            // A gateway that a client starts takes the configuration's, so a flag alone helps nobody.
            BindFault::InUse { .. } => anyhow!("another program listens there").context(failure.hint(
                "stop it, or choose another address: `gateway.listen` in the configuration, or `casemate up --listen ADDR`",
            )),
            fault => anyhow::Error::new(fault).context(failure),
        }
    })?;
    let address = listener.local_addr().unwrap_or(listen);
    Ok((listener, address))
}

/// Serves local clients, and others over HTTP, or HTTPS, until `listening` ends.
fn open_doors(
    gate: &Arc<Gate>,
    (shell, tls): (&Arc<ArcSwap<Shell>>, Option<&Arc<Tls>>),
    (listener, local): (Listener, UnixSocket),
    listening: &CancellationToken,
) {
    let tracker = gate.tracker();
    tracker.spawn(edge::lines::serve(Arc::clone(gate), Acceptor::new(local, LOCAL_CONNECTIONS_MAX)));
    let service = Arc::new(edge::http::Http::new(Arc::clone(gate)));
    let mut server = Server::new(Arc::clone(shell), service, listening.clone(), tracker.clone());
    if let Some(tls) = tls {
        server = server.with_tls(Arc::clone(tls));
        tls::follow(tls, tracker, listening);
    }
    tracker.spawn(server.run(listener));
}

/// Without a watch the gateway serves all the same; `casemate` commands and SIGHUP still make it read anew.
fn watch(context: &Context) -> Option<Watch> {
    let file = context.paths.config();
    let watched = file.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(anyhow::Error::from);
    match watched.and_then(|()| Ok(Watch::start(file)?)) {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "changes of the configuration are not noticed by themselves"
            );
            None
        }
    }
}

/// What starts servers.
fn cells(
    context: &Context,
    (spawner, sources): (Spawner, &PackageSources),
    (life, alarms): (Life, mpsc::Sender<Alarm>),
) -> anyhow::Result<Arc<Cells>> {
    let (tracker, log) = (life.tracker.clone(), Arc::clone(&life.log));
    let packages = packages::of(context, sources, spawner.clone(), life);
    let cells = Cells::new(spawner, Surroundings::of(context)?, tracker.clone());
    let cells = cells.preparing(packages).recording(log);
    let cells = Arc::new(cells.alarming(alarms, Arc::clone(&context.masks)));
    tracker.spawn(Arc::clone(&cells).sweep());
    Ok(cells)
}

/// What servers stand on.
#[derive(Debug)]
pub struct Ground {
    /// Tokens for remote servers.
    pub credentials: Arc<dyn Credentials>,
    /// Every task runs on it.
    pub tracker: TaskTracker,
    /// Ends everything.
    pub stop: CancellationToken,
    /// Told of what no honest server does.
    pub alarms: mpsc::Sender<Alarm>,
    /// What may not be written down.
    pub masks: Arc<Masks>,
}

/// What servers stand on, and the logins that are part of it; and a word about those that cannot be started.
fn ground(
    (vault, masks): (&Arc<Vault>, &Arc<Masks>),
    loaded: &Loaded,
    (tracker, stop): (&TaskTracker, &CancellationToken),
    alarms: mpsc::Sender<Alarm>,
) -> (Ground, Arc<Logins>) {
    live::warn_of_missing(&loaded.snapshot);
    let logins = Arc::new(Logins::new(Arc::clone(vault), tracker.clone(), Arc::clone(masks)));
    logins.follow(&loaded.snapshot);
    let credentials = Arc::clone(&logins) as _;
    let (tracker, stop, masks) = (tracker.clone(), stop.clone(), Arc::clone(masks));
    (Ground { credentials, tracker, stop, alarms, masks }, logins)
}

/// What servers run on, and what they have to say outside of calls.
pub fn host(
    launcher: Arc<dyn Launcher>,
    limits: &Limits,
    ground: Ground,
) -> (Arc<Host>, mpsc::Receiver<ServerNotice>) {
    let (notices, noticed) = mpsc::channel(NOTICES_MAX);
    let host = Host {
        launcher,
        http: Client::new(dialing()),
        credentials: ground.credentials,
        tracker: ground.tracker,
        stop: ground.stop,
        notices,
        alarms: ground.alarms,
        client_info: Raw::of(&json!({ "name": "casemate", "version": env!("CARGO_PKG_VERSION") })),
        masks: ground.masks,
        answer_size: AnswerSize::new(limits.result_bytes_max),
    };
    (Arc::new(host), noticed)
}

/// The configuration's own times are judged by the gateway, which names what was exceeded; the client below it has the bounds
/// that no configuration can go beyond. How much it takes, the gateway tells it.
fn dialing() -> ClientOptions {
    ClientOptions { head_time_max: CALL_TIME_MAX, body_time_max: CALL_TIME_MAX, ..ClientOptions::default() }
}
