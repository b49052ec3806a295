//! Parameters of tools: what can be given, within which bounds, and what counts when nothing is.

use std::collections::BTreeMap;

use casemate_mcp::json::Raw;
use serde_json::{Value, json};

/// One parameter of a tool.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it means, with its unit.
    pub description: &'static str,
    /// What it can be.
    pub kind: Kind,
}

/// What a parameter can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A whole number.
    Whole {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
        /// What counts when nothing is given.
        default: u64,
    },
    /// Any number.
    Number {
        /// The least.
        min: f64,
        /// The most.
        max: f64,
        /// What counts when nothing is given.
        default: f64,
    },
    /// A text that is not empty.
    Text {
        /// The most characters.
        chars_max: usize,
    },
}

impl Parameter {
    /// The JSON Schema of the parameter.
    #[must_use]
    pub fn schema(&self) -> Value {
        let about = self.description;
        match self.kind {
            Kind::Whole { min, max, default } => json!({
                "type": "integer", "minimum": min, "maximum": max, "default": default, "description": about,
            }),
            Kind::Number { min, max, default } => json!({
                "type": "number", "minimum": min, "maximum": max, "default": default, "description": about,
            }),
            Kind::Text { chars_max } => json!({
                "type": "string", "minLength": 1, "maxLength": chars_max, "description": about,
            }),
        }
    }

    /// Reads a value that was sent; what it should have been when it does not fit.
    pub(crate) fn read(&self, sent: &Raw) -> Result<Value, String> {
        let value: Option<Value> = sent.parse().ok();
        let fitting = match self.kind {
            Kind::Whole { min, max, .. } => {
                let number = value.as_ref().and_then(whole);
                number.filter(|number| (min..=max).contains(number)).map(Value::from)
            }
            Kind::Number { min, max, .. } => {
                let number = value.as_ref().and_then(Value::as_f64);
                number.filter(|number| (min..=max).contains(number)).map(Value::from)
            }
            Kind::Text { chars_max } => {
                let fits = |text: &str| !text.is_empty() && text.chars().count() <= chars_max;
                value.filter(|value| value.as_str().is_some_and(fits))
            }
        };
        fitting.ok_or_else(|| match self.kind {
            Kind::Whole { min, max, .. } => format!("a whole number from {min} to {max}"),
            Kind::Number { min, max, .. } => format!("a number from {min} to {max}"),
            Kind::Text { chars_max } => format!("a text of 1 to {chars_max} characters"),
        })
    }
}

/// A whole number, also when it is written as `200.0`, which JSON Schema counts as one.
fn whole(value: &Value) -> Option<u64> {
    // Beyond this, neighboring whole numbers are the same floating-point number.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let float =
        || value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=EXACT_MAX).contains(number));
    value.as_u64().or_else(|| float().map(|number| number as u64))
}

/// Arguments that were checked against the parameters of their tool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Arguments(BTreeMap<&'static str, Value>);

impl Arguments {
    pub(crate) fn set(&mut self, parameter: &Parameter, value: Value) {
        self.0.insert(parameter.name, value);
    }

    /// A whole number, or its default. 0 for a parameter of another kind.
    #[must_use]
    pub fn whole(&self, parameter: &Parameter) -> u64 {
        let sent = self.0.get(parameter.name).and_then(Value::as_u64);
        match parameter.kind {
            Kind::Whole { default, .. } => sent.unwrap_or(default),
            Kind::Number { .. } | Kind::Text { .. } => 0,
        }
    }

    /// A number, or its default. 0 for a text.
    #[must_use]
    pub fn number(&self, parameter: &Parameter) -> f64 {
        let sent = self.0.get(parameter.name).and_then(Value::as_f64);
        match parameter.kind {
            Kind::Number { default, .. } => sent.unwrap_or(default),
            Kind::Whole { .. } | Kind::Text { .. } => sent.unwrap_or_default(),
        }
    }

    /// A text, if one was sent.
    #[must_use]
    pub fn text(&self, parameter: &Parameter) -> Option<&str> {
        self.0.get(parameter.name).and_then(Value::as_str)
    }
}
