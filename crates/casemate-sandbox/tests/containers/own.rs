//! Attacks that make sense in a container alone.

use std::fs;
use std::io::{self, Error};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use casemate_testkit::engine::Contents;

use crate::attack::{self, BREACH, HELD};

/// An attack, by its name. An error is a container that held.
type Own = (&'static str, fn() -> io::Result<()>);

pub(crate) const ALL: &[Own] = &[
    ("be_root", || match rustix::process::geteuid().is_root() {
        true => Ok(()),
        false => Err(Error::other("nobody")),
    }),
    ("write_to_the_image", || fs::write("/note", "x")),
    ("remove_the_server", || fs::remove_file(Contents::PROGRAM)),
    ("give_a_file_away", || {
        fs::write("/tmp/gift", "")?;
        std::os::unix::fs::chown("/tmp/gift", Some(7), Some(7))
    }),
    ("speak_to_the_engine", || UnixStream::connect(std::env::var("ENGINE").unwrap()).map(drop)),
    ("make_a_device", || {
        let disk = rustix::fs::makedev(8, 0);
        Ok(rustix::fs::mknodat(
            rustix::fs::CWD,
            "/tmp/disk",
            rustix::fs::FileType::BlockDevice,
            0o666.into(),
            disk,
        )?)
    }),
    ("change_the_kernels_settings", || fs::write("/proc/sys/kernel/msgmax", "8192")),
    ("read_the_kernels_symbols", || {
        fs::read("/proc/kallsyms").and_then(|text| match text.is_empty() {
            true => Err(Error::other("empty")),
            false => Ok(()),
        })
    }),
    ("list_the_machines_devices", || match fs::read_dir("/sys/class")?.count() {
        0 => Err(Error::other("empty")),
        _ => Ok(()),
    }),
    // The limit of a cell is on what is asked for, that of a container on what is used.
    ("use_all_memory", || {
        let mut held = Vec::new();
        for _ in 0..50 {
            held.push(std::hint::black_box(vec![1_u8; 8 << 20]));
        }
        Ok(())
    }),
];

/// The attacker's whole life.
pub(crate) fn play(name: &str, facts: &[String]) -> ExitCode {
    let Some((_, body)) = ALL.iter().find(|(own, _)| *own == name) else { return attack::play(name, facts) };
    match body() {
        Ok(()) => ExitCode::from(BREACH),
        Err(error) => {
            println!("{error}");
            ExitCode::from(HELD)
        }
    }
}
