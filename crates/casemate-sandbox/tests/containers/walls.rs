//! What stops each attack in a container, and that nothing else does.

use std::collections::BTreeMap;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, Stdio};

use casemate_sandbox::Layer::{
    self, Capabilities, CgroupView, FileSize, Files, Hostname, Identity, Ipc, Memory, Network,
    NoNewPrivileges, OpenFiles, ProcView, Processes, ReadOnly, Seccomp, Tasks, Tmp,
};
use casemate_sandbox::container::{Engine, ImageSpec};
use casemate_sandbox::{Access, Grant, Limits};
use casemate_testkit::engine::{Contents, Docker};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::attack::{Attack, BREACH, Doors, HELD};
use crate::stage::{self, search};
use crate::world::{World, take_over};
use crate::{attacks, own};

/// The attacks, by what has to go for them to succeed.
const ROWS: &[(&[Layer], &[&str])] = &[
    (
        &[Files],
        &[
            "read_a_file_outside",
            "write_a_file_outside",
            "create_a_file_outside",
            "create_a_folder_outside",
            "list_a_folder_outside",
            "learn_that_a_file_exists",
            "truncate_a_file_outside",
            "delete_a_file_outside",
            "take_a_file_in",
            "link_a_file_in",
            "follow_a_link_out",
            "climb_out_by_dots",
            "climb_out_through_proc",
            "write_beside_what_is_granted",
            "leave_something_in_shared_memory",
            "read_the_hosts_users",
            "reach_a_socket_outside",
            "write_to_the_log",
            "speak_to_the_engine",
        ],
    ),
    (&[ReadOnly], &["write_what_is_read_only", "create_in_what_is_read_only", "touch_what_is_read_only"]),
    (&[ReadOnly, Identity], &["write_to_the_image", "remove_the_server"]),
    (&[Identity], &["be_root"]),
    (&[Identity, Capabilities], &["give_a_file_away", "make_a_device", "forge_packets"]),
    (
        &[Identity, Capabilities, Seccomp],
        &[
            "mount_something",
            "unmount_something",
            "change_the_root",
            "rename_the_host",
            "read_packets",
            "remount_what_is_read_only",
        ],
    ),
    (&[NoNewPrivileges], &["become_root_by_a_setuid_program"]),
    (&[Processes], &["see_another_process"]),
    (
        &[Processes, Identity, Capabilities],
        &[
            "signal_another_process",
            "read_the_environment_of_another",
            "read_the_environment_of_another_as_root",
        ],
    ),
    (&[ProcView], &["read_the_kernels_settings", "list_the_machines_devices", "read_the_kernels_symbols"]),
    (&[ProcView, Identity, Capabilities], &["change_the_kernels_settings"]),
    (&[CgroupView], &["see_the_hosts_control_groups"]),
    (&[Hostname], &["learn_the_hosts_name"]),
    (&[Ipc], &["read_the_hosts_shared_memory"]),
    (
        &[Network],
        &["reach_the_hosts_loopback", "send_datagrams_to_the_host", "reach_a_socket_without_a_file"],
    ),
    (
        &[Network],
        &[
            "reach_the_hosts_loopback_past_the_doors",
            "reach_the_hosts_loopback_by_a_door",
            "reach_the_hosts_loopback_of_version_6",
            "reach_an_address_outside",
            "reach_an_address_outside_by_a_door",
            "reach_an_address_of_version_6",
            "reach_an_address_in_another_form",
            "reach_the_metadata_service",
            "reach_the_metadata_service_by_a_door",
            "send_datagrams_outside",
            "send_datagrams_to_a_door",
            "ask_another_name_server",
            "listen_at_a_door",
            "share_a_door",
            "share_a_door_at_one_address",
            "be_the_name_server",
        ],
    ),
    (&[Identity, Capabilities], &["forge_packets_at_a_door", "take_the_network_down"]),
    (
        &[Seccomp],
        &[
            "trace_a_process",
            "read_the_memory_of_a_process",
            "take_a_descriptor_of_a_process",
            "compare_processes",
            "enter_a_user_namespace",
            "start_in_a_user_namespace",
            "work_past_the_filter",
            "leave_a_key",
            "catch_page_faults",
            "turn_randomization_off",
            "watch_all_files",
            "measure_the_processor",
            "type_into_the_terminal",
            "type_into_the_console",
            "hide_a_request_in_ignored_bits",
            "call_as_another_architecture",
            "change_segments",
            "reach_the_hypervisor",
            "configure_the_network",
        ],
    ),
    (&[Memory], &["use_all_memory", "take_all_memory_with_many_processes"]),
    (&[Tasks], &["bomb_with_forks", "bomb_a_group_with_forks"]),
    (&[OpenFiles], &["open_everything"]),
    (&[FileSize], &["write_a_giant_file", "dump_core"]),
    (&[Tmp], &["fill_tmp"]),
    (&[Tmp], &["fill_tmp_with_files"]),
];

