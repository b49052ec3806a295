use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

fn resolved(variables: &[(&str, &str)], home: Option<&str>, config: Option<&str>) -> Paths {
    let environment = Environment::of(variables.iter().copied());
    Paths::resolve(&environment, home.map(Path::new), config.map(Path::new)).unwrap()
}

#[test]
fn without_a_home_the_xdg_folders_are_used() {
    let paths = resolved(&[("HOME", "/home/ada"), ("XDG_DATA_HOME", "/big")], None, None);
    assert_eq!(paths.config(), Path::new("/home/ada/.config/casemate/casemate.toml"));
    assert_eq!(paths.data(), Path::new("/big/casemate"));
    assert_eq!(paths.run(), Path::new("/home/ada/.local/state/casemate/run"));
}

#[test]
fn the_runtime_folder_of_a_login_session_plays_no_part() {
    let with = resolved(&[("HOME", "/home/ada"), ("XDG_RUNTIME_DIR", "/run/user/1")], None, None);
    let without = resolved(&[("HOME", "/home/ada")], None, None);
    assert_eq!(with.run(), without.run());
}

#[test]
fn a_home_holds_everything_and_a_flag_wins_over_its_variable() {
    let variables = [("HOME", "/home/ada"), ("CASEMATE_HOME", "/a"), ("CASEMATE_CONFIG", "/etc/a.toml")];
    let paths = resolved(&variables, Some("/b"), None);
    assert_eq!(paths.mcp_socket(), Path::new("/b/run/mcp.sock"));
    assert_eq!(paths.data(), Path::new("/b/data"));
    assert_eq!(paths.config(), Path::new("/etc/a.toml"));
    assert_eq!(resolved(&variables, None, Some("/c.toml")).config(), Path::new("/c.toml"));
}

#[test]
fn without_any_home_the_error_says_what_to_set() {
    let error = Paths::resolve(&Environment::of([("PATH", "/bin")]), None, None).unwrap_err();
    assert!(error.to_string().contains("neither HOME nor CASEMATE_HOME"), "{error}");
}

#[test]
fn a_socket_path_that_the_kernel_cannot_take_is_refused_before_it_is_bound() {
    let fits = format!("/{}", "a".repeat(SOCKET_PATH_BYTES_MAX - "//run/control.sock".len()));
    assert!(resolved(&[], Some(&fits), None).check_socket_length().is_ok());
    assert!(resolved(&[], Some(&format!("{fits}b")), None).check_socket_length().is_err());
}

#[test]
fn a_folder_that_others_may_enter_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("deep/run");
    private_folder(&run).unwrap();
    assert_eq!(run.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&run, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(private_folder(&run).unwrap_err().to_string().contains("other users"));
}
