//! What needs no control groups: files that stand in for the kernel's.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::*;

/// A folder with empty files in the place of a group.
fn group(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::write(folder.path().join(file), "").unwrap();
    }
    folder
}

fn imposed(
    version: Version,
    files: &[&str],
    (controller, most): (Controller, u64),
) -> BTreeMap<String, String> {
    let group = group(files);
    Share { step: 0, need: Need::Required, controller, most }.impose(version, group.path()).unwrap();
    let read = |file: &&str| ((*file).to_owned(), std::fs::read_to_string(group.path().join(file)).unwrap());
    files.iter().map(read).collect()
}

fn written(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn limits_are_written_as_each_version_wants_them() {
    let memory = (Controller::Memory, 1 << 20);
    let two = imposed(Version::Two, &["memory.max", "memory.swap.max"], memory);
    assert_eq!(two, written(&[("memory.max", "1048576"), ("memory.swap.max", "0")]));
    // Without swap there is no file for it.
    assert_eq!(imposed(Version::Two, &["memory.max"], memory), written(&[("memory.max", "1048576")]));
    let names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"];
    assert_eq!(imposed(Version::One, &names, memory), written(&names.map(|name| (name, "1048576"))));
    for version in [Version::One, Version::Two] {
        assert_eq!(
            imposed(version, &["pids.max"], (Controller::Processes, 7)),
            written(&[("pids.max", "7")])
        );
    }
    let cpu = (Controller::Cpu, 1500);
    assert_eq!(imposed(Version::Two, &["cpu.max"], cpu), written(&[("cpu.max", "150000 100000")]));
    let one = imposed(Version::One, &["cpu.cfs_period_us", "cpu.cfs_quota_us"], cpu);
    assert_eq!(one, written(&[("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "150000")]));
    let least = imposed(Version::Two, &["cpu.max"], (Controller::Cpu, 1));
    assert_eq!(least, written(&[("cpu.max", "1000 100000")]));
}

#[test]
fn events_are_read_as_each_version_writes_them() {
    let events = |version, files: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        for (file, text) in files {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let share = |controller| Share { step: 0, need: Need::Required, controller, most: 1 };
        let part =
            Part { path: folder.path().to_owned(), version, shares: Controller::ALL.map(share).to_vec() };
        Group { parts: vec![part] }.events()
    };
    let seen = Events { killed: 3, refused: 5 };
    let memory = ("memory.events", "low 0\nhigh 0\nmax 80\noom 4\noom_kill 3\noom_group_kill 0\n");
    assert_eq!(events(Version::Two, &[memory, ("pids.events", "max 5\n")]), seen);
    let memory = ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
    assert_eq!(events(Version::One, &[memory, ("pids.events", "max 5\n")]), seen);
    assert_eq!(events(Version::Two, &[]), Events::default());
}

#[test]
fn our_own_group_is_not_taken_for_the_one_that_we_were_started_in() {
    for (path, above) in [
        ("/sys/fs/cgroup/a.service/casemate-17-0/self", "/sys/fs/cgroup/a.service"),
        ("/sys/fs/cgroup/a.service", "/sys/fs/cgroup/a.service"),
        ("/sys/fs/cgroup/a.service/self", "/sys/fs/cgroup/a.service/self"),
        ("/sys/fs/cgroup/casemate-17-0/other", "/sys/fs/cgroup/casemate-17-0/other"),
    ] {
        assert_eq!(above_our_own(path.into()), Path::new(above));
    }
}

fn hierarchies(own: &Path) -> Cgroups {
    let controllers = vec![Controller::Processes];
    Cgroups { hierarchies: vec![Hierarchy { version: Version::One, own: own.to_owned(), controllers }] }
}

#[test]
fn what_a_casemate_left_is_removed_and_what_one_holds_is_not() {
    let own = tempfile::tempdir().unwrap();
    let names = ["casemate-1-0/4", "casemate-2-0/self", "casemate-3-0/9", "other/1"];
    for name in names {
        std::fs::create_dir_all(own.path().join(name)).unwrap();
    }
    let held = lock(&own.path().join("casemate-3-0")).unwrap();
    Groups::new(hierarchies(own.path()));
    let left = |name: &str| own.path().join(name).exists();
    assert_eq!(names.map(left), [false, false, true, true]);
    assert!(!left("casemate-1-0") && !left("casemate-2-0"));
    drop(held);
    Groups::new(hierarchies(own.path()));
    assert!(!left("casemate-3-0"));
}

/// Each took what the other had just made for a leftover, between a look at the lock and the removal.
#[test]
fn casemates_that_start_at_once_do_not_remove_each_others_folders() {
    let own = tempfile::tempdir().unwrap();
    let start = || {
        (0..200).for_each(|_| {
            let mut groups = Groups::new(hierarchies(own.path()));
            let folder = Folder::make(&groups.places[0].hierarchy).unwrap();
            std::fs::create_dir(folder.path.join("1")).unwrap();
            groups.places[0].folder = Some(Ok(folder));
            groups.remove(None);
            groups.tidy();
            let folder = groups.places[0].folder.as_ref().unwrap().as_ref().unwrap();
            std::fs::remove_dir(folder.path.join("1")).unwrap();
        });
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(start))));
    assert_eq!(folders(own.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_folder_that_was_removed_meanwhile_is_made_again() {
    let own = tempfile::tempdir().unwrap();
    let mut groups = Groups::new(hierarchies(own.path()));
    let made = |groups: &mut Groups| groups.make(&[]).0.parts.remove(0).path;
    let first = made(&mut groups);
    std::fs::remove_dir_all(first.parent().unwrap()).unwrap();
    assert!(made(&mut groups).is_dir());
    groups.prepare();
    std::fs::remove_dir_all(first.parent().unwrap()).unwrap();
    assert!(made(&mut groups).is_dir());
}

#[test]
fn what_is_ready_for_the_next_cell_is_used_once_and_not_left() {
    let own = tempfile::tempdir().unwrap();
    let mut groups = Groups::new(hierarchies(own.path()));
    groups.prepare();
    assert_eq!(folders(own.path()), Vec::<PathBuf>::new(), "nobody has needed any yet");
    let (first, _) = groups.make(&[]);
    groups.prepare();
    groups.prepare();
    let folder = first.parts[0].path.parent().unwrap().to_owned();
    assert_eq!(folders(&folder).len(), 2);
    let (second, _) = groups.make(&[]);
    assert_eq!(folders(&folder).len(), 2);
    assert_ne!(first.parts[0].path, second.parts[0].path);
    groups.prepare();
    groups.remove(Some(first));
    groups.remove(Some(second));
    drop(groups);
    assert_eq!(folders(own.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_leftover_stays_locked_until_it_is_gone() {
    let own = tempfile::tempdir().unwrap();
    let folder = own.path().join("casemate-1-0");
    std::fs::create_dir(&folder).unwrap();
    let held = Some(Arc::new(lock(&folder).unwrap()));
    // As if it had been in use a moment ago.
    let mut groups = Groups::default();
    groups.graves.push(Grave { path: folder.clone(), _lock: held });
    assert!(lock(&folder).is_err());
    assert_eq!(groups.tidy(), None);
    assert!(!folder.exists());
}

#[test]
fn folders_of_two_casemates_are_two() {
    let own = tempfile::tempdir().unwrap();
    let place = hierarchies(own.path()).hierarchies.remove(0);
    let (one, other) = (Folder::make(&place).unwrap(), Folder::make(&place).unwrap());
    assert_ne!(one.path, other.path);
    assert!(lock(&one.path).is_err());
}

#[test]
fn a_refused_limit_is_named_by_its_step() {
    let own = tempfile::tempdir().unwrap();
    let mut groups = Groups::new(hierarchies(own.path()));
    // There is no such file in a folder that is none of the kernel's.
    let share = Share { step: 7, need: Need::Required, controller: Controller::Processes, most: 1 };
    let (mut group, skipped) = groups.make(&[share]);
    let skipped: Vec<_> = skipped.into_iter().map(|(share, errno)| (share.step, errno)).collect();
    assert_eq!(skipped, [(7, libc::ENOENT)]);
    // And nothing to pass through either.
    let (gates, _) = group.gates();
    assert!(gates.is_empty() && group.parts.is_empty());
    groups.remove(Some(group));
    drop(groups);
    assert_eq!(folders(own.path()), Vec::<PathBuf>::new());
}
