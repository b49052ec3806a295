//! How the servers of the running gateway are, and whether those that judge can be reached.

use std::time::Duration;

use casemate_config::Loaded;
use casemate_gateway::snapshot::Way;

use super::{Findings, Verdict};
use crate::commands::list;
use crate::context::Context;
use crate::control::wire::ServerState;

/// How long a judge may take to take a connection.
const JUDGE_TIME: Duration = Duration::from_secs(2);

impl Findings {
    /// What keeps the servers of the running gateway from clients.
    pub(super) fn running(&mut self, context: &Context) -> anyhow::Result<()> {
        // That it cannot be asked is told of by the line on the gateway.
        let Ok(Some(states)) = list::states(context) else { return Ok(()) };
        for state in states.values() {
            self.state(state);
            for item in &state.blocked {
                let detail = format!("{}: {} is blocked: {}", state.name, item.item, item.why);
                self.add("server", Verdict::Note, detail);
                self.hint(format!("`{}`", list::next_step(state, item)));
            }
        }
        Ok(())
    }

    fn state(&mut self, state: &ServerState) {
        let name = &state.name;
        if let Some(confined) = &state.quarantine {
            let detail = format!("{name}: in quarantine, by {}: {}", confined.by, confined.reason);
            self.add("server", Verdict::Note, detail);
            return self.hint(format!("`casemate quarantine lift {}` lets it go", confined.ward));
        }
        match (state.state.as_str(), &state.error) {
            // Said already, if it can be seen without the gateway.
            ("failed" | "backoff" | "circuit-open", _) if self.has_wrong_server(name) => {}
            ("failed" | "backoff" | "circuit-open", Some(error)) => {
                self.add("server", Verdict::Wrong, format!("{name}: {error}"));
                state.hints.iter().for_each(|hint| self.hint(hint));
            }
            ("stopped", _) => {
                self.add(
                    "server",
                    Verdict::Note,
                    format!("{name}: you stopped it, so its calls are refused"),
                );
                self.hint(format!("`casemate start {name}` starts it again"));
            }
            _ => {}
        }
    }

    fn has_wrong_server(&self, name: &str) -> bool {
        let about = format!("{name}: ");
        let is_it = |one: &super::Finding| one.verdict == Verdict::Wrong && one.detail.starts_with(&about);
        self.0.iter().any(|one| one.what == "server" && is_it(one))
    }

    /// A judge that nothing answers stops every call that it is asked about.
    pub(super) fn judges(&mut self, context: &Context, loaded: &Loaded) {
        for judge in loaded.snapshot.interceptors.iter() {
            let Way::Http(http) = &judge.way else { continue };
            let port =
                http.url.port_u16().unwrap_or(if http.url.scheme_str() == Some("https") { 443 } else { 80 });
            let host = http.url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let place = format!("interceptors.{}: {host}:{port}", judge.name);
            let reached = context.small_runtime().and_then(|runtime| {
                let connect = async {
                    tokio::time::timeout(JUDGE_TIME, tokio::net::TcpStream::connect((host.as_str(), port)))
                        .await
                };
                Ok(runtime.block_on(connect)??)
            });
            match reached {
                Ok(_) => self.add("interceptor", Verdict::Good, format!("{place} takes connections")),
                Err(error) => {
                    self.add("interceptor", Verdict::Wrong, format!("{place} takes no connection: {error}"));
                    self.hint(
                        "calls that it is asked about are refused while nothing answers there (CM1511)",
                    );
                }
            }
        }
    }
}
