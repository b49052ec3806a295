//! The document is held against the program that cells get: they must agree on every call.

use super::super::tests::native;
use super::*;

/// What an engine would make of the document.
fn allows(document: &Value, name: &str, args: [u64; 6]) -> bool {
    let holds = |condition: &Value| {
        let number = |key: &str| condition.get(key).map_or(0, |value| value.as_u64().unwrap());
        let arg = args[usize::try_from(number("index")).unwrap()];
        match condition["op"].as_str().unwrap() {
            "SCMP_CMP_MASKED_EQ" => arg & number("value") == number("valueTwo"),
            "SCMP_CMP_EQ" => arg == number("value"),
            other => panic!("{other}"),
        }
    };
    document["syscalls"].as_array().unwrap().iter().any(|rule| {
        rule["action"] == "SCMP_ACT_ALLOW"
            && rule["names"].as_array().unwrap().iter().any(|known| known == name)
            && rule.get("args").is_none_or(|all| all.as_array().unwrap().iter().all(holds))
    })
}

/// Values that some call decides upon, their neighbors, and the same with bits that the kernel ignores.
fn interesting() -> Vec<u64> {
    let known: [u64; 14] =
        [0, 1, 2, 5, 10, 16, 40, 0x11, 0x5401, 0x5412, 0x541c, 0x1000_0011, 0x0400_0000, 0xffff_ffff];
    let near =
        known.iter().flat_map(|value| [*value, value + 1, value.saturating_sub(1), value ^ 0x8000_0000]);
    near.flat_map(|value| [value, value | 1 << 32, value | 1 << 63]).collect()
}

#[test]
fn engines_and_cells_allow_the_same() {
    for profile in [Profile::Standard, Profile::Offline] {
        let document = document(profile);
        let agree = |(number, name): &(i64, &str), args| {
            let cell = native(profile, *number, args) == libc::SECCOMP_RET_ALLOW;
            assert_eq!(allows(&document, plain(name), args), cell, "{name} {args:x?} {}", profile.as_str());
        };
        let (open, guarded) = lists(profile);
        let unguarded = open.iter().copied().flatten().chain(super::super::calls::NEVER);
        unguarded.for_each(|call| agree(call, [0; 6]));
        for (call, _) in guarded.iter().copied().flatten() {
            for (value, at) in
                interesting().into_iter().flat_map(|value| [(value, 0), (value, 1), (value, 4)])
            {
                let mut args = [0; 6];
                args[at] = value;
                agree(call, args);
            }
        }
    }
}

#[test]
fn what_is_left_of_all_numbers() {
    let mut blocks = Vec::new();
    others(0, 0, &[0x5412, 0x541c], &mut blocks);
    let covered: u64 = blocks.iter().map(|(mask, _)| 1_u64 << mask.count_zeros()).sum();
    assert_eq!(covered, (1 << 32) - 2);
    assert!(blocks.iter().all(|(mask, start)| 0x5412 & mask != *start && 0x541c & mask != *start));
}

#[test]
fn clone3_does_not_exist() {
    let document = document(Profile::Standard);
    let rule =
        document["syscalls"].as_array().unwrap().iter().find(|rule| rule["names"][0] == "clone3").unwrap();
    assert_eq!((rule["action"].as_str(), rule["errnoRet"].as_i64()), (Some("SCMP_ACT_ERRNO"), Some(38)));
}
