//! Judges outside of the gateway: asked over HTTP and as MCP servers, honest and hostile.

use casemate_store::records::tail;
use casemate_testkit::judge::{Judge, Posted, TOKEN, post};
use serde_json::{Value, json};

use crate::gateway::{Gateway, fixture, home_with_fixture};
use crate::home::{Ended, Home};

/// The fixture, and a judge of that kind over HTTP.
fn home(url: &str, settings: &str) -> Home {
    home_with_fixture(&format!("[interceptors.judge]\nurl = {url:?}\n{settings}\n"))
}

fn kind(judge: Judge) -> &'static str {
    if judge.is_mutator() { "kind = \"mutator\"" } else { "kind = \"validator\"" }
}

/// The fixture, and a judge as a server beside it.
fn home_with_server(judge: Judge, settings: &str) -> Home {
    let program = fixture().display().to_string();
    let name = format!("{judge:?}").to_lowercase();
    home_with_fixture(&format!(
        "[servers.guard]\ncommand = [{program:?}, \"--stdio\", \"--judge\", {name:?}]\n\
         [interceptors.judge]\n{}\nserver = \"guard\"\n{settings}\n",
        kind(judge)
    ))
}

fn echo(home: &Home, message: &str) -> Ended {
    home.run(&["call", "fixture", "echo", &json!({ "message": message }).to_string(), "--json"])
}

/// What was recorded of judges.
fn judgements(home: &Home) -> Vec<Value> {
    let lines = tail(&home.root().join("data/records"), 10_000).unwrap();
    let records = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["kind"] == "judgement").collect()
}

#[track_caller]
fn refused(ended: &Ended, code: &str) {
    assert!(ended.code != Some(0) && ended.shown().contains(code), "{code}: {}", ended.shown());
}

fn posted(judge: Judge) -> Posted {
    post(judge).unwrap()
}

#[test]
fn a_judge_over_http_says_yes_and_no_and_its_connection_is_kept() {
    let judge = posted(Judge::Reads);
    let home = home(&judge.url(), "kind = \"validator\"\nheaders.X-Team = \"blue\"");
    let _gateway = Gateway::start(&home);
    assert!(echo(&home, "hello").ok().contains("hello"));
    refused(&echo(&home, "a forbidden word"), "CM1510");
    assert!(echo(&home, "bye").ok().contains("bye"));
    let seen = judge.seen();
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert_eq!(judge.connections(), 1);
    assert!(seen[0].head.contains("x-team: blue"), "{}", seen[0].head);
    assert_eq!(seen[0].body["payload"], json!({"name": "echo", "arguments": {"message": "hello"}}));
    assert_eq!(seen[0].body["context"]["io.casemate/server"], "fixture");
    let records = judgements(&home);
    assert_eq!(records.len(), 5, "{records:?}");
    assert_eq!((&records[2]["verdict"], &records[2]["severity"]), (&json!("invalid"), &json!("error")));
    assert!(records[2]["detail"].as_str().unwrap().contains("a word that is forbidden"));
}

#[test]
fn a_judge_that_is_a_server_is_asked_in_its_cell_and_shown_to_nobody() {
    let home = home_with_server(Judge::Reads, "");
    let gateway = Gateway::start(&home);
    assert!(echo(&home, "hello").ok().contains("hello"));
    refused(&echo(&home, "a forbidden word"), "CM1510");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = gateway.client(gateway.endpoint()).modern(json!({}));
        let listed = client.request("tools/list", json!({})).await.unwrap().to_string();
        assert!(listed.contains("fixture__echo") && !listed.contains("confess"), "{listed}");
        client.call("guard__confess", json!({})).await.unwrap_err();
        let inside = gateway.client(&gateway.endpoint_of("guard")).modern(json!({}));
        inside.request("tools/list", json!({})).await.unwrap_err();
        inside.request("interceptor/invoke", json!({"name": "judge"})).await.unwrap_err();
    });
}

