//! Real programs, which must run.

use std::collections::BTreeSet;

use casemate_sandbox::{Access, CellSpec, Error, Exit, Host, Kind, Layer, Limits, Need, Plan};

use crate::world::World;

/// What a test of every kind of cell is.
pub(crate) type Body = fn(&World);

pub(crate) const ALL: &[(&str, Body)] = &[
    ("a_shell_runs", a_shell_runs),
    ("python_runs", python_runs),
    ("node_runs", node_runs),
    ("an_installed_package_runs_from_a_read_only_tree", an_installed_package_runs),
    ("the_report_says_what_is_in_force", the_report_says_what_is_in_force),
    ("a_grant_that_does_not_exist_is_refused", a_grant_that_does_not_exist_is_refused),
    ("a_grant_behind_a_link_is_refused", a_grant_behind_a_link_is_refused),
    ("a_grant_that_is_of_no_use_is_refused", a_grant_that_is_of_no_use_is_refused),
    ("a_writable_grant_keeps_what_is_written", a_writable_grant_keeps_what_is_written),
    ("the_tree_dies_with_the_cell", the_tree_dies_with_the_cell),
    ("cells_leave_nothing", cells_leave_nothing),
    ("every_step_that_fails_refuses_the_start", every_step_that_fails_refuses_the_start),
];

/// Whether a program of the host can be tried.
pub(crate) fn has(program: &str) -> bool {
    let there = std::path::Path::new(program).exists();
    if !there {
        eprintln!("not tried, because it is not installed: {program}");
    }
    there
}

fn prints(world: &World, program: &str, args: &[&str], expected: &str) {
    let mut spec = world.spec(program, args);
    spec.cell.as_mut().unwrap().limits = Limits::default();
    let (exit, said) = world.finish(spec);
    assert_eq!((exit, said.as_str()), (Exit::Code(0), expected));
}

fn a_shell_runs(world: &World) {
    prints(world, "/bin/sh", &["-c", "printf '%s\\n' a b | sort -r | (cat; exit 0)"], "b\na\n");
    if world.kind == Kind::Full {
        let who = "id -un; id -u; hostname; cat /etc/resolv.conf | wc -l; ls / | grep -xE 'usr|tmp|home|root|sys|boot|run'; \
                   echo x > /tmp/x; cat /tmp/x";
        prints(world, "sh", &["-c", who], "cell\n1000\ncell\n1\ntmp\nusr\nx\n");
    }
}

fn python_runs(world: &World) {
    if has("/usr/bin/python3") {
        let script = "import ssl, subprocess, threading, multiprocessing, socket, tempfile\n\
            a, b = socket.socketpair()\n\
            t = threading.Thread(target=lambda: a.send(b'hello')); t.start(); t.join()\n\
            print(b.recv(5).decode(), subprocess.run(['echo', 'there'], capture_output=True, text=True).stdout.strip())\n\
            with tempfile.TemporaryFile() as f: f.write(b'x')";
        prints(world, "/usr/bin/python3", &["-c", script], "hello there\n");
    }
}

fn node_runs(world: &World) {
    if has("/usr/bin/node") {
        let script = "const { execFile } = require('child_process'); const { Worker } = require('worker_threads');\n\
            new Worker('require(\"worker_threads\").parentPort.postMessage(6 * 7)', { eval: true }).on('message', n =>\n\
            execFile('echo', ['from node'], (e, out) => console.log(n, out.trim(), require('crypto').randomBytes(4).length)))";
        prints(world, "/usr/bin/node", &["-e", script], "42 from node 4\n");
    }
}

