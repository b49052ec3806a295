//! What the person at the terminal reads.

use std::fmt::Display;

/// Prints a line to standard output; a test keeps it to itself.
#[expect(clippy::print_stdout, reason = "a developer's tool talks to its terminal")]
pub(crate) fn say(line: impl Display) {
    println!("{line}");
}
