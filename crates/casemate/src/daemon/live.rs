//! The configuration in force, and how it is replaced.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use casemate_auth::Vault;
use casemate_config::{Front, Loaded, POLICIES, Problems, Process, Resolved};
use casemate_gateway::edge::http::routes::LANDING;
use casemate_gateway::front::PublicUrl;
use casemate_gateway::gate::Gate;
use casemate_gateway::snapshot::Snapshot;
use casemate_transport::http::shell::Plaintext;
use casemate_transport::http::{HostRule, HttpLimits, Origin, Proxies, Shell, Tls};
use tokio::sync::Mutex;

use super::tls;
use crate::clock;
use crate::configuration::{self, stamps::Stamps};
use crate::context::Context;
use crate::control::wire::Reloaded;
use crate::failure::{Account, Problem};
use crate::secrets::Held;
use crate::wiring::identities::Papers;
use crate::wiring::logins::Logins;

/// How long it takes until files that are being written are looked at again, and how often they are.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const LOOKS_MAX: usize = 40;

/// The configuration in force. A new one replaces it whole, or not at all.
#[derive(Debug)]
pub struct Live {
    context: Arc<Context>,
    gate: Arc<Gate>,
    papers: Arc<Papers>,
    shell: Arc<ArcSwap<Shell>>,
    listen: Option<SocketAddr>,
    /// The certificates of its listener.
    tls: Option<Arc<Tls>>,
    /// What the process was started with; it does not change.
    process: Process,
    vault: Arc<Vault>,
    logins: Arc<Logins>,
    state: Mutex<State>,
}

/// What the gateway was started with.
#[derive(Debug)]
pub struct Start {
    /// The gateway.
    pub gate: Arc<Gate>,
    /// Who its callers are.
    pub papers: Arc<Papers>,
    /// What its listener checks.
    pub shell: Arc<ArcSwap<Shell>>,
    /// What the command line said about the address.
    pub listen: Option<SocketAddr>,
    /// The certificates of its listener.
    pub tls: Option<Arc<Tls>>,
    /// What takes a restart to change.
    pub process: Process,
    /// The text of the configuration file.
    pub text: Option<String>,
    /// The secrets that it refers to.
    pub vault: Arc<Vault>,
    /// The logins at its remote servers.
    pub logins: Arc<Logins>,
}

#[derive(Debug)]
struct State {
    /// The text that was last looked at, good or bad.
    text: Option<String>,
    /// The policy files that were; not known yet when absent.
    policies: Option<Policies>,
    problems: Vec<Problem>,
}

/// What the files say.
enum Read {
    /// What they said before.
    Known,
    /// Something else, and what it comes to.
    New { text: Option<String>, policies: Option<Policies>, compiled: Box<Result<Loaded, Problems>> },
}

/// Policy files by name, with what they say.
type Policies = Vec<(String, String)>;

/// Why the configuration is read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asked: references to secrets are followed anew too.
    Asked,
    /// A file changed; when they all say what they said before, there is nothing to do.
    Noticed,
}

impl Live {
    /// The configuration that the gateway was started with.
    pub fn new(context: Arc<Context>, start: Start) -> Live {
        let state = Mutex::new(State { text: start.text, policies: None, problems: Vec::new() });
        Live {
            context,
            gate: start.gate,
            papers: start.papers,
            shell: start.shell,
            listen: start.listen,
            tls: start.tls,
            process: start.process,
            vault: start.vault,
            logins: start.logins,
            state,
        }
    }

    /// The gateway that it is in force for.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// The folders and settings of this process.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Mistakes in the file that keep the configuration before it in force.
    pub async fn problems(&self) -> Vec<Problem> {
        self.state.lock().await.problems.clone()
    }

    /// Reads the configuration anew. A good one is in force when this returns; a bad one changes nothing.
    pub async fn reload(&self, cause: Cause) -> Reloaded {
        if let Some(tls) = self.tls.as_ref().filter(|_| cause == Cause::Asked) {
            tls::reload(tls);
        }
        let mut state = self.state.lock().await;
        let held = Held::of(&self.vault).await;
        match self.read_whole(&state, (cause, &held)).await.and_then(|read| self.replace(&mut state, read)) {
            Ok(problems) => state.problems = problems,
            // Not even readable, or no rule for the listener: as good as a mistake.
            Err(error) => {
                let account = Account::of(&error);
                let place = self.context.paths.config().display().to_string();
                let message =
                    std::iter::once(account.message).chain(account.causes).collect::<Vec<_>>().join(": ");
                state.problems = vec![Problem { place, message, hint: account.hints.into_iter().next() }];
            }
        }
        for problem in &state.problems {
            tracing::error!(
                place = problem.place,
                "{}; the configuration before stays in force",
                problem.message
            );
        }
        Reloaded { snapshot: self.gate.snapshot().version, problems: state.problems.clone() }
    }

