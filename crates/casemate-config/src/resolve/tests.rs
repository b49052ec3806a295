mod front;
mod roles;
mod world;

use expect_test::expect;

use super::*;
use world::check;
pub(crate) use world::{World, written};

#[test]
fn three_mistakes_are_reported_at_once_with_line_and_hint() {
    check(
        r#"
[gateway]
listen = "localhost"

[servers.git]
comand = ["uvx", "mcp-server-git"]
timeout.call = "60"
"#,
        expect![[r#"
            etc/casemate.toml:3:10: gateway.listen is "localhost", which is no IP address and port
              hint: like "127.0.0.1:7400"; IPv6 as "[::1]:7332"
            etc/casemate.toml:5:10: [servers.git] has none of `command`, `image`, `url` and `builtin`
              hint: say what the server is, like command = ["npx", "-y", "package@1.2.3"]
            etc/casemate.toml:6:1: unknown key "comand" in [servers.git]
              hint: did you mean `command`?
            etc/casemate.toml:7:16: servers.git.timeout.call: "60" is not a time
              hint: a whole number and a unit: 250ms, 30s, 5m, 1h, 2d
        "#]],
    );
}

#[test]
fn wrong_types_ranges_and_choices_have_hints() {
    check(
        r#"
gateway = 5
[servers.a]
command = ["x"]
enabled = "yes"
sharing = "sharde"
instances = 0
timeout = { start = "0s", call = 60, idle = "100d", hard = "ten" }
circuit.failures = -1
[servers.b]
url = "ftp://x"
[servers.c]
command = []
[servers.d]
command = "npx -y thing@1"
[servers.e]
command = ["x", 5]
args = "y"
"#,
        expect![[r#"
            etc/casemate.toml:2:11: gateway has to be a table, not an integer
              hint: write [gateway] and its settings below it
            etc/casemate.toml:5:11: servers.a.enabled is a string, and has to be true or false
              hint: like false
            etc/casemate.toml:6:11: servers.a.sharing: "sharde" is not a choice
              hint: did you mean "shared"? There is "subject", "shared", "call"
            etc/casemate.toml:7:13: servers.a.instances is 0, outside of 1 to 10000
              hint: nothing is unlimited or off: choose from 1 to 10000, like 4
            etc/casemate.toml:8:21: servers.a.timeout.start is 0ms, outside of 100ms to 1h
              hint: nothing is unlimited or off: choose from 100ms to 1h, like "2m"
            etc/casemate.toml:8:34: servers.a.timeout.call is an integer, and has to be a time from 100ms to 1d
              hint: like "90s"
            etc/casemate.toml:8:45: servers.a.timeout.idle is 100d, outside of 1s to 1d
              hint: choose from 1s to 1d, like "1h"
            etc/casemate.toml:8:60: servers.a.timeout.hard: "ten" is not a time
              hint: a whole number and a unit: 250ms, 30s, 5m, 1h, 2d
            etc/casemate.toml:9:20: servers.a.circuit.failures is -1, outside of 1 to 1000
              hint: choose from 1 to 1000, like 3
            etc/casemate.toml:11:7: servers.b.url: "ftp://x" is not where a server can be
              hint: `https://…`, `wss://…`, `unix:/PATH` or `tcp://HOST:PORT`
            etc/casemate.toml:13:11: servers.c.command: names no program
              hint: like ["npx", "-y", "@modelcontextprotocol/server-everything@2026.8.31"]
            etc/casemate.toml:15:11: servers.d.command: a command is not a shell line
              hint: write ["npx", "-y", "thing@1"]
            etc/casemate.toml:17:17: servers.e.command: has an integer, which is not a text
              hint: like ["npx", "-y", "@modelcontextprotocol/server-everything@2026.8.31"]
            etc/casemate.toml:18:8: servers.e.args is a string, and has to be a list of texts
              hint: like ["--verbose"]
        "#]],
    );
}

#[test]
fn wrong_names_and_patterns_have_hints() {
    check(
        r#"
[servers.f]
url = "https://x/y"
headers = { Host = "x", "bad name" = "y", "mcp-param-x" = "z" }
[[servers.g]]
[servers."bad name"]
[profiles.p__q]
[roles]
r = { allow = ["**", "x/"], deny = true }
"#,
        expect![[r#"
            etc/casemate.toml:4:13: "Host": this header is set by Casemate itself
              hint: remove it, or correct its name
            etc/casemate.toml:4:25: "bad name": not the name of a header
              hint: remove it, or correct its name
            etc/casemate.toml:4:43: "mcp-param-x": this header is set by Casemate itself
              hint: remove it, or correct its name
            etc/casemate.toml:5:1: servers.g has to be a table, not an array of tables
              hint: write [servers.g] and its settings below it
            etc/casemate.toml:6:10: "bad name": a server name cannot have ' ' at position 3: use letters, digits, `-` and single `_`
            etc/casemate.toml:7:11: "p__q": a profile name cannot have '_' at position 2: use letters, digits, `-` and single `_`
            etc/casemate.toml:9:16: roles.r.allow: pattern "**": the part before the first `/` is a server's whole name or a single `*`: a server name cannot have '*' at position 0: use letters, digits, `-` and single `_`
              hint: like ["github/get_*", "wiki"]
            etc/casemate.toml:9:22: roles.r.allow: pattern "x/": the tool name is empty
              hint: like ["github/get_*", "wiki"]
            etc/casemate.toml:9:36: roles.r.deny is a boolean, and has to be a list of patterns
              hint: like ["github/delete_*"]
        "#]],
    );
}

#[test]
fn gateway_mistakes_have_hints() {
    check(
        r#"
[gateway]
listen = "0.0.0.0:7332"
hosts = ["https://mcp.example.com", "ok.example.com:8080", "a@b", ""]
origins = ["*", "app.example.com", "https://app.example.com/", "http://localhost:*", "https://ok.example.com"]
log = "verbose"
[gateway.limits]
request_size = "16MB"
result_size = "0B"
calls_in_flight = 1.5
"#,
        expect![[r#"
            etc/casemate.toml:3:1: gateway.listen is 0.0.0.0:7332, which other machines reach without TLS
              hint: set gateway.tls.certificate and gateway.tls.key, listen on 127.0.0.1 behind a proxy that ends TLS, or set gateway.plaintext_beyond_loopback = true
            etc/casemate.toml:4:10: gateway.hosts: "https://mcp.example.com" is not a host name or address with an optional port
              hint: a host has no scheme: "mcp.example.com"
            etc/casemate.toml:4:60: gateway.hosts: "a@b" is not a host name or address with an optional port
              hint: like ["mcp.example.com"]
            etc/casemate.toml:4:67: gateway.hosts: "" is not a host name or address with an optional port
              hint: like ["mcp.example.com"]
            etc/casemate.toml:5:12: gateway.origins: "*" is not an origin
              hint: every page of the web could call your servers: name the pages that may
            etc/casemate.toml:5:17: gateway.origins: "app.example.com" is not an origin
              hint: an origin has a scheme: "https://app.example.com"
            etc/casemate.toml:5:36: gateway.origins: "https://app.example.com/" is not an origin
              hint: scheme and host, without a path: "https://app.example.com"
            etc/casemate.toml:6:7: gateway.log: "verbose" is not a choice
              hint: there is "error", "warn", "info", "debug", "trace"
            etc/casemate.toml:8:16: gateway.limits.request_size: "16MB" is not a size
              hint: did you mean "16MiB"? 1 KiB is 1024 bytes
            etc/casemate.toml:9:15: gateway.limits.result_size is 0B, outside of 1KiB to 1GiB
              hint: nothing is unlimited or off: choose from 1KiB to 1GiB, like "16MiB"
            etc/casemate.toml:10:19: gateway.limits.calls_in_flight is a float, and has to be a whole number from 1 to 100000
              hint: like 64
        "#]],
    );
}

#[test]
fn what_contradicts_itself_is_refused() {
    check(
        r#"
[servers.none]
[servers.two]
command = ["x"]
url = "https://x/mcp"
[servers.stray]
url = "https://x/mcp"
args = ["x"]
cwd = "/x"
env.A = "b"
[servers.times]
command = ["x"]
timeout.call = "20m"
restart.backoff_min = "1m"
tools.slow.timeout = "11m"
[servers.built]
builtin = "system"
headers.A = "b"
"#,
        expect![[r#"
            etc/casemate.toml:2:10: [servers.none] has none of `command`, `image`, `url` and `builtin`
              hint: say what the server is, like command = ["npx", "-y", "package@1.2.3"]
            etc/casemate.toml:5:1: [servers.two] has both `command` and `url`
              hint: keep one of them
            etc/casemate.toml:8:1: `args` in [servers.stray] means nothing beside `url`
              hint: it belongs to a server with `command` or `image`
            etc/casemate.toml:9:1: `cwd` in [servers.stray] means nothing beside `url`
              hint: it belongs to a server with `command`
            etc/casemate.toml:10:1: `env` in [servers.stray] means nothing beside `url`
              hint: it belongs to a server with `command` or `image`
            etc/casemate.toml:13:9: servers.times: timeout.call is longer than timeout.hard, which ends every call
              hint: raise timeout.hard, whose default is 10m
            etc/casemate.toml:14:9: servers.times: restart.backoff_min is longer than restart.backoff_max
              hint: the first pause is the shortest
            etc/casemate.toml:15:12: servers.times.tools.slow: timeout is longer than the server's timeout.hard
              hint: raise timeout.hard of the server
            etc/casemate.toml:18:1: `headers` in [servers.built] means nothing beside `builtin`
              hint: it belongs to a server with `url`
        "#]],
    );
}

#[test]
fn secrets_in_the_file_are_refused_and_never_quoted() {
    let token = format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2");
    let text = format!(
        r#"
[servers.a]
command = ["x", "--token", "{token}"]
[servers.b]
command = ["x"]
env = {{ GITHUB_TOKEN = "{token}", DB_PASSWORD = "hunter2", FINE = {{ not_secret = "{token}" }}, N = 5 }}
[servers.c]
url = "https://x/{token}/mcp"
[servers.d]
url = "https://x/mcp"
headers.Authorization = "Bearer {token}"
[servers.e]
command = ["x"]
env = {{ A = "env:", B = "file:", C = "file:///x", D = {{ secret = "x" }}, "bad-name" = "x" }}
"#
    );
    let problems = World::default().load(&written(&text)).unwrap_err();
    let shown = format!("{problems}\n");
    assert!(!shown.contains(&token[..8]) && !shown.contains("hunter2"), "{shown}");
    expect![[r#"
        etc/casemate.toml:3:28: an argument in servers.a.command is not kept in a file: it looks like a GitHub token
          hint: give it to the server in a variable: env.NAME = "secret:NAME"
        etc/casemate.toml:6:24: the value of GITHUB_TOKEN is not kept in a file: it looks like a GitHub token
          hint: `casemate secret set GITHUB_TOKEN` keeps it, and "secret:GITHUB_TOKEN" refers to it; "env:GITHUB_TOKEN" and "file:PATH" do where it is kept elsewhere
        etc/casemate.toml:6:70: the value of DB_PASSWORD is not kept in a file: its name says that it is a secret
          hint: `casemate secret set DB_PASSWORD` keeps it, and "secret:DB_PASSWORD" refers to it; "env:DB_PASSWORD" and "file:PATH" do where it is kept elsewhere
        etc/casemate.toml:6:141: servers.b.env.N is an integer, and has to be a text, "secret:NAME", "env:NAME", "file:PATH", or { not_secret = "…" }
          hint: like "secret:GITHUB_TOKEN"
        etc/casemate.toml:8:7: servers.c.url: the address is not kept in a file: it looks like a GitHub token
          hint: send it in a header: headers.Authorization = "secret:NAME"
        etc/casemate.toml:11:25: the value of Authorization is not kept in a file: it looks like a GitHub token
          hint: `casemate secret set AUTHORIZATION` keeps it, and "secret:AUTHORIZATION" refers to it; "env:AUTHORIZATION" and "file:PATH" do where it is kept elsewhere
        etc/casemate.toml:14:13: A refers to no variable name
          hint: like "env:A"
        etc/casemate.toml:14:25: B refers to no file
          hint: like "file:/run/secrets/token"; `{ not_secret = "…" }` takes a text as it stands
        etc/casemate.toml:14:38: C refers to no file
          hint: like "file:/run/secrets/token"; `{ not_secret = "…" }` takes a text as it stands
        etc/casemate.toml:14:55: servers.e.env.D is an inline table, and has to be a text, "secret:NAME", "env:NAME", "file:PATH", or { not_secret = "…" }
          hint: like "secret:GITHUB_TOKEN"
        etc/casemate.toml:14:73: "bad-name": not the name of a variable
          hint: letters, digits and `_`, like GITHUB_TOKEN
    "#]].assert_eq(&shown);
}

#[test]
fn references_lead_to_the_environment_and_to_files() {
    let text = r#"
[servers.a]
command = ["x"]
cwd = "work"
env = { A = "env:TOKEN", B = "file:secrets/b", C = "file:/abs/c", D = "plain" }
[servers.off]
command = ["x"]
enabled = false
env = { A = "env:NOWHERE" }
"#;
    let mut world = World::default();
    let missing = |world: &World| {
        let loaded = world.load(&written(text)).unwrap_or_else(|problems| panic!("{problems}"));
        let servers = loaded.snapshot.servers.values();
        servers
            .flat_map(|entry| entry.secrets.missing.iter().map(|one| format!("{one}\n")))
            .collect::<String>()
    };
    expect![[r#"
        servers.a.env.A names the secret env:TOKEN: this environment variable is not set
        servers.a.env.B names the secret file:b: this file cannot be read: entity not found
        servers.a.env.C names the secret file:c: this file cannot be read: entity not found
    "#]]
    .assert_eq(&missing(&world));
    world.env.insert("TOKEN".into(), "t\nwo".into());
    world.files.insert("etc/secrets/b".into(), "bee\r\n".into());
    world.files.insert("/abs/c".into(), "".into());
    expect![[r#"
        servers.a.env.C names the secret file:c: this file does not hold a text of 1 to 65536 bytes
    "#]]
    .assert_eq(&missing(&world));
    world.files.insert("/abs/c".into(), "see\n\n".into());
    let loaded = world.load(&written(text)).unwrap();
    let entry = loaded.snapshot.servers.get("a").unwrap();
    let casemate_gateway::snapshot::Source::Command(command) = &entry.source else { panic!() };
    let expose = secrecy::ExposeSecret::<str>::expose_secret;
    let values: Vec<&str> = command.env.values().map(expose).collect();
    assert_eq!(values, ["t\nwo", "bee", "see\n", "plain"]);
    assert_eq!(command.cwd.as_deref(), Some(Path::new("etc/work")));
    assert!(!format!("{:?}", loaded.snapshot).contains("bee"), "secrets are never shown");
    assert!(!format!("{:?}", loaded.resolved).contains("plain"), "literals are not shown either");
}

#[test]
fn reading_goes_on_behind_a_line_that_is_not_toml() {
    check(
        "[servers.a]\ncommand = [\"x\"\n",
        expect![[r#"
        etc/casemate.toml:2:15: not TOML: unclosed array, expected `]`
    "#]],
    );
    check(
        "[gateway]\nlisten = localhost\nlog = \"loud\"\nlog = \"info\"\n[servers.a]\nurl 5\nsharing = 1\n",
        expect![[r#"
        etc/casemate.toml:2:10: not TOML: string values must be quoted, expected literal string
        etc/casemate.toml:3:7: gateway.log: "loud" is not a choice
          hint: there is "error", "warn", "info", "debug", "trace"
        etc/casemate.toml:4:1: not TOML: duplicate key
        etc/casemate.toml:6:5: not TOML: key with no value, expected `=`
        etc/casemate.toml:7:11: servers.a.sharing is an integer, and has to be one of "subject", "shared", "call"
          hint: like "shared"
    "#]],
    );
    check(
        "[servers.a\ncommand = 5\n",
        expect![[r#"
        etc/casemate.toml:1:11: not TOML: unclosed table, expected `]`
    "#]],
    );
    check(
        "x = \"\"\"\n",
        expect![[r#"
        etc/casemate.toml:2:1: not TOML: invalid multi-line basic string, expected `"`
    "#]],
    );
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let mut input = written("[gateway]\nlisten = \"127.0.0.1:1\"\nlog = \"warn\"\nshutdown_grace = \"1s\"\n");
    let world = World::default();
    let show = |input: &Input| {
        let loaded = world.load(input).unwrap();
        let one = |key| loaded.resolved.explain(key).unwrap().remove(0);
        let keys = ["gateway.listen", "gateway.log", "gateway.shutdown_grace", "gateway.limits.sessions"];
        keys.map(|key| format!("{} from {}", one(key).value.unwrap(), one(key).origin)).join("\n") + "\n"
    };
    input.environment = vec![
        ("CASEMATE_GATEWAY_LOG".into(), "debug".into()),
        ("CASEMATE_GATEWAY_LISTEN".into(), "127.0.0.1:2".into()),
        ("CASEMATE_GATEWAY_SHUTDOWN_GRACE".into(), String::new()),
        ("CASEMATE_HOME".into(), "/x".into()),
        ("PATH".into(), "/bin".into()),
    ];
    let flag = Origin::Flag("--listen".into());
    input.flags = vec![Flag { key: "gateway.listen", text: "127.0.0.1:3".into(), origin: flag }];
    expect![[r#"
        "127.0.0.1:3" from flag --listen
        "debug" from environment CASEMATE_GATEWAY_LOG
        "1s" from file etc/casemate.toml:4:1
        1024 from default
    "#]]
    .assert_eq(&show(&input));
    assert_eq!(world.load(&input).unwrap().process.listen.port(), 3);
}

#[test]
fn mistakes_outside_of_the_file_name_the_variable_or_flag() {
    let mut input = written("");
    input.environment = vec![
        ("CASEMATE_GATEWAY_LISTNE".into(), "127.0.0.1:2".into()),
        ("CASEMATE_GATEWAY_LIMITS_SESSIONS".into(), "0".into()),
        ("CASEMATE_GATEWAY_HOSTS".into(), "a.example, b c,".into()),
    ];
    input.flags =
        vec![Flag { key: "gateway.listen", text: "7332".into(), origin: Origin::Flag("--listen".into()) }];
    expect![[r#"
        environment CASEMATE_GATEWAY_HOSTS: gateway.hosts: "b c" is not a host name or address with an optional port
          hint: like ["mcp.example.com"]
        environment CASEMATE_GATEWAY_LIMITS_SESSIONS: gateway.limits.sessions is 0, outside of 1 to 1000000
          hint: nothing is unlimited or off: choose from 1 to 1000000, like 128
        environment CASEMATE_GATEWAY_LISTNE: no setting has this variable
          hint: did you mean CASEMATE_GATEWAY_LISTEN?
        flag --listen: gateway.listen is "7332", which is no IP address and port
          hint: like "127.0.0.1:7400"; IPv6 as "[::1]:7332"
    "#]].assert_eq(&format!("{}\n", World::default().load(&input).unwrap_err()));
}

#[test]
fn without_a_file_the_built_in_server_runs() {
    let loaded = World::default().load(&Input::default()).unwrap();
    assert_eq!(loaded.snapshot.version, 7);
    let names: Vec<&str> = loaded.snapshot.servers.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["system"]);
    let casemate_gateway::snapshot::Source::Command(command) =
        &loaded.snapshot.servers.get("system").unwrap().source
    else {
        panic!()
    };
    assert_eq!(
        (command.program.as_str(), command.args.join(" ").as_str()),
        ("/opt/casemate", "toolkit system")
    );
    let empty = World::default().load(&written("")).unwrap();
    assert!(empty.snapshot.servers.is_empty(), "an empty file means what it says");
}
