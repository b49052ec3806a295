//! The servers of the configuration, running or not.

use std::path::PathBuf;

use casemate_mcp::names::ServerName;

use super::cells::Room;

/// A command about one server.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// Name of the server
    #[arg(value_name = "SERVER", value_parser = ServerName::parse)]
    pub server: ServerName,
}

/// `casemate show`
#[derive(Debug, clap::Args)]
pub struct Show {
    /// Name of the server
    #[arg(value_name = "SERVER", value_parser = ServerName::parse)]
    pub server: ServerName,
    /// Show all settings, also those that have their defaults
    #[arg(long)]
    pub all: bool,
}

/// How much of a server's settings is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What somebody set.
    Set,
    /// Everything.
    All,
}

impl Show {
    /// How much is shown.
    pub fn extent(&self) -> Extent {
        if self.all { Extent::All } else { Extent::Set }
    }
}

/// `casemate add`
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "casemate add [OPTIONS] <NAME> -- <COMMAND> [ARGS]...\n       \
        casemate add [OPTIONS] <NAME> --image <IMAGE> [-- <ARGS>...]\n       \
        casemate add [OPTIONS] <NAME> --url <URL>",
    after_help = "Examples:\n  \
        casemate add everything -- npx -y @modelcontextprotocol/server-everything@2026.8.31\n  \
        casemate add files --write ~/notes -- npx -y @example/files@1.2.3 ~/notes\n  \
        casemate add github --env GITHUB_TOKEN --network api.github.com:443 -- uvx github==1.2.3\n  \
        casemate add wiki --url https://wiki.example.com/mcp --header Authorization=file:/run/secrets/wiki",
    mut_arg("env", |env| env.conflicts_with("url"))
)]
pub struct Add {
    /// Name of the server: letters, digits, `-` and `_`
    #[arg(value_parser = ServerName::parse)]
    pub name: ServerName,
    /// Address of a server that runs already: https://…, wss://…, unix:/PATH or tcp://HOST:PORT
    #[arg(long, value_name = "URL", conflicts_with = "command", required_unless_present_any = ["command", "image"])]
    pub url: Option<String>,
    /// Header for a remote server: KEY=VALUE, KEY=secret:NAME, KEY=env:NAME or KEY=file:PATH
    #[arg(long, value_name = "KEY=VALUE", value_parser = Setting::parse, conflicts_with = "command")]
    pub header: Vec<Setting>,
    /// Container image with its digest, which a container engine runs: NAME@sha256:…
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["url", "header", "runtime", "light", "host_stats", "install_scripts", "allow_unsandboxed"])]
    pub image: Option<String>,
    /// Working directory of the server's process
    #[arg(long, value_name = "DIR", conflicts_with_all = ["url", "image"])]
    pub cwd: Option<PathBuf>,
    /// Program to run, and its arguments; with --image, arguments alone
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// What the server's process gets to see and may use.
    #[command(flatten)]
    pub room: Room,
}

/// A variable or header of a server: a name, and a literal or a reference to where the value is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Name of the variable or header.
    pub name: String,
    /// As typed: a literal, `secret:NAME`, `env:NAME` or `file:PATH`.
    pub value: String,
}

impl Setting {
    fn parse(text: &str) -> Result<Setting, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Setting { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("expected KEY=VALUE, KEY=secret:NAME, KEY=env:NAME or KEY=file:PATH".to_owned()),
        }
    }
}

/// `casemate prepare`
#[derive(Debug, clap::Args)]
#[command(long_about = "Install the packages of servers ahead of time.\n\n\
        A server that names a package of npm or PyPI (`npx -y x@1.2.3`, `uvx x==1.2.3`) is installed at its first start, \
        which takes a while and needs the registry. This does it now, and shows what was installed, where, and the digest \
        that stands for all of it. What was prepared before is checked, file by file.\n\n\
        Exits with 1 when any could not be prepared; one whose version is not written is refused with the line to write.")]
pub struct Prepare {
    /// Names of servers [default: all that are enabled and come from a registry]
    #[arg(value_name = "SERVER", value_parser = ServerName::parse)]
    pub servers: Vec<ServerName>,
}

/// `casemate logs`
#[derive(Debug, clap::Args)]
pub struct Logs {
    /// Name of the server
    #[arg(value_name = "SERVER", value_parser = ServerName::parse)]
    pub server: ServerName,
    /// How many of the last lines to show
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 200)]
    pub lines: usize,
}

/// `casemate call`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  casemate call system get_memory_stats '{}'")]
pub struct Call {
    /// Name of the server
    #[arg(value_name = "SERVER", value_parser = ServerName::parse)]
    pub server: ServerName,
    /// Name of the tool, as the server itself calls it
    #[arg(value_name = "TOOL")]
    pub tool: String,
    /// Arguments as a JSON object; `-` reads them from stdin
    #[arg(value_name = "JSON", default_value = "{}")]
    pub arguments: String,
}
