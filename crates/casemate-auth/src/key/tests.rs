use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// Worked out outside of this program: the form is a promise to scanners and to stored hashes.
const KEY: &str = "cm_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8boeVWv";

fn user() -> NewKey {
    NewKey { name: "ci".into(), role: RoleName::parse("user").unwrap(), scope: None, expires: Some(5) }
}

#[test]
fn the_form_of_a_key_never_changes() {
    let hash = KeyHash::read(KEY).unwrap();
    assert_eq!(hash.id(), "6e6aa932426c");
    assert_eq!(KEY.len(), 52);
}

#[test]
fn new_keys_are_well_formed_and_all_different() {
    let keys: HashSet<String> =
        (0..200).map(|_| KeySecret::generate().unwrap().expose().to_owned()).collect();
    assert_eq!(keys.len(), 200);
    for key in &keys {
        assert_eq!(key.len(), KEY_CHARS);
        assert!(KeyHash::read(key).is_some(), "{key}");
        assert!(key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'));
    }
}

#[test]
fn a_record_holds_the_hash_and_nothing_of_the_secret() {
    let (secret, record) = issue(user(), 3).unwrap();
    let hash = KeyHash::read(secret.expose()).unwrap();
    assert_eq!(&record.hash, hash.as_bytes());
    assert_eq!((record.id, record.created, record.expires), (hash.id(), 3, Some(5)));
    assert_eq!((record.revoked, record.last_used), (None, None));
}

#[test]
fn nothing_shows_a_secret() {
    let (secret, record) = issue(user(), 3).unwrap();
    let hash = KeyHash::read(secret.expose()).unwrap();
    let shown = format!("{secret:?} {hash:?} {record:?}");
    assert!(!shown.contains(&secret.expose()[3..10]), "{shown}");
    assert!(shown.contains("KeySecret(redacted) KeyHash(redacted)"), "{shown}");
    assert!(!shown.contains(&format!("{:?}", hash.as_bytes())), "{shown}");
}

#[test]
fn what_is_not_a_key_is_not_read() {
    for text in [
        "",
        "cm_",
        "Bearer x",
        &KEY[..51],
        &format!("{KEY}A"),
        &KEY.to_lowercase(),
        &KEY.replace("cm_", "cM_"),
        &"ä".repeat(26),
        &format!(" {}", &KEY[1..]),
    ] {
        assert!(KeyHash::read(text).is_none(), "{text}");
    }
}

proptest! {
    #[test]
    fn every_typing_error_is_noticed(at in 0..52_usize, typed in "[A-Za-z0-9_-]") {
        let mut text = KEY.to_owned();
        text.replace_range(at..=at, &typed);
        prop_assert_eq!(KeyHash::read(&text).is_some(), text == KEY);
    }

    #[test]
    fn any_text_may_be_presented(text in "\\PC{0,80}|cm_[A-Za-z0-9_-]{49}|.{52}") {
        let _ = KeyHash::read(&text);
    }
}
