//! A list of calls as a tree of comparisons: eight or so for each call, where a chain would have hundreds. When the kernel
//! takes a filter it walks it once for every call there is, and the start of a server waits for that.

use seccompiler::sock_filter;

use crate::room::bpf::{Compare, answer, jump, skip};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The kernel's answer.
    Answer(u32),
    /// What stands behind the tree decides.
    Later,
}

/// Calls with one verdict: the number of the first of them. They end where the next run begins.
pub(super) type Run = (u32, Verdict);

/// The runs of all numbers up to `last`.
pub(super) fn runs(last: u32, verdict: impl Fn(u32) -> Verdict) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for number in 0..=last {
        let verdict = verdict(number);
        if runs.last().is_none_or(|(_, before)| *before != verdict) {
            runs.push((number, verdict));
        }
    }
    runs
}

/// The program that tells runs apart, for a number that is loaded already. Its end is where [`Verdict::Later`] leads.
pub(super) fn program(runs: &[Run]) -> Vec<sock_filter> {
    let mut places = Vec::new();
    lay(runs, &mut places);
    let end = places.len();
    let instruction = |(at, place)| match place {
        Place::Instruction(instruction) => instruction,
        // The program is far shorter than the kernel allows, which is 4096.
        Place::End => skip((end - at - 1) as u32),
    };
    places.into_iter().enumerate().map(instruction).collect()
}

/// An instruction, or a jump to the end, which is not known yet.
enum Place {
    Instruction(sock_filter),
    End,
}

/// Lays a tree out: a comparison, what is below, what is not.
fn lay(runs: &[Run], places: &mut Vec<Place>) {
    let (below, rest) = runs.split_at(runs.len() / 2);
    let Some((start, verdict)) = rest.first() else { return };
    if below.is_empty() {
        return places.push(match verdict {
            Verdict::Answer(value) => Place::Instruction(answer(*value)),
            Verdict::Later => Place::End,
        });
    }
    let mut left = Vec::new();
    lay(below, &mut left);
    match u8::try_from(left.len()) {
        Ok(over) => places.push(Place::Instruction(jump(Compare::AtLeast, *start, (over, 0)))),
        // Farther than a comparison can jump.
        Err(_) => {
            places.push(Place::Instruction(jump(Compare::AtLeast, *start, (0, 1))));
            places.push(Place::Instruction(skip(left.len() as u32)));
        }
    }
    places.append(&mut left);
    lay(rest, places);
}
