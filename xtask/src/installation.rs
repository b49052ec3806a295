//! An installation of Casemate in a temporary folder, and the gateway that runs from it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::clock::Moment;
use crate::process;

/// How long anything may take to listen.
const START_MAX: Duration = Duration::from_secs(30);

/// A folder with a configuration, a store and sockets, deleted when it is dropped.
#[derive(Debug)]
pub(crate) struct Installation {
    home: TempDir,
    program: PathBuf,
}

const LIMITS: &str = r#"
[limits]
address_rate = "1000000/s"
subject_rate = "1000000/s"
subject_budget = "1000000000000/day"
key_rate = "1000000/s"
key_budget = "1000000000000/day"
server_rate = "1000000/s"
tool_rate = "1000000/s"
tool_budget = "1000000000000/day"
"#;

/// A running program, killed and waited for when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Installation {
    /// Makes one with this `casemate.toml`, for the program at `program`. Its limits are in force and so high that they
    /// refuse nothing: load comes from one key at one address, as fast as it can.
    pub(crate) fn new(program: &Path, configuration: &str) -> Result<Installation> {
        let home = tempfile::Builder::new().prefix("casemate-xtask-").tempdir()?;
        fs::write(home.path().join("casemate.toml"), format!("{configuration}\n{LIMITS}"))?;
        let installation = Installation { home, program: program.to_owned() };
        process::capture(installation.command().args(["config", "check"]))
            .context("the configuration is refused")?;
        Ok(installation)
    }

    /// Creates an API key with a role.
    pub(crate) fn key(&self, role: &str) -> Result<String> {
        let key =
            process::capture(self.command().args(["key", "create", "--name", "xtask", "--role", role]))?;
        Ok(key.trim().to_owned())
    }

    /// Starts the gateway and returns when it is ready; `command` is what starts `casemate` itself.
    pub(crate) fn up(&self, command: Command) -> Result<Running> {
        let running = self.start(command)?;
        running.wait(ready)?;
        Ok(running)
    }

    /// Starts the gateway and returns at once.
    pub(crate) fn start(&self, mut command: Command) -> Result<Running> {
        let address = free_address()?;
        let log = fs::File::create(self.log())?;
        command.env("CASEMATE_HOME", self.home.path()).args(["up", "--listen", &address.to_string()]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("cannot start casemate")?;
        Ok(Running { child, address })
    }

    /// The folder.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// What the gateway that was started last has printed.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// A command of this installation.
    pub(crate) fn command(&self) -> Command {
        let mut command = process::command(&self.program);
        command.env("CASEMATE_HOME", self.home.path());
        command
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("up.log")
    }
}

impl Running {
    /// Starts a program that prints the address it listens on as the first line of its standard output.
    pub(crate) fn announced(mut command: Command) -> Result<Running> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut output = child.stdout.take().context("it has no standard output")?;
        let mut line = Vec::new();
        let mut byte = [0];
        while output.read(&mut byte)? == 1 && byte != *b"\n" {
            line.extend(byte);
        }
        let line = String::from_utf8_lossy(&line);
        let announced =
            line.rsplit("http://").next().and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let address = announced.trim().parse().with_context(|| format!("\"{line}\" is no address"))?;
        Ok(Running { child, address })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `probe` holds.
    pub(crate) fn wait(&self, probe: impl Fn(SocketAddr) -> bool) -> Result<()> {
        let started = Moment::now();
        while !probe(self.address) {
            if started.elapsed() > START_MAX {
                bail!("nothing is ready at {} after {START_MAX:?}", self.address);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Kills it as the system would: no signal that it could handle.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.kill();
    }
}

/// Whether a gateway says that it is ready.
pub(crate) fn ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        stream.read_exact(&mut status)?;
        Ok(status == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// An address of this machine that nobody listens on at the moment.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
