//! The way into a cell's network for casemate: sockets made inside, while this process still has the namespace's
//! capabilities, and handed out. None of them stays.
//!
//! Every IPv4 address is made a local one, so that whatever a server dials arrives here and can be seen, and nothing
//! needs to be forwarded. IPv6 is left without a route: a name has no such address in a cell, and a literal one is
//! unreachable at once, which programs take as the reason to try the next address.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};

use casemate_net::egress::Doorway;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, ipproto, listen,
    socket_with,
};

use crate::doorway;
use crate::room::bpf::{Compare, Width, answer, jump, load, load_behind_header, measure_header, sock_filter};
use crate::room::kernel;

/// Where a cell's name server is.
const NAME_SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 53);

/// Connections that wait to be taken over, on each port.
const BACKLOG: i32 = 128;

/// Makes the sockets and hands them to casemate.
pub(super) fn open(ports: &BTreeSet<u16>, control: &OwnedFd) -> Result<(), Errno> {
    make_every_address_local()?;
    let tcp = ports.iter().map(|port| {
        // Without SO_REUSEADDR and SO_REUSEPORT, so that no other socket can have the port, on any address.
        listener(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, *port)).map(Into::into)
    });
    let dns = socket(SocketType::DGRAM, None)?;
    bind(&dns, &NAME_SERVER)?;
    let sockets = Doorway {
        tcp: tcp.collect::<Result<_, Errno>>()?,
        dns: dns.into(),
        dns_tcp: listener(NAME_SERVER)?.into(),
        stray_tcp: tap(ipproto::TCP, &refusals())?,
        stray_udp: tap(ipproto::UDP, &datagrams())?,
    };
    doorway::hand_out(sockets, control)
}

fn socket(kind: SocketType, protocol: Option<Protocol>) -> Result<OwnedFd, Errno> {
    // Who takes them over does not block.
    socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, protocol)
}

fn listener(address: SocketAddrV4) -> Result<OwnedFd, Errno> {
    let socket = socket(SocketType::STREAM, None)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A socket that gets a copy of every packet that a filter lets pass.
fn tap(protocol: Protocol, filter: &[sock_filter]) -> Result<OwnedFd, Errno> {
    let socket = socket(SocketType::RAW, Some(protocol))?;
    kernel::attach_filter(socket.as_fd(), filter)?;
    Ok(socket)
}

/// Adds `local 0.0.0.0/0 dev lo` to the table of local addresses: what `ip route add local default dev lo` does.
fn make_every_address_local() -> Result<(), Errno> {
    /// The loopback interface is the first one of every network namespace.
    const LOOPBACK: u32 = 1;
    const HEADER_BYTES: usize = 16;
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    // struct rtmsg: family, lengths of the prefixes, type of service, table, protocol, scope, type, flags.
    let mut body = vec![libc::AF_INET as u8, 0, 0, 0, libc::RT_TABLE_LOCAL, libc::RTPROT_BOOT];
    body.extend([libc::RT_SCOPE_HOST, libc::RTN_LOCAL, 0, 0, 0, 0]);
    // One attribute: its length, its type, the interface.
    body.extend(8_u16.to_ne_bytes());
    body.extend(libc::RTA_OIF.to_ne_bytes());
    body.extend(LOOPBACK.to_ne_bytes());
    // struct nlmsghdr: length, type, flags, a number of ours, a sender that the kernel fills in.
    let mut request = u32::try_from(HEADER_BYTES + body.len()).unwrap_or_default().to_ne_bytes().to_vec();
    request.extend(libc::RTM_NEWROUTE.to_ne_bytes());
    request.extend((flags as u16).to_ne_bytes());
    request.extend([0; 8]);
    request.extend(body);
    // No protocol is NETLINK_ROUTE.
    let netlink = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    rustix::net::send(&netlink, &request, SendFlags::empty())?;
    let mut answer = [0; 512];
    rustix::net::recv(&netlink, &mut answer, RecvFlags::empty())?;
    // struct nlmsgerr, after the header: an error number below 0, or 0.
    let errno = answer.get(HEADER_BYTES..).and_then(|rest| rest.first_chunk());
    match errno.map_or(libc::EBADMSG, |errno| -i32::from_ne_bytes(*errno)) {
        0 => Ok(()),
        errno => Err(Errno::from_raw_os_error(errno)),
    }
}

/// Lets the kernel's refusals of connections pass, which are the segments with RST, ACK and the sequence number 0: what
/// a server is refused it has dialed, and what it has accepted from itself stays its own affair.
fn refusals() -> [sock_filter; 7] {
    const SEQUENCE_AT: u32 = 4;
    const FLAGS_AT: u32 = 13;
    const RST_ACK: u32 = 0x14;
    [
        measure_header(),
        load_behind_header(Width::Byte, FLAGS_AT),
        jump(Compare::Equal, RST_ACK, (0, 3)),
        load_behind_header(Width::Word, SEQUENCE_AT),
        jump(Compare::Equal, 0, (0, 1)),
        answer(u32::MAX),
        answer(0),
    ]
}

/// Lets datagrams pass but those to 127.0.0.1, where the name server is and nothing can be granted, and its answers.
fn datagrams() -> [sock_filter; 9] {
    const SOURCE_AT: u32 = 12;
    const SOURCE_PORT_AT: u32 = 0;
    const DESTINATION_AT: u32 = 16;
    let loopback = NAME_SERVER.ip().to_bits();
    [
        load(Width::Word, DESTINATION_AT),
        jump(Compare::Equal, loopback, (6, 0)),
        load(Width::Word, SOURCE_AT),
        jump(Compare::Equal, loopback, (0, 3)),
        measure_header(),
        load_behind_header(Width::Half, SOURCE_PORT_AT),
        jump(Compare::Equal, NAME_SERVER.port().into(), (1, 0)),
        answer(u32::MAX),
        answer(0),
    ]
}
