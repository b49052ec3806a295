use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::unpinned::Wanted;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

fn recognize(line: &str) -> Option<Result<Asked, Unpinned>> {
    let words = words(line);
    Asked::recognize(&words[0], &words[1..])
}

/// `npm x@1 y@2 -> command: arguments`, with `*` for the package's own program.
fn shown(asked: &Asked) -> String {
    let packages: Vec<String> =
        asked.packages.iter().map(|package| package.requirement(asked.ecosystem)).collect();
    let command = asked.command.as_deref().unwrap_or("*");
    let python = asked.python.as_ref().map(|version| format!(" on {version}")).unwrap_or_default();
    format!("{} {}{python} -> {command} {}", asked.ecosystem, packages.join(" "), asked.args.join(" "))
        .trim_end()
        .to_owned()
}

#[test]
fn every_runner_is_understood() {
    let table = [
        ("npx x@1.2.3", "npm x@1.2.3 -> *"),
        ("npx -y @s/x@1.2.3 /data --flag -y", "npm @s/x@1.2.3 -> * /data --flag -y"),
        ("/usr/bin/npx --yes -- x@1.2.3 -- a", "npm x@1.2.3 -> * -- a"),
        ("npx -y -p x@1.2.3 y --port 1", "npm x@1.2.3 -> y --port 1"),
        ("npx --package=x@1.2.3 --package @s/z@1.0.0-rc.1 z", "npm x@1.2.3 @s/z@1.0.0-rc.1 -> z"),
        ("npx --loglevel error x@1.2.3", "npm x@1.2.3 -> *"),
        ("npm exec x@1.2.3 a", "npm x@1.2.3 -> * a"),
        ("npm exec --yes -- x@1.2.3 --flag", "npm x@1.2.3 -> * --flag"),
        ("npm --yes x x@1.2.3 -- --flag", "npm x@1.2.3 -> * --flag"),
        ("bunx x@1.2.3 a", "npm x@1.2.3 -> * a"),
        ("bun x x@1.2.3", "npm x@1.2.3 -> *"),
        ("pnpm dlx x@1.2.3 a", "npm x@1.2.3 -> * a"),
        ("pnpm --package=x@1.2.3 dlx y", "npm x@1.2.3 -> y"),
        ("pnpm --package x@1.2.3 dlx y", "npm x@1.2.3 -> y"),
        ("pnpx x@1.2.3", "npm x@1.2.3 -> *"),
        ("yarn dlx -q -p x@1.2.3 y", "npm x@1.2.3 -> y"),
        ("uvx x==1.2.3 --flag", "PyPI x==1.2.3 -> x --flag"),
        ("uvx x@1.2.3", "PyPI x==1.2.3 -> x"),
        ("uvx x[cli,b]==1.2.3 a", "PyPI x[b,cli]==1.2.3 -> x a"),
        ("uvx x[cli]@1.2.3", "PyPI x[cli]==1.2.3 -> x"),
        ("uvx --from x[cli]==1.2.3 y a", "PyPI x[cli]==1.2.3 -> y a"),
        ("uvx --from=x==1.2.3 y", "PyPI x==1.2.3 -> y"),
        ("uvx --with a==1,b==2 --with c@3 x==1.2.3", "PyPI x==1.2.3 a==1 b==2 c==3 -> x"),
        ("uvx --python 3.12 x==1.2.3", "PyPI x==1.2.3 on 3.12 -> x"),
        ("uvx -p python3.12.4 x==1.2.3", "PyPI x==1.2.3 on 3.12.4 -> x"),
        ("uv tool run -q x==1.2.3 a", "PyPI x==1.2.3 -> x a"),
        ("uv --quiet tool run x==1.2.3", "PyPI x==1.2.3 -> x"),
        ("pipx run x==1.2.3 a", "PyPI x==1.2.3 -> x a"),
        ("pipx run --spec x==1.2.3 y --help", "PyPI x==1.2.3 -> y --help"),
    ];
    for (line, expected) in table {
        let asked = recognize(line).expect(line).unwrap_or_else(|fault| panic!("{line}: {fault}"));
        assert_eq!(shown(&asked), expected, "{line}");
    }
    let spaced = ["--from", "x[ b , a ] == 1.2.3", "y"].map(str::to_owned);
    assert_eq!(shown(&Asked::recognize("uvx", &spaced).unwrap().unwrap()), "PyPI x[a,b]==1.2.3 -> y");
}

#[test]
fn other_programs_are_left_alone() {
    for line in [
        "node server.js",
        "npm run start",
        "npm start",
        "npm",
        "pnpm exec x",
        "yarn x",
        "uv run server.py",
        "uv pip x",
        "uv tool install x",
        "bun server.ts",
        "pipx list",
        "npx.sh x",
        "python3 -m x",
        "docker run x",
        "npm run exec",
    ] {
        assert_eq!(recognize(line), None, "{line}");
    }
    assert_eq!(Asked::recognize("", &[]), None);
}

