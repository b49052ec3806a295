use std::collections::BTreeSet;
use std::time::Duration;

use casemate_gateway::front::{ClientFiles, Demand, TlsFiles};
use casemate_gateway::snapshot::{Sharing, Source as From};
use casemate_mcp::names::{ServerName, ToolName};
use expect_test::expect;
use secrecy::ExposeSecret;

use crate::resolve::tests::{World, written};
use crate::{Loaded, LockFiles, Origin, PackageSources, Process};

fn load(text: &str) -> Loaded {
    World::default().load(&written(text)).unwrap_or_else(|problems| panic!("{problems}"))
}

const FULL: &str = r#"
[gateway]
listen = "0.0.0.0:0"
plaintext_beyond_loopback = true
hosts = ["mcp.example.com"]
origins = ["https://app.example.com"]
public_url = "https://MCP.example.com:443/"
tls = { certificate = "cert.pem", key = "/k/key.pem", client_ca = "ca.pem", client_certificates = "required" }
trusted_proxies = ["10.0.0.0/8", "2001:db8::7"]
log = "debug"
locked = "casemate.lock"
lock_key = "/k/release.pub"
shutdown_grace = "3s"
limits = { request_size = "1MiB", result_size = "2MiB", calls_in_flight = 3, body_time = "4s", list_time = "5s", sessions = 6, session_idle = "7m", connections = 8, connections_per_address = 9 }

[packages]
npm = "https://npm.example.com/"
reach = ["files.example.com:443"]

[servers.git]
command = "uvx"
args = ["mcp-server-git"]
env.HOME_PAGE = "x"
sharing = "call"
instances = 2
timeout = { start = "1s", call = "2s", hard = "3s", idle = "4s" }
restart = { backoff_min = "5s", backoff_max = "6s" }
circuit = { failures = 7, open_for = "8s" }

[servers.git.tools.git_log]
timeout = "1s"
read_only = true

[servers.git.tools."odd.name/x"]
idempotent = true

[servers.web]
url = "https://example.com/mcp"
headers.X-Team = "blue"
enabled = false

[roles.reader]
allow = ["git/git_*"]
deny = ["git/git_push"]

[profiles.team]
servers = ["git"]
only = ["git"]
hidden = ["git/git_reset"]

[profiles.team.tools."git/git_log"]
rename = "history"
description = "What happened."
fixed = { repo = "/src", depth = 5, deep = { a = [1.5, true] } }
"#;

#[test]
fn every_setting_arrives() {
    let Loaded { snapshot, process, front, .. } = load(FULL);
    assert_eq!(
        process,
        Process {
            listen: "0.0.0.0:0".parse().unwrap(),
            tls: Some(TlsFiles {
                certificate: "etc/cert.pem".into(),
                key: "/k/key.pem".into(),
                clients: Some(ClientFiles { authorities: "etc/ca.pem".into(), demand: Demand::Required }),
            }),
            log: "debug".into(),
            shutdown_grace: Duration::from_secs(3),
            packages: PackageSources {
                npm: Some("https://npm.example.com/".into()),
                pypi: None,
                reach: vec!["files.example.com:443".parse().unwrap()],
            },
            locked: Some(LockFiles { file: "etc/casemate.lock".into(), key: Some("/k/release.pub".into()) }),
        }
    );
    assert_eq!(
        (front.hosts.concat(), front.origins.concat()),
        ("mcp.example.com".into(), "https://app.example.com".into())
    );
    let url = snapshot.public_url.as_ref().unwrap();
    assert_eq!((url.as_str(), front.public_url.as_ref()), ("https://mcp.example.com", Some(url)));
    assert_eq!(front.trusted_proxies, ["10.0.0.0/8".parse().unwrap(), "2001:db8::7".parse().unwrap()]);
    assert_eq!((front.connections_max, front.connections_per_address_max), (8, 9));
    let limits = &snapshot.limits;
    assert_eq!((limits.request_bytes_max, limits.result_bytes_max), (1 << 20, 2 << 20));
    assert_eq!((limits.calls_in_flight_max, limits.sessions_max), (3, 6));
    let seconds =
        [limits.body_time_max, limits.list_time_max, limits.session_idle_max].map(|time| time.as_secs());
    assert_eq!(seconds, [4, 5, 420]);

    let git = snapshot.servers.get("git").unwrap();
    let From::Command(command) = &git.source else { panic!() };
    assert_eq!(
        (command.program.as_str(), command.args.as_slice()),
        ("uvx", ["mcp-server-git".to_owned()].as_slice())
    );
    assert_eq!(command.env.keys().collect::<Vec<_>>(), ["HOME_PAGE"]);
    assert_eq!((git.enabled, git.sharing), (true, Sharing::Call));
    let times = &git.timeouts;
    assert_eq!([times.start, times.call, times.hard, times.idle].map(|time| time.as_secs()), [1, 2, 3, 4]);
    let resilience = &git.resilience;
    let times =
        [resilience.backoff_min, resilience.backoff_max, resilience.open_for].map(|time| time.as_secs());
    assert_eq!((times, resilience.failures_max, resilience.instances_max), ([5, 6, 8], 7, 2));
    let log = git.tools.get("git_log").unwrap();
    assert_eq!((log.timeout, log.read_only, log.idempotent), (Some(Duration::from_secs(1)), true, false));
    assert!(git.tools.get("odd.name/x").unwrap().idempotent);

    let web = snapshot.servers.get("web").unwrap();
    let From::Http(http) = &web.source else { panic!() };
    assert_eq!((http.url.to_string().as_str(), web.enabled), ("https://example.com/mcp", false));
    assert!(snapshot.policy.roles().any(|name| name == "reader"));
}

