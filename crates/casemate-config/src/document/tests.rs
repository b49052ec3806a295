use expect_test::{Expect, expect};

use super::*;
use crate::resolve::STARTER;
use crate::resolve::tests::{World, written as input};

fn name(text: &str) -> ServerName {
    ServerName::parse(text).unwrap()
}

fn command(words: &[&str], env: &[(&str, &str)]) -> NewServer {
    let env = env.iter().map(|(key, text)| ((*key).to_owned(), Given::parse(key, text).unwrap())).collect();
    let command = words.iter().map(|word| (*word).to_owned()).collect();
    NewServer::new(NewSource::Command { command, env, cwd: None })
}

fn check(document: &Document, expected: Expect) {
    let text = document.text();
    World::default().load(&input(&text)).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    expected.assert_eq(&text);
}

#[test]
fn a_server_has_the_settings_that_it_is_added_with() {
    let mut document = Document::parse("").unwrap();
    let settings = vec![
        ("cell", NewValue::Text("full".to_owned())),
        ("read", NewValue::Texts(vec!["/srv/a".to_owned(), "/srv/\"b\"".to_owned()])),
        ("limits.memory", NewValue::Text("512MiB".to_owned())),
        ("limits.processes", NewValue::Number(64)),
        ("host_stats", NewValue::Switch(true)),
    ];
    document.add(&name("a"), &NewServer { settings, ..command(&["a"], &[("MODE", "fast")]) }).unwrap();
    check(
        &document,
        expect![[r#"
        [servers.a]
        command = ["a"]
        cell = "full"
        read = ["/srv/a", '/srv/"b"']
        limits.memory = "512MiB"
        limits.processes = 64
        host_stats = true

        [servers.a.env]
        MODE = "fast"
    "#]],
    );
}

#[test]
fn a_server_is_added_behind_the_others() {
    let mut document =
        Document::parse(&format!("{STARTER}\n[roles.reader] # mine\nallow=['system']\n")).unwrap();
    document
        .add(&name("everything"), &command(&["npx", "-y", "x@1"], &[("MODE", "fast"), ("DB", "x")]))
        .unwrap();
    let headers = vec![("X-Team".to_owned(), Given::parse("X-Team", "blue").unwrap())];
    let source = NewSource::Url { url: "https://wiki.example.com/mcp".into(), headers };
    document.add(&name("wiki"), &NewServer { state: State::Disabled, ..NewServer::new(source) }).unwrap();
    check(
        &document,
        expect![[r##"
        # Casemate's configuration. Every setting: docs/config.md, or `casemate config explain`.

        # Figures about this machine: processor, memory, disks, network.
        [servers.system]
        builtin = "system"

        [servers.everything]
        command = ["npx", "-y", "x@1"]

        [servers.everything.env]
        MODE = "fast"
        DB = "x"

        [servers.wiki]
        url = "https://wiki.example.com/mcp"
        enabled = false

        [servers.wiki.headers]
        X-Team = "blue"

        [roles.reader] # mine
        allow=['system']
    "##]],
    );
    assert_eq!(document.servers(), ["system", "everything", "wiki"]);
}

#[test]
fn a_server_is_added_to_an_empty_file_and_to_inline_tables() {
    let mut document = Document::parse("").unwrap();
    document.add(&name("a"), &command(&["x"], &[])).unwrap();
    check(
        &document,
        expect![[r#"
        [servers.a]
        command = ["x"]
    "#]],
    );
    let mut document = Document::parse("servers = { a = { command = \"x\" } } # inline\n").unwrap();
    document.add(&name("b"), &command(&["y"], &[("K", "v")])).unwrap();
    check(
        &document,
        expect![[r#"
        servers = { a = { command = "x" } , b = { command = ["y"], env = { K = "v" } } } # inline
    "#]],
    );
}

#[test]
fn references_are_written_as_they_are_read() {
    let mut document = Document::parse("").unwrap();
    let mut server = command(&["x"], &[("A", "env:TOKEN"), ("B", "file:/run/b")]);
    if let NewSource::Command { env, .. } = &mut server.source {
        env.push(("C".into(), Given::Literal("file:/x.db".to_owned().into())));
    }
    server.state = State::Disabled;
    document.add(&name("a"), &server).unwrap();
    check(
        &document,
        expect![[r#"
        [servers.a]
        command = ["x"]
        enabled = false

        [servers.a.env]
        A = "env:TOKEN"
        B = "file:/run/b"
        C = { not_secret = "file:/x.db" }
    "#]],
    );
}

#[test]
fn what_looks_like_a_secret_is_not_written() {
    let token = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2");
    let mut document = Document::parse("").unwrap();
    let url = NewSource::Url { url: format!("https://x/mcp?k={token}"), headers: vec![] };
    let headers = vec![("X".to_owned(), Given::Literal(token.clone().into()))];
    let header = NewSource::Url { url: "https://x/mcp".into(), headers };
    for source in [command(&["x", &token], &[]).source, url, header] {
        let fault = document.add(&name("a"), &NewServer::new(source)).unwrap_err();
        assert!(matches!(fault, EditFault::Secret { .. }));
        assert!(!fault.to_string().contains(&token[..8]));
    }
    assert_eq!(document.text(), "");
    let refused = Given::parse("GITHUB_TOKEN", &token).unwrap_err().to_string();
    expect![[r#"
        the value of GITHUB_TOKEN is not kept in a file: it looks like a GitHub token
        hint: `casemate secret set GITHUB_TOKEN` keeps it, and "secret:GITHUB_TOKEN" refers to it; "env:GITHUB_TOKEN" and "file:PATH" do where it is kept elsewhere"#]]
    .assert_eq(&refused);
}

const FILE: &str = "\
# The team's servers.
# Ask before changing.

# Version control.
[servers.git] # here
command = [\"uvx\", \"mcp-server-git\"] # pinned below

[servers.git.env]
A = \"b\"

# Time.
[servers.time]
command = \"uvx\"   # odd   spacing
enabled = true # for now

[gateway]
log = 'warn'
# The end.
";

#[test]
fn a_server_goes_with_its_comments_and_the_rest_stays() {
    let mut document = Document::parse(FILE).unwrap();
    document.remove(&name("git")).unwrap();
    check(
        &document,
        expect![[r##"
        # The team's servers.
        # Ask before changing.

        # Time.
        [servers.time]
        command = "uvx"   # odd   spacing
        enabled = true # for now

        [gateway]
        log = 'warn'
        # The end.
    "##]],
    );
    document.remove(&name("time")).unwrap();
    check(
        &document,
        expect![[r#"
        # The team's servers.
        # Ask before changing.

        [gateway]
        log = 'warn'
        # The end.
    "#]],
    );
    assert_eq!(document.remove(&name("time")), Err(EditFault::Missing(name("time"))));
    let mut document = Document::parse(FILE).unwrap();
    document.remove(&name("time")).unwrap();
    check(
        &document,
        expect![[r##"
        # The team's servers.
        # Ask before changing.

        # Version control.
        [servers.git] # here
        command = ["uvx", "mcp-server-git"] # pinned below

        [servers.git.env]
        A = "b"

        [gateway]
        log = 'warn'
        # The end.
    "##]],
    );
    let mut only = Document::parse("# Head.\n\n# A.\n[servers.a]\ncommand = 'x'\n").unwrap();
    only.remove(&name("a")).unwrap();
    check(
        &only,
        expect![[r#"
        # Head.

    "#]],
    );
}

#[test]
fn added_then_removed_leaves_no_trace() {
    for before in [FILE, STARTER] {
        let mut document = Document::parse(before).unwrap();
        document.add(&name("new"), &command(&["x"], &[("A", "b")])).unwrap();
        document.remove(&name("new")).unwrap();
        assert_eq!(document.text(), before);
    }
}

#[test]
fn a_server_is_switched_off_and_on() {
    let mut document = Document::parse(FILE).unwrap();
    assert!(!document.set_state(&name("time"), State::Enabled).unwrap());
    assert!(!document.set_state(&name("git"), State::Enabled).unwrap());
    assert_eq!(document.text(), FILE);
    assert!(document.set_state(&name("time"), State::Disabled).unwrap());
    assert!(document.set_state(&name("git"), State::Disabled).unwrap());
    check(
        &document,
        expect![[r##"
        # The team's servers.
        # Ask before changing.

        # Version control.
        [servers.git] # here
        command = ["uvx", "mcp-server-git"] # pinned below
        enabled = false

        [servers.git.env]
        A = "b"

        # Time.
        [servers.time]
        command = "uvx"   # odd   spacing
        enabled = false # for now

        [gateway]
        log = 'warn'
        # The end.
    "##]],
    );
    assert!(document.set_state(&name("git"), State::Enabled).unwrap());
    assert_eq!(document.set_state(&name("x"), State::Enabled), Err(EditFault::Missing(name("x"))));
}

#[test]
fn what_cannot_be_edited_is_refused() {
    assert!(matches!(Document::parse("x = "), Err(EditFault::Syntax(_))));
    let mut document = Document::parse("servers = 5").unwrap();
    assert_eq!(document.add(&name("a"), &command(&["x"], &[])), Err(EditFault::Shape("servers".into())));
    let mut document = Document::parse(FILE).unwrap();
    assert_eq!(document.add(&name("git"), &command(&["x"], &[])), Err(EditFault::Exists(name("git"))));
}

#[test]
fn line_ends_and_byte_order_marks_stay() {
    for text in [FILE.replace('\n', "\r\n"), format!("\u{feff}{FILE}"), FILE.trim_end().to_owned()] {
        let mut document = Document::parse(&text).unwrap();
        assert_eq!(document.text(), text);
        document.set_state(&name("time"), State::Disabled).unwrap();
        assert_eq!(document.text(), text.replace("true # for now", "false # for now"));
    }
}
