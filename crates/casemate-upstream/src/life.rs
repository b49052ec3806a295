//! The end of an instance: asked for, or suffered.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use crate::Overrun;

/// How an instance came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// It was asked to end.
    Asked,
    /// It ended by itself: a failure, with what happened.
    Lost(String),
    /// It used more than it may, and was ended: a failure like any other.
    OverLimit(Overrun),
    /// Its session is no longer known to the server: nobody's fault, and the next one takes its place.
    Expired,
}

/// The two steps in which an instance ends. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Life {
    /// It takes nothing new.
    stopping: CancellationToken,
    /// Nothing of it is left that could answer.
    ended: CancellationToken,
    end: Arc<OnceLock<End>>,
}

impl Life {
    /// A life that ends with `parent` at the latest.
    pub(super) fn below(parent: &CancellationToken) -> Life {
        Life { stopping: parent.child_token(), ended: CancellationToken::new(), end: Arc::default() }
    }

    /// Asks for the end, or tells that it is near.
    pub(super) fn stop(&self) {
        self.stopping.cancel();
    }

    /// Whether it takes nothing new.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Waits until it takes nothing new.
    pub(super) async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    /// The end has come. Only the first reason counts.
    pub(super) fn end(&self, end: End) {
        _ = self.end.set(end);
        self.stopping.cancel();
        self.ended.cancel();
    }

    /// Whether the end has come.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits until those who still wait for an answer have to be sent away. An expired session is no reason: what
    /// the server had begun it may still finish.
    pub(super) async fn cut_off(&self) {
        self.stopping.cancelled().await;
        if self.end.get() == Some(&End::Expired) {
            std::future::pending().await
        }
    }

    /// Waits for the end and says how it came.
    pub(super) async fn ended(&self) -> End {
        self.ended.cancelled().await;
        self.end.get().cloned().unwrap_or(End::Asked)
    }
}
