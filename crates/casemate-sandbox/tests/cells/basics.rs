//! What a server sees, and how its end is seen.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use casemate_sandbox::{Containment, Exit, ProcView};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Body;
use super::stage::{self, Stage, line};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("what_is_written_comes_back", what_is_written_comes_back),
    ("megabytes_pass_in_both_directions", megabytes_pass_in_both_directions),
    ("exit_codes_and_signals_are_told_apart", exit_codes_and_signals_are_told_apart),
    ("output_outlives_its_writer", output_outlives_its_writer),
    ("the_environment_is_exactly_the_named_one", the_environment_is_exactly_the_named_one),
    ("no_descriptor_leaks_in", no_descriptor_leaks_in),
    ("signals_are_as_a_program_expects", signals_are_as_a_program_expects),
    ("a_server_leads_its_own_session", a_server_leads_its_own_session),
    ("files_belong_to_us", files_belong_to_us),
    ("a_server_gains_no_rights", a_server_gains_no_rights),
    ("proc_shows_what_the_report_says", proc_shows_what_the_report_says),
    ("our_own_mounts_stay_as_they_were", our_own_mounts_stay_as_they_were),
    ("our_many_descriptors_are_not_the_servers", our_many_descriptors_are_not_the_servers),
    ("termination_is_passed_on", termination_is_passed_on),
    ("a_server_that_will_not_end_is_killed", a_server_that_will_not_end_is_killed),
];

fn what_is_written_comes_back(stage: &Stage) {
    stage.run(async {
        let (mut io, handle) = stage.spawn("cat", &[]).await.unwrap().split();
        assert_eq!(handle.report().containment, stage.containment);
        io.stdin.write_all(b"hello\n").await.unwrap();
        assert_eq!(line(&mut io).await, "hello");
        assert_eq!(handle.exit(), None);
        drop(io.stdin);
        assert_eq!(handle.wait().await, Exit::Code(0));
        assert_eq!(handle.exit(), Some(Exit::Code(0)));
    });
}

fn megabytes_pass_in_both_directions(stage: &Stage) {
    let sent: Vec<u8> = (0..4_u32 << 20).map(|i| (i % 251) as u8).collect();
    let received = stage.run(async {
        let (mut io, _handle) = stage.spawn("cat", &[]).await.unwrap().split();
        let write = async {
            io.stdin.write_all(&sent).await.unwrap();
            drop(io.stdin);
        };
        let mut received = Vec::new();
        let (_, read) = tokio::join!(write, io.stdout.read_to_end(&mut received));
        read.unwrap();
        received
    });
    assert!(sent == received);
}

/// Programs that use `select(2)` break when they get more than they expect.
fn our_many_descriptors_are_not_the_servers(stage: &Stage) {
    let ours = casemate_sandbox::raise_open_files().unwrap().unwrap_or(u64::MAX);
    let theirs: u64 = stage.output("ulimit -n").trim().parse().unwrap();
    assert_eq!(theirs, ours.min(1024));
}

fn exit_codes_and_signals_are_told_apart(stage: &Stage) {
    let cases = [
        ("exit 0", Exit::Code(0)),
        ("exit 3", Exit::Code(3)),
        ("exit 255", Exit::Code(255)),
        ("kill -SEGV $$", Exit::Signal(11)),
        ("kill -KILL $$", Exit::Signal(9)),
    ];
    for (script, expected) in cases {
        let exit = stage.run(async { stage.script(script).await.handle.wait().await });
        assert_eq!(exit, expected, "{script}");
    }
}

fn output_outlives_its_writer(stage: &Stage) {
    stage.run(async {
        let (mut io, handle) = stage.script("echo out; echo err >&2").await.split();
        assert_eq!(handle.wait().await, Exit::Code(0));
        let (mut out, mut err) = (String::new(), String::new());
        io.stdout.read_to_string(&mut out).await.unwrap();
        io.stderr.read_to_string(&mut err).await.unwrap();
        assert_eq!((out.as_str(), err.as_str()), ("out\n", "err\n"));
    });
}

fn the_environment_is_exactly_the_named_one(stage: &Stage) {
    let text = stage.run(async {
        let mut spec = stage::spec("env", &[], stage.folder.path());
        spec.env.truncate(1);
        spec.env.push(("EMPTY".into(), "".into()));
        let (mut io, _handle) = stage.spawner.spawn(spec).await.unwrap().split();
        let mut text = String::new();
        io.stdout.read_to_string(&mut text).await.unwrap();
        text
    });
    assert_eq!(text, "PATH=/usr/local/bin:/usr/bin:/bin\nEMPTY=\n");
}

