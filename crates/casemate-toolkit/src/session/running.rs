//! The calls under way, by the ids of their requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use casemate_mcp::frame::{ErrorObject, Id, code, error_text};
use casemate_transport::link::LinkSender;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use super::Work;

#[derive(Debug, Default)]
pub(super) struct Running {
    calls: Arc<Mutex<HashMap<Id, AbortHandle>>>,
    tracker: TaskTracker,
}

impl Running {
    /// Carries out a call and sends what comes of it.
    pub(super) fn start(&self, id: Id, work: Work, sender: LinkSender) {
        let mut calls = lock(&self.calls);
        let work = self.tracker.spawn(work);
        calls.insert(id.clone(), work.abort_handle());
        let own = Arc::clone(&self.calls);
        self.tracker.spawn(async move {
            let outcome = work.await;
            lock(&own).remove(&id);
            let text = match outcome {
                Ok(text) => text,
                // A call that was given up is not answered.
                Err(error) if error.is_cancelled() => return,
                Err(_) => error_text(Some(&id), &ErrorObject::new(code::INTERNAL, "the tool has crashed")),
            };
            let _ = sender.send(text).await;
        });
    }

    /// Gives up a call, if it is still under way.
    pub(super) fn give_up(&self, id: &Id) {
        if let Some(call) = lock(&self.calls).get(id) {
            call.abort();
        }
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.calls).len()
    }

    /// Waits for all calls, but not longer than `grace`.
    pub(super) async fn finish(self, grace: Duration) {
        self.tracker.close();
        if tokio::time::timeout(grace, self.tracker.wait()).await.is_err() {
            lock(&self.calls).values().for_each(AbortHandle::abort);
        }
    }
}

fn lock(calls: &Mutex<HashMap<Id, AbortHandle>>) -> MutexGuard<'_, HashMap<Id, AbortHandle>> {
    // Nothing that holds the lock can leave the table half changed.
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}
