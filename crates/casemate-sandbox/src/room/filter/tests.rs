//! The compiled programs, run by a small machine of our own against calls that must and must not pass.

use super::*;
use crate::room::bpf::sock_filter;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;

const BOTH: [Profile; 2] = [Profile::Standard, Profile::Offline];

/// What the kernel would answer to a call.
fn verdict(profile: Profile, number: u32, architecture: u32, args: [u64; 6]) -> u32 {
    let mut data = Vec::new();
    data.extend(number.to_ne_bytes());
    data.extend(architecture.to_ne_bytes());
    data.extend([0; 8]);
    args.iter().for_each(|arg| data.extend(arg.to_ne_bytes()));
    run(&program(profile).unwrap(), &data, 0)
}

/// Runs a program that begins with something loaded.
fn run(program: &[sock_filter], data: &[u8], mut accumulator: u32) -> u32 {
    let mut at = 0;
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let code = u32::from(code);
        let jump = |holds: bool| usize::from(if holds { jt } else { jf });
        match code & 7 {
            libc::BPF_LD => accumulator = u32::from_ne_bytes(data[k as usize..][..4].try_into().unwrap()),
            libc::BPF_ALU if code & 0xf0 == libc::BPF_AND => accumulator &= k,
            libc::BPF_RET => return k,
            libc::BPF_JMP => {
                at += match code & 0xf0 {
                    libc::BPF_JA => k as usize,
                    libc::BPF_JEQ => jump(accumulator == k),
                    libc::BPF_JGT => jump(accumulator > k),
                    libc::BPF_JGE => jump(accumulator >= k),
                    other => panic!("jump {other:#x}"),
                }
            }
            other => panic!("instruction {other:#x}"),
        }
    }
}

pub(super) fn native(profile: Profile, call: i64, args: [u64; 6]) -> u32 {
    verdict(profile, u32::try_from(call).unwrap(), ARCHITECTURE.1, args)
}

#[test]
fn what_is_listed_passes_and_what_is_never_listed_does_not() {
    for (profile, lists) in [(Profile::Standard, calls::STANDARD), (Profile::Offline, calls::OFFLINE)] {
        for (call, name) in lists.concat() {
            assert_eq!(native(profile, call, [0; 6]), ALLOW, "{name}");
        }
        for (call, name) in calls::NEVER {
            assert_ne!(native(profile, *call, [0; 6]), ALLOW, "{name}");
        }
    }
}

/// The kernel walks it for every call there is before a server starts, so its length is felt.
#[test]
fn the_program_is_short_and_every_call_finds_its_place() {
    for profile in BOTH {
        let (open, guarded) = lists(profile);
        let open = open.concat();
        let guarded: Vec<_> = guarded.concat().into_iter().map(|((call, _), _)| call).collect();
        assert!(program(profile).unwrap().len() < 400, "{}", program(profile).unwrap().len());
        for number in (0..=i64::from(calls::NEWEST)).filter(|number| !guarded.contains(number)) {
            let expected = match number {
                libc::SYS_clone3 => UNKNOWN,
                _ if open.iter().any(|(call, _)| *call == number) => ALLOW,
                _ => REFUSE,
            };
            assert_eq!(native(profile, number, [0; 6]), expected, "{number}");
        }
    }
}

/// Farther than a comparison can jump.
#[test]
fn a_tree_may_be_of_any_size() {
    let verdict = |number: u32| match number % 3 {
        2 => Verdict::Later,
        other => Verdict::Answer(other),
    };
    let mut program = tree::program(&tree::runs(3000, verdict));
    program.push(answer(2));
    for number in [0_u32, 1, 2, 3, 255, 256, 257, 1499, 1500, 1501, 2998, 2999, 3000] {
        assert_eq!(run(&program, &number.to_ne_bytes(), number), number % 3, "{number}");
    }
}

#[test]
fn no_call_stands_in_two_lists() {
    for profile in BOTH {
        let lists = if profile == Profile::Standard { calls::STANDARD } else { calls::OFFLINE };
        let mut all = lists.concat();
        all.extend(calls::GUARDED.iter().chain(calls::GUARDED_STANDARD).map(|(call, _)| call));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|(call, _)| *call <= calls::NEWEST.into()));
    }
}

