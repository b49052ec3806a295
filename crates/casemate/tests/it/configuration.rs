//! Editing, checking and explaining the configuration without a gateway.

use expect_test::expect;

use crate::home::Home;

const THREE_MISTAKES: &str = "\
[gateway]
listn = \"127.0.0.1:1\"

[servers.git]
command = \"git-server\"
sharing = \"everyone\"

[roles.reader]
allow = [\"nothing/*\", 7]
";

#[test]
fn all_mistakes_are_reported_at_once_with_line_and_hint() {
    let home = Home::new();
    home.write("cm/casemate.toml", THREE_MISTAKES);
    expect![[r#"
        exit 3
        --- stderr
        error: the configuration has 3 mistakes
          [HOME]/cm/casemate.toml:2:1: unknown key "listn" in [gateway]
            hint: did you mean `listen`?
          [HOME]/cm/casemate.toml:6:11: servers.git.sharing: "everyone" is not a choice
            hint: there is "subject", "shared", "call"
          [HOME]/cm/casemate.toml:9:23: roles.reader.allow: has an integer, which is not a text
            hint: like ["github/get_*", "wiki"]
    "#]]
    .assert_eq(&home.run(&["config", "check"]).shown());
    expect![[r#"
        exit 3
        --- stderr
        error: the configuration has 3 mistakes
          [HOME]/cm/casemate.toml:2:1: unknown key "listn" in [gateway]
            hint: did you mean `listen`?
          [HOME]/cm/casemate.toml:6:11: servers.git.sharing: "everyone" is not a choice
            hint: there is "subject", "shared", "call"
          [HOME]/cm/casemate.toml:9:23: roles.reader.allow: has an integer, which is not a text
            hint: like ["github/get_*", "wiki"]
    "#]]
    .assert_eq(&home.run(&["up"]).shown());
}

#[test]
fn scripts_get_the_mistakes_as_json() {
    let home = Home::new();
    home.write("cm/casemate.toml", THREE_MISTAKES);
    let checked = home.run(&["config", "check", "--json"]);
    assert_eq!(checked.stdout, "");
    let error: serde_json::Value = serde_json::from_str(&checked.stderr).unwrap();
    assert_eq!(error["error"]["exit"], 3);
    assert_eq!(error["error"]["problems"].as_array().unwrap().len(), 3, "{error:#}");
}

#[test]
fn servers_are_added_switched_and_removed_and_comments_stay() {
    let home = Home::new();
    home.write("cm/casemate.toml", "# mine\n[servers.system]\nbuiltin = \"system\" # figures\n");
    home.run(&["add", "everything", "--env", "A=b", "--", "npx", "-y", "everything@1"]).ok();
    home.run(&["add", "wiki", "--url", "https://wiki.example/mcp", "--header", "X-Team=file:team"]).ok();
    home.run(&["disable", "everything"]).ok();
    expect![[r##"
        # mine
        [servers.system]
        builtin = "system" # figures

        [servers.everything]
        command = ["npx", "-y", "everything@1"]
        enabled = false

        [servers.everything.env]
        A = "b"

        [servers.wiki]
        url = "https://wiki.example/mcp"

        [servers.wiki.headers]
        X-Team = "file:team"
    "##]]
    .assert_eq(&home.read("cm/casemate.toml"));
    expect![[r#"
        exit 0
        --- stdout
        server      state     cell    instances  calls  in flight  pids  source
        everything  disabled  full    0          0      0          -     npx -y everything@1
        system      -         full    0          0      0          -     built in
        wiki        -         remote  0          0      0          -     https://wiki.example/mcp
        No gateway runs; `casemate up` starts one.
    "#]]
    .assert_eq(&home.run(&["list"]).shown());

    home.run(&["enable", "everything"]).ok();
    home.run(&["remove", "wiki"]).ok();
    home.run(&["remove", "everything"]).ok();
    expect![[r##"
        # mine
        [servers.system]
        builtin = "system" # figures
    "##]]
    .assert_eq(&home.read("cm/casemate.toml"));
}

#[test]
fn the_first_server_makes_the_file_and_keeps_the_built_in_one() {
    let home = Home::new();
    home.run(&["add", "time", "--", "uvx", "mcp-server-time@1"]).ok();
    expect![[r##"
        # Casemate's configuration. Every setting: docs/config.md, or `casemate config explain`.

        # Figures about this machine: processor, memory, disks, network.
        [servers.system]
        builtin = "system"

        [servers.time]
        command = ["uvx", "mcp-server-time@1"]
    "##]]
    .assert_eq(&home.read("cm/casemate.toml"));
}

#[test]
fn a_secret_is_not_written_into_the_file_and_never_repeated() {
    let home = Home::new();
    let token = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
    let refused = home.run(&["add", "gh", "--env", &format!("GITHUB_TOKEN={token}"), "--", "npx", "gh"]);
    assert!(!refused.shown().contains(token));
    expect![[r#"
        exit 2
        --- stderr
        error: the value of GITHUB_TOKEN is not kept in a file: it looks like a GitHub token
        hint: `casemate secret set GITHUB_TOKEN` keeps it, and "secret:GITHUB_TOKEN" refers to it; "env:GITHUB_TOKEN" and "file:PATH" do where it is kept elsewhere
    "#]]
    .assert_eq(&refused.shown());
    assert!(!home.root().join("casemate.toml").exists());
}

#[test]
fn a_reference_that_leads_nowhere_here_is_a_warning() {
    let home = Home::new();
    let added = home.run(&["add", "gh", "--env", "GITHUB_TOKEN=env:GITHUB_TOKEN", "--", "npx", "gh"]);
    expect![[r#"
        exit 0
        --- stdout
        gh: added ([HOME]/cm/casemate.toml)
        --- stderr
        warning: when a gateway runs: servers.gh.env.GITHUB_TOKEN: the server gh is not started without the secret env:GITHUB_TOKEN: this environment variable is not set
        hint: set GITHUB_TOKEN where casemate is started, or keep the value in Casemate: `casemate secret set GITHUB_TOKEN`, and "secret:GITHUB_TOKEN" refers to it
        warning: it will not be started: gh has no version, so whatever is newest would run
        hint: write command = ["npx", "gh@<version>"]; `npm view gh version` tells the version
    "#]].assert_eq(&added.shown());
}

#[test]
fn edits_that_cannot_be_made_say_why() {
    let home = Home::new();
    home.run(&["add", "a", "--", "npx", "a"]).ok();
    expect![[r#"
        exit 1
        --- stderr
        error: a server called a is configured already
        hint: `casemate remove a`, or choose another name
    "#]]
    .assert_eq(&home.run(&["add", "a", "--", "npx", "b"]).shown());
    expect![[r#"
        exit 1
        --- stderr
        error: no server called b is configured
        hint: `casemate list` shows those that are
    "#]]
    .assert_eq(&home.run(&["remove", "b"]).shown());
    expect![[r#"
        exit 3
        --- stderr
        error: nothing was changed, since the configuration would be wrong
          command line: --url: "ftp://c.example" is not where a server can be
            hint: `https://…`, `wss://…`, `unix:/PATH` or `tcp://HOST:PORT`
    "#]]
    .assert_eq(&home.run(&["add", "c", "--url", "ftp://c.example"]).shown());
    home.write("cm/casemate.toml", "[servers\n");
    expect![[r#"
        exit 3
        --- stderr
        error: [HOME]/cm/casemate.toml cannot be edited
          because: the configuration is not valid TOML: unclosed table, expected `]`
        hint: `casemate config check` names the line
    "#]]
    .assert_eq(&home.run(&["add", "d", "--", "npx", "d"]).shown());
}

#[test]
fn a_file_that_was_named_has_to_be_there() {
    let home = Home::new();
    expect![[r#"
        exit 3
        --- stderr
        error: there is no configuration file at [CURRENT]/none.toml
        hint: leave out --config and CASEMATE_CONFIG to start without one; `casemate add` creates it
    "#]]
    .assert_eq(
        &home
            .run(&["--config", "none.toml", "config", "check"])
            .shown()
            .replace(&std::env::current_dir().unwrap().display().to_string(), "[CURRENT]"),
    );
}

#[test]
fn values_are_explained_with_their_origin() {
    let home = Home::new();
    home.write("cm/casemate.toml", "[gateway]\nlisten = \"127.0.0.1:7400\"\n");
    expect![[r#"
        exit 0
        --- stdout
        gateway.listen = "127.0.0.1:7400"
          from:    file [HOME]/cm/casemate.toml:2:1
          takes:   an IP address and port
          default: "127.0.0.1:7332"
          changes: at the next start
          or set:  CASEMATE_GATEWAY_LISTEN
          example: "127.0.0.1:7400"
          The address that MCP clients connect to. Only this machine can reach the default. Any other address needs `plaintext_beyond_loopback`; port 0 lets the system choose.
    "#]].assert_eq(&home.run(&["config", "explain", "gateway.listen"]).shown());
    expect![[r#"
        exit 2
        --- stderr
        error: no setting is called "gateway.lisen"
        hint: did you mean `gateway.listen`?
    "#]]
    .assert_eq(&home.run(&["config", "explain", "gateway.lisen"]).shown());
    let mut command = home.command(&["config", "explain", "gateway.listen", "--json"]);
    let explained = home.ended(&command.env("CASEMATE_LISTEN", "127.0.0.1:7500").output().unwrap()).ok();
    let explained: serde_json::Value = serde_json::from_str(&explained).unwrap();
    assert_eq!(explained[0]["value"], "\"127.0.0.1:7500\"");
    assert_eq!(explained[0]["origin"], "environment CASEMATE_LISTEN");
}

#[test]
fn a_mistake_anywhere_kept_every_setting_from_being_explained() {
    let home = Home::new();
    home.write(
        "cm/casemate.toml",
        &format!("{THREE_MISTAKES}\n[servers.fine]\ncommand = \"x\"\nenabled = false\n"),
    );
    expect![[r#"
        exit 0
        --- stdout
        servers.fine.enabled = false
          from:    file [HOME]/cm/casemate.toml:13:1
          takes:   true or false
          default: true
          changes: as soon as the file is saved
          example: false
          A server that is switched off stays in the file and serves nobody.
        --- stderr
        warning: the configuration has mistakes, and a running gateway keeps the one before
        hint: `casemate config check` lists them
    "#]]
    .assert_eq(&home.run(&["config", "explain", "servers.fine.enabled"]).shown());
}

#[test]
fn the_schema_is_json() {
    let schema: serde_json::Value =
        serde_json::from_str(&Home::new().run(&["config", "schema"]).ok()).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
}

#[test]
fn any_clients_file_is_imported_without_its_secrets() {
    let home = Home::new();
    let file = home.write(
        "client.json",
        r#"{ // comments are allowed
            "mcpServers": {
                "everything": { "command": "npx", "args": ["-y", "everything@1"] },
                "gh": { "command": "npx", "args": ["gh"], "env": { "GITHUB_TOKEN": "ghp_abcdefghijklmnopqrstuvwxyz0123456789" } },
                "wiki": { "type": "http", "url": "https://wiki.example/mcp" },
            }
        }"#,
    );
    expect![[r#"
        exit 0
        --- stdout
        added: everything
        added: gh
        added: wiki
        note: gh: its GITHUB_TOKEN was not copied; `casemate secret set GH_GITHUB_TOKEN` gives it
        note: everything: it will not be started: "1" is not one version of everything; write command = ["npx", "-y", "everything@<version>"]; `npm view everything version` tells the version
        note: gh: it will not be started: gh has no version, so whatever is newest would run; write command = ["npx", "gh@<version>"]; `npm view gh version` tells the version
        --- stderr
        warning: when a gateway runs: servers.gh.env.GITHUB_TOKEN: the server gh is not started without the secret GH_GITHUB_TOKEN: it is not set
        hint: `casemate secret set GH_GITHUB_TOKEN` sets it
    "#]].assert_eq(&home.run(&["import", file.to_str().unwrap()]).shown());
    expect![[r##"
        # Casemate's configuration. Every setting: docs/config.md, or `casemate config explain`.

        # Figures about this machine: processor, memory, disks, network.
        [servers.system]
        builtin = "system"

        [servers.everything]
        command = ["npx", "-y", "everything@1"]

        [servers.gh]
        command = ["npx", "gh"]

        [servers.gh.env]
        GITHUB_TOKEN = "secret:GH_GITHUB_TOKEN"

        [servers.wiki]
        url = "https://wiki.example/mcp"
    "##]]
    .assert_eq(&home.read("cm/casemate.toml"));
    expect![[r#"
        exit 0
        --- stdout
        Nothing was imported.
        skipped: everything: a server called everything is configured already
            hint: `casemate import --replace` replaces it
        skipped: gh: a server called gh is configured already
            hint: `casemate import --replace` replaces it
        skipped: wiki: a server called wiki is configured already
            hint: `casemate import --replace` replaces it
        note: gh: its GITHUB_TOKEN was not copied; `casemate secret set GH_GITHUB_TOKEN` gives it
    "#]]
    .assert_eq(&home.run(&["import", file.to_str().unwrap()]).shown());
}

#[test]
fn what_an_import_leaves_to_do_is_told() {
    let home = Home::new();
    let servers = r#"{"mcpServers": {
        "broken": { "args": ["x"] }, "off": { "command": "x", "disabled": true },
        "slow": { "command": "x", "timeout": 60 }, "newest": { "command": "npx", "args": ["-y", "newest"] },
        "dk": { "command": "docker", "args": ["run", "-i", "--rm", "-e", "API_TOKEN", "mcp/time:latest"], "env": { "API_TOKEN": "opensesame" } },
        "old": { "type": "sse", "url": "https://old.example/sse" }
    }}"#;
    expect![[r#"
        exit 0
        --- stdout
        added: off (disabled, as it was there)
        added: slow
        added: newest
        added: dk
        added: old
        note: broken: left out: it has no command
        note: slow: not taken over: timeout
        note: slow: clients count its timeout in seconds or in milliseconds; here it is `timeout.call = "60s"`
        note: dk: its API_TOKEN was not copied; `casemate secret set DK_API_TOKEN` gives it
        note: newest: it will not be started: newest has no version, so whatever is newest would run; write command = ["npx", "-y", "newest@<version>"]; `npm view newest version` tells the version
        note: dk: it will not be started: `docker` asks a container engine, and no cell reaches one; write image = "mcp/time@sha256:…" instead of `command`
        --- stderr
        warning: when a gateway runs: servers.dk.env.API_TOKEN: the server dk is not started without the secret DK_API_TOKEN: it is not set
        hint: `casemate secret set DK_API_TOKEN` sets it
    "#]].assert_eq(&home.run_with(&["import", "-"], servers).shown());
    expect![[r#"
        exit 0
        --- stdout
        replaced: off
        --- stderr
        warning: when a gateway runs: servers.dk.env.API_TOKEN: the server dk is not started without the secret DK_API_TOKEN: it is not set
        hint: `casemate secret set DK_API_TOKEN` sets it
    "#]]
        .assert_eq(&home.run_with(&["import", "--replace", "-"], "{\"off\": {\"command\": \"y\"}}").shown());
    expect![[r#"
        exit 1
        --- stderr
        error: standard input cannot be imported
          because: line 1, column 2: expected a member name in double quotes, or `}`
    "#]]
    .assert_eq(&home.run_with(&["import", "-"], "{").shown());
}

#[test]
fn a_client_pointed_at_another_installation_after_it_was_installed_again() {
    let home = Home::new();
    let config = home.write("x.toml", "");
    home.run(&["--config", config.to_str().unwrap(), "install", "cursor"]).ok();
    assert!(home.read(".cursor/mcp.json").contains("x.toml"));
    assert!(!home.run(&["install", "cursor"]).ok().contains("nothing to change"));
    assert!(!home.read(".cursor/mcp.json").contains("x.toml"));
    assert!(home.run(&["install", "cursor"]).ok().contains("nothing to change"));
}

#[test]
fn a_client_is_installed_and_uninstalled_and_nothing_else_changes() {
    let home = Home::new();
    let before =
        "{\n  // mine\n  \"theme\": \"dark\",\n  \"mcpServers\": { \"other\": { \"command\": \"x\" } }\n}\n";
    home.write(".cursor/mcp.json", before);
    let installed = home.run(&["install", "cursor"]);
    assert!(installed.stdout.contains(".cursor/mcp.json"), "{}", installed.shown());
    let text = home.read(".cursor/mcp.json");
    assert!(
        text.contains(crate::home::CASEMATE) && text.contains("// mine") && text.contains("CASEMATE_HOME"),
        "{text}"
    );
    assert!(home.run(&["install", "cursor"]).ok().contains("nothing to change"));
    home.run(&["uninstall", "cursor"]).ok();
    assert_eq!(home.read(".cursor/mcp.json"), before);
    expect![[r#"
        exit 2
        --- stderr
        error: no client is called "emacs"
        hint: one of claude-desktop, claude-code, cursor, vscode
    "#]]
    .assert_eq(&home.run(&["install", "emacs"]).shown());
}

#[test]
fn doctor_finds_what_is_wrong() {
    let home = Home::new();
    home.write("cm/casemate.toml", "[servers.a]\ncommand = \"no-such-program\"\n");
    let found = home.run(&["doctor"]);
    assert_eq!(found.code, Some(1), "{}", found.shown());
    assert!(found.stdout.contains("`no-such-program` is not installed"), "{}", found.shown());
    home.run(&["remove", "a"]).ok();
    home.run(&["doctor"]).ok();
}

#[test]
fn doctor_misses_no_package_runner_of_what_is_prepared() {
    let home = Home::new();
    home.run(&["add", "everything", "--", "bunx", "everything@1.0.0"]).ok();
    let found = home.run(&["doctor"]).ok();
    assert!(!found.contains("bunx"), "{found}");
}
