//! Registries and packages that lie, and prepares that are killed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use casemate_registry::{Error, Origin, Registry as Source, Scripts, Sources};
use casemate_sandbox::Exit;
use serde_json::json;

use crate::archive::Archive;
use crate::world::{World, asked, settings};
use crate::{Body, PART};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("attacks::another_archive_than_was_promised_is_refused", another_archive_than_was_promised),
    ("attacks::another_archive_than_last_time_is_refused", another_archive_than_last_time),
    ("attacks::an_archive_stays_in_its_tree", an_archive_stays_in_its_tree),
    ("attacks::a_program_outside_of_its_package_is_refused", a_program_outside_of_its_package),
    ("attacks::a_dependency_from_elsewhere_is_refused", a_dependency_from_elsewhere),
    ("attacks::a_tree_that_was_changed_is_refused", a_tree_that_was_changed),
    ("attacks::a_tree_that_was_copied_is_the_same", a_tree_that_was_copied),
    ("attacks::a_link_that_a_script_leads_outside_is_refused", a_link_that_a_script_leads_outside),
    ("attacks::a_killed_prepare_leaves_nothing_that_counts", a_killed_prepare),
    ("attacks::a_killed_prepare_is_swept_away", a_killed_prepare_is_swept_away),
];

fn package(text: &str) -> Archive {
    let manifest = json!({"name": "x", "version": "1.0.0", "bin": "x.js"}).to_string();
    Archive::npm(&[("package.json", &manifest), ("x.js", text)])
}

fn publish(world: &World, text: &str) {
    let manifest = json!({"name": "x", "version": "1.0.0", "bin": "x.js"});
    world.registry.publish_archive(("x", "1.0.0"), manifest, &package(text));
}

const LINE: &str = "npx x@1.0.0";

fn another_archive_than_was_promised() {
    let world = World::new();
    publish(&world, "console.log('good')");
    world.registry.swap("x", "1.0.0", &package("console.log('evil')"));
    let fault = world.prepare(LINE, Scripts::Never).unwrap_err();
    assert!(matches!(fault, Error::Integrity { .. }), "{fault}");
    assert!(world.found("/lock").is_empty());
    // Once it is honest it can be had.
    publish(&world, "console.log('good')");
    assert_eq!(world.run(&world.prepare(LINE, Scripts::Never).unwrap()).1, "good\n");
}

fn another_archive_than_last_time() {
    let world = World::new();
    publish(&world, "console.log('good')");
    let prepared = world.prepare(LINE, Scripts::Never).unwrap();
    // The tree is lost, and the registry has changed its mind: index and archive agree with one another.
    fs::remove_file(prepared.tree.with_file_name("seal")).unwrap();
    publish(&world, "console.log('evil')");
    let fault = world.prepare(LINE, Scripts::Never).unwrap_err();
    assert!(matches!(fault, Error::Integrity { .. }), "{fault}");
    assert!(fault.hint().contains("never changes"));
}

/// Everything that an archive can try. What npm leaves of it is judged again.
fn an_archive_stays_in_its_tree() {
    let world = World::new();
    let target = world.home.path().join("target");
    fs::write(&target, "mine").unwrap();
    let outside = target.to_str().unwrap();
    let manifest = json!({"name": "x", "version": "1.0.0", "bin": "x.js"});
    let archive = package("console.log('good')")
        .file("package/../../../../../escaped-1", "evil")
        .file("../escaped-2", "evil")
        .file(&world.home.path().join("escaped-3").to_string_lossy(), "evil")
        .link("package/link", outside)
        .file("package/link", "evil")
        .link("package/folder", "../../../../..")
        .file("package/folder/escaped-4", "evil")
        .hard_link("package/hard", outside)
        .pipe("package/pipe")
        .setuid("package/setuid", "#!/bin/sh\nid\n");
    world.registry.publish_archive(("x", "1.0.0"), manifest, &archive);
    let prepared = world.prepare(LINE, Scripts::Never).unwrap();
    assert_eq!(world.run(&prepared), (Exit::Code(0), "good\n".to_owned()));
    assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
    let everything = walk(world.home.path());
    for path in &everything {
        let found = fs::symlink_metadata(path).unwrap();
        let inside = path.starts_with(&prepared.tree);
        if path.to_string_lossy().contains("escaped") {
            assert!(inside, "{}", path.display());
        }
        if inside && !found.is_symlink() {
            assert_eq!(found.mode() & 0o7222, 0, "{} can be written", path.display());
            assert!(found.is_dir() || found.is_file(), "{}", path.display());
        }
        if inside && found.is_symlink() {
            assert!(fs::canonicalize(path).unwrap().starts_with(&prepared.tree), "{}", path.display());
        }
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        all.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            all.extend(walk(&entry.path()));
        }
    }
    all
}

