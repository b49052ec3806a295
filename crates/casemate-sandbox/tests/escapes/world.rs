//! The outside of a cell, full of temptations, and the runtime that cells are started on.

#![expect(unsafe_code, reason = "System V memory has no safe wrapper")]

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use casemate_net::egress::Doorway;
use casemate_sandbox::learn::{LearnSpec, Lessons};
use casemate_sandbox::{
    Access, Cell, CellSpec, Error, Exit, Kind, Limits, Options, Spawner, Spec, environment,
};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

use crate::ground;

/// Nothing here takes a second; whatever takes longer than this hangs.
const TIME_MAX: Duration = Duration::from_secs(60);

/// A port that is granted to cells with a network, and at which nobody listens outside.
pub(crate) const DOOR: u16 = 20_443;

/// What the attacker is told: where everything is.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) folder: PathBuf,
    pub(crate) tcp: u16,
    pub(crate) udp: u16,
    /// Another TCP port of the host, which is granted to cells with a network.
    pub(crate) door: u16,
    pub(crate) bystander: i32,
    pub(crate) memory: i32,
    pub(crate) hostname: String,
}

impl Facts {
    pub(crate) fn to_args(&self) -> Vec<String> {
        vec![
            self.folder.to_str().unwrap().to_owned(),
            self.tcp.to_string(),
            self.udp.to_string(),
            self.door.to_string(),
            self.bystander.to_string(),
            self.memory.to_string(),
            self.hostname.clone(),
        ]
    }

    pub(crate) fn of_args(args: &[String]) -> Facts {
        Facts {
            folder: PathBuf::from(&args[0]),
            tcp: args[1].parse().unwrap(),
            udp: args[2].parse().unwrap(),
            door: args[3].parse().unwrap(),
            bystander: args[4].parse().unwrap(),
            memory: args[5].parse().unwrap(),
            hostname: args[6].clone(),
        }
    }

    /// A file that nobody granted.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.folder.join("outside").join(name)
    }

    /// The name of the socket without a file.
    pub(crate) fn abstract_name(&self) -> SocketAddr {
        SocketAddr::from_abstract_name(self.folder.to_str().unwrap()).unwrap()
    }
}

pub(crate) struct World {
    pub(crate) facts: Facts,
    pub(crate) kind: Kind,
    spawner: Spawner,
    runtime: tokio::runtime::Runtime,
    bystander: Child,
    _folder: TempDir,
    _sockets: (UnixListener, UnixListener, UnixDatagram),
}

impl World {
    pub(crate) fn new(kind: Kind) -> World {
        // Not in /tmp, of which cells have their own.
        let folder = tempfile::Builder::new().prefix("casemate-escapes").tempdir_in("/var/tmp").unwrap();
        for name in ["", "outside", "read", "write"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            open_to_all(&path, 0o777);
        }
        for name in ["outside/secret", "outside/writable", "outside/doomed", "outside/movable", "read/file"] {
            let path = folder.path().join(name);
            std::fs::write(&path, "secret").unwrap();
            open_to_all(&path, 0o666);
        }
        if rustix::process::geteuid().is_root() {
            std::fs::copy("/usr/bin/id", folder.path().join("read/id")).unwrap();
            open_to_all(&folder.path().join("read/id"), 0o4755);
        }
        let outside = Outside::get();
        let named = UnixListener::bind(folder.path().join("outside/socket")).unwrap();
        let log = UnixDatagram::bind(folder.path().join("outside/log")).unwrap();
        for name in ["outside/socket", "outside/log"] {
            open_to_all(&folder.path().join(name), 0o777);
        }
        // It ends with us, however we end, and holds on to nothing that somebody waits for.
        let mut bystander = Command::new("cat");
        bystander.env("SECRET", "yes").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let bystander = bystander.spawn().unwrap();
        // SAFETY: makes a segment of the kernel's; nothing is mapped.
        let memory = unsafe { libc::shmget(libc::IPC_PRIVATE, 4096, 0o666 | libc::IPC_CREAT) };
        let facts = Facts {
            folder: folder.path().to_owned(),
            tcp: outside.tcp,
            udp: outside.udp,
            door: outside.door,
            bystander: i32::try_from(bystander.id()).unwrap(),
            memory,
            hostname: rustix::system::uname().nodename().to_str().unwrap().to_owned(),
        };
        let unnamed = UnixListener::bind_addr(&facts.abstract_name()).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let spawner =
            Spawner::start_with(Options { containment: super::containment(kind), ..Options::default() })
                .unwrap();
        World { facts, kind, spawner, runtime, bystander, _folder: folder, _sockets: (named, unnamed, log) }
    }

