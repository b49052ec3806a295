//! Carrying a plan out: in the cell's first process, and in the one that becomes the server.
//!
//! Both have one thread. Steps are taken in the order of the plan; a step that is required and fails ends the cell
//! with the number of that step, and one that is additional is reported and left out.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::plan::{Action, Need, Phase, Plan, ProcSource};
use crate::message::{Failure, Message, Stage};

mod identity;
mod limit;
mod mounts;
mod ruleset;

use mounts::Site;

/// Carries out what the cell's first process has to. `control` leads to casemate, which may have a part in it.
pub(crate) fn enter(plan: &Plan, control: &OwnedFd) -> Result<(), Failure> {
    let mut site = None;
    take(plan, Phase::Enter, |action| enter_step(plan, action, (control, &mut site)), |skipped| skipped.send(control))
}

/// Carries out what the server has to, just before its exec. `skip` hears of steps that were left out.
pub(crate) fn confine(plan: &Plan, skip: impl FnMut(Message)) -> Result<(), Failure> {
    take(plan, Phase::Confine, confine_step, skip)
}

fn take(
    plan: &Plan,
    phase: Phase,
    mut act: impl FnMut(&Action) -> Result<(), Fault>,
    mut skip: impl FnMut(Message),
) -> Result<(), Failure> {
    for (number, step) in plan.phase(phase) {
        let Err(Fault { errno, at }) = act(&step.action) else { continue };
        let number = at.unwrap_or(number);
        match step.need {
            Need::Additional => skip(Message::Skipped { step: number, errno: errno.raw_os_error() }),
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

type Site_<'a> = (&'a OwnedFd, &'a mut Option<Site>);

fn enter_step(plan: &Plan, action: &Action, (control, place): Site_<'_>) -> Result<(), Fault> {
    let site = || Errno::INVAL;
    match action {
        Action::MapUser { user, group, by } => {
            identity::map((*user, *group), *by, control)?;
            // What is granted is looked up as the user that casemate is, who may see more than the server.
            *place = Some(Site::survey(plan).map_err(|(at, errno)| Fault { errno, at: Some(at) })?);
            identity::assume()?;
        }
        // Counts for this user namespace; the host's /proc is still here to say it.
        Action::ForbidNesting => identity::write("/proc/sys/user/max_user_namespaces", "0")?,
        Action::Loopback => super::kernel::raise_loopback()?,
        Action::SetHostname => rustix::system::sethostname(super::plan::CELL_HOSTNAME.as_bytes())?,
        Action::Guard => identity::guard()?,
        Action::DropCapabilities => identity::drop_capabilities()?,
        Action::Proc(source) if place.as_ref().is_none_or(|site| !site.has_root()) => match source {
            ProcSource::Host => {}
            ProcSource::Narrow | ProcSource::Wide => mounts::proc_over(*source)?,
        },
        Action::Root => place.as_mut().ok_or_else(site)?.make_root()?,
        Action::Bind { path, .. } | Action::BindIfThere { path, .. } | Action::Device { path } => {
            place.as_mut().ok_or_else(site)?.attach(path)?;
        }
        Action::Tmpfs { path, bytes, files } => place.as_ref().ok_or_else(site)?.tmpfs(path, *bytes, *files)?,
        Action::Proc(source) => place.as_mut().ok_or_else(site)?.proc(*source)?,
        Action::Text { path, text } => place.as_ref().ok_or_else(site)?.write(path, text)?,
        Action::Link { path, to } => place.as_ref().ok_or_else(site)?.link(path, to)?,
        Action::Pivot => place.take().ok_or_else(site)?.pivot()?,
        Action::Unshare(_)
        | Action::Become { .. }
        | Action::Limit { .. }
        | Action::NoNewPrivileges
        | Action::Ruleset { .. }
        | Action::Filter(_)
        | Action::Check { .. } => return Err(Errno::INVAL.into()),
    }
    Ok(())
}

fn confine_step(action: &Action) -> Result<(), Fault> {
    match action {
        Action::Become { account } => identity::r#become(*account)?,
        Action::Limit { quantity, most } => limit::set(*quantity, *most)?,
        Action::DropCapabilities => identity::drop_capabilities()?,
        Action::NoNewPrivileges => rustix::thread::set_no_new_privs(true)?,
        Action::Check { path, access } => identity::check(path, *access)?,
        Action::Ruleset { version, rules, tcp } => ruleset::restrict(*version, rules, *tcp)?,
        Action::Filter(profile) => {
            let program = super::filter::program(*profile).map_err(|_| Errno::INVAL)?;
            seccompiler::apply_filter(&program).map_err(|_| crate::syscall::last_errno())?;
        }
        _ => return Err(Errno::INVAL.into()),
    }
    Ok(())
}
