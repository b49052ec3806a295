//! Landlock: the rules of a plan, of which the kernel enforces all or we none.

use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::room::plan::{Right, Tcp};

/// Restricts this process for good. Paths that the host lacks need no rule.
pub(super) fn restrict(version: u8, rules: &[(PathBuf, Right)], tcp: Tcp) -> Result<(), Errno> {
    let abi = abi(version);
    // The plan was made for this kernel, so nothing may be left out in silence.
    let mut ruleset =
        Ruleset::new().set_compatibility(CompatLevel::HardRequirement).handle_access(AccessFs::from_all(abi)).map_err(unsupported)?;
    let ports = AccessNet::from_all(abi);
    if tcp == Tcp::Denied && !ports.is_empty() {
        ruleset = ruleset.handle_access(ports).map_err(unsupported)?;
    }
    let scopes = Scope::from_all(abi);
    if !scopes.is_empty() {
        ruleset = ruleset.scope(scopes).map_err(unsupported)?;
    }
    let mut created = ruleset.create().map_err(unsupported)?;
    for (path, right) in rules {
        let opened = match PathFd::new(path) {
            Ok(opened) => opened,
            Err(PathFdError::OpenCall { source, .. }) => match source.raw_os_error().map(Errno::from_raw_os_error) {
                // Denied already; a rule could only have allowed it.
                Some(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => continue,
                errno => return Err(errno.unwrap_or(Errno::INVAL)),
            },
            Err(_) => return Err(Errno::INVAL),
        };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
        let allowed = if kind == FileType::Directory { of(*right, abi) } else { of(*right, abi) & AccessFs::from_file(abi) };
        created = created.add_rule(PathBeneath::new(opened, allowed)).map_err(unsupported)?;
    }
    let status = created.restrict_self().map_err(unsupported)?;
    if status.ruleset == RulesetStatus::FullyEnforced { Ok(()) } else { Err(Errno::NOTSUP) }
}

/// What a right means to a kernel of this version.
fn of(right: Right, abi: ABI) -> BitFlags<AccessFs> {
    match right {
        Right::Read => AccessFs::from_read(abi),
        Right::Write => AccessFs::from_all(abi),
        Right::Use => {
            let device = AccessFs::ReadDir | AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
            device & AccessFs::from_all(abi)
        }
    }
}

fn abi(version: u8) -> ABI {
    match version {
        0 => ABI::Unsupported,
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        7 => ABI::V7,
        8 => ABI::V8,
        // Newer kernels keep what this one can do.
        _ => ABI::V9,
    }
}

fn unsupported<E>(_: E) -> Errno {
    match crate::syscall::last_errno() {
        errno if errno.raw_os_error() == 0 => Errno::NOTSUP,
        errno => errno,
    }
}
