use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use casemate_net::{Attempt, Protocol, Reason, Verdict};
use expect_test::{Expect, expect};

use super::*;
use crate::learn::Hidden;
use crate::learn::ground::Ground;

/// What Ada's server has done, whose home has a place that nobody sees.
struct Story {
    observed: Observed,
}

impl Story {
    fn new() -> Story {
        Story::on(Ground::default())
    }

    fn on(ground: Ground) -> Story {
        let hidden =
            ["/home/ada/.ssh", "/home/ada/.config/gh", "/home/ada/.local/share/keyrings", "/home/bob"];
        let hidden = hidden.map(|path| Hidden { path: path.into(), reason: Cow::Borrowed("not yours") });
        let ground = Ground {
            provided: vec!["/usr".into(), "/etc/passwd".into()],
            hidden: hidden.to_vec(),
            home: Some("/home/ada".into()),
            ..ground
        };
        Story { observed: Observed::new(Arc::new(ground)) }
    }

    fn did(mut self, wanted: Use, sort: &Sort, paths: &[&str]) -> Story {
        for path in paths {
            self.observed.note(path.into(), (sort.clone(), Place::Shown), wanted);
        }
        self
    }

    fn dialed(mut self, host: &str, port: u16, protocol: Protocol) -> Story {
        let name = host.parse::<IpAddr>().is_err().then(|| host.to_owned());
        let (address, verdict) = (host.parse().ok(), Verdict::Refused(Reason::NotGranted));
        self.observed.note_attempt(&Attempt { name, address, port, protocol, verdict, times: 1 });
        self
    }

    fn read(self, paths: &[&str]) -> Story {
        self.did(Use::Read, &Sort::File, paths)
    }

    fn proposes(self, expected: Expect) {
        expected.assert_eq(&self.observed.propose().to_string());
    }
}

#[test]
fn nothing_used_is_nothing_proposed() {
    Story::new()
        .read(&["/usr/lib/x", "/etc/passwd", "/tmp/x", "/dev/null", "/proc/1/maps"])
        .proposes(expect![]);
}

