//! A tool's input or output schema, compiled once: JSON Schema 2020-12 without the network, bounded, linear-time patterns.

mod cost;

use std::fmt::Write;

use casemate_mcp::json::Raw;
use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use cost::Cost;

/// Largest schema that is compiled, in bytes. The largest one seen in the field has 30 KiB.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;

/// Longest message about arguments, in bytes: it goes into a model's context.
const MESSAGE_MAX: usize = 1000;

/// How many faults are told at once.
const FAULTS_MAX: usize = 5;

/// Steps that one check may take: some tenths of a second.
const STEPS_MAX: u64 = 20_000_000;

/// Steps up to which it is told what is wrong, and not only that something is: to find all faults takes longer
/// than to find one.
const TOLD_STEPS_MAX: u64 = 100_000;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    cost: Cost,
}

/// Why a value was not accepted; says where, what is wrong, and what was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit(pub String);

/// What is held against a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checked {
    /// The arguments of a call. Whoever sent them is told what is wrong, value by value.
    Arguments,
    /// The structured content of a result. What stands in it was not looked at yet, so none of it is told.
    Result,
}

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
        let cost = Cost::of(&schema).map_err(bounded)?;
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .map_err(|fault| bounded(fault.to_string()))?;
        Ok(Schema { validator, cost })
    }

    /// Checks a call's arguments.
    ///
    /// # Errors
    /// What is wrong with them, in words that help a model to do better.
    pub fn check(&self, arguments: &Raw) -> Result<(), Misfit> {
        self.hold(arguments, Checked::Arguments)
    }

    /// Checks the structured content of a result.
    ///
    /// # Errors
    /// Which demands it does not meet. Nothing of the content is told.
    pub fn check_result(&self, content: &Raw) -> Result<(), Misfit> {
        self.hold(content, Checked::Result)
    }

    fn hold(&self, raw: &Raw, what: Checked) -> Result<(), Misfit> {
        let value: Value = raw.parse().map_err(|fault| Misfit(fault.to_string()))?;
        let steps = self.cost.for_value(&value);
        if steps > STEPS_MAX {
            return Err(Misfit(what.too_long().to_owned()));
        }
        if self.validator.is_valid(&value) {
            return Ok(());
        }
        let mut text = String::from(what.unfit());
        if steps > TOLD_STEPS_MAX {
            return Err(Misfit(text));
        }
        for fault in self.validator.iter_errors(&value).take(FAULTS_MAX) {
            let place = fault.instance_path().to_string();
            let place = if place.is_empty() { "arguments" } else { place.as_str() };
            // Writing to a string cannot fail.
            _ = match what {
                Checked::Arguments => write!(text, "\n- {place}: {fault}"),
                // Which demand of the schema it is stands in the schema, which was approved.
                Checked::Result => write!(text, "\n- {}", fault.schema_path()),
            };
        }
        Err(Misfit(bounded(text)))
    }
}

impl Checked {
    fn too_long(self) -> &'static str {
        match self {
            Checked::Arguments => {
                "The arguments are too deep or too many for the tool's schema: it would take too long to check them."
            }
            Checked::Result => {
                "It is too deep or too large for the tool's output schema: it would take too long to check it."
            }
        }
    }

    fn unfit(self) -> &'static str {
        match self {
            Checked::Arguments => "The arguments do not fit the tool's schema.",
            Checked::Result => "It does not fit the tool's output schema, by what stands there at",
        }
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
mod tests;
