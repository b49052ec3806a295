//! What the person at the terminal reads.

use std::fmt::Display;
use std::io::{Write as _, stdout};

/// Prints a line to standard output. A terminal that went away is no reason to stop.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(stdout().lock(), "{line}");
}
