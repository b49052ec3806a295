use proptest::prelude::*;
use serde_json::json;

use super::*;

fn set(text: &str, path: &[&str], value: Value) -> String {
    Document::parse(text).unwrap().set(path, &value).unwrap().unwrap()
}

fn remove(text: &str, path: &[&str]) -> String {
    Document::parse(text).unwrap().remove(path).unwrap().unwrap()
}

#[test]
fn a_member_joins_its_neighbors_in_their_style() {
    let cases = [
        ("{}", "{\n  \"b\": 2\n}"),
        ("{ }\n", "{\n  \"b\": 2\n }\n"),
        ("{\n}\n", "{\n  \"b\": 2\n}\n"),
        ("{\"a\":1}", "{\"a\":1,\"b\":2}"),
        ("{\"a\": 1}", "{\"a\": 1, \"b\": 2}"),
        ("{\n\t\"a\": 1\n}\n", "{\n\t\"a\": 1,\n\t\"b\": 2\n}\n"),
        ("{\n    \"a\": 1,\n}", "{\n    \"a\": 1,\n    \"b\": 2,\n}"),
        ("{\n  \"a\": 1 // one\n}", "{\n  \"a\": 1, // one\n  \"b\": 2\n}"),
        ("{\n  \"a\": 1 /* x */, // one\n}", "{\n  \"a\": 1 /* x */, // one\n  \"b\": 2,\n}"),
        ("{\r\n  \"a\": 1\r\n}\r\n", "{\r\n  \"a\": 1,\r\n  \"b\": 2\r\n}\r\n"),
        ("{\r\n  \"a\": 1 // x\r\n}", "{\r\n  \"a\": 1, // x\r\n  \"b\": 2\r\n}"),
        ("\u{feff}// top\n{ // none yet\n}", "\u{feff}// top\n{ // none yet\n  \"b\": 2\n}"),
    ];
    for (before, after) in cases {
        assert_eq!(set(before, &["b"], json!(2)), after, "from {before:?}");
    }
}

#[test]
fn missing_objects_on_the_way_are_made() {
    assert_eq!(
        set("{\n  \"theme\": \"dark\"\n}\n", &["servers", "x"], json!({"args": ["1"], "command": "c"})),
        "{\n  \"theme\": \"dark\",\n  \"servers\": {\n    \"x\": {\n      \"args\": [\n        \"1\"\n      ],\n      \
         \"command\": \"c\"\n    }\n  }\n}\n"
    );
    assert_eq!(set("{\"a\":{}}", &["a", "b", "c"], json!(null)), "{\"a\":{\"b\":{\"c\":null}}}");
}

#[test]
fn only_the_value_that_differs_is_replaced() {
    let text = "{\n  // mine\n  \"a\": {\"x\": 1}, // keep\n  \"b\":2,\n}";
    assert_eq!(set(text, &["a", "x"], json!(3)), text.replace("\"x\": 1", "\"x\": 3"));
    let same = Document::parse(text).unwrap().set(&["a"], &json!({"x": 1})).unwrap();
    assert_eq!(same, None, "the same value again is no edit");
}

#[test]
fn a_member_leaves_and_its_neighbors_stay() {
    let cases = [
        ("{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":1,\"c\":3}"),
        ("{\"b\":2,\"c\":3}", "{\"c\":3}"),
        ("{\"a\": 1, \"b\": 2}", "{\"a\": 1}"),
        ("{\n  \"b\": 2\n}", "{}"),
        ("{ \"b\": 2, }", "{}"),
        ("{\n  \"a\": 1, // one\n  // two\n  \"b\": 2\n}", "{\n  \"a\": 1 // one\n  // two\n}"),
        ("{ // one\n \"b\": 2 }", "{ // one\n }"),
        ("{ // one\n \"b\": 2, \"c\": 3 }", "{ // one\n \"c\": 3 }"),
        ("{\n  \"b\": 2, // two\n}", "{ // two\n}"),
    ];
    for (before, after) in cases {
        let left = remove(before, &["b"]);
        assert_eq!(left, after, "from {before:?}");
        Document::parse(&left).unwrap();
    }
    assert_eq!(Document::parse("{\"a\":1}").unwrap().remove(&["b"]).unwrap(), None);
    assert_eq!(Document::parse("{\"a\":1}").unwrap().remove(&["x", "b"]).unwrap(), None);
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    let cases = [
        ("", 1, 1, "the text ends where a value is expected"),
        ("{\n  \"a\": 1\n  \"b\": 2\n}", 3, 3, "expected `,` or `}`"),
        ("{\"ä\": nope}", 1, 7, "expected a value"),
        ("{'a': 1}", 1, 2, "expected a member name in double quotes, or `}`"),
        ("{\"a\" 1}", 1, 6, "expected `:` after the member name"),
        ("{\"a\": 1, \"a\": 2}", 1, 10, "the member \"a\" is there twice"),
        ("{} x", 1, 4, "something follows the end of the document"),
        ("{ /* x }", 1, 3, "this comment is never closed"),
        ("[\"a\\", 1, 2, "this string is never closed"),
        ("[\"\\x\"]", 1, 2, "this string is not valid JSON"),
        ("{\"a\": 1,, }", 1, 9, "expected a member name in double quotes, or `}`"),
    ];
    for (text, line, column, what) in cases {
        let fault = Document::parse(text).unwrap_err();
        assert_eq!((fault.line, fault.column, fault.what.as_str()), (line, column, what), "in {text:?}");
    }
    assert!(Document::parse(&"[".repeat(100_000)).unwrap_err().what.contains("nested deeper"));
}

