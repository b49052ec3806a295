//! Attacks by way of a network that casemate takes over.

#![expect(unsafe_code, reason = "these system calls have no safe wrapper; each use says why it is sound")]

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use casemate_sandbox::Layer::{self, Capabilities, Network};
use rustix::net::{AddressFamily, SocketType, ipproto, sockopt};

use crate::attack::Attack;
use crate::attacks::kernel::syscall;
use crate::ground::{METADATA, NAME_SERVER, OUTSIDE, OUTSIDE_SIX, stands, stands_with_six};
use crate::world::{DOOR, Facts};

const OUT: &[Layer] = &[Network];
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const FAR: IpAddr = IpAddr::V4(OUTSIDE);

pub(crate) const ALL: &[Attack] = &[
    row("reach_the_hosts_loopback_past_the_doors", OUT, |f| greeted(LOCAL, f.tcp)),
    row("reach_the_hosts_loopback_by_a_door", OUT, |f| greeted(LOCAL, f.door)),
    row("reach_the_hosts_loopback_of_version_6", OUT, |f| greeted(Ipv6Addr::LOCALHOST.into(), f.door))
        .when(stands_with_six),
    row("reach_an_address_outside", OUT, |f| greeted(FAR, f.tcp)).when(stands),
    row("reach_an_address_outside_by_a_door", OUT, |f| greeted(FAR, f.door)).when(stands),
    row("reach_an_address_of_version_6", OUT, |f| greeted(OUTSIDE_SIX.into(), f.door)).when(stands_with_six),
    row("reach_an_address_in_another_form", OUT, |f| greeted(OUTSIDE.to_ipv6_mapped().into(), f.door))
        .when(stands),
    row("reach_the_metadata_service", OUT, |f| greeted(METADATA.into(), f.tcp)).when(stands),
    row("reach_the_metadata_service_by_a_door", OUT, |f| greeted(METADATA.into(), f.door)).when(stands),
    row("send_datagrams_outside", OUT, |f| echoed(FAR, f.udp)).when(stands),
    row("send_datagrams_to_a_door", OUT, |f| echoed(LOCAL, f.udp)),
    row("ask_another_name_server", OUT, |_| echoed(NAME_SERVER.into(), 53)).when(stands),
    row("listen_at_a_door", OUT, |_| listen(Ipv4Addr::UNSPECIFIED, Share::No)),
    row("share_a_door", OUT, |_| listen(Ipv4Addr::UNSPECIFIED, Share::Yes)),
    row("share_a_door_at_one_address", OUT, |_| listen(OUTSIDE, Share::Yes)).when(stands),
    row("be_the_name_server", OUT, |_| {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        sockopt::set_socket_reuseport(&socket, true)?;
        Ok(rustix::net::bind(&socket, &std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53))?)
    })
    .when(stands),
    row("forge_packets_at_a_door", &[Capabilities], |_| {
        rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::TCP))?;
        Ok(())
    }),
    row("take_the_network_down", &[Capabilities], |_| take_down()),
];

/// A row for full cells with a network; light ones have none.
const fn row(name: &'static str, full: &'static [Layer], body: fn(&Facts) -> io::Result<()>) -> Attack {
    Attack::new(name, full, &[], body).with_doors()
}

/// Somebody outside greets whoever connects. Casemate, which takes over what goes through a door, does not.
fn greeted(address: IpAddr, port: u16) -> io::Result<()> {
    let mut connection = TcpStream::connect((address, port))?;
    connection.read_exact(&mut [0; 5])
}

fn echoed(address: IpAddr, port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect((address, port))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.send(b"hello")?;
    socket.recv(&mut [0; 16]).map(drop)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    Yes,
    No,
}

fn listen(address: Ipv4Addr, share: Share) -> io::Result<()> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    if share == Share::Yes {
        sockopt::set_socket_reuseaddr(&socket, true)?;
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    rustix::net::bind(&socket, &std::net::SocketAddrV4::new(address, DOOR))?;
    Ok(rustix::net::listen(&socket, 1)?)
}

/// Asks for the loopback interface to be what it is: who may not change it may not say that either.
fn take_down() -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: the structure is plain data, for which zeros are a value.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    request.ifr_name[0] = b'l'.cast_signed();
    request.ifr_name[1] = b'o'.cast_signed();
    request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
    let request = (&raw const request) as usize;
    syscall(libc::SYS_ioctl, [socket.as_raw_fd() as usize, libc::SIOCSIFFLAGS as usize, request, 0, 0])
        .map(drop)
}
