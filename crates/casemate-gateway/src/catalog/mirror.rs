//! Arguments that a tool wants repeated in HTTP headers: the `x-mcp-header` annotations of its input schema (2026-07-28,
//! "Custom Headers from Tool Parameters").

use std::fmt;

use casemate_mcp::json::{Members, Raw};

/// The annotation.
const MARK: &str = "x-mcp-header";

/// Keywords whose values map names to schemas.
const MAPS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Keywords whose values are no schemas: what looks like an annotation in there is an example or a choice.
const VALUES: [&str; 4] = ["default", "const", "enum", "examples"];

/// One argument that is repeated: the header's name after `Mcp-Param-`, and the path to the argument.
pub type Mirrored = (Box<str>, Vec<Box<str>>);

/// Why a schema's annotations cannot be kept to. A client that speaks HTTP MUST NOT use such a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmirrored(String);

impl fmt::Display for Unmirrored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is to be repeated of the arguments that an input schema describes.
///
/// # Errors
/// [`Unmirrored`].
pub(super) fn read(schema: &Members) -> Result<Vec<Mirrored>, Unmirrored> {
    // Nearly no schema has one, and looking for the word is cheaper than looking at all parts.
    if memchr::memmem::find(schema.raw().as_bytes(), MARK.as_bytes()).is_none() {
        return Ok(Vec::new());
    }
    let mut reader = Reader { path: Vec::new(), found: Vec::new() };
    reader.schema(schema, Reached::Root)?;
    Ok(reader.found)
}

/// How a part of a schema is reached from its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// It is the root.
    Root,
    /// Through `properties` alone, so that its value stands in one place of the arguments.
    Directly,
    /// Some other way.
    Otherwise,
}

struct Reader {
    path: Vec<Box<str>>,
    found: Vec<Mirrored>,
}

impl Reader {
    /// The depth of a checked text is bounded, and with it this recursion.
    fn schema(&mut self, schema: &Members, reached: Reached) -> Result<(), Unmirrored> {
        if let Some(name) = schema.get(MARK) {
            self.annotated(schema, (&name, reached))?;
        }
        for (keyword, value) in schema.iter().filter(|(keyword, _)| !VALUES.contains(&keyword.as_ref())) {
            let through = match keyword.as_ref() {
                "properties" if reached != Reached::Otherwise => Reached::Directly,
                _ => Reached::Otherwise,
            };
            if MAPS.contains(&keyword.as_ref()) {
                let Some(named) = value.members() else { continue };
                for (name, part) in named.iter() {
                    self.path.push(name.into());
                    self.part(&part, through)?;
                    self.path.pop();
                }
            } else {
                self.part(&value, through)?;
            }
        }
        Ok(())
    }

    /// A value that is a schema, or a list of some.
    fn part(&mut self, value: &Raw, reached: Reached) -> Result<(), Unmirrored> {
        if let Some(schema) = value.members() {
            return self.schema(&schema, reached);
        }
        let elements = value.elements().unwrap_or_default();
        let mut schemas = elements.iter().filter_map(Raw::members);
        schemas.try_for_each(|schema| self.schema(&schema, Reached::Otherwise))
    }

    fn annotated(&mut self, schema: &Members, (name, reached): (&Raw, Reached)) -> Result<(), Unmirrored> {
        let place = self.path.join(".");
        let wrong = |why: &str| Err(Unmirrored(format!("{MARK} of {place:?} {why}")));
        let Some(name) = name.string() else { return wrong("is no text") };
        if name.is_empty() || !name.bytes().all(is_token) {
            return wrong("is no name of a header");
        }
        if reached != Reached::Directly {
            return wrong("is not reached through properties alone");
        }
        if !is_primitive(schema) {
            return wrong("is on what is neither a string, nor an integer, nor a boolean");
        }
        if self.found.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
            return wrong("is the name of another one too");
        }
        self.found.push((name.into(), self.path.clone()));
        Ok(())
    }
}

/// Whether a byte may stand in a header's name (RFC 9110, `tchar`).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a value has a type that headers can carry. One that may be null besides is not repeated when it is.
fn is_primitive(schema: &Members) -> bool {
    let is_one = |name: &str| matches!(name, "string" | "integer" | "boolean");
    let Some(kind) = schema.get("type") else { return false };
    if let Some(name) = kind.string() {
        return is_one(&name);
    }
    let names = kind.elements().unwrap_or_default();
    let names: Vec<_> = names.iter().filter_map(Raw::string).collect();
    names.iter().any(|name| is_one(name)) && names.iter().all(|name| is_one(name) || name == "null")
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_mcp::json::Limits;

    fn found(properties: &str) -> Result<Vec<String>, String> {
        let schema = format!(r#"{{"type":"object","properties":{{{properties}}}}}"#).replace('\'', "\"");
        let schema = Members::check(schema.into(), &Limits::default()).unwrap();
        let found = read(&schema).map_err(|fault| fault.to_string())?;
        Ok(found.into_iter().map(|(name, path)| format!("{name}={}", path.join("."))).collect())
    }

    #[test]
    fn annotated_arguments_are_found_wherever_properties_alone_lead() {
        let good = [
            ("'a':{'type':'string'}", vec![]),
            ("'a':{'type':'string','x-mcp-header':'Region'}", vec!["Region=a"]),
            ("'a':{'type':['integer','null'],'x-mcp-header':'N'}", vec!["N=a"]),
            ("'a':{'type':'object','properties':{'b':{'type':'boolean','x-mcp-header':'B'}}}", vec!["B=a.b"]),
            ("'x-mcp-header':{'type':'string'}", vec![]),
            ("'a':{'type':'object','default':{'x-mcp-header':''}}", vec![]),
        ];
        for (properties, expected) in good {
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(found(properties), Ok(expected), "{properties}");
        }
    }

    #[test]
    fn annotations_that_no_client_can_keep_to_are_told() {
        let bad = [
            "'a':{'type':'string','x-mcp-header':''}",
            "'a':{'type':'string','x-mcp-header':7}",
            "'a':{'type':'string','x-mcp-header':'My Region'}",
            "'a':{'type':'string','x-mcp-header':'Region:Primary'}",
            "'a':{'type':'string','x-mcp-header':'Région'}",
            "'a':{'type':'string','x-mcp-header':'a\\r\\nHost: evil'}",
            "'a':{'type':'number','x-mcp-header':'N'}",
            "'a':{'type':'object','x-mcp-header':'N'}",
            "'a':{'type':['string','array'],'x-mcp-header':'N'}",
            "'a':{'x-mcp-header':'N'}",
            "'a':{'type':'string','x-mcp-header':'N'},'b':{'type':'string','x-mcp-header':'n'}",
            "'a':{'type':'array','items':{'type':'string','x-mcp-header':'N'}}",
            "'a':{'anyOf':[{'type':'string','x-mcp-header':'N'}]}",
            "'a':{'$defs':{'b':{'type':'string','x-mcp-header':'N'}}}",
            "'a':{'if':{'properties':{'b':{'type':'string','x-mcp-header':'N'}}}}",
        ];
        for properties in bad {
            assert!(found(properties).is_err(), "{properties}");
        }
        let root = r#"{"type":"string","x-mcp-header":"N"}"#;
        assert!(read(&Members::check(root.into(), &Limits::default()).unwrap()).is_err());
    }
}