    /// Reads the files, again and again for a while when somebody is writing them.
    async fn read_whole(&self, state: &State, (cause, held): (Cause, &Held)) -> anyhow::Result<Read> {
        let file = self.context.paths.config();
        for looks in 0..LOOKS_MAX {
            let before = Stamps::of(file);
            let read = self.read(state, (cause, held));
            // Who asks says that it is written; what was noticed may be half of it.
            if cause == Cause::Asked || before.held_until(&Stamps::of(file), clock::now()) {
                return read;
            }
            if looks == 0 {
                tracing::info!("the configuration is being written; it is read again in a moment");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        self.read(state, (cause, held))
    }

    fn read(&self, state: &State, (cause, held): (Cause, &Held)) -> anyhow::Result<Read> {
        let input = configuration::read(&self.context, self.listen)?;
        let text = input.file.as_ref().map(|file| file.text.clone());
        // Files that cannot be read are told of where they are judged.
        let folder = self.context.paths.config().with_file_name(POLICIES);
        let policies = configuration::policies::read(&folder).ok();
        let is_known = text == state.text
            && match &state.policies {
                None => policies.as_ref().is_some_and(Vec::is_empty),
                known => *known == policies,
            };
        if cause == Cause::Noticed && is_known {
            return Ok(Read::Known);
        }
        let version = self.gate.snapshot().version + 1;
        let compiled = configuration::compile(&self.context, &input, version, held)?;
        Ok(Read::New { text, policies, compiled: Box::new(compiled) })
    }

    fn replace(&self, state: &mut State, read: Read) -> anyhow::Result<Vec<Problem>> {
        let Read::New { text, policies, compiled } = read else {
            return Ok(std::mem::take(&mut state.problems));
        };
        (state.text, state.policies) = (text, policies);
        let loaded = match *compiled {
            Ok(loaded) => loaded,
            Err(problems) => return Ok(configuration::listed(&problems)),
        };
        let version = loaded.snapshot.version;
        self.shell.store(Arc::new(shell(&loaded.front)?));
        warn_of_missing(&loaded.snapshot);
        warn_of_unknown_keys(&loaded.resolved, &self.papers);
        // Who is somebody changes before what they may do: nobody is judged by new roles in an old mapping.
        self.papers.configure(loaded.identity);
        self.logins.follow(&loaded.snapshot);
        self.gate.swap(loaded.snapshot);
        tracing::info!(version, "the new configuration is in force");
        for key in self.process.changes(&loaded.process) {
            tracing::warn!("{key} changed; it takes effect when the gateway is started again");
        }
        Ok(Vec::new())
    }
}

/// Says which servers are not started, and which interceptors are not asked, because a secret is missing.
pub fn warn_of_missing(snapshot: &Snapshot) {
    let servers = configuration::missing_secrets(&snapshot.servers);
    for problem in servers.chain(configuration::unasked_interceptors(&snapshot.interceptors)) {
        let hint = problem.hint.as_deref().unwrap_or_default();
        tracing::warn!(setting = problem.place, hint, "{}", problem.message);
    }
}

/// Says which limits are for API keys that there are not, and so hold for nobody.
pub fn warn_of_unknown_keys(resolved: &Resolved, papers: &Papers) {
    for problem in configuration::unknown_keys(resolved, |id| papers.has_key(id)) {
        let hint = problem.hint.as_deref().unwrap_or_default();
        tracing::warn!(place = problem.place, hint, "{}", problem.message);
    }
}

/// What the listener checks before a request is looked at.
pub fn shell(front: &Front) -> anyhow::Result<Shell> {
    let public = front.public_url.as_ref();
    let mut hosts = HostRule::with(front.hosts.iter().map(String::as_str)).context("gateway.hosts")?;
    for host in public.map(PublicUrl::hosts).into_iter().flatten() {
        hosts = hosts.and_exactly(&host).context("gateway.public_url")?;
    }
    let further = front.origins.iter().map(|origin| Origin::parse(origin));
    let pages = further.collect::<Result<Vec<_>, _>>().context("gateway.origins")?;
    let origins = Origin::local().into_iter().chain(pages.iter().cloned()).collect();
    let proxies = Proxies::new(front.trusted_proxies.clone());
    let plaintext = match public.is_some_and(PublicUrl::is_https) {
        true => Plaintext::Refused,
        false => Plaintext::Answered,
    };
    let limits = HttpLimits {
        connections_max: front.connections_max,
        connections_per_address_max: front.connections_per_address_max,
        ..HttpLimits::default()
    };
    Ok(Shell { hosts, origins, pages, landings: &[LANDING], proxies, plaintext, limits })
}
