//! What people are asked before a call is made, and what they answered.
//!
//! A question is about one call: a subject, a server, a method, a name and a digest of the arguments. What is approved is
//! exactly that and nothing near it. An approval for once is used up before the call is made, in the store too, so that
//! no crash and no second request uses it twice.

mod approval;
mod shown;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use casemate_policy::{Answerer, SubjectId};
use tokio::sync::watch;

use crate::clock;
use crate::ports::{ApprovalEvent, Desk, Recorder};
use crate::refusal::{Code, Refusal};
use crate::snapshot::ApprovalLimits;
pub use approval::{Answer, Approval, Claim, Extent, Standing};
pub use shown::visible;

/// Questions and answers that are kept, of all subjects and of one.
const KEPT_MAX: usize = 4096;
const KEPT_BY_SUBJECT_MAX: usize = 64;

/// Replies and continuations that are remembered so that none counts twice.
const USED_MAX: usize = 65_536;

/// Questions, answers, and calls that wait.
#[derive(Debug)]
pub struct Approvals {
    desk: Arc<dyn Desk>,
    recorder: Arc<dyn Recorder>,
    state: Mutex<State>,
    /// Turns with every answer.
    turns: watch::Sender<u64>,
    waiting: AtomicUsize,
    /// One change after the other, in memory and in the store: a change that overtook another would bring back an
    /// approval that was used up.
    order: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    kept: BTreeMap<Box<str>, Approval>,
    /// Numbers of questions to modern clients that were answered, until they expire.
    used: HashMap<[u8; 16], u64>,
    /// Approved calls whose servers asked something: the next part of each is approved with it.
    going_on: HashMap<[u8; 32], u64>,
}

/// A call that waits; counted for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Why an answer does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerFault {
    /// There is no such question.
    #[error("there is no question {0}, or its time is over")]
    Unknown(String),
    /// It was answered already.
    #[error("the question {0} was answered already")]
    Answered(String),
    /// The answer could not be kept or recorded, so it does not count.
    #[error("the answer could not be kept, so it does not count: {0}")]
    NotKept(String),
}

impl Approvals {
    /// What was kept by the run before. What cannot be read is left out: it asks again.
    #[must_use]
    pub fn new(desk: Arc<dyn Desk>, recorder: Arc<dyn Recorder>, kept: Vec<Vec<u8>>) -> Self {
        let kept = kept.iter().filter_map(|text| serde_json::from_slice::<Approval>(text).ok());
        let kept = kept.map(|approval| (approval.id.clone(), approval)).collect();
        Approvals {
            desk,
            recorder,
            state: Mutex::new(State { kept, ..State::default() }),
            turns: watch::channel(0).0,
            waiting: AtomicUsize::new(0),
            order: tokio::sync::Mutex::new(()),
        }
    }

