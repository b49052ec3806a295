use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt as _;

use casemate_sandbox::Limits;
use secrecy::ExposeSecret;

use super::*;
use crate::environment::Environment;
use crate::paths::Paths;

/// A disk with an installation on it.
struct Site {
    folder: tempfile::TempDir,
    surroundings: Surroundings,
}

impl Site {
    fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap().join("cm");
        let environment = Environment::of([("CASEMATE_HOME", home)]);
        let paths = Paths::resolve(&environment, None, None).unwrap();
        let surroundings = Surroundings::at(&paths, &environment).unwrap();
        Site { folder, surroundings }
    }

    fn folder(&self, name: &str) -> PathBuf {
        let path = self.folder.path().canonicalize().unwrap().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn design(&self, change: impl FnOnce(&mut CommandSource, &mut Room)) -> Result<Design, Refused> {
        let mut room = Room {
            kind: Kind::Full,
            read: Vec::new(),
            write: Vec::new(),
            runtime: Vec::new(),
            network: Policy::default(),
            limits: Limits::default(),
            host_stats: false,
            account: 0x7000_0001,
        };
        let mut command = CommandSource {
            program: "/bin/sh".to_owned(),
            args: vec!["-c".to_owned(), "exit".to_owned()],
            env: BTreeMap::from([("COLOR".to_owned(), "green".into())]),
            cwd: None,
            enclosure: Enclosure::Unsandboxed,
            install_scripts: false,
        };
        change(&mut command, &mut room);
        command.enclosure = Enclosure::Cell(room);
        Design::of(&ServerName::parse("one").unwrap(), (&command, None), &self.surroundings)
    }
}

fn granted(design: &Design) -> Vec<(PathBuf, Access)> {
    let cell = design.spec.cell.as_ref().unwrap();
    cell.grants.iter().map(|grant| (grant.path.clone(), grant.access)).collect()
}

fn variables(design: &Design) -> Vec<String> {
    let shown = |(name, value): &Variable| format!("{}={}", name.display(), value.expose_secret());
    design.spec.env.iter().map(shown).collect()
}

#[test]
fn a_full_cell_begins_with_nothing_but_its_program() {
    let design = Site::new().design(|_, _| {}).unwrap();
    assert_eq!(granted(&design), []);
    assert_eq!(design.spec.cwd.as_deref(), Some(Path::new("/tmp")));
    let path = format!("PATH={}", environment::PATH);
    assert_eq!(
        variables(&design),
        [path.as_str(), "HOME=/tmp", "TMPDIR=/tmp", "LANG=C.UTF-8", "COLOR=green"]
    );
    let cell = design.spec.cell.unwrap();
    assert_eq!((cell.required, cell.account), (Kind::Full, 0x7000_0001));
}

#[test]
fn a_light_cell_has_a_folder_of_its_own_which_goes_with_it() {
    let design = Site::new().design(|_, room| room.kind = Kind::Light).unwrap();
    let grants = granted(&design);
    let [(scratch, Access::Write)] = grants.as_slice() else { panic!("{grants:?}") };
    assert_eq!(design.spec.cwd.as_ref(), Some(scratch));
    assert!(variables(&design).contains(&format!("HOME={}", scratch.display())));
    assert!(scratch.is_dir());
    drop(design);
    assert!(!scratch.exists());
}

#[test]
fn a_working_directory_is_shown_for_reading_unless_it_is_granted() {
    let site = Site::new();
    let project = site.folder("project");
    let inner = site.folder("project/src");
    let shown = site.design(|command, _| command.cwd = Some(project.clone())).unwrap();
    assert_eq!(granted(&shown), [(project.clone(), Access::Read)]);
    assert_eq!(shown.spec.cwd.as_ref(), Some(&project));
    let covered = site.design(|command, room| {
        command.cwd = Some(inner.clone());
        room.write.push(project.clone());
    });
    assert_eq!(granted(&covered.unwrap()), [(project, Access::Write)]);
    let own = site.design(|command, _| command.cwd = Some("/tmp".into())).unwrap();
    assert_eq!(granted(&own), []);
    let refused = site.design(|command, _| command.cwd = Some("/home".into())).unwrap_err();
    assert!(refused.what.contains("working directory"), "{refused}");
}

