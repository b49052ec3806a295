//! Every environment variable that Casemate reads: this file and no other.
//!
//! The variables are taken once, at the start, into an [`Environment`]; everything else is given that value, so
//! that tests feed a table and no part of the program depends on hidden state.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use casemate_sandbox::environment as cell;
use casemate_sandbox::environment::RUNNERS;

mod registries;

/// Root folder of one installation: configuration, data and sockets live below it.
pub const CASEMATE_HOME: &str = "CASEMATE_HOME";
/// The configuration file, instead of the installation's own.
pub const CASEMATE_CONFIG: &str = "CASEMATE_CONFIG";
/// The address that the gateway listens on, for example `127.0.0.1:7332`.
pub const CASEMATE_LISTEN: &str = "CASEMATE_LISTEN";
/// What is logged on stderr, in the syntax of `tracing-subscriber`'s filter, for example `casemate=debug`.
pub const CASEMATE_LOG: &str = "CASEMATE_LOG";
/// `json` writes each log line as one JSON object; anything else writes text.
pub const CASEMATE_LOG_FORMAT: &str = "CASEMATE_LOG_FORMAT";
/// The file that holds the passphrase of the secrets; `/dev/fd/N` is an open descriptor.
pub const CASEMATE_PASSPHRASE_FILE: &str = "CASEMATE_PASSPHRASE_FILE";
/// The socket of the container engine, `unix://` and a path.
pub const DOCKER_HOST: &str = "DOCKER_HOST";
/// Any value but the empty one turns colors off (<https://no-color.org>).
pub const NO_COLOR: &str = "NO_COLOR";

/// The display of X, where there is one.
pub const DISPLAY: &str = "DISPLAY";
/// The display of Wayland, where there is one.
pub const WAYLAND_DISPLAY: &str = "WAYLAND_DISPLAY";

const HOME: &str = "HOME";
const PATH: &str = "PATH";
const TERM: &str = "TERM";
const CLAUDE_CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";
const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
const XDG_DATA_HOME: &str = "XDG_DATA_HOME";
const XDG_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
const DBUS_SESSION_BUS_ADDRESS: &str = "DBUS_SESSION_BUS_ADDRESS";
const XDG_STATE_HOME: &str = "XDG_STATE_HOME";
/// The XDG variables that move folders of Casemate away from their defaults.
pub const RELOCATIONS: [&str; 3] = [XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME];

/// One documented variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name, upper case.
    pub name: &'static str,
    /// What it does, as one sentence for people.
    pub about: &'static str,
    /// What holds when it is not set.
    pub default: &'static str,
}