fn a_program_outside_of_its_package() {
    let world = World::new();
    for (version, path) in [("1.0.0", "../../x"), ("2.0.0", "/bin/sh"), ("3.0.0", "a/../../words/index.js")] {
        world.registry.publish(("evil", version), json!({"bin": {"evil": path}}), &[]);
        let fault = world.prepare(&format!("npx evil@{version}"), Scripts::Never).unwrap_err();
        assert!(matches!(fault, Error::Unfit { .. }), "{path}: {fault}");
    }
}

fn a_dependency_from_elsewhere() {
    let world = World::new();
    let elsewhere = crate::registry::Registry::start();
    elsewhere.publish(("y", "1.0.0"), json!({}), &[]);
    let dependencies = [
        format!("{}y/-/1.0.0.tgz", elsewhere.url()),
        "git+file:///tmp/nothing.git".to_owned(),
        "git+https://127.0.0.1:1/x.git".to_owned(),
        "file:../../..".to_owned(),
        "npm:../../x@1".to_owned(),
    ];
    for (number, dependency) in dependencies.iter().enumerate() {
        let version = format!("1.0.{number}");
        let more = json!({"bin": "x.js", "dependencies": {"y": dependency}});
        world.registry.publish(("x", &version), more, &[("x.js", "console.log(1)")]);
        let fault = world.prepare(&format!("npx x@{version}"), Scripts::Never);
        assert!(fault.is_err(), "{dependency}: {fault:?}");
        assert!(world.found("/seal").is_empty());
    }
}

