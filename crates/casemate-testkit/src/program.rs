//! Processes: where the test programs lie, and a helper that escapes its parent.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;

/// Where cargo put a program of this package, for the tests of another one.
///
/// # Errors
/// It was not built. `cargo test -p casemate-testkit --no-run` or `cargo build -p casemate-testkit` builds it.
pub fn bin_path(name: &str) -> io::Result<PathBuf> {
    let test = std::env::current_exe()?;
    // A test program lies in target/PROFILE/deps, the programs one folder up.
    let path = test.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    path.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::NotFound,
            format!("{name} was not built; hint: cargo build -p casemate-testkit"),
        )
    })
}

/// Starts `sleep SECONDS` in a session of its own, whose parent is gone, and returns its process id as this
/// process's namespace sees it.
///
/// Works inside `casemate-fixture` alone, since it runs this program again to detach.
#[expect(
    clippy::disallowed_methods,
    reason = "a server that leaves processes behind is what leak tests need"
)]
pub(crate) fn spawn_escaped(seconds: &str) -> io::Result<String> {
    let middle = std::process::Command::new(std::env::current_exe()?)
        .args(["--detach", seconds])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()?;
    if !middle.status.success() {
        return Err(io::Error::other("the process in the middle failed"));
    }
    Ok(String::from_utf8_lossy(&middle.stdout).trim().to_owned())
}

/// The process in the middle: leads a new session, starts the sleeper and is gone, so that the sleeper belongs
/// to nobody.
///
/// # Errors
/// The session or the process could not be created.
#[expect(
    clippy::disallowed_methods,
    reason = "a server that leaves processes behind is what leak tests need"
)]
pub fn detach(seconds: &str) -> io::Result<u32> {
    rustix::process::setsid()?;
    let null = Stdio::null;
    let mut sleeper = std::process::Command::new("sleep");
    sleeper.arg(seconds).stdin(null()).stdout(null()).stderr(null());
    sleeper.spawn().map(|child| child.id())
}