    /// A cell as small as the attacks on its limits need.
    pub(crate) fn cell(&self) -> CellSpec {
        let limits = Limits {
            memory_bytes: 300 << 20,
            cpu_millis: 2000,
            processes: 200,
            open_files: 128,
            file_bytes: 1 << 20,
            tmp_bytes: 1 << 20,
            tmp_files: 64,
        };
        CellSpec { limits, ..CellSpec::new(self.kind) }
            .grant(Access::Read, std::env::current_exe().unwrap())
            .grant(Access::Read, self.facts.folder.join("read"))
            .grant(Access::Write, self.facts.folder.join("write"))
    }

    /// The network of a cell that has one.
    pub(crate) fn doors(&self) -> casemate_sandbox::Network {
        casemate_sandbox::Network::Ports([DOOR, self.facts.door].into())
    }

    pub(crate) fn spec(&self, program: &str, args: &[&str]) -> Spec {
        let tmp = if self.kind == Kind::Full { Path::new("/tmp") } else { &self.facts.folder.join("write") };
        Spec {
            program: program.into(),
            args: args.iter().map(Into::into).collect(),
            env: environment::base(tmp, tmp, &[]),
            cwd: None,
            label: "test".to_owned(),
            cell: Some(self.cell()),
        }
    }

    pub(crate) fn start(&self, spec: Spec) -> Result<Cell, Error> {
        self.run(self.spawner.spawn(spec))
    }

    /// Starts a program that is watched.
    pub(crate) fn learn(&self, spec: Spec, learn: LearnSpec) -> Result<(Cell, Lessons), Error> {
        self.run(self.spawner.learn(spec, learn))
    }

    /// Runs a program to its end: how it ended, and all that it said.
    pub(crate) fn finish(&self, spec: Spec) -> (Exit, String) {
        let cell = match self.start(spec) {
            Ok(cell) => cell,
            Err(error) => panic!("{error} ({})", error.hint()),
        };
        self.end(cell)
    }

    /// The same for one that runs already.
    pub(crate) fn end(&self, mut cell: Cell) -> (Exit, String) {
        self.run(async {
            let mut doorway = cell.doorway.take();
            let mut tasks = doorway.as_mut().map(take_over);
            let (mut io, handle) = cell.split();
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let _ = tokio::join!(io.stdout.read_to_end(&mut out), io.stderr.read_to_end(&mut err));
            out.append(&mut err);
            if let Some(tasks) = &mut tasks {
                tasks.shutdown().await;
            }
            (handle.wait().await, String::from_utf8_lossy(&out).into_owned())
        })
    }

    /// Begins something that goes on besides the cell.
    pub(crate) fn begin(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> tokio::task::JoinHandle<()> {
        self.runtime.spawn(task)
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime
            .block_on(async { tokio::time::timeout(TIME_MAX, future).await })
            .expect("this test hangs")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.bystander.kill();
        let _ = self.bystander.wait();
        // SAFETY: removes the segment that this value has made.
        unsafe { libc::shmctl(self.facts.memory, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

/// What casemate does with connections of which it knows nothing: it takes them and lets them go.
pub(crate) fn take_over(doorway: &mut Doorway) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for listener in doorway.tcp.drain(..) {
        tasks.spawn(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while listener.accept().await.is_ok() {}
        });
    }
    tasks
}

/// What there is outside, for the life of the process: two listeners that greet, and datagrams that come back.
struct Outside {
    tcp: u16,
    udp: u16,
    door: u16,
}

impl Outside {
    fn get() -> &'static Outside {
        static OUTSIDE: OnceLock<Outside> = OnceLock::new();
        OUTSIDE.get_or_init(|| {
            // On every address, but not of a network with others in it.
            let [any, six] = match ground::stands() {
                true => [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
                false => [IpAddr::V4(Ipv4Addr::LOCALHOST); 2],
            };
            // Where an ordinary user stands on root's ground, root answers already.
            if let Ok(names) = UdpSocket::bind((ground::NAME_SERVER, 53)) {
                echo(names);
            }
            let listen =
                || greet(TcpListener::bind((six, 0)).or_else(|_| TcpListener::bind((any, 0))).unwrap());
            Outside { tcp: listen(), udp: echo(UdpSocket::bind((any, 0)).unwrap()), door: listen() }
        })
    }
}

fn greet(listener: TcpListener) -> u16 {
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut connection, _)) = listener.accept() {
            let _ = connection.write_all(b"hello");
        }
    });
    port
}

fn echo(socket: UdpSocket) -> u16 {
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut bytes = [0; 16];
        while let Ok((length, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&bytes[..length], from);
        }
    });
    port
}

/// The umask has no say in it.
fn open_to_all(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
