//! The life of a container, from its start to its removal.

use std::process::{Command, Stdio};
use std::time::Duration;

use casemate_sandbox::container::{Container, ContainerError, Engine, ImageSpec};
use casemate_sandbox::{Access, CellSpec, Certainty, Exit, Grant, Layer, Limit, Network, Overrun};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::PART;
use crate::stage::{Body, Stage, finish, line, open_to_all, search};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("what_is_written_comes_back", what_is_written_comes_back),
    ("outputs_and_exit_codes_are_told_apart", outputs_and_exit_codes_are_told_apart),
    ("megabytes_pass_in_both_directions", megabytes_pass_in_both_directions),
    ("termination_is_passed_on", termination_is_passed_on),
    ("a_server_that_will_not_end_is_killed", a_server_that_will_not_end_is_killed),
    ("a_dropped_handle_removes_the_container", a_dropped_handle_removes_the_container),
    ("a_start_that_is_given_up_leaves_nothing", a_start_that_is_given_up_leaves_nothing),
    ("the_report_says_what_is_in_force", the_report_says_what_is_in_force),
    ("a_server_sees_what_it_was_given", a_server_sees_what_it_was_given),
    ("the_limit_that_ends_a_server_is_named", the_limit_that_ends_a_server_is_named),
    ("grants_show_what_they_name", grants_show_what_they_name),
    ("what_no_container_can_be_made_of_is_refused", what_no_container_can_be_made_of_is_refused),
    ("containers_do_not_reach_each_other", containers_do_not_reach_each_other),
    ("leftovers_of_the_dead_are_removed_and_no_others", leftovers_of_the_dead_are_removed_and_no_others),
    ("an_engine_that_is_closed_starts_nothing", an_engine_that_is_closed_starts_nothing),
];

fn what_is_written_comes_back(stage: &Stage) {
    let Container { mut stdin, mut stdout, handle, .. } = stage.start(&stage.spec("cat", &[])).unwrap();
    stage.run(async {
        stdin.write_all(b"hello\n").await.unwrap();
        assert_eq!(line(&mut stdout).await, "hello");
        assert_eq!(handle.exit(), None);
        drop(stdin);
        assert_eq!(handle.wait().await, Exit::Code(0));
        assert_eq!((handle.exit(), handle.overrun()), (Some(Exit::Code(0)), None));
    });
}

fn outputs_and_exit_codes_are_told_apart(stage: &Stage) {
    let said = stage.finish(&stage.spec("say", &[]));
    assert_eq!(said, (Exit::Code(3), "out\n".to_owned(), "err\n".to_owned()));
    let mut spec = stage.spec("", &[]);
    spec.command = Some(vec!["/no/such/program".to_owned()]);
    let (exit, _, complaint) = stage.finish(&spec);
    assert_eq!(exit, Exit::Code(127), "{complaint}");
}

fn megabytes_pass_in_both_directions(stage: &Stage) {
    let sent: Vec<u8> = (0..4_u32 << 20).map(|i| b'a' + (i % 25) as u8).collect();
    let Container { mut stdin, mut stdout, handle, .. } = stage.start(&stage.spec("cat", &[])).unwrap();
    let received = stage.run(async {
        let write = async {
            stdin.write_all(&sent).await.unwrap();
            drop(stdin);
        };
        let mut received = Vec::new();
        let (_, read) = tokio::join!(write, stdout.read_to_end(&mut received));
        read.unwrap();
        assert_eq!(handle.wait().await, Exit::Code(0));
        received
    });
    assert!(sent == received);
}

fn termination_is_passed_on(stage: &Stage) {
    let container = stage.start(&stage.spec("cat", &[])).unwrap();
    let exit = stage.run(container.handle.terminate(Duration::from_secs(60)));
    assert_eq!(exit, Exit::Signal(libc::SIGTERM));
}

fn a_server_that_will_not_end_is_killed(stage: &Stage) {
    let mut container = stage.start(&stage.spec("stubborn", &[])).unwrap();
    stage.run(async {
        assert_eq!(line(&mut container.stdout).await, "ready");
        let exit = container.handle.terminate(Duration::from_millis(50)).await;
        assert_eq!((exit, container.handle.overrun()), (Exit::Signal(libc::SIGKILL), None));
    });
}

fn a_dropped_handle_removes_the_container(stage: &Stage) {
    drop(stage.start(&stage.spec("stubborn", &[])).unwrap());
    stage.run(stage.engine.close());
    assert_eq!(stage.containers(), [""; 0]);
}

/// Given up at different moments of the start; the stage sees to it that nothing is left.
fn a_start_that_is_given_up_leaves_nothing(stage: &Stage) {
    for time in [0, 5, 20, 60, 120, 200] {
        let spec = stage.spec("stubborn", &[]);
        let start = stage.engine.start(&spec);
        let _ = stage.run(async { tokio::time::timeout(Duration::from_millis(time), start).await });
    }
}

