//! Packages of PyPI, by pip.

use std::fs;

use casemate_registry::{Error, Origin, Registry as Source, Scripts, Sources};
use casemate_sandbox::Exit;
use serde_json::json;

use crate::Body;
use crate::wheel::Wheel;
use crate::world::{World, asked};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("pypi::a_package_is_prepared_once_and_runs_without_network", a_package_is_prepared_once_and_runs),
    ("pypi::a_server_cannot_change_its_tree", a_server_cannot_change_its_tree),
    ("pypi::several_packages_and_a_named_program", several_packages_and_a_named_program),
    ("pypi::another_file_than_was_promised_is_refused", another_file_than_was_promised_is_refused),
    ("pypi::another_file_than_before_is_refused", another_file_than_before_is_refused),
    ("pypi::source_is_neither_fetched_nor_run", source_is_neither_fetched_nor_run),
    ("pypi::nothing_of_a_wheel_runs_while_it_is_installed", nothing_of_a_wheel_runs_while_it_is_installed),
    ("pypi::what_does_not_exist_is_told", what_does_not_exist_is_told),
    ("pypi::a_registry_that_is_away_is_told", a_registry_that_is_away_is_told),
    ("pypi::a_dependency_from_elsewhere_is_refused", a_dependency_from_elsewhere_is_refused),
    ("pypi::a_wheel_stays_in_its_tree", a_wheel_stays_in_its_tree),
    ("pypi::a_wheel_does_not_replace_python", a_wheel_does_not_replace_python),
];

const HELLO: &str = "uvx hello_server==1.2.3 there --flag";

fn words(version: &str, text: &str) -> Wheel {
    Wheel::new("words", version, &format!("hello = {text:?}\n"))
}

/// A server of two packages.
fn publish_hello(world: &World) {
    let main = "import sys, words\ndef main():\n    print(words.hello, *sys.argv[1:])\n";
    let server = Wheel::new("hello_server", "1.2.3", main).needs(&["words>=2"]);
    world.registry.publish_wheel(&server.script("hello-server", "hello_server:main"));
    world.registry.publish_wheel(&words("2.0.0", "hello"));
}

