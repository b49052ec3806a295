//! From what is asked and what the host can do to the steps.

use std::path::PathBuf;

use super::host::{Controller, Host, Obstacle};
use super::layer::{Kind, Layer};
use super::plan::{
    Absent, Action, CELL_HOSTNAME, CELL_USER, Links, Mapper, Namespace, Need, Phase, Plan, ProcSource,
    Quantity, Refusal, Right, Rule, Step, Tcp,
};
use super::{Access, CellSpec, Grant, Limits, Network, Profile, network};
use crate::figures::HostStats;

/// The devices that programs expect. There is no terminal among them.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// What programs read of the host's `/etc`: where libraries are, which program an alternative is, certificates, the
/// time zone. Nothing of it names a person or a machine.
const SETTINGS: [&str; 8] = [
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates",
    "/etc/localtime",
];

/// What a light cell reads of the host's `/etc` besides, since it cannot be given another one.
const IDENTITIES: [&str; 5] =
    ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"];

/// The links that `/dev` has everywhere.
const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// What a cell has of its own where the host is shown, or does without.
const OWN: [&str; 5] = ["/proc", "/sys", "/dev", "/tmp", "/run"];

/// The first version of Landlock that guards files against truncation. A light cell has nothing else that would.
const LIGHT_LANDLOCK: u8 = 3;

/// The first version that keeps signals inside.
const SCOPED_LANDLOCK: u8 = 6;

/// A full cell's own `/etc`. Without a network no name server is named. With one, `localhost` has no address of version
/// 6, at which nothing would be taken over.
fn texts(network: &Network) -> [(&'static str, String); 5] {
    let user = CELL_USER;
    let (six, names) = match network {
        Network::None => ("localhost", "# No network, no name server.\n"),
        Network::Ports(_) => ("ip6-localhost", "nameserver 127.0.0.1\noptions timeout:2 attempts:2\n"),
    };
    [
        ("/etc/passwd", format!("cell:x:{user}:{user}::/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")),
        ("/etc/group", format!("cell:x:{user}:\nnogroup:x:65534:\n")),
        ("/etc/hosts", format!("127.0.0.1 localhost {CELL_HOSTNAME}\n::1 {six}\n")),
        ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n".to_owned()),
        ("/etc/resolv.conf", names.to_owned()),
    ]
}

pub(super) fn draft(spec: &CellSpec, host: &Host) -> Result<Plan, Refusal> {
    check(spec, host)?;
    let mut draft = Draft {
        spec,
        host,
        plan: Plan { kind: spec.required, steps: Vec::new(), absent: Vec::new(), failing: spec.failing },
    };
    match spec.required {
        Kind::Full => draft.full()?,
        Kind::Light => draft.light()?,
    }
    for layer in &spec.without {
        draft.absent(*layer, "left out on request");
    }
    Ok(draft.plan)
}

/// Refuses what no host could enforce.
fn check(spec: &CellSpec, host: &Host) -> Result<(), Refusal> {
    for path in spec.runtime.iter().chain(spec.grants.iter().map(|grant| &grant.path)) {
        if let Some(fault) = CellSpec::fault(path) {
            let reason = format!("{} {fault}", path.display());
            let remedy = "correct the path of the grant";
            return Err(Refusal { layer: Layer::Files, reason, remedy });
        }
    }
    for inner in spec.grants.iter().filter(|grant| grant.access == Access::Read) {
        let holds = |outer: &&Grant| outer.access == Access::Write && inner.path.starts_with(&outer.path);
        if let Some(outer) = spec.grants.iter().find(holds).filter(|_| spec.required == Kind::Light) {
            let reason =
                format!("{} is not read-only inside of {}", inner.path.display(), outer.path.display());
            let remedy = "grant folders that do not lie in each other, or ask for a full cell";
            return Err(Refusal { layer: Layer::Landlock, reason, remedy });
        }
    }
    network::check(spec)?;
    if spec.watched.is_some() && spec.required == Kind::Light {
        let reason = "a light cell cannot hide what is not to be learned".to_owned();
        return Err(Refusal { layer: Layer::Files, reason, remedy: "ask for a full cell" });
    }
    if host.user == 0 && spec.account == 0 {
        let reason = "a server of root's would be root".to_owned();
        return Err(Refusal { layer: Layer::Identity, reason, remedy: "give it an account of its own" });
    }
    Ok(())
}

/// What a full cell has of the host's files, or has in their place, besides its grants.
pub(crate) fn provided(spec: &CellSpec) -> Vec<PathBuf> {
    let texts = texts(&spec.network).map(|(path, _)| PathBuf::from(path));
    let settings = SETTINGS.map(PathBuf::from);
    spec.runtime.iter().cloned().chain(settings).chain(texts).collect()
}

struct Draft<'a> {
    spec: &'a CellSpec,
    host: &'a Host,
    plan: Plan,
}