fn the_report_says_what_is_in_force(stage: &Stage) {
    let container = stage.start(&stage.spec("cat", &[])).unwrap();
    let report = container.handle.report().clone();
    drop(container);
    assert_eq!((report.user, report.group), (CellSpec::NOBODY, CellSpec::NOBODY));
    assert_eq!(report.image, stage.docker.image);
    assert_eq!(report.engine, stage.engine.about().name);
    let absent: Vec<_> = report.absent.iter().map(|absent| absent.layer).collect();
    for layer in Layer::ALL {
        assert_ne!(report.layers.contains(&layer), absent.contains(&layer), "{layer}: {report}");
    }
    assert_eq!(absent, [Layer::Landlock, Layer::Nesting, Layer::Guard], "{report}");
    let mut spec = stage.spec("cat", &[]);
    spec.overrides = vec![("/HostConfig/ReadonlyRootfs", false.into())];
    let weakened = stage.start(&spec).unwrap();
    let report = weakened.handle.report();
    assert!(
        !report.layers.contains(&Layer::ReadOnly) && report.to_string().contains("without read-only"),
        "{report}"
    );
}

fn a_server_sees_what_it_was_given(stage: &Stage) {
    let mut spec = stage.spec("files", &["/proc/self/status", "/proc/self/environ", "/proc/self/limits"]);
    spec.env = vec![("TOKEN".to_owned(), "very secret".into())];
    let (exit, said, _) = stage.finish(&spec);
    assert_eq!(exit, Exit::Code(0));
    let nobody = CellSpec::NOBODY;
    let rows = [
        format!("Uid:\t{nobody}\t{nobody}\t{nobody}\t{nobody}"),
        format!("Gid:\t{nobody}\t{nobody}\t{nobody}\t{nobody}"),
        format!("Groups:\t{nobody} "),
        "NoNewPrivs:\t1".to_owned(),
        "Seccomp:\t2".to_owned(),
        "TOKEN=very secret".to_owned(),
    ];
    for row in rows {
        assert!(said.lines().any(|line| line == row || line.trim() == row.trim()), "{row} in {said}");
    }
    for set in ["Inh", "Prm", "Eff", "Bnd", "Amb"] {
        assert!(said.contains(&format!("Cap{set}:\t0000000000000000")), "{set}: {said}");
    }
    let names: Vec<_> = said.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["PATH", "HOSTNAME", "HOME", "TMPDIR", "TOKEN"],
        "what an engine adds, and what was named"
    );
    let limit = |name: &str| {
        said.lines()
            .find(|line| line.starts_with(name))
            .unwrap()
            .split_whitespace()
            .rev()
            .nth(1)
            .unwrap()
            .to_owned()
    };
    assert_eq!(limit("Max open files"), spec.limits.open_files.to_string());
    assert_eq!(limit("Max core file size"), "0");
}

fn the_limit_that_ends_a_server_is_named(stage: &Stage) {
    let known = |limit| Overrun { limit, certainty: Certainty::Known };
    let end = |spec: &ImageSpec| {
        let container = stage.start(spec).unwrap();
        stage.run(async { (container.handle.wait().await, container.handle.overrun()) })
    };
    let mut spec = stage.spec("hog", &[]);
    spec.limits.memory_bytes = 64 << 20;
    assert_eq!(end(&spec), (Exit::Signal(libc::SIGKILL), Some(known(Limit::Memory))));
    let mut spec = stage.spec("write", &["/tmp/giant", "2000000"]);
    spec.limits.file_bytes = 1 << 20;
    assert_eq!(end(&spec), (Exit::Signal(libc::SIGXFSZ), Some(known(Limit::FileSize))));
    assert_eq!(end(&stage.spec("say", &[])), (Exit::Code(3), None));
}

fn grants_show_what_they_name(stage: &Stage) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    open_to_all(folder.path(), 0o755);
    let [read, write] = ["read", "write"].map(|name| folder.path().join(name));
    for path in [&read, &write] {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join("file"), "text").unwrap();
        open_to_all(path, 0o777);
        open_to_all(&path.join("file"), 0o666);
    }
    let note = write.join("note");
    let with_grants = |part: &str, args: &[&str]| {
        let mut spec = stage.spec(part, args);
        spec.grants = vec![
            Grant { path: read.clone(), access: Access::Read },
            Grant { path: write.clone(), access: Access::Write },
        ];
        stage.finish(&spec)
    };
    let file = read.join("file");
    assert_eq!(with_grants("files", &[file.to_str().unwrap()]).1, "text\n");
    assert_eq!(with_grants("write", &[note.to_str().unwrap(), "4"]).0, Exit::Code(0));
    assert_eq!(std::fs::read_to_string(note).unwrap(), "xxxx");
    let (exit, _, said) = with_grants("write", &[file.to_str().unwrap(), "4"]);
    assert!(exit == Exit::Code(101) && said.contains("ReadOnlyFilesystem"), "{exit} {said}");
}

