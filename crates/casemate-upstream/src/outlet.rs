//! What a server says outside of calls: notices for the gateway, and lines for a person who asks why.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use casemate_mcp::call::Notice;
use casemate_mcp::method::Method;
use casemate_mcp::names::ServerName;
use casemate_policy::SubjectId;
use casemate_transport::lines::Ring;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Alarm, Masks, ServerNotice, guard};

/// What is kept of a server's stderr and noise, in bytes. A stack trace of each of a few instances fits.
const LOG_BYTES: usize = 256 * 1024;
/// Longest line that is kept whole, in bytes.
const LOG_LINE_BYTES: usize = 4 * 1024;
/// How much of a last line goes into a message, in characters.
const LAST_WORDS_MAX: usize = 240;
/// How many lines are handed out.
const LOG_LINES: usize = 1000;
/// Notices that may wait for their reader. Equal ones count once, so this many different ones.
const WAITING_MAX: usize = 1024;

/// The way out for one server's unasked words. All its instances share it.
#[derive(Debug)]
pub(super) struct Outlet {
    server: ServerName,
    log: Ring,
    sink: mpsc::Sender<ServerNotice>,
    masks: Arc<Masks>,
    alarms: mpsc::Sender<Alarm>,
    waiting: Mutex<Waiting>,
    bell: Notify,
    dropped: AtomicU64,
    /// The server asks questions that name no call.
    asks: AtomicBool,
}

/// Equal notices that nobody has read yet are one notice: a server that floods us with "the list changed" takes
/// one place in the queue.
#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<ServerNotice>,
    known: HashSet<Fingerprint>,
}

type Fingerprint = (Option<SubjectId>, Method, Bytes);

impl Outlet {
    pub(super) fn new(
        server: ServerName,
        sink: mpsc::Sender<ServerNotice>,
        (masks, alarms): (Arc<Masks>, mpsc::Sender<Alarm>),
    ) -> Outlet {
        Outlet {
            server,
            log: Ring::new(LOG_BYTES),
            sink,
            masks,
            alarms,
            waiting: Mutex::default(),
            bell: Notify::new(),
            dropped: AtomicU64::new(0),
            asks: AtomicBool::new(false),
        }
    }

    /// Remembers that the server asks questions that name no call.
    pub(super) fn note_asking(&self) {
        self.asks.store(true, Ordering::Relaxed);
    }

    /// Whether the server ever asked such a question.
    pub(super) fn is_asking(&self) -> bool {
        self.asks.load(Ordering::Relaxed)
    }

    /// Queues a notice for the gateway. Never waits.
    pub(super) fn tell(&self, subject: Option<&SubjectId>, notice: Notice) {
        let notice = ServerNotice { server: self.server.clone(), subject: subject.cloned(), notice };
        let mut waiting = guard(&self.waiting);
        if waiting.order.len() >= WAITING_MAX {
            drop(waiting);
            return self.count_dropped();
        }
        if waiting.known.insert(fingerprint(&notice)) {
            waiting.order.push_back(notice);
            self.bell.notify_one();
        }
    }

    /// Hands the queued notices to the gateway until `stop`.
    pub(super) async fn run(&self, stop: &CancellationToken) {
        loop {
            let next = self.next();
            let step = async {
                match next {
                    Some(notice) => _ = self.sink.send(notice).await,
                    None => self.bell.notified().await,
                }
            };
            tokio::select! { () = step => {}, () = stop.cancelled() => return }
        }
    }

    fn next(&self) -> Option<ServerNotice> {
        let mut waiting = guard(&self.waiting);
        let notice = waiting.order.pop_front()?;
        waiting.known.remove(&fingerprint(&notice));
        Some(notice)
    }

    /// Keeps a line for a person, without secrets and without what a terminal would act on. `source` says where it came from.
    pub(super) fn log(&self, source: &str, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        // Before it is cut: half a secret is not found any more.
        let line = casemate_inspect::removed(&line, |_| {});
        for owner in self.masks.planted(&line) {
            // Whoever hears nothing of it now hears of the next.
            _ = self
                .alarms
                .try_send(Alarm::Honeytoken { owner, seen: format!("what {} wrote down", self.server) });
        }
        let line = self.masks.masked(&line);
        let kept = line.get(..line.floor_char_boundary(LOG_LINE_BYTES)).unwrap_or_default().as_bytes();
        let mut text = Vec::with_capacity(source.len() + kept.len() + 3);
        text.extend_from_slice(source.as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(kept);
        text.push(b'\n');
        self.log.push(&text);
    }

    /// The lines that are kept, oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.log.lines(LOG_LINES)
    }

    /// The last line that came from `source`: most often the reason why a process ended.
    pub(super) fn last_words(&self, source: &str) -> Option<String> {
        let lines = self.log.lines(LOG_LINES);
        let said = lines.iter().rev().find_map(|line| line.strip_prefix(source)?.strip_prefix(": "))?;
        Some(said.chars().take(LAST_WORDS_MAX).collect())
    }

    /// Something was dropped because its reader was too slow.
    pub(super) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// How much was dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn fingerprint(notice: &ServerNotice) -> Fingerprint {
    let params = notice.notice.params.as_ref().map(|params| params.raw().bytes()).unwrap_or_default();
    (notice.subject.clone(), notice.notice.method.clone(), params)
}

#[cfg(test)]
mod tests {
    use casemate_inspect::{Inspection, Secret};

    use super::*;

    #[test]
    fn what_a_server_writes_down_holds_no_secret_also_at_the_end_of_a_cut_line_and_moves_no_cursor() {
        let (sink, _inbox) = mpsc::channel(1);
        let masks = Arc::new(Masks::default());
        masks.swap(&Arc::new(Inspection::new(&[Secret::new("given-to-it").unwrap()], &[])));
        let (alarms, _heard) = mpsc::channel(1);
        let outlet = Outlet::new(ServerName::parse("s").unwrap(), sink, (masks, alarms));
        outlet.log("stderr", b"\x1b[31mTOKEN=given-to-it\x1b[0m");
        let long = format!("{}given-to-it", "x".repeat(LOG_LINE_BYTES - 5));
        outlet.log("stderr", long.as_bytes());
        let lines = outlet.lines();
        assert_eq!(lines.first().unwrap(), "stderr: TOKEN=[secret masked]");
        assert!(lines.iter().all(|line| !line.contains("give")), "{lines:?}");
        assert!(!outlet.last_words("stderr").unwrap().contains("give"));
    }

    #[test]
    fn what_was_planted_raises_an_alarm_where_it_is_written_down_and_a_real_secret_none() {
        let (sink, _inbox) = mpsc::channel(1);
        let masks = Arc::new(Masks::default());
        let secrets = [Secret::planted("decoy-value-1", "git"), Secret::new("a-real-secret")];
        masks.swap(&Arc::new(Inspection::new(&secrets.map(Option::unwrap), &[])));
        let (alarms, mut heard) = mpsc::channel(8);
        let outlet = Outlet::new(ServerName::parse("wiki").unwrap(), sink, (masks, alarms));
        outlet.log("stderr", b"it is a-real-secret");
        assert!(heard.try_recv().is_err());
        outlet.log("stderr", b"\x1b[31mit is decoy-value-1");
        let seen = "what wiki wrote down".to_owned();
        assert_eq!(heard.try_recv().unwrap(), Alarm::Honeytoken { owner: "git".into(), seen });
        assert_eq!(outlet.lines(), ["stderr: it is [secret masked]", "stderr: it is [secret masked]"]);
    }
}
