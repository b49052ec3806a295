//! Calls whose servers asked something, and which wait until their clients come back with the answers.
//!
//! A legacy server asks while it works, and goes on with what it is told. A modern client is answered with the question
//! and sends its request again, so the call is kept here in between, and is handed on whole to the request that resumes it,
//! once. It is one future like any other call: when nobody comes in time, when its subject's credential is withdrawn and when
//! the gateway stops it is dropped, and so canceled at its server.

mod conversation;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use casemate_mcp::method::Method;
use casemate_mcp::names::ServerName;
use casemate_policy::SubjectId;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::snapshot::QuestionLimits;
pub(crate) use conversation::{Conversation, EVENTS_MAX, Question, Said};

/// Calls that were resumed and are remembered, to tell a replay from what is over.
const RESUMED_MAX: usize = 65_536;

/// Where kept calls run, and what ends all of them.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) tracker: TaskTracker,
    pub(crate) closing: CancellationToken,
}

/// The calls that wait.
#[derive(Default)]
pub struct Parked {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<Number, Waiting>,
    /// Those that were resumed, until nobody can come with their state any more (seconds since 1970).
    resumed: HashMap<Number, u64>,
}

struct Waiting {
    whose: Whose,
    /// What its client is asked, by the names of the questions.
    asked: Box<[(Box<str>, Method)]>,
    claim: oneshot::Sender<oneshot::Sender<Conversation>>,
}

/// Whose call it is, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whose {
    pub(crate) owner: SubjectId,
    pub(crate) server: ServerName,
    /// The tool, by its server's own name for it; `None` for what is no call of a tool.
    pub(crate) tool: Option<Box<str>>,
}

/// By what a call that waits is found. It is sealed before it leaves us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Number(pub(crate) [u8; 16]);

impl Number {
    /// A fresh one; `None` when the system has no random bytes.
    pub(crate) fn generate() -> Option<Number> {
        let mut number = [0; 16];
        getrandom::fill(&mut number).ok()?;
        Some(Number(number))
    }
}

/// Why a call is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The subject has as many waiting as it may.
    Subject,
    /// So has everybody together.
    All,
}

/// Why a call is not resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotResumed {
    /// It was resumed before.
    Before,
    /// It waits no longer, or not here.
    Gone,
}

impl Parked {
    /// Keeps a call until it is resumed or its time is over.
    ///
    /// # Errors
    /// [`Full`]; the call is canceled.
    pub(crate) fn keep(
        &self,
        (number, whose): (Number, Whose),
        conversation: Conversation,
        (ground, limits): (&Ground, &QuestionLimits),
    ) -> Result<(), Full> {
        let (claim, claimed) = oneshot::channel();
        let place = Place { state: Arc::clone(&self.state), number };
        let open = conversation.open.iter();
        let asked = open.map(|question| (question.key.clone(), question.method.clone())).collect();
        {
            let mut state = self.lock();
            if state.waiting.len() >= limits.parked_all_max {
                return Err(Full::All);
            }
            let own = state.waiting.values().filter(|other| other.whose.owner == whose.owner);
            if own.count() >= limits.parked_max {
                return Err(Full::Subject);
            }
            state.waiting.insert(number, Waiting { whose, asked, claim });
        }
        let keeper = Keeper {
            place,
            conversation,
            claimed,
            closing: ground.closing.clone(),
            until: clock::instant() + limits.time_max,
        };
        ground.tracker.spawn(keeper.run());
        Ok(())
    }

    /// Takes a call out, for whoever proved that it is theirs. `expires` says until when the same proof could come again.
    ///
    /// # Errors
    /// [`NotResumed`].
    pub(crate) async fn resume(&self, number: Number, expires: u64) -> Result<Conversation, NotResumed> {
        let waiting = {
            let mut state = self.lock();
            let Some(waiting) = state.waiting.remove(&number) else {
                let before = state.resumed.contains_key(&number);
                return Err(if before { NotResumed::Before } else { NotResumed::Gone });
            };
            state.note_resumed(number, expires);
            waiting
        };
        let (give, given) = oneshot::channel();
        waiting.claim.send(give).map_err(|_| NotResumed::Gone)?;
        given.await.map_err(|_| NotResumed::Gone)
    }

    /// What the client of a call that waits is asked, by the names of the questions.
    pub(crate) fn asked(&self, number: Number) -> Vec<(Box<str>, Method)> {
        self.lock().waiting.get(&number).map(|one| one.asked.to_vec()).unwrap_or_default()
    }

    /// Lets go of those that may go on no more: their servers are told.
    pub(crate) fn sweep(&self, may_go_on: impl Fn(&Whose) -> bool) {
        let all: Vec<Whose> = self.lock().waiting.values().map(|one| one.whose.clone()).collect();
        let gone: Vec<Whose> = all.into_iter().filter(|whose| !may_go_on(whose)).collect();
        if !gone.is_empty() {
            self.lock().waiting.retain(|_, one| !gone.contains(&one.whose));
        }
    }

    /// How many wait.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").field("waiting", &self.count()).finish_non_exhaustive()
    }
}

impl State {
    fn note_resumed(&mut self, number: Number, expires: u64) {
        if self.resumed.len() >= RESUMED_MAX {
            let now = clock::unix_now().as_secs();
            self.resumed.retain(|_, expires| *expires > now);
        }
        // Without room a replay is told that the call waits no longer, which is as true.
        if self.resumed.len() < RESUMED_MAX {
            self.resumed.insert(number, expires);
        }
    }
}

/// A call's place among those that wait; given up when dropped.
struct Place {
    state: Arc<Mutex<State>>,
    number: Number,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&self.number);
    }
}

/// What keeps one call at work while nobody listens to it.
struct Keeper {
    place: Place,
    conversation: Conversation,
    claimed: oneshot::Receiver<oneshot::Sender<Conversation>>,
    closing: CancellationToken,
    until: tokio::time::Instant,
}

impl Keeper {
    async fn run(self) {
        let Keeper { place, mut conversation, mut claimed, closing, until } = self;
        let give = tokio::select! {
            biased;
            claim = &mut claimed => claim.ok(),
            () = closing.cancelled() => None,
            () = tokio::time::sleep_until(until) => None,
            () = conversation.work() => None,
        };
        drop(place);
        if let Some(give) = give {
            // Whoever came for it may be gone again; then the call ends here.
            _ = give.send(conversation);
        }
    }
}
