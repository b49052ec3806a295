//! What a cell's first process and casemate tell each other, one datagram of three numbers per message. Some of them
//! come with descriptors.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::containment::ProcView;
use crate::exit::Exit;

/// Where starting a program failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Namespace,
    Fork,
    Order,
    Directory,
    NotInPath,
    NoProgram,
    NotExecutable,
    NoInterpreter,
    Exec,
    Ended,
    /// Sockets of the cell did not arrive.
    Sockets,
    /// The descriptor through which casemate is told of files did not arrive, or nobody could be put behind it.
    Listener,
    /// A step of the cell's plan, by its place.
    Step(usize),
}

impl Stage {
    const NAMED: [Stage; 12] = [
        Stage::Namespace,
        Stage::Fork,
        Stage::Order,
        Stage::Directory,
        Stage::NotInPath,
        Stage::NoProgram,
        Stage::NotExecutable,
        Stage::NoInterpreter,
        Stage::Exec,
        Stage::Ended,
        Stage::Sockets,
        Stage::Listener,
    ];

    /// The number of the first step, far from those of the stages with a name.
    const STEPS: i32 = 1000;

    fn number(self) -> i32 {
        match self {
            Stage::Step(step) => i32::try_from(step).unwrap_or(i32::MAX - Stage::STEPS) + Stage::STEPS,
            named => {
                Stage::NAMED.iter().zip(0..).find(|(stage, _)| **stage == named).map_or(-1, |(_, at)| at)
            }
        }
    }

    fn of(number: i32) -> Option<Stage> {
        match usize::try_from(number - Stage::STEPS) {
            Ok(step) => Some(Stage::Step(step)),
            Err(_) => Stage::NAMED.get(usize::try_from(number).ok()?).copied(),
        }
    }
}

/// A failed start: where, and what the kernel answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    pub(crate) errno: i32,
}

impl Failure {
    pub(crate) fn new(stage: Stage, errno: Errno) -> Failure {
        Failure { stage, errno: errno.raw_os_error() }
    }
}

/// A message from the cell's first process, but for two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    /// The namespaces are entered; next comes the program.
    Ready(ProcView),
    /// A step of the plan that the cell may exist without could not be taken.
    Skipped { step: usize, errno: i32 },
    /// From casemate: its part is done, and a room may be entered. So many mounts come with this message. It may also
    /// say [`Message::Failed`] instead.
    Go { mounts: usize },
    /// The sockets of the cell's network come with this message: four, and one for each of these ports.
    Doorway { ports: usize },
    /// The two sockets at which the host's figures are told come with this message.
    Figures,
    /// The descriptor through which casemate is told of files comes with this message, from the process that becomes the
    /// server.
    Listener,
    /// The program runs, under this process id (as the cell counts them).
    Started(i32),
    /// The program could not be started. Nothing follows.
    Failed(Failure),
    /// The most memory that any process of the cell has used at once, in KiB.
    Peak(i32),
    /// The program has ended, and so has everything that it started. Nothing follows.
    Ended(Exit),
}

/// The most descriptors that a message can come with (the kernel's SCM_MAX_FD).
const DESCRIPTORS_MAX: usize = 253;

/// The size of every message, in bytes.
pub(crate) const MESSAGE_BYTES: usize = 12;

