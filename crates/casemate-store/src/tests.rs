use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use casemate_mcp::names::RoleName;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{FolderFault, KeyRecord, Store, StoreFault, VALUE_MAX};

fn folder() -> TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
}

fn key(id: &str, created: u64) -> KeyRecord {
    let mut hash = [0; 32];
    hash[..id.len()].copy_from_slice(id.as_bytes());
    KeyRecord {
        id: id.into(),
        name: format!("key {id}"),
        role: RoleName::parse("user").unwrap(),
        scope: created.is_multiple_of(2).then(|| vec!["git/get_*".to_owned(), "wiki".to_owned()]),
        hash,
        created,
        expires: Some(created + 10),
        revoked: None,
        last_used: None,
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn keys_are_kept_listed_and_revoked() {
    let folder = folder();
    let (first, second) = (key("b", 1), key("a", 2));
    {
        let store = Store::open(folder.path()).unwrap();
        store.keys().insert(second.clone()).await.unwrap();
        store.keys().insert(first.clone()).await.unwrap();
    }
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.keys().list().await.unwrap(), [first.clone(), second.clone()]);
    assert!(store.keys().revoke("a", 7).await.unwrap());
    assert!(store.keys().revoke("a", 9).await.unwrap());
    assert!(!store.keys().revoke("nobody", 9).await.unwrap());
    let revoked = KeyRecord { revoked: Some(7), ..second };
    assert_eq!(store.keys().list().await.unwrap(), [first, revoked]);
}

#[tokio::test]
async fn an_id_or_hash_that_is_taken_is_refused() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    store.keys().insert(key("a", 1)).await.unwrap();
    for twin in [key("a", 2), KeyRecord { id: "other".into(), ..key("a", 2) }] {
        let fault = store.keys().insert(twin).await.unwrap_err();
        assert!(matches!(fault, StoreFault::KeyExists { .. }), "{fault}");
    }
    assert_eq!(store.keys().list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_last_use_is_written_at_most_once_a_minute() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    store.keys().insert(key("a", 1)).await.unwrap();
    let mut written = Vec::new();
    for now in [100, 101, 159, 160, 161, 219, 220] {
        store.keys().touch("a", now);
        written.push(store.keys().list().await.unwrap()[0].last_used.unwrap());
    }
    assert_eq!(written, [100, 100, 100, 160, 160, 160, 220]);
}

#[tokio::test(start_paused = true)]
async fn changes_by_another_connection_are_seen_and_uses_are_not() {
    let folder = folder();
    let gateway = Store::open(folder.path()).unwrap();
    let command = Store::open(folder.path()).unwrap();
    let mut changes = gateway.keys().changes();
    changes.changed().await.unwrap();
    command.keys().insert(key("a", 1)).await.unwrap();
    changes.changed().await.unwrap();
    assert_eq!(gateway.keys().list().await.unwrap().len(), 1);
    let revision = || {
        let connection = Connection::open(folder.path().join("casemate.db")).unwrap();
        connection.query_row("SELECT value FROM revisions", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let before = revision();
    command.keys().touch("a", 100);
    assert_eq!(command.keys().list().await.unwrap()[0].last_used, Some(100));
    assert_eq!(revision(), before, "a use is no change");
    assert!(command.keys().revoke("a", 5).await.unwrap());
    changes.changed().await.unwrap();
    assert_eq!(gateway.keys().list().await.unwrap()[0].revoked, Some(5));
}

#[tokio::test]
async fn own_changes_are_told_without_waiting_for_the_next_look() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    let mut changes = store.keys().changes();
    changes.changed().await.unwrap();
    let began = tokio::time::Instant::now();
    for at in 0..5 {
        let (told, inserted) = tokio::join!(changes.changed(), async {
            tokio::task::yield_now().await;
            store.keys().insert(key(&at.to_string(), at)).await
        });
        told.unwrap();
        inserted.unwrap();
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(4), "five looks would take five seconds");
}

#[test]
fn many_open_and_write_at_once() {
    let folder = folder();
    let path = folder.path().join("deeper/data");
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let path = &path;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let store = Store::open(path).unwrap();
                    for at in 0..5 {
                        store.keys().insert(key(&format!("{thread}-{at}"), at)).await.unwrap();
                    }
                });
            });
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stored = runtime.block_on(async { Store::open(&path).unwrap().keys().list().await.unwrap() });
    assert_eq!(stored.len(), 40);
}

