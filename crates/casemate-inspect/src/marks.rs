//! Where in a text something may be found: a bit for each stretch of it, so that a text full of finds costs no more
//! memory than a hundredth of its own.

use std::ops::Range;

/// Bytes that share a mark.
const STRETCH: usize = 64;

/// Marks on a text. Nothing is allocated before the first.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    bits: Vec<u64>,
    length: usize,
}

impl Marks {
    /// Marks for a text of that length, none of them set.
    pub(crate) fn on(length: usize) -> Marks {
        Marks { bits: Vec::new(), length }
    }

    /// Marks on all of it.
    pub(crate) fn all(length: usize) -> Marks {
        Marks { bits: vec![u64::MAX; length / STRETCH / 64 + 1], length }
    }

    pub(crate) fn set(&mut self, span: Range<usize>) {
        if self.bits.is_empty() {
            self.bits = vec![0; self.length / STRETCH / 64 + 1];
        }
        for stretch in span.start / STRETCH..=span.end.saturating_sub(1).max(span.start) / STRETCH {
            if let Some(word) = self.bits.get_mut(stretch / 64) {
                *word |= 1 << (stretch % 64);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bits.is_empty()
    }

    /// Whether a mark may lie in the span; a neighbor's counts too.
    pub(crate) fn any_in(&self, span: &Range<usize>) -> bool {
        let (first, last) = (span.start / STRETCH, span.end.saturating_sub(1).max(span.start) / STRETCH);
        let word = |at: usize| self.bits.get(at).copied().unwrap_or(0);
        if first / 64 == last / 64 {
            let below_last = u64::MAX >> (63 - last % 64);
            return word(first / 64) >> (first % 64) << (first % 64) & below_last != 0;
        }
        word(first / 64) >> (first % 64) != 0
            || (first / 64 + 1..last / 64).any(|at| word(at) != 0)
            || word(last / 64) & (u64::MAX >> (63 - last % 64)) != 0
    }
}