#[test]
fn what_a_remote_server_may_say_is_ours_to_limit_and_its_memory_is_not() {
    let loaded = load("[servers.far]\nurl = \"wss://far.example.com/ws\"\nlimits.output_rate = \"1MiB\"\n");
    assert_eq!(loaded.snapshot.servers.get("far").unwrap().output.bytes_per_second, 1 << 20);
    for further in ["limits.memory = \"1GiB\"", "limits.output_rate = \"1MiB\"\nlimits.memory = \"1GiB\""] {
        let text = format!("[servers.far]\nurl = \"wss://far.example.com/ws\"\n{further}\n");
        let problems = World::default().load(&written(&text)).unwrap_err();
        assert!(problems.list()[0].what.contains("`limits` in [servers.far] means nothing"), "{problems}");
    }
}

#[test]
fn a_profile_is_joined_filtered_and_changed() {
    let snapshot = load(FULL).snapshot;
    let team = snapshot.profiles.get("team").unwrap();
    let git = ServerName::parse("git").unwrap();
    assert_eq!(team.servers, BTreeSet::from([git.clone()]));
    assert_eq!(
        (team.only.clone().unwrap().concat(), team.hidden.concat()),
        ("git".into(), "git/git_reset".into())
    );
    let tool = team.tools.get(&(git, ToolName::parse("git_log").unwrap())).unwrap();
    assert_eq!(tool.rename.as_ref().unwrap().as_str(), "history");
    assert_eq!(tool.description.as_deref(), Some("What happened."));
    let fixed: Vec<String> = tool.fixed.iter().map(|(name, json)| format!("{name}={json}")).collect();
    assert_eq!(fixed, ["deep={\"a\":[1.5,true]}", "depth=5", "repo=\"/src\""]);
}

#[test]
fn the_digest_changes_with_everything_that_makes_an_instance() {
    let digest = |text: &str| load(text).snapshot.servers.values().next().unwrap().digest;
    let base = "[servers.a]\ncommand = [\"x\", \"yz\"]\n";
    let mut seen = BTreeSet::from([digest(base)]);
    assert_eq!(digest(base), digest("servers.a = { command = \"x\", args = [\"yz\"] } # the same\n"));
    for other in [
        "[servers.b]\ncommand = [\"x\", \"yz\"]\n",
        "[servers.a]\ncommand = [\"x\", \"y\", \"z\"]\n",
        "[servers.a]\ncommand = [\"xy\", \"z\"]\n",
        "[servers.a]\nurl = \"http://x/\"\n",
        "[servers.a]\nurl = \"http://x/\"\nheaders.A = \"b\"\n",
    ] {
        assert!(seen.insert(digest(other)), "{other}");
    }
    for line in [
        "enabled = false",
        "sharing = \"shared\"",
        "cwd = \"/x\"",
        "env.A = \"b\"",
        "env.A = \"c\"",
        "env.Ab = \"\"",
        "instances = 1",
        "timeout.start = \"1s\"",
        "timeout.call = \"1s\"",
        "timeout.hard = \"1h\"",
        "timeout.idle = \"1s\"",
        "restart.backoff_min = \"1s\"",
        "restart.backoff_max = \"1s\"",
        "circuit.failures = 1",
        "circuit.open_for = \"1s\"",
        "tools.t.timeout = \"1s\"",
        "tools.t.read_only = true",
        "tools.t.idempotent = true",
        "tools.u.idempotent = true",
    ] {
        assert!(seen.insert(digest(&format!("{base}{line}\n"))), "{line}");
    }
}

const SECRETS: &str = r#"
[servers.git]
command = "git-server"
env.TOKEN = "secret:git.token"
env.PLAIN = "blue"
env.FILE = "file:/run/token"

[servers.web]
url = "https://example.com/mcp"
headers.Authorization = "secret:web"

[servers.off]
command = "x"
env.TOKEN = "secret:nowhere"
enabled = false
"#;

fn world(secrets: &[(&str, &str)]) -> World {
    let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    World { secrets, files: [("/run/token".into(), "from-a-file\n".to_owned())].into(), ..World::default() }
}

