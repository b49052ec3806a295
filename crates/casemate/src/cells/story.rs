//! What is told of one instance of a server: to the records, to the log, and to whoever asks `casemate logs`.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use casemate_gateway::upstream::report::{CellKind, CellReport};
use casemate_gateway::upstream::{Alarm, Exit, Masks};
use casemate_mcp::names::ServerName;
use casemate_net::{Attempt, End, Reason, Verdict, Witness};
use casemate_store::records::{CellEnd, CellStart, Network, Record, Traffic};
use tokio::sync::mpsc;

use super::ledger::{Fate, Ledger, millis};
use super::{Refused, escapes};
use crate::wiring::recorder::Log;

/// Remarks that wait to be read; a server that causes more loses the later ones, which the records have.
const REMARKS_MAX: usize = 64;

/// Who is told, besides whoever reads the remarks.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// The records.
    pub(super) log: Option<Arc<Log>>,
    /// Whoever acts on what no honest server does, and what was planted to be found.
    pub(super) alarms: Option<(mpsc::Sender<Alarm>, Arc<Masks>)>,
}

/// One instance of a server, as others hear of it.
#[derive(Debug)]
pub(super) struct Story {
    server: String,
    instance: String,
    told: Told,
    remarks: mpsc::Sender<String>,
    ledger: Mutex<Ledger>,
}

impl Story {
    /// The story of an instance that is about to begin, and where its remarks can be read.
    pub(super) fn new(server: &str, told: Told) -> (Story, mpsc::Receiver<String>) {
        static RUN: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u8));
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let (remarks, heard) = mpsc::channel(REMARKS_MAX);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let instance = format!("{:016x}-{number}", *RUN);
        let server = server.to_owned();
        (Story { server, instance, told, remarks, ledger: Mutex::default() }, heard)
    }

    /// It has started.
    ///
    /// # Errors
    /// When that cannot be recorded: then it must not go on.
    pub(super) fn started(&self, program: &str, report: &CellReport) -> Result<(), Refused> {
        let server = &self.server;
        if report.cell == CellKind::None {
            tracing::warn!(server, "started without a cell, since allow_unsandboxed = true");
        } else {
            tracing::debug!(server, cell = %report.cell, "started in a cell");
        }
        for absent in &report.absent {
            tracing::debug!(server, layer = absent.layer, reason = absent.reason, "without a layer");
        }
        let Some(log) = &self.told.log else { return Ok(()) };
        let refused = |fault| {
            Refused::new(format!("the start could not be recorded: {fault}"), "look whether the disk is full")
        };
        record_start(log, (server, &self.instance, program), report).map_err(refused)
    }

    /// Says something for whoever asks for the server's log.
    pub(super) fn say(&self, remark: &str) {
        // Whoever reads them is slow, and nothing here is lost that counts.
        let _ = self.remarks.try_send(remark.to_owned());
    }

    /// It has ended, and nothing of it is left.
    pub(super) fn ended(&self, exit: &Exit) {
        self.settle();
        let limit = exit.overrun.as_ref().map(ToString::to_string);
        if let Some(limit) = &limit {
            tracing::warn!(server = self.server, limit, "ended, since it was over a limit");
        }
        self.append(&Record::CellEnd(&CellEnd {
            instance: &self.instance,
            server: &self.server,
            how: &exit.how,
            limit: limit.as_deref(),
        }));
    }

    /// Tells what was gathered of its network. To be called now and then.
    pub(super) fn settle(&self) {
        let sums = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).settle();
        for (place, sum) in sums {
            let address = place.address.map(|address| address.to_string());
            let network = Network {
                name: place.name.as_deref(),
                address: address.as_deref(),
                port: place.port,
                ..self.network("allowed")
            };
            if sum.allowed > 0 {
                self.append(&Record::Network(&Network { times: sum.allowed, ..network }));
            }
            if sum.ended > 0 {
                let traffic = Some(sum.traffic);
                self.append(&Record::Network(&Network {
                    verdict: "ended",
                    times: sum.ended,
                    traffic,
                    ..network
                }));
            }
        }
    }

    /// A record of an attempt, about which nothing is known yet.
    fn network(&self, verdict: &'static str) -> Network<'_> {
        Network {
            instance: &self.instance,
            server: &self.server,
            name: None,
            address: None,
            port: 0,
            protocol: "tcp",
            verdict,
            reason: None,
            times: 1,
            traffic: None,
        }
    }

    /// A refusal is what a person looks for when a server does not do what it should.
    fn remark(&self, attempt: &Attempt, reason: &str) {
        let place = match (&attempt.name, attempt.address) {
            (Some(name), _) => name.clone(),
            (None, Some(address)) => address.to_string(),
            (None, None) => "something".to_owned(),
        };
        let text = format!("network refused: {place}:{} ({}): {reason}", attempt.port, attempt.protocol);
        tracing::debug!(server = self.server, "{text}");
        self.say(&text);
    }

    /// Raises an alarm about an attempt that no honest server makes.
    fn warn(&self, attempt: &Attempt) {
        let Some((alarms, masks)) = &self.told.alarms else { return };
        let asked = match &attempt.verdict {
            Verdict::Refused(Reason::ServerNameDiffers { asked }) => Some(asked),
            _ => None,
        };
        for name in attempt.name.iter().chain(asked) {
            if let Some(owner) = masks.planted_in_name(name) {
                let seen = format!("a name that {} asked for", self.server);
                _ = alarms.try_send(Alarm::Honeytoken { owner, seen });
            }
        }
        let place = escapes::place(attempt);
        if let (Some(place), Ok(server)) = (place, ServerName::parse(&self.server)) {
            // Those that wait are as good a reason as this one.
            _ = alarms.try_send(Alarm::Escape { server, place });
        }
    }

    fn append(&self, record: &Record<'_>) {
        if let Some(log) = &self.told.log {
            log.append(record);
        }
    }
}

