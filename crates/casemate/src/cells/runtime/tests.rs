use std::os::unix::fs::{OpenOptionsExt, symlink};

use super::*;

/// A folder without links in its path, with programs in it.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Disk {
        Disk { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = File::options().create_new(true).write(true).mode(0o755).open(&path);
        std::io::Write::write_all(&mut file.unwrap(), text.as_bytes()).unwrap();
        path
    }

    fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn link(&self, name: &str, to: impl AsRef<Path>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(to, &path).unwrap();
        path
    }
}

fn find(program: &Path, search: &[PathBuf]) -> Runtime {
    Runtime::find(program, None, search).unwrap()
}

#[test]
fn a_program_of_the_distribution_needs_nothing() {
    let runtime = find(Path::new("sh"), &[]);
    assert!(runtime.program.ends_with("sh") && runtime.program.is_absolute());
    assert_eq!((runtime.shown, runtime.links), (vec![], vec![]));
}

#[test]
fn a_program_in_a_persons_bin_is_shown_alone() {
    let disk = Disk::new();
    let program = disk.program("home/.local/bin/server", "\u{7f}ELF");
    // What pip installs for a user makes no installation of the home.
    disk.folder("home/.local/lib/python3.11");
    let runtime = find(&program, &[]);
    assert_eq!((runtime.shown, runtime.links), (vec![program.clone()], vec![]));
    assert_eq!(runtime.program, program);
}

#[test]
fn a_version_of_node_is_shown_whole_and_searched() {
    let disk = Disk::new();
    let node = disk.program("nvm/versions/node/v20/bin/node", "\u{7f}ELF");
    disk.program("nvm/versions/node/v20/lib/node_modules/npm/bin/npx-cli.js", "#!/usr/bin/env node\n");
    disk.link("nvm/versions/node/v20/bin/npx", "../lib/node_modules/npm/bin/npx-cli.js");
    // The folder in the search path is itself behind a link.
    disk.link("nvm/current", "versions/node/v20");
    let search = vec![disk.path("nvm/current/bin"), disk.folder("other/bin")];
    let prefix = disk.path("nvm/versions/node/v20");
    let runtime = find(Path::new("npx"), &search);
    assert_eq!(runtime.program, prefix.join("bin/npx"));
    assert_eq!((&runtime.shown, &runtime.links), (&vec![prefix.clone()], &vec![]));
    let runtime = find(Path::new("node"), &[node.parent().unwrap().to_owned()]);
    assert_eq!(runtime.search, [prefix.join("bin")]);
    assert_eq!(runtime.shown, [prefix]);
}

#[test]
fn a_script_leads_to_its_virtual_environment_and_to_the_python_behind_it() {
    let disk = Disk::new();
    let python = disk.program("uv/python/cpython-3.12/bin/python3.12", "\u{7f}ELF");
    disk.folder("uv/python/cpython-3.12/lib/python3.12");
    let venv = disk.folder("uv/tools/server");
    std::fs::write(venv.join("pyvenv.cfg"), "home = elsewhere\n").unwrap();
    disk.link("uv/tools/server/bin/python", &python);
    let line = format!("#!{}\n", venv.join("bin/python").display());
    disk.program("uv/tools/server/bin/mcp-server", &line);
    let entry = disk.link("home/bin/mcp-server", venv.join("bin/mcp-server"));
    let runtime = find(&entry, &[]);
    assert_eq!(runtime.program, entry);
    assert_eq!(runtime.shown, [venv, disk.path("uv/python/cpython-3.12")]);
    assert_eq!(runtime.links, [entry]);
}

#[test]
fn a_local_package_is_shown_with_the_packages_beside_it() {
    let disk = Disk::new();
    disk.program("project/node_modules/server/dist/index.js", "#!/usr/bin/env -S node --no-warnings\n");
    let entry = disk.link("project/node_modules/.bin/server", "../server/dist/index.js");
    let node = disk.program("node/bin/node", "\u{7f}ELF");
    disk.folder("node/include/node");
    let runtime = find(&entry, &[node.parent().unwrap().to_owned()]);
    assert_eq!(runtime.shown, [disk.path("project/node_modules"), disk.path("node")]);
}

#[test]
fn a_shim_is_shown_with_its_versions() {
    let disk = Disk::new();
    disk.program("pyenv/shims/python3", "#!/usr/bin/env bash\n");
    disk.folder("pyenv/versions/3.12");
    let runtime = find(Path::new("python3"), &[disk.path("pyenv/shims")]);
    assert_eq!(runtime.shown, [disk.path("pyenv")]);
}

#[test]
fn links_in_a_circle_come_to_an_end() {
    let disk = Disk::new();
    let program = disk.program("a/server", "#!/nowhere/at/all\n");
    assert_eq!(find(&program, &[]).shown, [program]);
    let line = format!("#!{}\n", disk.path("b/server").display());
    let circle = disk.program("b/server", &line);
    assert_eq!(find(&circle, &[]).shown, [circle]);
}

#[test]
fn what_is_no_program_is_told_with_a_way_out() {
    let disk = Disk::new();
    let file = disk.path("notes.txt");
    std::fs::write(&file, "").unwrap();
    for (program, word) in [
        (file, "chmod +x"),
        (disk.path("none"), "working directory"),
        ("no-such-thing".into(), "absolute path"),
    ] {
        let refused = Runtime::find(&program, None, &[]).unwrap_err();
        assert!(refused.hint.contains(word), "{refused}");
    }
}

#[test]
fn a_relative_program_is_found_from_the_working_directory() {
    let disk = Disk::new();
    let program = disk.program("project/server.sh", "#!/bin/sh\n");
    let cwd = disk.path("project");
    assert_eq!(Runtime::find(Path::new("./server.sh"), Some(&cwd), &[]).unwrap().program, program);
}
