use expect_test::{Expect, expect};

use super::*;

fn secret(key: &str, value: &str) -> bool {
    value.starts_with("sk-") || (key.contains("TOKEN") && value.len() > 8)
}

fn check(text: &str, expected: Expect) {
    let import = read(text, &secret).unwrap();
    let mut shown = String::new();
    for server in &import.servers {
        let off = if server.enabled { "" } else { " (off)" };
        shown += &match &server.source {
            Source::Command { program, args, env, cwd } => {
                format!("{}{off}: {program} {args:?} {env:?} {cwd:?}\n", server.name)
            }
            Source::Remote { url, headers } => format!("{}{off}: {url} {headers:?}\n", server.name),
        };
    }
    for warning in &import.warnings {
        shown += &format!("! {warning}\n");
    }
    assert!(!shown.contains("sk-"), "a secret is never shown: {shown}");
    expected.assert_eq(&shown);
}

#[test]
fn the_usual_list_is_taken_over() {
    check(
        r#"{"mcpServers": { // comments are fine
            "git": {"command": "uvx", "args": ["mcp-server-git"], "env": {"PORT": 3000, "A": "b"}, "cwd": "/src"},
            "web": {"type": "http", "url": "https://example.com/mcp", "headers": {"X-Team": "blue"}},
            "old": {"command": "x", "disabled": true},
        }}"#,
        expect![[r#"
            git: uvx ["mcp-server-git"] {"A": Literal("b"), "PORT": Literal("3000")} Some("/src")
            web: https://example.com/mcp {"X-Team": Literal("blue")}
            old (off): x [] {} None
        "#]],
    );
}

#[test]
fn every_client_has_its_own_container_and_members() {
    for text in [
        r#"{"servers": {"a": {"command": "x"}}, "inputs": []}"#,
        r#"{"context_servers": {"a": {"source": "custom", "command": "x"}}}"#,
        r#"{"amp.mcpServers": {"a": {"command": "x"}}}"#,
        r#"{"mcp": {"servers": {"a": {"command": "x"}}}}"#,
        r#"{"mcp": {"a": {"type": "local", "command": ["x"]}}}"#,
        r#"{"a": {"command": "x"}}"#,
    ] {
        check(
            text,
            expect![[r#"
            a: x [] {} None
        "#]],
        );
    }
    check(
        r#"{"mcp": {
            "a": {"type": "local", "command": ["npx", "-y", "x@1"], "environment": {"K": "v"}, "enabled": false},
            "b": {"serverUrl": "https://b/mcp"}, "c": {"httpUrl": "https://c/mcp"}
        }}"#,
        expect![[r#"
            a (off): npx ["-y", "x@1"] {"K": Literal("v")} None
            b: https://b/mcp {}
            c: https://c/mcp {}
        "#]],
    );
}

#[test]
fn secrets_become_references() {
    check(
        r#"{"mcpServers": {
            "github": {"command": "x", "env": {"GITHUB_TOKEN": "0123456789abcdef", "OTHER": "sk-abc"}},
            "my api": {"url": "https://x/mcp", "headers": {"Authorization": "Bearer sk-abc"}},
            "args": {"command": "x", "args": ["--key", "sk-abc"]},
            "flag": {"command": "x", "args": ["--TOKEN=0123456789"]},
            "pair": {"command": "x", "args": ["--TOKEN", "0123456789"]},
            "url": {"url": "https://x/mcp?key=sk-abc"},
            "path": {"url": "https://x/sk-abc/mcp"},
            "user": {"url": "https://me:pw@x/mcp"}
        }}"#,
        expect![[r#"
            github: x [] {"GITHUB_TOKEN": Secret("GITHUB_TOKEN"), "OTHER": Secret("GITHUB_OTHER")} None
            my-api: https://x/mcp {"Authorization": Secret("MY_API_AUTHORIZATION")}
            ! github: its GITHUB_TOKEN was not copied; `casemate secret set GITHUB_TOKEN` gives it
            ! github: its OTHER was not copied; `casemate secret set GITHUB_OTHER` gives it
            ! my api: its Authorization was not copied; `casemate secret set MY_API_AUTHORIZATION` gives it, with `Bearer` before it
            ! my api: renamed to my-api
            ! args: left out: an argument looks like a secret; pass it in a variable or file and add it by hand
            ! flag: left out: an argument looks like a secret; pass it in a variable or file and add it by hand
            ! pair: left out: an argument looks like a secret; pass it in a variable or file and add it by hand
            ! url: left out: its url seems to hold a secret; send it in a header and add the server by hand
            ! path: left out: its url seems to hold a secret; send it in a header and add the server by hand
            ! user: left out: its url seems to hold a secret; send it in a header and add the server by hand
        "#]],
    );
}

#[test]
fn a_server_was_given_the_key_of_another() {
    check(
        r#"{"mcpServers": {
            "one": {"command": "x", "env": {"API_TOKEN": "0123456789abcdef", "ONE_TOKEN": "0123456789abcdef"}},
            "two": {"command": "x", "env": {"API_TOKEN": "fedcba9876543210"}},
            "_9 a long name for a server, much longer than a secret's name can be": {"command": "x", "env": {"_TOKEN": "fedcba9876543210"}}
        }}"#,
        expect![[r#"
            one: x [] {"API_TOKEN": Secret("ONE_API_TOKEN"), "ONE_TOKEN": Secret("ONE_TOKEN")} None
            two: x [] {"API_TOKEN": Secret("TWO_API_TOKEN")} None
            9-a-long-name-for-a-server-mu: x [] {"_TOKEN": Secret("AME_FOR_A_SERVER__MUCH_LONGER_THAN_A_SECRET_S_NAME_CAN_BE__TOKEN")} None
            ! one: its API_TOKEN was not copied; `casemate secret set ONE_API_TOKEN` gives it
            ! one: its ONE_TOKEN was not copied; `casemate secret set ONE_TOKEN` gives it
            ! two: its API_TOKEN was not copied; `casemate secret set TWO_API_TOKEN` gives it
            ! _9 a long name for a server, much longer than a secret's name can be: its _TOKEN was not copied; `casemate secret set AME_FOR_A_SERVER__MUCH_LONGER_THAN_A_SECRET_S_NAME_CAN_BE__TOKEN` gives it
            ! _9 a long name for a server, much longer than a secret's name can be: renamed to 9-a-long-name-for-a-server-mu
        "#]],
    );
}

#[test]
fn placeholders_of_other_programs_become_references() {
    check(
        r#"{"servers": {"a": {"command": "x", "args": ["${workspaceFolder}"], "env": {
            "A": "${TOKEN}", "B": "${env:TOKEN}", "C": "$TOKEN", "D": "${input:api-key}", "E": "${F:-x}", "G": "$5"
        }}}}"#,
        expect![[r#"
            a: x ["${workspaceFolder}"] {"A": Env("TOKEN"), "B": Env("TOKEN"), "C": Env("TOKEN"), "D": Secret("A_D"), "E": Secret("A_E"), "G": Literal("$5")} None
            ! a: an argument has a placeholder `${…}`, which Casemate passes on as it stands
            ! a: its D has a placeholder; `casemate secret set A_D` gives it the whole value
            ! a: its E has a placeholder; `casemate secret set A_E` gives it the whole value
        "#]],
    );
}

