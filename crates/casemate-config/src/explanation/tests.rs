use expect_test::expect;

use super::*;
use crate::resolve::tests::{World, written};

fn resolved(text: &str) -> Resolved {
    World::default().load(&written(text)).unwrap().resolved
}

fn explain(resolved: &Resolved, key: &str) -> String {
    let list = resolved.explain(key).unwrap();
    list.iter().map(|one| format!("{one}\n")).collect()
}

const FILE: &str =
    "[servers.git]\ncommand = ['uvx', 'x']\nenv.A = 'quite plain'\ntools.\"a b\".timeout = '5s'\n";

#[test]
fn a_key_is_explained_with_its_value_and_origin() {
    let resolved = resolved(FILE);
    expect![[r#"
        gateway.listen = "127.0.0.1:7332"
          from:    default
          takes:   an IP address and port
          default: "127.0.0.1:7332"
          changes: at the next start
          or set:  CASEMATE_GATEWAY_LISTEN
          example: "127.0.0.1:7400"
          The address that MCP clients connect to. Only this machine can reach the default. Any other address needs `plaintext_beyond_loopback`; port 0 lets the system choose.
    "#]].assert_eq(&explain(&resolved, "gateway.listen"));
    expect![[r#"
        servers.git.env.A = a text of 11 characters
          from:    file etc/casemate.toml:3:5
          takes:   a text, "secret:NAME", "env:NAME", "file:PATH", or { not_secret = "…" }
          default: none
          changes: as soon as the file is saved
          example: "secret:GITHUB_TOKEN"
          A variable that the server sees. It sees no other but PATH, HOME, TMPDIR and LANG. Secrets are given as `secret:NAME`, `env:NAME` or `file:PATH`.
    "#]].assert_eq(&explain(&resolved, "servers.git.env.A"));
    expect![[r#"
        servers.git.timeout.call = "60s"
          from:    default
          takes:   a time from 100ms to 1d
          default: "60s"
          changes: as soon as the file is saved
          example: "90s"
          From a call to its answer; each report of progress starts it anew. Clients wait 60 s, too.
    "#]]
    .assert_eq(&explain(&resolved, "servers.git.timeout.call"));
    expect![[r#"
        servers.git.tools."a b".timeout = "5s"
          from:    file etc/casemate.toml:4:13
          takes:   a time from 100ms to 1d
          default: none
          changes: as soon as the file is saved
          example: "5m"
          Replaces `timeout.call` of the server for this tool.
    "#]]
    .assert_eq(&explain(&resolved, "servers.git.tools.\"a b\".timeout"));
}

#[test]
fn a_table_is_explained_by_all_that_is_below_it() {
    let resolved = resolved(FILE);
    let keys = |key: &str| {
        let list = resolved.explain(key).unwrap();
        list.iter().map(|one| one.key.clone()).collect::<Vec<_>>().join(" ")
    };
    expect![[r#"servers.git.allow_unsandboxed servers.git.args servers.git.cell servers.git.circuit.failures servers.git.circuit.open_for servers.git.command servers.git.enabled servers.git.env.A servers.git.honeytokens servers.git.host_stats servers.git.inspect.arguments servers.git.inspect.definitions servers.git.inspect.hidden servers.git.inspect.names servers.git.inspect.output servers.git.inspect.personal servers.git.inspect.personal_found servers.git.inspect.secrets servers.git.inspect.signals servers.git.install_scripts servers.git.instances servers.git.labels servers.git.limits.cpu servers.git.limits.file_size servers.git.limits.memory servers.git.limits.open_files servers.git.limits.output_rate servers.git.limits.processes servers.git.limits.tmp_size servers.git.network servers.git.oauth.grant servers.git.oauth.private_network servers.git.oauth.scopes servers.git.read servers.git.read_only servers.git.read_only_tools servers.git.restart.backoff_max servers.git.restart.backoff_min servers.git.runtime servers.git.sharing servers.git.timeout.call servers.git.timeout.hard servers.git.timeout.idle servers.git.timeout.start servers.git.tools."a b".timeout servers.git.write"#]]
        .assert_eq(&keys("servers.git"));
    expect!["gateway.limits.body_time gateway.limits.calls_in_flight gateway.limits.connections gateway.limits.connections_per_address gateway.limits.list_time gateway.limits.request_size gateway.limits.result_size gateway.limits.session_idle gateway.limits.sessions"].assert_eq(&keys("gateway.limits"));
    expect!["profiles.NAME.servers profiles.NAME.only profiles.NAME.hidden profiles.NAME.tools.SERVER/TOOL.rename profiles.NAME.tools.SERVER/TOOL.description profiles.NAME.tools.SERVER/TOOL.fixed.ARGUMENT"].assert_eq(&keys("profiles"));
    expect!["servers.NAME.timeout.start servers.NAME.timeout.call servers.NAME.timeout.hard servers.NAME.timeout.idle"].assert_eq(&keys("servers.NAME.timeout"));
    assert!(resolved.all().len() > keys("gateway").split(' ').count());
}

#[test]
fn an_unknown_key_gets_a_hint() {
    let resolved = resolved("");
    let unknown = |key: &str| resolved.explain(key).unwrap_err().to_string();
    expect![[r#"
        no setting is called "gateway.listne"
        hint: did you mean `gateway.listen`?"#]]
    .assert_eq(&unknown("gateway.listne"));
    expect![[r#"no setting is called "a..b""#]].assert_eq(&unknown("a..b"));
}

#[test]
fn what_is_not_configured_was_explained_as_if_it_were() {
    let resolved = resolved(FILE);
    let unknown = |key: &str| resolved.explain(key).unwrap_err().to_string();
    expect![[r#"
        there is no server called gti
        hint: did you mean `servers.git`?"#]]
    .assert_eq(&unknown("servers.gti.timeout.call"));
    expect!["there is no interceptor called nope"].assert_eq(&unknown("interceptors.nope"));
}

#[test]
fn the_built_in_system_was_said_not_to_see_the_figures_of_the_host() {
    let text = "[servers.system]\nbuiltin = 'system'\n[servers.off]\nbuiltin = 'system'\nhost_stats = false\n\
                [servers.git]\ncommand = 'x'\n";
    let resolved = resolved(text);
    let value = |server: &str| {
        let explained = explain(&resolved, &format!("servers.{server}.host_stats"));
        explained.lines().take(4).map(str::trim).collect::<Vec<_>>().join("; ")
    };
    expect!["servers.system.host_stats = true; from:    default; takes:   true or false; default: true"]
        .assert_eq(&value("system"));
    expect!["servers.off.host_stats = false; from:    file etc/casemate.toml:5:1; takes:   true or false; default: false"].assert_eq(&value("off"));
    expect!["servers.git.host_stats = false; from:    default; takes:   true or false; default: false"]
        .assert_eq(&value("git"));
    let listed = resolved.all().into_iter().find(|one| one.key == "servers.system.host_stats").unwrap();
    assert_eq!(listed.value.as_deref(), Some("true"));
}
