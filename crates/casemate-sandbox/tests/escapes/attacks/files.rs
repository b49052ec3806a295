//! Attacks on files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Error};

use casemate_sandbox::Layer::{
    self, Capabilities, Files, Landlock, NoNewPrivileges, ProcView, ReadOnly, Seccomp,
};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW};

use crate::attack::Attack;
use crate::attacks::kernel::syscall;
use crate::world::Facts;

const OUTSIDE: &[Layer] = &[Files, Landlock];
const RULES: &[Layer] = &[Landlock];

pub(crate) const ALL: &[Attack] = &[
    Attack::new("read_a_file_outside", OUTSIDE, RULES, |f| fs::read(f.outside("secret")).map(drop)),
    Attack::new("write_a_file_outside", OUTSIDE, RULES, |f| fs::write(f.outside("writable"), "x")),
    Attack::new("create_a_file_outside", OUTSIDE, RULES, |f| File::create_new(f.outside("new")).map(drop)),
    Attack::new("create_a_folder_outside", OUTSIDE, RULES, |f| fs::create_dir(f.outside("folder"))),
    Attack::new("list_a_folder_outside", &[Files], RULES, |f| fs::read_dir(f.outside("")).map(drop)),
    // Landlock does not hide names.
    Attack::new("learn_that_a_file_exists", &[Files], &[], |f| fs::metadata(f.outside("secret")).map(drop)),
    Attack::new("truncate_a_file_outside", OUTSIDE, RULES, |f| {
        rustix::fs::open(f.outside("writable"), rustix::fs::OFlags::PATH, rustix::fs::Mode::empty())?;
        syscall(libc::SYS_truncate, [text(f, "writable").as_ptr() as usize, 0, 0, 0, 0]).map(drop)
    }),
    Attack::new("delete_a_file_outside", OUTSIDE, RULES, |f| fs::remove_file(f.outside("doomed"))),
    Attack::new("take_a_file_in", OUTSIDE, RULES, |f| {
        fs::rename(f.outside("movable"), f.folder.join("write/movable"))
    }),
    Attack::new("link_a_file_in", OUTSIDE, RULES, |f| {
        fs::hard_link(f.outside("writable"), f.folder.join("write/hard"))
    }),
    Attack::new("follow_a_link_out", OUTSIDE, RULES, |f| {
        let link = f.folder.join("write/link");
        let _ = std::os::unix::fs::symlink(f.outside("secret"), &link);
        fs::read(link).map(drop)
    }),
    Attack::new("climb_out_by_dots", OUTSIDE, RULES, |f| {
        fs::read(f.folder.join("write/../outside/secret")).map(drop)
    }),
    Attack::new("climb_out_through_proc", OUTSIDE, RULES, |f| {
        fs::read(format!("/proc/self/root{}", f.outside("secret").display())).map(drop)
    }),
    Attack::new("write_what_is_read_only", &[ReadOnly, Landlock], RULES, |f| {
        fs::write(f.folder.join("read/file"), "x")
    }),
    Attack::new("create_in_what_is_read_only", &[ReadOnly, Landlock], RULES, |f| {
        File::create(f.folder.join("read/new")).map(drop)
    }),
    // Landlock does not guard times and modes.
    Attack::new("touch_what_is_read_only", &[ReadOnly], &[], |f| {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        Ok(rustix::fs::utimensat(CWD, f.folder.join("read/file"), &times, AtFlags::empty())?)
    }),
    Attack::new("remount_what_is_read_only", &[Capabilities, Seccomp, Landlock], &[], |f| {
        let path = std::ffi::CString::new(f.folder.join("read").to_str().unwrap()).unwrap();
        let change = [0_u64, libc::MOUNT_ATTR_RDONLY, 0, 0];
        let args = [libc::AT_FDCWD as usize, path.as_ptr() as usize, 0, change.as_ptr() as usize, 32];
        syscall(libc::SYS_mount_setattr, args)?;
        fs::write(f.folder.join("read/file"), "x")
    }),
    Attack::new("write_beside_what_is_granted", OUTSIDE, RULES, |f| {
        let path = f.folder.with_extension("beside");
        fs::write(&path, "x").and_then(|()| fs::remove_file(path))
    }),
    Attack::new("open_a_terminal", OUTSIDE, RULES, |_| {
        OpenOptions::new().read(true).write(true).open("/dev/ptmx").map(drop)
    }),
    Attack::new("leave_something_in_shared_memory", &[Files], RULES, |f| {
        let name = format!("/dev/shm/casemate-{}", f.bystander);
        fs::write(&name, "x")?;
        // A cell's own is a file system of its own; the host's has the machine's size.
        let size = rustix::fs::statvfs("/dev/shm")?;
        fs::remove_file(name)?;
        if size.f_blocks * size.f_frsize <= 1 << 20 { Err(Error::other("a cell's own")) } else { Ok(()) }
    }),
    Attack::new("read_the_kernels_settings", &[ProcView], &[], |_| {
        fs::read("/proc/sys/kernel/core_pattern").map(drop)
    }),
    Attack::new("read_the_machines_devices", &[Files], RULES, |_| fs::read_dir("/sys/class").map(drop)),
    Attack::new("read_the_hosts_users", &[Files], &[], |_| {
        let users = fs::read_to_string("/etc/passwd")?;
        if users.contains("root:") { Ok(()) } else { Err(Error::other("only our own")) }
    }),
    Attack::new("see_the_hosts_mounts", &[Files], &[], |_| {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        if mounts.contains(" /sys ") { Ok(()) } else { Err(Error::other("only our own")) }
    }),
    // Filters and rules rest on what is left out here. In a full cell there is no root to become.
    Attack::new("become_root_by_a_setuid_program", &[], &[NoNewPrivileges], become_root)
        .also(&[Seccomp, Landlock])
        .when(|| rustix::process::geteuid().is_root()),
];

fn text(facts: &Facts, name: &str) -> std::ffi::CString {
    std::ffi::CString::new(facts.outside(name).to_str().unwrap()).unwrap()
}

/// A copy of `id` that belongs to root and runs as its owner says who it runs as.
fn become_root(facts: &Facts) -> io::Result<()> {
    let output = std::process::Command::new(facts.folder.join("read/id")).arg("-u").output()?;
    if output.stdout == b"0\n" { Ok(()) } else { Err(Error::other(format!("{output:?}"))) }
}
