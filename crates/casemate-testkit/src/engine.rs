//! A container engine of one's own: `dockerd` with a folder and a socket that nobody else uses, and an image with one
//! program in it.

#![expect(clippy::disallowed_methods, reason = "an engine and its client are processes")]

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// What `docker run` exits with when the engine itself has failed.
const ENGINE_FAILED: i32 = 125;

/// An engine, and what it has for images.
#[derive(Debug)]
pub struct Docker {
    /// Where it listens. Everybody may speak to it.
    pub socket: PathBuf,
    /// The id of the image.
    pub image: String,
    daemon: Option<Daemon>,
}

/// What an image is made of.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// The program that it starts, at [`Contents::PROGRAM`].
    pub program: &'a Path,
    /// Programs of the host that are to work in it if they are shown to it: their libraries are there.
    pub guests: &'a [&'a str],
    /// Its name.
    pub name: &'a str,
}

impl Contents<'_> {
    /// Where the program lies.
    pub const PROGRAM: &'static str = "/casemate-test";
}

#[derive(Debug)]
struct Daemon {
    process: Child,
    folder: TempDir,
}

impl Docker {
    /// A folder beside the socket, for everybody.
    const SHARED: &'static str = "shared";

    /// Starts one, and makes the image. It ends when the thread does that has started it.
    ///
    /// # Errors
    /// Why none can be had on this machine.
    pub fn start(contents: &Contents<'_>) -> Result<Docker, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can start an engine".to_owned());
        }
        let mut docker = Docker::launch().map_err(|error| format!("no dockerd can be started: {error}"))?;
        let image = docker.import(contents).map_err(|error| format!("no image can be made: {error}"))?;
        docker.image = image;
        docker.try_out().map_err(|why| format!("dockerd starts no containers here: {why}"))?;
        Ok(docker)
    }

    /// One that runs already.
    #[must_use]
    pub fn running(socket: &Path, image: &str) -> Docker {
        Docker { socket: socket.to_owned(), image: image.to_owned(), daemon: None }
    }

    /// Whether it was started here.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.daemon.is_some()
    }

    /// A folder that the engine sees under the same path, and in which everybody may make files.
    #[must_use]
    pub fn shared(&self) -> PathBuf {
        self.socket.with_file_name(Docker::SHARED)
    }

    /// Runs the engine's own client.
    ///
    /// # Errors
    /// What it complains about.
    pub fn client(&self, args: &[&str]) -> Result<String, String> {
        let output = self.command(args).output().map_err(|error| format!("docker: {error}"))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Makes another image of this one, with further settings (of `docker commit --change`).
    ///
    /// # Errors
    /// What the client complains about.
    pub fn derive(&self, changes: &[&str]) -> Result<String, String> {
        let container = self.client(&["create", "--network", "none", &self.image])?;
        let changes = changes.iter().flat_map(|change| ["--change", change]);
        let args: Vec<&str> = ["commit"].into_iter().chain(changes).chain([container.as_str()]).collect();
        let image = self.client(&args)?;
        self.client(&["rm", &container])?;
        Ok(image)
    }

    /// The names of the containers that there are, whatever they do.
    ///
    /// # Errors
    /// What the client complains about.
    pub fn containers(&self) -> Result<Vec<String>, String> {
        let listed = self.client(&["ps", "--all", "--format", "{{.Names}}"])?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.socket.display())).args(args);
        command.stdin(Stdio::null());
        command
    }

    fn launch() -> io::Result<Docker> {
        let folder = tempfile::Builder::new().prefix("casemate-engine").tempdir_in("/var/tmp")?;
        set_mode(folder.path(), 0o755)?;
        fs::create_dir(folder.path().join(Docker::SHARED))?;
        set_mode(&folder.path().join(Docker::SHARED), 0o1777)?;
        let socket = folder.path().join("docker.sock");
        // It ends with us, and so do the mounts that it makes, however we end.
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "unshare", "--mount", "--propagation", "private", "dockerd"])
            .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .arg("--data-root")
            .arg(folder.path().join("data"))
            .arg("--exec-root")
            .arg(folder.path().join("exec"))
            .arg("--pidfile")
            .arg(folder.path().join("pid"))
            .arg("--host")
            .arg(format!("unix://{}", socket.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = process.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let docker = Docker { socket, image: String::new(), daemon: Some(Daemon { process, folder }) };
        let mut log = BufReader::new(stderr).lines().map_while(Result::ok);
        let mut last = String::new();
        let listens = log.by_ref().any(|line| {
            last.clone_from(&line);
            line.contains("API listen on")
        });
        if !listens {
            return Err(io::Error::other(last));
        }
        // Somebody must read it, or it stalls.
        std::thread::spawn(move || log.for_each(drop));
        set_mode(&docker.socket, 0o666)?;
        Ok(docker)
    }

    /// Makes the image: the program and what it needs.
    fn import(&self, contents: &Contents<'_>) -> io::Result<String> {
        let root = tempfile::tempdir()?;
        let within = |path: &Path| root.path().join(path.strip_prefix("/").unwrap_or(path));
        place(contents.program, &within(Path::new(Contents::PROGRAM)))?;
        let guests = contents.guests.iter().map(Path::new);
        for program in [contents.program].into_iter().chain(guests) {
            for library in libraries(program)? {
                place(&library, &within(&library))?;
            }
        }
        let archive = tempfile::NamedTempFile::new()?;
        let mut tar = Command::new("tar");
        tar.arg("--create").arg("--file").arg(archive.path()).arg("--directory").arg(root.path()).arg(".");
        if !tar.status()?.success() {
            return Err(io::Error::other("tar fails"));
        }
        let entry = format!("ENTRYPOINT [\"{}\"]", Contents::PROGRAM);
        let archive = archive.path().to_string_lossy();
        self.client(&["import", "--change", &entry, &archive, contents.name]).map_err(io::Error::other)
    }

    /// Whether it can start anything: control groups may be out of its reach.
    fn try_out(&self) -> Result<(), String> {
        let limits = ["--rm", "--network", "none", "--memory", "64m", "--pids-limit", "32"];
        let output = self.command(&["run"]).args(limits).args([&self.image, "--help"]).output();
        let output = output.map_err(|error| error.to_string())?;
        match output.status.code() {
            Some(code) if code < ENGINE_FAILED => Ok(()),
            _ => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let Some(Daemon { process, folder }) = &mut self.daemon else { return };
        if let Some(pid) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
        let _ = process.wait();
        let _ = fs::remove_dir_all(folder.path());
    }
}

/// The libraries of a program, the loader included.
fn libraries(program: &Path) -> io::Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_ascii_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

fn place(from: &Path, to: &Path) -> io::Result<()> {
    to.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::copy(from, to).map(drop)
}

/// The umask has no say in it.
fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
