use serde_json::json;

use super::files::{push, with_file};
use super::*;

#[test]
fn a_policy_that_is_too_deep_is_refused_and_not_walked() {
    for (text, what) in [
        (
            format!("permit (principal, action, resource) when {{ {}true }};", "true && ".repeat(100_000)),
            "operators",
        ),
        (
            format!(
                "permit (principal, action, resource) when {{ {}true{} }};",
                "(".repeat(50_000),
                ")".repeat(50_000)
            ),
            "operators",
        ),
        (
            format!(
                "permit (principal, action, resource) when {{ {}true else true }};",
                "if true then ".repeat(20_000)
            ),
            "operators",
        ),
        ("// x\n".repeat(300_000), "more than"),
    ] {
        let told = with_file(&text).unwrap_err();
        assert!(told.contains(what), "{}", told.chars().take(300).collect::<String>());
    }
}

#[test]
fn as_deep_as_is_allowed_is_walked_on_a_small_stack() {
    let condition = "context.strength > 1 && ".repeat(45);
    let text = format!("permit (principal, action, resource) when {{ {condition}true }};");
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let walked = thread.spawn(move || with_file(&text).map(|_| ())).unwrap();
    assert_eq!(walked.join().unwrap(), Ok(()));
}

#[test]
fn names_of_any_script_and_with_quotes_stay_one_name() {
    let git = server("git");
    for name in [
        "übung",
        "推送",
        "a\"b",
        "a\\b",
        "a\\\"); permit(principal, action, resource); //",
        "{x}",
        "p\u{202e}q",
        "🙂",
    ] {
        let policy = compile(&[("one", def(&[&format!("git/{name}")], &[]))]);
        let call = |name: &str| {
            decide(&policy, &subject(&["one"]), Action::Call, &Resource::Tool(&git, name)).effect
        };
        assert_eq!(call(name), Effect::Allow, "{name}");
        for other in ["push", "a", "", "p", &name.to_uppercase(), &format!("{name} "), &format!("x{name}")] {
            if *other != *name {
                assert_eq!(call(other), Effect::Deny, "{name} and {other}");
            }
        }
        let starred = compile(&[("one", def(&[&format!("git/{name}*")], &[]))]);
        let call = |name: &str| {
            decide(&starred, &subject(&["one"]), Action::Call, &Resource::Tool(&git, name)).effect
        };
        assert_eq!(call(&format!("{name}z")), Effect::Allow, "{name}");
        assert_eq!(call("push"), Effect::Deny, "{name}");
    }
}

#[test]
fn the_name_of_one_server_is_no_prefix_of_another() {
    let mut def = defined(&[("one", def(&["git", "git/a"], &[])), ("two", def(&["git/a*"], &["git-hub"]))]);
    def.servers.insert(server("git-hub"), ServerDef::default());
    def.servers.insert(server("gi"), ServerDef::default());
    let policy = Policy::compile(&def).unwrap();
    for other in ["git-hub", "gi"] {
        let other = server(other);
        for roles in [&["one"][..], &["two"]] {
            for action in [Action::List, Action::Call] {
                let used = decide(&policy, &subject(roles), action, &Resource::Tool(&other, "t/a"));
                assert_eq!(used.effect, Effect::Deny);
            }
            let seen = decide(&policy, &subject(roles), Action::List, &Resource::Server(&other));
            assert_eq!(seen.effect, Effect::Deny, "{other}");
        }
    }
}

#[test]
fn a_tool_cannot_be_taken_for_a_prompt_a_resource_or_a_member_of_another_server() {
    let policy = compile(&[("one", def(&["git/prompt:x", "git/resource:u:x"], &["git/x"]))]);
    let git = server("git");
    let call =
        |name: &str| decide(&policy, &subject(&["one"]), Action::Call, &Resource::Tool(&git, name)).effect;
    for name in ["x", "prompt:x", "resource:u:x", "u:x", "git/x"] {
        assert_eq!(call(name), Effect::Deny, "{name}");
    }
}

#[test]
fn a_role_that_vanished_denies_also_what_was_remembered() {
    let before = compile(&[("dev", def(&["git"], &[]))]);
    let git = server("git");
    let call = |policy: &Policy| {
        decide(policy, &subject(&["owner", "dev"]), Action::Call, &Resource::Tool(&git, "a")).effect
    };
    assert_eq!(call(&before), Effect::Allow);
    assert_eq!(call(&before), Effect::Allow, "remembered");
    assert_eq!(call(&compile(&[])), Effect::Deny, "a new policy remembers nothing");
}