#[test]
fn names_are_made_legal_and_unique_and_oddities_are_named() {
    check(
        r#"{"mcpServers": {
            "@scope/my__server": {"command": "x"}, "scope my server": {"command": "x"}, "Scope-My-Server": {"command": "x"},
            "a-very-long-name-that-goes-on-and-on": {"command": "x"}, "日本": {"command": "x"},
            "casemate": {"command": "y"}, "gate": {"command": "/opt/casemate", "args": ["connect"]},
            "odd": 1, "empty": {}, "broken": {"args": ["x"]}, "list": {"command": "x", "env": {"A": []}, "timeout": 5, "envFile": ".env"},
            "sse": {"type": "sse", "url": "https://x/sse"}
        }}"#,
        expect![[r#"
            scope-my_server: x [] {} None
            scope-my-server: x [] {} None
            Scope-My-Server-2: x [] {} None
            a-very-long-name-that-goes-on: x [] {} None
            list: x [] {} None
            sse: https://x/sse {}
            ! @scope/my__server: renamed to scope-my_server
            ! scope my server: renamed to scope-my-server
            ! Scope-My-Server: renamed to Scope-My-Server-2
            ! a-very-long-name-that-goes-on-and-on: renamed to a-very-long-name-that-goes-on
            ! 日本: left out: its name has no letter or digit
            ! casemate: left out: it is Casemate itself
            ! gate: left out: it is Casemate itself
            ! odd: left out: it is not an object
            ! empty: left out: it has neither a command nor a url
            ! broken: left out: it has no command
            ! list: not taken over: A, which is not a text
            ! list: not taken over: timeout, envFile
            ! list: clients count its timeout in seconds or in milliseconds; here it is `timeout.call = "60s"`
        "#]],
    );
}

#[test]
fn a_file_without_servers_is_refused() {
    assert!(read("{\"theme\": {}}", &secret).unwrap_err().what.contains("no list of servers"));
    assert!(read("[", &secret).is_err());
    assert!(read("{\"mcpServers\": {}}", &secret).unwrap().servers.is_empty());
}
