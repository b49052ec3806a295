use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_file_is_private_and_an_old_one_keeps_its_mode() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("new/casemate.toml");
    save(&path, None, "one").unwrap();
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("one", 0o600));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    save(&path, Some("one"), "two").unwrap();
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("two", 0o640));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file stays behind");
}

#[test]
fn a_file_that_somebody_else_changed_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("casemate.toml");
    fs::write(&path, "theirs").unwrap();
    for before in [None, Some("mine"), Some("")] {
        assert!(matches!(save(&path, before, "after"), Err(SaveError::Raced { .. })), "{before:?}");
    }
    fs::remove_file(&path).unwrap();
    assert!(
        matches!(save(&path, Some("mine"), "after"), Err(SaveError::Raced { .. })),
        "a removed file stays removed"
    );
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn a_symbolic_link_stays_one() {
    let home = tempfile::tempdir().unwrap();
    let (real, link) = (home.path().join("real.toml"), home.path().join("casemate.toml"));
    fs::write(&real, "one").unwrap();
    symlink("real.toml", &link).unwrap();
    save(&link, Some("one"), "two").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), "two");
}
