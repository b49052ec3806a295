use std::net::IpAddr;

use bytes::Bytes;
use casemate_mcp::json::{Limits, Members, Raw};
use expect_test::expect;
use serde_json::{Value, json};

use super::*;
use crate::request::ToolFacts;

pub(super) fn with_file(text: &str) -> Result<Policy, String> {
    let mut def = defined(&[("dev", def(&["git"], &[])), ("night", def(&[], &[]))]);
    def.files.push(PolicyFile { name: "policy/work.cedar".into(), text: text.into() });
    Policy::compile(&def)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

pub(super) fn members(value: &Value) -> Members {
    Members::check(Bytes::from(value.to_string()), &Limits::default()).unwrap()
}

/// Calls `git/push` as `dev` with these arguments.
pub(super) fn push(policy: &Policy, arguments: &Value) -> (Effect, String) {
    push_as(policy, arguments, None)
}

pub(super) fn push_as(policy: &Policy, arguments: &Value, schema: Option<&Value>) -> (Effect, String) {
    let (git, arguments) = (server("git"), members(arguments));
    let schema = schema.map(Raw::of);
    let tool = Some(ToolFacts { input_schema: schema.as_ref(), annotations: None });
    let context = Context { arguments: Arguments::Given(&arguments), tool, ..Context::default() };
    let request = Request::new(Action::Call, Resource::Tool(&git, "push")).under(context);
    let decision = policy.decide(&subject(&["dev"]), &request);
    (decision.effect, decision.rules.iter().map(RuleId::as_str).collect::<Vec<_>>().join("; "))
}

const MAIN: &str = r#"
    @id("no main")
    forbid (principal, action == Action::"call", resource == Tool::"git/push")
    when { context.arguments has branch && context.arguments.branch == "main" };
"#;

#[test]
fn a_policy_looks_at_arguments() {
    let policy = with_file(MAIN).unwrap();
    assert_eq!(push(&policy, &json!({"branch": "dev"})), (Effect::Allow, "role dev: allow git".into()));
    let denied = (Effect::Deny, "policy/work.cedar: no main".to_owned());
    assert_eq!(push(&policy, &json!({"branch": "main"})), denied);
    assert_eq!(
        push(&policy, &json!({"branch": "main", "other": [1, {}]})),
        denied,
        "others are not converted"
    );
    assert_eq!(push(&policy, &json!({})).0, Effect::Allow, "what is not given has no branch");
    assert_eq!(push(&policy, &json!({"branch": null})).0, Effect::Allow, "null is nothing");
    let (effect, why) = push(&policy, &json!({"branch": ["main"]}));
    assert_eq!(effect, Effect::Allow, "a set equals no text: {why}");
}

#[test]
fn a_forbid_on_a_missing_or_mistyped_argument_does_not_vanish() {
    // Cedar alone passes over a policy that cannot be evaluated, and this call would be allowed.
    let bare = r#"forbid (principal, action == Action::"call", resource == Tool::"git/push")
        when { context.arguments.force > 3 };"#;
    let policy = with_file(bare).unwrap();
    assert_eq!(push(&policy, &json!({"force": 1})).0, Effect::Allow);
    assert_eq!(push(&policy, &json!({"force": 4})).0, Effect::Deny);
    for mistyped in [
        json!({}),
        json!({"force": "4"}),
        json!({"force": 4.5}),
        json!({"force": null}),
        json!({"force": 1e30}),
    ] {
        let (effect, why) = push(&policy, &mistyped);
        assert_eq!(effect, Effect::Deny, "{mistyped}");
        assert!(why.starts_with("error: "), "{why}");
    }
}

#[test]
fn a_policy_is_held_against_what_the_tool_declares() {
    let policy = with_file(MAIN).unwrap();
    let declared =
        |branch: Value| json!({"type": "object", "properties": {"branch": branch}, "required": ["branch"]});
    let main = json!({"branch": "dev"});
    for fitting in [
        json!({"type": "string"}),
        json!({"type": ["string", "null"]}),
        json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
        json!({"enum": ["dev", "main"]}),
    ] {
        assert_eq!(push_as(&policy, &main, Some(&declared(fitting.clone()))).0, Effect::Allow, "{fitting}");
    }
    for (other, why) in [
        (json!({"type": "integer"}), "the types"),
        (json!({"type": ["string", "integer"]}), "several types"),
        (json!({"$ref": "#/$defs/gone"}), "reference to nothing"),
    ] {
        let (effect, told) = push_as(&policy, &main, Some(&declared(other.clone())));
        assert_eq!(effect, Effect::Deny, "{other}");
        assert!(told.contains(why), "{told}");
    }
    let referred =
        json!({"properties": {"branch": {"$ref": "#/$defs/B"}}, "$defs": {"B": {"type": "string"}}});
    assert_eq!(push_as(&policy, &json!({"branch": "main"}), Some(&referred)).0, Effect::Deny);
    assert_eq!(push_as(&policy, &main, Some(&referred)).0, Effect::Allow);
    let unguarded = MAIN.replace("context.arguments has branch && ", "");
    let policy = with_file(&unguarded).unwrap();
    let optional = json!({"type": "object", "properties": {"branch": {"type": "string"}}});
    let (effect, why) = push_as(&policy, &json!({"branch": "dev"}), Some(&optional));
    assert_eq!(effect, Effect::Deny, "an optional argument wants a guard");
    assert!(why.contains("branch"), "{why}");
}

#[test]
fn time_address_authentication_and_claims_can_be_looked_at() {
    let text = r#"
        forbid (principal, action, resource in Server::"git")
        unless { context.time >= datetime("2026-11-28T08:00:00Z") && context.time < datetime("2026-11-28T18:00:00Z") };
        forbid (principal, action, resource in Server::"git")
        unless { context has address && context.address.isInRange(ip("10.0.0.0/8")) };
        forbid (principal, action, resource in Server::"git") when { context.strength < 2 };
        forbid (principal, action == Action::"call", resource in Server::"git")
        when { context.claimed has destructive && context.claimed.destructive };
    "#;
    let policy = with_file(text).unwrap();
    let git = server("git");
    let noon = crate::calendar::read("2026-11-28T12:00Z").unwrap();
    let call = |hour: u64, address: Option<&str>, authentication, annotations: Value| {
        let address = address.map(|text| text.parse::<IpAddr>().unwrap());
        let annotations = Raw::of(&annotations);
        let tool = Some(ToolFacts { input_schema: None, annotations: Some(&annotations) });
        let context = Context { unix_ms: noon + hour * 3_600_000, address, tool, ..Context::default() };
        let subject = Subject::new(SubjectId::key("k"), vec![role("dev")], authentication);
        policy
            .decide(&subject, &Request::new(Action::Call, Resource::Tool(&git, "push")).under(context))
            .effect
    };
    let token = Authentication::Token;
    assert_eq!(call(0, Some("10.1.2.3"), token, json!({})), Effect::Allow);
    assert_eq!(call(6, Some("10.1.2.3"), token, json!({})), Effect::Deny, "at six in the evening");
    assert_eq!(call(0, Some("192.0.2.1"), token, json!({})), Effect::Deny);
    assert_eq!(call(0, None, token, json!({})), Effect::Deny, "no address is not an address in the range");
    assert_eq!(call(0, Some("10.1.2.3"), Authentication::Key, json!({})), Effect::Deny);
    assert_eq!(call(0, Some("10.1.2.3"), token, json!({"destructiveHint": true})), Effect::Deny);
    assert_eq!(call(0, Some("10.1.2.3"), token, json!({"destructiveHint": "odd"})), Effect::Allow);
    let listed = decide(&policy, &subject(&["dev"]), Action::List, &Resource::Tool(&git, "push"));
    assert_eq!(listed.effect, Effect::Allow, "what may be allowed at another time is listed");
}

#[test]
fn a_policy_can_ask() {
    let text = r#"@id("big") @ask("operator")
        permit (principal in Role::"night", action == Action::"call", resource == Tool::"git/push")
        when { context.arguments has lines && context.arguments.lines > 100 };"#;
    let policy = with_file(text).unwrap();
    let (git, big) = (server("git"), members(&json!({"lines": 101})));
    let context = Context { arguments: Arguments::Given(&big), ..Context::default() };
    let request = Request::new(Action::Call, Resource::Tool(&git, "push")).under(context);
    let decide = |roles: &[&str]| policy.decide(&subject(roles), &request).effect;
    assert_eq!(decide(&["night"]), Effect::Ask(Answerer::Operator));
    assert_eq!(decide(&["night", "dev"]), Effect::Ask(Answerer::Operator));
    assert_eq!(decide(&["dev"]), Effect::Allow);
}

#[test]
fn examples_are_judged_when_the_file_is_read() {
    let examples = "
        // must allow: dev call git/push {\"branch\": \"dev\"}
        // must deny: dev call git/push {\"branch\": \"main\"} from 10.0.0.1 at 2026-11-28T19:00Z by key
        // must deny: night call git/push
    ";
    let policy = with_file(&format!("{MAIN}{examples}")).unwrap();
    assert_eq!(policy.examples(), 3);
    let wrong = with_file(&format!(
        "{MAIN}\n// must allow: dev call git/push {{\"branch\": \"main\"}}\n// must nothing: dev call git/push\n// must deny dev\n// must deny: dev\n"
    ));
    expect![[r#"
        policy/work.cedar:6:1: the example must allow, and what comes out is deny, by policy/work.cedar: no main
        policy/work.cedar:7:1: "nothing" is no outcome: there is `allow`, `ask` and `deny`
        policy/work.cedar:8:1: an example is written `must allow: ROLE ACTION TARGET`
        policy/work.cedar:9:1: the example cannot be read: it names no action: one of list, call, read, get, complete, subscribe, view, administer"#]]
    .assert_eq(&wrong.unwrap_err());
}

#[test]
fn all_mistakes_of_a_file_are_told_with_their_places() {
    let text = r#"permit (principal in Role::"dve", action, resource);
permit (principal, action == Action::"cal", resource);
permit (principal, action, resource in Server::"gti");
forbid (principal, action == Action::"call", resource) when { resource.nam == "x" };
permit (principal, action, resource) when { context == {} };
@id("a") @ask("me") permit (principal, action, resource);
@ask("subject") forbid (principal, action, resource);
@note("x") permit (principal, action, resource);
forbid (principal, action in Action::"use", resource) when { context.arguments has x };
permit (principal, action, resource) when { 1 + };
permit (principal == ?principal, action, resource);
permit (principal, action, resource == Tool::"git");
forbid (principal, action == Action::"call", resource) when { context.arguments == {} };
"#;
    expect_file!["../faults.txt"].assert_eq(&format!("{}\n", with_file(text).unwrap_err()));
}

#[test]
fn rules_that_do_not_fit_a_tool_are_found_before_it_is_called() {
    let policy = with_file(MAIN).unwrap();
    let git = server("git");
    let misfits =
        |policy: &Policy, tool: &str, schema: Value| policy.misfits((&git, tool), &Raw::of(&schema));
    let declared = |kind: &str| json!({"type": "object", "properties": {"branch": {"type": kind}}});
    assert_eq!(misfits(&policy, "push", declared("string")), []);
    assert_eq!(misfits(&policy, "push", json!({"type": "object", "properties": {}})), []);
    let found = misfits(&policy, "push", declared("integer"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0.as_str(), "policy/work.cedar: no main");
    assert_eq!(misfits(&policy, "other", declared("integer")), [], "it is about another tool");
    // What is found is what a call would be denied for.
    assert_eq!(push_as(&policy, &json!({"branch": 1}), Some(&declared("integer"))).0, Effect::Deny);
}
