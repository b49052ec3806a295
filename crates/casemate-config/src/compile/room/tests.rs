use expect_test::{Expect, expect};

use super::*;
use crate::resolve::tests::{World, written};
use casemate_gateway::snapshot::Source;

fn room_of(text: &str) -> Room {
    let loaded = World::default().load(&written(text)).unwrap_or_else(|problems| panic!("{problems}"));
    match &loaded.snapshot.servers.get("one").unwrap().source {
        Source::Command(command) => match &command.enclosure {
            Enclosure::Cell(room) => room.clone(),
            Enclosure::Unsandboxed => panic!("no cell"),
        },
        Source::Image(image) => image.room.clone(),
        Source::Http(_) | Source::Socket(_) => panic!("no program"),
    }
}

fn check(text: &str, expected: Expect) {
    let problems = World::default().load(&written(text)).unwrap_err();
    expected.assert_eq(&format!("{problems}\n"));
}

#[test]
fn a_server_of_which_nothing_is_said_has_a_full_cell_and_sees_nothing() {
    let room = room_of("[servers.one]\ncommand = \"one\"\n");
    assert_eq!(room.kind, Kind::Full);
    assert!(room.read.is_empty() && room.write.is_empty() && room.runtime.is_empty());
    assert!(room.network.is_empty() && !room.host_stats);
    assert_eq!(room.limits, Limits::default());
}

#[test]
fn every_setting_of_a_cell_arrives() {
    let room = room_of(
        r#"
[servers.one]
command = ["npx", "-y", "one@1.2.3"]
read = ["/home/ada/notes"]
write = ["/home/ada/notes/drafts", "/srv/out"]
runtime = ["/opt/tools"]
network = ["*.example.org:443", "api.github.com:443"]
host_stats = true
install_scripts = true
limits = { memory = "512MiB", cpu = 1.5, processes = 10, open_files = 100, file_size = "2MiB", tmp_size = "3MiB" }
"#,
    );
    let list =
        |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(list(&room.read), "/home/ada/notes");
    assert_eq!(list(&room.write), "/home/ada/notes/drafts /srv/out");
    assert_eq!(list(&room.runtime), "/opt/tools");
    assert_eq!(room.network.ports(), BTreeSet::from([443]));
    assert_eq!(room.network.destinations().len(), 2);
    assert!(room.host_stats);
    let limits = room.limits;
    assert_eq!((limits.memory_bytes, limits.file_bytes, limits.tmp_bytes), (512 << 20, 2 << 20, 3 << 20));
    assert_eq!((limits.processes, limits.open_files, limits.cpu_millis), (10, 100, 1500));
}

#[test]
fn the_built_in_system_sees_the_host_unless_that_is_taken_away() {
    assert!(room_of("[servers.one]\nbuiltin = \"system\"\n").host_stats);
    assert!(!room_of("[servers.one]\nbuiltin = \"system\"\nhost_stats = false\n").host_stats);
}

