use super::*;

fn parse(text: &str) -> Result<Frame, Fault> {
    Frame::parse(Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
}

#[test]
fn frames_come_out_as_they_went_in() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","unknown":1.0}}"#,
        r#"{"jsonrpc":"2.0","id":"a\"b","method":"vendor/thing"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":-7,"result":{"a":[1,2.50,"\u0041"]}}"#,
        r#"{"jsonrpc":"2.0","id":3,"error":{"code":-32601,"message":"no","data":{"x":1}}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}"#,
    ] {
        assert_eq!(parse(text).expect(text).encode(), text.as_bytes());
    }
}

#[test]
fn what_is_no_message_is_refused_with_the_reason() {
    for (text, why) in [
        (r#"{"id":1,"method":"ping"}"#, "jsonrpc"),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, "jsonrpc"),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, "null"),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, "integer"),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, "integer"),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, "method"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}"#, "params"),
        (r#"{"jsonrpc":"2.0","id":1}"#, "neither"),
        (r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}"#, "neither"),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#, "error"),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "batches"),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, "twice"),
        ("7", "not JSON"),
    ] {
        let fault = parse(text).expect_err(text).to_string();
        assert!(fault.contains(why), "{text}: {fault}");
    }
}

#[test]
fn a_fault_carries_the_id_that_could_be_read() {
    assert_eq!(parse(r#"{"id":9,"method":"ping"}"#).unwrap_err().id(), Some(&Id::Number(9)));
    assert_eq!(parse(r#"{"jsonrpc":"2.0","id":"q"}"#).unwrap_err().id(), Some(&Id::String("q".into())));
}

#[test]
fn batches_are_read_where_they_exist() {
    let text =
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/cancelled"}]"#;
    let read =
        |text: &'static str| Frame::parse_batch(Bytes::from_static(text.as_bytes()), &Limits::default());
    assert_eq!(read(text).unwrap().len(), 2);
    assert_eq!(read(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).unwrap().len(), 1);
    assert!(read("[]").is_err() && read("[1]").is_err() && read("[[]]").is_err());
}
