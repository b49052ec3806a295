//! Carrying a plan out: in the cell's first process, and in the one that becomes the server.
//!
//! Both have one thread. Steps are taken in the order of the plan; a step that is required and fails ends the cell
//! with the number of that step, and one that is additional is reported and left out.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::plan::{Action, Need, Phase, Plan};
use crate::figures::HostStats;
use crate::message::{Failure, Message, Received, Stage, receive_with_descriptors};

mod doors;
mod figures;
mod identity;
mod limit;
mod listener;
mod mounts;
mod ruleset;

use mounts::Site;
pub(super) use mounts::{attributes, copy, open_granted};

/// Waits until casemate has done its part: what only the outside can do to this process. Gives the mounts that it has
/// made for us.
pub(crate) fn await_casemate(control: &OwnedFd) -> Result<Vec<OwnedFd>, Failure> {
    let (received, made) = receive_with_descriptors(control, RecvFlags::empty());
    match received {
        Received::Message(Message::Go { mounts }) if mounts == made.len() => Ok(made),
        Received::Message(Message::Go { .. }) => Err(Failure::new(Stage::Order, Errno::MFILE)),
        Received::Message(Message::Failed(failure)) => Err(failure),
        _ => Err(Failure::new(Stage::Ended, Errno::PIPE)),
    }
}

/// Carries out what the cell's first process has to, with the mounts that casemate has made for it. `control` leads to
/// casemate.
pub(crate) fn enter(plan: &Plan, control: &OwnedFd, mounts: Vec<OwnedFd>) -> Result<(), Failure> {
    let mut entry = Entry { plan, control, mounts, site: None };
    take(plan, Phase::Enter, |action| entry.step(action), |skipped| skipped.deliver(control))
}

/// Carries out what the server has to, just before its exec. `skip` hears of steps that were left out; what it cannot pass
/// on ends the start, since a layer would be reported that is not there.
pub(crate) fn confine(
    plan: &Plan,
    control: &OwnedFd,
    skip: impl FnMut(Message) -> Result<(), Errno>,
) -> Result<(), Failure> {
    take(plan, Phase::Confine, |action| confine_step(action, control), skip)
}

/// Makes the network namespace of this process one whose connections casemate takes over.
#[cfg(feature = "container")]
pub(crate) fn open_doors(ports: &std::collections::BTreeSet<u16>, control: &OwnedFd) -> Result<(), Errno> {
    super::kernel::raise_loopback()?;
    doors::open(ports, control)
}

fn take(
    plan: &Plan,
    phase: Phase,
    mut act: impl FnMut(&Action) -> Result<(), Fault>,
    mut skip: impl FnMut(Message) -> Result<(), Errno>,
) -> Result<(), Failure> {
    for (number, step) in plan.phase(phase) {
        // A step that is made to fail is left undone, as one that the kernel has refused.
        let taken = if plan.failing == Some(number) { Err(Errno::IO.into()) } else { act(&step.action) };
        let Err(Fault { errno, at }) = taken else { continue };
        let number = at.unwrap_or(number);
        match step.need {
            Need::Additional => skip(Message::Skipped { step: number, errno: errno.raw_os_error() })
                .map_err(|errno| Failure::new(Stage::Step(number), errno))?,
            Need::Required => return Err(Failure::new(Stage::Step(number), errno)),
        }
    }
    Ok(())
}

/// Why a step failed, and which one where that is not the one that was taken.
#[derive(Debug)]
struct Fault {
    errno: Errno,
    at: Option<usize>,
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Fault {
        Fault { errno, at: None }
    }
}

/// The cell's first process on its way in.
struct Entry<'a> {
    plan: &'a Plan,
    control: &'a OwnedFd,
    /// What is granted as to its owner, in the order of the plan.
    mounts: Vec<OwnedFd>,
    /// The root in the making, from the moment when the host is looked at until it is left.
    site: Option<Site>,
}

impl Entry<'_> {
    fn step(&mut self, action: &Action) -> Result<(), Fault> {
        match action {
            Action::MapUser { user, group, by } => {
                identity::map((*user, *group), *by)?;
                // What is granted is looked up as the user that casemate is, who may see more than the server.
                let mounts = std::mem::take(&mut self.mounts);
                let site =
                    Site::survey(self.plan, mounts).map_err(|(at, errno)| Fault { errno, at: Some(at) })?;
                self.site = Some(site);
                identity::assume()?;
            }
            // Counts for this user namespace; the host's /proc is still here to say it.
            Action::ForbidNesting => identity::write("/proc/sys/user/max_user_namespaces", "0")?,
            Action::Loopback => super::kernel::raise_loopback()?,
            Action::Doorway { ports } => doors::open(ports, self.control)?,
            Action::SetHostname => rustix::system::sethostname(super::plan::CELL_HOSTNAME.as_bytes())?,
            Action::Root => self.site()?.make_root()?,
            Action::Show { except } => self.site()?.show(except)?,
            Action::Bind { path, .. } | Action::BindIfThere { path, .. } | Action::Device { path } => {
                self.site()?.attach(path)?;
            }
            Action::Figure { name } => self.site()?.attach(&Path::new(HostStats::FOLDER).join(name))?,
            Action::Figures => figures::open(self.site.as_ref().ok_or(Errno::INVAL)?, self.control)?,
            Action::Tmpfs { path, bytes, files } => self.site()?.tmpfs(path, *bytes, *files)?,
            Action::Proc(source) => self.site()?.proc(*source)?,
            Action::Text { path, text } => self.site()?.write(path, text)?,
            Action::Link { path, to } => self.site()?.link(path, to)?,
            Action::Pivot => self.site.take().ok_or(Errno::INVAL)?.pivot()?,
            Action::Guard => identity::guard()?,
            Action::DropCapabilities => identity::drop_capabilities()?,
            Action::Unshare(_)
            | Action::Become { .. }
            | Action::Limit { .. }
            | Action::Share { .. }
            | Action::NoNewPrivileges
            | Action::Ruleset { .. }
            | Action::Listen
            | Action::Filter(_)
            | Action::Check { .. } => return Err(Errno::INVAL.into()),
        }
        Ok(())
    }

    fn site(&mut self) -> Result<&mut Site, Errno> {
        self.site.as_mut().ok_or(Errno::INVAL)
    }
}

fn confine_step(action: &Action, control: &OwnedFd) -> Result<(), Fault> {
    match action {
        Action::Become { account } => identity::settle_as(*account)?,
        Action::Limit { quantity, most } => limit::set(*quantity, *most)?,
        Action::DropCapabilities => identity::drop_capabilities()?,
        Action::NoNewPrivileges => rustix::thread::set_no_new_privs(true)?,
        Action::Check { path, access } => identity::check(path, *access)?,
        Action::Ruleset { version, rules, tcp } => ruleset::restrict(*version, rules, *tcp)?,
        Action::Listen => listener::install(control)?,
        Action::Filter(profile) => {
            let program = super::filter::program(*profile).map_err(|_| Errno::INVAL)?;
            seccompiler::apply_filter(&program).map_err(|_| crate::syscall::last_errno())?;
        }
        _ => return Err(Errno::INVAL.into()),
    }
    Ok(())
}
