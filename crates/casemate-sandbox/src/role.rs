//! What our own binary is when a cell re-executes it.

use std::ffi::{CStr, OsStr};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::containment::Containment;
use crate::init;

/// The `argv[0]` by which a re-executed binary is recognized. The role follows in `argv[1]`, then the label
/// (for people who read `ps`), the user id and the group id.
pub(crate) const CELL_NAME: &CStr = c"casemate-cell";

/// The exit code of a process that calls itself a cell but was not made by casemate.
const EXIT_USAGE: i32 = 64;

static REENTERED: AtomicBool = AtomicBool::new(false);

/// Must be the first statement of `main`, before any thread exists.
///
/// In a process that was started as `casemate-cell ROLE LABEL UID GID` with our descriptors in place this never
/// returns: it becomes the cell's first process. In every other process it returns at once and notes that this
/// binary can be re-executed, without which [`crate::Spawner::start`] refuses to.
pub fn reenter() {
    let mut args = std::env::args_os();
    if args.next().is_none_or(|name| name.as_encoded_bytes() != CELL_NAME.to_bytes()) {
        REENTERED.store(true, Ordering::Release);
        return;
    }
    let name = args.next();
    #[cfg(feature = "container")]
    if name.as_ref().is_some_and(|name| name == crate::container::PORTER) {
        std::process::exit(crate::container::be_porter(args));
    }
    let role = name.and_then(|name| Role::parse(&name));
    let mut ids = args.skip(1).map(|id| id.to_str().and_then(|id| id.parse().ok()));
    let code = match (role, ids.next().flatten(), ids.next().flatten()) {
        (Some(role), Some(user), Some(group)) => init::run(role, Identity { user, group }),
        _ => None,
    };
    std::process::exit(code.unwrap_or(EXIT_USAGE));
}

/// Whether [`reenter`] was called in this process.
pub(crate) fn is_reentrant() -> bool {
    REENTERED.load(Ordering::Acquire)
}

/// The user and group that everything runs as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) user: u32,
    pub(crate) group: u32,
}

/// What a re-executed process has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The first process of a cell with this containment.
    Cell(Containment),
    /// The same, with a plan to carry out before its server starts.
    Room(Containment),
    /// A stepping stone: starts a program that outlives us, and ends.
    Detach,
}

impl Role {
    const ALL: [Role; 7] = [
        Role::Cell(Containment::PidNamespace),
        Role::Cell(Containment::UserNamespace),
        Role::Cell(Containment::Reaper),
        Role::Room(Containment::PidNamespace),
        Role::Room(Containment::UserNamespace),
        Role::Room(Containment::Reaper),
        Role::Detach,
    ];

    /// The name that stands in `argv[1]`.
    pub(crate) fn name(self) -> &'static CStr {
        match self {
            Role::Cell(Containment::PidNamespace) => c"init",
            Role::Cell(Containment::UserNamespace) => c"init-of-user",
            Role::Cell(Containment::Reaper) => c"reaper",
            Role::Room(Containment::PidNamespace) => c"room",
            Role::Room(Containment::UserNamespace) => c"room-of-user",
            Role::Room(Containment::Reaper) => c"room-of-reaper",
            Role::Detach => c"detach",
        }
    }

    /// How the cell's processes are held together; nothing for what is no cell.
    pub(crate) fn containment(self) -> Option<Containment> {
        match self {
            Role::Cell(containment) | Role::Room(containment) => Some(containment),
            Role::Detach => None,
        }
    }

    fn parse(name: &OsStr) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name().to_bytes() == name.as_encoded_bytes())
    }
}
