//! A server's process, and whoever sees it to its end.

use std::sync::Arc;
use std::time::Duration;

use casemate_gateway::upstream::report::CellReport;
use casemate_gateway::upstream::{Exit, ProcessHandle, Soon};
use casemate_sandbox::CellHandle;
use tokio_util::task::TaskTracker;

use super::Design;

/// A process that runs. Dropping it kills the whole tree.
#[derive(Debug)]
pub struct Running {
    handle: Arc<CellHandle>,
    report: CellReport,
}

impl Running {
    /// Its cell.
    pub fn cell(&self) -> &CellHandle {
        &self.handle
    }
}

/// Has a task wait for the end of the process, and clean up after it.
pub(super) fn attend(
    tracker: &TaskTracker,
    handle: Arc<CellHandle>,
    design: Design,
    report: CellReport,
) -> Running {
    let attended = Arc::clone(&handle);
    tracker.spawn(async move {
        attended.wait().await;
        // Its scratch folder goes when nothing is left that could write there.
        drop(design);
    });
    Running { handle, report }
}

impl ProcessHandle for Running {
    fn pid(&self) -> Option<u32> {
        Some(self.handle.pid())
    }

    fn report(&self) -> CellReport {
        self.report.clone()
    }

    fn wait(&self) -> Soon<'_, Exit> {
        Box::pin(async move { Exit { how: self.handle.wait().await.to_string(), overrun: None } })
    }

    fn terminate(&self, grace: Duration) -> Soon<'_, ()> {
        Box::pin(async move { _ = self.handle.terminate(grace).await })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.kill();
    }
}
