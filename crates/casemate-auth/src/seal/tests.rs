use casemate_store::Store;
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_800_000_000;

fn bound() -> Bound<'static> {
    Bound { subject: "key:ann", server: "git", method: "tools/call", digest: [7; 32] }
}

fn opened(seals: &Seals, token: &str, now: u64) -> Result<Vec<u8>, SealFault> {
    seals.open(Purpose::State, &bound(), (token, now)).map(|opened| opened.payload)
}

#[test]
fn what_was_sealed_is_opened_by_whom_it_is_for_and_in_time() {
    let seals = Seals::ephemeral(NOW).unwrap();
    let token = seals.seal(Purpose::State, &bound(), (b"payload", NOW + 60)).unwrap();
    assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{token}");
    assert_eq!(opened(&seals, &token, NOW + 59).unwrap(), b"payload");
    assert_eq!(Seals::claimed_owner(&token), Some(seals.owner()));
    assert_eq!(opened(&seals, &token, NOW + 60), Err(SealFault::Late), "at the very second");
    assert_eq!(opened(&seals, &token, u64::MAX), Err(SealFault::Late));
    let again = seals.seal(Purpose::State, &bound(), (b"payload", NOW + 60)).unwrap();
    assert_ne!(token, again, "equal payloads are not recognized");
}

#[test]
fn a_token_is_nothing_for_anybody_or_anything_else() {
    let seals = Seals::ephemeral(NOW).unwrap();
    let token = seals.seal(Purpose::State, &bound(), (b"x", NOW + 60)).unwrap();
    let others = [
        Bound { subject: "key:bob", ..bound() },
        Bound { server: "gi", method: "ttools/call", ..bound() },
        Bound { server: "other", ..bound() },
        Bound { method: "prompts/get", ..bound() },
        Bound { digest: [8; 32], ..bound() },
    ];
    for other in others {
        assert_eq!(seals.open(Purpose::State, &other, (&token, NOW)), Err(SealFault::Foreign), "{other:?}");
    }
    assert_eq!(seals.open(Purpose::Session, &bound(), (&token, NOW)), Err(SealFault::Misused));
    let stranger = Seals::ephemeral(NOW).unwrap();
    assert_eq!(opened(&stranger, &token, NOW), Err(SealFault::Stranger));
    // Late and somebody else's: that it was late is not told to somebody else, not even in the log.
    assert_eq!(
        seals.open(Purpose::State, &Bound::to("key:bob"), (&token, NOW + 99)),
        Err(SealFault::Foreign)
    );
}

#[test]
fn a_token_with_any_character_changed_is_refused() {
    let seals = Seals::ephemeral(NOW).unwrap();
    let token = seals.seal(Purpose::State, &bound(), (b"payload", NOW + 60)).unwrap();
    for at in 0..token.len() {
        for with in [b'A', b'_', b'9', b'=', b' ', b'+'] {
            let mut changed = token.clone().into_bytes();
            if std::mem::replace(&mut changed[at], with) == with {
                continue;
            }
            let changed = String::from_utf8(changed).unwrap();
            assert!(opened(&seals, &changed, NOW).is_err(), "{changed}");
        }
    }
    for cut in 0..token.len() {
        assert!(opened(&seals, &token[..cut], NOW).is_err(), "{cut}");
    }
    assert!(opened(&seals, &format!("{token}A"), NOW).is_err());
    // A life that was prolonged in the header is no longer the header that was sealed.
    let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
    bytes[HEADER - 1] ^= 0xff;
    assert_eq!(opened(&seals, &URL_SAFE_NO_PAD.encode(bytes), NOW), Err(SealFault::Tampered));
}

#[test]
fn what_would_outlive_its_key_or_is_too_large_is_not_sealed() {
    let seals = Seals::ephemeral(NOW).unwrap();
    let seal = |len: usize, expires| seals.seal(Purpose::State, &bound(), (&vec![0; len], expires));
    assert!(seal(PAYLOAD_MAX, NOW + LIFE_MAX_S).is_ok());
    assert!(matches!(seal(PAYLOAD_MAX + 1, NOW + 1), Err(SealingFault::OutOfBounds)));
    assert!(matches!(seal(0, u64::MAX), Err(SealingFault::OutOfBounds)));
    let whole = seal(PAYLOAD_MAX, NOW + 1).unwrap();
    assert_eq!(opened(&seals, &whole, NOW).unwrap().len(), PAYLOAD_MAX);
}

#[tokio::test]
async fn keys_are_kept_rotated_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::new(Store::open(&folder.path().join("data")).unwrap());
    let seals = keeper.open(NOW).await.unwrap();
    let old = seals.seal(Purpose::State, &bound(), (b"old", NOW + LIFE_MAX_S)).unwrap();
    let after_restart = keeper.open(NOW + 1).await.unwrap();
    assert_eq!(opened(&after_restart, &old, NOW + 1).unwrap(), b"old");
    assert_eq!(after_restart.owner(), seals.owner());

    let next_day = NOW + ROTATE_EVERY_S;
    keeper.turn(&seals, next_day).await.unwrap();
    let new = seals.seal(Purpose::State, &bound(), (b"new", next_day + 60)).unwrap();
    assert_eq!(opened(&seals, &old, next_day).unwrap(), b"old", "the key before still opens");
    assert_eq!(opened(&after_restart, &new, next_day), Err(SealFault::Stranger), "another key seals now");
    keeper.turn(&after_restart, next_day).await.unwrap();
    assert_eq!(opened(&after_restart, &new, next_day).unwrap(), b"new");

    let long_after = NOW + ROTATE_EVERY_S + LIFE_MAX_S;
    keeper.turn(&seals, long_after).await.unwrap();
    assert_eq!(opened(&seals, &old, NOW), Err(SealFault::Stranger), "its key is gone");
    assert_eq!(keeper.store.state().list("auth.seal").await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_clock_that_jumps_makes_no_keys_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::new(Store::open(&folder.path().join("data")).unwrap());
    let seals = keeper.open(NOW).await.unwrap();
    for _ in 0..5 {
        for now in [NOW, NOW - 10_000_000, NOW + ROTATE_EVERY_S, 0] {
            keeper.turn(&seals, now).await.unwrap();
        }
    }
    assert!(keeper.store.state().list("auth.seal").await.unwrap().len() <= 2);
}

#[tokio::test]
async fn a_damaged_key_is_replaced_and_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = Keeper::new(Store::open(&folder.path().join("data")).unwrap());
    for (key, value) in [("zz", vec![0; 40]), ("00000001", vec![0; 3])] {
        keeper.store.state().put("auth.seal", key, value).await.unwrap();
    }
    let seals = keeper.open(NOW).await.unwrap();
    assert!(seals.seal(Purpose::State, &bound(), (b"x", NOW + 60)).is_ok());
}

proptest! {
    #[test]
    fn no_text_of_a_stranger_is_opened(text in "[A-Za-z0-9_-]{0,200}") {
        let seals = Seals::ephemeral(NOW).unwrap();
        prop_assert!(opened(&seals, &text, NOW).is_err());
    }

    #[test]
    fn any_payload_comes_back(payload in proptest::collection::vec(any::<u8>(), 0..300), subject in ".*") {
        let seals = Seals::ephemeral(NOW).unwrap();
        let bound = Bound::to(&subject);
        let token = seals.seal(Purpose::Event, &bound, (&payload, NOW + 1)).unwrap();
        prop_assert_eq!(seals.open(Purpose::Event, &bound, (&token, NOW)).unwrap().payload, payload);
    }
}