    /// Everything that is kept and not over, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Approval> {
        let now = clock::unix_now().as_secs();
        let state = self.lock();
        let mut kept: Vec<Approval> = state.kept.values().filter(|one| !one.is_over(now)).cloned().collect();
        drop(state);
        kept.sort_by_key(|one| (one.asked, one.id.clone()));
        kept
    }

    /// An operator's answer. To deny what was approved withdraws the approval.
    ///
    /// # Errors
    /// [`AnswerFault`].
    pub async fn answer(&self, id: &str, answer: Answer, expire_s: u64) -> Result<Approval, AnswerFault> {
        let _order = self.order.lock().await;
        let now = clock::unix_now().as_secs();
        let unknown = || AnswerFault::Unknown(id.to_owned());
        let mut approval =
            self.lock().kept.get(id).filter(|one| !one.is_over(now)).cloned().ok_or_else(unknown)?;
        if approval.standing != Standing::Open && answer != Answer::Deny {
            return Err(AnswerFault::Answered(id.to_owned()));
        }
        approval.standing = answer.standing();
        approval.expires = now.saturating_add(expire_s);
        self.record(&approval, (answer.as_str(), "operator")).map_err(AnswerFault::NotKept)?;
        self.keep(approval.clone()).await.map_err(AnswerFault::NotKept)?;
        Ok(approval)
    }

    /// Uses an approval of this very call, if there is one.
    ///
    /// # Errors
    /// [`Code::NotApproved`] when a person said no; [`Code::Internal`] when an approval could not be used up.
    pub(crate) async fn take(&self, claim: &Claim) -> Result<bool, Refusal> {
        if !self.lock().kept.values().any(|one| one.is_about(claim)) {
            return Ok(false);
        }
        let _order = self.order.lock().await;
        let now = clock::unix_now().as_secs();
        let found = {
            let state = self.lock();
            let about = state.kept.values().filter(|one| one.is_about(claim) && !one.is_over(now));
            let mut about: Vec<_> = about.map(|one| (one.standing, one.id.clone())).collect();
            about.sort();
            about
        };
        for (standing, id) in found {
            match standing {
                Standing::Denied => return Err(refused_by_a_person(Some(id))),
                Standing::Always | Standing::Session => return Ok(true),
                Standing::Once => {
                    self.lock().kept.remove(&id);
                    self.desk.remove(&id).await.map_err(not_kept)?;
                    return Ok(true);
                }
                Standing::Open => {}
            }
        }
        Ok(false)
    }

    /// Puts a question into the queue, unless the same one waits there already, and says by what name.
    ///
    /// # Errors
    /// [`Code::NotApproved`] when there are too many questions, or this one cannot be read by a person;
    /// [`Code::Internal`] when it could not be kept.
    pub(crate) async fn ask(
        &self,
        claim: &Claim,
        (answerer, rules): (Answerer, Vec<String>),
        limits: &ApprovalLimits,
    ) -> Result<Box<str>, Refusal> {
        let _order = self.order.lock().await;
        let now = clock::unix_now().as_secs();
        let same =
            |one: &&Approval| one.standing == Standing::Open && !one.is_over(now) && one.is_about(claim);
        let waits = self.lock().kept.values().find(same).map(|open| open.id.clone());
        if let Some(open) = waits {
            return Ok(open);
        }
        if !self.has_room(&claim.subject, now) {
            return Err(Refusal::new(
                Code::NotApproved,
                "Too many questions about your calls wait for an answer; this one was not asked.",
            ));
        }
        let expires = now.saturating_add(limits.expire_after.as_secs());
        let approval = Approval::open(claim, (answerer, rules), (now, expires)).ok_or_else(|| {
            Refusal::new(
                Code::NotApproved,
                format!("This call needs approval, and its arguments have more than {} bytes: no person would read them.", approval::ARGUMENTS_MAX),
            )
        })?;
        self.record(&approval, ("asked", claim.subject.as_str())).map_err(not_kept)?;
        let id = approval.id.clone();
        self.keep(approval).await.map_err(not_kept)?;
        Ok(id)
    }

    /// The subject's own answer, by way of its client. `Always` is nothing that a client can say.
    pub(crate) async fn answered_by_subject(
        &self,
        claim: &Claim,
        answer: Answer,
        (rules, limits): (Vec<String>, &ApprovalLimits),
    ) -> Result<(), Refusal> {
        let _order = self.order.lock().await;
        let now = clock::unix_now().as_secs();
        let expires = now.saturating_add(limits.expire_after.as_secs());
        let approval =
            Approval::open(claim, (Answerer::Subject, rules), (now, expires)).ok_or_else(|| {
                Refusal::new(Code::NotApproved, "The arguments are too large for anybody to approve of.")
            })?;
        self.record(&approval, (answer.as_str(), claim.subject.as_str())).map_err(not_kept)?;
        // Without room it is an answer for this call.
        if answer == Answer::Session && self.has_room(&claim.subject, now) {
            self.keep(Approval { standing: Standing::Session, ..approval }).await.map_err(not_kept)?;
        }
        Ok(())
    }

    /// A place among the calls that wait; `None` when there is none.
    pub(crate) fn wait(&self, limits: &ApprovalLimits) -> Option<Waiting<'_>> {
        let waiting = Waiting(&self.waiting);
        (self.waiting.fetch_add(1, Ordering::AcqRel) < limits.waiting_max).then_some(waiting)
    }

    /// Tells of every answer from now on.
    pub(crate) fn turns(&self) -> watch::Receiver<u64> {
        self.turns.subscribe()
    }

    /// Whether a question was not answered yet.
    pub(crate) fn is_open(&self, id: &str) -> bool {
        let now = clock::unix_now().as_secs();
        self.lock().kept.get(id).is_some_and(|one| one.standing == Standing::Open && !one.is_over(now))
    }

    /// Uses the number of a question. `false` for one that was used before.
    pub(crate) fn use_number(&self, number: [u8; 16], expires: u64) -> bool {
        let now = clock::unix_now().as_secs();
        let mut state = self.lock();
        if state.used.len() >= USED_MAX {
            state.used.retain(|_, expires| *expires > now);
        }
        // Without room nothing can be known to be used for the first time.
        state.used.len() < USED_MAX && state.used.insert(number, expires).is_none()
    }

    /// An approved call's server asked something: the part that follows is approved with it, once.
    pub(crate) fn go_on(&self, part: [u8; 32], expires: u64) {
        let now = clock::unix_now().as_secs();
        let mut state = self.lock();
        if state.going_on.len() >= USED_MAX {
            state.going_on.retain(|_, expires| *expires > now);
        }
        if state.going_on.len() < USED_MAX {
            state.going_on.insert(part, expires);
        }
    }

    /// Whether this is the part that follows.
    pub(crate) fn goes_on(&self, part: &[u8; 32]) -> bool {
        let now = clock::unix_now().as_secs();
        self.lock().going_on.remove(part).is_some_and(|expires| now < expires)
    }

    /// Forgets what is over.
    pub(crate) async fn sweep(&self) {
        let now = clock::unix_now().as_secs();
        let over: Vec<Box<str>> = {
            let state = self.lock();
            state.kept.values().filter(|one| one.is_over(now)).map(|one| one.id.clone()).collect()
        };
        for id in over {
            let _order = self.order.lock().await;
            self.lock().kept.remove(&id);
            if let Err(error) = self.desk.remove(&id).await {
                tracing::warn!(error, "a question that is over is still in the store");
            }
        }
    }

    fn has_room(&self, subject: &SubjectId, now: u64) -> bool {
        let state = self.lock();
        let of_subject = state.kept.values().filter(|one| *one.subject == *subject.as_str());
        let of_subject = of_subject.filter(|one| !one.is_over(now)).count();
        of_subject < KEPT_BY_SUBJECT_MAX && state.kept.len() < KEPT_MAX
    }

    async fn keep(&self, approval: Approval) -> Result<(), String> {
        let text = serde_json::to_vec(&approval).map_err(|fault| fault.to_string())?;
        self.desk.put(&approval.id, text).await?;
        self.lock().kept.insert(approval.id.clone(), approval);
        self.turns.send_modify(|turn| *turn += 1);
        Ok(())
    }

    fn record(&self, approval: &Approval, (answer, by): (&str, &str)) -> Result<(), String> {
        self.recorder.approval(&ApprovalEvent { approval, answer, by })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer for what a person said no to.
pub(crate) fn refused_by_a_person(id: Option<Box<str>>) -> Refusal {
    let refusal =
        Refusal::new(Code::NotApproved, "A person was asked about this call and said no; it was not made.");
    Refusal { approval: id, ..refusal }
}

fn not_kept(why: String) -> Refusal {
    Refusal::new(Code::NotRecorded, "The approval of this call could not be kept, so it was not made.")
        .with_detail(why)
}
