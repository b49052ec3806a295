//! The ground that the suite stands on: a network namespace in which every address answers, so that an attack on a far
//! address has something to reach, whatever machine this is and however it is connected. And a mount namespace, so that
//! what others mount on this machine meanwhile is not taken for something that cells have left.

#![expect(unsafe_code, reason = "these system calls have no safe wrapper; each use says why it is sound")]

use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType};

/// Addresses of nobody (RFC 5737, RFC 3849), which stand for somebody outside.
pub(crate) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub(crate) const OUTSIDE_SIX: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// A name server other than the cell's.
pub(crate) const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);

/// Where clouds answer questions about a machine, its credentials included.
pub(crate) const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Takes this process into such a namespace. Must come before any thread. Where that is not permitted, as to an ordinary
/// user, nothing changes: the suite then stands on the ground of the one who started it, if that was root.
pub(crate) fn make() -> io::Result<()> {
    // SAFETY: this process has one thread, and the call changes which network and which mounts that sees.
    if unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) } == -1 {
        return Err(io::Error::last_os_error());
    }
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    raise_loopback()?;
    make_every_address_local(libc::AF_INET)?;
    // A kernel without IPv6 has no such addresses to attack.
    let _ = make_every_address_local(libc::AF_INET6);
    // Also for the ordinary user, who is to have a name server to attack.
    std::fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")
}

/// Whether this is such a namespace.
pub(crate) fn stands() -> bool {
    reaches((OUTSIDE, 9).into())
}

pub(crate) fn stands_with_six() -> bool {
    reaches((OUTSIDE_SIX, 9).into())
}

/// Whether an address is one of this namespace's own.
fn reaches(address: SocketAddr) -> bool {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let Ok(socket) = UdpSocket::bind(any) else { return false };
    socket.connect(address).is_ok() && socket.local_addr().is_ok_and(|own| own.ip() == address.ip())
}

fn raise_loopback() -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: the structure is plain data, for which zeros are a value.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    request.ifr_name[0] = b'l'.cast_signed();
    request.ifr_name[1] = b'o'.cast_signed();
    request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
    // SAFETY: the request is the structure that SIOCSIFFLAGS reads, with a NUL-terminated name.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// `ip route add local default dev lo`.
fn make_every_address_local(family: i32) -> io::Result<()> {
    let (replace, answer) = (libc::NLM_F_CREATE | libc::NLM_F_REPLACE, libc::NLM_F_REQUEST | libc::NLM_F_ACK);
    let mut request = [0_u8; 36];
    request[0] = 36;
    request[4..6].copy_from_slice(&libc::RTM_NEWROUTE.to_ne_bytes());
    request[6..8].copy_from_slice(&((replace | answer) as u16).to_ne_bytes());
    request[16] = family as u8;
    request[20..24].copy_from_slice(&[
        libc::RT_TABLE_LOCAL,
        libc::RTPROT_BOOT,
        libc::RT_SCOPE_HOST,
        libc::RTN_LOCAL,
    ]);
    request[28] = 8;
    request[30..32].copy_from_slice(&libc::RTA_OIF.to_ne_bytes());
    request[32..36].copy_from_slice(&1_u32.to_ne_bytes());
    let socket = rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    rustix::net::send(&socket, &request, SendFlags::empty())?;
    let mut answer = [0; 256];
    rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    match i32::from_ne_bytes(answer[16..20].try_into().unwrap()) {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(-errno)),
    }
}