fn no_descriptor_leaks_in(stage: &Stage) {
    // One that is not closed on exec, as a careless library would leave it, and one with a low number.
    let careless = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&careless, rustix::io::FdFlags::empty()).unwrap();
    // The shell's glob opens the folder itself, as the one more.
    let list = stage.output("for fd in /proc/self/fd/*; do readlink $fd; done | sed 's/:.*//' | sort");
    let mut kinds: Vec<&str> = list.lines().filter(|kind| !kind.is_empty()).collect();
    kinds.retain(|kind| *kind != "pipe");
    assert!(kinds.iter().all(|kind| kind.starts_with("/proc/")), "{list}");
    assert!(list.lines().count() <= 4, "{list}");
}

fn signals_are_as_a_program_expects(stage: &Stage) {
    let status = stage.output("exec grep -E '^Sig(Blk|Ign)' /proc/self/status");
    for row in status.lines() {
        let (name, mask) = row.split_once(":\t").unwrap();
        assert_eq!(mask, "0000000000000000", "{name}");
    }
    assert_eq!(status.lines().count(), 2);
}

fn a_server_leads_its_own_session(stage: &Stage) {
    let text = stage.output(
        "read pid name state parent group session rest </proc/self/stat; echo $$ $pid $group $session",
    );
    let ids: Vec<&str> = text.split_ascii_whitespace().collect();
    assert_eq!(ids.len(), 4);
    // With the host's /proc, only the first differs, since the shell counts inside the namespace.
    assert!(ids[1] == ids[2] && ids[2] == ids[3], "{text}");
}

fn files_belong_to_us(stage: &Stage) {
    stage.output("echo text > mine");
    let file = std::fs::metadata(stage.folder.path().join("mine")).unwrap();
    assert_eq!(file.uid(), rustix::process::geteuid().as_raw());
    assert_eq!(file.gid(), rustix::process::getegid().as_raw());
    let ids = stage.output("id -u; id -g");
    assert_eq!(ids, format!("{}\n{}\n", file.uid(), file.gid()));
}

fn a_server_gains_no_rights(stage: &Stage) {
    let status = stage.output("grep -E '^(NoNewPrivs|CapEff|CapPrm|CapInh|CapAmb)' /proc/self/status");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    if !rustix::process::geteuid().is_root() {
        let capabilities: Vec<&str> = status.lines().filter(|row| row.starts_with("Cap")).collect();
        assert_eq!(capabilities.len(), 4);
        for row in capabilities {
            assert!(row.ends_with("\t0000000000000000"), "{row}");
        }
    }
}

fn proc_shows_what_the_report_says(stage: &Stage) {
    stage.run(async {
        let script = "for process in /proc/[0-9]*; do echo ${process#/proc/}; done; echo end; cat";
        let (mut io, handle) = stage.script(script).await.split();
        let mut shown = Vec::new();
        loop {
            match line(&mut io).await.as_str() {
                "end" => break,
                pid => shown.push(pid.to_owned()),
            }
        }
        match handle.report().proc_view {
            ProcView::Cell => assert_eq!(shown, ["1", "2"]),
            ProcView::Host => assert!(shown.contains(&std::process::id().to_string())),
        }
        if stage.containment == Containment::Reaper {
            assert_eq!(handle.report().proc_view, ProcView::Host);
        }
    });
}

fn our_own_mounts_stay_as_they_were(stage: &Stage) {
    let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    stage.output("true");
    assert_eq!(before, std::fs::read_to_string("/proc/self/mountinfo").unwrap());
}

fn termination_is_passed_on(stage: &Stage) {
    stage.run(async {
        let script = "trap 'exit 7' TERM; echo ready; while :; do read line; done";
        let (mut io, handle) = stage.script(script).await.split();
        assert_eq!(line(&mut io).await, "ready");
        assert_eq!(handle.terminate(Duration::from_secs(30)).await, Exit::Code(7));
        let (mut io, handle) = stage.spawn("cat", &[]).await.unwrap().split();
        io.stdin.write_all(b"x\n").await.unwrap();
        assert_eq!(line(&mut io).await, "x");
        assert_eq!(handle.terminate(Duration::from_secs(30)).await, Exit::Signal(15));
    });
}

fn a_server_that_will_not_end_is_killed(stage: &Stage) {
    stage.run(async {
        let script = "trap '' TERM; echo ready; while :; do read line; done";
        let (mut io, handle) = stage.script(script).await.split();
        assert_eq!(line(&mut io).await, "ready");
        assert_eq!(handle.terminate(Duration::from_millis(50)).await, Exit::Signal(9));
    });
}
