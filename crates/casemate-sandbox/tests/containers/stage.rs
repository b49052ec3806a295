//! What the tests share: a runtime with a time limit, an engine, and servers that end by themselves.

use std::sync::Arc;
use std::time::Duration;

use casemate_sandbox::Exit;
use casemate_sandbox::container::{Container, ContainerError, Engine, ImageSpec, Search};
use casemate_testkit::engine::Docker;
use tokio::io::AsyncReadExt;

/// Nothing here takes ten seconds; whatever takes longer than this hangs.
const TIME_MAX: Duration = Duration::from_secs(120);

/// What a test is.
pub(crate) type Body = fn(&Stage);

pub(crate) struct Stage {
    pub(crate) docker: Arc<Docker>,
    pub(crate) engine: Engine,
    runtime: tokio::runtime::Runtime,
}

impl Stage {
    pub(crate) fn new(docker: Arc<Docker>) -> Stage {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let engine = runtime.block_on(Engine::find(&search(&docker, "test"))).unwrap();
        Stage { docker, engine, runtime }
    }

    /// Runs a future to its end, within the time limit.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime
            .block_on(async { tokio::time::timeout(TIME_MAX, future).await })
            .expect("this test hangs")
    }

    /// A server that plays a part.
    pub(crate) fn spec(&self, part: &str, args: &[&str]) -> ImageSpec {
        let mut spec = ImageSpec::new(self.docker.image.parse().unwrap(), "test");
        spec.args = [crate::PART, part].iter().chain(args).map(|arg| (*arg).to_owned()).collect();
        spec
    }

    pub(crate) fn start(&self, spec: &ImageSpec) -> Result<Container, ContainerError> {
        self.run(self.engine.start(spec))
    }

    /// Runs a server to its end: how it ended, and what it said.
    pub(crate) fn finish(&self, spec: &ImageSpec) -> (Exit, String, String) {
        let container = self.start(spec).unwrap_or_else(|error| panic!("{error} ({})", error.hint()));
        self.run(finish(container))
    }

    /// The names of the containers that there are, whatever they do.
    pub(crate) fn containers(&self) -> Vec<String> {
        self.docker.containers().unwrap()
    }

    /// Another image with our program in it, with further settings.
    pub(crate) fn derive(&self, changes: &[&str]) -> String {
        self.docker.derive(changes).unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.run(self.engine.close());
        if !std::thread::panicking() {
            assert_eq!(self.containers(), [""; 0], "left over");
        }
    }
}

pub(crate) fn search(docker: &Docker, installation: &str) -> Search {
    Search {
        host: Some(format!("unix://{}", docker.socket.display())),
        folder: docker.shared(),
        installation: installation.to_owned(),
        ..Search::default()
    }
}

/// Closes a server's input and hears it out.
pub(crate) async fn finish(container: Container) -> (Exit, String, String) {
    let Container { stdin, mut stdout, mut stderr, handle, .. } = container;
    drop(stdin);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let _ = tokio::join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (handle.wait().await, text(out), text(err))
}

/// The next line of a server's output.
pub(crate) async fn line(stdout: &mut tokio::net::unix::pipe::Receiver) -> String {
    let mut line = Vec::new();
    loop {
        match stdout.read_u8().await.expect("the output ends too early") {
            b'\n' => return String::from_utf8(line).unwrap(),
            byte => line.push(byte),
        }
    }
}

/// The umask has no say in it.
pub(crate) fn open_to_all(path: &std::path::Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}