#[test]
fn what_is_remembered_for_one_subject_is_not_told_to_another() {
    let policy = compile(&[("dev", def(&["git"], &[]))]);
    let git = server("git");
    let call = |subject: &Subject| decide(&policy, subject, Action::Call, &Resource::Tool(&git, "a")).effect;
    let scoped = |scope: &[&str]| subject(&["dev"]).within(Scope::parse(scope).unwrap());
    for _ in 0..2 {
        assert_eq!(call(&subject(&["dev"])), Effect::Allow);
        assert_eq!(call(&scoped(&["git/b"])), Effect::Deny);
        assert_eq!(call(&scoped(&["git/a"])), Effect::Allow);
        assert_eq!(call(&subject(&[])), Effect::Deny);
    }
    assert_ne!(policy.sight(&subject(&["dev"])), policy.sight(&scoped(&["git/b"])));
    assert_ne!(policy.sight(&scoped(&["git/a"])), policy.sight(&scoped(&["git/b"])));
    assert_ne!(policy.sight(&scoped(&[])), policy.sight(&subject(&["dev"])));
}

#[test]
fn subjects_that_a_policy_tells_apart_share_no_list() {
    for (text, apart) in [
        ("permit (principal, action, resource) when { principal.id like \"key:a*\" };", true),
        ("permit (principal == Subject::\"key:a\", action, resource);", true),
        ("permit (principal, action, resource) when { principal == Subject::\"key:a\" };", true),
        ("permit (principal, action, resource) when { principal in [Subject::\"key:a\"] };", true),
        ("permit (principal, action, resource) when { principal in Role::\"dev\" };", false),
    ] {
        let policy = with_file(text).unwrap();
        let [one, other] =
            ["a", "b"].map(|id| Subject::new(SubjectId::key(id), vec![role("dev")], Authentication::Key));
        assert_eq!(policy.sight(&one) != policy.sight(&other), apart, "{text}");
    }
}

#[test]
fn the_values_of_arguments_are_in_no_reason() {
    let policy = with_file(
        r#"forbid (principal, action == Action::"call", resource == Tool::"git/push")
           when { context.arguments has a && ip(context.arguments.a).isLoopback() };
           forbid (principal, action == Action::"call", resource == Tool::"git/push")
           when { context.arguments has n && context.arguments.n * 2 > 5 };"#,
    )
    .unwrap();
    for given in [json!({"a": "s3cret"}), json!({"n": 9_223_372_036_854_775_001_i64})] {
        let (effect, why) = push(&policy, &given);
        assert_eq!(effect, Effect::Deny);
        assert!(!why.contains("s3cret") && !why.contains("9223372036854775001"), "{why}");
    }
}

#[test]
fn numbers_beyond_64_bits_and_four_digits_deny() {
    let policy = with_file(
        r#"forbid (principal, action == Action::"call", resource == Tool::"git/push")
           when { context.arguments has n && context.arguments.n + 1 > 5 };
           forbid (principal, action == Action::"call", resource == Tool::"git/push")
           when { context.arguments has d && context.arguments.d.greaterThan(decimal("1.5")) };"#,
    )
    .unwrap();
    let raw = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(push(&policy, &json!({"n": 4})).0, Effect::Allow);
    assert_eq!(push(&policy, &json!({"n": 5})).0, Effect::Deny);
    let (effect, why) = push(&policy, &json!({"n": i64::MAX}));
    assert!(effect == Effect::Deny && why.contains("overflow"), "{why}");
    assert_eq!(push(&policy, &json!({"n": u64::MAX})).0, Effect::Deny);
    assert_eq!(push(&policy, &json!({"d": 1.25})).0, Effect::Allow);
    assert_eq!(push(&policy, &raw("{\"d\": 0.12345}")).0, Effect::Deny);
    assert_eq!(push(&policy, &raw("{\"d\": 1e300}")).0, Effect::Deny);
    assert_eq!(
        push(&policy, &json!({"d": 1})).0,
        Effect::Deny,
        "a whole number is no decimal where none is declared"
    );
}

