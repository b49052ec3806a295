use super::*;

#[test]
fn every_place_is_named_once_and_can_be_compared() {
    let hidden = standard(Some(Path::new("/nowhere/ada")));
    let mut paths: Vec<_> = hidden.iter().map(|hidden| &hidden.path).collect();
    let count = paths.len();
    assert!(paths.iter().all(|path| plain(path) == **path));
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), count);
    for path in ["/nowhere/ada/.ssh", "/etc/shadow", "/home", "/root"] {
        assert!(paths.contains(&&PathBuf::from(path)), "{path}");
    }
}

#[test]
fn without_a_home_there_is_nobodys() {
    let hidden = standard(None);
    assert!(HOMES.iter().all(|home| hidden.iter().any(|hidden| hidden.path == Path::new(home))));
    assert!(hidden.iter().all(|hidden| hidden.path.is_absolute()));
}

#[test]
fn only_people_have_homes() {
    let users = "root:x:0:0::/root:/bin/sh\nada:x:1000:1000:Ada,,:/data/ada:/bin/sh\n\
        nobody:x:65534:65534::/nonexistent:/bin/false\nbob:x:1001:1:::/bin/sh\nbroken\n";
    assert_eq!(homes_of(users).collect::<Vec<_>>(), [Path::new("/data/ada")]);
}

#[test]
fn what_is_behind_a_link_is_hidden_there_too() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().canonicalize().unwrap();
    std::fs::create_dir(folder.join("real")).unwrap();
    std::os::unix::fs::symlink("real", folder.join("link")).unwrap();
    let found = everywhere(&[Hidden::new(folder.join("link/key"), "a key")]);
    for name in ["link/key", "real/key"] {
        assert!(found.iter().any(|hidden| hidden.path == folder.join(name) && hidden.reason == "a key"));
    }
}

#[test]
fn the_escapes_of_the_kernel_are_undone() {
    assert_eq!(unescaped(br"/a\040b\134\"), Path::new(r"/a b\\"));
}

#[test]
fn paths_are_compared_without_detours() {
    assert_eq!(plain(Path::new("/a/./b//../c/")), Path::new("/a/c"));
    assert_eq!(plain(Path::new("/../..")), Path::new("/"));
}
