//! Programs that cannot be started, and what is said about them.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use casemate_sandbox::{Error, Spec};

use super::Body;
use super::stage::{self, Stage};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("a_missing_program_is_named_with_its_path", a_missing_program_is_named_with_its_path),
    ("a_missing_path_is_named", a_missing_path_is_named),
    ("a_file_without_permission_is_not_executable", a_file_without_permission_is_not_executable),
    ("a_script_without_its_interpreter_is_told_apart", a_script_without_its_interpreter_is_told_apart),
    ("a_text_is_not_run_by_a_shell", a_text_is_not_run_by_a_shell),
    ("a_missing_directory_is_named", a_missing_directory_is_named),
    ("a_relative_program_starts_at_the_directory", a_relative_program_starts_at_the_directory),
    ("an_unusable_specification_is_refused", an_unusable_specification_is_refused),
    ("arguments_that_are_too_long_are_an_error", arguments_that_are_too_long_are_an_error),
    ("failed_starts_leave_nothing", failed_starts_leave_nothing),
];

fn refused(stage: &Stage, spec: Spec) -> Error {
    let error = stage.run(stage.spawner.spawn(spec)).expect_err("this cannot be started");
    assert!(!error.hint().is_empty());
    error
}

fn file(stage: &Stage, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = stage.folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn of(stage: &Stage, program: impl AsRef<Path>) -> Spec {
    stage::spec(program.as_ref().to_str().unwrap(), &[], stage.folder.path())
}

fn a_missing_program_is_named_with_its_path(stage: &Stage) {
    let error = refused(stage, of(stage, "no-such-program"));
    assert!(matches!(error, Error::NotInPath { .. }), "{error:?}");
    let text = "no program named \"no-such-program\" in PATH /usr/local/bin:/usr/bin:/bin";
    assert_eq!(error.to_string(), text);
}

fn a_missing_path_is_named(stage: &Stage) {
    for path in ["/no/such/program", "./nor-this", "/etc/passwd/x"] {
        let error = refused(stage, of(stage, path));
        assert!(matches!(error, Error::NoProgram { .. }), "{error:?}");
        assert_eq!(error.to_string(), format!("no program at {path:?}"));
    }
}

fn a_file_without_permission_is_not_executable(stage: &Stage) {
    for path in [file(stage, "plain", "#!/bin/sh\n", 0o644), PathBuf::from("/usr")] {
        let error = refused(stage, of(stage, path));
        assert!(matches!(error, Error::NotExecutable { .. }), "{error:?}");
    }
}

fn a_script_without_its_interpreter_is_told_apart(stage: &Stage) {
    let error = refused(stage, of(stage, file(stage, "script", "#!/no/such/interpreter\n", 0o755)));
    assert!(matches!(error, Error::NoInterpreter { .. }), "{error:?}");
}

fn a_text_is_not_run_by_a_shell(stage: &Stage) {
    let error = refused(stage, of(stage, file(stage, "text", "touch was-run\n", 0o755)));
    assert!(matches!(error, Error::Exec { .. }), "{error:?}");
    assert!(!stage.folder.path().join("was-run").exists());
}

fn a_missing_directory_is_named(stage: &Stage) {
    let mut spec = of(stage, "cat");
    spec.cwd = Some("/no/such/directory".into());
    let error = refused(stage, spec);
    assert!(matches!(error, Error::Directory { .. }), "{error:?}");
    assert_eq!(error.to_string(), "the working directory \"/no/such/directory\" cannot be entered");
}

fn a_relative_program_starts_at_the_directory(stage: &Stage) {
    file(stage, "script", "#!/bin/sh\nexit 4\n", 0o755);
    let spec = of(stage, "./script");
    let exit = stage.run(async { stage.spawner.spawn(spec).await.unwrap().handle.wait().await });
    assert_eq!(exit, casemate_sandbox::Exit::Code(4));
}

fn an_unusable_specification_is_refused(stage: &Stage) {
    let changes: [fn(&mut Spec); 8] = [
        |spec| spec.program = "".into(),
        |spec| spec.program = "a\0b".into(),
        |spec| spec.args = vec!["a\0b".into()],
        |spec| spec.label = "a\0b".into(),
        |spec| spec.cwd = Some("a\0b".into()),
        |spec| spec.env.push(("A=B".into(), "c".into())),
        |spec| spec.env.push(("A".into(), "b\0c".into())),
        |spec| spec.env.push(("PATH".into(), "/bin".into())),
    ];
    for change in changes {
        let mut spec = of(stage, "cat");
        change(&mut spec);
        let error = refused(stage, spec);
        assert!(matches!(error, Error::Spec { .. }), "{error:?}");
    }
}

fn arguments_that_are_too_long_are_an_error(stage: &Stage) {
    let mut spec = of(stage, "true");
    spec.args = vec!["x".repeat(100_000).into(); 100];
    let error = refused(stage, spec);
    let Error::Exec { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::ArgumentListTooLong);
}

fn failed_starts_leave_nothing(stage: &Stage) {
    let before = stage::descriptors();
    for _ in 0..20 {
        refused(stage, of(stage, "no-such-program"));
    }
    stage::settled(before);
}
