//! What is written about roles, policies and profiles.

use super::*;

#[test]
fn mistakes_of_roles_and_policy_files_are_reported_at_once_with_their_places() {
    let mut world = World::default();
    let policy = "permit (principal in Role::\"raeder\", action, resource);\n\nforbid (principal, action, resource) when { resource.x };\n// must allow: reader call git/x\n";
    world.files.insert("etc/policy/work.cedar".into(), policy.to_owned());
    let text = "
[roles.reader]
allow = [\"read-only\", \"git//**\"]
[roles.owner]
[servers.git]
command = \"git-server\"
read_only = true
read_only_tools = [\"get_*\", \"\"]
";
    let problems = world.load(&written(text)).unwrap_err();
    expect![[r#"
        etc/casemate.toml:3:23: roles.reader.allow: pattern "git//**": `**` means the same as `*`: write one star
          hint: like ["github/get_*", "wiki"]
        etc/casemate.toml:4:8: the role owner is built in and cannot be redefined
          hint: choose another name
        etc/casemate.toml:8:29: servers.git.read_only_tools: "": the tool name is empty
          hint: like ["get_*", "search", "resource:*"]
        etc/policy/work.cedar:1:1: there is no role "raeder"
          hint: there is owner, operator, user, auditor, reader
        etc/policy/work.cedar:3:1: for policy `policy/work.cedar:3`, attribute `x` on entity type `Console` not found
        etc/policy/work.cedar:3:1: for policy `policy/work.cedar:3`, attribute `x` on entity type `Prompt` not found
          hint: did you mean `name`?
        etc/policy/work.cedar:3:1: for policy `policy/work.cedar:3`, attribute `x` on entity type `Resource` not found
          hint: did you mean `uri`?
        etc/policy/work.cedar:3:1: for policy `policy/work.cedar:3`, attribute `x` on entity type `Server` not found
          hint: did you mean `name`?
        etc/policy/work.cedar:3:1: for policy `policy/work.cedar:3`, attribute `x` on entity type `Tool` not found
          hint: did you mean `name`?
    "#]].assert_eq(&format!("{problems}\n"));
}

#[test]
fn a_server_that_changes_nothing_denies_what_is_not_confirmed() {
    let mut world = World::default();
    world.files.insert("etc/policy/a.cedar".into(), "// must allow: owner call git/get_x\n// must allow: owner call git/said\n// must deny: owner call git/push\n// must deny: owner get git/prompt:x\n// must allow: owner read git/resource:file:///x\n// must deny: reader call git/push\n// must allow: reader call git/said\n".to_owned());
    let text = "
[roles.reader]
allow = [\"read-only\"]
[servers.git]
command = \"git-server\"
read_only = true
read_only_tools = [\"get_*\", \"resource:*\"]
tools.said.read_only = true
tools.push.read_only = false
";
    let loaded = world.load(&written(text)).unwrap();
    assert_eq!(loaded.snapshot.policy.examples(), 7);
}

/// docs/policy.md shows roles and policies with their examples; here they are judged.
#[test]
fn what_the_page_on_policies_shows_holds() {
    let page = include_str!("../../../../../docs/policy.md");
    let block = |language: &str| {
        let (_, after) = page.split_once(&format!("```{language}\n")).unwrap();
        after.split_once("```").unwrap().0.to_owned()
    };
    let mut world = World::default();
    world.files.insert("etc/policy/page.cedar".into(), block("cedar"));
    let loaded = world.load(&written(&block("toml"))).unwrap();
    assert_eq!(loaded.snapshot.policy.examples(), 4);
}

#[test]
fn profiles_and_roles_that_cannot_be_are_refused() {
    check(
        r#"
[servers.none]
[servers.times]
command = ["x"]
[servers.built]
builtin = "system"
[roles.owner]
allow = ["*"]
[profiles.empty]
[profiles.team]
servers = ["times", "tmes", "nothing-like-it", "built", "built"]
only = ["none/x", "*"]
[profiles.team.tools."times/a"]
rename = "same"
[profiles.team.tools."times/b"]
rename = "same"
[profiles.team.tools."none/c"]
description = "x"
[profiles.team.tools.odd]
[profiles.team.tools."times/d"]
rename = "not a name"
fixed.limit = inf
"#,
        expect![[r#"
            etc/casemate.toml:2:10: [servers.none] has none of `command`, `image`, `url` and `builtin`
              hint: say what the server is, like command = ["npx", "-y", "package@1.2.3"]
            etc/casemate.toml:7:8: the role owner is built in and cannot be redefined
              hint: choose another name
            etc/casemate.toml:9:11: [profiles.empty] joins no server
              hint: say which, like servers = ["system"]
            etc/casemate.toml:11:21: profiles.team: there is no server called tmes
              hint: did you mean "times"?
            etc/casemate.toml:11:29: profiles.team: there is no server called nothing-like-it
              hint: there is built, none, times
            etc/casemate.toml:11:57: profiles.team: the server built is there twice
              hint: remove one of them
            etc/casemate.toml:12:9: profiles.team: the pattern "none/x" is about a server that is not here
              hint: this profile joins built, times
            etc/casemate.toml:16:1: profiles.team.tools."times/b": another tool has this name already
              hint: names are unique within a profile
            etc/casemate.toml:17:22: profiles.team.tools."none/c": the profile does not join the server none
              hint: it joins built, times
            etc/casemate.toml:19:22: "odd": not a server and its tool
              hint: quoted, with a slash: "server/tool"
            etc/casemate.toml:21:10: profiles.team.tools."times/d".rename: "not a name" cannot be shown as a tool name
              hint: 1 to 48 letters, digits, `-` and `_`, which is what models' vendors take
            etc/casemate.toml:22:15: profiles.team.tools."times/d".fixed.limit: JSON has no infinite number
              hint: like "our-organization"
        "#]],
    );
}
