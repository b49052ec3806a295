//! Rules in force, each on a thread of its own: Landlock restricts threads.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::room::kernel;

fn rule(path: &str, right: Right) -> Rule {
    Rule { path: path.into(), right, links: Links::Follow }
}

/// Runs a body under rules of a version, if this kernel has it.
fn under(version: u8, rules: Vec<Rule>, tcp: Tcp, body: impl FnOnce() + Send + 'static) {
    if kernel::landlock_version().is_none_or(|newest| newest < version) {
        return;
    }
    let thread = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        restrict(version, &rules, tcp).unwrap();
        body();
    });
    thread.join().unwrap();
}

#[test]
fn the_rules_of_every_version_are_enforced_whole() {
    for version in 1..=9 {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "x").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        let rules = vec![
            rule("/usr", Right::Read),
            rule("/dev/null", Right::Use),
            rule("/no/such/path", Right::Write),
        ];
        under(version, rules, Tcp::Denied, move || {
            let denied =
                |result: std::io::Result<()>| result.unwrap_err().kind() == ErrorKind::PermissionDenied;
            std::fs::read_dir("/usr/bin").unwrap();
            std::fs::write("/dev/null", "x").unwrap();
            assert!(denied(std::fs::read(folder.path().join("file")).map(drop)));
            assert!(denied(std::fs::write(folder.path().join("file"), "y")));
            assert!(denied(std::fs::read_dir("/etc").map(drop)));
            assert_eq!(TcpStream::connect(address).is_err(), version >= 4);
        });
    }
}

#[test]
fn names_can_be_listed_without_contents() {
    under(1, vec![rule("/", Right::List)], Tcp::Unhandled, || {
        std::fs::read_dir("/etc").unwrap();
        assert!(std::fs::read("/etc/passwd").is_err());
    });
}

#[test]
fn a_grant_behind_a_link_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/etc", &link).unwrap();
    let rules = [Rule { path: link, right: Right::Read, links: Links::Refuse }];
    let outcome = std::thread::spawn(move || restrict(1, &rules, Tcp::Unhandled)).join().unwrap();
    assert_eq!(outcome, Err(Errno::LOOP));
}
