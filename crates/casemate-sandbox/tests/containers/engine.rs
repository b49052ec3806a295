//! An engine of our own: `dockerd` with a folder and a socket that nobody else uses, and an image with this binary in it.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

/// Where this binary lies in the image.
pub(crate) const BINARY: &str = "/casemate-test";

/// The name under which the image is known here.
const NAME: &str = "casemate/test";

pub(crate) struct Docker {
    pub(crate) socket: PathBuf,
    /// The id of the image.
    pub(crate) image: String,
    daemon: Option<Daemon>,
}

struct Daemon {
    process: Child,
    folder: TempDir,
}

impl Docker {
    /// Starts one, or says why none can be.
    pub(crate) fn start() -> Result<Docker, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can start an engine".to_owned());
        }
        let folder = tempfile::Builder::new().prefix("casemate-engine").tempdir_in("/var/tmp").unwrap();
        open_to_all(folder.path(), 0o755);
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
            .spawn()
            .map_err(|error| format!("setpriv: {error}"))?;
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut last = String::new();
        let listens = log.by_ref().any(|line| {
            last.clone_from(&line);
            line.contains("API listen on")
        });
        let mut docker = Docker { socket, image: String::new(), daemon: Some(Daemon { process, folder }) };
        if !listens {
            return Err(format!("dockerd does not start: {last}"));
        }
        // Somebody must read it, or it stalls.
        std::thread::spawn(move || log.for_each(drop));
        open_to_all(&docker.socket, 0o666);
        docker.image = docker.import()?;
        docker.try_out().map_err(|why| format!("dockerd starts no containers here: {why}"))?;
        Ok(docker)
    }

    /// One that runs already.
    pub(crate) fn running(socket: &Path, image: &str) -> Docker {
        Docker { socket: socket.to_owned(), image: image.to_owned(), daemon: None }
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.daemon.is_some()
    }

    /// Runs the engine's own client.
    pub(crate) fn client(&self, args: &[&str]) -> Result<String, String> {
        let host = format!("unix://{}", self.socket.display());
        let output = Command::new("docker").args(["--host", &host]).args(args).stdin(Stdio::null()).output();
        let output = output.map_err(|error| format!("docker: {error}"))?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
    }

    /// Makes the image: this binary and what it needs.
    fn import(&self) -> Result<String, String> {
        let root = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        place(&own, &root.path().join(&BINARY[1..]));
        let programs = [own.to_str().unwrap(), "/usr/bin/id"];
        for library in programs.iter().flat_map(|program| libraries(program)) {
            place(&library, &root.path().join(library.strip_prefix("/").unwrap()));
        }
        let archive = tempfile::NamedTempFile::new().unwrap();
        let mut tar = Command::new("tar");
        let status = tar
            .arg("--create")
            .arg("--file")
            .arg(archive.path())
            .arg("--directory")
            .arg(root.path())
            .arg(".")
            .status();
        assert!(status.unwrap().success());
        let entry = format!("ENTRYPOINT [\"{BINARY}\"]");
        self.client(&["import", "--change", &entry, archive.path().to_str().unwrap(), NAME])
    }

    /// Makes another image of ours, with further settings (of `docker commit --change`).
    pub(crate) fn derive(&self, changes: &[&str]) -> String {
        let container = self.client(&["create", "--network", "none", &self.image]).unwrap();
        let changes = changes.iter().flat_map(|change| ["--change", change]);
        let args: Vec<&str> = ["commit"].into_iter().chain(changes).chain([container.as_str()]).collect();
        let image = self.client(&args).unwrap();
        self.client(&["rm", &container]).unwrap();
        image
    }

    /// Whether it can start anything: control groups may be out of its reach.
    fn try_out(&self) -> Result<(), String> {
        let limits = ["--memory", "64m", "--pids-limit", "32"];
        let args =
            [&["run", "--rm", "--network", "none"], &limits[..], &[&self.image, "--part", "say"]].concat();
        match self.client(&args) {
            Err(said) if said == "err" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let Some(Daemon { process, folder }) = &mut self.daemon else { return };
        let pid = Pid::from_raw(i32::try_from(process.id()).unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, Signal::TERM);
        let _ = process.wait();
        let _ = std::fs::remove_dir_all(folder.path());
    }
}

/// The libraries of a program, the loader included.
fn libraries(program: &str) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let words = text.split_ascii_whitespace().filter(|word| word.starts_with('/'));
    words.map(PathBuf::from).collect()
}

fn place(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}

/// The umask has no say in it.
pub(crate) fn open_to_all(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
