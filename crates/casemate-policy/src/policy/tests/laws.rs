//! The laws that hold lists and calls together, for policies that look at the context too.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::files::{members, with_file};
use super::*;

/// Conditions on things, all of which a policy can know in a list.
const KNOWN: [&str; 4] = [
    "resource.name == \"a\"",
    "resource.name like \"*b\"",
    "principal in Role::\"night\"",
    "resource.read_only",
];

/// Conditions on circumstances, each on a different one, so that some circumstances make each true and false at will.
const UNKNOWN: [&str; 4] = [
    "context.arguments has x && context.arguments.x == \"1\"",
    "context.strength > 2",
    "context has address && context.address.isLoopback()",
    "context.time < datetime(\"2000-01-01\")",
];

fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(&KNOWN[..]).prop_map(str::to_owned),
        prop::sample::select(&UNKNOWN[..]).prop_map(|text| format!("({text})")),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("(if {a} then {b} else {c})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

fn policies() -> impl Strategy<Value = String> {
    let head = prop_oneof![
        Just("principal, action == Action::\"call\", resource"),
        Just("principal in Role::\"dev\", action == Action::\"call\", resource in Server::\"git\""),
        Just("principal, action == Action::\"call\", resource == Tool::\"git/a\""),
    ];
    let word = prop_oneof![Just("permit"), Just("forbid"), Just("@ask(\"subject\") permit")];
    let clause = prop_oneof![Just("when"), Just("unless")];
    let one = (word, head, clause, condition())
        .prop_map(|(word, head, clause, condition)| format!("{word} ({head}) {clause} {{ {condition} }};"));
    prop::collection::vec(one, 0..5).prop_map(|all| all.join("\n"))
}

/// All circumstances that the conditions tell apart.
fn circumstances() -> Vec<(Value, Authentication, Option<IpAddr>, u64)> {
    let mut all = Vec::new();
    for arguments in [json!({}), json!({"x": "1"})] {
        for authentication in [Authentication::Key, Authentication::Local] {
            for address in [None, Some(IpAddr::from([127, 0, 0, 1]))] {
                for unix_ms in [0, 1_800_000_000_000] {
                    all.push((arguments.clone(), authentication, address, unix_ms));
                }
            }
        }
    }
    all
}

fn called(policy: &Policy, roles: &[&str], name: &str) -> Vec<Effect> {
    let git = server("git");
    let called =
        |(arguments, authentication, address, unix_ms): (Value, Authentication, Option<IpAddr>, u64)| {
            let arguments = members(&arguments);
            let arguments = Arguments::Given(&arguments);
            let context = Context { unix_ms, address, arguments, tool: None };
            let roles = roles.iter().map(|name| role(name)).collect();
            let subject = Subject::new(SubjectId::key("t"), roles, authentication);
            policy
                .decide(&subject, &Request::new(Action::Call, Resource::Tool(&git, name)).under(context))
                .effect
        };
    circumstances().into_iter().map(called).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_permitted_call_is_listed(text in policies(), name in "[ab]{1,2}", night in any::<bool>()) {
        // What a validator finds senseless (always false) is refused, and is no case.
        let Ok(policy) = with_file(&text) else { return Ok(()) };
        let git = server("git");
        let roles: &[&str] = if night { &["dev", "night"] } else { &["night"] };
        let listed = decide(&policy, &subject(roles), Action::List, &Resource::Tool(&git, &name)).effect;
        let called = called(&policy, roles, &name);
        if called.iter().any(|effect| *effect != Effect::Deny) {
            prop_assert_ne!(listed, Effect::Deny, "a permitted call is not listed: {}", text);
            let seen = decide(&policy, &subject(roles), Action::List, &Resource::Server(&git)).effect;
            prop_assert_eq!(seen, Effect::Allow, "its server is not seen: {}", text);
        }
        if !text.contains("context") {
            prop_assert!(called.iter().all(|effect| (*effect == Effect::Deny) == (listed == Effect::Deny)), "without context both are equal: {}", text);
        }
    }

    /// With one condition to each circumstance, what is listed is permitted in some.
    #[test]
    fn what_is_listed_is_permitted_in_some_circumstances(
        words in prop::collection::vec((any::<bool>(), any::<bool>(), 0..KNOWN.len()), UNKNOWN.len()),
        name in "[ab]{1,2}",
    ) {
        let each = words.iter().zip(UNKNOWN).map(|((permits, negated, known), unknown)| {
            let (word, not) = (if *permits { "permit" } else { "forbid" }, if *negated { "!" } else { "" });
            format!("{word} (principal, action == Action::\"call\", resource) when {{ {} && {not}({unknown}) }};", KNOWN[*known])
        });
        let text: Vec<String> = each.collect();
        let policy = with_file(&text.join("\n")).unwrap();
        let listed = decide(&policy, &subject(&["night"]), Action::List, &Resource::Tool(&server("git"), &name));
        let permitted = called(&policy, &["night"], &name).iter().any(|effect| *effect != Effect::Deny);
        prop_assert_eq!(listed.effect != Effect::Deny, permitted, "{:#?}", text);
    }

    #[test]
    fn one_more_forbid_never_widens(text in policies(), more in condition(), name in "[ab]{1,2}") {
        let more = format!("{text}\nforbid (principal, action == Action::\"call\", resource) when {{ {more} }};");
        let (Ok(before), Ok(after)) = (with_file(&text), with_file(&more)) else { return Ok(()) };
        for (before, after) in called(&before, &["dev"], &name).iter().zip(called(&after, &["dev"], &name)) {
            prop_assert!(after == *before || after == Effect::Deny, "{:?} became {:?}: {}", before, after, more);
        }
    }

    #[test]
    fn a_forbid_that_is_true_wins(text in policies(), name in "[ab]{1,2}") {
        let text = format!("{text}\nforbid (principal, action, resource in Server::\"git\");");
        let Ok(policy) = with_file(&text) else { return Ok(()) };
        prop_assert!(called(&policy, &["dev"], &name).iter().all(|effect| *effect == Effect::Deny));
        let listed = decide(&policy, &subject(&["dev"]), Action::List, &Resource::Tool(&server("git"), &name));
        prop_assert_eq!(listed.effect, Effect::Deny);
    }

    #[test]
    fn a_rule_that_cannot_be_evaluated_denies_whatever_the_others_say(text in policies(), name in "[ab]{1,2}") {
        let text = format!("{text}\nforbid (principal, action == Action::\"call\", resource) when {{ context.arguments.y > 1 }};");
        let Ok(policy) = with_file(&text) else { return Ok(()) };
        prop_assert!(called(&policy, &["dev"], &name).iter().all(|effect| *effect == Effect::Deny));
    }
}
