//! Servers that are watched: what is seen of them, what they do not get to see, and whether they run with what was
//! proposed.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use casemate_net::{Attempt, Protocol, Reason, Verdict, Witness};
use casemate_sandbox::learn::{Entry, LearnSpec, Observed, Proposal};
use casemate_sandbox::{Access, CellSpec, Error, Exit, Kind, Layer, Limits, Network, Spec, environment};
use tempfile::TempDir;

use crate::LESSON;
use crate::programs::{self, Body};
use crate::world::World;

pub(crate) const ALL: &[(&str, Body)] = &[
    ("a_script_runs_with_what_was_proposed", a_script_runs),
    ("python_runs_with_what_was_proposed", python_runs),
    ("node_runs_with_what_was_proposed", node_runs),
    ("an_installation_is_proposed_as_one", an_installation_is_proposed),
    ("what_is_hidden_is_gone_and_told", what_is_hidden_is_gone),
    ("what_is_hidden_stays_hidden_behind_links", what_is_hidden_behind_links),
    ("what_replaces_a_hidden_file_is_hidden_too", what_replaces_a_hidden_file),
    ("writes_are_refused_and_told", writes_are_refused),
    ("names_are_told_wherever_they_are_relative_to", names_are_told),
    ("sockets_with_a_name_are_refused_and_told", sockets_are_refused),
    ("what_is_dialed_can_be_told", what_is_dialed),
    ("what_a_server_may_not_read_is_not_proposed", what_may_not_be_read),
    ("a_drowning_server_is_told_in_part", a_drowning_server),
    ("where_nothing_can_be_seen_nothing_is_started", where_nothing_can_be_seen),
    ("only_a_full_cell_can_be_watched", only_a_full_cell),
    ("watching_leaves_nothing", watching_leaves_nothing),
];

/// A folder of the host that every user may enter, with files in it, and a list of what is hidden.
struct Ground {
    world: TempDir,
    learn: LearnSpec,
}