impl Draft<'_> {
    fn full(&mut self) -> Result<(), Refusal> {
        if let Some((layer, Obstacle { reason, remedy })) = self.host.obstacles().next() {
            return Err(Refusal { layer, reason: reason.clone(), remedy });
        }
        self.shares();
        self.namespaces();
        self.identity();
        self.step(Layer::Nesting, Phase::Enter, Action::ForbidNesting);
        self.step(Layer::Network, Phase::Enter, Action::Loopback);
        if let Network::Ports(ports) = &self.spec.network {
            self.step(Layer::Network, Phase::Enter, Action::Doorway { ports: ports.clone() });
        }
        self.step(Layer::Hostname, Phase::Enter, Action::SetHostname);
        self.files();
        self.step(Layer::Guard, Phase::Enter, Action::Guard);
        self.step(Layer::Capabilities, Phase::Enter, Action::DropCapabilities);
        self.checks();
        self.limits();
        self.step(Layer::NoNewPrivileges, Phase::Confine, Action::NoNewPrivileges);
        match self.host.landlock {
            Some(version) => self.landlock(version, Tcp::Unhandled),
            None => self.absent(Layer::Landlock, "this kernel has none; the other layers stand without it"),
        }
        if self.spec.watched.is_some() {
            self.step(Layer::Seccomp, Phase::Confine, Action::Listen);
        }
        self.step(Layer::Seccomp, Phase::Confine, Action::Filter(self.spec.profile));
        Ok(())
    }

    fn light(&mut self) -> Result<(), Refusal> {
        let Some(version) = self.host.landlock else {
            let reason = "this kernel has no Landlock".to_owned();
            return Err(Refusal { layer: Layer::Landlock, reason, remedy: Layer::Landlock.remedy() });
        };
        if version < LIGHT_LANDLOCK {
            let reason = format!("version {version} of Landlock cannot keep files from being cut off");
            let remedy = "use a kernel of 6.2 or newer, or ask for a full cell";
            return Err(Refusal { layer: Layer::Landlock, reason, remedy });
        }
        if version < SCOPED_LANDLOCK {
            self.absent(Layer::Landlock, "this version lets processes of the same user be signaled");
        }
        if let Err(Obstacle { reason, remedy }) = &self.host.seccomp {
            return Err(Refusal { layer: Layer::Seccomp, reason: reason.clone(), remedy });
        }
        self.shares();
        if self.host.user == 0 {
            let account = self.account();
            self.step(Layer::Identity, Phase::Confine, Action::Become { account });
        }
        self.checks();
        self.limits();
        self.step(Layer::Capabilities, Phase::Confine, Action::DropCapabilities);
        self.step(Layer::NoNewPrivileges, Phase::Confine, Action::NoNewPrivileges);
        self.landlock(version, Tcp::Denied);
        self.step(Layer::Seccomp, Phase::Confine, Action::Filter(Profile::Offline));
        self.absent(Layer::Files, "names, sizes and times of the host's files can be seen");
        self.absent(Layer::Processes, "the host's processes can be seen, unless the containment hides them");
        self.absent(Layer::Tmp, "there is no /tmp but what is granted");
        Ok(())
    }

    /// What the cell as a whole is limited to, where we may make control groups.
    fn shares(&mut self) {
        let Limits { memory_bytes, processes, cpu_millis, .. } = self.spec.limits;
        let shares = [
            (Layer::CellMemory, Controller::Memory, memory_bytes, "the memory limit is for each process"),
            (
                Layer::CellTasks,
                Controller::Processes,
                processes.into(),
                "processes are counted for each user",
            ),
            (Layer::Cpu, Controller::Cpu, cpu_millis.into(), "the time of processors has no limit"),
        ];
        for (layer, controller, most, otherwise) in shares {
            if self.host.cgroups.offers(controller) {
                self.step(layer, Phase::Clone, Action::Share { controller, most });
            } else if self.spec.has(layer) {
                self.absent(layer, &format!("no control group for it can be made here: {otherwise}"));
            }
        }
    }

    fn namespaces(&mut self) {
        let needed = [
            (Layer::Identity, Namespace::User),
            (Layer::Files, Namespace::Mount),
            (Layer::Processes, Namespace::Pid),
            (Layer::Network, Namespace::Net),
            (Layer::Ipc, Namespace::Ipc),
            (Layer::Hostname, Namespace::Uts),
            (Layer::CgroupView, Namespace::Cgroup),
        ];
        for (layer, namespace) in needed {
            // Without the first two nothing else could be made; leaving them out means less than all of them.
            if matches!(namespace, Namespace::User | Namespace::Mount) || self.spec.has(layer) {
                self.push(layer, Phase::Clone, Action::Unshare(namespace));
            }
        }
    }

    fn identity(&mut self) {
        let (user, group, by) = match self.host.user {
            0 => (self.account(), self.account(), Mapper::Casemate),
            user => (user, self.host.group, Mapper::Cell),
        };
        self.push(Layer::Identity, Phase::Enter, Action::MapUser { user, group, by });
    }

    /// The account of a server of root's; root's own when that layer is left out.
    fn account(&self) -> u32 {
        if self.spec.has(Layer::Identity) { self.spec.account } else { 0 }
    }

    /// Everything about the new root, in the order of the paths' depth.
    fn files(&mut self) {
        let proc = match (self.spec.has(Layer::Processes), self.spec.has(Layer::ProcView)) {
            (true, true) => (Layer::ProcView, ProcSource::Narrow),
            (true, false) => (Layer::Processes, ProcSource::Wide),
            (false, _) => (Layer::Files, ProcSource::Host),
        };
        if !self.spec.has(Layer::Files) {
            if proc.1 != ProcSource::Host {
                self.push(proc.0, Phase::Enter, Action::Proc(proc.1));
            }
            return;
        }
        self.step(Layer::Files, Phase::Enter, Action::Root);
        if let Some(hidden) = &self.spec.watched {
            let except = self.except(hidden);
            self.step(Layer::Files, Phase::Enter, Action::Show { except });
        }
        for path in self.spec.runtime.iter().cloned().chain(SETTINGS.map(PathBuf::from)) {
            self.step(Layer::Files, Phase::Enter, Action::BindIfThere { path, access: self.read() });
        }
        for (path, text) in texts(&self.spec.network) {
            self.step(Layer::Files, Phase::Enter, Action::Text { path: path.into(), text });
        }
        for path in DEVICES {
            self.step(Layer::Files, Phase::Enter, Action::Device { path: path.into() });
        }
        for (path, to) in LINKS {
            self.step(Layer::Files, Phase::Enter, Action::Link { path: path.into(), to: to.into() });
        }
        let (bytes, files) = match self.spec.has(Layer::Tmp) {
            true => (self.spec.limits.tmp_bytes, self.spec.limits.tmp_files),
            // To a tmpfs, nothing is no limit.
            false => (0, 0),
        };
        for path in ["/tmp", "/dev/shm"] {
            self.push(Layer::Tmp, Phase::Enter, Action::Tmpfs { path: path.into(), bytes, files });
        }
        self.figures();
        let mut grants = self.spec.grants.clone();
        grants.sort_by_key(|grant| grant.path.components().count());
        for grant in &grants {
            let (layer, access) = match grant.access {
                Access::Read => (Layer::ReadOnly, self.read()),
                Access::Write => (Layer::Files, Access::Write),
            };
            // Who is not root is the owner of what it has, or has it by the rights of all.
            let account = Some(self.account()).filter(|account| self.host.user == 0 && *account != 0);
            self.push(layer, Phase::Enter, Action::Bind { path: grant.path.clone(), access, account });
        }
        self.push(proc.0, Phase::Enter, Action::Proc(proc.1));
        self.step(Layer::Files, Phase::Enter, Action::Pivot);
    }

    /// What is shown of the host's state.
    fn figures(&mut self) {
        if self.spec.host_stats == HostStats::Shown {
            for name in HostStats::FILES {
                self.step(Layer::Files, Phase::Enter, Action::Figure { name: name.to_owned() });
            }
            self.step(Layer::Files, Phase::Enter, Action::Figures);
        }
    }

    /// What of the host is not shown as it is: hidden, the cell's own, or granted in another way.
    fn except(&self, hidden: &[PathBuf]) -> Vec<PathBuf> {
        let own = OWN.map(PathBuf::from).into_iter().chain(provided(self.spec));
        let granted = self.spec.grants.iter().map(|grant| grant.path.clone());
        own.chain(granted).chain(hidden.iter().cloned()).collect()
    }

    /// How a read-only grant is mounted: so, unless that layer is left out.
    fn read(&self) -> Access {
        if self.spec.has(Layer::ReadOnly) { Access::Read } else { Access::Write }
    }

    /// What was granted must be of use: a server that starts and then sees nothing is harder to understand.
    fn checks(&mut self) {
        for grant in &self.spec.grants {
            self.push(
                Layer::Files,
                Phase::Confine,
                Action::Check { path: grant.path.clone(), access: grant.access },
            );
        }
    }

    fn limits(&mut self) {
        let Limits { memory_bytes, processes, open_files, file_bytes, .. } = self.spec.limits;
        // One more than the control group allows, so that it is the one that refuses, and counts that.
        let processes = u64::from(processes) + u64::from(self.has_cell_tasks());
        let limits = [
            (Layer::Memory, Quantity::MemoryBytes, memory_bytes),
            (Layer::Memory, Quantity::CoreBytes, 0),
            (Layer::Tasks, Quantity::Processes, processes),
            (Layer::OpenFiles, Quantity::OpenFiles, open_files.into()),
            (Layer::FileSize, Quantity::FileBytes, file_bytes),
        ];
        for (layer, quantity, most) in limits {
            // In a light cell, all other processes of that user count as well, and a user may have many.
            if layer != Layer::Tasks || self.plan.kind == Kind::Full || !self.has_cell_tasks() {
                self.step(layer, Phase::Confine, Action::Limit { quantity, most });
            }
        }
    }

    /// Whether a control group limits the processes of the cell.
    fn has_cell_tasks(&self) -> bool {
        self.host.cgroups.offers(Controller::Processes) && self.spec.has(Layer::CellTasks)
    }

    fn landlock(&mut self, version: u8, tcp: Tcp) {
        let ours = |path: PathBuf, right| Rule { path, right, links: Links::Follow };
        let mut rules = Vec::new();
        let read = self.spec.runtime.iter().cloned().chain(SETTINGS.map(PathBuf::from));
        rules.extend(read.map(|path| ours(path, Right::Read)));
        rules.extend(IDENTITIES.map(|path| ours(path.into(), Right::Read)));
        rules.extend(DEVICES.map(|path| ours(path.into(), Right::Use)));
        rules.push(ours("/proc".into(), Right::Use));
        if self.plan.kind == Kind::Full {
            let right = if self.spec.watched.is_some() { Right::Read } else { Right::List };
            rules.push(ours("/".into(), right));
            if self.spec.host_stats == HostStats::Shown {
                rules.push(ours(HostStats::FOLDER.into(), Right::Ask));
            }
            rules.extend(["/tmp", "/dev/shm"].map(|path| ours(path.into(), Right::Write)));
        }
        rules.extend(self.spec.grants.iter().map(|grant| {
            let right = match grant.access {
                Access::Read => Right::Read,
                Access::Write => Right::Write,
            };
            Rule { path: grant.path.clone(), right, links: Links::Refuse }
        }));
        self.step(Layer::Landlock, Phase::Confine, Action::Ruleset { version, rules, tcp });
    }

    /// Adds a step unless its layer is left out.
    fn step(&mut self, layer: Layer, phase: Phase, action: Action) {
        if self.spec.has(layer) {
            self.push(layer, phase, action);
        }
    }

    fn push(&mut self, layer: Layer, phase: Phase, action: Action) {
        let need = match layer {
            Layer::Landlock if self.plan.kind == Kind::Full => Need::Additional,
            Layer::CellTasks if self.plan.kind == Kind::Light => Need::Required,
            Layer::CellMemory | Layer::CellTasks | Layer::Cpu => Need::Additional,
            _ => Need::Required,
        };
        self.plan.steps.push(Step { layer, need, phase, action });
    }

    fn absent(&mut self, layer: Layer, reason: &str) {
        self.plan.absent.push(Absent { layer, reason: reason.to_owned() });
    }
}
