//! Carrying what the two ends of a connection say, within the quotas.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep, sleep_until};

use super::screen::Screen;
use super::usage::Usage;
use crate::attempt::{End, Reason, Traffic};
use crate::quotas::Quota;

/// How much is carried at a time, in each direction.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// One connection that was allowed.
#[derive(Debug)]
pub(super) struct Relay<'a> {
    usage: &'a Usage,
    begun: Instant,
    /// When something was carried last, in milliseconds since it was begun.
    last: AtomicU64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Out,
    In,
}

impl<'a> Relay<'a> {
    pub(super) fn new(usage: &'a Usage) -> Relay<'a> {
        Relay {
            usage,
            begun: Instant::now(),
            last: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
        }
    }

    /// Carries until both have said everything, or something ends it before.
    pub(super) async fn run(&self, client: &mut TcpStream, server: &mut TcpStream, screen: Screen) -> End {
        let quotas = self.usage.quotas();
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let out = async {
            self.begin(screen, &mut from_client, &mut to_server).await?;
            self.pump(Way::Out, &mut from_client, &mut to_server).await
        };
        let both = async { tokio::try_join!(out, self.pump(Way::In, &mut from_server, &mut to_client)) };
        tokio::select! {
            done = both => done.err().unwrap_or(End::Closed),
            () = self.idle(quotas.idle_time_max) => End::Cut(Reason::Quota(Quota::IdleTime)),
            () = sleep(quotas.connection_time_max) => End::Cut(Reason::Quota(Quota::ConnectionTime)),
        }
    }

    /// What was carried so far.
    pub(super) fn traffic(&self, end: End) -> Traffic {
        Traffic {
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            duration: self.begun.elapsed(),
            end,
        }
    }

    /// Carries what the client says first, once it is clear that it may be said.
    async fn begin(
        &self,
        mut screen: Screen,
        client: &mut ReadHalf<'_>,
        server: &mut WriteHalf<'_>,
    ) -> Result<(), End> {
        screen.clear(client).await.map_err(End::Cut)?;
        self.count(Way::Out, screen.held().len())?;
        server.write_all(screen.held()).await.map_err(|_| End::Broken)
    }

    /// Carries one way. When the one end has said everything, the other one is told; the other way goes on.
    async fn pump(&self, way: Way, from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>) -> Result<(), End> {
        let mut piece = vec![0; PIECE_BYTES_MAX];
        loop {
            let length = from.read(&mut piece).await.map_err(|_| End::Broken)?;
            let Some(carried @ [_, ..]) = piece.get(..length) else {
                return to.shutdown().await.map_err(|_| End::Broken);
            };
            self.count(way, length)?;
            to.write_all(carried).await.map_err(|_| End::Broken)?;
        }
    }

    fn count(&self, way: Way, bytes: usize) -> Result<(), End> {
        let bytes = bytes as u64;
        let (counted, own) = match way {
            Way::Out => (self.usage.count_out(bytes), &self.bytes_out),
            Way::In => (self.usage.count_in(bytes), &self.bytes_in),
        };
        counted.map_err(|quota| End::Cut(Reason::Quota(quota)))?;
        own.fetch_add(bytes, Ordering::Relaxed);
        self.last.store(millis(self.begun.elapsed()), Ordering::Relaxed);
        Ok(())
    }

    /// Waits until nothing was carried for so long.
    async fn idle(&self, max: Duration) {
        loop {
            let until = self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed)) + max;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