#[test]
fn a_secret_reaches_the_entries_that_name_it_and_no_other() {
    let loaded = world(&[("git.token", "hidden1"), ("web", "Bearer hidden2"), ("unused", "hidden3")])
        .load(&written(SECRETS));
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    let entry = |name: &str| loaded.snapshot.servers.get(name).unwrap();
    let From::Command(command) = &entry("git").source else { panic!() };
    assert_eq!(command.env.get("TOKEN").unwrap().expose_secret(), "hidden1");
    let exposed = |name: &str| entry(name).secrets.exposed.values().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(exposed("git"), ["from-a-file", "hidden1"], "what is no secret is not listed as one");
    assert_eq!(exposed("web"), ["Bearer hidden2", "hidden2"]);
    assert!(exposed("off").is_empty() && entry("off").secrets.missing.is_empty());
    let printed = format!("{:?}", loaded.snapshot);
    assert!(
        ["hidden1", "hidden2", "hidden3", "from-a-file"].iter().all(|secret| !printed.contains(secret)),
        "{printed}"
    );
    let named: Vec<String> =
        loaded.resolved.secrets().into_iter().map(|(key, name)| format!("{key}={name}")).collect();
    assert_eq!(
        named,
        [
            "servers.git.env.TOKEN=git.token",
            "servers.off.env.TOKEN=nowhere",
            "servers.web.headers.Authorization=web"
        ]
    );
}

#[test]
fn a_missing_secret_costs_its_own_server_alone_and_is_named() {
    let loaded =
        world(&[("web", "x")]).load(&written(SECRETS)).unwrap_or_else(|problems| panic!("{problems}"));
    let missing = &loaded.snapshot.servers.get("git").unwrap().secrets.missing;
    assert_eq!(
        missing.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["servers.git.env.TOKEN names the secret git.token: it is not set"]
    );
    assert!(loaded.snapshot.servers.get("web").unwrap().secrets.missing.is_empty());
}

#[test]
fn one_unset_variable_took_all_servers_down() {
    let text = r#"
[servers.unset]
command = "x"
env.TOKEN = "env:NOPE"

[servers.unreadable]
url = "https://example.com/mcp"
headers.Authorization = "file:nowhere/token"

[servers.unsendable]
url = "https://example.com/mcp"
headers.Authorization = "env:LINES"

[servers.web]
url = "https://example.com/mcp"
"#;
    let mut world = World::default();
    world.env.insert("LINES".into(), "one\ntwo".into());
    let loaded = world.load(&written(text)).unwrap_or_else(|problems| panic!("{problems}"));
    let servers = loaded.snapshot.servers.values();
    let missing = servers.flat_map(|entry| entry.secrets.missing.iter().map(|one| format!("{one}\n")));
    expect![[r#"
        servers.unreadable.headers.Authorization names the secret file:token: this file cannot be read: entity not found
        servers.unsendable.headers.Authorization names the secret env:LINES: its value has characters that no header can have
        servers.unset.env.TOKEN names the secret env:NOPE: this environment variable is not set
    "#]].assert_eq(&missing.collect::<String>());
}

#[test]
fn a_header_that_cannot_be_sent_is_a_mistake_where_it_is_written() {
    let text = "[servers.a]\nurl = \"https://example.com/mcp\"\nheaders.X-Team = \"one\\ntwo\"\n";
    let problems = World::default().load(&written(text)).unwrap_err().to_string();
    assert!(problems.contains("casemate.toml:3:") && problems.contains("no header can have"), "{problems}");
}

#[test]
fn a_secret_that_changes_or_goes_replaces_the_instance() {
    let digest = |secrets: &[(&str, &str)]| {
        world(secrets).load(&written(SECRETS)).unwrap().snapshot.servers.get("git").unwrap().digest
    };
    let seen = [digest(&[]), digest(&[("git.token", "s1")]), digest(&[("git.token", "s2")])];
    assert!(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2]);
}

#[test]
fn a_reference_to_no_secret_is_a_mistake_that_does_not_repeat_it() {
    let text = "[servers.a]\ncommand = \"x\"\nenv.T = \"secret:hunter 2\"\n";
    let problems = World::default().load(&written(text)).unwrap_err().to_string();
    assert!(problems.contains("T refers to no secret") && problems.contains("secret:T"), "{problems}");
    assert!(!problems.contains("hunter"), "{problems}");
}

#[test]
fn changes_that_wait_for_a_restart_are_named() {
    let (old, new) = (load("").process, load(FULL).process);
    assert_eq!(
        old.changes(&new),
        [
            "gateway.listen",
            "gateway.tls",
            "gateway.log",
            "gateway.shutdown_grace",
            "packages",
            "gateway.locked"
        ]
    );
    assert!(old.changes(&old).is_empty());
}

#[test]
fn a_slip_anywhere_is_reported_where_there_is_text() {
    let lines = FULL.lines().count();
    for (at, c) in FULL.char_indices().step_by(3) {
        for with in ["", ["\"", "]", "x"][at % 3]] {
            let text = [&FULL[..at], with, &FULL[at + c.len_utf8()..]].concat();
            let Err(problems) = World::default().load(&written(&text)) else { continue };
            for problem in problems.list() {
                let Origin::File(place) = &problem.origin else { panic!("{problem}") };
                assert!((1..=lines + 1).contains(&place.line) && place.column >= 1, "{problem} in {text}");
            }
        }
    }
}