fn a_package_is_prepared_once_and_runs() {
    let world = World::new();
    publish_hello(&world);
    let first = world.prepare(HELLO, Scripts::Never).unwrap();
    assert_eq!(first.origin, Origin::Installed);
    assert_eq!(world.run(&first), (Exit::Code(0), "hello there --flag\n".to_owned()));
    let requests = world.registry.asked("");
    let second = world.prepare(HELLO, Scripts::Allowed).unwrap();
    assert_eq!((second.origin, &second.lock_sha256), (Origin::Kept, &first.lock_sha256));
    assert_eq!((second.program, second.args), (first.program, first.args));
    assert_eq!(world.registry.asked(""), requests, "nobody was asked again");

    let lock: serde_json::Value = serde_json::from_slice(&fs::read(&first.lock).unwrap()).unwrap();
    assert_eq!(lock["asked"], json!(["hello_server==1.2.3"]));
    let packages = lock["packages"].as_array().unwrap().iter();
    let packages: Vec<String> = packages.map(|row| format!("{} {}", row["name"], row["version"])).collect();
    assert_eq!(packages, [r#""hello-server" "1.2.3""#, r#""words" "2.0.0""#]);
    assert!(lock["packages"][0]["integrity"][0].as_str().unwrap().starts_with("sha256:"));
    assert!(lock["tools"]["python"].is_string());

    // Without its tree it comes back the same, although the registry has newer words by now.
    world.registry.publish_wheel(&words("2.1.0", "hi"));
    fs::remove_file(first.tree.with_file_name("seal")).unwrap();
    let third = world.prepare(HELLO, Scripts::Never).unwrap();
    assert_eq!((third.origin, &third.lock_sha256), (Origin::Installed, &first.lock_sha256));
    assert_eq!(world.run(&third).1, "hello there --flag\n");
}

fn a_server_cannot_change_its_tree() {
    let world = World::new();
    let main = "import sys\ndef main():\n    open('/tmp/x', 'w').close()\n    try:\n        \
        open(__file__, 'a')\n    except OSError as fault:\n        print(type(fault).__name__, sys.flags.dont_write_bytecode)\n";
    world.registry.publish_wheel(&Wheel::new("writer", "1.0", main).script("writer", "writer:main"));
    let prepared = world.prepare("uvx writer==1.0", Scripts::Never).unwrap();
    let (exit, said) = world.run(&prepared);
    assert!(
        exit == Exit::Code(0) && (said == "OSError 1\n" || said == "PermissionError 1\n"),
        "{exit:?} {said}"
    );
    assert!(!world.found("writer.cpython").is_empty(), "it was compiled when it was installed");
}

fn several_packages_and_a_named_program() {
    let world = World::new();
    publish_hello(&world);
    let tool = "def main():\n    import words; print('tool', words.hello)\n";
    world.registry.publish_wheel(&Wheel::new("tool", "0.1", tool).script("b", "tool:main"));
    let prepared = world.prepare("uvx --from tool==0.1 --with words==2.0.0 b", Scripts::Never).unwrap();
    assert_eq!(world.run(&prepared), (Exit::Code(0), "tool hello\n".to_owned()));
    let fault = world.prepare("uvx --from tool==0.1 a", Scripts::Never).unwrap_err();
    assert_eq!(format!("{fault}; {}", fault.hint()), "tool brings no program called a; it brings b");
    let fault = world.prepare("pipx run words==2.0.0", Scripts::Never).unwrap_err();
    assert!(matches!(&fault, Error::NoProgram { there, .. } if there.is_empty()), "{fault}");
}

fn another_file_than_was_promised_is_refused() {
    let world = World::new();
    publish_hello(&world);
    world.registry.swap_wheel(&words("2.0.0", "evil"));
    let fault = world.prepare(HELLO, Scripts::Never).unwrap_err();
    assert!(matches!(fault, Error::Integrity { .. }), "{fault}");
    assert!(world.found("/seal").is_empty() && world.found("/lock").is_empty());
}

fn another_file_than_before_is_refused() {
    let world = World::new();
    publish_hello(&world);
    let first = world.prepare(HELLO, Scripts::Never).unwrap();
    fs::remove_file(first.tree.with_file_name("seal")).unwrap();
    // The index promises the new file as well; only what was written down when it was first prepared tells.
    world.registry.publish_wheel(&words("2.0.0", "evil"));
    let fault = world.prepare(HELLO, Scripts::Never).unwrap_err();
    assert!(matches!(fault, Error::Integrity { .. }), "{fault}");
    assert!(world.found("/seal").is_empty());
}

fn source_is_neither_fetched_nor_run() {
    let world = World::new();
    world.registry.publish_source("source", "1.0");
    let user = Wheel::new("user", "1.0", "").needs(&["source==1.0"]);
    world.registry.publish_wheel(&user);
    let fault = world.prepare("uvx source==1.0", Scripts::Allowed).unwrap_err();
    assert!(matches!(&fault, Error::NoWheel { package, .. } if package == "source 1.0"), "{fault}");
    assert!(fault.hint().contains("nothing is built from source"));
    let fault = world.prepare("uvx user==1.0", Scripts::Allowed).unwrap_err();
    assert!(matches!(&fault, Error::NoWheel { package, .. } if package == "source 1.0"), "{fault}");
    assert_eq!(world.registry.asked(".tar.gz"), 0);
}

/// Python runs these lines whenever it starts in that environment.
const PTH: &str = "import sys; open(sys.prefix + '/mark', 'w').close()\n";

fn nothing_of_a_wheel_runs_while_it_is_installed() {
    let world = World::new();
    let wheel = Wheel::new("x", "1.0", "def main(): print('started')\n").script("x", "x:main");
    world.registry.publish_wheel(&wheel.file("x.pth", PTH));
    if let Some(uv) = crate::real::uv() {
        let packages = world.packages_searching(vec![uv]);
        world.runtime.block_on(packages.prepare(&asked("uvx x==1.0"), Scripts::Never)).unwrap();
        let lock = world.found("/lock").pop().unwrap();
        assert!(fs::read_to_string(&lock).unwrap().contains(r#""installer": "uv""#));
        assert!(world.found("mark").is_empty());
        fs::remove_file(lock.with_file_name("seal")).unwrap();
    }
    let prepared = world.prepare("uvx x==1.0", Scripts::Never).unwrap();
    assert_eq!(prepared.origin, Origin::Installed);
    assert!(world.found("mark").is_empty());
    assert!(!world.found("x.pth").is_empty());
    let (exit, said) = world.run(&prepared);
    assert!(exit == Exit::Code(0) && said == "started\n", "{exit:?} {said}");
}

fn what_does_not_exist_is_told() {
    let world = World::new();
    for version in ["1.0.0", "1.2.0", "1.2.4", "2.0.0"] {
        world.registry.publish_wheel(&Wheel::new("x", version, ""));
    }
    let fault = world.prepare("uvx x==1.2.3", Scripts::Never).unwrap_err();
    assert_eq!(fault.to_string(), "there is no version 1.2.3 of x");
    assert_eq!(fault.hint(), "the nearest are 1.2.4, 1.2.0, 1.0.0, 2.0.0");
    let fault = world.prepare("uvx nothing==1.2.3", Scripts::Never).unwrap_err();
    assert!(matches!(&fault, Error::NoPackage { name, .. } if name == "nothing"), "{fault}");
    let fault = world.prepare("uvx --python 3.99 x==2.0.0", Scripts::Never).unwrap_err();
    assert!(matches!(&fault, Error::NoPython { wanted, .. } if wanted == "3.99"), "{fault}");
}

fn a_registry_that_is_away_is_told() {
    let world = World::new();
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let pypi = Source::parse(&format!("http://user:secret@{closed}/simple/")).unwrap();
    let packages = world.packages_from(Sources { pypi, ..Sources::default() });
    let fault = world.runtime.block_on(packages.prepare(&asked(HELLO), Scripts::Never)).unwrap_err();
    assert!(matches!(fault, Error::Unreachable { .. }), "{fault}");
    assert!(!format!("{fault} {fault:?} {}", fault.hint()).contains("secret"), "{fault}");
}

fn a_dependency_from_elsewhere_is_refused() {
    let world = World::new();
    let other = words("2.0.0", "elsewhere");
    world.registry.publish_wheel(&other);
    // It could be reached, and is nevertheless not what an index has promised.
    let needed = format!("words @ {}files/{}", world.registry.url(), other.file_name());
    world.registry.publish_wheel(&Wheel::new("direct", "1.0", "").needs(&[&needed]));
    let fault = world.prepare("uvx direct==1.0", Scripts::Never).unwrap_err();
    assert!(matches!(&fault, Error::Unfit { package, .. } if package == "words"), "{fault}");
    assert!(world.found("/lock").is_empty());
}

fn a_wheel_stays_in_its_tree() {
    let world = World::new();
    for (number, path) in
        ["../../../../../outside", "/tmp/casemate-outside", "x.data/scripts/../../../../outside"]
            .into_iter()
            .enumerate()
    {
        let wheel = Wheel::new("x", &format!("{number}.0"), "").file(path, "evil");
        world.registry.publish_wheel(&wheel.script("x", "x:main"));
        let outcome = world.prepare(&format!("uvx x=={number}.0"), Scripts::Never);
        assert!(outcome.is_err(), "{path}");
        assert!(!fs::exists("/tmp/casemate-outside").unwrap());
        let found = world.found("outside");
        assert!(
            found.iter().all(|file| file.components().any(|part| part.as_os_str() == "tree")),
            "{found:?}"
        );
    }
    assert!(world.found("/seal").is_empty());
}

fn a_wheel_does_not_replace_python() {
    let world = World::new();
    let wheel = Wheel::new("x", "1.0", "def main(): pass\n").script("x", "x:main");
    world.registry.publish_wheel(&wheel.file("x-1.0.data/scripts/python", "#!/bin/sh\necho evil\n"));
    let fault = world.prepare("uvx x==1.0", Scripts::Never).unwrap_err();
    assert!(matches!(&fault, Error::Unfit { what, .. } if what.contains("replaces the Python")), "{fault}");
    assert!(world.found("/seal").is_empty() && world.found("/lock").is_empty());
}
