//! Casemate's part in a room: what only the outside can do, around the clone of a cell's first process.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use crate::child::Gate;
use crate::group::{Group, Groups, Share, Skipped};
use crate::message::{Failure, Message, Stage};
use crate::room::{CELL_USER, Loan, Need, Plan};

/// What is to be done.
#[derive(Debug)]
pub(super) struct Part {
    /// The step that maps the user of the room's user namespace, and the host's user and group.
    map: Option<(usize, (u32, u32))>,
    /// What is to be mounted outside.
    loans: Vec<Loan>,
    /// What control groups are to limit.
    shares: Vec<Share>,
    /// See [`crate::CellSpec::failing`].
    failing: Option<usize>,
}

/// The control groups of a cell, and what they could not be made for.
#[derive(Debug, Default)]
pub(super) struct Footing {
    pub(super) group: Option<Group>,
    pub(super) skipped: Vec<Skipped>,
}

impl Part {
    pub(super) fn of(plan: &Plan) -> Part {
        Part {
            map: plan.map_from_outside(),
            loans: plan.loans(),
            shares: plan.shares(),
            failing: plan.failing,
        }
    }

    /// Before the clone: the control groups, and the ways into them.
    pub(super) fn found(&self, groups: &mut Groups) -> (Footing, Vec<Gate>) {
        if self.shares.is_empty() {
            return (Footing::default(), Vec::new());
        }
        let (failed, shares): (Vec<Share>, _) =
            self.shares.iter().partition(|share| Some(share.step) == self.failing);
        let (mut group, mut skipped) = groups.make(&shares);
        let (gates, without_gate) = group.gates();
        skipped.extend(without_gate);
        skipped.extend(failed.into_iter().map(|share| (share, libc::EIO)));
        (Footing { group: Some(group), skipped }, gates)
    }

    /// After it: everything else. Then the room may be entered, or is refused.
    pub(super) fn finish(&self, pid: i32, footing: &Footing, control: &OwnedFd) {
        let done = self.check(footing).and_then(|()| self.map_user(pid)).and_then(|()| self.mount());
        let told = done.and_then(|mounts| {
            let descriptors: Vec<_> = mounts.iter().map(AsFd::as_fd).collect();
            let go = Message::Go { mounts: mounts.len() };
            go.send_with(control, &descriptors).map_err(|errno| Failure::new(Stage::Order, errno))
        });
        if let Err(failure) = told {
            Message::Failed(failure).send(control);
        }
    }

    fn check(&self, footing: &Footing) -> Result<(), Failure> {
        match footing.skipped.iter().find(|(share, _)| share.need == Need::Required) {
            Some((share, errno)) => Err(Failure { stage: Stage::Step(share.step), errno: *errno }),
            None => Ok(()),
        }
    }

    fn map_user(&self, pid: i32) -> Result<(), Failure> {
        let Some((step, (user, group))) = self.map else { return Ok(()) };
        let write = |file: &str, id: u32| {
            std::fs::write(format!("/proc/{pid}/{file}"), format!("{CELL_USER} {id} 1"))
        };
        write("gid_map", group).and_then(|()| write("uid_map", user)).map_err(|error| {
            let errno = error.raw_os_error().map_or(Errno::INVAL, Errno::from_raw_os_error);
            Failure::new(Stage::Step(step), errno)
        })
    }

    fn mount(&self) -> Result<Vec<OwnedFd>, Failure> {
        let mount = |loan: &Loan| loan.mount().map_err(|errno| Failure::new(Stage::Step(loan.step), errno));
        self.loans.iter().map(mount).collect()
    }
}

impl Footing {
    /// The steps that could not be taken, and why.
    pub(super) fn steps(&self) -> Vec<(usize, i32)> {
        self.skipped.iter().map(|(share, errno)| (share.step, *errno)).collect()
    }
}