impl Ground {
    fn new() -> Ground {
        let world = tempfile::Builder::new().prefix("casemate-lessons").tempdir_in("/var/tmp").unwrap();
        std::fs::set_permissions(world.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let mut ground = Ground { learn: LearnSpec::new(None), world };
        ground.file("hidden/secret", "secret");
        ground.hide("hidden", "what tests hide");
        ground
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.path().join(name)
    }

    /// What of a proposal is about this folder. Every distribution has settings of its own.
    fn own(&self, proposal: &Proposal) -> Entry {
        let mut entry = proposal.entry.clone();
        for list in [&mut entry.read, &mut entry.write, &mut entry.runtime] {
            list.retain(|path| path.starts_with(self.world.path()));
        }
        entry
    }

    fn hide(&mut self, name: &str, reason: &'static str) {
        self.learn = std::mem::take(&mut self.learn).hide(self.path(name), reason);
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }
}

fn spec(program: &str, args: &[&str]) -> Spec {
    Spec {
        program: program.into(),
        args: args.iter().map(Into::into).collect(),
        env: environment::base(Path::new("/tmp"), Path::new("/tmp"), &[]),
        cwd: None,
        label: "test".to_owned(),
        cell: Some(CellSpec::new(Kind::Full)),
    }
}

/// Watches a program to its end.
fn watch(world: &World, ground: &Ground, spec: Spec) -> (Exit, String, Observed) {
    let (cell, lessons) = match world.learn(spec, ground.learn.clone()) {
        Ok(started) => started,
        Err(error) => panic!("{error} ({})", error.hint()),
    };
    let (exit, said) = world.end(cell);
    (exit, said, world.run(lessons.to_the_end()))
}

/// The cell that a proposal comes to.
fn granted(proposal: &Proposal) -> CellSpec {
    let Entry { read, write, runtime, .. } = &proposal.entry;
    let mut cell = CellSpec::new(Kind::Full);
    cell.runtime.extend(runtime.iter().cloned());
    cell = read.iter().fold(cell, |cell, path| cell.grant(Access::Read, path));
    write.iter().fold(cell, |cell, path| cell.grant(Access::Write, path))
}

/// Watches a program, and runs it again with no more than what was proposed: it must say and do the same. Without, it
/// must not.
fn learned(world: &World, ground: &Ground, spec: &Spec) -> Proposal {
    let (exit, said, observed) = watch(world, ground, spec.clone());
    assert_eq!(exit, Exit::Code(0), "{said}");
    assert_eq!(observed.overlooked, 0);
    let proposal = observed.propose();
    let outcome = world.start(spec.clone()).map(|cell| world.end(cell));
    assert!(outcome.is_err() || outcome.unwrap() != (exit, said.clone()), "{proposal}");
    let granted = Spec { cell: Some(granted(&proposal)), ..spec.clone() };
    assert_eq!(world.finish(granted), (exit, said), "{proposal}");
    proposal
}

fn remarks(proposal: &Proposal) -> String {
    let lines = proposal.remarks.iter().map(|remark| format!("{}: {}\n", remark.subject, remark.reason));
    lines.collect()
}

fn a_script_runs(world: &World) {
    let ground = Ground::new();
    for number in 0..5 {
        ground.file(&format!("data/{number}.txt"), "many\n");
    }
    ground.file("single/one.txt", "one\n");
    ground.file("single/unused.txt", "unused\n");
    symlink("data", ground.path("link")).unwrap();
    let script = format!(
        "#!/bin/sh\ncd {0}\ncat data/*.txt link/1.txt {0}/single/one.txt\ncat nothing; [ -e single/one.txt ] && echo there\n",
        ground.world.path().display(),
    );
    let script = ground.file("script.sh", &script);
    let mut spec = spec(script.to_str().unwrap(), &[]);
    // Where the script goes is only asked for, and no reason to be shown all of it.
    ground.file("cwd/file", "");
    spec.cwd = Some(ground.path("cwd"));
    let proposal = learned(world, &ground, &spec);
    let entry = Entry {
        read: ["cwd", "data", "script.sh", "single/one.txt"].map(|name| ground.path(name)).to_vec(),
        runtime: vec![ground.path("link")],
        ..Entry::default()
    };
    assert_eq!(ground.own(&proposal), entry);
    let glimpse = format!("{}: only asked for, never listed\n", ground.path("cwd").display());
    assert!(remarks(&proposal).contains(&glimpse), "{proposal}");
}

fn python_runs(world: &World) {
    if !programs::has("/usr/bin/python3") {
        return;
    }
    let ground = Ground::new();
    ground.file("app/words/__init__.py", "from . import deep\n");
    ground.file("app/words/deep.py", "HELLO = 'hello'\n");
    ground.file("app/data.json", "[1, 2, 3]");
    let main = "import json, os, pathlib, words\n\
        here = pathlib.Path(__file__).parent\n\
        print(words.deep.HELLO, json.loads((here / 'data.json').read_text()), sorted(os.listdir(here))[0])\n\
        folder = os.open(here, os.O_RDONLY | os.O_DIRECTORY)\n\
        print(len(os.read(os.open('data.json', os.O_RDONLY, dir_fd=folder), 100)))";
    let main = ground.file("app/main.py", main);
    let proposal = learned(world, &ground, &spec("/usr/bin/python3", &["-B", main.to_str().unwrap()]));
    assert_eq!(ground.own(&proposal), Entry { read: vec![ground.path("app")], ..Entry::default() });
}

fn node_runs(world: &World) {
    if !programs::has("/usr/bin/node") {
        return;
    }
    let ground = Ground::new();
    ground.file("app/node_modules/words/package.json", "{\"main\": \"lib.js\"}");
    ground.file("app/node_modules/words/lib.js", "exports.hello = 'hello';");
    let main = "#!/usr/bin/env node\nconst fs = require('fs');\n\
        console.log(require('words').hello, fs.readFileSync(__dirname + '/../data/file', 'utf8').trim());\n\
        require('child_process').execFile('cat', [__dirname + '/../data/file'], (e, out) => console.log(out.trim()));";
    let main = ground.file("app/main.js", main);
    ground.file("data/file", "data\n");
    symlink("main.js", ground.path("app/start")).unwrap();
    for program in [main, ground.path("app/start")] {
        let mut spec = spec(program.to_str().unwrap(), &[]);
        spec.cell.as_mut().unwrap().limits = Limits::default();
        let proposal = learned(world, &ground, &spec);
        assert!(proposal.entry.read.contains(&ground.path("data/file")), "{proposal}");
        assert!(!proposal.entry.read.contains(&ground.world.path().to_owned()), "{proposal}");
    }
}

/// A program that does not lie where programs lie, with what belongs to it.
fn an_installation_is_proposed(world: &World) {
    let ground = Ground::new();
    ground.file("tool/bin/tool", "#!/bin/sh\n. \"${0%/bin/*}/lib/words.sh\"\nprintf '%s\\n' \"$HELLO\"\n");
    ground.file("tool/lib/words.sh", "HELLO=hello\n");
    let proposal = learned(world, &ground, &spec(ground.path("tool/bin/tool").to_str().unwrap(), &[]));
    assert_eq!(ground.own(&proposal), Entry { runtime: vec![ground.path("tool")], ..Entry::default() });
}

fn what_is_hidden_is_gone(world: &World) {
    let ground = Ground::new();
    let read = format!(
        "cat {0}/secret || ls {0} || cat /etc/shadow || ls /run || cat /sys/kernel/uevent_seqnum",
        ground.path("hidden").display()
    );
    let (exit, said, observed) = watch(world, &ground, spec("/bin/sh", &["-c", &read]));
    assert_eq!(exit, Exit::Code(1), "{said}");
    assert!(said.matches("No such file or directory").count() >= 5, "{said}");
    let refused: Vec<_> = observed.sensitive().collect();
    assert_eq!(refused, [Path::new("/etc/shadow"), &ground.path("hidden"), &ground.path("hidden/secret")]);
    let proposal = observed.propose();
    assert_eq!(ground.own(&proposal), Entry::default());
    let remarks = remarks(&proposal);
    assert!(remarks.contains("/secret: left out, since it is refused: what tests hide\n"), "{remarks}");
    assert!(
        remarks.contains("/etc/shadow: left out, since it is refused: passwords and rights"),
        "{remarks}"
    );
    assert!(
        remarks.contains("/sys/kernel/uevent_seqnum: left out, since it belongs to the kernel"),
        "{remarks}"
    );
}

fn what_is_hidden_behind_links(world: &World) {
    let mut ground = Ground::new();
    ground.file("dotfiles/keys/key", "secret");
    symlink("dotfiles/keys", ground.path("keys")).unwrap();
    symlink("../keys/key", ground.path("dotfiles/way")).unwrap();
    ground.hide("keys", "keys");
    for way in ["keys/key", "dotfiles/keys/key", "dotfiles/way"] {
        let way = ground.path(way);
        let (exit, said, observed) = watch(world, &ground, spec("/bin/cat", &[way.to_str().unwrap()]));
        assert_eq!(exit, Exit::Code(1), "{said}");
        let seen: Vec<_> = observed.sensitive().collect();
        assert_eq!(seen, [&ground.path("dotfiles/keys/key")]);
        assert_eq!(ground.own(&observed.propose()), Entry::default());
    }
}

/// As programs do that write their settings anew: into another file, which then gets the name.
fn what_replaces_a_hidden_file(world: &World) {
    let mut ground = Ground::new();
    ground.file("home/token", "old");
    ground.hide("home/token", "a token");
    let script = format!("echo ready; read go; cat {0}; cat {0}.new", ground.path("home/token").display());
    let (mut cell, _lessons) = world.learn(spec("/bin/sh", &["-c", &script]), ground.learn.clone()).unwrap();
    let mut line = [0; 6];
    world.run(tokio::io::AsyncReadExt::read_exact(&mut cell.io.stdout, &mut line)).unwrap();
    std::fs::rename(ground.file("home/token.new", "new"), ground.path("home/token")).unwrap();
    world.run(tokio::io::AsyncWriteExt::write_all(&mut cell.io.stdin, b"go\n")).unwrap();
    let (exit, said) = world.end(cell);
    assert_eq!((exit, said.contains("new\n")), (Exit::Code(1), false), "{said}");
}

fn writes_are_refused(world: &World) {
    let ground = Ground::new();
    let lay_out = || {
        for name in ["log/file", "made/here", "gone/file", "named/old", "touched/file"] {
            let path = ground.file(name, "x\n");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
            std::fs::set_permissions(path.parent().unwrap(), PermissionsExt::from_mode(0o777)).unwrap();
        }
        let _ = std::fs::remove_dir_all(ground.path("made/a"));
    };
    let script = format!(
        "cd {}; echo y >> log/file && mkdir -p made/a/b && rm gone/file && mv named/old named/new && \
         touch touched/file && mkdir -p log && echo done > /tmp/own && cat log/file",
        ground.world.path().display(),
    );
    let mut spec = spec("/bin/sh", &["-c", &script]);
    let mut learn = ground.learn.clone();
    // Each round goes as far as it may; what stops it is proposed for the next.
    let order = ["log/file", "made", "gone", "named", "touched/file"];
    for round in 1..=order.len() {
        lay_out();
        let (cell, lessons) = world.learn(spec.clone(), learn.clone()).unwrap();
        let (exit, said) = world.end(cell);
        assert_ne!(exit, Exit::Code(0));
        assert!(said.contains("Read-only file system"), "{said}");
        let proposal = world.run(lessons.to_the_end()).propose();
        let mut expected: Vec<_> = order[..round].iter().map(|name| ground.path(name)).collect();
        expected.sort();
        assert_eq!(proposal.entry.write, expected, "{proposal}");
        learn.entry = proposal.entry.clone();
        spec.cell = Some(granted(&proposal));
    }
    lay_out();
    assert_eq!(world.finish(spec), (Exit::Code(0), "x\ny\n".to_owned()));
    assert!(!ground.path("gone/file").exists() && ground.path("made/a/b").exists());
}

fn names_are_told(world: &World) {
    if !programs::has("/usr/bin/python3") {
        return;
    }
    let ground = Ground::new();
    for name in ["a/absolute", "a/b/relative", "a/b/c/descriptor", "d/climbed", "a/thread"] {
        ground.file(name, "x");
    }
    let script = format!(
        "import os, threading\n\
         root = '{}'\n\
         open(root + '/a//./absolute'); os.chdir(root + '/a/b'); open('relative')\n\
         os.open('descriptor', os.O_RDONLY, dir_fd=os.open('c', os.O_RDONLY)); open('../../d/climbed')\n\
         t = threading.Thread(target=lambda: open('../thread')); t.start(); t.join()\n\
         [os.path.exists(name) for name in ('', 'x' * 5000, '/', b'/\\xff\\n')]",
        ground.world.path().display(),
    );
    let (exit, said, observed) = watch(world, &ground, spec("/usr/bin/python3", &["-c", &script]));
    assert_eq!((exit, said.as_str()), (Exit::Code(0), ""));
    let reads: Vec<_> = observed.reads().filter(|path| path.starts_with(ground.world.path())).collect();
    let expected = ["a/absolute", "a/b/c", "a/b/c/descriptor", "a/b/relative", "a/thread", "d/climbed"];
    assert_eq!(reads, expected.map(|name| ground.path(name)));
    assert!(observed.executed().any(|path| path.starts_with("/usr/bin")), "{observed:?}");
}

fn sockets_are_refused(world: &World) {
    if !programs::has("/usr/bin/python3") {
        return;
    }
    let ground = Ground::new();
    let listener = std::os::unix::net::UnixListener::bind(ground.path("socket")).unwrap();
    std::fs::set_permissions(ground.path("socket"), PermissionsExt::from_mode(0o777)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let script = format!(
        "import errno, socket\n\
         for make in (lambda: socket.socket(socket.AF_UNIX), lambda: socket.socketpair(type=socket.SOCK_DGRAM)):\n\
         \ttry: make(); print('made')\n\
         \texcept OSError as e: print(errno.errorcode[e.errno])\n\
         a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))\n\
         open('{}').read()",
        ground.path("socket").display(),
    );
    let (exit, said, observed) = watch(world, &ground, spec("/usr/bin/python3", &["-c", &script]));
    assert_eq!(exit, Exit::Code(1));
    assert!(said.starts_with("EACCES\nEACCES\nb'x'\n"), "{said}");
    assert!(listener.accept().is_err());
    assert!(observed.sockets >= 2);
    let proposal = observed.propose();
    assert!(remarks(&proposal).contains("/socket: left out, since it is a socket"), "{proposal}");
    assert_eq!(ground.own(&proposal), Entry::default());
}

/// Names and addresses come from whoever serves the doorway, which every watched cell has.
fn what_is_dialed(world: &World) {
    let ground = Ground::new();
    let (cell, lessons) = world.learn(spec("/bin/true", &[]), ground.learn.clone()).unwrap();
    assert!(cell.doorway.is_some());
    assert_eq!(cell.handle.report().enforced.as_ref().unwrap().ports, Some([].into()));
    for (port, protocol) in [(53, Protocol::Lookup), (8443, Protocol::Tcp), (8443, Protocol::Tcp)] {
        let name = Some("api.example.org".to_owned());
        let verdict = Verdict::Refused(Reason::NotGranted);
        lessons.attempt(&Attempt { name, address: None, port, protocol, verdict, times: 1 });
    }
    world.end(cell);
    let proposal = world.run(lessons.to_the_end()).propose();
    assert_eq!(proposal.entry.network, ["api.example.org:8443"]);
    let mut granted = spec("/bin/true", &[]);
    granted.cell.as_mut().unwrap().network = Network::Ports([8443].into());
    let (cell, _lessons) = world.learn(granted, ground.learn.clone()).unwrap();
    assert_eq!(cell.doorway.unwrap().tcp.len(), 1);
}

/// Root sees more than its servers do. What a proposal grants must be of use, or the start is refused.
fn what_may_not_be_read(world: &World) {
    let ground = Ground::new();
    let [closed, private_file, inside] =
        ["closed", "private-file", "private/inside"].map(|name| ground.file(name, "x"));
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o000)).unwrap();
    std::fs::set_permissions(&private_file, PermissionsExt::from_mode(0o600)).unwrap();
    let private = inside.parent().unwrap().to_owned();
    std::fs::set_permissions(&private, PermissionsExt::from_mode(0o000)).unwrap();
    let paths = [&closed, &private_file, &inside, &private].map(|path| path.to_str().unwrap().to_owned());
    let script =
        spec("/bin/sh", &["-c", &format!("cat {} {} {}; ls {}", paths[0], paths[1], paths[2], paths[3])]);
    let (_, said, observed) = watch(world, &ground, script.clone());
    let is_root = rustix::process::geteuid().is_root();
    assert_eq!(said.matches("Permission denied").count(), if is_root { 4 } else { 3 }, "{said}");
    let proposal = observed.propose();
    // Root can lend a server what its owner may read, and show it what lies in a closed folder.
    let read = if is_root { vec![inside, private_file] } else { vec![private_file] };
    assert_eq!(ground.own(&proposal), Entry { read, ..Entry::default() }, "{proposal}");
    world.finish(Spec { cell: Some(granted(&proposal)), ..script });
    std::fs::set_permissions(&private, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(
        remarks(&proposal).contains("/closed: left out, since it may not be read by the server's user"),
        "{proposal}"
    );
}

fn a_drowning_server(world: &World) {
    let ground = Ground::new();
    let names: String = (0..17_000).map(|number| format!("{number}\n")).collect();
    ground.file("many/names", &names);
    let script =
        format!("cd {}; while read n; do true > made-$n; done < names", ground.path("many").display());
    let (_, _, observed) = watch(world, &ground, spec("/bin/sh", &["-c", &script]));
    assert_eq!(observed.files.len(), 1 << 14);
    assert!(observed.overlooked > 0);
    let proposal = observed.propose();
    assert!(remarks(&proposal).contains("could not be seen, or were too many to be kept"), "{proposal}");
    assert_eq!(proposal.entry.write, [ground.path("many")]);
}

/// Plays a casemate that the kernel does not let look at its servers; Yama does so, and filters of containers.
fn where_nothing_can_be_seen(_: &World) {
    let own = std::env::current_exe().unwrap();
    let output = std::process::Command::new(own).arg(LESSON).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "refused\n", "{output:?}");
}