/// The layout that `npm install` leaves: a link in `.bin`, a package with a dependency beside it.
fn an_installed_package_runs(world: &World) {
    if !has("/usr/bin/node") {
        return;
    }
    let tree = world.facts.folder.join("tree");
    let modules = tree.join("node_modules");
    for folder in [".bin", "server", "words"] {
        std::fs::create_dir_all(modules.join(folder)).unwrap();
    }
    std::fs::write(modules.join("words/index.js"), "exports.hello = 'hello from a package';\n").unwrap();
    std::fs::write(
        modules.join("server/main.js"),
        "#!/usr/bin/env node\nconsole.log(require('words').hello);\n\
         try { require('fs').writeFileSync(__filename, ''); } catch (e) { console.log(e.code !== undefined); }\n",
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(modules.join("server/main.js"), mode).unwrap();
    std::os::unix::fs::symlink("../server/main.js", modules.join(".bin/server")).unwrap();
    let mut spec = world.spec(modules.join(".bin/server").to_str().unwrap(), &[]);
    spec.cell = Some(CellSpec::new(world.kind).grant(Access::Read, &tree));
    spec.cwd = Some(tree);
    assert_eq!(world.finish(spec), (Exit::Code(0), "hello from a package\ntrue\n".to_owned()));
}

fn the_report_says_what_is_in_force(world: &World) {
    let cell = world.start(world.spec("/bin/cat", &[])).unwrap();
    let enforced = cell.handle.report().enforced.clone().unwrap();
    assert_eq!(enforced.kind, world.kind);
    let everything = |layers: &[Layer]| layers.iter().all(|layer| enforced.layers.contains(layer));
    assert!(
        everything(&[Layer::Seccomp, Layer::NoNewPrivileges, Layer::Capabilities, Layer::Memory]),
        "{enforced}"
    );
    assert_eq!(
        everything(&[Layer::Files, Layer::Network, Layer::Processes]),
        world.kind == Kind::Full,
        "{enforced}"
    );
    assert_eq!(enforced.landlock.is_some(), enforced.layers.contains(&Layer::Landlock));
    drop(cell);
    let mut spec = world.spec("/bin/cat", &[]);
    spec.cell.as_mut().unwrap().without = vec![Layer::Seccomp];
    let weakened = world.start(spec).unwrap();
    let enforced = weakened.handle.report().enforced.clone().unwrap();
    assert!(!enforced.layers.contains(&Layer::Seccomp));
    assert!(enforced.to_string().contains("without seccomp (left out on request)"), "{enforced}");
}

fn refusal(world: &World, cell: CellSpec) -> casemate_sandbox::Refusal {
    let mut spec = world.spec("/bin/cat", &[]);
    spec.cell = Some(cell);
    let error = world.start(spec).unwrap_err();
    assert!(!error.hint().is_empty());
    let Error::NoCell { refusal, .. } = error else { panic!("{error:?}") };
    refusal
}

fn a_grant_that_does_not_exist_is_refused(world: &World) {
    let refusal = refusal(world, CellSpec::new(world.kind).grant(Access::Read, "/no/such/folder"));
    assert!(refusal.reason.contains("/no/such/folder"), "{refusal}");
}

fn a_grant_behind_a_link_is_refused(world: &World) {
    let link = world.facts.folder.join("link");
    std::os::unix::fs::symlink(world.facts.folder.join("outside"), &link).unwrap();
    let refusal = refusal(world, CellSpec::new(world.kind).grant(Access::Read, &link));
    assert!(refusal.reason.contains("link"), "{refusal}");
}

fn a_grant_that_is_of_no_use_is_refused(world: &World) {
    // In a full cell, root's own is the server's own.
    if !rustix::process::geteuid().is_root() || world.kind == Kind::Full {
        return;
    }
    let private = world.facts.folder.join("private");
    std::fs::create_dir(&private).unwrap();
    std::fs::set_permissions(&private, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let refusal = refusal(world, CellSpec::new(world.kind).grant(Access::Write, &private));
    assert!(refusal.reason.contains("really writable"), "{refusal}");
}

fn a_writable_grant_keeps_what_is_written(world: &World) {
    let path = world.facts.folder.join("write");
    let script = format!("echo kept > {}/note", path.display());
    prints(world, "/bin/sh", &["-c", &script], "");
    assert_eq!(std::fs::read_to_string(path.join("note")).unwrap(), "kept\n");
}

/// The processes of this host whose command line has a word.
fn processes_with(word: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| contains(&line, word)))
        .count()
}

