//! Stage 3: may this subject ask for anything more just now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use casemate_policy::SubjectId;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::identify::Identified;
use crate::gate::Gate;
use crate::refusal::{Code, Refusal, Retry};

/// A message that was let in. Its place among the subject's calls is freed when this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    pub(super) identified: Identified,
    _place: Place,
}

/// The calls that each subject has in flight.
#[derive(Debug, Default)]
pub struct Admissions {
    subjects: Mutex<HashMap<SubjectId, Arc<Semaphore>>>,
    all: Arc<All>,
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
    all: Arc<All>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.all.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all.none.notify_waiters();
        }
    }
}

impl Admissions {
    fn enter(&self, subject: &SubjectId, max: usize) -> Option<Place> {
        let mut subjects = self.subjects.lock().unwrap_or_else(PoisonError::into_inner);
        if subjects.len() >= 4096 {
            // Whoever has nothing in flight needs no entry.
            subjects.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = match subjects.get(subject) {
            Some(places) => Arc::clone(places),
            None => {
                Arc::clone(subjects.entry(subject.clone()).or_insert_with(|| Arc::new(Semaphore::new(max))))
            }
        };
        drop(subjects);
        let own = places.try_acquire_owned().ok()?;
        self.all.count.fetch_add(1, Ordering::AcqRel);
        Some(Place { _own: own, all: Arc::clone(&self.all) })
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

/// Takes a place among the subject's calls in flight.
///
/// # Errors
/// [`Code::TooManyCalls`] when there is none, [`Code::Stopping`] when the gateway is.
pub(super) fn subject(gate: &Gate, identified: Identified) -> Result<Admitted, Refusal> {
    if gate.is_stopping() {
        return Err(Refusal::new(Code::Stopping, "The gateway is stopping; try again in a moment.")
            .with_retry(Retry::After(Duration::from_secs(2))));
    }
    let max = identified.snapshot.limits.calls_in_flight_max;
    let place = gate.admissions().enter(&identified.subject.id, max).ok_or_else(|| {
        Refusal::new(
            Code::TooManyCalls,
            format!("You have {max} calls in flight already; wait for some to end."),
        )
        .with_retry(Retry::After(Duration::from_secs(1)))
    })?;
    Ok(Admitted { identified, _place: place })
}
