//! What a server sees of the host's state when it may, and that it sees nothing else by it.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::ExitCode;

use casemate_sandbox::{Exit, HostStats, Spec};

use crate::programs::Body;
use crate::world::World;
use crate::{ASK, ATTACK, attack};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("figures_of_the_host_are_shown", figures_of_the_host_are_shown),
    ("nobody_writes_to_figures_of_the_host", nobody_writes_to_figures_of_the_host),
    ("figures_that_are_no_files_are_told_by_casemate", figures_that_are_no_files_are_told_by_casemate),
    ("figures_of_the_host_lead_nowhere_else", figures_of_the_host_lead_nowhere_else),
    ("who_may_not_see_the_host_finds_no_figures", who_may_not_see_the_host_finds_no_figures),
];

/// What stops at the cell's `/proc` or its root has to stop there with figures as well. That each can succeed is shown by
/// its own row.
const ATTACKS: [&str; 7] = [
    "read_the_kernels_settings",
    "read_the_machines_devices",
    "see_another_process",
    "read_the_environment_of_another",
    "climb_out_through_proc",
    "see_the_hosts_mounts",
    "inspect_the_first_process",
];

/// The life of a server that asks.
pub(crate) fn ask(socket: &str) -> ExitCode {
    let mut told = String::new();
    UnixStream::connect(socket).unwrap().read_to_string(&mut told).unwrap();
    print!("{told}");
    ExitCode::SUCCESS
}

fn shown(world: &World, program: &str, args: &[&str]) -> Spec {
    let mut spec = world.spec(program, args);
    spec.cell.as_mut().unwrap().host_stats = HostStats::Shown;
    spec
}

fn of_shell(world: &World, script: &str) -> String {
    let (exit, said) = world.finish(shown(world, "/bin/sh", &["-c", script]));
    assert_eq!(exit, Exit::Code(0), "{said}");
    said
}

fn figures_of_the_host_are_shown(world: &World) {
    let said =
        of_shell(world, "cd /run && ls && cd host-stats && ls && head -n 1 meminfo && grep -c ^cpu stat");
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let processors = stat.lines().filter(|line| line.starts_with("cpu")).count();
    let expected = format!(
        "host-stats\nfile-systems\ninterfaces\nloadavg\nmeminfo\nstat\n{}\n{processors}\n",
        meminfo.lines().next().unwrap()
    );
    assert_eq!(said, expected);
}

fn nobody_writes_to_figures_of_the_host(world: &World) {
    let mounts = of_shell(world, "grep -F ' - proc ' /proc/self/mountinfo");
    let mut points = Vec::new();
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        points.push(fields[4]);
        if fields[4] != "/proc" {
            // A mount of that one file, and nothing above it.
            assert_eq!(fields[3].trim_start_matches('/'), fields[4].trim_start_matches("/run/host-stats/"));
            assert!(fields[5].starts_with("ro,nosuid,nodev,noexec"), "{line}");
        }
    }
    points.sort_unstable();
    let figures = ["/run/host-stats/loadavg", "/run/host-stats/meminfo", "/run/host-stats/stat"];
    assert_eq!(points, [&["/proc"], &figures[..]].concat());
    let script = "cd /run/host-stats; (echo x > meminfo) 2>/dev/null && echo written; (echo x > new) 2>/dev/null && \
                  echo made; rm -f file-systems 2>/dev/null && echo removed; ls meminfo/.. 2>/dev/null; :";
    assert_eq!(of_shell(world, script), "");
}

fn figures_that_are_no_files_are_told_by_casemate(world: &World) {
    for name in [HostStats::FILE_SYSTEMS, HostStats::INTERFACES] {
        let socket = format!("{}/{name}", HostStats::FOLDER);
        let ourselves = std::env::current_exe().unwrap();
        let mut cell = world.start(shown(world, ourselves.to_str().unwrap(), &[ASK, &socket])).unwrap();
        let figures = cell.figures.take().unwrap();
        let answer = |listener: UnixListener, text: &str| {
            listener.set_nonblocking(false).unwrap();
            listener.accept().unwrap().0.write_all(text.as_bytes()).unwrap();
        };
        match name {
            HostStats::FILE_SYSTEMS => answer(figures.file_systems, name),
            _ => answer(figures.interfaces, name),
        }
        assert_eq!(world.end(cell), (Exit::Code(0), name.to_owned()));
    }
}

fn figures_of_the_host_lead_nowhere_else(world: &World) {
    let ourselves = std::env::current_exe().unwrap();
    for name in ATTACKS {
        let facts = world.facts.to_args();
        let args: Vec<&str> = [ATTACK, name].into_iter().chain(facts.iter().map(String::as_str)).collect();
        let (exit, said) = world.finish(shown(world, ourselves.to_str().unwrap(), &args));
        assert_eq!(exit, Exit::Code(attack::HELD.into()), "{name}: {said}");
    }
}

fn who_may_not_see_the_host_finds_no_figures(world: &World) {
    let mut cell = world.start(world.spec("/bin/sh", &["-c", "ls -d /run || :"])).unwrap();
    assert!(cell.figures.take().is_none());
    let (exit, said) = world.end(cell);
    assert!(exit == Exit::Code(0) && said.contains("/run") && said.contains("No such file"), "{said}");
}
