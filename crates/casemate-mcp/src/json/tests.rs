use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn check(text: &str) -> Result<Raw, Fault> {
    Raw::check(Bytes::copy_from_slice(text.as_bytes()), &Limits::default())
}

fn kind(text: &str) -> FaultKind {
    check(text).expect_err(text).kind
}

#[test]
fn what_rfc_8259_refuses_is_refused() {
    for bad in [
        "{,}",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "tru3",
        "nul1",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"a\tb\"",
        "'a'",
        "{\"a\":}",
        "[1 2]",
        "NaN",
        "\u{feff}1",
        "]",
        "1}",
    ] {
        assert!(matches!(kind(bad), FaultKind::Syntax | FaultKind::Trailing | FaultKind::Truncated), "{bad}");
        assert!(serde_json::from_str::<Value>(bad).is_err(), "serde agrees on {bad}");
    }
    for cut in ["", " ", "{", "[", "\"a", "\"\\", "\"\\u12", "tr", "[1,", "{\"a\"", "{\"a\":", "-"] {
        assert_eq!(kind(cut), FaultKind::Truncated, "{cut}");
    }
    assert_eq!(kind("1 2"), FaultKind::Trailing);
}

#[test]
fn what_two_parsers_could_read_differently_is_refused() {
    assert_eq!(kind(r#"{"a":1,"a":2}"#), FaultKind::Duplicate);
    assert_eq!(kind(r#"{"a":1,"\u0061":2}"#), FaultKind::Duplicate, "the same name, escaped");
    assert_eq!(kind(r#"[{"x":{"b":[{"k":1,"k":1}]}}]"#), FaultKind::Duplicate);
    assert!(check(r#"{"a":{"a":{"a":1}},"b":{"a":1}}"#).is_ok(), "the same name in different objects");
    let many: Vec<String> = (0..40).map(|n| format!("\"k{n}\":1")).collect();
    assert!(check(&format!("{{{}}}", many.join(","))).is_ok());
    assert_eq!(kind(&format!("{{{},\"k7\":1}}", many.join(","))), FaultKind::Duplicate);
    for lone in [r#""\ud800""#, r#""\udc00""#, r#""\ud800x""#, r#""\ud800\u0041""#, r#"{"\udfff":1}"#] {
        assert_eq!(kind(lone), FaultKind::Surrogate, "{lone}");
    }
    assert_eq!(check(r#""\ud83d\ude00""#).unwrap().string().unwrap(), "😀");
    let fault = Raw::check(Bytes::from_static(b"\"a\xff\""), &Limits::default()).unwrap_err();
    assert_eq!((fault.kind, fault.at), (FaultKind::Utf8, 2));
}

#[test]
fn limits_hold_before_anything_is_built() {
    let limits = Limits { bytes_max: 64, depth_max: 3, values_max: 5 };
    let kind =
        |text: &str| Raw::check(Bytes::copy_from_slice(text.as_bytes()), &limits).map_err(|fault| fault.kind);
    assert!(kind("[[[1]]]").is_ok());
    assert_eq!(kind("[[[[1]]]]"), Err(FaultKind::TooDeep));
    assert!(kind("[1,2,3,4]").is_ok());
    assert_eq!(kind("[1,2,3,4,5]"), Err(FaultKind::TooMany));
    assert_eq!(kind(&" ".repeat(65)), Err(FaultKind::TooLong));
    assert_eq!(tests::kind(&"[".repeat(100_000)), FaultKind::TooDeep);
}

#[test]
fn members_are_found_by_their_meaning_and_edits_keep_every_other_byte() {
    let text = r#" { "a" : [1, 2] , "\u0062" :"x\ny","c":{"d":1e+2} } "#;
    let members = Members::check(Bytes::from_static(text.as_bytes()), &Limits::default()).unwrap();
    assert_eq!(members.get("a").unwrap().as_str(), "[1, 2]");
    assert_eq!(members.string("b").unwrap(), "x\ny");
    assert_eq!(members.object("c").unwrap().get("d").unwrap().as_str(), "1e+2");
    let again = members.raw().members().unwrap();
    assert_eq!(again.spans, members.spans, "the walk and the check agree");
    assert_eq!(members.edit().remove("zzz").finish(), *members.raw());
    let edited = members.edit().set("b", Raw::of(&1)).remove("a").set("e", Raw::of("é")).finish();
    assert_eq!(edited.as_str(), r#"{"b":1,"c":{"d":1e+2},"e":"é"}"#);
    assert!(Members::check(Bytes::from_static(b"[1]"), &Limits::default()).is_err());
}

#[test]
fn arrays_are_cut_into_their_elements() {
    let raw = check(r#"[ 1 , "a,]" , {"b":[2,3]}, [], null ]"#).unwrap();
    let elements: Vec<String> = raw.elements().unwrap().iter().map(|raw| raw.as_str().to_owned()).collect();
    assert_eq!(elements, ["1", "\"a,]\"", "{\"b\":[2,3]}", "[]", "null"]);
    assert_eq!(check("[]").unwrap().elements().unwrap(), []);
    assert!(check("{}").unwrap().elements().is_none());
    assert_eq!(Raw::array(&raw.elements().unwrap()).as_str(), r#"[1,"a,]",{"b":[2,3]},[],null]"#);
}

#[test]
fn line_breaks_between_tokens_become_spaces() {
    assert_eq!(one_line(Bytes::from_static(b"{\r\n\"a\":\n1}")), "{  \"a\": 1}");
    assert_eq!(one_line(Bytes::from_static(b"{\"a\":\"\\n\"}")), "{\"a\":\"\\n\"}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC*".prop_map(Value::from),
        ".{0,70}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 12, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..12).prop_map(Value::from),
            proptest::collection::btree_map(".{0,9}", inner, 0..24)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_json_passes_and_is_cut_as_serde_would(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let raw = check(&text).unwrap();
        prop_assert_eq!(raw.parse::<Value>().unwrap(), serde_json::from_str::<Value>(&text).unwrap());
        match &value {
            Value::Object(map) => {
                let members = raw.members().unwrap();
                prop_assert_eq!(members.len(), map.len());
                for (name, inner) in map {
                    prop_assert_eq!(members.get(name).unwrap().parse::<Value>().unwrap(), serde_json::from_str::<Value>(&inner.to_string()).unwrap());
                }
            }
            Value::Array(list) => prop_assert_eq!(raw.elements().unwrap().len(), list.len()),
            Value::String(text) => prop_assert_eq!(raw.string().unwrap(), text.as_str()),
            _ => {}
        }
    }

    #[test]
    fn an_edited_object_knows_its_members(
        map in proptest::collection::btree_map("[a-d\"é]{0,2}", any_json(), 0..6),
        changes in proptest::collection::vec(("[a-d\"é]{0,2}", proptest::option::of(any_json())), 0..6),
    ) {
        let mut expected: serde_json::Map<String, Value> = map.into_iter().collect();
        let of = check(&Value::from(expected.clone()).to_string()).unwrap().members().unwrap();
        let mut edit = of.edit();
        for (name, value) in &changes {
            match value {
                Some(value) => {
                    edit = edit.set(name.as_str(), Raw::of(value));
                    expected.insert(name.clone(), value.clone());
                }
                None => {
                    edit = edit.remove(name.as_str());
                    expected.remove(name);
                }
            }
        }
        let members = edit.members();
        prop_assert_eq!(&members.raw().members().unwrap().spans, &members.spans, "as a walk over the text finds them");
        let expected = Value::from(expected).to_string();
        prop_assert_eq!(members.raw().parse::<Value>().unwrap(), serde_json::from_str::<Value>(&expected).unwrap());
    }

    #[test]
    fn whatever_passes_is_json_for_serde_too(text in "[\\[\\]{}\",:\\\\u0-9a-f.eE+\\- \\n]{0,24}") {
        if check(&text).is_ok() {
            let read = serde_json::from_str::<Value>(&text);
            // serde limits the size of numbers, which the grammar does not.
            prop_assert!(read.is_ok() || text.contains(['e', 'E']), "{}", text);
        }
    }

    #[test]
    fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Raw::check(bytes.clone().into(), &Limits::default());
        let _ = Raw(bytes.into()).members();
    }
}

proptest! {
    #[test]
    fn every_special_byte_is_found_wherever_it_stands(plain in "[ -!#-\\[\\]-~é😀]{0,80}", at in 0_usize..80, special in prop_oneof![Just('"'), Just('\n'), Just('\u{1f}'), Just('\0')]) {
        let cut = plain.char_indices().map(|(at, _)| at).nth(at).unwrap_or(plain.len());
        let (head, tail) = plain.split_at(cut);
        let good = format!("\"{plain}\"");
        prop_assert!(check(&good).is_ok(), "{}", good);
        let bad = format!("\"{head}{special}{tail}\"");
        prop_assert!(check(&bad).is_err(), "{}", bad);
    }
}

#[test]
fn what_is_kept_for_long_did_not_keep_the_message_that_it_came_with() {
    let whole = Bytes::from(br#"{"a":{"b":"c"},"rest":"much more"}"#.to_vec());
    let members = Members::check(whole.clone(), &Limits::default()).unwrap();
    let kept = members.object("a").unwrap();
    let detached = kept.detached();
    assert_eq!(detached.raw(), kept.raw());
    assert_eq!(detached.string("b"), kept.string("b"));
    drop(members);
    assert!(!whole.is_unique(), "a slice holds the buffer");
    drop(kept);
    assert!(whole.is_unique(), "a detached one does not");
}