/// What was gathered and not told yet is told at last.
impl Drop for Story {
    fn drop(&mut self) {
        self.settle();
    }
}

impl Witness for Story {
    fn attempt(&self, attempt: &Attempt) {
        self.warn(attempt);
        let fate = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).note(attempt);
        if fate == Fate::Gathered {
            return;
        }
        let (verdict, reason, traffic) = match &attempt.verdict {
            Verdict::Allowed => ("allowed", None, None),
            Verdict::Ended(traffic) => {
                let carried = Traffic {
                    bytes_in: traffic.bytes_in,
                    bytes_out: traffic.bytes_out,
                    millis: millis(traffic.duration),
                };
                ("ended", how(&traffic.end), Some(carried))
            }
            Verdict::Refused(reason) => ("refused", Some(reason.to_string()), None),
        };
        if let (Verdict::Refused(_), Some(reason)) = (&attempt.verdict, &reason) {
            self.remark(attempt, reason);
        }
        let address = attempt.address.map(|address| address.to_string());
        self.append(&Record::Network(&Network {
            name: attempt.name.as_deref(),
            address: address.as_deref(),
            port: attempt.port,
            protocol: &attempt.protocol.to_string(),
            reason: reason.as_deref(),
            times: attempt.times,
            traffic,
            ..self.network(verdict)
        }));
    }
}

/// How a connection ended, when it is worth a word.
fn how(end: &End) -> Option<String> {
    match end {
        End::Closed => None,
        End::Broken => Some("broken".to_owned()),
        End::Stopped => Some("the cell ended".to_owned()),
        End::Cut(reason) => Some(reason.to_string()),
    }
}

fn record_start(
    log: &Log,
    (server, instance, program): (&str, &str, &str),
    report: &CellReport,
) -> Result<(), String> {
    let absent = report.absent.iter().map(|absent| format!("{}: {}", absent.layer, absent.reason));
    let grants = report.grants.iter().map(|grant| format!("{} {}", grant.access, grant.path));
    let limits = report.limits.iter().map(|limit| format!("{} = {}", limit.setting, limit.value));
    let [absent, grants, limits] = [absent.collect::<Vec<_>>(), grants.collect(), limits.collect()];
    log.try_append(&Record::CellStart(&CellStart {
        instance,
        server,
        cell: report.cell.as_str(),
        program,
        containment: &report.containment,
        layers: &texts(&report.layers),
        absent: &texts(&absent),
        grants: &texts(&grants),
        network: &texts(&report.network),
        limits: &texts(&limits),
        origin: report.origin.as_ref().map(|origin| origin.name.as_str()),
        origin_sha256: report.origin.as_ref().map(|origin| origin.sha256.as_str()),
        scripts: report.origin.as_ref().and_then(|origin| origin.scripts.as_deref()),
    }))
}

fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests;
