//! Which process a container belongs to, written so that it can be recognized after that process is gone.

use std::fmt;
use std::io::{self, Error, ErrorKind};
use std::path::Path;
use std::str::FromStr;

/// A process, for as long as the machine runs and also afterwards: numbers of processes are used again, but not with the
/// same time of start in the same boot and the same PID namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    boot: String,
    /// The PID namespace in which `pid` counts, as the kernel names it: `pid:[4026531836]`.
    namespace: String,
    pid: u32,
    /// In clock ticks after the boot.
    started: u64,
}

/// What became of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Alive,
    Gone,
    /// It runs, or ran, where we cannot see.
    Unknown,
}

impl Owner {
    /// This process.
    pub(super) fn current() -> io::Result<Owner> {
        // The number that /proc has for us; in a /proc of another namespace it is not our own.
        let pid = std::fs::read_link("/proc/self")?;
        let pid = pid.to_str().and_then(|pid| pid.parse().ok()).ok_or(ErrorKind::InvalidData)?;
        Ok(Owner {
            boot: std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned(),
            namespace: std::fs::read_link("/proc/self/ns/pid")?.to_string_lossy().into_owned(),
            pid,
            started: started(pid)?.ok_or(ErrorKind::NotFound)?,
        })
    }

    /// What became of it, as far as `self`, who lives, can tell.
    pub(super) fn fate_of(&self, other: &Owner) -> Fate {
        if self.boot != other.boot {
            return Fate::Gone;
        }
        if self.namespace != other.namespace {
            return Fate::Unknown;
        }
        match started(other.pid) {
            Ok(Some(started)) if started == other.started => Fate::Alive,
            Ok(_) => Fate::Gone,
            Err(_) => Fate::Unknown,
        }
    }
}

/// When a process was started; nothing when there is none with this number. Field 22 of proc_pid_stat(5).
fn started(pid: u32) -> io::Result<Option<u64>> {
    let stat = match std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")) {
        Ok(stat) => stat,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // The second field is a name in parentheses, which may contain anything.
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let field = rest.split_ascii_whitespace().nth(19).and_then(|field| field.parse().ok());
    field.map(Some).ok_or_else(|| Error::from(ErrorKind::InvalidData))
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.boot, self.namespace, self.pid, self.started)
    }
}

impl FromStr for Owner {
    type Err = ErrorKind;

    fn from_str(text: &str) -> Result<Owner, ErrorKind> {
        let fields: Vec<&str> = text.split(' ').collect();
        let [boot, namespace, pid, started] = fields.as_slice() else { return Err(ErrorKind::InvalidData) };
        let invalid = |_| ErrorKind::InvalidData;
        Ok(Owner {
            boot: (*boot).to_owned(),
            namespace: (*namespace).to_owned(),
            pid: pid.parse().map_err(invalid)?,
            started: started.parse().map_err(invalid)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_it_all() {
        let owner = Owner::current().unwrap();
        assert_eq!(owner.to_string().parse(), Ok(owner));
        for text in ["", "a b 1", "a b x 1", "a b 1 x", "a b 99999999999 1", "a b 1 1 1"] {
            assert_eq!(text.parse::<Owner>(), Err(ErrorKind::InvalidData), "{text}");
        }
    }

    #[test]
    fn the_living_and_the_dead_are_told_apart() {
        let own = Owner::current().unwrap();
        assert_eq!(own.fate_of(&own.clone()), Fate::Alive);
        assert_eq!(
            own.fate_of(&Owner { started: own.started + 1, ..own.clone() }),
            Fate::Gone,
            "its number is another's"
        );
        assert_eq!(own.fate_of(&Owner { pid: u32::MAX, ..own.clone() }), Fate::Gone);
        assert_eq!(own.fate_of(&Owner { boot: "another".to_owned(), ..own.clone() }), Fate::Gone);
        assert_eq!(own.fate_of(&Owner { namespace: "pid:[1]".to_owned(), ..own.clone() }), Fate::Unknown);
    }
}
