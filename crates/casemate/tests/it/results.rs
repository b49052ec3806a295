//! Results that are too large to be shown at once, in a running gateway: sealed on disk, read in parts, and gone in time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use casemate_store::records::tail;
use casemate_testkit::client::McpHttp;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::gateway::{Gateway, home_with_fixture};
use crate::home::{CASEMATE, Home, skipped};

const SPOOL: &str = "[spool]\nover = \"64KiB\"\n";

/// More than is shown at once, without two equal places.
fn text() -> String {
    (0..40_000).map(|number| format!("{number} ")).collect()
}

fn key(home: &Home) -> String {
    home.run(&["key", "create", "--role", "user"]).ok().trim().to_owned()
}

fn modern(gateway: &Gateway, key: &str) -> McpHttp {
    McpHttp::new(gateway.endpoint()).bearer(key).modern(json!({}))
}

async fn echo(client: &McpHttp) -> Value {
    client.call("fixture__echo", json!({ "message": text() })).await.unwrap()
}

/// The address that a result leads to.
async fn link(client: &McpHttp) -> String {
    let result = echo(client).await;
    let link = result["content"].as_array().unwrap().iter().find(|block| block["type"] == "resource_link");
    link.unwrap_or_else(|| panic!("{result}"))["uri"].as_str().unwrap().to_owned()
}

async fn read(client: &McpHttp, uri: &str) -> Result<Value, String> {
    let read = client.request("resources/read", json!({ "uri": uri })).await;
    read.map_err(|fault| fault.to_string())
}

async fn whole(client: &McpHttp, uri: &str) -> String {
    let (base, _) = uri.rsplit_once('/').unwrap();
    let mut text = String::new();
    for number in 1.. {
        let part = read(client, &format!("{base}/{number}")).await.unwrap();
        text.push_str(part["contents"][0]["text"].as_str().unwrap());
        if part["_meta"]["io.casemate/result"]["parts"] == number {
            break;
        }
    }
    text
}

