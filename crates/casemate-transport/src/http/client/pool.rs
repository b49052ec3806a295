//! The idle connections of one endpoint.

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::ClientOptions;
use super::link::Link;
use super::wire::Route;

/// Idle connections to one place, the last used on top: the rest grow old and go.
#[derive(Debug)]
pub(super) struct Pool {
    route: Route,
    connections_max: usize,
    time_max: Duration,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    since: Instant,
}

impl Pool {
    pub(super) fn new(route: Route, options: &ClientOptions) -> Self {
        Self {
            route,
            connections_max: options.idle_connections_max,
            time_max: options.idle_time_max,
            idle: Mutex::default(),
        }
    }

    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    /// An idle connection that is still open as far as can be known.
    pub(super) async fn take(&self) -> Option<Box<Link>> {
        self.sweep();
        loop {
            let mut idle = self.lock().pop()?;
            if poll_fn(|cx| Poll::Ready(idle.link.poll_ready(cx))).await {
                return Some(idle.link);
            }
        }
    }

    /// Keeps a connection that is ready for another request, unless there are enough.
    pub(super) fn put(&self, link: Box<Link>) {
        let mut idle = self.lock();
        if idle.len() < self.connections_max {
            idle.push(Idle { link, since: Instant::now() });
        }
    }

    /// Closes the connections that were idle for too long.
    pub(super) fn sweep(&self) {
        let mut idle = self.lock();
        if idle.is_empty() {
            return;
        }
        let now = Instant::now();
        let old = idle.partition_point(|idle| idle.since + self.time_max <= now);
        let closed: Vec<Idle> = idle.drain(..old).collect();
        drop(idle);
        drop(closed);
    }

    /// A panic while the lock was held cannot leave a connection half kept.
    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
