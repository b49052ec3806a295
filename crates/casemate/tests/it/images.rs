//! Servers that come as images, in containers of an engine that the test starts for itself.

use casemate_store::records::tail;
use casemate_testkit::engine::{Contents, Docker};
use serde_json::{Value, json};

use crate::gateway::{Gateway, fixture};
use crate::home::{Home, skipped};

const MESSAGE: &str = r#"{"message":"hi"}"#;

/// An engine with the fixture as an image; nothing, and a word about it, where none can be had.
fn docker() -> Option<Docker> {
    let program = fixture();
    let started = Docker::start(&Contents { program: &program, guests: &[], name: "casemate/fixture" });
    started.inspect_err(|why| skipped(why)).ok()
}

/// A gateway with the image as a server named `boxed`.
fn gateway(home: &Home, docker: &Docker, settings: &str) -> Gateway {
    let image = &docker.image;
    home.write(
        "cm/casemate.toml",
        &format!("[servers.boxed]\nimage = {image:?}\nargs = [\"--stdio\"]\n{settings}"),
    );
    let mut command = home.command(&["up", "--listen", "127.0.0.1:0", "--json"]);
    command.env("DOCKER_HOST", format!("unix://{}", docker.socket.display()));
    Gateway::start_by(home, command)
}

fn records(home: &Home, kind: &str) -> Vec<Value> {
    let lines = tail(&home.root().join("data/records"), 10_000).unwrap();
    let records = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["kind"] == kind).collect()
}

/// Waits until no container is left.
#[track_caller]
fn wait_until_none(docker: &Docker) {
    for _ in 0..1200 {
        if docker.containers().unwrap().is_empty() {
            return;
        }
        // Only by asking can it be known.
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("still there: {:?}", docker.containers());
}

#[test]
fn an_image_without_a_digest_is_refused_with_the_line_to_write() {
    let Some(docker) = docker() else { return };
    let home = Home::new();
    home.write("cm/casemate.toml", "[servers.boxed]\nimage = \"casemate/fixture:latest\"\n");
    let run = |home: &Home, words: &[&str], host: &str| {
        let output = home.command(words).env("DOCKER_HOST", host).output().unwrap();
        home.ended(&output)
    };
    let host = format!("unix://{}", docker.socket.display());
    let refused = run(&home, &["list"], &host);
    let line = format!("image = {:?}", docker.image);
    assert!(
        refused.code != Some(0) && refused.stderr.contains(&format!("write {line}")),
        "{}",
        refused.shown()
    );
    home.write("cm/casemate.toml", &format!("[servers.boxed]\n{line}\n"));
    let explained = run(&home, &["sandbox", "explain", "boxed"], &host).ok();
    for word in [
        "engine",
        "Docker",
        "CapDrop: ALL",
        "ReadonlyRootfs: yes",
        "NetworkMode: none",
        "memory",
        "MaskedPaths",
    ] {
        assert!(explained.contains(word), "{word}: {explained}");
    }
    let probed = run(&home, &["sandbox", "probe", "--json"], &host);
    let probed: Value = serde_json::from_str(&probed.stdout).unwrap();
    assert!(probed["containers"]["engine"].as_str().unwrap().starts_with("Docker "), "{probed}");
    let absent = run(&home, &["sandbox", "explain", "boxed"], "unix:///no/such/socket");
    assert!(absent.code == Some(1) && absent.stdout.contains("cannot be had"), "{}", absent.shown());
}

#[tokio::test]
async fn a_server_that_is_an_image_runs_in_a_container_and_everybody_can_see_so() {
    let Some(docker) = docker() else { return };
    let home = Home::new();
    let mut gateway =
        gateway(&home, &docker, "limits.memory = \"256MiB\"\nnetwork = [\"api.example.test:443\"]\n");
    let mut client = gateway.client(gateway.endpoint());
    client.initialize("2025-06-18", json!({})).await.unwrap();
    let tools = client.request("tools/list", json!({})).await.unwrap();
    let names: Vec<_> = tools["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    let echo = names.iter().find(|name| name.as_str().unwrap().ends_with("echo")).unwrap();
    let answer = client.call(echo.as_str().unwrap(), json!({ "message": "hi" })).await.unwrap();
    assert_eq!(answer["content"][0]["text"], "hi", "{answer}");

    for container in docker.containers().unwrap() {
        assert!(container.starts_with("casemate-boxed-"), "{container}");
    }
    let shown: Value = serde_json::from_str(&home.run(&["show", "boxed", "--json"]).ok()).unwrap();
    let cell = &shown["state"]["instances"][0]["cell"];
    assert_eq!(cell["cell"], "container");
    assert_eq!(cell["origin"]["name"], docker.image.as_str());
    for layer in ["identity", "files", "network", "seccomp", "cell-memory", "cpu"] {
        assert!(cell["layers"].as_array().unwrap().contains(&layer.into()), "{layer}: {cell}");
    }
    let text = home.run(&["show", "boxed"]).ok();
    for line in
        ["container", "api.example.test:443", "held together by", "limits.memory = 256MiB", "came from"]
    {
        assert!(text.contains(line), "{text}");
    }

    let start = records(&home, "cell-start").remove(0);
    assert_eq!((&start["cell"], &start["program"]), (&"container".into(), &docker.image.as_str().into()));
    home.run(&["down"]).ok();
    gateway.wait();
    assert_eq!(docker.containers().unwrap(), [""; 0]);
    let ends = records(&home, "cell-end");
    let end = ends.iter().find(|end| end["instance"] == start["instance"]);
    assert_eq!(end.unwrap()["limit"], Value::Null);
}

#[test]
fn what_a_killed_gateway_leaves_behind_is_removed_by_the_next_one() {
    let Some(docker) = docker() else { return };
    let home = Home::new();
    let first = gateway(&home, &docker, "");
    assert_eq!(home.run(&["call", "boxed", "echo", MESSAGE]).ok(), "hi\n");
    assert_eq!(docker.containers().unwrap().len(), 1);
    // As with SIGKILL.
    drop(first);
    assert_eq!(docker.containers().unwrap().len(), 1);
    let _second = gateway(&home, &docker, "");
    wait_until_none(&docker);
}

#[test]
fn without_an_engine_the_start_says_where_one_was_looked_for() {
    let home = Home::new();
    let nowhere = home.path().join("none.sock");
    let docker = Docker::running(&nowhere, &format!("sha256:{}", "0".repeat(64)));
    let _gateway = gateway(&home, &docker, "");
    let refused = home.run(&["start", "boxed"]);
    assert_eq!(refused.code, Some(1), "{}", refused.shown());
    let host = format!("unix://{}", nowhere.display());
    let doctor = home.command(&["doctor"]).env("DOCKER_HOST", host).output().unwrap();
    for told in [refused.stderr, home.ended(&doctor).stdout] {
        for word in ["no container engine answers: [HOME]/none.sock", "start Docker or Podman"] {
            assert!(told.contains(word), "{word}: {told}");
        }
    }
}

#[test]
fn an_image_without_a_digest_is_refused_with_the_command_that_tells_it() {
    let home = Home::new();
    home.write("cm/casemate.toml", "[servers.boxed]\nimage = \"mcp/time:latest\"\n");
    // Nobody to ask.
    let mut check = home.command(&["config", "check"]);
    let refused = home.ended(&check.env("DOCKER_HOST", "unix:///no/such/socket").output().unwrap());
    assert_ne!(refused.code, Some(0), "{}", refused.shown());
    for word in ["docker image inspect", "cannot be looked up now"] {
        assert!(refused.stderr.contains(word), "{}", refused.shown());
    }
}