impl Message {
    pub(crate) fn encode(self) -> [u8; MESSAGE_BYTES] {
        let words = match self {
            Message::Ready(ProcView::Cell) => [1, 1, 0],
            Message::Ready(ProcView::Host) => [1, 0, 0],
            Message::Started(pid) => [2, pid, 0],
            Message::Failed(Failure { stage, errno }) => [3, stage.number(), errno],
            Message::Ended(Exit::Code(code)) => [4, 0, code],
            Message::Ended(Exit::Signal(signal)) => [4, 1, signal],
            Message::Skipped { step, errno } => [5, i32::try_from(step).unwrap_or(i32::MAX), errno],
            Message::Go { mounts } => [6, i32::try_from(mounts).unwrap_or(i32::MAX), 0],
            Message::Peak(kib) => [8, kib, 0],
            Message::Listener => [9, 0, 0],
            Message::Figures => [10, 0, 0],
            Message::Doorway { ports } => [7, i32::try_from(ports).unwrap_or(i32::MAX), 0],
        };
        let mut bytes = [0; MESSAGE_BYTES];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; MESSAGE_BYTES]) -> Option<Message> {
        let mut words = bytes.chunks_exact(4).map(|word| word.try_into().map_or(0, i32::from_ne_bytes));
        match (words.next()?, words.next()?, words.next()?) {
            (1, 1, _) => Some(Message::Ready(ProcView::Cell)),
            (1, 0, _) => Some(Message::Ready(ProcView::Host)),
            (2, pid, _) => Some(Message::Started(pid)),
            (3, stage, errno) => {
                let stage = Stage::of(stage)?;
                Some(Message::Failed(Failure { stage, errno }))
            }
            (4, 0, code) => Some(Message::Ended(Exit::Code(code))),
            (4, 1, signal) => Some(Message::Ended(Exit::Signal(signal))),
            (5, step, errno) => Some(Message::Skipped { step: usize::try_from(step).ok()?, errno }),
            (6, mounts, 0) => Some(Message::Go { mounts: usize::try_from(mounts).ok()? }),
            (8, kib, 0) => Some(Message::Peak(kib)),
            (7, ports, 0) => Some(Message::Doorway { ports: usize::try_from(ports).ok()? }),
            (9, 0, 0) => Some(Message::Listener),
            (10, 0, 0) => Some(Message::Figures),
            _ => None,
        }
    }

    /// Sends it with descriptors, without blocking and without SIGPIPE.
    pub(crate) fn send_with(self, control: &OwnedFd, descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let rights = SendAncillaryMessage::ScmRights(descriptors);
        let mut space = vec![MaybeUninit::uninit(); rights.size()];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(rights) {
            return Err(Errno::MSGSIZE);
        }
        let message = self.encode();
        let parts = [IoSlice::new(&message)];
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        retry_on_intr(|| rustix::net::sendmsg(control, &parts, &mut ancillary, flags)).map(drop)
    }

    /// Sends without blocking and without SIGPIPE. A casemate that is gone does not need to hear it.
    pub(crate) fn send(self, control: &OwnedFd) {
        let _ = self.deliver(control);
    }

    /// The same for what casemate must hear.
    pub(crate) fn deliver(self, control: &OwnedFd) -> Result<(), Errno> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        retry_on_intr(|| rustix::net::send(control, &self.encode(), flags)).map(drop)
    }
}

/// What a look at the control socket brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    Message(Message),
    /// Nothing yet.
    Nothing,
    /// The other side is gone, or what it sent makes no sense.
    Closed,
}

/// Takes one message off the control socket; `flags` decide whether it waits for one.
pub(crate) fn receive(control: impl AsFd, flags: RecvFlags) -> Received {
    receive_with_descriptors(control, flags).0
}

/// The same with the descriptors that came with it.
pub(crate) fn receive_with_descriptors(control: impl AsFd, flags: RecvFlags) -> (Received, Vec<OwnedFd>) {
    let mut bytes = [0; MESSAGE_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let taken = retry_on_intr(|| {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        rustix::net::recvmsg(control.as_fd(), &mut parts, &mut ancillary, flags | RecvFlags::CMSG_CLOEXEC)
    });
    let received = match taken.map(|taken| taken.bytes) {
        Ok(MESSAGE_BYTES) => Message::decode(&bytes).map_or(Received::Closed, Received::Message),
        Err(Errno::AGAIN) => Received::Nothing,
        Ok(_) | Err(_) => Received::Closed,
    };
    let rights = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    (received, rights.flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_wire() {
        let stages = Stage::NAMED.into_iter().chain([0, 1, 99].map(Stage::Step));
        let failures = stages.map(|stage| Message::Failed(Failure { stage, errno: 13 }));
        let others = [
            Message::Ready(ProcView::Cell),
            Message::Ready(ProcView::Host),
            Message::Started(4_194_304),
            Message::Ended(Exit::Code(255)),
            Message::Ended(Exit::Signal(9)),
            Message::Skipped { step: 17, errno: 95 },
            Message::Go { mounts: 3 },
            Message::Peak(i32::MAX),
            Message::Figures,
            Message::Doorway { ports: 128 },
            Message::Listener,
        ];
        for message in failures.chain(others) {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
    }

    #[test]
    fn nonsense_is_not_a_message() {
        assert_eq!(Message::decode(&[0xff; MESSAGE_BYTES]), None);
        let mut bytes = Message::Failed(Failure { stage: Stage::Exec, errno: 1 }).encode();
        bytes[4] = 200;
        assert_eq!(Message::decode(&bytes), None);
    }
}
