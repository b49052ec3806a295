//! What casemate sees at the doors of a cell, and what it can answer. Only full cells have them.

use std::io::{self, Error, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use casemate_net::egress::Doorway;
use casemate_sandbox::{Cell, Error as Fault, Exit, Network};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::PASSAGE;
use crate::programs::{self, Body};
use crate::way_out::{self, ELSEWHERE, SOMEWHERE, expect};
use crate::world::{DOOR, World};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("a_connection_to_a_granted_port_is_taken_over_with_its_address", a_connection_is_taken_over),
    ("what_is_refused_is_seen", what_is_refused_is_seen),
    ("what_a_server_dials_at_itself_is_its_own_affair", what_a_server_dials_at_itself),
    ("names_are_answered_by_whoever_holds_the_doorway", names_are_answered),
    ("the_report_names_the_ports", the_report_names_the_ports),
    ("a_port_that_is_not_granted_is_the_servers", a_port_that_is_not_granted),
    ("a_network_that_does_not_arrive_refuses_the_start", a_network_that_does_not_arrive),
    ("doors_leave_nothing", doors_leave_nothing),
    ("a_network_by_name_carries_what_is_granted_and_records_the_rest", by_name),
];

/// What the server does in these tests, by name.
pub(crate) fn pass(name: &str) -> io::Result<()> {
    match name {
        "dial" => {
            let mut connection = TcpStream::connect((SOMEWHERE, DOOR))?;
            connection.write_all(b"hello")?;
            let mut text = String::new();
            connection.read_to_string(&mut text)?;
            expect(text == "good day")
        }
        "try" => {
            let refused = |result: io::Result<()>| match result {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
                other => Err(Error::other(format!("{other:?}"))),
            };
            refused(TcpStream::connect((SOMEWHERE, DOOR + 1)).map(drop))?;
            refused(TcpStream::connect((Ipv4Addr::LOCALHOST, 5432)).map(drop))?;
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.connect((ELSEWHERE, DOOR))?;
            socket.send(b"hello")?;
            refused(socket.recv(&mut [0; 8]).map(drop))
        }
        "within" => {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            let port = listener.local_addr()?.port();
            for address in [Ipv4Addr::LOCALHOST, SOMEWHERE] {
                let mut connection = TcpStream::connect((address, port))?;
                connection.write_all(b"x")?;
                listener.accept()?.0.read_exact(&mut [0])?;
            }
            let sockets = [0, 0].map(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)));
            let [one, other] = sockets;
            let (one, other) = (one?, other?);
            one.send_to(b"x", other.local_addr()?)?;
            expect(other.recv(&mut [0; 8])? == 1)
        }
        "ask" => {
            let found: Vec<SocketAddr> = ("api.example.test", DOOR).to_socket_addrs()?.collect();
            expect(found == [SocketAddr::from(([127, 1, 0, 7], DOOR))])
        }
        _ => way_out::pass(name),
    }
}

/// Starts a server that plays one of the parts.
fn start(world: &World, part: &str) -> (Cell, Doorway) {
    let own = std::env::current_exe().unwrap();
    let mut spec = world.spec(own.to_str().unwrap(), &[PASSAGE, part]);
    spec.cell.as_mut().unwrap().network = world.doors();
    let mut cell = world.start(spec).unwrap();
    let doorway = cell.doorway.take().unwrap();
    (cell, doorway)
}

fn ends_well(world: &World, cell: Cell) {
    let (exit, said) = world.end(cell);
    assert_eq!(exit, Exit::Code(0), "{said}");
}

fn by_name(world: &World) {
    let (cell, doorway) = start(world, &way_out::part(world));
    way_out::judge(world, doorway, || ends_well(world, cell));
}

/// Waits until a socket, which does not block, has something.
fn readable(socket: impl AsFd) {
    let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
    let mut ready = [PollFd::new(&socket, PollFlags::IN)];
    assert_eq!(poll(&mut ready, Some(&limit)).unwrap(), 1, "nothing comes");
}

fn a_connection_is_taken_over(world: &World) {
    let (cell, doorway) = start(world, "dial");
    let door = doorway.tcp.iter().find(|door| door.local_addr().unwrap().port() == DOOR).unwrap();
    readable(door);
    let (mut connection, _) = door.accept().unwrap();
    assert_eq!(connection.local_addr().unwrap(), SocketAddr::from((SOMEWHERE, DOOR)));
    connection.set_nonblocking(false).unwrap();
    let mut text = [0; 5];
    connection.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello");
    connection.write_all(b"good day").unwrap();
    drop(connection);
    ends_well(world, cell);
}

/// The source (of a refusal) or the destination (of a datagram) of the packets that a raw socket has.
fn packets(socket: &OwnedFd, place: Place) -> Vec<SocketAddrV4> {
    let mut found = Vec::new();
    let mut packet = [0; 2048];
    while let Ok((length, _)) = rustix::net::recv(socket, &mut packet, rustix::net::RecvFlags::DONTWAIT) {
        let packet = &packet[..length];
        let header = usize::from(packet[0] & 0xf) * 4;
        let (address, port) = match place {
            Place::Source => (12, header),
            Place::Destination => (16, header + 2),
        };
        let address: [u8; 4] = packet[address..address + 4].try_into().unwrap();
        let port = u16::from_be_bytes(packet[port..port + 2].try_into().unwrap());
        found.push(SocketAddrV4::new(address.into(), port));
    }
    found
}