#[test]
fn judges_that_change_come_in_their_order() {
    let (loud, sharp) = (posted(Judge::Shouts), posted(Judge::Exclaims));
    let (loud, sharp) = (loud.url(), sharp.url());
    let home = home_with_fixture(&format!(
        "[interceptors.a]\nkind = \"mutator\"\nurl = {sharp:?}\norder = 2\nphase = \"request\"\n\
         [interceptors.b]\nkind = \"mutator\"\nurl = {loud:?}\norder = 1\nphase = \"request\"\n"
    ));
    let _gateway = Gateway::start(&home);
    assert!(echo(&home, "hello").ok().contains("HELLO!"));
    assert_eq!(
        judgements(&home).iter().map(|record| record["interceptor"].clone()).collect::<Vec<_>>(),
        ["b", "a"]
    );
}

#[test]
fn a_judge_that_is_not_heard_lets_nothing_pass() {
    for judge in [
        Judge::Hangs,
        Judge::Floods,
        Judge::Mumbles,
        Judge::Babbles,
        Judge::Dies,
        Judge::Errs,
        Judge::Redirects,
    ] {
        let posted = posted(judge);
        let home = home(&posted.url(), "kind = \"validator\"\ntimeout = \"500ms\"");
        let _gateway = Gateway::start(&home);
        refused(&echo(&home, "hello"), "CM1511");
        assert!(!posted.seen().is_empty(), "{judge:?} was not asked");
        let records = judgements(&home);
        assert_eq!(records[0]["verdict"], "unheard", "{judge:?}: {records:?}");
    }
}

#[test]
fn a_judge_server_that_is_not_heard_lets_nothing_pass() {
    for judge in [Judge::Hangs, Judge::Floods, Judge::Mumbles, Judge::Babbles, Judge::Dies, Judge::Errs] {
        let home = home_with_server(judge, "timeout = \"500ms\"");
        let _gateway = Gateway::start(&home);
        refused(&echo(&home, "hello"), "CM1511");
    }
}

#[test]
fn a_judge_where_nobody_may_be_sent_lets_nothing_pass_and_is_not_reached() {
    let there = posted(Judge::Allows);
    let port = there.address().port();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (url, why) in [
        (format!("http://127.0.0.1:{free}/"), "nobody listens"),
        (format!("https://127.0.0.1:{port}/"), "no TLS there"),
        ("https://169.254.169.254/latest".to_owned(), "the metadata service"),
        ("https://10.255.255.1/".to_owned(), "a private network that nobody opened"),
        ("https://[::ffff:169.254.169.254]/".to_owned(), "the same by another name"),
    ] {
        let home = home(&url, "kind = \"validator\"\ntimeout = \"2s\"");
        let _gateway = Gateway::start(&home);
        refused(&echo(&home, "hello"), "CM1511");
        let records = judgements(&home);
        assert_eq!(records[0]["verdict"], "unheard", "{why}: {records:?}");
    }
    assert!(there.seen().is_empty());
}

#[test]
fn no_judge_gets_around_what_holds_for_everybody() {
    for judge in [Judge::Renames, Judge::Misfits] {
        let posted = posted(judge);
        let home = home(&posted.url(), &format!("{}\nphase = \"request\"", kind(judge)));
        let _gateway = Gateway::start(&home);
        refused(&echo(&home, "hello"), "CM1511");
    }
    let smuggler = posted(Judge::Smuggles);
    let home = home(
        &smuggler.url(),
        "kind = \"mutator\"\nphase = \"request\"\n[servers.fixture.guards.echo]\nmessage = { pattern = \"[a-z]+\" }",
    );
    let _gateway = Gateway::start(&home);
    let ended = echo(&home, "hello");
    refused(&ended, "CM1511");
    assert!(ended.shown().contains("CM1508"), "{}", ended.shown());
}

