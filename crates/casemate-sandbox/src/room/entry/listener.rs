//! Telling casemate of every file that a server opens, looks at or executes, before the kernel carries it out.
//!
//! The filter stops nothing but sockets that could speak to one with a name in the file system: the host's files are
//! there to be seen while a server is watched, and a mount does not keep anybody from speaking to a socket in it.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use crate::learn::calls;
use crate::message::Message;
use crate::room::bpf::{BpfProgram, Compare, Width, answer, jump, keep, load};
use crate::room::kernel;

/// Where `struct seccomp_data` has the number of the call and the lower halves of its first two arguments, on machines
/// that have those first. Architectures and x32 are told apart by the filter that comes after this one, whose verdict is
/// the harder one.
const NUMBER_AT: u32 = 0;
const FAMILY_AT: u32 = 16;
const TYPE_AT: u32 = 24;

/// The bits of a socket's type that are no flags.
const TYPE_BITS: u32 = 0xf;

/// Installs the filter and hands the descriptor that it is answered through to casemate.
pub(super) fn install(control: &OwnedFd) -> Result<(), Errno> {
    let listener = kernel::listen_to(&program())?;
    Message::Listener.send_with(control, &[listener.as_fd()])
}

fn program() -> BpfProgram {
    let numbers: Vec<u32> = calls::files().map(|call| call.number.unsigned_abs() as u32).collect();
    let [socket, pair] = calls::SOCKETS.map(|number| number.unsigned_abs() as u32);
    let [unix, stream, sequenced] =
        [libc::AF_UNIX, libc::SOCK_STREAM, libc::SOCK_SEQPACKET].map(i32::unsigned_abs);
    let end = [
        jump(Compare::Equal, socket, (0, 2)),
        load(Width::Word, FAMILY_AT),
        jump(Compare::Equal, unix, (6, 5)),
        // One end of a pair of datagram sockets may send to any name.
        jump(Compare::Equal, pair, (0, 4)),
        load(Width::Word, TYPE_AT),
        keep(TYPE_BITS),
        jump(Compare::Equal, stream, (1, 0)),
        jump(Compare::Equal, sequenced, (0, 1)),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(libc::SECCOMP_RET_USER_NOTIF),
    ];
    let mut program = vec![load(Width::Word, NUMBER_AT)];
    // Each jumps to the last instruction, over its successors and all but one of those at the end.
    for (number, after) in numbers.iter().zip((0..numbers.len()).rev()) {
        let distance = u8::try_from(after + end.len() - 1).unwrap_or(u8::MAX);
        program.push(jump(Compare::Equal, *number, (distance, 0)));
    }
    program.extend(end);
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would.
    fn verdict(number: i64, arguments: [i32; 2]) -> u32 {
        let program = program();
        let (mut at, mut loaded) = (0, 0);
        loop {
            let instruction = &program[at];
            at += 1;
            match u32::from(instruction.code) & 7 {
                libc::BPF_LD => {
                    loaded = match instruction.k {
                        NUMBER_AT => number as u32,
                        FAMILY_AT => arguments[0] as u32,
                        TYPE_AT => arguments[1] as u32,
                        other => panic!("{other}"),
                    }
                }
                libc::BPF_ALU => loaded &= instruction.k,
                libc::BPF_JMP => {
                    let offset = if loaded == instruction.k { instruction.jt } else { instruction.jf };
                    at += usize::from(offset);
                }
                _ => return instruction.k,
            }
        }
    }

    #[test]
    fn every_call_of_the_table_is_told_and_no_other() {
        for number in 0..463 {
            let expected = match calls::files().any(|call| call.number == number) {
                true => libc::SECCOMP_RET_USER_NOTIF,
                false => libc::SECCOMP_RET_ALLOW,
            };
            assert_eq!(verdict(number, [libc::AF_INET, libc::SOCK_STREAM]), expected, "{number}");
        }
    }

    #[test]
    fn sockets_that_could_speak_to_a_name_are_told() {
        let told = |number, family, kind| verdict(number, [family, kind]) == libc::SECCOMP_RET_USER_NOTIF;
        for flags in [0, libc::SOCK_CLOEXEC, libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC] {
            for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_RAW, libc::SOCK_SEQPACKET] {
                assert!(told(libc::SYS_socket, libc::AF_UNIX, kind | flags));
                assert!(!told(libc::SYS_socket, libc::AF_INET, kind | flags));
                let is_stream = matches!(kind, libc::SOCK_STREAM | libc::SOCK_SEQPACKET);
                assert_eq!(told(libc::SYS_socketpair, libc::AF_UNIX, kind | flags), !is_stream);
            }
        }
    }
}