#[derive(Clone, Copy)]
enum Place {
    Source,
    Destination,
}

fn what_is_refused_is_seen(world: &World) {
    let (cell, doorway) = start(world, "try");
    ends_well(world, cell);
    let refused = [SocketAddrV4::new(SOMEWHERE, DOOR + 1), SocketAddrV4::new(Ipv4Addr::LOCALHOST, 5432)];
    assert_eq!(packets(&doorway.stray_tcp, Place::Source), refused);
    assert_eq!(packets(&doorway.stray_udp, Place::Destination), [SocketAddrV4::new(ELSEWHERE, DOOR)]);
}

fn what_a_server_dials_at_itself(world: &World) {
    let (cell, doorway) = start(world, "within");
    ends_well(world, cell);
    assert_eq!(packets(&doorway.stray_tcp, Place::Source), []);
    assert_eq!(packets(&doorway.stray_udp, Place::Destination), []);
}

/// One answer for the first kind of address, none for the second.
fn names_are_answered(world: &World) {
    let (cell, doorway) = start(world, "ask");
    let mut asked = Vec::new();
    while asked.len() < 2 {
        readable(&doorway.dns);
        let mut packet = [0; 512];
        let (length, from) = doorway.dns.recv_from(&mut packet).unwrap();
        let question = &packet[..length];
        // A header of 12 bytes, the name, its kind and its class.
        let end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
        let (name, kind) = (&question[12..end - 4], question[end - 3]);
        assert_eq!(name, b"\x03api\x07example\x04test\0");
        let mut answer = [&question[..2], &[0x81, 0x80, 0, 1, 0, u8::from(kind == 1), 0, 0, 0, 0]].concat();
        answer.extend_from_slice(&question[12..end]);
        if kind == 1 {
            answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 1, 0, 7]);
        }
        doorway.dns.send_to(&answer, from).unwrap();
        asked.push(kind);
    }
    asked.sort_unstable();
    assert_eq!(asked, [1, 28]);
    ends_well(world, cell);
    assert_eq!(packets(&doorway.stray_udp, Place::Destination), [], "names are no strays");
}

fn the_report_names_the_ports(world: &World) {
    let (cell, doorway) = start(world, "dial");
    let enforced = cell.handle.report().enforced.clone().unwrap();
    assert_eq!(enforced.ports, Some([DOOR, world.facts.door].into()));
    let mut ports: Vec<u16> = doorway.tcp.iter().map(|door| door.local_addr().unwrap().port()).collect();
    ports.sort_unstable();
    assert_eq!(ports, enforced.ports.unwrap().into_iter().collect::<Vec<_>>());
    let names = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    assert_eq!((doorway.dns.local_addr().unwrap(), doorway.dns_tcp.local_addr().unwrap()), (names, names));
    let plain = world.start(world.spec("/bin/true", &[])).unwrap();
    assert!(plain.doorway.is_none());
}

fn a_port_that_is_not_granted(world: &World) {
    let listens = "import socket, sys\n\
        s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
        try: s.bind(('0.0.0.0', int(sys.argv[1]))); s.listen(); print('yes')\n\
        except OSError as e: print(e.errno)";
    if !programs::has("/usr/bin/python3") {
        return;
    }
    for (port, expected) in [(DOOR + 1, "yes\n".to_owned()), (DOOR, format!("{}\n", libc::EADDRINUSE))] {
        let mut spec = world.spec("/usr/bin/python3", &["-c", listens, &port.to_string()]);
        spec.cell.as_mut().unwrap().network = world.doors();
        assert_eq!(world.finish(spec), (Exit::Code(0), expected));
    }
}

/// The kernel cuts off descriptors for which the receiver has no room, and says nothing to the sender.
fn a_network_that_does_not_arrive(world: &World) {
    let mut spec = world.spec("/bin/cat", &[]);
    let ports = (DOOR..).take(Network::PORTS_MAX).collect();
    spec.cell.as_mut().unwrap().network = Network::Ports(ports);
    // Enough for the cell, which starts with none, and for starting it, but not for what it hands out.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), ..limit }).unwrap();
    let mut fill = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        fill.push(file);
    }
    fill.truncate(fill.len() - 40);
    let outcome = world.start(spec);
    setrlimit(Resource::Nofile, limit).unwrap();
    match outcome {
        Err(Fault::Host { what, source }) => {
            assert_eq!((what, source.raw_os_error()), ("the sockets of a cell", Some(libc::EMFILE)));
        }
        other => panic!("{other:?}"),
    }
}

fn doors_leave_nothing(world: &World) {
    let plain = || {
        let mut spec = world.spec("/bin/true", &[]);
        spec.cell.as_mut().unwrap().network = world.doors();
        world.finish(spec);
    };
    plain();
    let before = programs::left();
    (0..20).for_each(|_| plain());
    programs::settled(&before);
}