/// All variables that change what Casemate does, in the order in which help and man page show them.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: CASEMATE_HOME,
        about: "Root folder of one installation: casemate.toml, data/ and run/ live in it.",
        default: "the XDG folders",
    },
    Variable {
        name: CASEMATE_CONFIG,
        about: "The configuration file; --config wins over it.",
        default: "casemate.toml of the installation",
    },
    Variable {
        name: CASEMATE_LISTEN,
        about: "The address to listen on; --listen wins over it.",
        default: "the configuration's, else 127.0.0.1:7332",
    },
    Variable {
        name: "CASEMATE_GATEWAY_*",
        about: "Any setting of [gateway]; `casemate config explain gateway` names each.",
        default: "the configuration's",
    },
    Variable {
        name: CASEMATE_LOG,
        about: "What is logged on stderr, for example casemate=debug.",
        default: "info for `up`, else warn; -v adds",
    },
    Variable { name: CASEMATE_LOG_FORMAT, about: "`json` logs one JSON object per line.", default: "text" },
    Variable {
        name: CASEMATE_PASSPHRASE_FILE,
        about: "The file with the passphrase of the secrets; /dev/fd/3 is an open descriptor.",
        default: "asked for on the terminal",
    },
    Variable {
        name: NO_COLOR,
        about: "Any non-empty value turns colors off.",
        default: "colors on a terminal",
    },
    Variable {
        name: XDG_CONFIG_HOME,
        about: "Configuration is in casemate/ below it, unless CASEMATE_HOME is set.",
        default: "~/.config",
    },
    Variable {
        name: XDG_DATA_HOME,
        about: "Data is in casemate/ below it, unless CASEMATE_HOME is set.",
        default: "~/.local/share",
    },
    Variable {
        name: XDG_STATE_HOME,
        about: "Sockets are in casemate/run/ below it, unless CASEMATE_HOME is set.",
        default: "~/.local/state",
    },
    Variable {
        name: DOCKER_HOST,
        about: "The container engine for servers with an `image`: unix:// and the path of its socket.",
        default: "the first of the usual sockets that answers",
    },
    Variable {
        name: XDG_RUNTIME_DIR,
        about: "Where the sockets of this user's container engines are.",
        default: "none",
    },
    Variable {
        name: DBUS_SESSION_BUS_ADDRESS,
        about: "Where the system's keyring is reached, if it has the passphrase of the secrets.",
        default: "bus in XDG_RUNTIME_DIR",
    },
    Variable { name: HOME, about: "The home folder, from which the XDG defaults follow.", default: "none" },
    Variable {
        name: CLAUDE_CONFIG_DIR,
        about: "Where `install claude-code` finds Claude Code's file.",
        default: "the home folder",
    },
    Variable {
        name: PATH,
        about: "Where `doctor` and the package clients look for npm, uv, node and python3.",
        default: "empty",
    },
    Variable {
        name: "DISPLAY, WAYLAND_DISPLAY",
        about: "`login` opens the browser of the desktop when one of them is set, on a terminal.",
        default: "none",
    },
    Variable {
        name: "npm_config_registry, UV_DEFAULT_INDEX, PIP_INDEX_URL",
        about: "Where packages of servers come from; https_proxy, SSL_CERT_FILE, PIP_FIND_LINKS and their like count too.",
        default: "the public registries",
    },
];

/// The variables of one process, taken once.
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
}

impl Environment {
    /// Takes the variables of this process.
    pub fn of_process() -> Environment {
        Environment::of(std::env::vars_os())
    }

    /// An environment with exactly these variables.
    pub fn of<Name: Into<OsString>, Value: Into<OsString>>(
        variables: impl IntoIterator<Item = (Name, Value)>,
    ) -> Environment {
        Environment {
            variables: variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
        }
    }

