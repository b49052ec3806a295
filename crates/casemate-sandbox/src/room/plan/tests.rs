//! Plans, as a person reads them.

use expect_test::{Expect, expect};

use super::*;
use crate::HostStats;
use crate::room::{Cgroups, Hierarchy, Limits, Network, Obstacle, Version};

/// A host that can do everything, for an ordinary user.
fn host() -> Host {
    Host {
        kernel: "6.18".to_owned(),
        user: 1234,
        group: 100,
        user_namespaces: Ok(()),
        pid_namespace: Ok(()),
        net_namespace: Ok(()),
        ipc_namespace: Ok(()),
        uts_namespace: Ok(()),
        cgroup_namespace: Ok(()),
        landlock: Some(7),
        seccomp: Ok(()),
        cgroups: Cgroups {
            hierarchies: vec![Hierarchy {
                version: Version::Two,
                own: "/sys/fs/cgroup/casemate.service".into(),
                controllers: Controller::ALL.to_vec(),
            }],
        },
    }
}

fn spec(required: Kind) -> CellSpec {
    let spec = CellSpec { runtime: vec!["/usr".into(), "/lib64".into()], ..CellSpec::new(required) };
    spec.grant(Access::Write, "/srv/data/deep").grant(Access::Read, "/srv/tree")
}

fn check(spec: &CellSpec, host: &Host, expected: Expect) {
    let plan = Plan::of(spec, host).unwrap();
    // Rules of Landlock repeat everything that is granted.
    let shown = plan
        .to_string()
        .lines()
        .map(|line| line.split(", /").next().unwrap().to_owned() + "\n")
        .collect::<String>();
    expected.assert_eq(&shown);
    assert_eq!(Plan::read(plan.write().unwrap()).unwrap(), plan);
}

fn refused(spec: &CellSpec, host: &Host, layer: Layer) -> String {
    let refusal = Plan::of(spec, host).unwrap_err();
    assert_eq!(refusal.layer, layer);
    assert!(!refusal.remedy.is_empty());
    refusal.to_string()
}

