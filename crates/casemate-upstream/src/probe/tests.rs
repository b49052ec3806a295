use casemate_mcp::call::Answer;
use casemate_mcp::frame::ErrorObject;
use casemate_mcp::json::{Limits, Members, Raw};
use casemate_mcp::revision::Revision;

use super::{Verdict, discover_params, initialize_params, judge, wants_again, welcome};

fn raw(text: &str) -> Raw {
    Raw::check(text.replace('\'', "\"").into(), &Limits::default()).unwrap()
}

fn result(text: &str) -> Answer {
    Answer::Result(raw(text))
}

fn error(code: i64, data: Option<&str>) -> Answer {
    Answer::Error(ErrorObject { code, message: "m".into(), data: data.map(raw) })
}

#[test]
fn the_answer_to_discover_tells_the_dialect() {
    let table = [
        (result("{'supportedVersions':['2026-07-28'],'capabilities':{'tools':{}}}"), "modern"),
        (result("{'supportedVersions':['2027-01-01','2026-07-28']}"), "modern"),
        (result("{'supportedVersions':['2025-11-25']}"), "legacy"),
        (result("{'supportedVersions':['2027-01-01']}"), "it speaks only 2027-01-01"),
        (result("{}"), "legacy"),
        (result("'hello'"), "legacy"),
        (error(-32601, None), "legacy"),
        (error(-32602, None), "legacy"),
        (error(-32000, None), "legacy"),
        (error(0, None), "legacy"),
        (error(-32022, None), "legacy"),
        (error(-32022, Some("{'supported':['2025-11-25','2027-01-01']}")), "legacy"),
        (
            error(-32022, Some("{'supported':['2026-07-28']}")),
            "it refuses 2026-07-28, which it says that it speaks",
        ),
        (
            error(-32022, Some("{'supported':['2027-01-01','2028-01-01']}")),
            "it speaks only 2027-01-01, 2028-01-01",
        ),
    ];
    for (answer, expected) in table {
        let verdict = match judge(&answer) {
            Verdict::Modern(hello) => {
                assert_eq!(hello.revision, Revision::V2026_07_28);
                "modern".to_owned()
            }
            Verdict::Legacy => "legacy".to_owned(),
            Verdict::Stranger { why } => why,
        };
        assert_eq!(verdict, expected, "{answer:?}");
    }
}

#[test]
fn who_refuses_what_they_say_they_speak_is_asked_once_more() {
    let refused = |code, data| wants_again(&error(code, Some(data)));
    assert!(refused(-32022, "{'supported':['2025-11-25','2026-07-28']}"));
    assert!(!refused(-32022, "{'supported':['2025-11-25']}"));
    assert!(!refused(-32020, "{'supported':['2026-07-28']}"));
    assert!(!wants_again(&result("{'supportedVersions':['2026-07-28']}")));
}

#[test]
fn what_a_server_says_of_itself_is_kept_as_it_wrote_it() {
    let text = "{'supportedVersions':['2026-07-28'],'capabilities':{'x': 1.0},'instructions':'i','_meta':{'io.modelcontextprotocol/serverInfo':{'name':'n'}}}";
    let Verdict::Modern(hello) = judge(&result(text)) else { panic!("not modern") };
    assert_eq!(hello.raw, raw(text));
    assert_eq!(hello.capabilities.raw().as_str(), r#"{"x": 1.0}"#);
    assert_eq!(hello.server_info, Some(raw("{'name':'n'}")));
    assert_eq!(hello.instructions, Some(raw("'i'")));
}

#[test]
fn initialize_opens_legacy_revisions_alone() {
    for revision in Revision::ALL {
        let opened = welcome(result(&format!("{{'protocolVersion':'{revision}','serverInfo':{{}}}}")));
        assert_eq!(opened.is_ok(), !revision.is_modern(), "{revision}");
    }
    assert!(welcome(result("{}")).is_err());
    assert!(welcome(result("[]")).is_err());
    assert!(welcome(error(-32600, None)).is_err());
}

#[test]
fn both_openings_say_who_we_are() {
    let offered = Members::empty();
    let info = raw("{'name':'casemate'}");
    assert_eq!(
        initialize_params(&offered, &info).as_str(),
        r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"casemate"}}"#
    );
    assert_eq!(
        discover_params(&offered, &info).as_str(),
        r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"casemate"}}}"#
    );
}
