//! The cell: starting server processes that never leak, in rooms that they cannot leave.
//!
//! This crate knows how a process is started with nothing inherited but what its [`Spec`] names, how a whole
//! tree of processes is made to die together (also when casemate itself is killed with SIGKILL), and how the
//! end of a tree is observed without a signal handler and without a zombie. It is the only crate that may
//! start processes, and the only one that may contain `unsafe`.
//!
//! It does not know what a server speaks, where its settings come from (it never reads the environment or a
//! file of casemate's), or when a server should be started, stopped or restarted.
//!
//! # How a cell is made
//!
//! ```text
//! casemate ── "casemate-spawner", one thread that outlives all cells
//!    └─ clone(CLONE_PIDFD, CLONE_NEWPID, …), then our own binary again: `casemate-cell init LABEL …`
//!          └─ fork, setsid, exec of the server
//!                └─ whatever the server starts, daemons included
//! ```
//!
//! - [`Containment::PidNamespace`]: the cell's first process is pid 1 of a PID namespace. It has PDEATHSIG
//!   SIGKILL, so it dies with casemate, and the kernel kills everything in a namespace whose pid 1 is gone.
//!   PDEATHSIG is tied to the *thread* that forked, which is why one thread does all of that and never ends.
//! - [`Containment::UserNamespace`]: the same, reached through a user namespace that maps our own user and
//!   group to themselves; this is what an ordinary user gets.
//! - [`Containment::Reaper`]: where neither can be had. The first process is a subreaper, so that whatever is
//!   orphaned below becomes its child; it watches a socket whose other end only casemate holds, and when that
//!   closes it kills its children until none remain. A reaper that dies itself hands its children to casemate,
//!   which kills them; only when both are killed in the same instant does something survive.
//!
//! # Walls
//!
//! With a [`CellSpec`] the server is also enclosed: [`Plan`] says what will be done, step by step and without touching
//! anything, the cell's first process and the one that becomes the server do it, and [`Report::enforced`] says what
//! was done. docs/sandbox.md has every layer, what it is worth, and what is not promised.
//!
//! A room that may have control groups has them (docs/sandbox.md), and [`CellHandle::overrun`] says which limit has ended
//! a server, as far as that left a trace.
//!
//! # What it costs
//!
//! Measured on two busy cores (release build, `/bin/true`, best of 200): until the program executes 1.4 ms, against
//! 0.7 ms for a plain spawn that is also waited for; until all of it is gone 2.3 ms in a namespace and 2.8 ms under a
//! reaper. The first process keeps 170 KiB of memory of its own; the rest it shares with casemate. Finding the best
//! containment takes as long as one cell. A light cell takes 1.0 ms more, a full one 2.0 ms.

mod cell;
mod child;
#[cfg(feature = "container")]
pub mod container;
mod containment;
mod descriptors;
mod doorway;
pub mod environment;
mod error;
mod exit;
mod figures;
mod group;
mod init;
pub mod learn;
mod message;
mod order;
mod overrun;
mod reaper;
mod role;
mod room;
mod spawner;
mod spec;
mod syscall;
#[cfg(test)]
mod tests;

pub use cell::{Cell, CellHandle, CellIo};
pub use containment::{Containment, ProcView, Refused, Report};
pub use descriptors::raise_open_files;
pub use error::Error;
pub use exit::Exit;
pub use figures::{Figures, HostStats};
pub use overrun::{Certainty, Limit, Overrun};
pub use role::reenter;
pub use room::{
    Absent, Access, CellSpec, Cgroups, Controller, Enforced, Grant, Hierarchy, Host, Kind, Layer, Limits,
    Need, Network, Obstacle, Plan, Profile, Refusal, Step, Told, Version,
};
pub use spawner::{Options, Spawner, spawn_detached};
pub use spec::Spec;
