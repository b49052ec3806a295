//! What is known of a call, as Cedar's values: only what policies look at is converted.
//!
//! | declared by the tool | in JSON | in policies |
//! | --- | --- | --- |
//! | `string` | a string | `String` |
//! | `integer` | a whole number of 64 bits | `Long` |
//! | `number` | a number of at most four digits after the point | `decimal` |
//! | `boolean` | true, false | `Bool` |
//! | `array` of one of these | an array | `Set`: order and repetition are lost |
//! | `object` | an object | a record of the members that policies name |
//! | not at all | by the value: whole numbers are `Long`, others `decimal` | by the value |
//!
//! A member that is null counts as absent. What does not convert denies the call.

use casemate_mcp::json::{Members, Raw};
use cedar_policy::RestrictedExpression;
use serde_json::{Map, Value, json};

use crate::expression::Paths;
use crate::number;

/// The claims of tools that policies may look at: their names there, and as servers declare them.
pub(crate) const CLAIMS: [(&str, &str); 4] = [
    ("read_only", "readOnlyHint"),
    ("destructive", "destructiveHint"),
    ("idempotent", "idempotentHint"),
    ("open_world", "openWorldHint"),
];

/// Most elements of an array that are converted. Policies compare with short lists.
const ELEMENTS_MAX: usize = 4096;

/// How deep references inside an input schema are followed.
const REFERENCES_MAX: usize = 8;

/// What a tool declares of an argument that policies look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Text,
    Whole,
    Decimal,
    Truth,
    List(Box<Type>),
    Record(Vec<(String, Type, Need)>),
    /// Nothing: the value decides.
    Open,
}

/// Whether a call has to have the argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
}

impl Type {
    /// The types of the named arguments, as an input schema declares them.
    ///
    /// # Errors
    /// What a policy names and the tool does not have, or declares in a way that has no one type.
    pub(crate) fn declared(schema: &Value, paths: &Paths) -> Result<Type, String> {
        Reader { root: schema }.record(schema, paths, "")
    }

    /// Whether something in it is not declared, so that no validator can know it.
    pub(crate) fn has_open(&self) -> bool {
        match self {
            Type::Open => true,
            Type::Record(members) => members.iter().any(|(_, kind, _)| kind.has_open()),
            Type::List(element) => element.has_open(),
            Type::Text | Type::Whole | Type::Decimal | Type::Truth => false,
        }
    }

    /// The type as a Cedar schema writes it.
    pub(crate) fn written(&self) -> Value {
        match self {
            Type::Text => json!({ "type": "String" }),
            Type::Whole => json!({ "type": "Long" }),
            Type::Decimal => json!({ "type": "Extension", "name": "decimal" }),
            Type::Truth => json!({ "type": "Boolean" }),
            Type::List(element) => json!({ "type": "Set", "element": element.written() }),
            Type::Open => json!({ "type": "Record", "attributes": {} }),
            Type::Record(members) => {
                let attributes: Map<String, Value> = members
                    .iter()
                    .map(|(name, kind, need)| {
                        let mut written = kind.written();
                        if let Some(written) = written.as_object_mut() {
                            written.insert("required".to_owned(), Value::Bool(*need == Need::Required));
                        }
                        (name.clone(), written)
                    })
                    .collect();
                json!({ "type": "Record", "attributes": attributes })
            }
        }
    }

    /// The value of that type; `Err` names what does not convert.
    pub(crate) fn value(&self, raw: &Raw, paths: &Paths, at: &str) -> Result<RestrictedExpression, String> {
        let refused = || format!("the argument {at} does not convert to {}", self.name());
        match self {
            Type::Open => open(raw, paths, at),
            Type::Record(members) => {
                let given = raw.members().ok_or_else(refused)?;
                record(&given, (paths, at), |name| {
                    members.iter().find(|(own, _, _)| own == name).map_or(&Type::Open, |(_, kind, _)| kind)
                })
            }
            Type::List(element) => list(raw, element, at),
            Type::Text => {
                let text = raw.string().ok_or_else(refused)?;
                Ok(RestrictedExpression::new_string(text.into_owned()))
            }
            Type::Whole => {
                number::whole(raw.as_str()).map(RestrictedExpression::new_long).ok_or_else(refused)
            }
            Type::Decimal => {
                number::decimal(raw.as_str()).map(RestrictedExpression::new_decimal).ok_or_else(refused)
            }
            Type::Truth => match raw.as_str() {
                "true" => Ok(RestrictedExpression::new_bool(true)),
                "false" => Ok(RestrictedExpression::new_bool(false)),
                _ => Err(refused()),
            },
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Type::Text => "a String",
            Type::Whole => "a Long",
            Type::Decimal => "a decimal",
            Type::Truth => "a Bool",
            Type::List(_) => "a Set",
            Type::Record(_) | Type::Open => "a record",
        }
    }
}

/// Converts the members that policies name.
pub(crate) fn record<'a>(
    given: &Members,
    (paths, at): (&Paths, &str),
    kind: impl Fn(&str) -> &'a Type,
) -> Result<RestrictedExpression, String> {
    let mut fields = Vec::new();
    for (name, below) in &paths.0 {
        let Some(raw) = given.get(name).filter(|raw| raw.as_str() != "null") else { continue };
        fields.push((name.clone(), kind(name).value(&raw, below, &format!("{at}/{name}"))?));
    }
    RestrictedExpression::new_record(fields).map_err(|fault| format!("the arguments {at}: {fault}"))
}

