use super::*;
use casemate_mcp::json::Limits;

fn raw(text: &str) -> Raw {
    Raw::check(text.to_owned().into(), &Limits::default()).unwrap()
}

#[test]
fn wrong_arguments_are_told_with_their_place() {
    let schema = Schema::compile(&raw(
        r#"{"type":"object","properties":{"n":{"type":"integer"},"s":{"enum":["a","b"]}},"required":["n"],"additionalProperties":false}"#,
    ))
    .unwrap();
    assert_eq!(schema.check(&raw(r#"{"n":1,"s":"a"}"#)), Ok(()));
    let text = schema.check(&raw(r#"{"s":"c","x":1}"#)).unwrap_err().0;
    for part in ["\"n\" is a required property", "/s: ", "'x' was unexpected"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let long = format!(r#"{{"n":"{}"}}"#, "é".repeat(5000));
    assert!(schema.check(&raw(&long)).unwrap_err().0.len() < MESSAGE_MAX + 8);
}

#[test]
fn schemas_that_reach_out_or_are_broken_are_refused() {
    for bad in [
        r#"{"$ref":"http://127.0.0.1:9/evil.json"}"#,
        r#"{"$ref":"file:///etc/passwd"}"#,
        r#"{"type":"nonsense"}"#,
        r#"{"$schema":"http://example.org/other-dialect","type":"object"}"#,
        r#"{"pattern":"(a"}"#,
    ] {
        assert!(Schema::compile(&raw(bad)).is_err(), "{bad}");
    }
    assert!(
        Schema::compile(&raw(
            r##"{"$defs":{"a":{"type":"string"}},"properties":{"x":{"$ref":"#/$defs/a"}}}"##
        ))
        .is_ok()
    );
}

#[test]
fn patterns_take_linear_time() {
    let schema = Schema::compile(&raw(r#"{"properties":{"x":{"pattern":"^(a+)+$"}}}"#)).unwrap();
    assert!(schema.check(&raw(&format!(r#"{{"x":"{}!"}}"#, "a".repeat(50_000)))).is_err());
}

/// A schema of `n` definitions, each made of two of the next one, by `both`; a value of the last has to be a string.
fn doubled(n: usize, both: fn(&str) -> String) -> Raw {
    let links: Vec<String> = (0..n)
        .map(|at| {
            let next = format!("{{\"$ref\":\"#/$defs/a{}\"}}", at + 1);
            format!("\"a{at}\":{}", both(&format!("{next},{next}")))
        })
        .collect();
    let defs = links.join(",");
    raw(&format!(r##"{{"$defs":{{{defs},"a{n}":{{"type":"string"}}}},"$ref":"#/$defs/a0"}}"##))
}

#[test]
fn a_schema_that_doubles_with_each_reference_is_not_walked() {
    let same = Schema::compile(&doubled(60, |two| format!(r#"{{"allOf":[{two}]}}"#))).unwrap();
    assert!(same.check(&raw("{}")).unwrap_err().0.contains("too long"));
    let deeper = doubled(60, |two| format!(r#"{{"properties":{{"a":{{"oneOf":[{two}]}}}}}}"#));
    let deeper = Schema::compile(&deeper).unwrap();
    let nested = format!("{}1{}", r#"{"a":"#.repeat(60), "}".repeat(60));
    assert!(deeper.check(&raw(&nested)).unwrap_err().0.contains("too long"));
    assert_eq!(deeper.check(&raw(r#"{"a":{}}"#)).map_err(|fault| fault.0.contains("too long")), Err(false));
    let own = r##"{"type":"object","properties":{"a":{"anyOf":[{"$ref":"#"},{"$ref":"#"}]}}}"##;
    let own = Schema::compile(&raw(own)).unwrap();
    assert!(own.check(&raw(&nested)).unwrap_err().0.contains("too long"));
    // Few enough steps to judge, too many to tell every fault.
    let some = Schema::compile(&doubled(17, |two| format!(r#"{{"allOf":[{two}]}}"#))).unwrap();
    assert_eq!(some.check(&raw("{}")).unwrap_err().0, "The arguments do not fit the tool's schema.");
}

#[test]
fn a_schema_that_goes_in_circles_or_piles_up_is_refused() {
    for bad in [
        r##"{"$ref":"#"}"##,
        r##"{"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}},"$ref":"#/$defs/a"}"##,
        r##"{"$defs":{"a":{"$id":"x:y","items":{"$ref":"#"}}},"$ref":"#/$defs/a"}"##,
    ] {
        assert!(Schema::compile(&raw(bad)).is_err(), "{bad}");
    }
    let links: Vec<String> =
        (0..3000).map(|at| format!(r##""a{at}":{{"$ref":"#/$defs/a{}"}}"##, at + 1)).collect();
    let links = links.join(",");
    let pile = format!(
        r##"{{"$defs":{{{links},"a3000":{{"items":{{"$ref":"#/$defs/a0"}}}}}},"$ref":"#/$defs/a0"}}"##
    );
    let pile = Schema::compile(&raw(&pile)).unwrap();
    assert!(pile.check(&raw(&format!("{}{}", "[".repeat(100), "]".repeat(100)))).is_err());
}

#[test]
fn schemas_that_describe_trees_still_take_trees() {
    let tree = r##"{"$id":"https://example.org/tree","$defs":{"node":{"anyOf":[{"type":"string"},{"type":"object","properties":{"and":{"type":"array","items":{"$ref":"#/$defs/node"}},"or":{"type":"array","items":{"$ref":"https://example.org/tree#/$defs/node"}},"not":{"$ref":"#node"}},"additionalProperties":false}],"$anchor":"node"}},"$ref":"#/%24defs/node"}"##;
    let tree = Schema::compile(&raw(tree)).unwrap();
    let deep = format!("{}\"x\"{}", r#"{"and":[{"or":[{"not":"#.repeat(5), r#"}, "y"]}]}"#.repeat(5));
    assert_eq!(tree.check(&raw(&deep)), Ok(()));
    assert!(tree.check(&raw(&deep.replace("\"x\"", "1"))).is_err());
    let many =
        Schema::compile(&raw(r#"{"properties":{"n":{"type":"array","items":{"type":"integer"}}}}"#)).unwrap();
    let numbers = vec!["7"; 500_000].join(",");
    assert_eq!(many.check(&raw(&format!(r#"{{"n":[{numbers}]}}"#))), Ok(()));
}
