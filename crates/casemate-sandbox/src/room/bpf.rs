//! The kernel's little machine language (classic BPF, Documentation/networking/filter.rst), which filters system calls
//! and packets. Offsets of jumps count from the instruction after the jump.

pub(super) use seccompiler::{BpfProgram, sock_filter};

/// How much of what is looked at is loaded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Width {
    Byte,
    Half,
    Word,
}

impl Width {
    fn bits(self) -> u32 {
        match self {
            Width::Byte => libc::BPF_B,
            Width::Half => libc::BPF_H,
            Width::Word => libc::BPF_W,
        }
    }
}

/// Loads what stands at a place.
pub(super) fn load(width: Width, at: u32) -> sock_filter {
    instruction(libc::BPF_LD | width.bits() | libc::BPF_ABS, (0, 0), at)
}

/// Loads what stands at a place behind the header of an IPv4 packet. [`measure_header`] must have come before.
pub(super) fn load_behind_header(width: Width, at: u32) -> sock_filter {
    instruction(libc::BPF_LD | width.bits() | libc::BPF_IND, (0, 0), at)
}

/// Measures the header of an IPv4 packet: four times the lower half of its first byte.
pub(super) fn measure_header() -> sock_filter {
    instruction(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, (0, 0), 0)
}

/// Compares what was loaded.
#[derive(Debug, Clone, Copy)]
pub(super) enum Compare {
    Equal,
    Above,
    AtLeast,
}

/// Jumps by the first offset if the comparison with `value` holds, else by the second.
pub(super) fn jump(compare: Compare, value: u32, offsets: (u8, u8)) -> sock_filter {
    let kind = match compare {
        Compare::Equal => libc::BPF_JEQ,
        Compare::Above => libc::BPF_JGT,
        Compare::AtLeast => libc::BPF_JGE,
    };
    instruction(libc::BPF_JMP | kind | libc::BPF_K, offsets, value)
}

/// Jumps over so many instructions.
pub(super) fn skip(count: u32) -> sock_filter {
    instruction(libc::BPF_JMP | libc::BPF_JA, (0, 0), count)
}

/// Keeps these bits only of what was loaded.
pub(super) fn keep(bits: u32) -> sock_filter {
    instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, (0, 0), bits)
}

/// Ends the program: what to do with a call, or how much of a packet is let through.
pub(super) fn answer(value: u32) -> sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, (0, 0), value)
}

fn instruction(code: u32, (jt, jf): (u8, u8), k: u32) -> sock_filter {
    // All codes are below 256.
    sock_filter { code: code as u16, jt, jf, k }
}