/// The value of an argument that is not declared.
fn open(raw: &Raw, paths: &Paths, at: &str) -> Result<RestrictedExpression, String> {
    let kind = match raw.as_str().bytes().next() {
        Some(b'{') => {
            let given = raw.members().unwrap_or_else(Members::empty);
            return record(&given, (paths, at), |_| &Type::Open);
        }
        Some(b'[') => return list(raw, &Type::Open, at),
        Some(b'"') => Type::Text,
        Some(b't' | b'f') => Type::Truth,
        Some(b'n') => return Err(format!("the argument {at} is null")),
        _ if number::whole(raw.as_str()).is_some() => Type::Whole,
        _ => Type::Decimal,
    };
    kind.value(raw, paths, at)
}

fn list(raw: &Raw, element: &Type, at: &str) -> Result<RestrictedExpression, String> {
    let elements = raw.elements().ok_or_else(|| format!("the argument {at} does not convert to a Set"))?;
    if elements.len() > ELEMENTS_MAX {
        return Err(format!("the argument {at} has more than {ELEMENTS_MAX} elements"));
    }
    let none = Paths::default();
    let values: Result<Vec<_>, String> = elements
        .iter()
        .map(|raw| match raw.as_str().bytes().next() {
            Some(b'{' | b'[' | b'n') => Err(format!("the argument {at} holds more than plain values")),
            _ => element.value(raw, &none, at),
        })
        .collect();
    Ok(RestrictedExpression::new_set(values?))
}

/// Reads an input schema as far as policies look.
struct Reader<'a> {
    root: &'a Value,
}

impl Reader<'_> {
    fn record(&self, schema: &Value, paths: &Paths, at: &str) -> Result<Type, String> {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Ok(Type::Open);
        };
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| required.is_some_and(|list| list.iter().any(|own| own == name));
        let mut members = Vec::new();
        for (name, below) in &paths.0 {
            let at = format!("{at}/{name}");
            let Some(property) = properties.get(name) else {
                // That it is absent is something that a policy can ask for.
                members.push((name.clone(), None));
                continue;
            };
            let (kind, nullable) = self.property(property, below, &at)?;
            let need = if is_required(name) && !nullable { Need::Required } else { Need::Optional };
            members.push((name.clone(), Some((kind, need))));
        }
        let known =
            members.into_iter().filter_map(|(name, kind)| kind.map(|(kind, need)| (name, kind, need)));
        Ok(Type::Record(known.collect()))
    }

    /// The type of one argument, and whether null will do.
    fn property(&self, schema: &Value, paths: &Paths, at: &str) -> Result<(Type, bool), String> {
        let schema =
            self.resolved(schema).ok_or_else(|| format!("{at} is declared by a reference to nothing"))?;
        if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
            let is_null = |choice: &&Value| choice.get("type").is_some_and(|kind| kind == "null");
            let (nulls, rest): (Vec<&Value>, Vec<&Value>) = choices.iter().partition(is_null);
            return match (rest.as_slice(), nulls.is_empty()) {
                ([only], nullless) => Ok((self.property(only, paths, at)?.0, !nullless)),
                _ => Err(format!("{at} is declared to be of several types")),
            };
        }
        let (name, nullable) = self.type_name(schema, at)?;
        let kind = match name {
            Some("string") => Type::Text,
            Some("integer") => Type::Whole,
            Some("number") => Type::Decimal,
            Some("boolean") => Type::Truth,
            Some("object") => self.record(schema, paths, at)?,
            Some("array") => match schema.get("items") {
                Some(items) => Type::List(Box::new(self.property(items, &Paths::default(), at)?.0)),
                None => Type::List(Box::new(Type::Open)),
            },
            Some(other) => return Err(format!("{at} is declared to be of the type {other:?}")),
            None => Type::Open,
        };
        Ok((kind, nullable))
    }

    /// The one type that is declared; none when nothing is.
    fn type_name<'s>(&self, schema: &'s Value, at: &str) -> Result<(Option<&'s str>, bool), String> {
        match schema.get("type") {
            Some(Value::String(name)) => Ok((Some(name), false)),
            Some(Value::Array(names)) => {
                let (nulls, rest): (Vec<&Value>, Vec<&Value>) =
                    names.iter().partition(|name| *name == "null");
                match rest.as_slice() {
                    [Value::String(only)] => Ok((Some(only), !nulls.is_empty())),
                    _ => Err(format!("{at} is declared to be of several types")),
                }
            }
            _ => match schema.get("enum").and_then(Value::as_array) {
                Some(values) if values.iter().all(Value::is_string) => Ok((Some("string"), false)),
                _ if schema.get("const").is_some_and(Value::is_string) => Ok((Some("string"), false)),
                _ => Ok((None, false)),
            },
        }
    }

    /// The schema that references lead to, inside the same document.
    fn resolved<'s>(&'s self, schema: &'s Value) -> Option<&'s Value> {
        let mut at = schema;
        for _ in 0..REFERENCES_MAX {
            let Some(reference) = at.get("$ref").and_then(Value::as_str) else { return Some(at) };
            at = self.root.pointer(reference.strip_prefix('#')?)?;
        }
        None
    }
}