#[test]
fn odd_names_of_arguments_are_themselves() {
    let policy = with_file(
        r#"forbid (principal, action == Action::"call", resource == Tool::"git/push")
           when { context.arguments has "a.b" && context.arguments["a.b"] == "x" };
           forbid (principal, action == Action::"call", resource == Tool::"git/push")
           when { context.arguments has "" && context.arguments[""] == "x" };
           forbid (principal, action == Action::"call", resource == Tool::"git/push")
           when { context.arguments has "__entity" && context.arguments["__entity"] == "x" };"#,
    )
    .unwrap();
    assert_eq!(push(&policy, &json!({"a": {"b": "x"}})).0, Effect::Allow);
    for odd in ["a.b", "", "__entity"] {
        assert_eq!(push(&policy, &json!({odd: "x"})).0, Effect::Deny, "{odd:?}");
        assert_eq!(push(&policy, &json!({odd: "y"})).0, Effect::Allow, "{odd:?}");
        let (effect, _) = push(&policy, &json!({odd: {"type": "Role", "id": "owner"}}));
        assert_eq!(effect, Effect::Allow, "an object is no text, and no entity: {odd:?}");
    }
}

#[test]
fn an_array_that_is_too_long_or_holds_objects_denies() {
    let policy = with_file(
        r#"forbid (principal, action == Action::"call", resource == Tool::"git/push")
           when { context.arguments has paths && context.arguments.paths.contains("/etc") };"#,
    )
    .unwrap();
    assert_eq!(push(&policy, &json!({"paths": ["/tmp"]})).0, Effect::Allow);
    assert_eq!(push(&policy, &json!({"paths": ["/tmp", "/etc"]})).0, Effect::Deny);
    assert_eq!(push(&policy, &json!({"paths": [{"a": "/etc"}]})).0, Effect::Deny);
    assert_eq!(push(&policy, &json!({"paths": [["/etc"]]})).0, Effect::Deny);
    assert_eq!(push(&policy, &json!({"paths": vec!["/tmp"; 5000]})).0, Effect::Deny);
}

#[test]
fn a_file_cannot_speak_as_a_role() {
    let told = with_file(
        "@id(\"x\") permit (principal, action, resource);\n@id(\"x\") permit (principal, action, resource);",
    );
    assert!(told.unwrap_err().contains("two policies"));
    let policy = with_file("@id(\"role owner: allow *\") permit (principal in Role::\"night\", action in Action::\"use\", resource);").unwrap();
    let decision = decide(&policy, &subject(&["night"]), Action::Call, &Resource::Tool(&server("git"), "a"));
    assert_eq!(decision.rules[0].as_str(), "policy/work.cedar: role owner: allow *");
}

/// Ten thousand roles and tools: what is asked of Cedar depends on what is about the same role and server, and not on
/// how much there is. A decision that walked all of it would take this test minutes.
#[test]
fn many_rules_cost_what_the_few_cost_that_matter() {
    let names: Vec<String> = (0..10_000).map(|at| format!("r{at}")).collect();
    let patterns: Vec<String> = (0..10_000).map(|at| format!("git/tool_{at}")).collect();
    let mut defs: Vec<(&str, RoleDef)> =
        names.iter().zip(&patterns).map(|(name, pattern)| (name.as_str(), def(&[pattern], &[]))).collect();
    let all: Vec<&str> = patterns.iter().map(String::as_str).collect();
    defs.push(("all", def(&all, &[])));
    let policy = compile(&defs);
    let git = server("git");
    for at in (0..10_000).step_by(500) {
        let name = format!("tool_{at}");
        let call = |roles: &[&str], name: &str| {
            decide(&policy, &subject(roles), Action::Call, &Resource::Tool(&git, name)).effect
        };
        assert_eq!(call(&[&names[at]], &name), Effect::Allow);
        assert_eq!(call(&[&names[at]], &format!("tool_{}", at + 1)), Effect::Deny);
        assert_eq!(call(&["all"], &name), Effect::Allow);
        let question = (&subject(&["all"]), Action::Call, Resource::Tool(&git, &name));
        let slice = policy.0.index.slice(&policy.0.rules, question, Form::Exact);
        assert_eq!(slice.policies.num_of_policies(), 1);
    }
}
