use std::time::Duration;

use casemate_mcp::json::Limits;
use casemate_mcp::names::ServerName;

use super::*;
use crate::snapshot::{Event, Mode, Sight, Unheard, Way};

fn interceptor(kind: InterceptorKind) -> Interceptor {
    Interceptor {
        name: "own".into(),
        kind,
        way: Way::Server { server: ServerName::parse("judge").unwrap(), interceptor: "theirs".into() },
        events: [Event::ToolsCall].into(),
        phases: [Phase::Request].into(),
        servers: None,
        tools: None,
        time_max: Duration::from_secs(1),
        mode: Mode::Active,
        unheard: Unheard::Closed,
        order: 0,
        bytes_max: 1 << 20,
        sight: Sight::Cleared,
        config: None,
    }
}

fn verdict(kind: InterceptorKind, answer: &'static str) -> Result<Verdict, String> {
    let answer = Raw::check(answer.into(), &Limits::default()).unwrap();
    read(&interceptor(kind), ("theirs", Phase::Request), &answer)
}

fn judged(is_valid: bool, grade: Option<Grade>, message: Option<&str>) -> Verdict {
    Verdict::Judged { is_valid, grade, message: message.map(str::to_owned) }
}

#[test]
fn a_validator_says_yes_or_no_and_how_bad_it_is() {
    let said = |answer| verdict(InterceptorKind::Validator, answer).unwrap();
    assert_eq!(said(r#"{"valid":true}"#), judged(true, None, None));
    assert_eq!(said(r#"{"valid":false}"#), judged(false, Some(Grade::Error), None));
    assert_eq!(said(r#"{"valid":false,"severity":"warn"}"#), judged(false, Some(Grade::Warn), None));
    // A message that is worse than the whole counts.
    let worse = r#"{"valid":false,"severity":"info","messages":[{"message":"a","severity":"info"},{"message":"b","severity":"error"}]}"#;
    assert_eq!(said(worse), judged(false, Some(Grade::Error), Some("b")));
    let whole = r#"{"interceptor":"theirs","type":"validation","phase":"request","resultType":"complete","durationMs":3,"info":{},"valid":true,"messages":[{"path":"x","message":"hm","severity":"warn"}],"new":1}"#;
    assert_eq!(said(whole), judged(true, Some(Grade::Warn), Some("hm")));
}

#[test]
fn a_mutator_leaves_it_or_gives_an_object() {
    let said = |answer| verdict(InterceptorKind::Mutator, answer).unwrap();
    assert_eq!(said(r#"{"modified":false}"#), Verdict::Unchanged);
    assert_eq!(said(r#"{"modified":false,"payload":{"a":1}}"#), Verdict::Unchanged);
    let changed = Raw::check(r#"{"a":2}"#.into(), &Limits::default()).unwrap();
    assert_eq!(said(r#"{"modified":true,"payload":{"a":2}}"#), Verdict::Changed(changed));
}

#[test]
fn what_is_not_understood_is_no_verdict() {
    for answer in [
        "[]",
        "{}",
        r#"{"valid":"true"}"#,
        r#"{"valid":1}"#,
        r#"{"valid":null}"#,
        r#"{"valid":true,"severity":"fatal"}"#,
        r#"{"valid":true,"severity":"error"}"#,
        r#"{"valid":true,"messages":[{"message":"x","severity":"error"}]}"#,
        r#"{"valid":true,"messages":{}}"#,
        r#"{"valid":true,"messages":["x"]}"#,
        r#"{"valid":true,"messages":[{"message":"x"}]}"#,
        r#"{"valid":true,"messages":[{"severity":"info"}]}"#,
        r#"{"valid":true,"modified":true,"payload":{}}"#,
        r#"{"valid":true,"payload":{}}"#,
        r#"{"valid":true,"type":"mutation"}"#,
        r#"{"valid":true,"phase":"response"}"#,
        r#"{"valid":true,"interceptor":"other"}"#,
        r#"{"valid":true,"resultType":"input_required"}"#,
    ] {
        assert!(verdict(InterceptorKind::Validator, answer).is_err(), "{answer}");
    }
    for answer in [
        "{}",
        r#"{"modified":"yes","payload":{}}"#,
        r#"{"modified":true}"#,
        r#"{"modified":true,"payload":[]}"#,
        r#"{"modified":true,"payload":"{}"}"#,
        r#"{"modified":true,"payload":{},"valid":true}"#,
        r#"{"modified":true,"payload":{},"type":"validation"}"#,
    ] {
        assert!(verdict(InterceptorKind::Mutator, answer).is_err(), "{answer}");
    }
}
