//! The text of the systemd unit.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The first line of every unit that is ours.
pub(super) const MARK: &str =
    "# Written by `casemate service install`; `casemate service uninstall` removes it.";

/// The first version of systemd that knows `DelegateSubgroup=`.
const SUBGROUP_SINCE: u32 = 254;

/// Whose service manager runs the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manager {
    /// That of one user.
    User,
    /// That of the machine, which runs it as root.
    System,
}

/// What goes into a unit.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) manager: Manager,
    /// Our own program.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// Variables that service managers do not have.
    pub(super) variables: Vec<(&'static str, String)>,
    /// Whether the installation is in the folder that systemd makes for it.
    pub(super) in_state_directory: bool,
    /// The version of systemd, where it could be found out.
    pub(super) systemd: Option<u32>,
}

/// What holds for either manager. What is absent is absent for a reason, so that nobody adds it.
const HARDENING: &str = "\
# The gateway makes the cells of its servers by itself, out of namespaces, mounts and a fresh /proc. Whatever takes
# these away, or hides a part of /proc, takes the cells away, and servers would be refused. So none of these is here:
#   RestrictNamespaces, PrivateUsers            cells are user namespaces
#   ProtectProc, ProcSubset, ProtectKernelTunables, ProtectKernelLogs
#                                               a /proc with covered parts forbids a fresh one in a cell
#   ProtectControlGroups                        each server has a control group of its own
#   ProtectHostname                             each cell has a host name of its own
#   RestrictSUIDSGID                            takes openat2(2) away, which opens grants without following links
#   MemoryDenyWriteExecute                      JavaScript engines compile in memory
#   ProtectHome, PrivateTmp                     would hide folders that servers are granted
# The cells have all of that, and more: `casemate sandbox explain SERVER`.
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
UMask=0077
";

/// What only root's unit has: an ordinary user has no such rights in the first place.
const ROOT_HARDENING: &str = "\
# Root is needed to give each server a user of its own, not for these:
CapabilityBoundingSet=~CAP_AUDIT_CONTROL CAP_AUDIT_WRITE CAP_BLOCK_SUSPEND CAP_BPF CAP_LINUX_IMMUTABLE CAP_MAC_ADMIN \\
    CAP_MAC_OVERRIDE CAP_NET_RAW CAP_PERFMON CAP_SYSLOG CAP_SYS_BOOT CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_TIME \\
    CAP_WAKE_ALARM
ProtectSystem=full
KeyringMode=private
";

impl Unit {
    /// The whole file.
    pub(super) fn text(&self) -> String {
        let mut text =
            format!("{MARK}\n# Changes are lost when it is written anew; put yours into a drop-in: ");
        let edit = match self.manager {
            Manager::User => "systemctl --user edit casemate.service",
            Manager::System => "systemctl edit casemate.service",
        };
        let _ = write!(text, "{edit}\n\n[Unit]\nDescription=Casemate, the gate in front of MCP servers\n");
        if self.manager == Manager::System {
            text.push_str("After=network.target\n");
        }
        text.push_str("\n[Service]\nType=exec\n");
        let _ = writeln!(text, "ExecStart={}", self.command());
        text.push_str("ExecReload=/bin/kill -HUP $MAINPID\n");
        for (name, value) in &self.variables {
            let _ = writeln!(text, "Environment={}", quoted(&format!("{name}={value}"), Place::Setting));
        }
        if self.in_state_directory {
            text.push_str("StateDirectory=casemate\nStateDirectoryMode=0700\n");
        }
        text.push_str("Restart=on-failure\nRestartSec=1\n");
        text.push_str(
            "# Calls in flight may finish; what is left then is killed with everything below it.\n",
        );
        text.push_str("KillMode=mixed\nTimeoutStopSec=120\nLimitNOFILE=65536\n\n");
        self.delegation(&mut text);
        text.push('\n');
        text.push_str(HARDENING);
        if self.manager == Manager::System {
            text.push('\n');
            text.push_str(ROOT_HARDENING);
        }
        let target = match self.manager {
            Manager::User => "default.target",
            Manager::System => "multi-user.target",
        };
        let _ = write!(text, "\n[Install]\nWantedBy={target}\n");
        text
    }