#[test]
fn other_architectures_and_x32_end_the_process() {
    for profile in BOTH {
        let i386 = 0x4000_0003;
        assert_eq!(verdict(profile, 1, i386, [0; 6]), KILL);
        let read = u32::try_from(libc::SYS_read).unwrap();
        assert_eq!(verdict(profile, read, ARCHITECTURE.1, [0; 6]), ALLOW);
        assert_eq!(verdict(profile, X32_BIT | read, ARCHITECTURE.1, [0; 6]), KILL);
        assert_eq!(verdict(profile, u32::MAX, ARCHITECTURE.1, [0; 6]), KILL);
    }
}

#[test]
fn what_is_too_new_and_clone3_do_not_exist() {
    for profile in BOTH {
        assert_eq!(native(profile, libc::SYS_clone3, [0; 6]), UNKNOWN);
        assert_eq!(native(profile, i64::from(calls::NEWEST) + 1, [0; 6]), UNKNOWN);
        assert_eq!(native(profile, libc::SYS_bpf, [0; 6]), REFUSE);
    }
}

#[test]
fn arguments_decide_where_they_must() {
    let upper = 1_u64 << 32;
    let of = |profile, call, first: u64, second: u64| native(profile, call, [first, second, 0, 0, 0, 0]);
    let user = u64::try_from(libc::CLONE_NEWUSER).unwrap();
    for profile in BOTH {
        assert_eq!(of(profile, libc::SYS_clone, 0x0011, 0), ALLOW);
        assert_eq!(of(profile, libc::SYS_clone, user | 0x11, 0), REFUSE);
        assert_eq!(of(profile, libc::SYS_ioctl, 0, 0x5401), ALLOW);
        assert_eq!(of(profile, libc::SYS_ioctl, 0, 0x5412), REFUSE);
        assert_eq!(
            of(profile, libc::SYS_ioctl, 0, upper | 0x5412),
            REFUSE,
            "the kernel ignores the upper half"
        );
        assert_eq!(of(profile, libc::SYS_ioctl, 0, 0x541c), REFUSE);
        assert_eq!(of(profile, libc::SYS_personality, 0xffff_ffff, 0), ALLOW);
        assert_eq!(of(profile, libc::SYS_personality, 0x0400_0000, 0), REFUSE);
        assert_eq!(of(profile, libc::SYS_prlimit64, 1, 0), REFUSE);
    }
    for (family, standard) in
        [(1, ALLOW), (2, ALLOW), (10, ALLOW), (16, REFUSE), (17, REFUSE), (38, REFUSE), (40, REFUSE)]
    {
        assert_eq!(of(Profile::Standard, libc::SYS_socket, family, 1), standard, "{family}");
        assert_eq!(of(Profile::Standard, libc::SYS_socket, upper | family, 1), standard, "{family}");
        assert_eq!(of(Profile::Offline, libc::SYS_socket, family, 1), REFUSE, "{family}");
    }
}

#[test]
fn offline_there_are_only_connected_pairs() {
    let flags = u64::try_from(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).unwrap();
    let pair = |family, kind: u64| native(Profile::Offline, libc::SYS_socketpair, [family, kind, 0, 0, 0, 0]);
    assert_eq!(pair(1, 1 | flags), ALLOW);
    assert_eq!(pair(1, 5), ALLOW);
    assert_eq!(pair(1, 2 | flags), REFUSE, "datagrams can be sent to any name");
    assert_eq!(pair(2, 1), REFUSE);
    assert_eq!(native(Profile::Offline, libc::SYS_sendto, [3, 1, 1, 0, 0, 0]), ALLOW);
    assert_eq!(native(Profile::Offline, libc::SYS_sendto, [3, 1, 1, 0, 1 << 40, 0]), REFUSE);
    assert_eq!(native(Profile::Standard, libc::SYS_sendto, [3, 1, 1, 0, 1 << 40, 0]), ALLOW);
    for call in [libc::SYS_connect, libc::SYS_bind, libc::SYS_shmget, libc::SYS_mq_open] {
        assert_eq!(native(Profile::Offline, call, [0; 6]), REFUSE);
        assert_eq!(native(Profile::Standard, call, [0; 6]), ALLOW);
    }
}
