//! Where one installation keeps its configuration, data and sockets.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use casemate_transport::listener::SOCKET_PATH_BYTES_MAX;

use crate::environment::{CASEMATE_CONFIG, CASEMATE_HOME, Environment};
use crate::exit::Exit;
use crate::failure::Failure;

/// The folders of one installation. Nothing is created before it is needed.
#[derive(Debug, Clone)]
pub struct Paths {
    home: Option<PathBuf>,
    config: PathBuf,
    config_is_chosen: bool,
    data: PathBuf,
    run: PathBuf,
}

impl Paths {
    /// Finds the folders. A flag wins over its variable, and a home over the XDG folders.
    pub fn resolve(
        environment: &Environment,
        home: Option<&Path>,
        config: Option<&Path>,
    ) -> anyhow::Result<Paths> {
        let home = home.map(PathBuf::from).or_else(|| environment.get(CASEMATE_HOME).map(PathBuf::from));
        let home = home.map(absolute).transpose()?;
        let config =
            config.map(PathBuf::from).or_else(|| environment.get(CASEMATE_CONFIG).map(PathBuf::from));
        let config = config.map(absolute).transpose()?;
        let within = |home_part: &str, xdg: Option<PathBuf>, xdg_part: &str| match &home {
            Some(home) => Ok(home.join(home_part)),
            None => xdg.map(|folder| folder.join(xdg_part)).ok_or_else(no_home),
        };
        Ok(Paths {
            config_is_chosen: config.is_some(),
            config: match config {
                Some(config) => config,
                None => within("casemate.toml", environment.config_home(), "casemate/casemate.toml")?,
            },
            data: within("data", environment.data_home(), "casemate")?,
            run: within("run", environment.state_home(), "casemate/run")?,
            home,
        })
    }

    /// The root that was chosen with `--home` or `CASEMATE_HOME`, if one was.
    pub fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// The configuration file. It need not exist.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Whether the file was chosen with `--config` or `CASEMATE_CONFIG`; then it is expected to be there.
    pub fn config_is_chosen(&self) -> bool {
        self.config_is_chosen
    }

    /// The folder of keys, state and records.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The folder of sockets and locks.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Where MCP is spoken with stdio framing.
    pub fn mcp_socket(&self) -> PathBuf {
        self.run.join("mcp.sock")
    }

    /// Where this command line speaks to the gateway.
    pub fn control_socket(&self) -> PathBuf {
        self.run.join("control.sock")
    }

    /// Locked for as long as a gateway runs.
    pub fn gateway_lock(&self) -> PathBuf {
        self.run.join("gateway.lock")
    }

    /// Locked while a gateway takes its seat: from looking at its lock until it listens.
    pub fn start_lock(&self) -> PathBuf {
        self.run.join("start.lock")
    }

    /// Locked while `connect` or `call` start a gateway in the background.
    pub fn launch_lock(&self) -> PathBuf {
        self.run.join("launch.lock")
    }

    /// What a gateway that was started in the background has to say.
    pub fn gateway_log(&self) -> PathBuf {
        self.data.join("gateway.log")
    }

    /// The folder of the records of calls.
    pub fn records(&self) -> PathBuf {
        self.data.join("records")
    }

    /// Where the first API key is put when there is no terminal to print it on.
    pub fn first_key(&self) -> PathBuf {
        self.data.join("first-api-key")
    }

    /// Creates the run folder if need be, checks that it is ours alone, and that sockets fit into it.
    pub fn prepare_run(&self) -> anyhow::Result<()> {
        self.check_socket_length()?;
        private_folder(&self.run)
    }

    /// Creates the data folder if need be, and checks that it is ours alone.
    pub fn prepare_data(&self) -> anyhow::Result<()> {
        private_folder(&self.data)
    }

    /// Refuses a run folder whose sockets would have paths that the kernel cannot take.
    pub fn check_socket_length(&self) -> anyhow::Result<()> {
        let socket = self.control_socket();
        let length = socket.as_os_str().as_bytes().len();
        if length <= SOCKET_PATH_BYTES_MAX {
            return Ok(());
        }
        let message = format!(
            "the path of the socket {} has {length} bytes; the kernel takes {SOCKET_PATH_BYTES_MAX}",
            socket.display()
        );
        Err(Failure::new(Exit::Configuration, message)
            .hint("choose a shorter folder with --home or CASEMATE_HOME")
            .into())
    }
}

fn absolute(path: PathBuf) -> anyhow::Result<PathBuf> {
    std::path::absolute(&path).with_context(|| format!("cannot make {} absolute", path.display()))
}

fn no_home() -> anyhow::Error {
    Failure::new(
        Exit::Configuration,
        "neither HOME nor CASEMATE_HOME is set, so there is no folder to work in",
    )
    .hint("set CASEMATE_HOME, or pass --home DIR")
    .into()
}

/// Creates a folder that only its owner may enter. One that others may enter is refused: the sockets and keys
/// in it would be theirs too.
pub fn private_folder(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    check_private(folder)
}

/// Refuses a folder that is not ours, or that others may enter.
pub fn check_private(folder: &Path) -> anyhow::Result<()> {
    let found = fs::metadata(folder).with_context(|| format!("cannot inspect {}", folder.display()))?;
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us {
        let message = format!("the folder {} belongs to user {}, not to you", folder.display(), found.uid());
        return Err(Failure::new(Exit::Configuration, message)
            .hint("choose another folder with --home")
            .into());
    }
    if found.mode() & 0o077 != 0 {
        let message = format!("the folder {} may be entered by other users", folder.display());
        let remedy = format!("run `chmod 700 {}`", folder.display());
        return Err(Failure::new(Exit::Configuration, message).hint(remedy).into());
    }
    Ok(())
}

/// Writes a file that only its owner may read, replacing one that is there.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let folder = path.parent().unwrap_or(Path::new("."));
    // A temporary file is created with mode 0600, and the rename makes the change whole or absent.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests;
