//! Attacks on everybody else's share.

#![expect(unsafe_code, reason = "these system calls have no safe wrapper; each use says why it is sound")]

use std::fs::{self, File};
use std::io::{self, Error};
use std::os::unix::fs::FileExt;

use casemate_sandbox::Layer::{CellMemory, CellTasks, FileSize, Memory, OpenFiles, Tasks, Tmp};

use crate::attack::Attack;
use crate::limits::has_groups;
use crate::world::Facts;

pub(crate) const ALL: &[Attack] = &[
    Attack::new("take_all_memory", &[Memory], &[Memory], |_| take_memory()),
    Attack::new("take_all_memory_with_many_processes", &[CellMemory], &[CellMemory], |_| share_memory())
        .when(has_groups),
    Attack::new("dump_core", &[Memory], &[Memory], |_| {
        match rustix::process::getrlimit(rustix::process::Resource::Core).maximum {
            Some(0) => Err(Error::other("limited")),
            _ => Ok(()),
        }
    })
    .when(|| rustix::process::getrlimit(rustix::process::Resource::Core).maximum != Some(0)),
    Attack::new("bomb_with_forks", &[Tasks], &[Tasks], |_| bomb()).also(&[CellTasks]),
    Attack::new("bomb_a_group_with_forks", &[CellTasks], &[CellTasks], |_| bomb())
        .also(&[Tasks])
        .when(has_groups),
    Attack::new("open_everything", &[OpenFiles], &[OpenFiles], |_| {
        let mut opened = Vec::new();
        for _ in 0..300 {
            opened.push(File::open("/dev/null")?);
        }
        Ok(())
    }),
    Attack::new("write_a_giant_file", &[FileSize], &[FileSize], giant),
    Attack::new("fill_tmp", &[Tmp], &[], |_| {
        for number in 0..4 {
            fs::write(format!("/tmp/{number}"), vec![1; 700 << 10])?;
        }
        Ok(())
    }),
    Attack::new("fill_tmp_with_files", &[Tmp], &[], |_| {
        for number in 0..200 {
            fs::write(format!("/tmp/{number}"), "")?;
        }
        Ok(())
    }),
];

fn take_memory() -> io::Result<()> {
    for _ in 0..16 {
        // SAFETY: a new mapping that nothing refers to.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                64 << 20,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
    }
    Ok(())
}

/// Each takes half of what it may, so that only all together are too many.
fn share_memory() -> io::Result<()> {
    let mut children = Vec::new();
    let (ready, done) = rustix::pipe::pipe()?;
    for _ in 0..4 {
        // SAFETY: the child has one thread, as this process has.
        match unsafe { libc::fork() } {
            -1 => return Err(Error::last_os_error()),
            0 => {
                let taken = vec![1_u8; 150 << 20];
                // All of them hold theirs until all have it.
                let _ = rustix::io::write(&done, &taken[..1]);
                // SAFETY: waits for a signal.
                unsafe { libc::pause() };
            }
            child => children.push(child),
        }
    }
    drop(done);
    let mut arrived = 0;
    while arrived < children.len() {
        // One that the kernel has killed arrives nowhere.
        let dead = rustix::process::wait(rustix::process::WaitOptions::NOHANG)?;
        if let Some((_, status)) = dead {
            return Err(Error::other(format!("{status:?}")));
        }
        let mut watched = [rustix::event::PollFd::new(&ready, rustix::event::PollFlags::IN)];
        let moment = rustix::event::Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        if rustix::event::poll(&mut watched, Some(&moment))? > 0 {
            arrived += rustix::io::read(&ready, &mut [0; 4])?;
        }
    }
    Ok(())
}

fn bomb() -> io::Result<()> {
    for _ in 0..400 {
        // SAFETY: the child waits until the cell ends, and touches nothing.
        match unsafe { libc::fork() } {
            -1 => return Err(Error::last_os_error()),
            0 => loop {
                // SAFETY: waits for a signal.
                unsafe { libc::pause() };
            },
            _ => {}
        }
    }
    Ok(())
}

fn giant(facts: &Facts) -> io::Result<()> {
    // SAFETY: to be refused rather than killed.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let path = facts.folder.join("write/giant");
    let written = File::create(&path)?.write_all_at(b"x", 2 << 20);
    fs::remove_file(path)?;
    written
}
