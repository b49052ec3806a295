//! The JSON Schema of `casemate.toml`, for editors.

use serde_json::{Map, Value, json};

use crate::setting::{Blank, Effect, Kind, Setting, Word, children, exact};

/// The schema as text, with a newline at its end. Checked in as `casemate.schema.json`.
#[must_use]
pub fn schema() -> String {
    let mut schema = table(&[]);
    if let Value::Object(members) = &mut schema {
        members.insert("$schema".to_owned(), "http://json-schema.org/draft-07/schema#".into());
        members.insert("title".to_owned(), "casemate.toml".into());
    }
    format!("{schema:#}\n")
}

/// The schema of the table that a path of segments leads to.
fn table(path: &[&str]) -> Value {
    let mut properties = Map::new();
    let mut patterns = Map::new();
    for segment in children(path) {
        let below: Vec<&str> = path.iter().copied().chain([segment]).collect();
        let schema = exact(&below).map_or_else(|| table(&below), leaf);
        match Blank::of(segment) {
            None => properties.insert(segment.to_owned(), schema),
            Some(blank) => patterns.insert(pattern(blank).to_owned(), schema),
        };
    }
    let mut members = Map::new();
    members.insert("type".to_owned(), "object".into());
    members.insert("additionalProperties".to_owned(), false.into());
    for (name, map) in [("properties", properties), ("patternProperties", patterns)] {
        if !map.is_empty() {
            members.insert(name.to_owned(), Value::Object(map));
        }
    }
    Value::Object(members)
}

fn leaf(setting: &Setting) -> Value {
    let mut schema = match kind(&setting.kind) {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    let effect = match setting.effect {
        Effect::Live => "Takes effect at once.",
        Effect::Process => "Takes effect at the next start.",
    };
    schema.insert("description".to_owned(), format!("{} {effect}", setting.reason).into());
    for (name, text) in [("default", setting.default), ("examples", Some(setting.example))] {
        let Some(value) = text.and_then(from_toml) else { continue };
        schema.insert(name.to_owned(), if name == "examples" { json!([value]) } else { value });
    }
    Value::Object(schema)
}

fn kind(kind: &Kind) -> Value {
    match kind {
        Kind::Switch => json!({"type": "boolean"}),
        Kind::Count(range) => json!({"type": "integer", "minimum": range.start(), "maximum": range.end()}),
        Kind::Time(_) => json!({"type": "string", "pattern": "^[0-9]+ ?(ms|s|m|h|d)$"}),
        Kind::Size(_) => json!({"type": "string", "pattern": "^[0-9]+ ?(B|KiB|MiB|GiB)$"}),
        Kind::Rate => json!({"type": "string", "pattern": "^[1-9][0-9]*/(s|m|h|day)$"}),
        Kind::Budget => json!({"type": "string", "pattern": "^[1-9][0-9]*/day$"}),
        Kind::Processors(range) => {
            let [least, most] = [range.start(), range.end()].map(|millis| *millis as f64 / 1000.0);
            json!({"type": "number", "minimum": least, "maximum": most})
        }
        Kind::Choice(choices) => json!({"type": "string", "enum": choices}),
        Kind::Address => json!({"type": "string"}),
        Kind::Text | Kind::Path => json!({"type": "string", "minLength": 1}),
        Kind::Url => json!({"type": "string", "pattern": "^https?://"}),
        Kind::Remote => json!({"type": "string", "pattern": "^(https?://|wss?://|tcp://|unix:/)"}),
        Kind::Base => json!({"type": "string", "pattern": "^https?://[^/?#@]+/?$"}),
        Kind::Image => json!({"type": "string", "pattern": "(^|@)sha256:[0-9a-f]{64}$"}),
        Kind::Command => json!({"anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "minItems": 1, "items": {"type": "string"}},
        ]}),
        Kind::Words(Word::Server) => {
            json!({"type": "array", "items": {"type": "string", "pattern": pattern(Blank::Name)}})
        }
        Kind::Words(Word::Path) => json!({"type": "array", "items": {"type": "string", "pattern": "^/."}}),
        Kind::Words(Word::Argument) => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Words(_) => json!({"type": "array", "items": {"type": "string", "minLength": 1}}),
        Kind::Given => json!({"anyOf": [
            {"type": "string"},
            {
                "type": "object", "properties": {"not_secret": {"type": "string"}},
                "required": ["not_secret"], "additionalProperties": false,
            },
        ]}),
        Kind::Shown => json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,48}$"}),
        Kind::Json => json!({}),
    }
}

fn pattern(blank: Blank) -> &'static str {
    match blank {
        Blank::Name => "^(?!.*__)[A-Za-z0-9][A-Za-z0-9_-]{0,31}$",
        Blank::Pair => "^(?!.*__.*/)[A-Za-z0-9][A-Za-z0-9_-]{0,31}/.+$",
        Blank::Variable => "^[A-Za-z_][A-Za-z0-9_]*$",
        Blank::Header => "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$",
        Blank::Scope => "^[!#-\\[\\]-~]{1,128}$",
        Blank::Tool | Blank::Argument | Blank::Value => "^.+$",
    }
}

/// A value of the table, which is TOML, as JSON.
fn from_toml(text: &str) -> Option<Value> {
    let document = format!("value = {text}").parse::<toml_edit::DocumentMut>().ok()?;
    serde_json::from_str(&crate::value::json(document.get("value")?)?).ok()
}
