//! Those who run the program: we ourselves and, when we are root, an ordinary user.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::home::{CASEMATE, Home, skipped};

/// The user id of somebody without any rights.
const NOBODY: u32 = 65_534;

/// Somebody who runs the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Person {
    Us,
    /// The user 65534, by way of `setpriv`.
    Nobody,
}

impl Person {
    /// Everybody whom this machine lets run the program.
    pub(crate) fn all() -> Vec<Person> {
        let mut all = vec![Person::Us];
        if rustix::process::geteuid().is_root() {
            let tried =
                Person::Nobody.wrap(&Command::new(CASEMATE)).arg("--version").stdout(Stdio::null()).status();
            match tried {
                Ok(status) if status.success() => all.push(Person::Nobody),
                tried => skipped(&format!("user {NOBODY} cannot run {CASEMATE} here: {tried:?}")),
            }
        }
        all
    }

    /// Those who can have full cells on this machine.
    pub(crate) fn with_cells() -> Vec<Person> {
        let full = |person: &Person| {
            let home = person.home();
            let able = person.command(&home, &["sandbox", "probe"]).output().unwrap().status.success();
            if !able {
                skipped(&format!("this machine has no full cells for {person:?}"));
            }
            able
        };
        Person::all().into_iter().filter(full).collect()
    }

    /// A home that belongs to this person.
    pub(crate) fn home(self) -> Home {
        let home = Home::new();
        if self == Person::Nobody {
            self.give(home.path());
        }
        home
    }

    /// Makes a file or folder this person's own.
    pub(crate) fn give(self, path: &Path) {
        if self == Person::Nobody {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// The command, run by this person.
    pub(crate) fn command(self, home: &Home, arguments: &[&str]) -> Command {
        let command = home.command(arguments);
        match self {
            Person::Us => command,
            Person::Nobody => {
                let mut wrapped = self.wrap(&command);
                wrapped.stdin(Stdio::null()).env_clear();
                wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
                wrapped
            }
        }
    }

    fn wrap(self, command: &Command) -> Command {
        let id = NOBODY.to_string();
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"]);
        wrapped.arg(command.get_program()).args(command.get_args());
        wrapped
    }
}