fn contains(line: &[u8], word: &str) -> bool {
    line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
}

fn the_tree_dies_with_the_cell(world: &World) {
    // A length of sleep that tells our sleepers from everybody else's.
    let word = format!("1{:06}", std::process::id());
    let script = format!("(setsid sleep {word} >/dev/null 2>&1 &); echo ready; exec cat");
    let mut cell = world.start(world.spec("/bin/sh", &["-c", &script])).unwrap();
    let mut line = [0; 6];
    world.run(tokio::io::AsyncReadExt::read_exact(&mut cell.io.stdout, &mut line)).unwrap();
    assert_eq!(&line, b"ready\n");
    while processes_with(&word) == 0 {
        std::thread::yield_now();
    }
    cell.handle.kill();
    assert_eq!(world.run(cell.handle.wait()), Exit::Signal(libc::SIGKILL));
    assert_eq!(processes_with(&word), 0);
}

/// What a cell could leave behind: our descriptors, our children, our mounts and control groups.
pub(crate) type Left = (usize, usize, BTreeSet<String>);

pub(crate) fn left() -> Left {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let own = format!("PPid:\t{}\n", std::process::id());
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let statuses = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("status")).ok());
    let children = statuses.filter(|status| status.contains(&own)).count();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let groups = crate::limits::groups().into_iter().map(|path| path.display().to_string());
    (descriptors, children, mounts.lines().map(str::to_owned).chain(groups).collect())
}

fn cells_leave_nothing(world: &World) {
    world.finish(world.spec("/bin/true", &[]));
    let before = left();
    for number in 0..60 {
        if number % 3 == 0 {
            let mut spec = world.spec("/bin/true", &[]);
            spec.cell.as_mut().unwrap().grants[0].path = "/no/such/grant".into();
            world.start(spec).unwrap_err();
        } else {
            world.finish(world.spec("/bin/true", &[]));
        }
    }
    settled(&before);
}

fn every_step_that_fails_refuses_the_start(world: &World) {
    world.finish(world.spec("/bin/true", &[]));
    let before = left();
    let mut cell = world.cell();
    if world.kind == Kind::Full {
        cell.network = world.doors();
    }
    let plan = Plan::of(&cell, &Host::probe()).unwrap();
    let mut refused = 0;
    for (number, step) in plan.steps.iter().enumerate() {
        let mut spec = world.spec("/bin/cat", &[]);
        spec.cell = Some(CellSpec { failing: Some(number), ..cell.clone() });
        match (world.start(spec), step.need) {
            (Err(Error::NoCell { refusal, .. }), Need::Required) => {
                assert_eq!(refusal.layer, step.layer);
                assert!(step.to_string().contains(refusal.reason.split(": ").next().unwrap()), "{refusal}");
                refused += 1;
            }
            (Ok(cell), Need::Additional) => {
                let enforced = cell.handle.report().enforced.clone().unwrap();
                assert!(!enforced.layers.contains(&step.layer), "{enforced}");
            }
            // Namespaces are made by one call, of which no part can fail alone.
            (Ok(_), Need::Required) => assert!(step.to_string().ends_with(" namespace"), "{step}"),
            (outcome, _) => panic!("{step}: {outcome:?}"),
        }
    }
    assert!(refused >= 8, "{refused}");
    settled(&before);
}

/// Waits until no more is left than before: the spawner closes what it held a moment after the last event that a test
/// can await. What was there before may be gone by now: it can have been the last cell's.
pub(crate) fn settled(before: &Left) {
    for _ in 0..60_000 {
        let after = left();
        if after.0 <= before.0 && after.1 <= before.1 && after.2.is_subset(&before.2) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(&left(), before);
}
