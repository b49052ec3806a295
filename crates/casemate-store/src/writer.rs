//! The thread that holds the connection.
//!
//! SQLite blocks and takes one writer at a time, so one thread does all of it, and no task of the program ever
//! waits on a disk or on another process while it holds a runtime thread. Readers go the same way: they are
//! rare (keys are read when they change), and one connection is one cache.

use std::thread::{Builder, JoinHandle};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::fault::StoreFault;

/// Jobs that may wait. Beyond it callers wait to be queued, which bounds memory when the disk is slow.
const QUEUE_MAX: usize = 256;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The way to the thread. Dropping it lets the queued jobs finish and closes the connection.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start(mut connection: Connection) -> Result<Self, StoreFault> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE_MAX);
        let thread = Builder::new()
            .name("casemate-store".into())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job(&mut connection);
                }
            })
            .map_err(StoreFault::Thread)?;
        Ok(Writer { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs a job and gives its answer. A caller that goes away does not stop a job that was queued.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreFault> + Send + 'static,
    ) -> Result<T, StoreFault> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // The caller may be gone; what it asked for is done all the same.
            let _ = reply.send(job(connection));
        });
        let jobs = self.jobs.as_ref().ok_or(StoreFault::Closed)?;
        jobs.send(job).await.map_err(|_| StoreFault::Closed)?;
        answer.await.map_err(|_| StoreFault::Closed)?
    }

    /// Queues a job whose outcome nobody waits for, unless the queue is full. True when it was queued.
    pub(crate) fn offer(&self, job: impl FnOnce(&mut Connection) + Send + 'static) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(Box::new(job)).is_ok())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by the thread; here it only means that there is none to wait for.
            let _ = thread.join();
        }
    }
}
