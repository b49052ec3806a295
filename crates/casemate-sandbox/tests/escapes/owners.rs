//! What a casemate that is root grants: to the server's account as to its owner.

#![expect(unsafe_code, reason = "mounting has no safe wrapper; each use says why it is sound")]

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use casemate_sandbox::{Access, CellSpec, Error, Exit, Kind};

use crate::programs::Body;
use crate::world::World;

pub(crate) const ALL: &[(&str, Body)] = &[
    ("a_server_writes_as_the_owner", a_server_writes_as_the_owner),
    ("a_server_reads_as_the_owner", a_server_reads_as_the_owner),
    ("two_grants_have_two_owners", two_grants_have_two_owners),
    ("what_belongs_to_a_third_stays_so", what_belongs_to_a_third_stays_so),
    ("where_owners_cannot_be_mapped_rights_decide", where_owners_cannot_be_mapped_rights_decide),
];

/// Users of the host who are nobody in particular.
const SOMEBODY: u32 = 4711;
const THIRD: u32 = 4712;

/// A folder of its owner's alone.
fn private(world: &World, name: &str, owner: u32) -> PathBuf {
    let path = world.facts.folder.join(name);
    fs::create_dir(&path).unwrap();
    keep(&path, (owner, 0o700));
    path
}

/// A file with a text, as its owner's.
fn file(path: &Path, owner: (u32, u32)) {
    fs::write(path, "text").unwrap();
    keep(path, owner);
}

fn keep(path: &Path, (owner, mode): (u32, u32)) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    chown(path, Some(owner), Some(owner)).unwrap();
}

/// Whose a file is, and its mode.
fn state(path: &Path) -> (u32, u32, u32) {
    let file = fs::symlink_metadata(path).unwrap();
    (file.uid(), file.gid(), file.mode() & 0o7777)
}

/// Runs a script with grants: how it ended, and what it said.
fn run(world: &World, grants: &[(Access, &Path)], script: &str) -> (Exit, String) {
    let mut spec = world.spec("/bin/sh", &["-c", script]);
    let grant = |cell: CellSpec, (access, path): &(Access, &Path)| cell.grant(*access, *path);
    spec.cell = Some(grants.iter().fold(CellSpec::new(Kind::Full), grant));
    world.finish(spec)
}

fn a_server_writes_as_the_owner(world: &World) {
    for owner in [0, SOMEBODY] {
        let folder = private(world, &format!("of-{owner}"), owner);
        file(&folder.join("secret"), (owner, 0o600));
        let script = format!(
            "cd {} && cat secret && echo more >> secret && echo x > new && mkdir deep && echo y > deep/er && \
             rm secret && chmod 640 new && stat -c %u:%g . new",
            folder.display()
        );
        let said = run(world, &[(Access::Write, &folder)], &script);
        // In the cell, the owner is the server.
        assert_eq!(said, (Exit::Code(0), "text1000:1000\n1000:1000\n".to_owned()));
        assert_eq!(state(&folder.join("new")), (owner, owner, 0o640));
        for made in ["deep", "deep/er"] {
            let (user, group, _) = state(&folder.join(made));
            assert_eq!((user, group), (owner, owner), "{made}");
        }
        assert!(!folder.join("secret").exists());
    }
}

fn a_server_reads_as_the_owner(world: &World) {
    let folder = private(world, "of-root", 0);
    file(&folder.join("secret"), (0, 0o600));
    let script = format!(
        "cd {} && cat secret; echo x > secret; chmod 777 secret; rm -f secret; true",
        folder.display()
    );
    let (exit, said) = run(world, &[(Access::Read, &folder)], &script);
    assert_eq!(exit, Exit::Code(0));
    assert!(said.starts_with("text") && said.contains("Read-only file system"), "{said}");
    assert_eq!(state(&folder.join("secret")), (0, 0, 0o600));
    assert_eq!(fs::read_to_string(folder.join("secret")).unwrap(), "text");
}

fn two_grants_have_two_owners(world: &World) {
    let outer = private(world, "outer", SOMEBODY);
    let inner = private(world, "outer/inner", 0);
    let script = format!("cd {} && echo x > a && echo x > inner/b", outer.display());
    assert_eq!(
        run(world, &[(Access::Write, &outer)], &script).0,
        Exit::Code(2),
        "it is not the owner of both"
    );
    let both = [(Access::Write, outer.as_path()), (Access::Write, inner.as_path())];
    assert_eq!(run(world, &both, &script), (Exit::Code(0), String::new()));
    assert_eq!(state(&outer.join("a")).0, SOMEBODY);
    assert_eq!(state(&inner.join("b")).0, 0);
}

/// Also what everybody may write: whose it is could not be written down.
fn what_belongs_to_a_third_stays_so(world: &World) {
    let folder = private(world, "of-somebody", SOMEBODY);
    for (name, mode) in [("open", 0o666), ("closed", 0o600)] {
        file(&folder.join(name), (THIRD, mode));
    }
    let deep = private(world, "of-somebody/deep", THIRD);
    let script = format!(
        "cd {}; cat open; for f in open closed deep/new; do echo x > $f && echo wrote $f; done; \
         chown 1000 closed && echo took closed; chmod 777 closed && echo opened closed; cat closed",
        folder.display()
    );
    let (_, said) = run(world, &[(Access::Write, &folder)], &script);
    assert!(said.starts_with("text") && !said.contains("wrote"), "{said}");
    assert!(
        !said.contains("took") && !said.contains("opened") && said.matches("text").count() == 1,
        "{said}"
    );
    assert_eq!(state(&folder.join("open")), (THIRD, THIRD, 0o666));
    assert_eq!(state(&folder.join("closed")), (THIRD, THIRD, 0o600));
    assert!(!deep.join("new").exists());
}

/// A file system of a kind that cannot do it, mounted for as long as this value lives.
struct Plain(PathBuf);

impl Plain {
    fn mount(path: PathBuf) -> Option<Plain> {
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: all are NUL-terminated strings; this kind reads no options.
        let made =
            unsafe { libc::mount(c"ramfs".as_ptr(), name.as_ptr(), c"ramfs".as_ptr(), 0, std::ptr::null()) };
        (made == 0).then_some(Plain(path))
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let name = CString::new(self.0.as_os_str().as_bytes()).unwrap();
        // SAFETY: a NUL-terminated string; what still uses it keeps it.
        unsafe { libc::umount2(name.as_ptr(), libc::MNT_DETACH) };
    }
}

fn where_owners_cannot_be_mapped_rights_decide(world: &World) {
    let Some(plain) = Plain::mount(private(world, "plain", 0)) else {
        return eprintln!("not tried, because nothing can be mounted here");
    };
    keep(&plain.0, (0, 0o700));
    let mut spec = world.spec("/bin/true", &[]);
    spec.cell = Some(CellSpec::new(Kind::Full).grant(Access::Write, &plain.0));
    let error = world.start(spec).unwrap_err();
    assert!(error.hint().contains("chown"), "{}", error.hint());
    let Error::NoCell { refusal, .. } = error else { panic!("{error:?}") };
    assert!(refusal.reason.contains("really writable"), "{refusal}");
    // Open to all, it can be used as it is.
    keep(&plain.0, (0, 0o777));
    let script = format!("echo x > {}/new", plain.0.display());
    assert_eq!(run(world, &[(Access::Write, &plain.0)], &script), (Exit::Code(0), String::new()));
    let account = CellSpec::new(Kind::Full).account;
    assert_eq!(state(&plain.0.join("new")).0, account);
}
