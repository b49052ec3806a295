//! The signals that `run` is given.

use std::io;
use std::task::Poll;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code with which a shell passes a signal on.
pub(crate) fn code(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// The signals that are passed on: those that ask a program to end, to read its files anew, or whatever it likes.
pub(crate) struct Signals(Vec<(i32, Signal)>);

impl Signals {
    pub(crate) fn listen() -> anyhow::Result<Signals> {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::hangup(),
            SignalKind::quit(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        let listen = |kind: SignalKind| io::Result::Ok((kind.as_raw_value(), signal(kind)?));
        let all = kinds.into_iter().map(listen).collect::<io::Result<_>>();
        all.map(Signals).context("cannot listen to signals")
    }

    /// The number of the next one. Cancel-safe.
    pub(crate) async fn next(&mut self) -> i32 {
        std::future::poll_fn(|context| {
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*number);
                }
            }
            Poll::Pending
        })
        .await
    }
}
