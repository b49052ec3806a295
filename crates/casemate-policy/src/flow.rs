//! What flows within one conversation: once private data and untrusted text have both been seen, whoever wrote the text may
//! be the one who speaks, and nothing goes out unasked.
//!
//! A state machine of two times. It knows nothing of tools, servers or whose conversation it is.

use std::fmt;

/// What a tool or server touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// Its answers hold what is somebody's own: files, mails, records.
    Private,
    /// Its answers hold what strangers wrote: web pages, mails, issues.
    Untrusted,
    /// What it is asked leaves the house: a search, a request, a message.
    Outbound,
}

impl Label {
    /// All of them.
    pub const ALL: [Label; 3] = [Label::Private, Label::Untrusted, Label::Outbound];

    /// Its name in configurations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Label::Private => "private",
            Label::Untrusted => "untrusted",
            Label::Outbound => "outbound",
        }
    }

    /// The label of that name.
    #[must_use]
    pub fn find(name: &str) -> Option<Label> {
        Label::ALL.into_iter().find(|label| label.as_str() == name)
    }
}

/// Some labels.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Labels(u8);

impl Labels {
    /// None of them.
    pub const NONE: Labels = Labels(0);

    /// These and one more.
    #[must_use]
    pub fn with(self, label: Label) -> Labels {
        Labels(self.0 | 1 << label as u8)
    }

    /// Whether a label is among them.
    #[must_use]
    pub fn has(self, label: Label) -> bool {
        self.0 & 1 << label as u8 != 0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Label> {
        Label::ALL.into_iter().filter(move |label| self.has(*label))
    }

    /// What a server's word about a tool suggests, for a person to confirm. A server that lies here gains nothing by it:
    /// nobody acts on it. No word suggests nothing.
    #[must_use]
    pub fn proposed(read_only: Option<bool>, open_world: Option<bool>) -> Labels {
        match (open_world, read_only) {
            // Whoever asks the open world tells it something, also when they only read.
            (Some(true), _) => Labels::NONE.with(Label::Untrusted).with(Label::Outbound),
            (Some(false), Some(true)) => Labels::NONE.with(Label::Private),
            _ => Labels::NONE,
        }
    }
}

impl FromIterator<Label> for Labels {
    fn from_iter<I: IntoIterator<Item = Label>>(labels: I) -> Labels {
        labels.into_iter().fold(Labels::NONE, Labels::with)
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// What has been seen in one conversation, and until when it counts, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conversation {
    private_until: u64,
    untrusted_until: u64,
}

impl Conversation {
    /// Something with these labels was seen, and counts until then. What counts longer already is not cut short.
    pub fn see(&mut self, labels: Labels, until: u64) {
        if labels.has(Label::Private) {
            self.private_until = self.private_until.max(until);
        }
        if labels.has(Label::Untrusted) {
            self.untrusted_until = self.untrusted_until.max(until);
        }
    }

    /// Whether both have been seen, and count.
    #[must_use]
    pub fn is_mixed(&self, now: u64) -> bool {
        now < self.private_until && now < self.untrusted_until
    }

    /// Whether nothing counts any more: then it is as good as a new one.
    #[must_use]
    pub fn is_over(&self, now: u64) -> bool {
        now >= self.private_until && now >= self.untrusted_until
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Times that are not in order: calls end when they like.
    fn events() -> impl Strategy<Value = Vec<(u64, Labels)>> {
        let labels = prop::collection::vec(0..3_usize, 0..3)
            .prop_map(|chosen| chosen.into_iter().map(|at| Label::ALL[at]).collect());
        prop::collection::vec((0..100_u64, labels), 0..12)
    }

    fn after(events: &[(u64, Labels)], window: u64) -> Conversation {
        let mut conversation = Conversation::default();
        events.iter().for_each(|(at, labels)| conversation.see(*labels, at + window));
        conversation
    }

    proptest! {
        #[test]
        fn it_is_mixed_exactly_while_both_were_seen_within_the_window(
            events in events(), window in 1..50_u64, now in 0..200_u64,
        ) {
            let seen = |label| events.iter().any(|(at, labels)| labels.has(label) && now < at + window);
            let expected = seen(Label::Private) && seen(Label::Untrusted);
            let conversation = after(&events, window);
            prop_assert_eq!(conversation.is_mixed(now), expected);
            prop_assert!(!(conversation.is_over(now) && conversation.is_mixed(now)));
        }

        #[test]
        fn seeing_more_never_makes_it_less_mixed_and_the_order_does_not_matter(
            events in events(), more in events(), window in 1..50_u64, now in 0..200_u64,
        ) {
            let (mut both, first) = (events.clone(), after(&events, window));
            both.extend(more);
            prop_assert!(after(&both, window).is_mixed(now) || !first.is_mixed(now));
            let mut turned = both.clone();
            turned.reverse();
            prop_assert_eq!(after(&both, window), after(&turned, window));
        }

        #[test]
        fn it_ends_by_itself(events in events(), window in 1..50_u64) {
            prop_assert!(after(&events, window).is_over(100 + window));
        }
    }

    #[test]
    fn what_goes_out_is_nothing_that_was_seen() {
        let mut conversation = Conversation::default();
        conversation.see(Labels::NONE.with(Label::Outbound), 100);
        assert!(conversation.is_over(0));
        conversation.see(Label::ALL.into_iter().collect(), 100);
        assert!(conversation.is_mixed(99) && !conversation.is_mixed(100), "one tool can do both");
    }

    #[test]
    fn a_servers_word_is_a_proposal_and_no_word_is_none() {
        let shown = |read_only, open_world| format!("{:?}", Labels::proposed(read_only, open_world));
        assert_eq!(shown(Some(true), Some(true)), "{Untrusted, Outbound}");
        assert_eq!(shown(None, Some(true)), "{Untrusted, Outbound}");
        assert_eq!(shown(Some(true), Some(false)), "{Private}");
        assert_eq!(shown(Some(false), Some(false)), "{}");
        assert_eq!(shown(None, None), "{}");
    }
}
