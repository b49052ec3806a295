//! Landlock: the rules of a plan, of which the kernel enforces all or we none.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::room::plan::{Links, Right, Rule, Tcp};

/// Restricts this process for good. Paths that the host lacks need no rule.
pub(super) fn restrict(version: u8, rules: &[Rule], tcp: Tcp) -> Result<(), Errno> {
    let abi = abi(version);
    // The plan was made for this kernel, so nothing may be left out in silence.
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))
        .map_err(unsupported)?;
    let ports = AccessNet::from_all(abi);
    if tcp == Tcp::Denied && !ports.is_empty() {
        ruleset = ruleset.handle_access(ports).map_err(unsupported)?;
    }
    let scopes = Scope::from_all(abi);
    if !scopes.is_empty() {
        ruleset = ruleset.scope(scopes).map_err(unsupported)?;
    }
    let mut created = ruleset.create().map_err(unsupported)?;
    for Rule { path, right, links } in rules {
        let resolve = match links {
            Links::Follow => ResolveFlags::empty(),
            Links::Refuse => ResolveFlags::NO_SYMLINKS,
        };
        let opened =
            match rustix::fs::openat2(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Ok(opened) => opened,
                // Denied already; a rule could only have allowed it.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => continue,
                Err(errno) => return Err(errno),
            };
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode);
        let allowed = if kind == FileType::Directory {
            of(*right, abi)
        } else {
            of(*right, abi) & AccessFs::from_file(abi)
        };
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
        Right::List => AccessFs::ReadDir.into(),
        Right::Ask => {
            (AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::ResolveUnix) & AccessFs::from_all(abi)
        }
        Right::Use => {
            let device = AccessFs::ReadDir
                | AccessFs::ReadFile
                | AccessFs::WriteFile
                | AccessFs::Truncate
                | AccessFs::IoctlDev;
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

#[cfg(test)]
mod tests;