    fn delegation(&self, text: &mut String) {
        text.push_str(
            "# A subtree of control groups of our own, in which each server gets one with its limits.\n",
        );
        text.push_str("Delegate=yes\n");
        if self.systemd.is_some_and(|version| version >= SUBGROUP_SINCE) {
            text.push_str("# A group that has groups below it may hold no process, so we ourselves are in a side group.\n");
            text.push_str("DelegateSubgroup=gateway\n");
        }
        text.push_str(
            "# A server that runs out of its memory is ended alone, not the gateway with all others.\n",
        );
        text.push_str("OOMPolicy=continue\n");
    }

    fn command(&self) -> String {
        let program = self.program.to_string_lossy();
        let words = std::iter::once(program.as_ref()).chain(self.args.iter().map(String::as_str));
        words.map(|word| quoted(word, Place::Command)).collect::<Vec<_>>().join(" ")
    }
}

/// Where a text stands in a unit; variables are put in in commands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Command,
    Setting,
}

/// A text that systemd reads back as it is: no specifier, no variable and no escape sequence in it means anything.
fn quoted(text: &str, place: Place) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '%' => quoted.push_str("%%"),
            '$' if place == Place::Command => quoted.push_str("$$"),
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().for_each(|byte| _ = write!(quoted, "\\x{byte:02x}"));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The version of the systemd that is installed, by the name of the library that its programs share. Asking
/// `systemctl` would mean to start a program.
pub(super) fn systemd_version() -> Option<u32> {
    let listed = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let nested = listed(Path::new("/usr/lib")).map(|entry| entry.path().join("systemd"));
    let folders = ["/usr/lib/systemd", "/lib/systemd", "/usr/lib64/systemd"].map(PathBuf::from);
    let mut versions = folders.into_iter().chain(nested).flat_map(|folder| {
        let names = listed(&folder).filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| version_in(&name)).collect::<Vec<_>>()
    });
    versions.next()
}

/// `libsystemd-shared-254.5-1.fc39.so` is of 254.
fn version_in(name: &str) -> Option<u32> {
    let rest = name.strip_prefix("libsystemd-shared-")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_path_means_anything_to_systemd() {
        assert_eq!(quoted("/usr/bin/casemate", Place::Command), "/usr/bin/casemate");
        let hostile = "/srv/a b/100%/$HOME/\"q\"\\x\n[Service]\nUser=root";
        let expected = r#""/srv/a b/100%%/$$HOME/\"q\"\\x\x0a[Service]\x0aUser=root""#;
        assert_eq!(quoted(hostile, Place::Command), expected);
        assert_eq!(quoted("A=$B %h", Place::Setting), r#""A=$B %%h""#);
        assert_eq!(quoted("", Place::Command), "\"\"");
    }

    #[test]
    fn a_version_is_read_off_the_name_of_a_library() {
        assert_eq!(version_in("libsystemd-shared-252.so"), Some(252));
        assert_eq!(version_in("libsystemd-shared-254.5-1.fc39.so"), Some(254));
        assert_eq!(version_in("libsystemd-core-254.so"), None);
    }

    #[test]
    fn what_a_systemd_does_not_know_is_not_asked_of_it() {
        let unit = |systemd| Unit {
            manager: Manager::User,
            program: "/usr/bin/casemate".into(),
            args: vec!["up".to_owned()],
            variables: Vec::new(),
            in_state_directory: false,
            systemd,
        };
        for (version, known) in [(None, false), (Some(253), false), (Some(254), true)] {
            assert_eq!(unit(version).text().contains("\nDelegateSubgroup="), known, "{version:?}");
        }
    }
}