/// The hint once `2.0.0` was found for everything.
fn hint(line: &str) -> String {
    let fault = recognize(line).expect(line).expect_err(line);
    let found = fault.wanted().map(|wanted| (wanted.clone(), "2.0.0".to_owned())).collect();
    fault.hint(&found)
}

#[test]
fn the_line_to_write_is_told() {
    let table = [
        ("npx -y x", r#"["npx", "-y", "x@2.0.0"]"#),
        ("npx x@latest a b", r#"["npx", "x@2.0.0", …]"#),
        ("npx x@^1.2", r#"["npx", "x@2.0.0"]"#),
        ("npx x@1.2", r#"["npx", "x@2.0.0"]"#),
        ("npx x@v1.2.3", r#"["npx", "x@2.0.0"]"#),
        ("npx @s/x", r#"["npx", "@s/x@2.0.0"]"#),
        ("npx -p x -p y@1.0.0 z", r#"["npx", "-p", "x@2.0.0", "-p", "y@1.0.0", "z"]"#),
        ("npx --package=x z", r#"["npx", "--package=x@2.0.0", "z"]"#),
        ("npm exec x -- --a", r#"["npm", "exec", "x@2.0.0", …]"#),
        ("/opt/pnpm --package=x dlx z", r#"["/opt/pnpm", "--package=x@2.0.0", "dlx", "z"]"#),
        ("uvx x", r#"["uvx", "x==2.0.0"]"#),
        ("uvx x@latest", r#"["uvx", "x==2.0.0"]"#),
        ("uvx x>=1", r#"["uvx", "x==2.0.0"]"#),
        ("uvx x==1.*", r#"["uvx", "x==2.0.0"]"#),
        ("uvx x===1.0", r#"["uvx", "x==2.0.0"]"#),
        ("uvx x~=1.0", r#"["uvx", "x==2.0.0"]"#),
        ("uvx x==1.0,!=2", r#"["uvx", "x==2.0.0"]"#),
        ("uvx x(1.0)", r#"["uvx", "x==2.0.0"]"#),
        ("uvx --from x[cli] y a", r#"["uvx", "--from", "x[cli]==2.0.0", "y", …]"#),
        ("uvx --with a,b==1 x==1", r#"["uvx", "--with", "a==2.0.0,b==1", "x==1"]"#),
        ("uv tool run x", r#"["uv", "tool", "run", "x==2.0.0"]"#),
        ("pipx run x", r#"["pipx", "run", "x==2.0.0"]"#),
    ];
    for (line, expected) in table {
        assert_eq!(hint(line), format!("write command = {expected}"), "{line}");
    }
}

#[test]
fn without_a_registry_the_way_to_the_version_is_told() {
    let fault = recognize("npx x@^1 --token secret").unwrap().unwrap_err();
    assert_eq!(fault.to_string(), r#""^1" is not one version of x"#);
    assert_eq!(fault.wanted().map(Wanted::to_string).collect::<Vec<_>>(), ["x (^1)"]);
    let hint = fault.hint(&BTreeMap::new());
    assert_eq!(hint, r#"write command = ["npx", "x@<version>", …]; `npm view x version` tells the version"#);
    let hint = recognize("uvx x").unwrap().unwrap_err().hint(&BTreeMap::new());
    assert!(hint.ends_with("`pip index versions x` tells the version"), "{hint}");
}

#[test]
fn what_no_version_heals_is_refused() {
    let table = [
        ("npx", "names no package"),
        ("npx -y", "names no package"),
        ("npx -p x@1.2.3", "names no program"),
        ("npx -p", "has no value"),
        ("npx github:a/b", "a folder, a file, a URL"),
        ("npx a/b", "a folder, a file, a URL"),
        ("npx git+https://user:secret@h/x", "a folder, a file, a URL"),
        ("npx x@git+ssh://h/x", "a folder, a file, a URL"),
        ("npx x@file:../x", "a folder, a file, a URL"),
        ("npx https://h/x.tgz", "a folder, a file, a URL"),
        ("npx ./x", "a folder, a file, a URL"),
        ("npx x@workspace:1.2.3", "a folder, a file, a URL"),
        ("npx y@npm:x@1.2.3", "an alias"),
        ("npx ../x@1.2.3", "a folder, a file, a URL"),
        ("npx @../x@1.2.3", "no package's name"),
        ("npx @s/..@1.2.3", "no package's name"),
        ("npx $(id)@1.2.3", "no package's name"),
        ("npx -c x@1.2.3", "option -c"),
        ("npx --registry=https://u:secret@h x@1.2.3", "option --registry"),
        ("npx --what x@1.2.3", "option --what of the package runner is not known"),
        ("npx -p x@1.2.3 ../../sh", "no program of a package"),
        ("npx -p x@1.2.3 -- -e", "no program of a package"),
        ("npm exec x@1.2.3 --flag", "may be the runner's"),
        ("bunx --bun x@1.2.3", "option --bun"),
        ("pnpm dlx --allow-build=y x@1.2.3", "option --allow-build"),
        ("uvx --from git+https://h/x y", "a folder, a file, a URL"),
        ("uvx --from ./x y", "a folder, a file, a URL"),
        ("uvx x==1.2.3;python_version>'3'", "a marker"),
        ("uvx --index-url https://u:secret@h x==1", "option --index-url"),
        ("uvx --with-requirements r.txt x==1", "option --with-requirements"),
        ("uvx --python /tmp/evil x==1", "no version of Python"),
        ("uvx --python 2.7 x==1", "no version of Python"),
        ("uvx --from x==1 a/b", "no program of a package"),
        ("uvx x[../y]==1", "no package's name"),
        ("pipx run https://h/script.py", "a folder, a file, a URL"),
    ];
    for (line, expected) in table {
        let fault = recognize(line).expect(line).expect_err(line);
        assert!(fault.to_string().contains(expected), "{line}: {fault}");
        assert_eq!(fault.line(&BTreeMap::new()), None, "{line}");
        let hint = fault.hint(&BTreeMap::new());
        assert!(!hint.is_empty() && !format!("{fault} {hint}").contains("secret"), "{line}: {fault}; {hint}");
    }
}

/// Words that runners and packages are made of, in the right and in the wrong places.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "-y",
            "--yes",
            "-p",
            "--package",
            "--package=x@1.2.3",
            "--",
            "-c",
            "--from",
            "--with",
            "--python",
            "3.12",
            "x",
            "x@1.2.3",
            "@s/x@1.2.3",
            "x==1.2.3",
            "x[y]==1",
            "x@latest",
            "..",
            "../..",
            "a/b",
            "exec",
            "dlx",
            "tool",
            "run",
            "x@^1",
            "-",
            "",
            "--=",
            "@",
            "@/",
            "x@",
            "x==",
            "a,b",
            "=",
            "x@@1.2.3",
        ])
        .prop_map(str::to_owned),
        "[@a-z./=0-9\\[\\]~^*,;: -]{0,12}",
        any::<String>(),
    ]
}

fn program() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "npx", "npm", "bunx", "bun", "pnpm", "pnpx", "yarn", "uvx", "uv", "pipx", "node",
    ])
}

proptest! {
    /// Whatever is written: what passes is exact, and can neither be taken for an option nor lead out of a folder.
    #[test]
    fn what_passes_is_exact(program in program(), args in prop::collection::vec(word(), 0..8)) {
        if let Some(Ok(asked)) = Asked::recognize(program, &args) {
            prop_assert!(!asked.packages.is_empty());
            for package in &asked.packages {
                prop_assert!(asked.ecosystem.is_version(&package.version));
                prop_assert!(asked.ecosystem.is_name(&package.name));
                prop_assert!(!package.name.split('/').any(|part| part.is_empty() || part.starts_with('.')));
            }
            prop_assert!(asked.command.iter().all(|name| !name.contains('/') && !name.starts_with(['.', '-'])));
            prop_assert!(args.ends_with(&asked.args) || program == "npm");
        }
    }

    /// The line that a refusal proposes is one that passes.
    #[test]
    fn what_is_proposed_passes(program in program(), args in prop::collection::vec(word(), 0..8)) {
        if let Some(Err(fault)) = Asked::recognize(program, &args) {
            let found = fault.wanted().map(|wanted| (wanted.clone(), "7.8.9".to_owned())).collect();
            if let Some(line) = fault.line(&found) {
                let asked = Asked::recognize(&line[0], &line[1..]);
                prop_assert!(matches!(asked, Some(Ok(_))), "{line:?} gives {asked:?}");
            }
        }
    }

    /// Every argument of the program arrives, whatever it is.
    #[test]
    fn arguments_arrive(args in prop::collection::vec(any::<String>(), 0..6)) {
        for (program, spec) in [("npx", "x@1.2.3"), ("bunx", "x@1.2.3"), ("uvx", "x==1.2.3")] {
            let line = [vec![spec.to_owned()], args.clone()].concat();
            prop_assert_eq!(&Asked::recognize(program, &line).unwrap().unwrap().args, &args);
        }
    }
}
