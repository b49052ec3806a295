//! The task behind each instance: starts it once for all who wait, looks after it, and notes its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use casemate_mcp::json::Members;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::room::{Arrival, Key, Phase, Room, Slot, Started};
use crate::instance::{Instance, Seed};
use crate::life::End;
use crate::listen::{Watching, tell_all, tell_watched};
use crate::{Fault, guard};

/// Joins the start that is under way, or begins one.
///
/// # Errors
/// A [`Fault`] when none may be begun now.
pub(super) fn join(shared: &Arc<Shared>, room: &mut Room, key: &Key) -> Result<Started, Fault> {
    if let Some(started) = room.starting(key) {
        return Ok(started);
    }
    if room.is_halted() || shared.stop.is_cancelled() {
        return Err(Fault::Stopping);
    }
    let now = Instant::now();
    let start_at = room.breaker.start_at(now);
    // A short pause is waited for; who would have to wait longer than for a start is told when to come back.
    if let Some(retry_after) = start_at.map(|at| at - now).filter(|wait| *wait > shared.entry.timeouts.start)
    {
        return Err(Fault::CircuitOpen { retry_after });
    }
    room.make_room(key)?;
    let (report, started) = watch::channel(None);
    let start = Start {
        shared: Arc::clone(shared),
        key: key.clone(),
        serial: shared.next_serial(),
        at: start_at,
        stop: shared.stop.child_token(),
    };
    let phase = Phase::Starting { started: started.clone(), stop: start.stop.clone() };
    room.insert(key.clone(), Slot { serial: start.serial, phase });
    shared.host.tracker.spawn(start.run(report));
    room.first_start(|| {
        let (outlet, stop) = (Arc::clone(&shared.outlet), shared.stop.clone());
        shared.host.tracker.spawn(async move { outlet.run(&stop).await });
    });
    Ok(started)
}

struct Start {
    shared: Arc<Shared>,
    key: Key,
    serial: u64,
    /// Not before then.
    at: Option<Instant>,
    stop: CancellationToken,
}

impl Start {
    async fn run(self, report: watch::Sender<Option<Result<(), Fault>>>) {
        let opened = match self.at {
            Some(at) => tokio::select! {
                () = sleep_until(at) => self.open().await,
                () = self.stop.cancelled() => Err(Fault::Stopping),
            },
            None => self.open().await,
        };
        let instance = match opened {
            Ok(instance) => instance,
            Err(fault) => {
                self.give_up(&fault);
                report.send_replace(Some(Err(fault)));
                return;
            }
        };
        let arrival = guard(&self.shared.room).arrive(&self.key, self.serial, &instance);
        let Some(arrival) = arrival else {
            instance.life.stop();
            report.send_replace(Some(Err(Fault::Stopping)));
            return;
        };
        tracing::debug!(server = %self.shared.entry.name, revision = %instance.hello.revision, "started");
        report.send_replace(Some(Ok(())));
        tokio::join!(self.welcome(&instance, arrival), self.look_after(&instance));
    }

    async fn open(&self) -> Result<Arc<Instance>, Fault> {
        let era = guard(&self.shared.room).era;
        let seed = Seed {
            entry: Arc::clone(&self.shared.entry),
            host: Arc::clone(&self.shared.host),
            outlet: Arc::clone(&self.shared.outlet),
            door: self.shared.door.clone(),
            subject: self.key.subject.clone(),
            offered: self.key.offered.members().unwrap_or_else(Members::empty),
            era,
            stop: self.stop.clone(),
            launched: Arc::default(),
        };
        Instance::open(seed).await.map(Arc::new)
    }

    fn give_up(&self, fault: &Fault) {
        let mut room = guard(&self.shared.room);
        room.remove(&self.key, self.serial);
        if *fault != Fault::Stopping {
            self.shared.failed(&mut room, fault.to_string());
        }
    }

    /// Gives a new instance the watches of its predecessor, and tells what may have changed between the two.
    async fn welcome(&self, instance: &Instance, arrival: Arrival) {
        let outlet = &self.shared.outlet;
        let subject = self.key.subject.as_ref();
        for uri in &arrival.watched {
            tokio::select! {
                _ = instance.watch(uri, Watching::Begin) => {}
                () = instance.life.stopping() => return,
            }
        }
        if arrival.is_changed {
            tell_all(outlet, subject, &instance.hello.capabilities);
            tell_watched(outlet, subject, arrival.watched.iter().map(AsRef::as_ref));
        }
    }

    /// Stops the instance when it has been idle for long enough, and notes its end.
    async fn look_after(&self, instance: &Arc<Instance>) {
        let idle = self.shared.entry.timeouts.idle;
        let mut look_at = instance.used() + idle;
        let end = loop {
            tokio::select! {
                end = instance.life.ended() => break end,
                () = sleep_until(look_at) => {
                    let now = Instant::now();
                    let quiet_since = instance.used();
                    if now < quiet_since + idle {
                        look_at = quiet_since + idle;
                    } else {
                        look_at = now + idle;
                        if guard(&self.shared.room).retire(&self.key, self.serial) {
                            instance.life.stop();
                        }
                    }
                }
            }
        };
        self.note_end(end);
    }

    fn note_end(&self, end: End) {
        let mut room = guard(&self.shared.room);
        room.remove(&self.key, self.serial);
        if end == End::Asked || self.shared.stop.is_cancelled() {
            return;
        }
        match end {
            End::Lost(why) => self.shared.failed(&mut room, why),
            End::OverLimit(overrun) => {
                self.shared.failed(&mut room, format!("it was over its limit {overrun}"));
            }
            End::Asked | End::Expired => {}
        }
        if room.mark_lost(&self.key) {
            // Somebody waits for news of a resource and will make no call that could bring the server back.
            _ = join(&self.shared, &mut room, &self.key);
        }
    }
}

impl Shared {
    /// Notes a failure.
    pub(super) fn failed(&self, room: &mut Room, why: String) {
        let why = self.host.masks.masked(&why).into_owned();
        tracing::debug!(server = %self.entry.name, why, "failed");
        room.breaker.failed(Instant::now(), chance());
        room.last_error = Some(why);
        self.troubled.store(true, Ordering::Relaxed);
    }

    /// Notes that all is well.
    pub(super) fn recovered(&self) {
        let mut room = guard(&self.room);
        room.breaker.succeeded();
        self.troubled.store(room.breaker.is_troubled(), Ordering::Relaxed);
    }
}

/// A number from 0 to 1 that spreads restarts.
fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
