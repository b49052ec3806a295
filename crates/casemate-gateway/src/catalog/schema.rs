//! A tool's input schema, compiled once: JSON Schema 2020-12 without the network, bounded, linear-time patterns.

use std::fmt::Write;

use casemate_mcp::json::Raw;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Largest schema that is compiled, in bytes. The largest one seen in the field has 30 KiB.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;

/// Longest message about arguments, in bytes: it goes into a model's context.
const MESSAGE_MAX: usize = 1000;

/// How many faults are told at once.
const FAULTS_MAX: usize = 5;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
}

/// Why arguments were not accepted; says which one, what is wrong, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentFault(pub String);

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// A sentence that says why it cannot be used: too large, not valid, an unknown dialect, or a reference
    /// to somewhere else, which is never fetched.
    pub fn compile(schema: &Raw) -> Result<Schema, String> {
        if schema.as_bytes().len() > SCHEMA_BYTES_MAX {
            return Err(format!("the schema has more than {SCHEMA_BYTES_MAX} bytes"));
        }
        let schema: Value = schema.parse().map_err(|fault| fault.to_string())?;
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .map_err(|fault| bounded(fault.to_string()))?;
        Ok(Schema { validator })
    }

    /// Checks a call's arguments.
    ///
    /// # Errors
    /// What is wrong with them, in words that help a model to do better.
    pub fn check(&self, arguments: &Raw) -> Result<(), ArgumentFault> {
        let value: Value = arguments.parse().map_err(|fault| ArgumentFault(fault.to_string()))?;
        if self.validator.is_valid(&value) {
            return Ok(());
        }
        let mut text = String::from("The arguments do not fit the tool's schema.");
        for fault in self.validator.iter_errors(&value).take(FAULTS_MAX) {
            let place = fault.instance_path().to_string();
            // Writing to a string cannot fail.
            _ = write!(text, "\n- {}: {fault}", if place.is_empty() { "arguments" } else { place.as_str() });
        }
        Err(ArgumentFault(bounded(text)))
    }
}

fn bounded(mut text: String) -> String {
    if text.len() > MESSAGE_MAX {
        let cut = (0..=MESSAGE_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
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
}
