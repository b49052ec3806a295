//! What came of the texts in which servers speak of themselves: judged once, and not at the beginning of every session.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use casemate_mcp::json::Raw;
use casemate_mcp::names::ServerName;

/// Texts that are remembered of one server: what it is, and how it wants to be used.
const TEXTS: usize = 2;

/// The judgements of the latest texts of each server.
#[derive(Debug)]
pub(super) struct Said<T>(Mutex<HashMap<ServerName, Vec<(Raw, T)>>>);

impl<T> Default for Said<T> {
    fn default() -> Said<T> {
        Said(Mutex::default())
    }
}

impl<T: Clone> Said<T> {
    /// The judgement of a text, made where none is remembered.
    pub(super) fn judged(&self, server: &ServerName, text: &Raw, judge: impl FnOnce() -> T) -> T {
        let known = |texts: &Vec<(Raw, T)>| {
            texts.iter().find(|(known, _)| known == text).map(|(_, judgement)| judgement.clone())
        };
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(judgement) = kept.get(server).and_then(known) {
            return judgement;
        }
        drop(kept);
        let judgement = judge();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = kept.entry(server.clone()).or_default();
        if texts.len() == TEXTS {
            texts.remove(0);
        }
        texts.push((text.detached(), judgement.clone()));
        judgement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_judged_once_and_another_one_by_itself() {
        let (said, server) = (Said::default(), ServerName::parse("one").unwrap());
        let text = |number: u8| Raw::string_of(&format!("text {number}"));
        let judge = |number| said.judged(&server, &text(number), || number);
        assert_eq!((judge(1), judge(2), judge(1)), (1, 2, 1));
        assert_eq!(said.judged(&server, &text(1), || 9), 1, "it is remembered");
        assert_eq!(judge(3), 3);
        assert_eq!(said.judged(&server, &text(1), || 9), 9, "the oldest made room");
        let other = ServerName::parse("two").unwrap();
        assert_eq!(said.judged(&other, &text(3), || 7), 7, "another server is judged by itself");
    }
}
