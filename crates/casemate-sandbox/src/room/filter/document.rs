//! The same allow-list for engines of containers, as the document that they take (`--security-opt seccomp=…`).
//!
//! The format is that of the OCI runtime specification ("Seccomp") as Docker reads it. An engine's library
//! (libseccomp) compares whole 64-bit arguments where the kernel looks at 32 bits of them, and knows no "different from
//! these" that ignores the other half; so everything is said by masks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Profile, Test, lists};

/// Calls in this architecture alone; in any other, x32 among them, libseccomp ends the process.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: &str = "SCMP_ARCH_X86_64";
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: &str = "SCMP_ARCH_AARCH64";

/// The document of a profile. Calls that are newer than all that it names are ENOSYS to runc and crun by themselves.
pub(crate) fn document(profile: Profile) -> Value {
    let (open, guarded) = lists(profile);
    let open: Vec<_> = open.iter().copied().flatten().map(|(_, name)| plain(name)).collect();
    let mut rules = vec![
        json!({ "names": open, "action": "SCMP_ACT_ALLOW" }),
        json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS }),
    ];
    for ((_, name), alternatives) in guarded.iter().copied().flatten() {
        let rule = |args| json!({ "names": [plain(name)], "action": "SCMP_ACT_ALLOW", "args": args });
        rules.extend(alternatives.iter().copied().flat_map(conditions).map(rule));
    }
    json!({ "defaultAction": "SCMP_ACT_ERRNO", "architectures": [ARCHITECTURE], "syscalls": rules })
}

fn plain(name: &str) -> &str {
    name.strip_prefix("SYS_").unwrap_or(name)
}

/// Sets of conditions, one of which has to hold as a whole for all of the tests to hold.
fn conditions(tests: &[Test]) -> Vec<Vec<Value>> {
    let masked = |at: u8, mask: u32, value: u32| json!({ "index": at, "op": "SCMP_CMP_MASKED_EQ", "value": mask, "valueTwo": value });
    let mut excluded = BTreeMap::<u8, Vec<u32>>::new();
    let mut fixed = Vec::new();
    for test in tests {
        match *test {
            Test::Is(at, value) => fixed.push(masked(at, u32::MAX, value)),
            Test::IsNot(at, value) => excluded.entry(at).or_default().push(value),
            Test::Lacks(at, mask) => fixed.push(masked(at, mask, 0)),
            Test::Bits(at, mask, value) => fixed.push(masked(at, mask, value)),
            Test::IsNull(at) => fixed.push(json!({ "index": at, "op": "SCMP_CMP_EQ", "value": 0 })),
        }
    }
    let mut sets = vec![fixed];
    for (at, values) in excluded {
        let mut blocks = Vec::new();
        others(0, 0, &values, &mut blocks);
        let one = |set: &Vec<Value>, (mask, value): &(u32, u32)| {
            let mut set = set.clone();
            set.push(masked(at, *mask, *value));
            set
        };
        sets = sets.iter().flat_map(|set| blocks.iter().map(|block| one(set, block))).collect();
    }
    sets
}

/// All numbers that begin with the bits of `mask` as `start` has them, except those that are excluded, as blocks of the
/// same form. Goes down as far as there are bits.
fn others(mask: u32, start: u32, excluded: &[u32], blocks: &mut Vec<(u32, u32)>) {
    if !excluded.iter().any(|value| value & mask == start) {
        blocks.push((mask, start));
    } else if mask != u32::MAX {
        let next = 1 << (31 - mask.leading_ones());
        others(mask | next, start, excluded, blocks);
        others(mask | next, start | next, excluded, blocks);
    }
}

#[cfg(test)]
mod tests;
