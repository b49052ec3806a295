//! The filter of system calls: an allow-list, compiled to the kernel's little machine language.
//!
//! What is not listed fails with EPERM, what the list's authors could not know with ENOSYS (programs then do without),
//! and a system call of another architecture ends the process. `seccompiler` compiles what depends on arguments; it neither
//! tells the x32 calls of x86-64 from native ones nor has two kinds of refusal, so a prologue of our own comes first, and
//! it makes a chain of all calls, so they are a tree of our own.

use std::collections::{BTreeMap, BTreeSet};

use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::Profile;
use super::bpf::{BpfProgram, Compare, Width, answer, jump, load};
use tree::Verdict;

mod calls;
#[cfg(feature = "container")]
mod document;
mod tree;

#[cfg(feature = "container")]
pub(crate) use document::document;

/// Every x32 call has this bit, and no native one.
const X32_BIT: u32 = 0x4000_0000;

/// Where `struct seccomp_data` has the number of the call and the architecture.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: (TargetArch, u32) = (TargetArch::x86_64, 0xc000_003e);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: (TargetArch, u32) = (TargetArch::aarch64, 0xc000_00b7);

/// What an argument of a call must be. Only the lower half is compared where the kernel looks at no more: comparing
/// all of it would let a caller hide a value behind bits that the kernel ignores.
#[derive(Debug, Clone, Copy)]
enum Test {
    /// Equal to the value.
    Is(u8, u32),
    /// Different from the value.
    IsNot(u8, u32),
    /// None of the bits of the mask.
    Lacks(u8, u32),
    /// These bits of the mask, exactly: mask and value.
    Bits(u8, u32, u32),
    /// A pointer that points nowhere.
    IsNull(u8),
}

/// A system call: its number here, and its name.
type Call = (i64, &'static str);

/// A call that is allowed where one of the alternatives holds, each of which is all of its tests.
type Guarded = (Call, &'static [&'static [Test]]);

/// The program of a profile, or why it cannot be compiled.
pub(super) fn program(profile: Profile) -> Result<BpfProgram, seccompiler::Error> {
    let (open, guarded) = lists(profile);
    let open: BTreeSet<i64> = open.iter().copied().flatten().map(|(call, _)| *call).collect();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for ((call, _), alternatives) in guarded.iter().copied().flatten() {
        let alternatives = alternatives.iter().map(|tests| {
            let conditions: Result<_, _> = tests.iter().map(|test| test.condition()).collect();
            SeccompRule::new(conditions?)
        });
        rules.insert(*call, alternatives.collect::<Result<_, _>>()?);
    }
    let runs = tree::runs(calls::NEWEST, |number| match i64::from(number) {
        call if rules.contains_key(&call) => Verdict::Later,
        call if open.contains(&call) => Verdict::Answer(libc::SECCOMP_RET_ALLOW),
        _ => Verdict::Answer(libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()),
    });
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let list = SeccompFilter::new(rules, refused, SeccompAction::Allow, ARCHITECTURE.0)?;
    let mut program = prologue();
    program.extend(tree::program(&runs));
    program.extend(BpfProgram::try_from(list)?);
    Ok(program)
}

/// What a profile allows: calls as they are, and calls whose arguments decide.
fn lists(profile: Profile) -> (&'static [&'static [Call]], &'static [&'static [Guarded]]) {
    match profile {
        Profile::Standard => (calls::STANDARD, &[calls::GUARDED, calls::GUARDED_STANDARD]),
        Profile::Offline => (calls::OFFLINE, &[calls::GUARDED, calls::GUARDED_OFFLINE]),
    }
}

/// Another architecture or x32: the end. A call newer than the list, or `clone3`, whose flags no filter can see: it does
/// not exist, and glibc falls back to `clone` (with EPERM it would fail to make threads).
fn prologue() -> BpfProgram {
    let clone3 = libc::SYS_clone3.unsigned_abs() as u32;
    vec![
        load(Width::Word, ARCHITECTURE_AT),
        jump(Compare::Equal, ARCHITECTURE.1, (1, 0)),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        load(Width::Word, NUMBER_AT),
        jump(Compare::AtLeast, X32_BIT, (2, 0)),
        jump(Compare::Above, calls::NEWEST, (2, 0)),
        jump(Compare::Equal, clone3, (1, 2)),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        answer(libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
    ]
}

impl Test {
    fn condition(self) -> Result<SeccompCondition, seccompiler::BackendError> {
        use SeccompCmpArgLen::{Dword, Qword};
        let new =
            |at, length, operator, value: u32| SeccompCondition::new(at, length, operator, value.into());
        match self {
            Test::Is(at, value) => new(at, Dword, SeccompCmpOp::Eq, value),
            Test::IsNot(at, value) => new(at, Dword, SeccompCmpOp::Ne, value),
            Test::Lacks(at, mask) => new(at, Dword, SeccompCmpOp::MaskedEq(mask.into()), 0),
            Test::Bits(at, mask, value) => new(at, Dword, SeccompCmpOp::MaskedEq(mask.into()), value),
            Test::IsNull(at) => new(at, Qword, SeccompCmpOp::Eq, 0),
        }
    }
}

#[cfg(test)]
mod tests;