#[tokio::test]
async fn state_values_are_replaced_listed_and_removed() {
    let folder = folder();
    let store = Store::open(folder.path()).unwrap();
    let state = store.state();
    assert_eq!(state.get("pins", "x").await.unwrap(), None);
    state.put("pins", "x", vec![1]).await.unwrap();
    state.put("pins", "x", vec![2, 0, 255]).await.unwrap();
    state.put("pins", "a", vec![]).await.unwrap();
    state.put("other", "x", vec![9]).await.unwrap();
    let found = state.get("pins", "x").await.unwrap().unwrap();
    assert_eq!((found.key.as_str(), found.value), ("x", vec![2, 0, 255]));
    assert!(found.updated > 1_700_000_000_000);
    let keys: Vec<_> = state.list("pins").await.unwrap().into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["a", "x"]);
    assert!(state.remove("pins", "x").await.unwrap());
    assert!(!state.remove("pins", "x").await.unwrap());
    assert!(state.get("other", "x").await.unwrap().is_some());
    let fault = state.put("pins", "big", vec![0; VALUE_MAX + 1]).await.unwrap_err();
    assert!(matches!(fault, StoreFault::ValueTooLarge { .. }), "{fault}");
}

#[tokio::test]
async fn only_the_owner_gets_at_the_files() {
    let folder = folder();
    let data = folder.path().join("a/data");
    let store = Store::open(&data).unwrap();
    store.keys().insert(key("a", 1)).await.unwrap();
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&folder.path().join("a")), 0o700);
    for file in ["casemate.db", "casemate.db-wal", "casemate.db-shm"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
}

#[test]
fn what_is_open_to_others_is_refused_with_the_remedy() {
    let folder = folder();
    let data = folder.path().join("data");
    drop(Store::open(&data).unwrap());
    let file = data.join("casemate.db");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
    let fault = Store::open(&data).unwrap_err();
    assert!(fault.to_string().contains("has mode 0640"), "{fault}");
    assert!(fault.to_string().contains("hint: chmod 0600 /"), "{fault}");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o750)).unwrap();
    let fault = Store::open(&data).unwrap_err();
    assert!(fault.to_string().contains("hint: chmod 0700 /"), "{fault}");
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    drop(Store::open(&data).unwrap());
}

#[test]
fn a_link_in_place_of_the_database_is_refused() {
    let folder = folder();
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, "").unwrap();
    fs::set_permissions(&elsewhere, Permissions::from_mode(0o600)).unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    symlink(&elsewhere, data.join("casemate.db")).unwrap();
    let fault = Store::open(&data).unwrap_err();
    assert!(matches!(fault, StoreFault::Folder(FolderFault::Kind { .. })), "{fault}");
    assert_eq!(fs::metadata(&elsewhere).unwrap().len(), 0);
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    // Only root can give a folder away, and only then is there anything to test.
    let folder = folder();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    if std::os::unix::fs::chown(&data, Some(12345), None).is_ok() {
        let fault = Store::open(&data).unwrap_err();
        assert!(fault.to_string().contains("belongs to uid 12345, not to us"), "{fault}");
    }
}

#[test]
fn a_newer_or_foreign_database_is_refused_and_left_alone() {
    let folder = folder();
    let file = folder.path().join("casemate.db");
    drop(Store::open(folder.path()).unwrap());
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let before = fs::read(&file).unwrap();
    let fault = Store::open(folder.path()).unwrap_err();
    assert!(fault.to_string().contains("has schema 999 and this casemate knows "), "{fault}");
    assert_eq!(fs::read(&file).unwrap(), before);

    fs::remove_file(&file).unwrap();
    Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let before = fs::read(&file).unwrap();
    assert!(matches!(Store::open(folder.path()).unwrap_err(), StoreFault::Foreign { .. }));
    assert_eq!(fs::read(&file).unwrap(), before);

    fs::write(&file, "this is not a database, but it is long enough to look like a header of one".repeat(20))
        .unwrap();
    let fault = Store::open(folder.path()).unwrap_err();
    assert!(matches!(fault, StoreFault::Foreign { .. }), "{fault:?}");
}

#[test]
fn a_database_that_was_created_and_never_filled_is_filled_now() {
    let folder = folder();
    let file = folder.path().join("casemate.db");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    drop(Store::open(folder.path()).unwrap());
}

#[test]
fn debug_of_a_key_shows_no_hash() {
    let shown = format!("{:?}", key("abc", 1));
    assert!(shown.contains("key abc") && !shown.contains("hash") && !shown.contains("97"), "{shown}");
}
