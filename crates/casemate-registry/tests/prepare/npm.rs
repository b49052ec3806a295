//! Packages of npm.

use std::fs;

use casemate_registry::{Asked, Error, Origin, Registry as Source, Scripts, Sources};
use casemate_sandbox::Exit;
use serde_json::json;

use crate::Body;
use crate::world::{World, asked};

pub(crate) const ALL: &[(&str, Body)] = &[
    ("npm::a_package_is_prepared_once_and_runs_without_network", a_package_is_prepared_once_and_runs),
    ("npm::several_packages_and_a_named_program", several_packages_and_a_named_program),
    ("npm::two_at_once_wait_for_one_another", two_at_once_wait_for_one_another),
    ("npm::who_gives_up_waiting_stops_nothing", who_gives_up_waiting_stops_nothing),
    ("npm::scripts_run_where_they_may", scripts_run_where_they_may),
    ("npm::a_script_that_fails_is_told", a_script_that_fails_is_told),
    ("npm::what_needs_its_scripts_is_named", what_needs_its_scripts_is_named),
    ("npm::a_version_that_does_not_exist_has_neighbors", a_version_that_does_not_exist_has_neighbors),
    ("npm::a_package_that_does_not_exist_is_named", a_package_that_does_not_exist_is_named),
    ("npm::a_registry_that_is_away_is_told", a_registry_that_is_away_is_told),
    ("npm::the_line_to_write_has_the_current_version", the_line_to_write_has_the_current_version),
    ("npm::programs_in_other_languages_start", programs_in_other_languages_start),
];

/// A server of two packages.
fn publish_hello(world: &World) {
    world.registry.publish(("words", "2.0.0"), json!({}), &[("index.js", "exports.hello = 'hello';\n")]);
    let main = "#!/usr/bin/env node\nconsole.log(require('words').hello, ...process.argv.slice(2));\n";
    let more = json!({"bin": {"hello": "./main.js"}, "dependencies": {"words": "^2.0.0"}});
    world.registry.publish(("@s/hello", "1.2.3"), more, &[("main.js", main)]);
}

const HELLO: &str = "npx -y @s/hello@1.2.3 there --flag";