    /// The value of a variable; an empty one counts as absent, as the XDG specification has it.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        let value = self.variables.get(OsStr::new(name))?;
        (!value.is_empty()).then_some(value.as_os_str())
    }

    /// The value of a variable as text; one that is not UTF-8 counts as absent.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.to_str()
    }

    /// The folder that a variable names. A relative one is ignored, as the XDG specification has it.
    fn folder(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    /// The user's home folder.
    pub fn home(&self) -> Option<PathBuf> {
        self.folder(HOME)
    }

    /// The folder below which programs keep configuration.
    pub fn config_home(&self) -> Option<PathBuf> {
        self.folder(XDG_CONFIG_HOME).or_else(|| Some(self.home()?.join(".config")))
    }

    /// The folder below which programs keep data.
    pub fn data_home(&self) -> Option<PathBuf> {
        self.folder(XDG_DATA_HOME).or_else(|| Some(self.home()?.join(".local/share")))
    }

    /// The folder below which programs keep state. Sockets are here and not in `XDG_RUNTIME_DIR`, since the
    /// MCP SDKs pass a server `HOME` and little else: `connect` would look elsewhere than `up` does.
    pub fn state_home(&self) -> Option<PathBuf> {
        self.folder(XDG_STATE_HOME).or_else(|| Some(self.home()?.join(".local/state")))
    }

    /// Where services of this user listen, such as a container engine.
    pub fn runtime_folder(&self) -> Option<PathBuf> {
        self.folder(XDG_RUNTIME_DIR)
    }

    /// The bus of this user's session, on which the keyring of the desktop is.
    pub fn session_bus(&self) -> Option<String> {
        if let Some(address) = self.text(DBUS_SESSION_BUS_ADDRESS) {
            return Some(address.to_owned());
        }
        let socket = self.folder(XDG_RUNTIME_DIR)?.join("bus");
        socket.exists().then(|| format!("unix:path={}", socket.display()))
    }

    /// Where Claude Code keeps its configuration, when the user moved it.
    pub fn claude_home(&self) -> Option<PathBuf> {
        self.folder(CLAUDE_CONFIG_DIR)
    }

    /// Those of [`RELOCATIONS`] that are set.
    pub fn relocations(&self) -> BTreeMap<&'static str, PathBuf> {
        RELOCATIONS.into_iter().filter_map(|name| Some((name, self.folder(name)?))).collect()
    }

    /// The first executable file of this name in `PATH`.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let candidates = std::env::split_paths(self.get(PATH)?).map(|folder| folder.join(name));
        candidates.into_iter().find(|path| is_runnable(path))
    }

    /// The folders in which servers find programs beside the fixed `PATH` of cells: those in which this user's
    /// package runners and runtimes lie, and no others.
    pub fn server_folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = Vec::new();
        for runtime in ["node", "python3", "deno"].iter().chain(&RUNNERS) {
            let found = self.program(runtime);
            let folder = found.as_deref().and_then(Path::parent).filter(|folder| folder.is_absolute());
            if let Some(folder) = folder
                && !std::env::split_paths(cell::PATH).any(|fixed| fixed == folder)
                && !folders.iter().any(|known| known == folder)
            {
                folders.push(folder.to_owned());
            }
        }
        folders
    }

    /// Whether a server would find this program.
    pub fn server_finds(&self, program: &str) -> bool {
        let fixed = std::env::split_paths(cell::PATH);
        fixed.chain(self.server_folders()).any(|folder| is_runnable(&folder.join(program)))
    }

    /// Whether the terminal, if there is one, understands colors.
    pub fn colors_wanted(&self) -> bool {
        self.get(NO_COLOR).is_none() && self.get(TERM).is_none_or(|term| term != "dumb")
    }

    /// All variables that are text.
    pub fn texts(&self) -> Vec<(String, String)> {
        let text =
            |(name, value): (&OsStr, &OsStr)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
        self.all().filter_map(text).collect()
    }

    /// All variables, for the one program that is started with them: our own, in the background.
    pub fn all(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

fn is_runnable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables, not shown)", self.variables.len())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use super::*;

    fn install(folder: &Path, program: &str) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::File::options().create_new(true).write(true).mode(0o755).open(folder.join(program)).unwrap();
    }

    #[test]
    fn an_empty_variable_is_absent_and_no_value_is_ever_shown() {
        let environment = Environment::of([("NO_COLOR", ""), ("GITHUB_TOKEN", "ghp_secret")]);
        assert_eq!(environment.get("NO_COLOR"), None);
        assert!(environment.colors_wanted());
        assert!(!format!("{environment:?}").contains("ghp_secret"));
        assert!(!Environment::of([("NO_COLOR", "1")]).colors_wanted());
        assert!(!Environment::of([("TERM", "dumb")]).colors_wanted());
    }

    #[test]
    fn a_relative_xdg_folder_is_ignored() {
        let environment = Environment::of([("HOME", "/home/ada"), ("XDG_CONFIG_HOME", "config")]);
        assert_eq!(environment.config_home(), Some(PathBuf::from("/home/ada/.config")));
        assert!(environment.relocations().is_empty());
    }

    #[test]
    fn servers_find_the_users_runtimes_and_nothing_else_of_the_users_path() {
        let folder = tempfile::tempdir().unwrap();
        let [node, other] = ["node/bin", "other/bin"].map(|name| folder.path().join(name));
        install(&node, "node");
        install(&node, "npx");
        install(&other, "secret-tool");
        let path = std::env::join_paths([other.as_path(), node.as_path(), Path::new("/usr/bin")]).unwrap();
        let environment = Environment::of([("PATH", path)]);
        assert_eq!(environment.server_folders().first(), Some(&node));
        assert!(!environment.server_folders().contains(&other));
        assert!(environment.server_finds("npx") && environment.server_finds("sh"));
        assert!(!environment.server_finds("secret-tool"));
        assert_eq!(environment.program("secret-tool"), Some(other.join("secret-tool")));
    }

    #[test]
    fn every_variable_is_documented_once() {
        let mut names: Vec<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), VARIABLES.len());
        assert!(VARIABLES.iter().all(|variable| variable.about.ends_with('.')));
    }
}