/// Attacks on cells that are none on containers.
const ELSEWHERE: &[(&str, &str)] = &[
    ("open_a_terminal", "a container has terminals of its own"),
    (
        "see_the_hosts_mounts",
        "a container has a /sys of its own; what it sees of the host's paths is in docs/sandbox.md",
    ),
    ("inspect_the_first_process", "it is the engine's, and nothing of ours is in it"),
    ("listen_on_the_host", "a container may listen on its own loopback"),
    ("read_the_machines_devices", "there is a folder, with nothing in it; list_the_machines_devices looks"),
    ("take_all_memory", "what is not used is not counted; use_all_memory is"),
    ("name_a_file_by_its_handle", "the file system of containers gives none out"),
];

/// What a root that keeps its capabilities can do. Not all of them: this machine may lack some itself.
const POWERS: [&str; 10] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "KILL",
    "MKNOD",
    "NET_ADMIN",
    "NET_RAW",
    "SYS_ADMIN",
    "SYS_CHROOT",
    "SYS_PTRACE",
];

/// Some attacks that one thing stops.
#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) name: String,
    without: &'static [Layer],
    attacks: Vec<&'static str>,
}

pub(crate) fn groups() -> impl Iterator<Item = Group> {
    let every = Group { name: "every_attack_is_judged".to_owned(), without: &[], attacks: Vec::new() };
    let groups = ROWS.iter().map(|(without, attacks)| {
        let layers: Vec<_> = without.iter().map(|layer| layer.as_str()).collect();
        Group { name: format!("{}::{}", layers.join("+"), attacks[0]), without, attacks: attacks.to_vec() }
    });
    [every].into_iter().chain(groups)
}

impl Group {
    /// Whether casemate takes over the network of those who try.
    fn doors(&self) -> Doors {
        let kept = |attack: &Attack| attack.doors == Doors::Kept && self.attacks.contains(&attack.name);
        if attacks::all().any(|attack| kept(&attack)) { Doors::Kept } else { Doors::None }
    }

    /// Leaves out what cannot succeed on this host at all; whether anything is left.
    fn possible(mut self) -> Group {
        // This one asks about the process that it runs in.
        let always = ["see_the_hosts_control_groups"];
        self.attacks.retain(|name| {
            always.contains(name)
                || attacks::all().find(|attack| attack.name == *name).is_none_or(|attack| (attack.possible)())
        });
        self
    }
}