#[test]
fn an_edit_through_something_else_than_an_object_is_refused() {
    let document = Document::parse("{\n  \"servers\": []\n}").unwrap();
    let fault = document.set(&["servers", "x"], &1).unwrap_err();
    assert_eq!(fault.to_string(), "line 2, column 14: expected an object here");
    assert_eq!(document.remove(&["servers", "x"]).unwrap_err(), fault);
}

/// JSON texts as people write them: odd spacing, comments and trailing commas everywhere.
fn gap() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just(String::new()), 2 => Just(" ".to_owned()), 2 => Just("\n  ".to_owned()), 1 => Just("\t".to_owned()),
        1 => Just("\r\n".to_owned()), 1 => Just("/* a \"b\": , } */".to_owned()), 1 => Just("// it's {\n".to_owned()),
    ];
    prop::collection::vec(piece, 0..3).prop_map(|pieces| pieces.concat())
}

fn node() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1.50e3".to_owned()),
        Just("null".to_owned()),
        Just(r#""\u00e4 // \" } ""#.to_owned()),
        Just("{}".to_owned()),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            object(inner.clone()),
            (prop::collection::vec((gap(), inner, gap()), 0..4), gap()).prop_map(|(elements, end)| {
                let elements = elements.into_iter().map(|(a, value, b)| format!("{a}{value}{b},"));
                format!("[{}{end}]", elements.collect::<String>())
            }),
        ]
    })
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (gap(), gap(), gap(), value, gap());
    (prop::collection::vec(member, 0..5), gap(), any::<bool>()).prop_map(|(members, end, trailing)| {
        let count = members.len();
        let mut out = String::from("{");
        for (index, (a, b, c, value, d)) in members.into_iter().enumerate() {
            let comma = if index + 1 < count || trailing { "," } else { "" };
            out += &format!("{a}\"k{index}\"{b}:{c}{value}{d}{comma}");
        }
        out + &end + "}"
    })
}

fn documents() -> impl Strategy<Value = String> {
    (gap(), object(node()), gap()).prop_map(|(before, root, after)| format!("{before}{root}{after}"))
}

proptest! {
    #[test]
    fn inserting_then_removing_gives_the_same_bytes(text in documents(), inside in 0..5_usize) {
        let key = format!("k{inside}");
        let before = Document::parse(&text).unwrap();
        let nested = before.root().get(&key).is_some_and(|node| node.members().is_some());
        let path: Vec<&str> = if nested { vec![&key, "new"] } else { vec!["new"] };
        let with = before.set(&path, &json!({"command": "x", "args": ["a\nb"]})).unwrap().unwrap();
        let document = Document::parse(&with).unwrap();
        let mut wanted = before.root().value();
        let holder = if nested { wanted.get_mut(&key).unwrap() } else { &mut wanted };
        let was_blank = holder.as_object().unwrap().is_empty();
        holder.as_object_mut().unwrap().insert("new".into(), json!({"command": "x", "args": ["a\nb"]}));
        prop_assert_eq!(document.root().value(), wanted);
        prop_assert_eq!(document.set(&path, &json!({"command": "x", "args": ["a\nb"]})).unwrap(), None);
        let without = document.remove(&path).unwrap().unwrap();
        if was_blank {
            // An empty object closes up again; all outside of it stays.
            prop_assert_eq!(Document::parse(&without).unwrap().root().value(), before.root().value());
        } else {
            prop_assert_eq!(without, text);
        }
    }

    #[test]
    fn removing_any_member_leaves_the_others(text in documents()) {
        let before = Document::parse(&text).unwrap();
        let names: Vec<String> = before.root().members().unwrap().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            let after = before.remove(&[&name]).unwrap().unwrap();
            let mut wanted = before.root().value();
            wanted.as_object_mut().unwrap().remove(&name);
            prop_assert_eq!(Document::parse(&after).unwrap().root().value(), wanted, "{}", after);
            for comment in ["/* a \"b\": , } */", "// it's {"] {
                let inside = text.get(value_of(&before, &name)).unwrap().matches(comment).count();
                let name_gap = text.get(name_gap_of(&before, &name)).unwrap().matches(comment).count();
                let kept = text.matches(comment).count() - inside - name_gap;
                prop_assert_eq!(after.matches(comment).count(), kept, "comments stay: {}", after);
            }
        }
    }
}

fn member_of<'d>(document: &'d Document<'_>, name: &str) -> &'d Member {
    document.root.object().unwrap().members.iter().find(|member| member.name == name).unwrap()
}

fn value_of(document: &Document<'_>, name: &str) -> Range<usize> {
    member_of(document, name).value.span.clone()
}

fn name_gap_of(document: &Document<'_>, name: &str) -> Range<usize> {
    let member = member_of(document, name);
    member.name_start..member.value.span.start
}
