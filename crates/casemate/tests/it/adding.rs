//! Adding a server from the command line.

use expect_test::expect;

use crate::gateway::{Gateway, home_with_fixture};
use crate::home::Home;

#[test]
fn a_mistake_of_the_command_line_was_told_with_a_line_of_a_file_that_was_never_written() {
    let home = Home::new();
    expect![[r#"
        exit 3
        --- stderr
        error: nothing was changed, since the configuration would be wrong
          command line: --memory: "5" is not a size
            hint: a whole number and a unit: 512B, 64KiB, 16MiB, 1GiB
    "#]]
    .assert_eq(&home.run(&["add", "x", "--memory", "5", "--", "true"]).shown());
    assert!(!home.path().join("cm/casemate.toml").exists());
}

#[test]
fn a_server_that_was_added_beside_mistakes_was_said_to_be_worth_a_look() {
    let home = home_with_fixture("");
    let _gateway = Gateway::start(&home);
    let fixture = home.read("cm/casemate.toml");
    home.write(
        "cm/casemate.toml",
        &format!("{fixture}instances = 0\nsharing = \"x\"\ntimeout.call = \"1\"\n"),
    );
    expect![[r#"
        exit 0
        --- stdout
        z: added ([HOME]/cm/casemate.toml)
        --- stderr
        warning: the running gateway does not use it before 3 mistakes in the configuration are corrected
        hint: `casemate config check` lists them
    "#]]
    .assert_eq(&home.run(&["add", "z", "--", "true"]).shown());
    home.write("cm/casemate.toml", &format!("{fixture}instances = 0\n"));
    expect![[r#"
        exit 0
        --- stdout
        z: added ([HOME]/cm/casemate.toml)
        --- stderr
        warning: the running gateway does not use it before this is corrected: [HOME]/cm/casemate.toml:3:13: servers.fixture.instances is 0, outside of 1 to 10000
        hint: nothing is unlimited or off: choose from 1 to 10000, like 4
    "#]].assert_eq(&home.run(&["add", "z", "--", "true"]).shown());
}

#[test]
fn a_docker_command_line_was_added_and_could_never_start() {
    let home = Home::new();
    expect![[r#"
        exit 2
        --- stderr
        error: time could not be started: `docker` asks a container engine, and no cell reaches one
        hint: `casemate add time --image mcp/time@sha256:…` lets the engine run the image as a server
        hint: `docker image inspect --format '{{.RepoDigests}}' mcp/time` tells the digest
    "#]]
    .assert_eq(&home.run(&["add", "time", "--", "docker", "run", "-i", "--rm", "mcp/time"]).shown());
    expect![[r#"
        exit 3
        --- stderr
        error: nothing was changed, since the configuration would be wrong
          command line: --image: "mcp/time" names no digest, so it could be another image tomorrow
            hint: write it with its digest; `docker image inspect --format '{{index .RepoDigests 0}}' IMAGE` prints it
    "#]].assert_eq(&home.run(&["add", "time", "--image", "mcp/time"]).shown());
    let image = format!("mcp/time@sha256:{}", "0".repeat(64));
    home.run(&["add", "time", "--image", &image, "--env", "TZ=UTC", "--memory", "64MiB", "--", "--utc"]).ok();
    let text = home.read("cm/casemate.toml");
    expect![[r#"

        image = "mcp/time@sha256:0000000000000000000000000000000000000000000000000000000000000000"
        args = ["--utc"]
        limits.memory = "64MiB"

        [servers.time.env]
        TZ = "UTC"
    "#]]
    .assert_eq(text.split_once("[servers.time]").unwrap().1);
}
