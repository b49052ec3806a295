mod attacks;
mod figures;
mod files;
mod laws;

use std::fmt::Write as _;

use expect_test::expect_file;
use proptest::prelude::*;

use super::*;
use crate::builtin::Builtin;
use crate::pattern::Pattern;
use crate::request::{Arguments, Context};
use crate::scope::Scope;
use crate::subject::{Authentication, SubjectId};

fn role(name: &str) -> RoleName {
    RoleName::parse(name).unwrap()
}

fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

fn def(allow: &[&str], deny: &[&str]) -> RoleDef {
    let own = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    RoleDef { allow: own(allow), deny: own(deny), ..RoleDef::default() }
}

fn defined(defs: &[(&str, RoleDef)]) -> PolicyDef {
    let servers = ["git", "fs", "web"].map(|name| (server(name), ServerDef::default())).into();
    let roles = defs.iter().map(|(name, def)| (role(name), def.clone())).collect();
    PolicyDef { roles, servers, files: Vec::new() }
}

fn compile(defs: &[(&str, RoleDef)]) -> Policy {
    Policy::compile(&defined(defs)).unwrap()
}

/// The decision where nothing is known of the circumstances.
fn decide(policy: &Policy, subject: &Subject, action: Action, resource: &Resource<'_>) -> Decision {
    policy.decide(subject, &Request::new(action, *resource))
}

fn subject(roles: &[&str]) -> Subject {
    let roles = roles.iter().map(|name| role(name)).collect();
    Subject::new(SubjectId::key("t"), roles, Authentication::Key)
}

fn example() -> Policy {
    let mut def = defined(&[
        ("reader", def(&["git/*", "fs/read_*", "fs/resource:file:///home/*"], &["git/git_push"])),
        ("no-push", def(&[], &["*/*_push", "git/prompt:*", "fs/resource:file:///home/ann/*"])),
        ("prompter", def(&["git/prompt:review"], &[])),
        ("locked", def(&["*"], &["git"])),
        ("looker", def(&["read-only"], &[])),
        ("asker", RoleDef { ask: vec!["git/*_push".into()], ..def(&["git"], &[]) }),
    ]);
    let confirmed = |read_only, texts: &[&str]| ServerDef {
        read_only,
        confirmed: texts.iter().map(ToString::to_string).collect(),
    };
    def.servers.insert(server("git"), confirmed(false, &["git_status", "prompt:review"]));
    def.servers.insert(server("web"), confirmed(true, &["get_*"]));
    Policy::compile(&def).unwrap()
}

/// Role by action by resource: one line for each request that some role set allows or a rule denies. What is
/// not in the file is denied by default.
#[test]
fn golden_matrix() {
    let (git, fs, web) = (server("git"), server("fs"), server("web"));
    let resources = [
        ("server web", Resource::Server(&web)),
        ("tool web/get_page", Resource::Tool(&web, "get_page")),
        ("tool web/post_form", Resource::Tool(&web, "post_form")),
        ("server git", Resource::Server(&git)),
        ("server fs", Resource::Server(&fs)),
        ("tool git/git_status", Resource::Tool(&git, "git_status")),
        ("tool git/git_push", Resource::Tool(&git, "git_push")),
        ("tool fs/read_file", Resource::Tool(&fs, "read_file")),
        ("tool fs/write_file", Resource::Tool(&fs, "write_file")),
        ("prompt git/review", Resource::Prompt(&git, "review")),
        ("prompt git/commit", Resource::Prompt(&git, "commit")),
        ("resource fs file:///home/bob/a", Resource::Resource(&fs, "file:///home/bob/a")),
        ("resource fs file:///home/ann/a", Resource::Resource(&fs, "file:///home/ann/a")),
        ("resource fs file:///etc/passwd", Resource::Resource(&fs, "file:///etc/passwd")),
        ("gateway", Resource::Gateway),
        ("keys", Resource::Keys),
        ("records", Resource::Records),
    ];
    let policy = example();
    let mut sets: Vec<Vec<&str>> = policy.roles().map(|name| vec![name]).collect();
    sets.extend([vec!["owner", "no-push"], vec!["looker", "asker"], vec!["user", "gone"], vec![]]);
    let mut matrix = String::new();
    for set in &sets {
        let subject = subject(set);
        writeln!(matrix, "[{}]", set.join(" + ")).unwrap();
        for (label, resource) in &resources {
            for action in Action::ALL {
                let decision = decide(&policy, &subject, action, resource);
                let rules: Vec<&str> = decision.rules.iter().map(RuleId::as_str).collect();
                if rules != ["default: deny"] {
                    let rules = rules.join("; ");
                    writeln!(
                        matrix,
                        "{:5} {:10} {label:32} <- {rules}",
                        decision.effect.as_str(),
                        action.as_str()
                    )
                    .unwrap();
                }
            }
        }
    }
    expect_file!["matrix.txt"].assert_eq(&matrix);
}