fn a_tree_that_was_changed() {
    let world = World::new();
    publish(&world, "console.log('good')");
    let prepared = world.prepare(LINE, Scripts::Never).unwrap();
    let file = prepared.tree.join("node_modules/x/x.js");
    let before = fs::metadata(&file).unwrap();
    // The same size, and the times put back: what a careful attacker does.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "console.log('evil')").unwrap();
    let times = fs::FileTimes::new()
        .set_modified(before.modified().unwrap())
        .set_accessed(before.accessed().unwrap());
    fs::File::options().write(true).open(&file).unwrap().set_times(times).unwrap();
    fs::set_permissions(&file, before.permissions()).unwrap();
    let fault = world.prepare(LINE, Scripts::Never).unwrap_err();
    assert!(matches!(fault, Error::Changed { .. }), "{fault}");
    let Error::Changed { place, .. } = fault else { unreachable!() };
    let _ = Command::new("chmod").arg("-R").arg("u+w").arg(&place).output();
    fs::remove_dir_all(place).unwrap();
    assert_eq!(world.run(&world.prepare(LINE, Scripts::Never).unwrap()).1, "good\n");
    // A file more is a change as well.
    let modules = prepared.tree.join("node_modules");
    fs::set_permissions(&modules, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(modules.join("more.js"), "").unwrap();
    assert!(matches!(world.prepare(LINE, Scripts::Never).unwrap_err(), Error::Changed { .. }));
}

fn a_tree_that_was_copied() {
    let world = World::new();
    publish(&world, "console.log('good')");
    let prepared = world.prepare(LINE, Scripts::Never).unwrap();
    let (place, copy) = (prepared.tree.parent().unwrap(), prepared.tree.with_file_name("copy"));
    let copied = Command::new("cp").arg("-r").arg(&prepared.tree).arg(&copy).status().unwrap();
    assert!(copied.success());
    for command in [["-R", "u+w"], ["-R", "a-w"]] {
        let _ = Command::new("chmod").args(command).arg(&prepared.tree).output();
        if command[1] == "u+w" {
            fs::rename(&prepared.tree, place.join("old")).unwrap();
            fs::rename(&copy, &prepared.tree).unwrap();
        }
    }
    let requests = world.registry.asked("");
    assert_eq!(world.prepare(LINE, Scripts::Never).unwrap().origin, Origin::Kept);
    assert_eq!(world.registry.asked(""), requests);
}

fn a_link_that_a_script_leads_outside() {
    let world = World::new();
    let more = json!({"bin": "x.js", "scripts": {"postinstall": "rm -f x.js && ln -s /etc/hostname x.js"}});
    world.registry.publish(("x", "1.0.0"), more, &[("x.js", "")]);
    let fault = world.prepare(LINE, Scripts::Allowed).unwrap_err();
    assert!(matches!(&fault, Error::Unfit { what, .. } if what.contains("out of its tree")), "{fault}");
    assert!(world.found("/seal").is_empty() && world.found("/lock").is_empty());
    let more = json!({"bin": "x.js", "scripts": {"postinstall": "mkfifo pipe"}});
    world.registry.publish(("x", "1.0.1"), more, &[("x.js", "")]);
    assert!(world.prepare("npx x@1.0.1", Scripts::Allowed).is_err());
}

fn a_killed_prepare() {
    killed(false);
}

fn a_killed_prepare_is_swept_away() {
    killed(true);
}

fn killed(is_swept: bool) {
    let world = World::new();
    publish(&world, "console.log('good')");
    world.registry.stall(true);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(PART)
        .arg(world.folder())
        .arg(world.registry.url())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    world.registry.wait_for(".tgz");
    let sweep = || world.runtime.block_on(world.packages().sweep()).unwrap();
    assert_eq!(sweep(), 0, "somebody is at work on it");
    assert!(!world.found("tree/package-lock.json").is_empty(), "it was in the middle of it");
    child.kill().unwrap();
    child.wait().unwrap();
    world.registry.stall(false);
    if is_swept {
        assert_eq!((sweep(), sweep()), (1, 0));
        assert!(world.found("/busy").is_empty());
    }
    let prepared = world.prepare(LINE, Scripts::Never).unwrap();
    assert_eq!(prepared.origin, Origin::Installed);
    assert_eq!(world.run(&prepared).1, "good\n");
    assert!(world.found("/work").is_empty());
    assert_eq!(sweep(), 0, "what is complete stays");
    // With a lock file alone the same comes back.
    fs::remove_file(prepared.tree.with_file_name("seal")).unwrap();
    assert_eq!((sweep(), world.found("tree").len()), (1, 0));
    let same = world.prepare(LINE, Scripts::Never).unwrap();
    assert_eq!((same.origin, same.lock_sha256), (Origin::Installed, prepared.lock_sha256));
}

/// Prepares the package and never comes to its end.
pub(crate) fn play(args: &[String]) {
    let [folder, url] = args else { panic!("a folder and a URL") };
    let sources = Sources { npm: Source::parse(url).unwrap(), ..Sources::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let packages = casemate_registry::Packages::new(
        casemate_sandbox::Spawner::start().unwrap(),
        settings(Path::new(folder), sources),
    );
    let _ = runtime.block_on(packages.prepare(&asked(LINE), Scripts::Never));
}
