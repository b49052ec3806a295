//! What a judgement costs. Prints figures, so it is run by hand:
//! `cargo test --release -p casemate-policy figures -- --ignored --nocapture`.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use serde_json::json;

use super::files::{members, with_file};
use super::*;
use crate::request::ToolFacts;

const ROUNDS: u32 = 20_000;

#[expect(clippy::disallowed_methods, reason = "this measures, and decides nothing by the clock")]
fn measured(what: &str, mut one: impl FnMut()) -> f64 {
    (0..1000).for_each(|_| one());
    let started = Instant::now();
    (0..ROUNDS).for_each(|_| one());
    let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS);
    writeln!(std::io::stderr(), "{what:52} {micros:8.2} µs").unwrap();
    micros
}

#[test]
#[ignore = "prints figures, which mean something in release mode only"]
fn what_a_judgement_costs() {
    let git = server("git");
    let roles = example();
    let reader = subject(&["reader"]);
    let call = Request::new(Action::Call, Resource::Tool(&git, "git_status"));
    let warm = measured("roles, remembered", || drop(black_box(roles.decide(&reader, &call))));
    let mut names = (0..).map(|at| format!("git_{at}"));
    measured("roles, each tool for the first time", || {
        let name = names.next().unwrap();
        drop(black_box(roles.decide(&reader, &Request::new(Action::Call, Resource::Tool(&git, &name)))));
    });
    let text = r#"
        forbid (principal, action == Action::"call", resource == Tool::"git/push")
        when { context.arguments has branch && context.arguments.branch == "main" };
        forbid (principal, action == Action::"call", resource in Server::"git")
        when { context.arguments has paths && context.arguments.paths.contains("/etc/passwd") };
        forbid (principal, action, resource in Server::"git") unless { context.time > datetime("2020-01-01") };
    "#;
    let policy = with_file(text).unwrap();
    let dev = subject(&["dev"]);
    let arguments =
        members(&json!({"branch": "dev", "paths": ["/tmp/a", "/tmp/b"], "message": "x".repeat(1000)}));
    let schema = Raw::of(&json!({"type": "object", "properties": {
        "branch": {"type": "string"}, "paths": {"type": "array", "items": {"type": "string"}}, "message": {"type": "string"},
    }}));
    let tool = Some(ToolFacts { input_schema: Some(&schema), annotations: None });
    let context = Context {
        unix_ms: 1_800_000_000_000,
        arguments: Arguments::Given(&arguments),
        tool,
        ..Context::default()
    };
    let push = Request::new(Action::Call, Resource::Tool(&git, "push")).under(context);
    let cold =
        measured("three policies on arguments and time", || drop(black_box(policy.decide(&dev, &push))));
    if !cfg!(debug_assertions) {
        assert!(warm < 4.0 && cold < 25.0, "goals: 4 µs remembered, 25 µs with arguments");
    }
}
