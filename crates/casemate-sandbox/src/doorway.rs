//! A cell's network on its way out: sockets that its first process has made, handed to casemate.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use casemate_net::egress::Doorway;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use crate::message::Message;

/// Hands the sockets over and closes them here.
pub(crate) fn hand_out(doorway: Doorway, control: &OwnedFd) -> Result<(), Errno> {
    let Doorway { tcp, dns, dns_tcp, stray_tcp, stray_udp } = doorway;
    let single = [dns.as_fd(), dns_tcp.as_fd(), stray_tcp.as_fd(), stray_udp.as_fd()];
    let descriptors: Vec<_> = single.into_iter().chain(tcp.iter().map(AsFd::as_fd)).collect();
    let rights = SendAncillaryMessage::ScmRights(&descriptors);
    let mut space = vec![MaybeUninit::uninit(); rights.size()];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(rights) {
        return Err(Errno::MSGSIZE);
    }
    let message = Message::Doorway { ports: tcp.len() }.encode();
    let parts = [std::io::IoSlice::new(&message)];
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    retry_on_intr(|| rustix::net::sendmsg(control, &parts, &mut ancillary, flags)).map(drop)
}

/// What has arrived, if it is all of it: the kernel cuts off what the receiver has no free descriptors for.
pub(crate) fn take_in(ports: usize, descriptors: Vec<OwnedFd>) -> Option<Doorway> {
    let mut descriptors = descriptors.into_iter();
    let doorway = Doorway {
        dns: descriptors.next()?.into(),
        dns_tcp: descriptors.next()?.into(),
        stray_tcp: descriptors.next()?,
        stray_udp: descriptors.next()?,
        tcp: descriptors.map(Into::into).collect(),
    };
    (doorway.tcp.len() == ports).then_some(doorway)
}
