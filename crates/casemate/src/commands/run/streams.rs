//! A command's streams, joined with ours.

use casemate_sandbox::CellIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_util::task::TaskTracker;

/// Joins the command's streams with ours. The tasks that are waited for are those of its outputs.
pub(crate) fn connect(io: CellIo) -> TaskTracker {
    let CellIo { stdin, stdout, stderr } = io;
    let (inputs, outputs) = (TaskTracker::new(), TaskTracker::new());
    inputs.spawn(pass(tokio::io::stdin(), stdin));
    outputs.spawn(pass(stdout, tokio::io::stdout()));
    outputs.spawn(pass(stderr, tokio::io::stderr()));
    outputs.close();
    outputs
}

/// Passes bytes on as they come. When one side is gone the other is let go, and so learns of it.
async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    if tokio::io::copy(&mut from, &mut to).await.is_ok() {
        let _ = to.flush().await;
    }
}
