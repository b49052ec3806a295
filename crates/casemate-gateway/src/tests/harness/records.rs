//! What the gateway writes down, kept in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::sync::watch;

use crate::ports::{
    ApprovalEvent, Desk, Intent, Judgement, KeptResult, Ledger, Outcome, Recorder, ResultId, Spent,
    TurnedAway, Wards,
};
use crate::quarantine;
use crate::upstream::Soon;

/// Keeps records as lines, and can be waited on.
#[derive(Debug)]
pub(crate) struct Records {
    pub(in crate::tests) lines: watch::Sender<Vec<String>>,
    pub(in crate::tests) full: Mutex<bool>,
    /// What was written down of budgets.
    pub(in crate::tests) spent: Mutex<Vec<Spent>>,
    /// Questions and approvals.
    pub(in crate::tests) kept: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Results that were too large.
    pub(in crate::tests) results: Mutex<BTreeMap<ResultId, KeptResult>>,
}

impl Desk for Records {
    fn put<'a>(&'a self, id: &'a str, text: Vec<u8>) -> Soon<'a, Result<(), String>> {
        Box::pin(async move {
            if *self.full.lock().unwrap() {
                return Err("no space left".into());
            }
            self.kept.lock().unwrap().insert(id.to_owned(), text);
            Ok(())
        })
    }

    fn remove<'a>(&'a self, id: &'a str) -> Soon<'a, Result<(), String>> {
        Box::pin(async move {
            if *self.full.lock().unwrap() {
                return Err("no space left".into());
            }
            self.kept.lock().unwrap().remove(id);
            Ok(())
        })
    }
}

impl Wards for Records {
    fn alarm(&self, object: &str, what: &str) {
        self.lines.send_modify(|lines| lines.push(format!("alarm {object}: {what}")));
    }

    fn keep(&self, entry: &quarantine::Entry) {
        let line = format!("quarantine {} by {}: {}", entry.ward, entry.by, entry.reason);
        self.lines.send_modify(|lines| lines.push(line));
    }
}

impl Ledger for Records {
    fn write(&self, spent: Spent) {
        self.spent.lock().unwrap().push(spent);
    }
}

impl Default for Records {
    fn default() -> Self {
        Records {
            lines: watch::channel(Vec::new()).0,
            full: Mutex::new(false),
            spent: Mutex::default(),
            kept: Mutex::default(),
            results: Mutex::default(),
        }
    }
}

impl Recorder for Records {
    fn intent(&self, intent: &Intent<'_>) -> Result<(), String> {
        if *self.full.lock().unwrap() {
            return Err("no space left".into());
        }
        let Intent { subject, server, method, name, effect, .. } = intent;
        self.lines.send_modify(|lines| lines.push(format!("{effect} {subject} {method} {server}/{name}")));
        Ok(())
    }

    fn approval(&self, event: &ApprovalEvent<'_>) -> Result<(), String> {
        let line = format!("{} {} by {}", event.answer, event.approval.name, event.by);
        self.lines.send_modify(|lines| lines.push(line));
        Ok(())
    }

    fn outcome(&self, outcome: &Outcome<'_>) {
        let remark = if outcome.code.is_empty() { outcome.detail } else { outcome.code };
        let line = format!("{} {remark}", outcome.ending.as_str());
        self.lines.send_modify(|lines| lines.push(line.trim().to_owned()));
    }

    fn judged(&self, judgement: &Judgement<'_>) {
        let Judgement { interceptor, event, phase, mode, verdict, severity, detail, .. } = judgement;
        let line = format!("{interceptor} {mode} {event} {phase} {verdict} {severity}");
        self.lines
            .send_modify(|lines| lines.push(format!("{} {detail}", line.trim_end()).trim_end().to_owned()));
    }

    fn turned_away(&self, away: &TurnedAway<'_>) {
        let line = format!("turned away {} {} {}", away.from, away.count, away.reasons.join(", "));
        self.lines.send_modify(|lines| lines.push(line));
    }
}

impl Records {
    /// Waits until a line was written.
    pub(in crate::tests) async fn wait_for(&self, line: &str) {
        self.lines.subscribe().wait_for(|lines| lines.iter().any(|other| other == line)).await.unwrap();
    }
}