#[test]
fn a_grant_that_leads_elsewhere_is_refused_with_the_place_it_leads_to() {
    let site = Site::new();
    let real = site.folder("real");
    let link = real.with_file_name("link");
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let refused = site.design(|_, room| room.read.push(link)).unwrap_err();
    assert!(refused.hint.contains(&real.display().to_string()), "{refused}");
    let refused = site.design(|_, room| room.write.push(real.join("none"))).unwrap_err();
    assert!(refused.what.contains("cannot be found"), "{refused}");
}

#[test]
fn no_grant_reaches_our_keys_and_sockets() {
    let site = Site::new();
    let root = site.folder("cm");
    for path in [root.clone(), root.join("data"), root.parent().unwrap().to_owned()] {
        let refused = site.design(|_, room| room.read.push(path)).unwrap_err();
        assert!(refused.what.contains("casemate's own keys"), "{refused}");
    }
    let refused = site.design(|command, _| command.cwd = Some(root)).unwrap_err();
    assert!(refused.what.contains("casemate's own keys"), "{refused}");
}

#[test]
fn without_a_cell_everything_is_as_a_person_wrote_it() {
    let site = Site::new();
    let command = CommandSource {
        program: "npx".to_owned(),
        args: Vec::new(),
        env: BTreeMap::new(),
        cwd: None,
        enclosure: Enclosure::Unsandboxed,
        install_scripts: false,
    };
    let design =
        Design::of(&ServerName::parse("one").unwrap(), (&command, None), &site.surroundings).unwrap();
    assert!(design.spec.cell.is_none() && design.room.is_none());
    assert_eq!(design.spec.program, "npx");
    assert!(design.spec.cwd.unwrap().ends_with("cm/data/home"));
}

#[test]
fn runtime_does_not_show_what_is_ours_directly_or_behind_a_link() {
    let site = Site::new();
    let link = site.folder("w").join("link");
    std::os::unix::fs::symlink(site.folder("cm/data"), &link).unwrap();
    for path in [site.folder("cm/data"), site.folder(""), link.clone(), link.join("records")] {
        for kind in [Kind::Full, Kind::Light] {
            let refused = site.design(|_, room| {
                room.kind = kind;
                room.runtime = vec![path.clone()];
            });
            let what = refused.err().map(|refused| refused.what).unwrap_or_default();
            assert!(what.contains("casemate's own keys"), "{}: {what}", path.display());
        }
    }
}

#[test]
fn a_link_that_leads_to_our_configuration_or_keys_cannot_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for name in ["cm", "big", "dots", "far", "beside"] {
        std::fs::create_dir(root.join(name)).unwrap();
    }
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(root.join(to), root.join(at)).unwrap();
    link("big/data", "cm/data");
    link("dots/casemate.toml", "cm/casemate.toml");
    link("far/casemate.toml", "dots/casemate.toml");
    std::fs::DirBuilder::new().mode(0o700).create(root.join("big/data")).unwrap();
    std::fs::write(root.join("far/casemate.toml"), "").unwrap();
    let environment = Environment::of([("CASEMATE_HOME", root.join("cm"))]);
    let paths = Paths::resolve(&environment, None, None).unwrap();
    let surroundings = Surroundings::at(&paths, &environment).unwrap();
    let site = Site { folder, surroundings };
    for name in ["dots", "far", "cm"] {
        assert!(site.design(|_, room| room.write = vec![root.join(name)]).is_err(), "{name}");
    }
    site.design(|_, room| room.write = vec![root.join("beside")]).unwrap();
}
