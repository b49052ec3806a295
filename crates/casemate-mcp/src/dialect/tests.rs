use bytes::Bytes;
use expect_test::{Expect, expect};

use super::{legacy, modern};
use crate::call::{Call, Meta};
use crate::frame::{ErrorObject, code};
use crate::json::{Limits, Members, Raw};
use crate::method::Method;
use crate::revision::Revision;

fn members(text: &'static str) -> Members {
    Members::check(Bytes::from_static(text.as_bytes()), &Limits::default()).unwrap()
}

fn session() -> Meta {
    Meta {
        revision: Revision::V2025_06_18,
        progress: None,
        capabilities: members(r#"{"roots":{}}"#),
        client_info: Some(Raw::of("me")),
        log_level: Some("info".into()),
    }
}

fn check(actual: &Raw, expected: Expect) {
    expected.assert_eq(actual.as_str());
}

fn modern_call(method: Method, text: &'static str) -> Result<Call, ErrorObject> {
    let params = Some(members(text));
    let named = modern::Named::find(params.as_ref());
    modern::call(method, params, named)
}

#[test]
fn a_legacy_call_is_written_for_both_dialects() {
    let text =
        r#"{"name":"x","arguments":{"a": 1.0},"_meta":{"progressToken":7,"traceparent":"00-ab"},"extra":[]}"#;
    let call = legacy::call(Method::ToolsCall, Some(members(text)), &session());
    assert_eq!(call.meta.progress.as_ref().map(Raw::as_str), Some("7"));
    check(
        &legacy::params(&call, None),
        expect![[r#"{"name":"x","arguments":{"a": 1.0},"_meta":{"traceparent":"00-ab"},"extra":[]}"#]],
    );
    check(
        &modern::params(&call, call.meta.capabilities.raw(), Some(Raw::of("t1"))),
        expect![[
            r#"{"name":"x","arguments":{"a": 1.0},"_meta":{"progressToken":"t1","traceparent":"00-ab","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/clientInfo":"me","io.modelcontextprotocol/logLevel":"info"},"extra":[]}"#
        ]],
    );
}

#[test]
fn a_modern_call_loses_its_dialect_on_the_way_to_a_legacy_server() {
    let text = r#"{"name":"x","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}"#;
    let call = modern_call(Method::ToolsCall, text).unwrap();
    check(&legacy::params(&call, None), expect![[r#"{"name":"x"}"#]]);
    check(
        &legacy::params(&call, Some(Raw::of(&1))),
        expect![[r#"{"name":"x","_meta":{"progressToken":1}}"#]],
    );
}

#[test]
fn params_that_need_no_change_are_the_same_bytes() {
    let call = legacy::call(Method::ToolsCall, Some(members(r#"{ "name" : "x" }"#)), &session());
    check(&legacy::params(&call, None), expect![[r#"{ "name" : "x" }"#]]);
}

#[test]
fn modern_requests_without_their_meta_get_the_prescribed_errors() {
    let error = |text| modern_call(Method::ToolsList, text).unwrap_err();
    assert_eq!(modern::call(Method::ToolsList, None, None).unwrap_err().code, code::INVALID_PARAMS);
    assert_eq!(error("{}").code, code::INVALID_PARAMS);
    assert_eq!(
        error(r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#).code,
        code::INVALID_PARAMS
    );
    let unknown = error(
        r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"1999-01-01","io.modelcontextprotocol/clientCapabilities":{}}}"#,
    );
    assert_eq!(unknown.code, code::UNSUPPORTED_VERSION);
    check(
        unknown.data.as_ref().unwrap(),
        expect![[
            r#"{"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"],"requested":"1999-01-01"}"#
        ]],
    );
}

#[test]
fn results_get_and_lose_the_words_of_the_modern_dialect() {
    let list = members(r#"{"tools":[]}"#).raw().clone();
    let modern = modern::result(&Method::ToolsList, list.clone());
    check(&modern, expect![[r#"{"tools":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#]]);
    check(&legacy::result(modern), expect![[r#"{"tools":[]}"#]]);
    check(&modern::result(&Method::ToolsCall, list), expect![[r#"{"tools":[],"resultType":"complete"}"#]]);
    let question = members(r#"{"resultType":"input_required","inputRequests":{}}"#).raw().clone();
    assert_eq!(modern::result(&Method::ResourcesRead, question.clone()), question);
}

#[test]
fn a_missing_resource_has_the_code_of_its_dialect() {
    let error = ErrorObject {
        data: Some(Raw::of(&[("uri", 1)].into_iter().collect::<std::collections::BTreeMap<_, _>>())),
        ..ErrorObject::new(code::INVALID_PARAMS, "no")
    };
    assert_eq!(legacy::error(&Method::ResourcesRead, error.clone()).code, code::RESOURCE_NOT_FOUND);
    assert_eq!(modern::error(legacy::error(&Method::ResourcesRead, error)).code, code::INVALID_PARAMS);
    let other = ErrorObject::new(code::INVALID_PARAMS, "uri has to be a string");
    assert_eq!(legacy::error(&Method::ResourcesRead, other).code, code::INVALID_PARAMS);
}

#[test]
fn a_session_speaks_what_was_asked_for_or_our_newest() {
    let agreed = |asked: &'static str| {
        let text = format!(r#"{{"protocolVersion":"{asked}"}}"#);
        let params = Raw::check(text.into(), &Limits::default()).unwrap().members().unwrap();
        legacy::Hello::read(Some(&params)).unwrap().agreed()
    };
    assert_eq!(agreed("2024-11-05"), Revision::V2024_11_05);
    assert_eq!(agreed("2026-07-28"), Revision::V2025_11_25);
    assert_eq!(agreed("whatever"), Revision::V2025_11_25);
    assert!(legacy::Hello::read(None).is_err());
}