#[test]
fn an_image_has_a_digest_and_a_room() {
    let image =
        format!("[servers.one]\nimage = \"ghcr.io/a/b@sha256:{}\"\nargs = [\"--stdio\"]\n", "0".repeat(64));
    assert_eq!(room_of(&image).limits, Limits::default());
    check(
        r#"
[servers.latest]
image = "ghcr.io/a/b:latest"

[servers.short]
image = "ghcr.io/a/b@sha256:1234"

[servers.flag]
image = "--privileged@sha256:0000000000000000000000000000000000000000000000000000000000000000"
cell = "light"
runtime = ["/opt"]
"#,
        expect![[r#"
            etc/casemate.toml:3:9: servers.latest.image: "ghcr.io/a/b:latest" names no digest, so it could be another image tomorrow
              hint: write it with its digest; `docker image inspect --format '{{index .RepoDigests 0}}' IMAGE` prints it
            etc/casemate.toml:6:9: servers.short.image: "ghcr.io/a/b@sha256:1234" has no digest of the form sha256:… with 64 digits
              hint: `docker image inspect --format '{{index .RepoDigests 0}}' IMAGE` prints it
            etc/casemate.toml:9:9: servers.flag.image: "--privileged" is no name of an image
              hint: like "ghcr.io/example/server@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
            etc/casemate.toml:10:1: `cell` in [servers.flag] means nothing beside `image`
              hint: it belongs to a server with `command` or `builtin`
            etc/casemate.toml:11:1: `runtime` in [servers.flag] means nothing beside `image`
              hint: it belongs to a server with `command`
        "#]],
    );
}

#[test]
fn what_can_be_no_grant_is_refused_with_a_way_out() {
    check(
        r#"
[servers.one]
command = "one"
read = ["notes", "~/notes", "/home", "/", "/a/../b", "/proc/self"]
write = ["/home/ada/", "/var"]
runtime = ["./x"]
network = ["api.github.com", "https://example.org/x", "*.org:443", "localhost:80"]
limits = { memory = "1MiB", processes = 0, cpu = 0.0001 }
"#,
        expect![[r#"
            etc/casemate.toml:4:9: servers.one.read: "notes" is not an absolute path without `.`, `..` and doubled slashes, or is `/` itself
              hint: write the whole path, like "/home/you/notes"
            etc/casemate.toml:4:18: servers.one.read: "~/notes" is not an absolute path without `.`, `..` and doubled slashes, or is `/` itself
              hint: nothing here knows `~`: write the folder out, like "/home/you/notes"
            etc/casemate.toml:4:29: servers.one.read: "/home" is a top folder of the host; name what is needed inside of it
              hint: name what is needed, like "/home/you/notes"
            etc/casemate.toml:4:38: servers.one.read: "/" is not an absolute path without `.`, `..` and doubled slashes, or is `/` itself
              hint: a server sees what is named, and never everything
            etc/casemate.toml:4:43: servers.one.read: "/a/../b" is not an absolute path without `.`, `..` and doubled slashes, or is `/` itself
              hint: name what is needed, like "/home/you/notes"
            etc/casemate.toml:4:54: servers.one.read: "/proc/self" belongs to the kernel; a cell has its own
              hint: name what is needed, like "/home/you/notes"
            etc/casemate.toml:5:10: servers.one.write: "/home/ada/" is not an absolute path without `.`, `..` and doubled slashes, or is `/` itself
              hint: write "/home/ada"
            etc/casemate.toml:5:24: servers.one.write: "/var" is a top folder of the host; name what is needed inside of it
              hint: name what is needed, like "/home/you/notes"
            etc/casemate.toml:6:12: servers.one.runtime: "./x" is not an absolute path without `.`, `..` and doubled slashes, or is `/` itself
              hint: write the whole path, like "/home/you/notes"
            etc/casemate.toml:7:12: servers.one.network: "api.github.com": "api.github.com" has no port
              hint: write "api.github.com:443"
            etc/casemate.toml:7:30: servers.one.network: "https://example.org/x": a destination has no scheme
              hint: write "example.org:443"
            etc/casemate.toml:7:55: servers.one.network: "*.org:443": "*.org" would grant everything below org
              hint: keep at least two labels behind the star, such as "*.example.org:443"
            etc/casemate.toml:7:68: servers.one.network: "localhost:80": localhost is this machine itself
              hint: where that is meant, write "loopback localhost:80"
            etc/casemate.toml:8:21: servers.one.limits.memory is 1MiB, outside of 16MiB to 1024GiB
              hint: choose from 16MiB to 1024GiB, like "512MiB"
            etc/casemate.toml:8:41: servers.one.limits.processes is 0, outside of 4 to 1000000
              hint: nothing is unlimited or off: choose from 4 to 1000000, like 64
            etc/casemate.toml:8:50: servers.one.limits.cpu is 0.0001, outside of 0.01 to 1024
              hint: choose from 0.01 to 1024, like 0.5
        "#]],
    );
}

#[test]
fn what_contradicts_itself_is_refused() {
    check(
        r#"
[servers.open]
command = "one"
allow_unsandboxed = true
cell = "full"
read = ["/srv/a"]
network = ["example.org:443"]
limits.memory = "1GiB"
limits.output_rate = "1MiB"

[servers.light]
command = "one"
cell = "light"
network = ["example.org:443"]
limits.tmp_size = "1MiB"

[servers.remote]
url = "https://example.org/mcp"
read = ["/srv/a"]
limits.memory = "1GiB"
allow_unsandboxed = true

[servers.twice]
command = "one"
read = ["/srv/a", "/srv/b"]
write = ["/srv/b"]

[servers.scripts]
command = "/usr/bin/python3"
install_scripts = true
"#,
        expect![[r#"
            etc/casemate.toml:5:1: `cell` in [servers.open] says how a cell is, and allow_unsandboxed = true that there is none
              hint: keep one of them
            etc/casemate.toml:6:1: `read` in [servers.open] says how a cell is, and allow_unsandboxed = true that there is none
              hint: keep one of them
            etc/casemate.toml:7:1: `network` in [servers.open] says how a cell is, and allow_unsandboxed = true that there is none
              hint: keep one of them
            etc/casemate.toml:8:8: `limits.memory` in [servers.open] says how a cell is, and allow_unsandboxed = true that there is none
              hint: keep one of them
            etc/casemate.toml:14:1: [servers.light] grants a network, and a light cell has none
              hint: remove `network`, or cell = "light" on a host that can make full cells
            etc/casemate.toml:15:8: `limits.tmp_size` in [servers.light] limits the /tmp of a full cell
              hint: remove it, or cell = "light"
            etc/casemate.toml:19:1: `read` in [servers.remote] means nothing beside `url`
              hint: it belongs to a server with `command`, `image` or `builtin`
            etc/casemate.toml:20:1: `limits` in [servers.remote] means nothing beside `url`
              hint: it belongs to a server with `command`, `image` or `builtin`
            etc/casemate.toml:21:1: `allow_unsandboxed` in [servers.remote] means nothing beside `url`
              hint: it belongs to a server with `command` or `builtin`
            etc/casemate.toml:25:19: /srv/b is granted in [servers.twice] for reading and for writing
              hint: what may be written may be read as well: keep it in `write` alone, or in `read`
            etc/casemate.toml:30:1: `install_scripts` in [servers.scripts] is about packages, and "/usr/bin/python3" runs none
              hint: it belongs to a command such as ["npx", "-y", "package@1.2.3"]
        "#]],
    );
}

#[test]
fn a_working_directory_starts_at_the_configuration_and_has_no_detours() {
    let text = "[servers.one]\ncommand = \"one\"\ncwd = \"../work/./src\"\n";
    let loaded = World::default().load(&written(text)).unwrap();
    let Source::Command(command) = &loaded.snapshot.servers.get("one").unwrap().source else { panic!() };
    assert_eq!(command.cwd.as_deref(), Some(Path::new("work/src")));
}

#[test]
fn each_server_has_an_account_of_its_own_also_when_two_names_meet_in_one_number() {
    let number = |name: &str| accounts([name]).into_values().next().unwrap();
    let names: Vec<String> = (0..40_000).map(|index| format!("server-{index}")).collect();
    let mut seen = BTreeMap::new();
    let meet = names.iter().find_map(|name| Some((seen.insert(number(name), name.as_str())?, name.as_str())));
    let (one, other) = meet.unwrap();
    let accounts = accounts([one, other, "third"]);
    let distinct: BTreeSet<&u32> = accounts.values().collect();
    assert_eq!(distinct.len(), 3);
    // Whichever comes first in the order of names keeps its number, whatever order they were written in.
    let first = one.min(other);
    assert_eq!(accounts.get(first), Some(&number(first)));
    assert!(distinct.iter().all(|account| (ACCOUNT_FIRST..=ACCOUNT_FIRST + ACCOUNTS).contains(*account)));
}

#[test]
fn whatever_changes_in_a_room_replaces_the_instance() {
    let digest = |settings: &str| {
        let text = format!("[servers.one]\ncommand = [\"npx\", \"one@1\"]\n{settings}");
        World::default().load(&written(&text)).unwrap().snapshot.servers.get("one").unwrap().digest
    };
    let settings = [
        "",
        "cell = \"light\"",
        "allow_unsandboxed = true",
        "read = [\"/srv/a\"]",
        "write = [\"/srv/a\"]",
        "runtime = [\"/srv/a\"]",
        "network = [\"a.example:443\"]",
        "limits.memory = \"20MiB\"",
        "limits.cpu = 1",
        "limits.processes = 9",
        "limits.open_files = 99",
        "limits.file_size = \"5MiB\"",
        "limits.tmp_size = \"5MiB\"",
        "limits.output_rate = \"5MiB\"",
        "host_stats = true",
        "install_scripts = true",
    ];
    let digests: BTreeSet<[u8; 32]> = settings.iter().map(|settings| digest(settings)).collect();
    assert_eq!(digests.len(), settings.len());
}