#[test]
fn a_uri_that_is_spelled_otherwise_gains_nothing() {
    let (policy, fs) = (example(), server("fs"));
    let read = |roles_of: &[&str], uri: &str| {
        decide(&policy, &subject(roles_of), Action::Read, &Resource::Resource(&fs, uri)).effect
    };
    assert_eq!(read(&["reader"], "file:///home/bob/x"), Effect::Allow);
    for uri in [
        "file:///home/../etc/passwd",
        "file:///home/%2e%2e/etc/passwd",
        "file:///home/%252e%252e/etc/passwd",
        "file:///home/..\\etc/passwd",
        "FILE:///home/bob/x",
    ] {
        assert_eq!(read(&["reader"], uri), Effect::Deny, "{uri}");
    }
    for uri in
        ["file:///home/%61nn/x", "file:///home//ann/x", "file:///home/bob/../ann/x", "File:///home/ann/x"]
    {
        assert_eq!(read(&["user"], uri), Effect::Allow, "{uri}");
        assert_eq!(read(&["user", "no-push"], uri), Effect::Deny, "{uri}");
    }
}

#[test]
fn who_asks_wins_over_who_allows_and_loses_to_who_denies() {
    let asking = |answerer| RoleDef { ask: vec!["git/git_push".into()], answerer, ..RoleDef::default() };
    let policy = compile(&[
        ("git", def(&["git"], &[])),
        ("mine", asking(Answerer::Subject)),
        ("theirs", asking(Answerer::Operator)),
        ("never", def(&[], &["git/git_push"])),
    ]);
    let git = server("git");
    let push = |set: &[&str]| {
        let decision = decide(&policy, &subject(set), Action::Call, &Resource::Tool(&git, "git_push"));
        (decision.effect, decision.rules.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    assert_eq!(push(&["git"]), (Effect::Allow, "role git: allow git".into()));
    assert_eq!(push(&["mine"]), (Effect::Ask(Answerer::Subject), "role mine: ask git/git_push".into()));
    assert_eq!(push(&["git", "mine"]).0, Effect::Ask(Answerer::Subject));
    assert_eq!(
        push(&["mine", "git", "theirs"]),
        (
            Effect::Ask(Answerer::Operator),
            "role mine: ask git/git_push; role theirs: ask git/git_push".into()
        )
    );
    assert_eq!(push(&["mine", "theirs", "never"]), (Effect::Deny, "role never: deny git/git_push".into()));
    let seen = decide(&policy, &subject(&["mine"]), Action::List, &Resource::Server(&git));
    assert_eq!(seen.effect, Effect::Allow, "a server with something to ask for is visible");
}

#[test]
fn a_scope_narrows_and_never_widens() {
    let (git, fs) = (server("git"), server("fs"));
    let policy = example();
    let scoped = |set: &[&str], scope: &[&str]| subject(set).within(Scope::parse(scope).unwrap());
    let call = |subject: &Subject, server: &ServerName, name: &str| {
        decide(&policy, subject, Action::Call, &Resource::Tool(server, name))
    };
    let owner = scoped(&["owner"], &["git/git_*"]);
    assert_eq!(call(&owner, &git, "git_push").effect, Effect::Allow);
    let beyond = call(&owner, &fs, "read_file");
    assert_eq!(beyond.effect, Effect::Deny);
    assert_eq!(beyond.rules[0].as_str(), "scope of the credential: deny");
    assert_eq!(call(&scoped(&["reader"], &["*"]), &git, "git_push").effect, Effect::Deny, "roles still deny");
    assert_eq!(
        call(&scoped(&["owner"], &[]), &git, "git_push").effect,
        Effect::Deny,
        "an empty scope holds nothing"
    );
    let see = |server| decide(&policy, &owner, Action::List, &Resource::Server(server)).effect;
    assert_eq!((see(&git), see(&fs)), (Effect::Allow, Effect::Deny));
    for resource in [Resource::Keys, Resource::Gateway, Resource::Records, Resource::Server(&git)] {
        let everything = scoped(&["owner"], &["*"]);
        assert_eq!(
            decide(&policy, &everything, Action::Administer, &resource).effect,
            Effect::Deny,
            "{resource:?}"
        );
    }
}

#[test]
fn faults_name_role_pattern_and_reason() {
    let fault = |defs: Vec<(&str, RoleDef)>| {
        let faults = Policy::compile(&defined(&defs)).unwrap_err();
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        fault(vec![("reader", def(&["git/*", "git/"], &[]))]),
        "role `reader`: allow pattern `git/`: the tool name is empty"
    );
    assert_eq!(
        fault(vec![("reader", def(&[], &["git/**"]))]),
        "role `reader`: deny pattern `git/**`: `**` means the same as `*`: write one star"
    );
    for own in Builtin::ALL {
        assert_eq!(
            fault(vec![(own.as_str(), def(&[], &[]))]),
            format!(
                "role `{}`: it is built in and cannot be redefined\nhint: choose another name",
                own.as_str()
            )
        );
    }
    let both = fault(vec![("a", def(&["git/"], &[])), ("b", def(&["/x"], &[]))]);
    assert_eq!(both.lines().count(), 2, "all faults at once: {both}");
}

#[test]
fn names_hold_built_in_and_configured_roles() {
    let policy = example();
    assert_eq!(
        policy.roles().collect::<Vec<_>>(),
        [
            "asker", "auditor", "locked", "looker", "no-push", "operator", "owner", "prompter", "reader",
            "user"
        ]
    );
    assert!(policy.has_role(&role("reader")) && !policy.has_role(&role("gone")));
}

const SERVERS: [&str; 3] = ["git", "fs", "web"];

fn patterns() -> impl Strategy<Value = Vec<String>> {
    let server = prop_oneof![Just("*"), Just("git"), Just("fs")];
    let selection = prop_oneof![
        Just(""),
        Just("/*"),
        Just("/ab"),
        Just("/a*"),
        Just("/*b"),
        Just("/prompt:a*"),
        Just("/resource:u:a*"),
        Just("/resource:u:ab")
    ];
    prop::collection::vec(
        (server, selection).prop_map(|(server, selection)| format!("{server}{selection}")),
        0..5,
    )
}

#[derive(Debug, Clone)]
struct Case {
    defs: Vec<RoleDef>,
    roles: Vec<usize>,
    server: usize,
    name: String,
}

fn cases() -> impl Strategy<Value = Case> {
    let defs = prop::collection::vec(
        (patterns(), patterns()).prop_map(|(allow, deny)| RoleDef { allow, deny, ..RoleDef::default() }),
        3,
    );
    (defs, prop::collection::vec(0..3_usize, 0..4), 0..3_usize, "[ab]{1,3}")
        .prop_map(|(defs, roles, server, name)| Case { defs, roles, server, name })
}

impl Case {
    fn policy(&self) -> Policy {
        let names: Vec<String> = (0..self.defs.len()).map(|at| format!("r{at}")).collect();
        let defs: Vec<(&str, RoleDef)> =
            names.iter().map(String::as_str).zip(self.defs.iter().cloned()).collect();
        compile(&defs)
    }

    fn subject(&self) -> Subject {
        let roles = self.roles.iter().map(|at| role(&format!("r{at}"))).collect();
        Subject::new(SubjectId::local(1), roles, Authentication::Local)
    }

    fn server(&self) -> ServerName {
        server(SERVERS[self.server])
    }

    /// The rules read one by one, without any table.
    fn expected(&self, resource: &Resource<'_>) -> Effect {
        let any =
            |texts: &Vec<String>| texts.iter().any(|text| Pattern::parse(text).unwrap().matches(resource));
        let held = || self.roles.iter().map(|at| &self.defs[*at]);
        if !held().any(|def| any(&def.deny)) && held().any(|def| any(&def.allow)) {
            Effect::Allow
        } else {
            Effect::Deny
        }
    }
}

proptest! {
    #[test]
    fn cedar_decides_what_the_patterns_say(case in cases()) {
        let (policy, subject, server) = (case.policy(), case.subject(), case.server());
        let uri = format!("u:{}", case.name);
        for (action, resource) in [
            (Action::Call, Resource::Tool(&server, &case.name)),
            (Action::Get, Resource::Prompt(&server, &case.name)),
            (Action::Read, Resource::Resource(&server, &uri)),
        ] {
            let used = decide(&policy, &subject, action, &resource);
            prop_assert_eq!(used.effect, case.expected(&resource), "{:?}", resource);
            prop_assert!(!used.rules.is_empty());
            prop_assert_eq!(&decide(&policy, &subject, action, &resource), &used, "remembered as it was");
            let listed = decide(&policy, &subject, Action::List, &resource);
            prop_assert_eq!(listed.effect, used.effect, "listing is using");
            if used.effect == Effect::Allow {
                let seen = decide(&policy, &subject, Action::List, &Resource::Server(&server));
                prop_assert_eq!(seen.effect, Effect::Allow, "a server with something to use is visible");
            }
        }
    }

    #[test]
    fn without_a_matching_rule_everything_is_denied(case in cases(), action in 0..8_usize) {
        let mut case = case;
        for def in &mut case.defs {
            def.allow.clear();
        }
        let (policy, server) = (case.policy(), case.server());
        for resource in [Resource::Server(&server), Resource::Tool(&server, &case.name), Resource::Keys,
            Resource::Prompt(&server, &case.name), Resource::Gateway, Resource::Records] {
            prop_assert_eq!(decide(&policy, &case.subject(), Action::ALL[action], &resource).effect, Effect::Deny);
        }
    }

    #[test]
    fn one_more_denial_never_widens(case in cases(), at in 0..3_usize, extra in patterns()) {
        let mut narrower = case.clone();
        narrower.defs[at].deny.extend(extra);
        let (before, after, server) = (case.policy(), narrower.policy(), case.server());
        for resource in [Resource::Server(&server), Resource::Tool(&server, &case.name),
            Resource::Prompt(&server, &case.name)] {
            for action in Action::ALL {
                if decide(&before, &case.subject(), action, &resource).effect == Effect::Deny {
                    prop_assert_eq!(decide(&after, &case.subject(), action, &resource).effect, Effect::Deny);
                }
            }
        }
    }
}

#[test]
fn what_a_person_approved_of_as_read_only_is_that_until_they_take_it_back() {
    let (git, web) = (server("git"), server("web"));
    let written = example();
    let (looker, user) = (subject(&["looker"]), subject(&["user"]));
    let may = |policy: &Policy, who: &Subject, at: &ServerName, tool: &str| {
        let tool = Resource::Tool(at, tool);
        let [called, listed] =
            [Action::Call, Action::List].map(|action| decide(policy, who, action, &tool).effect);
        assert_eq!(called, listed, "what is listed may be called, and the other way round");
        called == Effect::Allow
    };
    // Asked before, so that it is remembered.
    assert!(!may(&written, &looker, &git, "git_log") && !may(&written, &user, &web, "post_form"));
    let names = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect();
    let approved = Approved::from([
        (git.clone(), names(&["git_log", "odd*:name"])),
        (web.clone(), names(&["post_form"])),
    ]);
    let policy = written.approving(approved.clone());
    assert!(policy.is_approving(&approved));
    assert!(may(&policy, &looker, &git, "git_log") && may(&policy, &looker, &git, "odd*:name"));
    assert!(may(&policy, &looker, &git, "git_status"), "what is written stays");
    assert!(may(&policy, &user, &web, "post_form"), "`read_only` goes by it too");
    assert!(!may(&policy, &looker, &git, "git_push") && !may(&policy, &looker, &git, "odd-name"));
    let prompt = decide(&policy, &looker, Action::Get, &Resource::Prompt(&git, "git_log"));
    assert_eq!(prompt.effect, Effect::Deny, "a tool's name says nothing of a prompt");
    let taken_back = policy.approving(Approved::new());
    assert!(!may(&taken_back, &looker, &git, "git_log") && may(&taken_back, &looker, &git, "git_status"));
}
