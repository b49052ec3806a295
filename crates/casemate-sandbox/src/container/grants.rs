//! What of the host may be shown to a container. An engine runs as root and mounts whatever it is told to.

use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::about::About;
use super::error::ContainerError;
use crate::room::{CellSpec, Grant};

/// What nobody gets, whoever asks.
#[derive(Debug, Clone)]
pub(super) struct Forbidden {
    /// The engine's socket: whoever speaks to it is root.
    socket: PathBuf,
    /// Where the engine keeps all containers.
    folder: PathBuf,
    /// The user's home, where known.
    home: Option<PathBuf>,
}

impl Forbidden {
    pub(super) fn new(about: &About, home: Option<&Path>) -> Forbidden {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Forbidden { socket: real(&about.socket), folder: about.folder.clone(), home: home.map(real) }
    }

    /// Refuses the first grant that may not be, or is of no use.
    pub(super) fn check(&self, grants: &[Grant]) -> Result<(), ContainerError> {
        for Grant { path, .. } in grants {
            if let Some(fault) = self.fault(path).or_else(|| fault_on_disk(path)) {
                let remedy = "grant a folder that exists, under no symbolic link, with nothing in it but what the server needs";
                return Err(ContainerError::Spec { what: format!("{} {fault}", path.display()), remedy });
            }
        }
        Ok(())
    }

    /// What is wrong with a path, whatever lies there.
    fn fault(&self, path: &Path) -> Option<String> {
        let holds = |inner: &Path| inner.starts_with(path);
        if let Some(fault) = CellSpec::fault(path) {
            return Some(fault.to_owned());
        }
        let what = if holds(&self.socket) {
            "holds the container engine's socket, which makes whoever has it root"
        } else if holds(&self.folder) || path.starts_with(&self.folder) {
            "holds the container engine's own files"
        } else if ["/run", "/var/run"].iter().any(|top| path.starts_with(top)) {
            "is where the host's services listen"
        } else if path.parent() == Some(Path::new("/home")) || self.home.as_deref().is_some_and(holds) {
            "holds a whole home directory, with the keys in it"
        } else {
            return None;
        };
        Some(what.to_owned())
    }
}

/// What is wrong with what lies there.
fn fault_on_disk(path: &Path) -> Option<String> {
    match path.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => Some("does not exist".to_owned()),
        Err(error) => Some(format!("cannot be looked at ({error})")),
        Ok(real) if real != path => Some(format!("lies under a symbolic link; {} is meant", real.display())),
        Ok(real) => match real.symlink_metadata() {
            Ok(found) if found.file_type().is_socket() => {
                Some("is a socket: whoever listens there would take the server's orders".to_owned())
            }
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbidden() -> Forbidden {
        Forbidden {
            socket: "/opt/engine/docker.sock".into(),
            folder: "/var/lib/docker".into(),
            home: Some("/data/people/ann".into()),
        }
    }

    #[test]
    fn what_would_open_the_host_is_refused() {
        for path in [
            "/",
            "/etc",
            "/home",
            "/root",
            "/proc",
            "/proc/1",
            "/sys",
            "/sys/fs/cgroup",
            "/dev",
            "/dev/sda",
            "/run",
            "/var/run",
            "/run/docker.sock",
            "/var/run/docker.sock",
            "/run/user/1000",
            "/var",
            "/boot",
            "/tmp",
            "/home/ann",
            "/home/bob",
            "/data",
            "/data/people",
            "/data/people/ann",
            "/opt/engine",
            "/opt/engine/docker.sock",
            "/opt",
            "/var/lib",
            "/var/lib/docker",
            "/var/lib/docker/overlay2/x",
            "relative",
            "/a/../b",
            "/a//b",
        ] {
            assert!(forbidden().fault(Path::new(path)).is_some(), "{path}");
        }
        for path in [
            "/home/ann/projects",
            "/data/people/ann/notes",
            "/srv",
            "/var/lib/other",
            "/etc/ssl/certs",
            "/opt/else",
        ] {
            assert_eq!(forbidden().fault(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn links_and_sockets_and_nothing_are_refused() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink(folder.path(), at("link")).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        assert_eq!(fault_on_disk(&at("file")), None);
        assert_eq!(fault_on_disk(folder.path()), None);
        assert_eq!(fault_on_disk(&at("none")).as_deref(), Some("does not exist"));
        assert!(fault_on_disk(&at("socket")).unwrap().contains("is a socket"));
        assert!(fault_on_disk(&at("link/file")).unwrap().contains("symbolic link"));
    }
}