/// The whole container must hold, and one without what the group names must not.
pub(crate) fn run(docker: &Docker, world: &World, group: Group) -> Result<(), String> {
    if group.without.is_empty() {
        return every_attack_is_judged();
    }
    let group = group.possible();
    if group.attacks.is_empty() {
        return Ok(());
    }
    let mut wrong = Vec::new();
    for (name, outcome) in attempt(docker, world, &group, &[]) {
        if let Outcome::Breach = outcome {
            wrong.push(format!("{name} succeeds"));
        }
    }
    for (name, outcome) in attempt(docker, world, &group, group.without) {
        if let Outcome::Held(how) = outcome {
            wrong.push(format!("without {:?}: {name} still fails ({how})", group.without));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

fn every_attack_is_judged() -> Result<(), String> {
    let rows = ROWS.iter().flat_map(|(_, names)| names.iter().copied());
    let known: Vec<&str> = rows.chain(ELSEWHERE.iter().map(|(name, _)| *name)).collect();
    let all: Vec<&str> = attacks::all()
        .map(|Attack { name, .. }| name)
        .chain(own::ALL.iter().map(|(name, _)| *name))
        .collect();
    let unknown: Vec<_> = all.iter().filter(|name| !known.contains(name)).collect();
    let gone: Vec<_> = known.iter().filter(|name| !all.contains(name)).collect();
    if unknown.is_empty() && gone.is_empty() {
        Ok(())
    } else {
        Err(format!("no row: {unknown:?}; no attack: {gone:?}"))
    }
}

enum Outcome {
    Breach,
    Held(String),
}

fn attempt(docker: &Docker, world: &World, group: &Group, without: &[Layer]) -> BTreeMap<String, Outcome> {
    let mut spec = ImageSpec::new(docker.image.parse().unwrap(), "attacker");
    spec.args = vec![crate::ATTACKS.to_owned(), group.attacks.join(",")];
    spec.args.extend(world.facts.to_args());
    spec.env = vec![("ENGINE".to_owned(), docker.socket.to_str().unwrap().to_owned().into())];
    spec.limits = limits();
    spec.grants = vec![
        Grant { path: world.facts.folder.join("read"), access: Access::Read },
        Grant { path: world.facts.folder.join("write"), access: Access::Write },
    ];
    spec.overrides = overrides(without);
    if group.doors() == Doors::Kept {
        spec.network = world.doors();
    }
    let said = world.run(async {
        let engine = Engine::find(&search(docker, "walls")).await.unwrap();
        let started = engine.start(&spec).await;
        let mut container = started.unwrap_or_else(|error| panic!("{error}: {error:?}"));
        let mut doorway = container.doorway.take();
        let tasks = doorway.as_mut().map(take_over);
        let (_, said, errors) = stage::finish(container).await;
        drop(tasks);
        engine.close().await;
        format!("{said}{errors}")
    });
    let outcomes: BTreeMap<_, _> = said.lines().filter_map(judged).collect();
    let all_tried = group.attacks.iter().all(|name| outcomes.contains_key(*name));
    assert!(all_tried, "not all were tried: {said}");
    outcomes
}

fn limits() -> Limits {
    Limits {
        memory_bytes: 300 << 20,
        cpu_millis: 2000,
        processes: 200,
        open_files: 128,
        file_bytes: 1 << 20,
        tmp_bytes: 1 << 20,
        tmp_files: 64,
    }
}

/// One line of the attacker's report.
fn judged(line: &str) -> Option<(String, Outcome)> {
    let mut fields = line.splitn(3, '\t');
    let (name, code, said) = (fields.next()?, fields.next()?, fields.next()?);
    let outcome = match code.parse::<i32>().ok()? {
        code if code == i32::from(BREACH) => Outcome::Breach,
        code if code == i32::from(HELD) => Outcome::Held(said.to_owned()),
        // Of memory and of the filter.
        code if [-libc::SIGKILL, -libc::SIGSYS].contains(&code) => Outcome::Held(format!("killed by {code}")),
        code => panic!("{name} ended with {code}: {said}"),
    };
    Some((name.to_owned(), outcome))
}

/// The attacker's whole life: each attack is a process of its own.
pub(crate) fn play(names: &str, facts: &[String]) -> ExitCode {
    for name in names.split(',') {
        let mut attacker = Command::new(Contents::PROGRAM)
            .arg(crate::ATTACK)
            .arg(name)
            .args(facts)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let status = attacker.wait().unwrap();
        // Those that it has brought into the world would hold its pipes open.
        let group = Pid::from_raw(i32::try_from(attacker.id()).unwrap()).unwrap();
        let _ = kill_process_group(group, Signal::KILL);
        let said = attacker.wait_with_output().unwrap();
        let code = status.code().or(status.signal().map(|signal| -signal)).unwrap();
        let said = [said.stdout, said.stderr].concat();
        println!("{name}\t{code}\t{}", String::from_utf8_lossy(&said).trim().replace('\n', " "));
    }
    ExitCode::SUCCESS
}

/// The settings without some layers.
fn overrides(without: &[Layer]) -> Vec<(&'static str, Value)> {
    let mut overrides = Vec::new();
    for layer in without {
        match layer {
            Identity => overrides.push(("/User", json!("0:0"))),
            Files => overrides.extend([
                ("/HostConfig/Mounts", json!([bind("/var/tmp"), bind("/dev/shm"), bind("/etc/passwd")])),
                ("/HostConfig/Tmpfs", json!({ "/tmp": "mode=1777" })),
            ]),
            ReadOnly => overrides.extend([
                ("/HostConfig/ReadonlyRootfs", json!(false)),
                ("/HostConfig/Mounts/0/ReadOnly", json!(false)),
            ]),
            Processes => overrides.push(("/HostConfig/PidMode", json!("host"))),
            ProcView => overrides
                .extend([("/HostConfig/MaskedPaths", json!([])), ("/HostConfig/ReadonlyPaths", json!([]))]),
            Network => overrides.push(("/HostConfig/NetworkMode", json!("host"))),
            Ipc => overrides.push(("/HostConfig/IpcMode", json!("host"))),
            Hostname => overrides.extend([("/HostConfig/UTSMode", json!("host")), ("/Hostname", json!(""))]),
            CgroupView => overrides.push(("/HostConfig/CgroupnsMode", json!("host"))),
            Capabilities => {
                overrides.extend([("/HostConfig/CapDrop", json!([])), ("/HostConfig/CapAdd", json!(POWERS))])
            }
            NoNewPrivileges => {
                overrides.push(("/HostConfig/SecurityOpt/0", json!("no-new-privileges:false")))
            }
            Seccomp => overrides.push(("/HostConfig/SecurityOpt/1", json!("seccomp=unconfined"))),
            Memory => {
                overrides.extend([("/HostConfig/Memory", json!(0)), ("/HostConfig/MemorySwap", json!(0))])
            }
            Tasks => overrides.push(("/HostConfig/PidsLimit", json!(0))),
            OpenFiles => overrides.push(("/HostConfig/Ulimits/0", ulimit("nofile", 1024))),
            FileSize => overrides.extend([
                ("/HostConfig/Ulimits/1", ulimit("fsize", -1)),
                ("/HostConfig/Ulimits/2", ulimit("core", -1)),
            ]),
            Tmp => {
                overrides.push(("/HostConfig/Tmpfs", json!({ "/tmp": "mode=1777", "/dev/shm": "mode=1777" })))
            }
            other => panic!("{other} is no layer of a container"),
        }
    }
    overrides
}

fn bind(path: &str) -> Value {
    json!({ "Type": "bind", "Source": path, "Target": path })
}

fn ulimit(name: &str, value: i64) -> Value {
    json!({ "Name": name, "Soft": value, "Hard": value })
}
