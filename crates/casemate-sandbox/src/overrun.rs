//! Which limit a server ran into, as far as that can be known afterwards.

use std::fmt;

use crate::exit::Exit;
use crate::group::Events;

/// A limit that has ended a server, or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Overrun {
    /// The limit.
    pub limit: Limit,
    /// How much is known.
    pub certainty: Certainty,
}

/// The limits whose reaching leaves a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Memory, of the cell or of a process.
    Memory,
    /// Processes and threads.
    Processes,
    /// The size of a file.
    FileSize,
}

/// How much is known about the end of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Certainty {
    /// The kernel has ended a process for it.
    Known,
    /// The limit was reached or nearly so, and the server has failed. It may have done so for another reason.
    Likely,
}

impl Limit {
    /// The setting that raises it.
    pub fn setting(self) -> &'static str {
        match self {
            Limit::Memory => "limits.memory",
            Limit::Processes => "limits.processes",
            Limit::FileSize => "limits.file_size",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Limit::Memory => "memory limit",
            Limit::Processes => "process limit",
            Limit::FileSize => "file size limit",
        }
    }
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.certainty {
            Certainty::Known => "hit",
            Certainty::Likely => "may have hit",
        };
        write!(f, "it {verb} its {} ({})", self.limit.name(), self.limit.setting())
    }
}

/// What is known about a server that has ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Evidence {
    /// What its control groups tell.
    pub(crate) events: Events,
    /// The most memory that any of its processes has used at once, in bytes.
    pub(crate) peak_bytes: u64,
    /// The most that any of them may use; nothing for a server without limits.
    pub(crate) memory_bytes: Option<u64>,
}

impl Evidence {
    /// What it says about an end. An orderly end was no limit's, and neither was one that was asked for.
    pub(crate) fn judge(&self, exit: Exit) -> Option<Overrun> {
        let known = |limit| Some(Overrun { limit, certainty: Certainty::Known });
        let likely = |limit| Some(Overrun { limit, certainty: Certainty::Likely });
        if exit == Exit::Signal(libc::SIGXFSZ) {
            return known(Limit::FileSize);
        }
        // A shell passes the end by a signal on as a code.
        let killed = exit.shell_code() == Exit::KILLED.shell_code();
        let asked = exit.shell_code() == Exit::Signal(libc::SIGTERM).shell_code();
        if self.events.killed > 0 && killed {
            return known(Limit::Memory);
        }
        if exit.is_success() || killed || asked {
            return None;
        }
        if self.events.killed > 0 || self.is_near_the_end_of_memory() {
            return likely(Limit::Memory);
        }
        if self.events.refused > 0 {
            return likely(Limit::Processes);
        }
        None
    }

    /// Without control groups, what would be too much is refused to a process, and most give up then. What counts
    /// against the limit is a little more than what is in use.
    fn is_near_the_end_of_memory(&self) -> bool {
        self.memory_bytes.is_some_and(|most| self.peak_bytes >= most / 4 * 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 1000;

    fn judged(exit: Exit, (killed, refused, peak_bytes): (u64, u64, u64)) -> Option<String> {
        let evidence = Evidence { events: Events { killed, refused }, peak_bytes, memory_bytes: Some(MOST) };
        evidence.judge(exit).map(|overrun| overrun.to_string())
    }

    #[test]
    fn what_the_kernel_has_said_is_known() {
        let memory = "it hit its memory limit (limits.memory)";
        for exit in [Exit::Signal(9), Exit::Code(137)] {
            assert_eq!(judged(exit, (1, 0, 0)).as_deref(), Some(memory));
        }
        let file = "it hit its file size limit (limits.file_size)";
        assert_eq!(judged(Exit::Signal(libc::SIGXFSZ), (0, 0, 0)).as_deref(), Some(file));
    }

    #[test]
    fn what_can_only_be_guessed_is_not_claimed() {
        let memory = "it may have hit its memory limit (limits.memory)";
        // A process of its own was killed; a process was refused memory and gave up.
        for seen in [(1, 0, 0), (0, 0, 750)] {
            for exit in [Exit::Code(1), Exit::Signal(libc::SIGABRT), Exit::Signal(libc::SIGTRAP)] {
                assert_eq!(judged(exit, seen).as_deref(), Some(memory), "{exit} {seen:?}");
            }
        }
        let processes = "it may have hit its process limit (limits.processes)";
        assert_eq!(judged(Exit::Code(1), (0, 3, 0)).as_deref(), Some(processes));
    }

    #[test]
    fn an_end_of_another_cause_is_no_overrun() {
        for exit in [Exit::Code(0), Exit::Signal(15), Exit::Code(143), Exit::Signal(9)] {
            assert_eq!(judged(exit, (0, 3, 990)), None, "{exit}");
        }
        assert_eq!(judged(Exit::Code(0), (1, 0, 0)), None);
        assert_eq!(judged(Exit::Code(1), (0, 0, 740)), None);
        assert_eq!(Evidence::default().judge(Exit::Code(1)), None);
    }
}