fn what_no_container_can_be_made_of_is_refused(stage: &Stage) {
    type Change = fn(&mut ImageSpec);
    let grant = |spec: &mut ImageSpec, path: &str| {
        spec.grants.push(Grant { path: path.into(), access: Access::Read })
    };
    let socket = stage.docker.socket.clone();
    let with = |change: &dyn Fn(&mut ImageSpec)| {
        let mut spec = stage.spec("cat", &[]);
        change(&mut spec);
        match stage.start(&spec) {
            Err(ContainerError::Spec { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    };
    for (path, why) in
        [("/", "absolute"), ("/proc/1", "kernel"), ("/etc", "top folder"), ("/no/such", "does not exist")]
    {
        let what = with(&|spec| grant(spec, path));
        assert!(what.contains(path) && what.contains(why), "{what}");
    }
    for path in [socket.as_path(), socket.parent().unwrap()] {
        let what = with(&|spec| grant(spec, path.to_str().unwrap()));
        assert!(what.contains("engine's socket"), "{what}");
    }
    let changes: &[(Change, &str)] = &[
        (|spec| spec.user = Some(0), "root"),
        (|spec| spec.network = Network::Ports([53].into()), "port 53"),
        (|spec| spec.label = "a b".to_owned(), "label"),
        (|spec| spec.label = String::new(), "label"),
        (|spec| spec.command = Some(Vec::new()), "command"),
        (|spec| spec.args = vec!["a\0b".to_owned()], "NUL"),
        (|spec| spec.cwd = Some("tmp".to_owned()), "working directory"),
        (|spec| spec.env = vec![("A=B".to_owned(), "x".into())], "variable"),
        (|spec| spec.env = vec![("A".to_owned(), "x".into()), ("A".to_owned(), "y".into())], "twice"),
    ];
    for (change, why) in changes {
        let what = with(&|spec| change(spec));
        assert!(what.contains(why), "{what}");
    }
    assert_eq!(stage.containers(), [""; 0]);
}

fn containers_do_not_reach_each_other(stage: &Stage) {
    const PORT: &str = "4711";
    let mut victim = stage.start(&stage.spec("listen", &[PORT])).unwrap();
    assert_eq!(stage.run(line(&mut victim.stdout)), "ready");
    let mut dial = stage.spec("dial", &[PORT]);
    assert_eq!(stage.finish(&dial).0, Exit::Code(1));
    // It is there, for one who shares its network.
    let network = format!("container:{}", victim.handle.id());
    dial.overrides = vec![("/HostConfig/NetworkMode", network.into()), ("/Hostname", "".into())];
    assert_eq!(stage.finish(&dial).0, Exit::Code(0));
}

/// A casemate that starts a container, for as long as its input is open.
fn another(stage: &Stage, installation: &str) -> std::process::Child {
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args([PART, "casemate", stage.docker.socket.to_str().unwrap(), &stage.docker.image, installation])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut ready).unwrap();
    assert_eq!(&ready, b"ready\n");
    other
}

fn leftovers_of_the_dead_are_removed_and_no_others(stage: &Stage) {
    let mut victims = ["swept", "swept", "another"].map(|installation| another(stage, installation));
    let own = stage.start(&stage.spec("cat", &[])).unwrap();
    let before = stage.containers().len();
    // Each of the others has a container for its network as well.
    assert_eq!(before, 3 * 2 + 1);
    for victim in [0, 2] {
        victims[victim].kill().unwrap();
        victims[victim].wait().unwrap();
    }
    let engine = |installation: &str| stage.run(Engine::find(&search(&stage.docker, installation))).unwrap();
    let swept = |installation| stage.run(engine(installation).sweep()).unwrap();
    let first = swept("swept");
    assert_eq!((first.removed.len(), first.left.len()), (2, 0), "{first:?}");
    assert!(first.removed[0].starts_with("casemate-left-"), "{first:?}");
    assert_eq!(stage.containers().len(), before - 2);
    assert_eq!(swept("swept").removed, [""; 0]);
    assert_eq!(swept("another").removed.len(), 2);
    // The one that lives ends in its own time, and so does ours.
    drop(victims[1].stdin.take());
    assert!(victims[1].wait().unwrap().success());
    assert_eq!(stage.run(finish(own)).0, Exit::Code(0));
    assert_eq!(stage.docker.client(&["images", "--quiet", "casemate-doors"]).unwrap(), "");
}

fn an_engine_that_is_closed_starts_nothing(stage: &Stage) {
    stage.run(stage.engine.close());
    assert!(matches!(stage.start(&stage.spec("cat", &[])), Err(ContainerError::Closed)));
}
