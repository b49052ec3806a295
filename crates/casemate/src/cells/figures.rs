//! What a cell that may see how the host is doing is told from outside.

use std::sync::Arc;

use casemate_sandbox::{CellHandle, Figures};
use casemate_toolkit::system::provider::{self, Sockets};

/// Tells it, until the cell has ended.
pub(super) async fn tell(figures: Figures, handle: Arc<CellHandle>) {
    let Figures { file_systems, interfaces } = figures;
    tokio::select! {
        error = provider::serve(Sockets { file_systems, interfaces }) => {
            tracing::error!(%error, "nobody tells a cell about the host");
        }
        _ = handle.wait() => {}
    }
}