#[test]
fn files_become_folders_but_never_a_home() {
    let many = ["/srv/data/a", "/srv/data/b", "/srv/data/c", "/srv/data/d"];
    let home = ["/home/ada/a", "/home/ada/b", "/home/ada/c", "/home/ada/d"];
    let few = ["/srv/few/a", "/srv/few/b"];
    Story::new()
        .read(&many)
        .read(&home)
        .read(&few)
        .did(
            Use::Read,
            &Sort::Folder,
            &["/srv/listed", "/home/ada", "/srv", "/home/ada/.config", "/home/alice"],
        )
        .proposes(expect![[r#"
            read = [
                "/home/ada/a",
                "/home/ada/b",
                "/home/ada/c",
                "/home/ada/d",
                "/srv/data",
                "/srv/few/a",
                "/srv/few/b",
                "/srv/listed",
            ]
            # left out, since it also holds not yours: /home/ada/.config
            # left out, since it is a home; name what is needed inside of it: /home/ada, /home/alice
            # left out, since it is too much; name what is needed inside of it: /srv
        "#]]);
}

#[test]
fn secrets_sockets_and_other_peoples_files_are_left_out_and_told() {
    Story::new()
        .read(&["/home/ada/.ssh/id_ed25519", "/home/bob/notes", "/srv/app/.env", "/srv/app/tls.key", "/boot"])
        .did(Use::Read, &Sort::Other, &["/srv/app/socket"])
        .did(Use::Look, &Sort::File, &["/sys/kernel/x"])
        .did(Use::Write, &Sort::File, &["/home/ada/.config/gh/hosts.yml"])
        .proposes(expect![[r#"
            # left out, since it belongs to the kernel; a cell has its own: /sys/kernel/x
            # left out, since it has the name of a secret: /srv/app/.env, /srv/app/tls.key
            # left out, since it is a socket, a device or a pipe, which leads to other programs: /srv/app/socket
            # left out, since it is a top folder of the host; name what is needed inside of it: /boot
            # left out, since it is refused: not yours: /home/ada/.config/gh/hosts.yml, /home/ada/.ssh/id_ed25519, /home/bob/notes
        "#]]);
}

#[test]
fn what_lies_in_a_proposed_folder_is_told_to_lie_there() {
    Story::new()
        .read(&["/srv/app/a", "/srv/app/b", "/srv/app/c", "/srv/app/d", "/srv/app/.env"])
        .did(Use::Read, &Sort::Other, &["/srv/app/socket"])
        .proposes(expect![[r#"
            read = ["/srv/app"]
            # lies in what is proposed, although it has the name of a secret: /srv/app/.env
            # lies in what is proposed, although it is a socket, a device or a pipe, which leads to other programs: /srv/app/socket
        "#]]);
}

#[test]
fn what_was_only_asked_for_is_shown_where_nothing_else_leads_there() {
    Story::new()
        .did(Use::Look, &Sort::Folder, &["/srv/files", "/srv", "/home/ada", "/home/ada/deep", "/usr/share"])
        .did(Use::Look, &Sort::File, &["/srv/flag"])
        .read(&["/home/ada/deep/er/file"])
        .proposes(expect![[r#"
            read = [
                "/home/ada/deep/er/file",
                "/srv/files",
                "/srv/flag",
            ]
            # only asked for, never listed: /srv/files
        "#]]);
}

#[test]
fn changes_ask_for_the_folder_and_contents_for_the_file() {
    let absent = |within: &str| Sort::Absent { within: within.into() };
    Story::new()
        .did(Use::Write, &Sort::File, &["/srv/app/state.db"])
        .did(Use::Arrange, &absent("/srv/app/logs"), &["/srv/app/logs/today/1.log"])
        .did(Use::Arrange, &Sort::File, &["/srv/queue/old/message"])
        .did(Use::Arrange, &absent("/home/ada"), &["/home/ada/.cache-of-mine"])
        .did(Use::Arrange, &absent("/home/ada/.ssh"), &["/home/ada/.ssh/known_hosts"])
        .read(&["/srv/app/logs/yesterday.log"])
        .proposes(expect![[r#"
            write = [
                "/srv/app/logs",
                "/srv/app/state.db",
                "/srv/queue/old",
            ]
            # left out, since it is refused: not yours: /home/ada/.ssh/known_hosts
            # left out, since it lies in a folder that would have to be writable, and that is a home; name what is needed inside of it: /home/ada/.cache-of-mine
        "#]]);
}

#[test]
fn an_installation_is_a_program_with_its_parts() {
    Story::new()
        .did(Use::Execute, &Sort::File, &["/opt/node/bin/node", "/home/ada/.local/bin/tool", "/usr/bin/env"])
        .read(&["/opt/node/lib/libnode.so", "/home/ada/.local/share/tool/data"])
        .proposes(expect![[r#"
            read = [
                "/home/ada/.local/bin/tool",
                "/home/ada/.local/share/tool/data",
            ]
            runtime = ["/opt/node"]
        "#]]);
}

#[test]
fn an_environment_of_python_is_an_installation() {
    let mut story = Story::new()
        .read(&["/srv/env/pyvenv.cfg", "/srv/env/lib/python3.11/site-packages/words.py"])
        .did(Use::Look, &Sort::Folder, &["/srv/env/bin"]);
    story.observed.note_links([PathBuf::from("/srv/env/bin/python")].into());
    story.proposes(expect![[r#"
        runtime = ["/srv/env"]
    "#]]);
}

#[test]
fn packages_are_not_to_be_changed() {
    let absent = |within: &str| Sort::Absent { within: within.into() };
    Story::new()
        .did(Use::Arrange, &absent("/srv/app"), &["/srv/app/__pycache__", "/srv/app/__pycache__/main.pyc"])
        .did(Use::Write, &Sort::File, &["/srv/app/node_modules/a/state.json", "/srv/app/.git/index"])
        .did(Use::Look, &Sort::Folder, &["/srv/app/.git/refs"])
        .proposes(expect![[r#"
            read = ["/srv/app/.git/refs"]
            write = ["/srv/app/.git/index"]
            # left out, since it holds installed packages or their caches, which no server needs to change: /srv/app/__pycache__, /srv/app/node_modules
            # only asked for, never listed: /srv/app/.git/refs
            # who may change it can have programs run outside of the cell: /srv/app/.git/index
        "#]]);
}

#[test]
fn grants_that_were_of_use_stay_and_others_are_told() {
    let grants = ["/srv/used", "/srv/unused"].map(|path| Grant { path: path.into(), access: Access::Read });
    let written = Grant { path: "/srv/written".into(), access: Access::Write };
    let entry = Entry {
        read: vec!["/srv/used".into(), "/srv/unused".into()],
        write: vec!["/srv/written".into()],
        runtime: vec!["/opt/tool".into()],
        network: vec!["*.example.org:443".to_owned()],
    };
    let ground = Ground { grants: grants.into_iter().chain([written]).collect(), entry, ..Ground::default() };
    let story = Story::on(ground)
        .read(&["/srv/used/deep/file"])
        .did(Use::Write, &Sort::File, &["/srv/written/file", "/srv/used/changed"])
        .dialed("api.example.org", 443, Protocol::Tcp)
        .dialed("pypi.org", 53, Protocol::Lookup)
        .dialed("db.example.com", 53, Protocol::Lookup)
        .dialed("db.example.com", 5432, Protocol::Tcp)
        .dialed("192.0.2.1", 123, Protocol::Udp);
    story.proposes(expect![[r#"
        read = ["/srv/used"]
        write = [
            "/srv/used/changed",
            "/srv/written",
        ]
        runtime = ["/opt/tool"]
        network = [
            "*.example.org:443",
            "db.example.com:5432",
            "pypi.org:443",
        ]
        # granted, and not used this time: /srv/unused
        # its port is a guess: the name was asked for and not dialed: pypi.org:443
        # left out, since datagrams cannot be granted: 192.0.2.1:123
    "#]]);
}

#[test]
fn links_are_shown_as_links_unless_their_folder_is() {
    let mut story =
        Story::new().read(&["/srv/real/file", "/srv/app/a", "/srv/app/b", "/srv/app/c", "/srv/app/d"]);
    let links = ["/srv/link", "/srv/app/link", "/usr/bin/sh", "/home/ada/.ssh/link"];
    story.observed.note_links(links.map(PathBuf::from).into());
    story.proposes(expect![[r#"
        read = [
            "/srv/app",
            "/srv/real/file",
        ]
        runtime = ["/srv/link"]
    "#]]);
}

/// A server chooses the names of its files; a person pastes the lines into a configuration.
#[test]
fn names_cannot_write_lines_of_their_own() {
    let names =
        ["/srv/a\"]\nallow_unsandboxed = true #", "/srv/\u{202e}gnp.exe", "/srv/ü b\\c", "/srv/bell\u{7}"];
    Story::new()
        .read(&names)
        .did(Use::Read, &Sort::Other, &["/srv/socket\nallow_unsandboxed = true"])
        .proposes(expect![[r#"
            read = [
                "/srv/a\"]\U0000000Aallow_unsandboxed = true #",
                "/srv/bell\U00000007",
                "/srv/ü b\\c",
                "/srv/\U0000202Egnp.exe",
            ]
            # left out, since it is a socket, a device or a pipe, which leads to other programs: /srv/socket\u{a}allow_unsandboxed = true
        "#]]);
}

#[test]
fn many_remarks_of_one_kind_are_one_line() {
    let paths: Vec<String> = (0..8).map(|number| format!("/sys/{number}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    Story::new().read(&paths).proposes(expect![[r#"
        # left out, since it belongs to the kernel; a cell has its own: /sys/0, /sys/1, /sys/2, /sys/3, /sys/4 and 3 more
    "#]]);
}

#[test]
fn what_is_too_much_to_be_kept_is_counted() {
    let mut story = Story::new();
    for number in 0..20_000 {
        let place = (Sort::File, Place::Shown);
        story.observed.note(format!("/srv/{}/{number}", number / 3).into(), place, Use::Read);
        story = story.dialed(&format!("{number}.example.org"), 53, Protocol::Lookup);
    }
    assert_eq!((story.observed.files.len(), story.observed.contacts.len()), (1 << 14, 1 << 14));
    assert_eq!(story.observed.overlooked, 2 * (20_000 - (1 << 14)));
    let proposal = story.observed.propose();
    assert!(proposal.remarks.iter().any(|remark| remark.reason.contains("too many to be kept")));
}
