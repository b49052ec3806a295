use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn change(text: &'static str) -> impl FnOnce(&str) -> Result<Option<String>, jsonc::Fault> {
    move |_| Ok(Some(text.to_owned()))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_missing_file_is_created_private_with_its_folder() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("deep/er/mcp.json");
    assert_eq!(edit(&path, "T", change("{}")).unwrap(), Applied::Created);
    assert_eq!((fs::read_to_string(&path).unwrap().as_str(), mode(&path)), ("{}", 0o600));
}

#[test]
fn a_changed_file_keeps_its_mode_and_leaves_a_backup_each_time() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mcp.json");
    fs::write(&path, "one").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let backup = home.path().join("mcp.json.casemate-backup-T");
    assert_eq!(edit(&path, "T", change("two")).unwrap(), Applied::Changed { backup: backup.clone() });
    let second = home.path().join("mcp.json.casemate-backup-T-2");
    assert_eq!(edit(&path, "T", change("three")).unwrap(), Applied::Changed { backup: second.clone() });
    assert_eq!(fs::read_to_string(&path).unwrap(), "three");
    assert_eq!(fs::read_to_string(&backup).unwrap(), "one");
    assert_eq!(fs::read_to_string(&second).unwrap(), "two");
    assert_eq!((mode(&path), mode(&backup)), (0o640, 0o640));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 3, "no temporary file stays behind");
}

#[test]
fn a_symbolic_link_is_written_through() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("dotfiles")).unwrap();
    let link = home.path().join("mcp.json");
    symlink("dotfiles/real.json", &link).unwrap();
    for (text, count) in [("one", 1), ("two", 2)] {
        edit(&link, "T", change(text)).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(home.path().join("dotfiles/real.json")).unwrap(), text);
        assert_eq!(fs::read_dir(home.path().join("dotfiles")).unwrap().count(), count);
    }
    symlink("loop", home.path().join("loop")).unwrap();
    assert!(matches!(edit(&home.path().join("loop"), "T", change("x")), Err(Error::Io { .. })));
}

#[test]
fn a_file_that_changes_meanwhile_is_not_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mcp.json");
    fs::write(&path, "mine").unwrap();
    let result = edit(&path, "T", |_| {
        fs::write(&path, "theirs").unwrap();
        Ok(Some("ours".to_owned()))
    });
    assert!(matches!(result, Err(Error::Raced { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
}

#[test]
fn nothing_is_written_when_nothing_changes_or_the_content_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("mcp.json");
    assert_eq!(edit(&path, "T", |_| Ok(None)).unwrap(), Applied::Unchanged);
    assert!(!path.exists());
    fs::write(&path, [0xff]).unwrap();
    assert!(matches!(edit(&path, "T", change("x")), Err(Error::NotText { .. })));
    fs::write(&path, "{ nope }").unwrap();
    let error = edit(&path, "T", |text| jsonc::Document::parse(text).map(|_| None)).unwrap_err();
    assert!(matches!(&error, Error::Content { source, .. } if (source.line, source.column) == (1, 3)));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn what_is_no_file_is_neither_waited_for_nor_replaced() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [home.path(), &socket, Path::new("/dev/null")] {
        assert!(matches!(edit(path, "T", change("x")), Err(Error::NoFile { .. })), "{}", path.display());
    }
}
