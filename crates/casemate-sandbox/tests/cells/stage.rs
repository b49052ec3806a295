//! What the tests share: a runtime with a time limit, scripts as servers, and witnesses of death.

use std::path::Path;
use std::time::Duration;

use casemate_sandbox::{Cell, CellIo, Containment, Error, Options, Spawner, Spec, environment};
use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;

/// Nothing here takes a second; whatever takes longer than this hangs.
const TIME_MAX: Duration = Duration::from_secs(60);

pub(crate) struct Stage {
    pub(crate) spawner: Spawner,
    pub(crate) containment: Containment,
    pub(crate) folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

pub(crate) fn only(containment: Containment) -> Options {
    Options { containment: Some(containment), ..Options::default() }
}

/// Runs one test body with one containment.
pub(crate) fn play(containment: Containment, body: super::Body) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::Builder::new().prefix("casemate-cells").tempdir().unwrap();
    let spawner = Spawner::start_with(only(containment)).unwrap();
    body(&Stage { spawner, containment, folder, runtime });
}

impl Stage {
    /// Runs a future to its end, within the time limit.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime
            .block_on(async { tokio::time::timeout(TIME_MAX, future).await })
            .expect("this test hangs")
    }

    pub(crate) async fn spawn(&self, program: &str, args: &[&str]) -> Result<Cell, Error> {
        self.spawner.spawn(spec(program, args, self.folder.path())).await
    }

    /// Starts a shell script as the server; `$FIFO` in it is the witness, if there is one.
    pub(crate) async fn script(&self, script: &str) -> Cell {
        self.spawn("sh", &["-c", script]).await.unwrap()
    }

    /// What a script prints until it ends.
    pub(crate) fn output(&self, script: &str) -> String {
        self.run(async {
            let (mut io, handle) = self.script(script).await.split();
            let mut text = String::new();
            io.stdout.read_to_string(&mut text).await.unwrap();
            let mut errors = String::new();
            io.stderr.read_to_string(&mut errors).await.unwrap();
            let exit = handle.wait().await;
            assert!(exit.is_success(), "{exit}: {text} {errors}");
            text
        })
    }

    pub(crate) fn witness(&self) -> Witness {
        let _guard = self.runtime.enter();
        Witness::new(self.folder.path())
    }
}

pub(crate) fn spec(program: &str, args: &[&str], home: &Path) -> Spec {
    Spec {
        program: program.into(),
        args: args.iter().map(Into::into).collect(),
        env: environment::merge(
            environment::base(home, home, &[]),
            [("FIFO".into(), home.join("fifo").to_str().unwrap().to_owned().into())],
        ),
        cwd: Some(home.to_owned()),
        label: "test".to_owned(),
        cell: None,
    }
}

/// A named pipe that processes of a cell hold open: its end is the death of the last of them, and an event.
pub(crate) struct Witness {
    lines: BufReader<pipe::Receiver>,
}

impl Witness {
    pub(crate) fn new(folder: &Path) -> Witness {
        let path = folder.join("fifo");
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let lines = BufReader::new(pipe::OpenOptions::new().open_receiver(&path).unwrap());
        Witness { lines }
    }

    /// The next line that somebody writes.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        // Nobody holding it yet looks like everybody gone.
        while line.is_empty() {
            self.lines.get_ref().readable().await.unwrap();
            self.lines.read_line(&mut line).await.unwrap();
            tokio::task::yield_now().await;
        }
        line.trim_end().to_owned()
    }

    /// Waits until everybody who held it is dead.
    pub(crate) async fn all_dead(&mut self) {
        let mut rest = Vec::new();
        self.lines.read_to_end(&mut rest).await.unwrap();
    }
}

/// The next line of a server's standard output.
pub(crate) async fn line(io: &mut CellIo) -> String {
    let mut line = Vec::new();
    loop {
        match io.stdout.read_u8().await.expect("the output ends too early") {
            b'\n' => return String::from_utf8(line).unwrap(),
            byte => line.push(byte),
        }
    }
}

/// The children of this process, zombies included.
pub(crate) fn children() -> Vec<String> {
    let own = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let rest = stat.rsplit(')').next().unwrap();
        if rest.split_ascii_whitespace().nth(1) == Some(own.as_str()) {
            found.push(stat);
        }
    }
    found
}

pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Waits until no child is left and no more than `before` descriptors are open. Both follow the last event that a
/// test can await by a moment, in which the spawner's thread closes what it held.
pub(crate) fn settled(before: usize) {
    for _ in 0..60_000 {
        if children().is_empty() && descriptors() <= before {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let left: Vec<String> = children().iter().take(5).map(|stat| stat.chars().take(60).collect()).collect();
    panic!("left over: {left:?}, {} descriptors instead of {before}", descriptors());
}

/// Undoes what a [`Containment::Reaper`] spawner did to this process. Otherwise the orphans of a casemate that a
/// test has killed would become our children, who are not theirs.
pub(crate) fn adopt_nobody() {
    rustix::process::set_child_subreaper(None).unwrap();
}
