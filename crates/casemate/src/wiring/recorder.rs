//! The log of records behind the gateway's port.

use casemate_gateway::ports::{self, Recorder};
use casemate_policy::RuleId;
use casemate_store::records::{
    Act, Approval, Arguments, Ending, Intent, Judgement, Outcome, Record, TurnedAway,
};
use casemate_store::{KeyRecord, RecordLog};

use crate::clock;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// Records what the person at the command line is about to do to the installation: whatever gives a right is recorded
/// first.
///
/// # Errors
/// It is not on record; what must not happen unrecorded is not done then.
pub fn act(context: &Context, act: &str, object: &str, detail: Option<&str>) -> anyhow::Result<()> {
    Log::open(context)?.act(act, object, detail).map_err(anyhow::Error::msg)
}

/// Records what that person has done already: whatever takes a right away is done first, since a full disk must not keep
/// anybody from it.
///
/// # Errors
/// It is done, and not on record.
pub fn done(context: &Context, act: &str, object: &str) -> anyhow::Result<()> {
    self::act(context, act, object, None).map_err(|error| {
        error.context(Failure::new(Exit::Failure, format!("{act} {object}: done, but that is on no record")))
    })
}

/// A key as records name it, which is the subject that calls with it are made for.
pub fn key(id: &str) -> String {
    format!("key:{id}")
}

/// The person who runs this process, as records name them.
pub fn by() -> String {
    format!("local:{}", rustix::process::geteuid().as_raw())
}

/// Writes records to the store's log.
#[derive(Debug)]
pub struct Log(RecordLog);

impl Log {
    /// A recorder on an open log.
    pub fn new(log: RecordLog) -> Log {
        Log(log)
    }

    /// The log of the installation, for a command that may run beside its gateway.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(context: &Context) -> anyhow::Result<Log> {
        Ok(Log::new(RecordLog::open(&context.paths.records())?))
    }

    /// Records something that the person who runs this process does.
    ///
    /// # Errors
    /// What stands in the way, on one line.
    pub fn act(&self, act: &str, object: &str, detail: Option<&str>) -> Result<(), String> {
        self.try_append(&Record::Act(&Act { by: &by(), act, object, detail }))
    }

    /// Records that a key comes to be: all about it but itself.
    ///
    /// # Errors
    /// What stands in the way, on one line.
    pub fn key_created(&self, record: &KeyRecord) -> Result<(), String> {
        let scope = record.scope.as_ref().map_or_else(|| "all of it".to_owned(), |scope| scope.join(" "));
        let expires = record.expires.map_or_else(|| "never".to_owned(), clock::date_time);
        // The name comes last: it is free text, and must not look like what stands before it.
        let detail =
            format!("role: {}; scope: {scope}; expires: {expires}; name: {}", record.role, record.name);
        self.act("key create", &key(&record.id), Some(&detail))
    }

    /// Appends a record that has to be there before anything goes on.
    ///
    /// # Errors
    /// What stands in the way, on one line.
    pub fn try_append(&self, record: &Record<'_>) -> Result<(), String> {
        self.0.append(record).map(drop).map_err(|fault| told(&fault))
    }

    /// Appends a record of what has happened already.
    pub fn append(&self, record: &Record<'_>) {
        if let Err(error) = self.try_append(record) {
            tracing::error!(error, "something that happened could not be recorded");
        }
    }

    /// Makes sure that everything is on disk, at the end.
    pub fn sync(&self) {
        if let Err(error) = self.0.sync() {
            tracing::error!(%error, "the last records may not survive a power cut");
        }
    }
}

impl Recorder for Log {
    fn intent(&self, intent: &ports::Intent<'_>) -> Result<(), String> {
        let call = intent.call.to_string();
        let rules: Vec<&str> = intent.rules.iter().map(RuleId::as_str).collect();
        let record = Intent {
            call: &call,
            subject: intent.subject,
            peer: present(intent.peer).filter(|peer| *peer != "unix"),
            endpoint: intent.endpoint,
            revision: intent.revision,
            method: intent.method,
            server: present(intent.server),
            name: present(intent.name),
            effect: intent.effect,
            rules: &rules,
            arguments: Some(Arguments {
                sha256: intent.params_sha256,
                bytes: intent.params_bytes.try_into().unwrap_or(u64::MAX),
            }),
            snapshot: intent.snapshot,
        };
        self.try_append(&Record::Intent(&record))
    }

    fn approval(&self, event: &ports::ApprovalEvent<'_>) -> Result<(), String> {
        let about = event.approval;
        let rules: Vec<&str> = about.rules.iter().map(String::as_str).collect();
        let record = Approval {
            approval: &about.id,
            answer: event.answer,
            by: event.by,
            digest: &about.digest,
            method: &about.method,
            name: &about.name,
            rules: &rules,
            server: &about.server,
            subject: &about.subject,
        };
        self.try_append(&Record::Approval(&record))
    }

    fn outcome(&self, outcome: &ports::Outcome<'_>) {
        let call = outcome.call.to_string();
        let record = Outcome {
            call: &call,
            result: match outcome.ending {
                ports::Ending::Ok => Ending::Ok,
                ports::Ending::Error => Ending::Error,
                ports::Ending::Refused => Ending::Refused,
                ports::Ending::Abandoned => Ending::Abandoned,
            },
            code: present(outcome.code),
            detail: present(outcome.detail),
            bytes: outcome.bytes.try_into().unwrap_or(u64::MAX),
            micros: outcome.took_us,
        };
        if let Err(fault) = self.0.append(&Record::Outcome(&record)) {
            tracing::error!(call, error = told(&fault), "the outcome of a call could not be recorded");
        }
    }

    fn judged(&self, judgement: &ports::Judgement<'_>) {
        let call = judgement.call.to_string();
        self.append(&Record::Judgement(&Judgement {
            call: &call,
            interceptor: judgement.interceptor,
            event: judgement.event,
            phase: judgement.phase,
            mode: judgement.mode,
            verdict: judgement.verdict,
            severity: present(judgement.severity),
            detail: present(judgement.detail),
            micros: judgement.took_us,
        }));
    }

    fn turned_away(&self, away: &ports::TurnedAway<'_>) {
        let calls = [away.first.1.to_string(), away.last.1.to_string()];
        let reasons: Vec<&str> = away.reasons.iter().map(String::as_str).collect();
        let [first, last] = &calls;
        self.append(&Record::TurnedAway(&TurnedAway {
            from: away.from,
            count: away.count,
            first: (first, away.first.0),
            last: (last, away.last.0),
            reasons: &reasons,
        }));
    }
}

/// The gateway's ports have empty texts where the records have nothing.
fn present(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// A fault with all its causes, on one line.
fn told(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut cause = fault.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}
