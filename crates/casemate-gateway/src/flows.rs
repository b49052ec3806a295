//! Which conversations have seen what, in bounded memory.
//!
//! Nothing is kept of a conversation but two times, and nothing of those that have seen nothing. When there is no room even
//! so, whoever comes newly shares one conversation with all the others that have none: a flood costs the flood, and makes
//! nobody else's conversation forget.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use casemate_auth::session::SessionNumber;
use casemate_policy::{Conversation, Labels, SubjectId};

/// Conversations that are told apart. All together take some 8 MiB at most.
const KEPT_MAX: usize = 65_536;

/// By what a conversation is followed: the strongest handle that its client leaves us.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Handle {
    /// A session of a legacy client, or a connection. No other client has this number.
    Session(SessionNumber),
    /// All that a subject asks. What a stateless client says of itself is not in it: it could say something else.
    Subject(SubjectId),
}

/// All of them.
#[derive(Debug, Default)]
pub struct Flows(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    kept: HashMap<Handle, Conversation>,
    others: Conversation,
}

impl Flows {
    /// Something with these labels was seen in a conversation, and counts until then.
    pub fn see(&self, handle: &Handle, labels: Labels, (now, until): (u64, u64)) {
        let mut state = self.state();
        if let Some(conversation) = state.kept.get_mut(handle) {
            return conversation.see(labels, until);
        }
        if state.kept.len() >= KEPT_MAX {
            state.kept.retain(|_, conversation| !conversation.is_over(now));
        }
        let mut conversation = state.others;
        if state.kept.len() >= KEPT_MAX {
            return state.others.see(labels, until);
        }
        // Whoever gets room now may have had none before.
        conversation.see(labels, until);
        if !conversation.is_over(now) {
            state.kept.insert(handle.clone(), conversation);
        }
    }

    /// Whether private data and untrusted text have both been seen in a conversation.
    #[must_use]
    pub fn is_mixed(&self, handle: &Handle, now: u64) -> bool {
        let state = self.state();
        state.kept.get(handle).unwrap_or(&state.others).is_mixed(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use casemate_policy::Label;

    use super::*;

    fn handle(number: usize) -> Handle {
        Handle::Subject(SubjectId::key(&number.to_string()))
    }

    fn labels(labels: &[Label]) -> Labels {
        labels.iter().copied().collect()
    }

    #[test]
    fn each_conversation_is_followed_by_itself() {
        let flows = Flows::default();
        flows.see(&handle(1), labels(&[Label::Private]), (0, 100));
        flows.see(&handle(2), labels(&[Label::Untrusted]), (0, 100));
        assert!(!flows.is_mixed(&handle(1), 1) && !flows.is_mixed(&handle(2), 1));
        flows.see(&handle(1), labels(&[Label::Untrusted]), (1, 100));
        assert!(flows.is_mixed(&handle(1), 99) && !flows.is_mixed(&handle(1), 100));
        assert!(!flows.is_mixed(&handle(2), 1) && !flows.is_mixed(&handle(3), 1));
        flows.see(&handle(4), labels(&[Label::Outbound]), (0, 100));
        assert_eq!(flows.state().kept.len(), 2, "who has seen nothing takes no room");
    }

    #[test]
    fn a_flood_of_conversations_fills_no_memory_and_makes_nobody_forget() {
        let flows = Flows::default();
        let both = labels(&[Label::Private, Label::Untrusted]);
        flows.see(&handle(0), both, (0, 100));
        for number in 1..KEPT_MAX + 1000 {
            flows.see(&handle(number), labels(&[Label::Private]), (0, 100));
        }
        assert_eq!(flows.state().kept.len(), KEPT_MAX);
        assert!(flows.is_mixed(&handle(0), 1));
        // One that has no room is followed with the others that have none, and loses nothing it has seen.
        let late = handle(KEPT_MAX + 5000);
        flows.see(&late, both, (0, 100));
        assert!(flows.is_mixed(&late, 1));
        flows.see(&late, labels(&[Label::Private]), (100, 200));
        assert!(!flows.is_mixed(&late, 100), "and its time passes too");
        assert!(flows.state().kept.len() < 10, "there is room again");
    }
}
