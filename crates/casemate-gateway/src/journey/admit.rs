//! Stage 3: may this subject ask for anything more just now.
//!
//! Rates are judged at once. When nothing but a place among the calls in flight is missing, a message waits for one:
//! for a moment, in the order of arrival, and beside not too many others.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use casemate_policy::SubjectId;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::identify::Identified;
use crate::gate::Gate;
use crate::refusal::{Code, Refusal, Retry};
use crate::snapshot::Limits;

/// A message that was let in. Its place among the subject's calls is freed when this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) identified: Identified,
    _place: Place,
}

impl Admitted {
    /// Counts the further messages of a body that holds several.
    ///
    /// # Errors
    /// [`Code::TooOften`].
    pub(super) fn further(&self, gate: &Gate, messages: usize) -> Result<(), Refusal> {
        match u32::try_from(messages).ok().and_then(NonZeroU32::new) {
            Some(count) => gate.limiter().messages(&self.identified.subject, count),
            None => Ok(()),
        }
    }
}

/// The calls that each subject has in flight.
#[derive(Debug, Default)]
pub struct Admissions {
    subjects: Mutex<HashMap<SubjectId, Arc<Places>>>,
    all: Arc<All>,
}

/// The places of one subject, first come, first served.
#[derive(Debug)]
struct Places {
    free: Arc<Semaphore>,
    max: usize,
    waiting: AtomicUsize,
}

/// How many calls are in flight over all subjects, and a bell for when there are none.
#[derive(Debug, Default)]
struct All {
    count: AtomicUsize,
    none: Notify,
}

/// One call's place.
#[derive(Debug)]
struct Place {
    _own: OwnedSemaphorePermit,
    _places: Arc<Places>,
    all: Arc<All>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.all.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all.none.notify_waiters();
        }
    }
}

/// One who waits; counted for as long as this is kept.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Admissions {
    async fn enter(&self, subject: &SubjectId, limits: &Limits) -> Option<Place> {
        let places = self.places(subject, limits.calls_in_flight_max);
        let own = match Arc::clone(&places.free).try_acquire_owned() {
            Ok(own) => own,
            Err(_) => places.wait(limits).await?,
        };
        self.all.count.fetch_add(1, Ordering::AcqRel);
        Some(Place { _own: own, _places: places, all: Arc::clone(&self.all) })
    }

    fn places(&self, subject: &SubjectId, max: usize) -> Arc<Places> {
        let mut subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        if subjects.len() >= 4096 {
            // Whoever has nothing in flight needs no entry.
            subjects.retain(|_, places| Arc::strong_count(places) > 1);
        }
        match subjects.get(subject) {
            // After a change of the bound the calls in flight keep the places they have, and new ones count anew.
            Some(places) if places.max == max => Arc::clone(places),
            _ => {
                let places = Arc::new(Places {
                    free: Arc::new(Semaphore::new(max)),
                    max,
                    waiting: AtomicUsize::new(0),
                });
                subjects.insert(subject.clone(), Arc::clone(&places));
                places
            }
        }
    }

    /// Ends when nothing is in flight.
    pub(crate) async fn idle(&self) {
        loop {
            let none = self.all.none.notified();
            if self.all.count.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Places {
    async fn wait(&self, limits: &Limits) -> Option<OwnedSemaphorePermit> {
        let ahead = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        if ahead >= limits.queue_max {
            return None;
        }
        let free = Arc::clone(&self.free).acquire_owned();
        tokio::time::timeout(limits.queue_time_max, free).await.ok()?.ok()
    }
}

/// Takes a place among the subject's calls in flight.
///
/// # Errors
/// [`Code::TooOften`] beyond the subject's rate, [`Code::TooManyCalls`] when there was no place for it in time,
/// [`Code::Stopping`] when the gateway is.
pub(super) async fn subject(gate: &Gate, identified: Identified) -> Result<Admitted, Refusal> {
    if gate.is_stopping() {
        return Err(stopping());
    }
    gate.limiter().messages(&identified.subject, NonZeroU32::MIN)?;
    let limits = &identified.snapshot.limits;
    let entered = tokio::select! {
        biased;
        place = gate.admissions().enter(&identified.subject.id, limits) => place,
        () = gate.stopping() => return Err(stopping()),
    };
    let place = entered.ok_or_else(|| {
        let max = limits.calls_in_flight_max;
        Refusal::new(
            Code::TooManyCalls,
            format!("You have {max} calls in flight already; wait for some to end."),
        )
        .with_retry(Retry::After(Duration::from_secs(1)))
    })?;
    Ok(Admitted { identified, _place: place })
}

pub(super) fn stopping() -> Refusal {
    Refusal::new(Code::Stopping, "The gateway is stopping; try again in a moment.")
        .with_retry(Retry::After(Duration::from_secs(2)))
}