#[test]
fn what_a_judge_writes_into_an_answer_is_inspected() {
    let leak = posted(Judge::Leaks);
    let home_of_leak = home(&leak.url(), "kind = \"mutator\"\nphase = \"response\"");
    let gateway = Gateway::start(&home_of_leak);
    let shown = echo(&home_of_leak, "hello").ok();
    assert!(!shown.contains(TOKEN) && shown.contains("[github-token masked]"), "{shown}");
    drop(gateway);
    let hider = posted(Judge::Hides);
    let home = home(&hider.url(), "kind = \"mutator\"\nphase = \"response\"");
    let _gateway = Gateway::start(&home);
    let shown = echo(&home, "hello").ok();
    assert!(!shown.contains("forged") && !shown.contains("]52;c"), "{shown}");
    assert!(shown.contains("terminal-escape"), "{shown}");
}

#[test]
fn a_secret_of_a_server_goes_to_no_judge() {
    let judge = posted(Judge::Allows);
    let home = home(&judge.url(), "kind = \"validator\"\n[servers.fixture.env]\nKEY = \"file:secret.txt\"");
    home.write("cm/secret.txt", "open-sesame-4711");
    let _gateway = Gateway::start(&home);
    home.run(&["call", "fixture", "env", "--json"]).ok();
    let seen = format!("{:?}", judge.seen());
    assert!(seen.contains("[secret masked]") && !seen.contains("open-sesame-4711"), "{seen}");
}

#[test]
fn an_audit_changes_nothing_and_is_on_record() {
    let (no, silent) = (posted(Judge::Denies), posted(Judge::Hangs));
    let (no, silent) = (no.url(), silent.url());
    let home = home_with_fixture(&format!(
        "[interceptors.no]\nkind = \"validator\"\nurl = {no:?}\nmode = \"audit\"\n\
         [interceptors.silent]\nkind = \"validator\"\nurl = {silent:?}\nmode = \"audit\"\ntimeout = \"60s\"\n"
    ));
    let mut gateway = Gateway::start(&home);
    let begun = std::time::Instant::now();
    let shown = echo(&home, "hello").ok();
    assert!(shown.contains("hello") && !shown.contains("interceptor/"), "{shown}");
    assert!(begun.elapsed().as_secs() < 30);
    home.run(&["down"]).ok();
    gateway.wait();
    let records = judgements(&home);
    let no: Vec<&Value> = records.iter().filter(|record| record["interceptor"] == "no").collect();
    assert_eq!(no.len(), 2, "{records:?}");
    assert_eq!((&no[0]["mode"], &no[0]["verdict"]), (&json!("audit"), &json!("invalid")));
    let silent = records.iter().filter(|record| record["interceptor"] == "silent");
    let said: Vec<&Value> = silent.map(|record| &record["verdict"]).collect();
    assert_eq!(said, ["unheard", "unheard"], "stopped, and not forgotten: {records:?}");
}

#[test]
fn an_entry_that_could_not_judge_is_refused_with_its_line() {
    let home = home("http://judge.example.com/", "kind = \"validator\"");
    let shown = home.run(&["config", "check"]).shown();
    assert!(
        shown.contains("casemate.toml:4") && shown.contains("plain http") && shown.contains("hint:"),
        "{shown}"
    );
}

#[test]
fn the_innocent_twin_of_them_all_passes_as_it_came() {
    let (leaves, allows) = (posted(Judge::Leaves), posted(Judge::Allows));
    let (leaves, allows) = (leaves.url(), allows.url());
    let home = home_with_fixture(&format!(
        "[interceptors.leaves]\nkind = \"mutator\"\nurl = {leaves:?}\n\
         [interceptors.allows]\nkind = \"validator\"\nurl = {allows:?}\n"
    ));
    let _gateway = Gateway::start(&home);
    let shown = home.run(&["call", "fixture", "unknown_fields", "--json"]).ok();
    let plain = {
        let home = home_with_fixture("");
        let _gateway = Gateway::start(&home);
        home.run(&["call", "fixture", "unknown_fields", "--json"]).ok()
    };
    assert_eq!(shown, plain);
    assert_eq!(judgements(&home).len(), 4);
}
