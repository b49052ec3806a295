//! JSON with one spelling for each value, after RFC 8785 (JSON Canonicalization Scheme).

use serde_json::Value;
use thiserror::Error;

use super::line;

/// The largest integer that every reader of JSON takes exactly, 2^53 - 1.
pub(super) const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why a value has no canonical form here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CanonicalFault {
    /// A number with a fraction or exponent, or beyond 2^53 - 1. RFC 8785 writes those as ECMAScript does, from
    /// a double; records hold counts and never need one, so they are refused rather than rounded.
    #[error("{number} is not an integer within ±(2^53 - 1)")]
    Number {
        /// The number as it was written.
        number: String,
    },
}

/// Writes a value in canonical form: no white space, members sorted by the UTF-16 code units of their names,
/// strings with the shortest escapes, integers only. Recurses as deep as the value, which serde_json bounds
/// when it parses.
///
/// # Errors
/// [`CanonicalFault::Number`].
pub fn canonical(value: &Value) -> Result<String, CanonicalFault> {
    let mut out = Vec::new();
    write(&mut out, value)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn write(out: &mut Vec<u8>, value: &Value) -> Result<(), CanonicalFault> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            let exact = number.as_i64().is_some_and(|integer| integer.unsigned_abs() <= INTEGER_MAX);
            if !exact {
                return Err(CanonicalFault::Number { number: number.to_string() });
            }
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::String(text) => line::string(out, text),
        Value::Array(elements) => {
            out.push(b'[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(out, element)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            out.push(b'{');
            for (at, (name, member)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                line::string(out, name);
                out.push(b':');
                write(out, member)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn of(text: &str) -> Result<String, CanonicalFault> {
        canonical(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn members_are_sorted_by_code_units_as_in_the_rfc() {
        // RFC 8785, section 3.2.3.
        let text =
            r#"{"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7}"#;
        let expected = "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}";
        assert_eq!(of(text).unwrap(), expected);
    }

    #[test]
    fn strings_have_the_shortest_escapes() {
        // RFC 8785, section 3.2.2.2.
        let value = json!("€$\u{f}\nA'B\"\\\\\"/\u{8}\t\u{c}\r\u{7f}");
        assert_eq!(canonical(&value).unwrap(), "\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\\b\\t\\f\\r\u{7f}\"");
    }

    #[test]
    fn numbers_are_integers_that_everybody_reads_alike() {
        assert_eq!(
            of("[0, -1, 9007199254740991, -9007199254740991, -0]").unwrap_err().to_string(),
            "-0.0 is not an integer within ±(2^53 - 1)"
        );
        assert_eq!(
            of("[0, -1, 9007199254740991, -9007199254740991]").unwrap(),
            "[0,-1,9007199254740991,-9007199254740991]"
        );
        for bad in ["1.5", "1.0", "1e3", "9007199254740992", "-9007199254740992", "18446744073709551615"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i32>().prop_map(Value::from),
            any::<String>().prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_text_means_the_same_and_stays_as_it_is(value in values()) {
            let text = canonical(&value).unwrap();
            let again: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&again, &value);
            prop_assert_eq!(canonical(&again).unwrap(), text);
        }
    }
}
