//! What an engine is, and whether it can enforce what every container needs.

use std::path::PathBuf;

use serde::Deserialize;

use super::error::ContainerError;
use super::wire::{Ask, Wire};

/// The oldest version of the interface that has all that we ask for: private control group namespaces. Docker 20.10,
/// Podman 4.
const OLDEST: Version = Version(1, 41);

/// The newest version that is known here. Later engines still speak it, for years.
const NEWEST: Version = Version(1, 51);

/// An engine, as it presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its name and version, such as `Docker 20.10.24`.
    pub name: String,
    /// The socket that it listens on.
    pub socket: PathBuf,
    /// Whether it runs without root's rights.
    pub rootless: bool,
    /// Where it keeps images and containers.
    pub folder: PathBuf,
    /// Whether swap counts as memory. Where it does not, a container may use more than its limit on memory, of swap.
    pub counts_swap: bool,
    /// Whether it limits processor time.
    pub limits_cpu: bool,
    /// Whether it is Podman, which takes some things in another form.
    pub(super) is_podman: bool,
}

impl About {
    /// Asks an engine who it is. The wire that comes back speaks the version that both know.
    pub(super) async fn of(wire: Wire) -> Result<(About, Wire), ContainerError> {
        let version: VersionAnswer = wire.ask(Ask::get("its version", "/version")).await?;
        let is_podman = version.components.iter().any(|part| part.name.starts_with("Podman"));
        let name = format!("{} {}", if is_podman { "Podman" } else { "Docker" }, version.version);
        let spoken = version.spoken().map_err(|(what, remedy)| ContainerError::Unfit {
            engine: name.clone(),
            what,
            remedy,
        })?;
        let wire = wire.speaking(&spoken);
        let info: InfoAnswer = wire.ask(Ask::get("what it can do", "/info")).await?;
        if let Some((what, remedy)) = info.lacks() {
            return Err(ContainerError::Unfit { engine: name, what, remedy });
        }
        let about = About {
            name,
            socket: wire.socket().to_owned(),
            rootless: info.has("rootless"),
            folder: info.docker_root_dir,
            counts_swap: info.swap_limit,
            limits_cpu: info.cpu_cfs_quota,
            is_podman,
        };
        Ok((about, wire))
    }
}

impl About {
    /// One that can enforce everything.
    pub(super) fn able() -> About {
        About {
            name: String::new(),
            socket: PathBuf::new(),
            rootless: false,
            folder: PathBuf::new(),
            counts_swap: true,
            limits_cpu: true,
            is_podman: false,
        }
    }

    /// Whether it limits the number of files in a temporary folder. Podman does not know the option.
    pub(super) fn limits_files(&self) -> bool {
        !self.is_podman
    }
}

/// `GET /version`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionAnswer {
    version: String,
    api_version: String,
    #[serde(rename = "MinAPIVersion", default)]
    min_api_version: String,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: String,
}

impl VersionAnswer {
    /// The newest version that both sides know.
    fn spoken(&self) -> Result<String, (&'static str, &'static str)> {
        let newest = Version::parse(&self.api_version)
            .ok_or(("its version makes no sense", "use Docker or Podman"))?;
        if newest < OLDEST {
            return Err(("it is too old", "use Docker 20.10 or Podman 4, or newer"));
        }
        match Version::parse(&self.min_api_version) {
            Some(oldest) if oldest > NEWEST => Err(("it is too new", "use a newer casemate")),
            _ => Ok(newest.min(NEWEST).to_string()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

impl Version {
    fn parse(text: &str) -> Option<Version> {
        let (major, minor) = text.split_once('.')?;
        Some(Version(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// `GET /info`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InfoAnswer {
    #[serde(rename = "OSType")]
    os_type: String,
    #[serde(default)]
    docker_root_dir: PathBuf,
    #[serde(default)]
    memory_limit: bool,
    #[serde(default)]
    swap_limit: bool,
    #[serde(default)]
    pids_limit: bool,
    #[serde(default)]
    cpu_cfs_quota: bool,
    #[serde(default)]
    security_options: Option<Vec<String>>,
}

impl InfoAnswer {
    /// Whether a security option is on: `name=seccomp,profile=default`.
    fn has(&self, option: &str) -> bool {
        let options = self.security_options.iter().flatten();
        options.filter_map(|text| text.split(',').next()?.strip_prefix("name=")).any(|name| name == option)
    }

    fn lacks(&self) -> Option<(&'static str, &'static str)> {
        let groups = "give its service control groups (version 2, with Delegate=yes for a rootless one)";
        if self.os_type != "linux" {
            Some(("its containers are not Linux ones", "switch it to Linux containers"))
        } else if !self.has("seccomp") {
            Some(("it filters no system calls", "use a kernel and an engine with seccomp"))
        } else if !self.memory_limit {
            Some(("it cannot limit memory", groups))
        } else if !self.pids_limit {
            Some(("it cannot limit the number of processes", groups))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spoken(newest: &str, oldest: &str) -> Result<String, &'static str> {
        let answer = json!({ "Version": "1", "ApiVersion": newest, "MinAPIVersion": oldest });
        let answer: VersionAnswer = serde_json::from_value(answer).unwrap();
        answer.spoken().map_err(|(what, _)| what)
    }

    #[test]
    fn both_sides_agree_on_a_version() {
        assert_eq!(spoken("1.41", "1.12").as_deref(), Ok("1.41"));
        assert_eq!(spoken("1.49", "1.24").as_deref(), Ok("1.49"));
        assert_eq!(spoken("1.99", "1.44").as_deref(), Ok("1.51"));
        assert_eq!(spoken("1.41", "").as_deref(), Ok("1.41"));
        assert_eq!(spoken("1.40", "1.12"), Err("it is too old"));
        assert_eq!(spoken("1.9", "1.1"), Err("it is too old"));
        assert_eq!(spoken("2.10", "2.0"), Err("it is too new"));
        assert_eq!(spoken("new", "1.12"), Err("its version makes no sense"));
    }

    #[test]
    fn what_cannot_be_enforced_is_named() {
        let full = json!({ "OSType": "linux", "MemoryLimit": true, "PidsLimit": true, "SecurityOptions": ["name=seccomp,profile=default"] });
        let lacks = |key: &str, value| {
            let mut answer = full.clone();
            answer[key] = value;
            let answer: InfoAnswer = serde_json::from_value(answer).unwrap();
            answer.lacks().map(|(what, _)| what)
        };
        assert_eq!(lacks("OSType", json!("linux")), None);
        assert_eq!(lacks("OSType", json!("windows")), Some("its containers are not Linux ones"));
        assert_eq!(lacks("MemoryLimit", json!(false)), Some("it cannot limit memory"));
        assert_eq!(lacks("PidsLimit", json!(false)), Some("it cannot limit the number of processes"));
        for options in [json!(null), json!([]), json!(["name=rootless"]), json!(["name=seccomp-not"])] {
            assert_eq!(lacks("SecurityOptions", options), Some("it filters no system calls"));
        }
    }
}