/// The part of [`where_nothing_can_be_seen`].
pub(crate) fn play() -> ExitCode {
    use seccompiler::{SeccompAction, SeccompFilter, TargetArch};
    let architecture = if cfg!(target_arch = "x86_64") { TargetArch::x86_64 } else { TargetArch::aarch64 };
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let calls = [(libc::SYS_process_vm_readv, Vec::new())].into();
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, refused, architecture).unwrap();
    let program: seccompiler::BpfProgram = filter.try_into().unwrap();
    rustix::thread::set_no_new_privs(true).unwrap();
    seccompiler::apply_filter_all_threads(&program).unwrap();
    let world = World::new(Kind::Full);
    match world.learn(spec("/bin/true", &[]), LearnSpec::default()) {
        Err(Error::NoCell { refusal, .. }) if refusal.layer == Layer::Seccomp => println!("refused"),
        other => println!("{other:?}"),
    }
    ExitCode::SUCCESS
}

fn only_a_full_cell(world: &World) {
    let light = Spec { cell: Some(CellSpec::new(Kind::Light)), ..spec("/bin/true", &[]) };
    let Err(Error::NoCell { refusal, .. }) = world.learn(light, LearnSpec::default()) else { panic!() };
    assert!(refusal.reason.contains("light cell"), "{refusal}");
    let none = Spec { cell: None, ..spec("/bin/true", &[]) };
    assert!(matches!(world.learn(none, LearnSpec::default()), Err(Error::Spec { .. })));
}

fn watching_leaves_nothing(world: &World) {
    let ground = Ground::new();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let plain = || drop(watch(world, &ground, spec("/bin/true", &[])));
    plain();
    let (before, threads_before) = (programs::left(), threads());
    (0..10).for_each(|_| plain());
    let missing = world.learn(spec("/no/such/program", &[]), ground.learn.clone());
    assert!(matches!(missing, Err(Error::NoProgram { .. })), "{missing:?}");
    // One that is dropped in the middle of it.
    drop(
        world
            .learn(spec("/bin/sh", &["-c", "while :; do cat /etc/hostname; done"]), ground.learn.clone())
            .unwrap(),
    );
    programs::settled(&before);
    while threads() > threads_before {
        std::thread::yield_now();
    }
}
