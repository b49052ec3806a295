use casemate_mcp::names::RoleName;

use super::*;
use crate::key::{KeySecret, NewKey, issue};

fn key(expires: Option<u64>) -> (KeySecret, KeyRecord) {
    issue(NewKey { name: "ci".into(), role: RoleName::parse("user").unwrap(), scope: None, expires }, 10)
        .unwrap()
}

#[test]
fn a_key_is_accepted_until_it_expires_or_is_revoked() {
    let (plain, plain_record) = key(None);
    let (brief, brief_record) = key(Some(100));
    let (gone, gone_record) = key(Some(100));
    let gone_record = KeyRecord { revoked: Some(50), ..gone_record };
    let (unknown, _) = key(None);
    let table = KeyTable::from_records([plain_record.clone(), brief_record.clone(), gone_record.clone()]);
    let expired = Err(KeyFault::Expired { id: brief_record.id.clone() });
    let revoked = Err(KeyFault::Revoked { id: gone_record.id.clone() });
    for (secret, now, expected) in [
        (&plain, 0, Ok(&plain_record)),
        (&plain, u64::MAX, Ok(&plain_record)),
        (&brief, 99, Ok(&brief_record)),
        (&brief, 100, expired.clone()),
        (&brief, 101, expired),
        (&gone, 10, revoked.clone()),
        (&gone, 200, revoked),
        (&unknown, 10, Err(KeyFault::Unknown)),
    ] {
        assert_eq!(table.verify(secret.expose(), now), expected);
    }
    assert_eq!(table.verify("cm_nonsense", 10), Err(KeyFault::Malformed));
    assert_eq!(table.verify("", 10), Err(KeyFault::Malformed));
    assert_eq!(table.len(), 3);
}

#[test]
fn an_empty_table_accepts_nothing() {
    let (secret, _) = key(None);
    assert!(KeyTable::default().is_empty());
    assert_eq!(KeyTable::default().verify(secret.expose(), 10), Err(KeyFault::Unknown));
}