fn a_package_is_prepared_once_and_runs() {
    let world = World::new();
    publish_hello(&world);
    let first = world.prepare(HELLO, Scripts::Never).unwrap();
    assert_eq!(first.origin, Origin::Installed);
    assert_eq!(world.run(&first), (Exit::Code(0), "hello there --flag\n".to_owned()));
    let requests = world.registry.asked("");
    let second = world.prepare(HELLO, Scripts::Never).unwrap();
    assert_eq!((second.origin, &second.lock_sha256), (Origin::Kept, &first.lock_sha256));
    assert_eq!((second.program, second.args), (first.program, first.args));
    assert_eq!(world.registry.asked(""), requests, "nobody was asked again");

    let lock: serde_json::Value = serde_json::from_slice(&fs::read(&first.lock).unwrap()).unwrap();
    assert_eq!(lock["asked"], json!(["@s/hello@1.2.3"]));
    assert_eq!(lock["registry"], json!(world.registry.url()));
    let packages: Vec<String> = lock["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["name"], row["version"]))
        .collect();
    assert_eq!(packages, [r#""@s/hello" "1.2.3""#, r#""words" "2.0.0""#]);
    assert!(lock["packages"][0]["integrity"][0].as_str().unwrap().starts_with("sha512-"));
    assert!(lock["tools"]["node"].is_string() && lock["tools"]["npm"].is_string());

    // Without its tree it comes back the same, although the registry has newer words by now.
    world.registry.publish(("words", "2.1.0"), json!({}), &[("index.js", "exports.hello = 'hi';\n")]);
    fs::remove_file(first.tree.with_file_name("seal")).unwrap();
    let third = world.prepare(HELLO, Scripts::Never).unwrap();
    assert_eq!((third.origin, &third.lock_sha256), (Origin::Installed, &first.lock_sha256));
    assert_eq!(world.run(&third).1, "hello there --flag\n");
}

fn several_packages_and_a_named_program() {
    let world = World::new();
    publish_hello(&world);
    world.registry.publish(
        ("tool", "0.1.0"),
        json!({"bin": {"a": "a.js", "b": "b.mjs"}}),
        &[("a.js", "console.log('a')"), ("b.mjs", "console.log('b')")],
    );
    let prepared = world.prepare("npx -p @s/hello@1.2.3 -p tool@0.1.0 b", Scripts::Never).unwrap();
    assert_eq!(world.run(&prepared), (Exit::Code(0), "b\n".to_owned()));
    let fault = world.prepare("npx tool@0.1.0", Scripts::Never).unwrap_err();
    assert_eq!(
        (fault.to_string(), fault.hint()),
        ("tool brings no program called tool".into(), "it brings a, b".into())
    );
}

fn two_at_once_wait_for_one_another() {
    let world = World::new();
    publish_hello(&world);
    let asked = asked(HELLO);
    // Two owners, as two processes would be; and two calls of one.
    let (one, other) = (world.packages(), world.packages());
    let prepare = |packages: &casemate_registry::Packages| {
        let (packages, asked) = (packages.clone(), asked.clone());
        async move { packages.prepare(&asked, Scripts::Never).await.unwrap().origin }
    };
    let origins =
        world.runtime.block_on(async { tokio::join!(prepare(&one), prepare(&other), prepare(&one)) });
    let mut origins = [origins.0, origins.1, origins.2];
    origins.sort_by_key(|origin| *origin == Origin::Kept);
    assert_eq!(origins, [Origin::Installed, Origin::Kept, Origin::Kept]);
    assert_eq!(world.registry.asked("1.2.3.tgz"), 1);
}

fn who_gives_up_waiting_stops_nothing() {
    let world = World::new();
    publish_hello(&world);
    world.registry.stall(true);
    let (packages, asked) = (world.packages(), asked(HELLO));
    let registry = world.registry.clone();
    world.runtime.block_on(async {
        tokio::select! {
            _ = packages.prepare(&asked, Scripts::Never) => panic!("nothing was served"),
            seen = tokio::task::spawn_blocking(move || registry.wait_for(".tgz")) => seen.unwrap(),
        }
    });
    world.registry.stall(false);
    let prepared = world.runtime.block_on(packages.prepare(&asked, Scripts::Never)).unwrap();
    assert_eq!(prepared.origin, Origin::Kept, "the one that was given up has done it");
    assert_eq!(world.registry.asked("1.2.3.tgz"), 1);
}

/// A package whose install script leaves a mark and says whether it could dial somebody.
fn publish_scripted(world: &World) {
    let script = "const net = require('net'); const fs = require('fs');\n\
        const port = Number(process.argv[2]);\n\
        const end = word => { fs.writeFileSync('mark', word); process.exit(0); };\n\
        net.connect(port, '127.0.0.1').on('connect', () => end('online')).on('error', () => end('offline'));\n";
    let port = world.registry.url().trim_end_matches('/').rsplit(':').next().unwrap().to_owned();
    let more = json!({
        "bin": "main.js",
        "scripts": {"postinstall": format!("node script.js {port}")},
    });
    let main = "const fs = require('fs'); const mark = __dirname + '/mark';\n\
        console.log(fs.existsSync(mark) ? fs.readFileSync(mark, 'utf8') : 'no mark');\n";
    world.registry.publish(("scripted", "1.0.0"), more, &[("main.js", main), ("script.js", script)]);
}

fn scripts_run_where_they_may() {
    let world = World::new();
    publish_scripted(&world);
    let without = world.prepare("npx scripted@1.0.0", Scripts::Never).unwrap();
    assert_eq!(world.run(&without).1, "no mark\n");
    assert_eq!((without.scripts_ran.len(), without.scripts_skipped), (0, vec!["scripted".to_owned()]));
    let with = world.prepare("npx scripted@1.0.0", Scripts::Allowed).unwrap();
    assert_eq!(world.run(&with).1, "offline\n");
    assert_eq!((with.scripts_ran, with.scripts_skipped.len()), (vec!["scripted".to_owned()], 0));
    assert_ne!(with.tree, without.tree);
}

fn a_script_that_fails_is_told() {
    let world = World::new();
    let more = json!({"bin": "x.js", "scripts": {"postinstall": "echo no compiler here >&2; exit 3"}});
    world.registry.publish(("failing", "1.0.0"), more, &[("x.js", "")]);
    let fault = world.prepare("npx failing@1.0.0", Scripts::Allowed).unwrap_err();
    assert!(matches!(&fault, Error::Failed { said, .. } if said.contains("no compiler here")), "{fault}");
    assert!(world.found("/seal").is_empty() && world.found("/lock").is_empty());
}

fn what_needs_its_scripts_is_named() {
    let world = World::new();
    let scripts = json!({"postinstall": "node-gyp rebuild"});
    world.registry.publish(("native", "1.0.0"), json!({"scripts": scripts}), &[("binding.gyp", "{}")]);
    world.registry.publish(
        ("user", "1.0.0"),
        json!({"bin": "x.js", "dependencies": {"native": "1.0.0"}}),
        &[("x.js", "")],
    );
    let fault = world.prepare("npx user@1.0.0", Scripts::Never).unwrap_err();
    assert!(matches!(&fault, Error::NeedsScripts { package } if package == "native"), "{fault}");
    assert!(fault.hint().contains("install_scripts = true"));
    // Its program comes with the script.
    let scripts = json!({"postinstall": "node make.js"});
    world.registry.publish(("late", "1.0.0"), json!({"scripts": scripts, "bin": "x"}), &[("make.js", "")]);
    let fault = world.prepare("npx late@1.0.0", Scripts::Never).unwrap_err();
    assert!(matches!(&fault, Error::NeedsScripts { package } if package == "late"), "{fault}");
}

fn a_version_that_does_not_exist_has_neighbors() {
    let world = World::new();
    for version in ["1.0.0", "1.2.0", "1.2.4", "2.0.0"] {
        world.registry.publish(("x", version), json!({"bin": "x.js"}), &[("x.js", "")]);
    }
    let fault = world.prepare("npx x@1.2.3", Scripts::Never).unwrap_err();
    assert_eq!(fault.to_string(), "there is no version 1.2.3 of x");
    assert_eq!(fault.hint(), "the nearest are 1.2.4, 1.2.0, 1.0.0, 2.0.0");
}

fn a_package_that_does_not_exist_is_named() {
    let world = World::new();
    let fault = world.prepare("npx @s/nothing@1.2.3", Scripts::Never).unwrap_err();
    assert!(matches!(&fault, Error::NoPackage { name, .. } if name == "@s/nothing"), "{fault}");
}

fn a_registry_that_is_away_is_told() {
    let world = World::new();
    let closed = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let npm = Source::parse(&format!("http://user:secret@{closed}/")).unwrap();
    let packages = world.packages_from(Sources { npm, ..Sources::default() });
    let fault = world.runtime.block_on(packages.prepare(&asked(HELLO), Scripts::Never)).unwrap_err();
    assert!(matches!(fault, Error::Unreachable { .. }), "{fault}");
    assert!(!format!("{fault} {fault:?} {}", fault.hint()).contains("secret"), "{fault}");
}

fn the_line_to_write_has_the_current_version() {
    let world = World::new();
    for version in ["1.0.0", "1.1.0", "2.0.0"] {
        world.registry.publish(("@s/x", version), json!({"bin": "x.js"}), &[("x.js", "")]);
    }
    let packages = world.packages();
    let hint = |line: &str| {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let fault = Asked::recognize(&words[0], &words[1..]).unwrap().unwrap_err();
        let found = world.runtime.block_on(packages.current(&fault));
        fault.hint(&found)
    };
    assert_eq!(hint("npx -y @s/x"), r#"write command = ["npx", "-y", "@s/x@2.0.0"]"#);
    assert_eq!(hint("npx -y @s/x@latest"), r#"write command = ["npx", "-y", "@s/x@2.0.0"]"#);
    assert_eq!(hint("npx -y @s/x@^1.0.0"), r#"write command = ["npx", "-y", "@s/x@1.1.0"]"#);
    assert_eq!(hint("npx -y @s/x@9"), r#"write command = ["npx", "-y", "@s/x@2.0.0"]"#);
    let unknown = hint("npx @s/y");
    assert!(unknown.contains("@s/y@<version>"), "{unknown}");
    assert!(world.found("look-up").iter().all(|path| !path.ends_with("tree")), "nothing is left");
}

fn programs_in_other_languages_start() {
    let world = World::new();
    let shell = "#!/bin/sh\necho from a shell \"$1\"; node -e 'console.log(\"and node\")'\n";
    world.registry.publish(("shell", "1.0.0"), json!({"bin": "run"}), &[("run", shell)]);
    let prepared = world.prepare("npx shell@1.0.0 x", Scripts::Never).unwrap();
    assert_eq!(world.run(&prepared), (Exit::Code(0), "from a shell x\nand node\n".to_owned()));
    let flags = "#!/usr/bin/env -S node --no-warnings\nconsole.log(process.execArgv.join())\n";
    world.registry.publish(("flags", "1.0.0"), json!({"bin": "run"}), &[("run", flags)]);
    let prepared = world.prepare("npx flags@1.0.0", Scripts::Never).unwrap();
    assert_eq!(world.run(&prepared).1, "--no-warnings\n");
}