fn files(home: &Home) -> Vec<PathBuf> {
    let files = fs::read_dir(home.root().join("data/spool")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

#[tokio::test]
async fn a_large_result_is_sealed_on_disk_and_read_in_parts_by_its_subject_alone() {
    let home = home_with_fixture(SPOOL);
    let (one, two) = (key(&home), key(&home));
    let gateway = Gateway::start(&home);
    let client = modern(&gateway, &one);
    let uri = link(&client).await;
    assert_eq!(whole(&client, &uri).await, text());
    let said = json!({ "message": text() }).to_string();
    let printed = home.run_with(&["call", "fixture", "echo", "-"], &said).ok();
    assert_eq!(printed.trim_end(), text().trim_end(), "a command prints all of it");
    let [file] = files(&home).try_into().unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let sealed = fs::read(&file).unwrap();
    assert!(sealed.len() > text().len() && memchr_of(&sealed, b"39998 39999").is_none());
    let other = modern(&gateway, &two);
    assert!(read(&other, &uri).await.unwrap_err().contains("Resource not found"));
    assert_eq!(files(&home), [file], "nobody else can end it either");
    drop(gateway);
    let records = tail(&home.root().join("data/records"), 1000).unwrap();
    let kept = records.iter().filter(|line| line.contains(" is kept in 4 parts, sha256 ")).count();
    assert_eq!(kept, 1, "{records:?}");
}

fn memchr_of(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

#[tokio::test]
async fn nothing_that_is_kept_outlives_the_gateway_killed_or_not() {
    let home = home_with_fixture(SPOOL);
    let key = key(&home);
    let mut gateway = Gateway::start(&home);
    let uri = link(&modern(&gateway, &key)).await;
    home.run(&["down"]).ok();
    gateway.wait();
    assert!(files(&home).is_empty());

    let mut gateway = Gateway::start(&home);
    let fault = read(&modern(&gateway, &key), &uri).await.unwrap_err();
    assert!(fault.contains("kept no longer") && fault.contains("Call the tool again"), "{fault}");
    let uri = link(&modern(&gateway, &key)).await;
    gateway.signal(Signal::KILL);
    gateway.wait();
    assert_eq!(files(&home).len(), 1, "a sealed file without a key");

    let gateway = Gateway::start(&home);
    assert!(files(&home).is_empty());
    assert!(read(&modern(&gateway, &key), &uri).await.unwrap_err().contains("kept no longer"));
}

#[tokio::test]
async fn a_link_ends_with_its_subjects_sessions_and_with_its_key() {
    let home = home_with_fixture(SPOOL);
    let (one, two) = (key(&home), key(&home));
    let gateway = Gateway::start(&home);
    let mut client = McpHttp::new(gateway.endpoint()).bearer(&one);
    client.initialize("2025-11-25", json!({})).await.unwrap();
    let uri = link(&client).await;
    let theirs = link(&modern(&gateway, &two)).await;
    let sessions: Value = serde_json::from_str(&home.run(&["sessions", "--json"]).ok()).unwrap();
    home.run(&["sessions", "revoke", sessions[0]["id"].as_str().unwrap()]).ok();
    let modern_one = modern(&gateway, &one);
    assert!(read(&modern_one, &uri).await.unwrap_err().contains("kept no longer"));
    assert!(read(&modern(&gateway, &two), &theirs).await.is_ok());

    let ids: Value = serde_json::from_str(&home.run(&["key", "list", "--json"]).ok()).unwrap();
    for id in ids.as_array().unwrap_or_else(|| panic!("{ids}")) {
        home.run(&["key", "revoke", id["id"].as_str().unwrap()]).ok();
    }
    assert!(read(&modern(&gateway, &two), &theirs).await.is_err());
}

#[tokio::test]
async fn a_file_that_was_changed_on_disk_is_told_of_and_not_shown() {
    let home = home_with_fixture(SPOOL);
    let key = key(&home);
    let gateway = Gateway::start(&home);
    let client = modern(&gateway, &key);
    let uri = link(&client).await;
    let [file] = files(&home).try_into().unwrap();
    let mut sealed = fs::read(&file).unwrap();
    sealed[100] ^= 1;
    fs::write(&file, sealed).unwrap();
    let fault = read(&client, &uri).await.unwrap_err();
    assert!(fault.contains("what was kept is damaged"), "{fault}");
    assert!(home.read("up.log").contains("was changed on disk"));
    assert!(files(&home).is_empty());
}

#[tokio::test]
async fn where_nothing_can_be_kept_results_pass_whole_and_so_they_do_where_a_setting_says_it() {
    let home = home_with_fixture("[spool]\nover = \"64KiB\"\noversized = \"whole\"\n");
    let own = key(&home);
    let gateway = Gateway::start(&home);
    assert_eq!(echo(&modern(&gateway, &own)).await["content"][0]["text"], text());
    drop(gateway);

    let home = home_with_fixture(SPOOL);
    let own = key(&home);
    let folder = home.root().join("data/spool");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let gateway = Gateway::start(&home);
    assert_eq!(echo(&modern(&gateway, &own)).await["content"][0]["text"], text());
    assert!(home.read("up.log").contains("there is nowhere to keep them"));
}

#[tokio::test]
async fn a_disk_that_is_full_costs_the_link_and_leaves_no_half_of_it() {
    // A world of one's own is no place to make further ones in, on every host.
    let home = home_with_fixture(&format!("allow_unsandboxed = true\n{SPOOL}"));
    let own = key(&home);
    let folder = home.root().join("data/spool");
    fs::create_dir(&folder).unwrap();
    // The gateway in a world of its own, in which the disk of the spool has room for less than one result.
    let script = format!(
        "mount -t tmpfs -o size=128k,mode=700 full {folder:?} && exec {CASEMATE:?} up --listen 127.0.0.1:0 --json"
    );
    let world = ["--user", "--map-root-user", "--mount"];
    let can = Command::new("unshare").args(world).args(["sh", "-c", "mount -t tmpfs none /mnt"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        return skipped("no file system can be mounted in a namespace of our own");
    }
    let mut command = Command::new("unshare");
    let surroundings = home.command(&[]);
    let variables = surroundings.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.args(world).args(["sh", "-c", &script]).env_clear().envs(variables);
    let gateway = Gateway::start_by(&home, command);
    let client = modern(&gateway, &own);
    for _ in 0..3 {
        assert_eq!(echo(&client).await["content"][0]["text"], text());
    }
    let log = home.read("up.log");
    assert!(
        log.contains("a large result passes whole: it cannot be kept") && log.contains("No space left"),
        "{log}"
    );
    let inside = format!("/proc/{}/root{}", gateway.pid(), folder.display());
    assert_eq!(fs::read_dir(inside).unwrap().count(), 0);
}