#[test]
fn the_full_cell_of_an_ordinary_user() {
    check(
        &spec(Kind::Full),
        &host(),
        expect![[r#"
            full cell
              1  additional  cell-memory       bytes of memory in the whole cell: 1073741824 at most
              2  additional  cell-tasks        processes and threads in the cell: 256 at most
              3  additional  cpu               thousandths of a processor: 2000 at most
              4  required    identity          its own user namespace
              5  required    files             its own mount namespace
              6  required    processes         its own PID namespace
              7  required    network           its own network namespace
              8  required    ipc               its own IPC namespace
              9  required    hostname          its own UTS namespace
             10  required    cgroup-view       its own cgroup namespace
             11  required    identity          user and group 1000 inside are 1234 and 100 outside; no other exists
             12  required    nesting           no user namespaces inside
             13  required    network           its own loopback, and nothing else
             14  required    hostname          the host is called `cell`
             15  required    files             an empty, read-only root
             16  required    files             /usr readable, if the host has it
             17  required    files             /lib64 readable, if the host has it
             18  required    files             /etc/ld.so.cache readable, if the host has it
             19  required    files             /etc/alternatives readable, if the host has it
             20  required    files             /etc/ssl/certs readable, if the host has it
             21  required    files             /etc/ssl/openssl.cnf readable, if the host has it
             22  required    files             /etc/pki/tls/certs readable, if the host has it
             23  required    files             /etc/pki/ca-trust/extracted readable, if the host has it
             24  required    files             /etc/ca-certificates readable, if the host has it
             25  required    files             /etc/localtime readable, if the host has it
             26  required    files             a made-up /etc/passwd
             27  required    files             a made-up /etc/group
             28  required    files             a made-up /etc/hosts
             29  required    files             a made-up /etc/nsswitch.conf
             30  required    files             a made-up /etc/resolv.conf
             31  required    files             the device /dev/null
             32  required    files             the device /dev/zero
             33  required    files             the device /dev/full
             34  required    files             the device /dev/random
             35  required    files             the device /dev/urandom
             36  required    files             /dev/fd leads to /proc/self/fd
             37  required    files             /dev/stdin leads to /proc/self/fd/0
             38  required    files             /dev/stdout leads to /proc/self/fd/1
             39  required    files             /dev/stderr leads to /proc/self/fd/2
             40  required    tmp               an empty /tmp of 268435456 bytes in 65536 files at most
             41  required    tmp               an empty /dev/shm of 268435456 bytes in 65536 files at most
             42  required    read-only         /srv/tree readable
             43  required    files             /srv/data/deep writable
             44  required    proc-view         /proc with its own processes only
             45  required    files             the host's root is left behind
             46  required    guard             the first process cannot be inspected
             47  required    capabilities      no capability, and none can be gained
             48  required    files             /srv/data/deep really writable for the server's user
             49  required    files             /srv/tree really readable for the server's user
             50  required    memory            bytes of private memory in each process: 1073741824 at most
             51  required    memory            bytes in a core dump: 0 at most
             52  required    tasks             processes and threads: 257 at most
             53  required    open-files        open descriptors in each process: 1024 at most
             54  required    file-size         bytes in a file that it writes: 1073741824 at most
             55  required    no-new-privileges nothing that it executes gains rights
             56  additional  landlock          Landlock, version 7
             57  required    seccomp           only the system calls of the profile `standard`
        "#]],
    );
}

#[test]
fn figures_of_the_host_are_four_more_steps_of_a_full_cell() {
    let added = |kind: Kind| {
        let plain = Plan::of(&spec(kind), &host()).unwrap();
        let plan = Plan::of(&CellSpec { host_stats: HostStats::Shown, ..spec(kind) }, &host()).unwrap();
        let added = plan.steps.iter().filter(|step| !plain.steps.contains(step));
        added.map(|step| step.to_string() + "\n").collect::<String>()
    };
    let (steps, rules) =
        added(Kind::Full).split_once("additional").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    expect![[r#"
        required    files             the host's /proc/loadavg readable, as /run/host-stats/loadavg
        required    files             the host's /proc/meminfo readable, as /run/host-stats/meminfo
        required    files             the host's /proc/stat readable, as /run/host-stats/stat
        required    files             casemate tells of file systems and interfaces in /run/host-stats
    "#]]
    .assert_eq(&steps);
    assert!(rules.contains(", /run/host-stats readable and answering, "), "{rules}");
    // It sees all of that anyway.
    assert_eq!(added(Kind::Light), "");
}

#[test]
fn a_network_is_two_more_sentences() {
    let plain = Plan::of(&spec(Kind::Full), &host()).unwrap();
    let with = |ports: &[u16]| {
        let network = Network::Ports(ports.iter().copied().collect());
        Plan::of(&CellSpec { network, ..spec(Kind::Full) }, &host()).unwrap()
    };
    for (ports, named) in [(&[443, 5432][..], "ports 443, 5432"), (&[443], "port 443"), (&[], "no port")] {
        let plan = with(ports);
        let added: Vec<_> = plan.steps.iter().filter(|step| !plain.steps.contains(step)).collect();
        let [doorway, hosts, names] = added.as_slice() else { panic!("{added:?}") };
        let text = format!("casemate answers for names and takes over connections to {named}");
        assert_eq!(doorway.to_string(), format!("required    network           {text}"));
        assert!(matches!(&hosts.action, Action::Text { path, text }
            if path.ends_with("hosts") && !text.contains("::1 localhost")));
        assert!(matches!(&names.action, Action::Text { path, text }
            if path.ends_with("resolv.conf") && text.starts_with("nameserver 127.0.0.1\n")));
        let enforced = plan.enforced(&[]);
        assert_eq!(enforced.ports, Some(ports.iter().copied().collect()));
        assert!(enforced.to_string().ends_with(&format!("; casemate takes over connections to {named}")));
        assert_eq!(Plan::read(plan.write().unwrap()).unwrap(), plan);
    }
    assert_eq!(plain.enforced(&[]).ports, None);
}

#[test]
fn a_network_that_nothing_could_enforce_is_refused() {
    let with = |kind, ports: &[u16]| {
        let network = Network::Ports(ports.iter().copied().collect());
        CellSpec { network, ..spec(kind) }
    };
    for ports in [&[443][..], &[]] {
        assert_eq!(
            refused(&with(Kind::Light, ports), &host(), Layer::Network),
            "network: a light cell has no network"
        );
        let offline = CellSpec { profile: Profile::Offline, ..with(Kind::Full, ports) };
        refused(&offline, &host(), Layer::Network);
    }
    for port in [0, 53] {
        let why = refused(&with(Kind::Full, &[443, port]), &host(), Layer::Network);
        assert_eq!(why, format!("network: port {port} cannot be granted"));
    }
    let many: Vec<u16> = (1000..).take(Network::PORTS_MAX + 1).collect();
    refused(&with(Kind::Full, &many), &host(), Layer::Network);
    assert!(Plan::of(&with(Kind::Full, &many[1..]), &host()).is_ok());
}

#[test]
fn the_light_cell_of_root() {
    let host = Host { user: 0, group: 0, ..host() };
    let spec = CellSpec { account: 4711, ..spec(Kind::Light) };
    check(
        &spec,
        &host,
        expect![[r#"
            light cell
              1  additional  cell-memory       bytes of memory in the whole cell: 1073741824 at most
              2  required    cell-tasks        processes and threads in the cell: 256 at most
              3  additional  cpu               thousandths of a processor: 2000 at most
              4  required    identity          runs as the host's user and group 4711
              5  required    files             /srv/data/deep really writable for the server's user
              6  required    files             /srv/tree really readable for the server's user
              7  required    memory            bytes of private memory in each process: 1073741824 at most
              8  required    memory            bytes in a core dump: 0 at most
              9  required    open-files        open descriptors in each process: 1024 at most
             10  required    file-size         bytes in a file that it writes: 1073741824 at most
             11  required    capabilities      no capability, and none can be gained
             12  required    no-new-privileges nothing that it executes gains rights
             13  required    landlock          Landlock, version 7, no TCP
             14  required    seccomp           only the system calls of the profile `offline`
              -  absent      files             names, sizes and times of the host's files can be seen
              -  absent      processes         the host's processes can be seen, unless the containment hides them
              -  absent      tmp               there is no /tmp but what is granted
        "#]],
    );
}

#[test]
fn roots_servers_are_mapped_from_outside() {
    let host = Host { user: 0, group: 0, ..host() };
    let plan = Plan::of(&CellSpec { account: 4711, ..spec(Kind::Full) }, &host).unwrap();
    assert_eq!(plan.map_from_outside().unwrap().1, (4711, 4711));
    assert!(plan.to_string().contains("/srv/data/deep writable, as to its owner"), "{plan}");
    let loans = plan.loans();
    assert_eq!(
        loans.iter().map(|loan| (loan.path.to_str().unwrap(), loan.account)).collect::<Vec<_>>(),
        [("/srv/tree", 4711), ("/srv/data/deep", 4711)]
    );
    let ordinary = Plan::of(&spec(Kind::Full), &self::host()).unwrap();
    assert_eq!(ordinary.map_from_outside(), None);
    assert!(ordinary.loans().is_empty());
}

#[test]
fn an_old_kernel_still_gets_a_full_cell() {
    // Stock Debian 12 has version 2; some distributions have no Landlock at all.
    for landlock in [Some(2), None] {
        let plan = Plan::of(&spec(Kind::Full), &Host { landlock, ..host() }).unwrap();
        let rules = plan.steps.iter().filter(|step| step.layer == Layer::Landlock);
        assert!(rules.clone().all(|step| step.need == Need::Additional));
        assert_eq!(rules.count(), usize::from(landlock.is_some()));
        assert_eq!(plan.enforced(&[]).landlock, landlock);
        assert_eq!(plan.enforced(&[]).absent.len(), usize::from(landlock.is_none()));
    }
}

#[test]
fn there_is_no_way_down_from_what_is_required() {
    let why = Obstacle { reason: "not here".to_owned(), remedy: "elsewhere" };
    let without_users = Host { user_namespaces: Err(why.clone()), ..host() };
    assert_eq!(refused(&spec(Kind::Full), &without_users, Layer::Identity), "identity: not here");
    assert!(Plan::of(&spec(Kind::Light), &without_users).is_ok());
    let without_network = Host { net_namespace: Err(why.clone()), ..host() };
    refused(&spec(Kind::Full), &without_network, Layer::Network);
    for kind in [Kind::Full, Kind::Light] {
        refused(&spec(kind), &Host { seccomp: Err(why.clone()), ..host() }, Layer::Seccomp);
    }
    for landlock in [None, Some(1), Some(2)] {
        refused(&spec(Kind::Light), &Host { landlock, ..host() }, Layer::Landlock);
    }
}

#[test]
fn what_a_light_cell_cannot_do_is_said() {
    let absent = |landlock| Plan::of(&spec(Kind::Light), &Host { landlock, ..host() }).unwrap().absent;
    let layers = |absent: Vec<Absent>| absent.into_iter().map(|absent| absent.layer).collect::<Vec<_>>();
    assert_eq!(layers(absent(Some(7))), [Layer::Files, Layer::Processes, Layer::Tmp]);
    assert!(layers(absent(Some(5))).contains(&Layer::Landlock));
}

#[test]
fn paths_that_no_cell_shows_are_refused() {
    let paths = [
        "/",
        "",
        "relative",
        "/a/../b",
        "/a/./b",
        "/a//b",
        "/a/",
        "/proc",
        "/proc/self",
        "/sys/fs",
        "/dev/null",
    ];
    for path in paths.into_iter().chain(["/etc", "/run", "/home", "/root", "/tmp", "/var"]) {
        for kind in [Kind::Full, Kind::Light] {
            refused(&CellSpec::new(kind).grant(Access::Read, path), &host(), Layer::Files);
        }
    }
    for path in ["/opt/project", "/etc/app", "/var/lib/app", "/procedures"] {
        assert!(Plan::of(&CellSpec::new(Kind::Full).grant(Access::Read, path), &host()).is_ok(), "{path}");
    }
}

#[test]
fn a_light_cell_cannot_close_a_part_of_what_is_open() {
    let spec = |kind| CellSpec::new(kind).grant(Access::Read, "/srv/a/b").grant(Access::Write, "/srv/a");
    refused(&spec(Kind::Light), &host(), Layer::Landlock);
    assert!(Plan::of(&spec(Kind::Full), &host()).is_ok());
}

#[test]
fn nobody_is_root_inside() {
    let root = Host { user: 0, group: 0, ..host() };
    for kind in [Kind::Full, Kind::Light] {
        refused(&CellSpec { account: 0, ..spec(kind) }, &root, Layer::Identity);
    }
}

#[test]
fn where_no_control_group_can_be_made_that_is_said() {
    let bare = Host { cgroups: Cgroups::default(), ..host() };
    for kind in [Kind::Full, Kind::Light] {
        let plan = Plan::of(&spec(kind), &bare).unwrap();
        assert!(plan.shares().is_empty());
        let text = plan.to_string();
        assert!(text.contains("the memory limit is for each process"), "{text}");
        for layer in [Layer::CellMemory, Layer::CellTasks, Layer::Cpu] {
            assert!(plan.absent.iter().any(|absent| absent.layer == layer), "{layer}");
        }
        assert!(plan.enforced(&[]).layers.contains(&Layer::Memory));
        assert!(text.contains("processes and threads: 256 at most"), "{text}");
    }
}

#[test]
fn a_control_group_is_asked_for_each_thing_that_can_be_had() {
    let mut some = host();
    some.cgroups.hierarchies[0].controllers = vec![Controller::Processes];
    let plan = Plan::of(&spec(Kind::Light), &some).unwrap();
    let shares: Vec<_> =
        plan.shares().iter().map(|share| (share.step, share.controller, share.most)).collect();
    assert_eq!(shares, [(0, Controller::Processes, 256)]);
    assert_eq!(plan.memory_bytes(), Some(1 << 30));
    // What the kernel refuses is not in force.
    assert!(!plan.enforced(&[(0, libc::EACCES)]).layers.contains(&Layer::CellTasks));
    // Nothing else counts the processes of a light cell then.
    assert_eq!(plan.steps[0].need, Need::Required);
    assert!(!plan.enforced(&[]).layers.contains(&Layer::Tasks));
}

#[test]
fn an_inner_grant_comes_after_the_outer_one() {
    let spec = CellSpec::new(Kind::Full).grant(Access::Write, "/srv/a/b").grant(Access::Read, "/srv/a");
    let plan = Plan::of(&spec, &host()).unwrap();
    let place = |wanted: &str| {
        let is =
            |step: &Step| matches!(&step.action, Action::Bind { path, .. } if path.as_os_str() == wanted);
        plan.steps.iter().position(is).unwrap()
    };
    assert!(place("/srv/a") < place("/srv/a/b"));
}

#[test]
fn what_was_skipped_is_not_in_force() {
    let plan = Plan::of(&spec(Kind::Full), &host()).unwrap();
    let rules = plan.steps.iter().position(|step| step.layer == Layer::Landlock).unwrap();
    let enforced = plan.enforced(&[(rules, libc::EOPNOTSUPP)]);
    assert!(!enforced.layers.contains(&Layer::Landlock));
    assert_eq!(enforced.landlock, None);
    assert!(enforced.to_string().contains("without landlock (Landlock, version 7"), "{enforced}");
    assert!(plan.enforced(&[]).absent.is_empty());
}

#[test]
fn every_layer_can_be_left_out_and_says_so() {
    for kind in [Kind::Full, Kind::Light] {
        let whole = Plan::of(&spec(kind), &host()).unwrap().enforced(&[]);
        for layer in whole.layers {
            let plan = Plan::of(&CellSpec { without: vec![layer], ..spec(kind) }, &host()).unwrap();
            assert!(!plan.enforced(&[]).layers.contains(&layer), "{layer}");
            assert!(plan.to_string().contains("left out on request"));
        }
    }
}

#[test]
fn the_defaults_have_an_end() {
    let Limits { memory_bytes, cpu_millis, processes, open_files, file_bytes, tmp_bytes, tmp_files } =
        Limits::default();
    let small = [cpu_millis, processes, open_files, tmp_files].map(u64::from);
    let all = [memory_bytes, file_bytes, tmp_bytes].into_iter().chain(small);
    assert!(all.into_iter().all(|most| (1..1 << 40).contains(&most)));
    assert_eq!(CellSpec::new(Kind::Full).network, Network::None);
}

/// Everything else is as in other full cells.
#[test]
fn a_watched_cell_shows_the_host_without_what_is_hidden() {
    let watched = |required| CellSpec { watched: Some(vec!["/etc/shadow".into()]), ..spec(required) };
    let plan = Plan::of(&watched(Kind::Full), &host()).unwrap();
    let plain = Plan::of(&spec(Kind::Full), &host()).unwrap();
    let added: Vec<String> =
        plan.steps.iter().filter(|step| !plain.steps.contains(step)).map(Step::to_string).collect();
    let [shown, rules, told] = added.as_slice() else { panic!("{added:#?}") };
    assert_eq!(shown, "required    files             what the host has, read-only, but for 23 places");
    assert!(rules.ends_with(
        ", / readable, /tmp writable, /dev/shm writable, /srv/data/deep writable, /srv/tree readable"
    ));
    assert_eq!(told, "required    seccomp           casemate is told of the files that it uses");
    let except = plan.steps.iter().find_map(|step| match &step.action {
        Action::Show { except } => Some(except),
        _ => None,
    });
    for path in ["/proc", "/run", "/usr", "/etc/passwd", "/etc/ld.so.cache", "/srv/tree", "/etc/shadow"] {
        assert!(except.unwrap().contains(&PathBuf::from(path)), "{path}");
    }
    // The usual filter comes last, so that it has no say in handing out a descriptor.
    assert!(
        matches!(plan.steps.as_slice(), [.., Step { action: Action::Listen, .. }, last] if last.layer == Layer::Seccomp)
    );
    refused(&watched(Kind::Light), &host(), Layer::Files);
}
