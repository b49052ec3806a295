//! Tools as data: the definition that clients see and the check of arguments come from one place.

use casemate_mcp::json::{Members, Raw};
use casemate_mcp::revision::Revision;
use serde_json::{Map, Value, json};

use crate::parameter::{Arguments, Parameter};

/// A tool of a built-in server.
#[derive(Debug)]
pub struct Tool {
    /// Its name, unique in its server.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it does, for a model that has to choose.
    pub description: &'static str,
    /// What it can be given; all of it optional.
    pub parameters: &'static [&'static Parameter],
    /// The JSON Schema of what it returns.
    pub output: fn() -> Value,
    /// What it does to the world.
    pub effect: Effect,
}

/// What a tool does to the world; said to clients as annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It only looks, and only at this machine.
    Reads,
}

impl Tool {
    /// The definition as it is listed in a revision; older ones lack some of its words.
    #[must_use]
    pub fn definition(&self, revision: Revision) -> Value {
        let mut tool = json!({
            "name": self.name,
            "description": self.description,
            "inputSchema": self.input_schema(),
        });
        let mut set = |name: &str, value: Value| {
            if let Some(members) = tool.as_object_mut() {
                members.insert(name.to_owned(), value);
            }
        };
        if revision >= Revision::V2025_03_26 {
            set("annotations", self.effect.annotations());
        }
        if revision >= Revision::V2025_06_18 {
            set("title", self.title.into());
            set("outputSchema", (self.output)());
        }
        tool
    }

    fn input_schema(&self) -> Value {
        let properties: Map<String, Value> =
            self.parameters.iter().map(|parameter| (parameter.name.to_owned(), parameter.schema())).collect();
        json!({ "type": "object", "properties": properties, "additionalProperties": false })
    }

    /// Checks what a client sent as arguments against the parameters.
    ///
    /// # Errors
    /// One sentence that names everything that is wrong.
    pub fn check(&self, sent: &Members) -> Result<Arguments, String> {
        let mut checked = Arguments::default();
        let mut faults = Vec::new();
        for (name, value) in sent.iter() {
            match self.parameters.iter().find(|parameter| parameter.name == name) {
                None => faults.push(format!("`{}` is not an argument of {}", shorten(&name), self.known())),
                Some(parameter) => match parameter.read(&value) {
                    Ok(value) => checked.set(parameter, value),
                    Err(expected) => {
                        let sent = shorten(value.as_str());
                        faults.push(format!("`{name}` has to be {expected}, not {sent}"));
                    }
                },
            }
        }
        if faults.is_empty() { Ok(checked) } else { Err(format!("Wrong arguments: {}.", faults.join("; "))) }
    }

    fn known(&self) -> String {
        let names: Vec<String> = self.parameters.iter().map(|known| format!("`{}`", known.name)).collect();
        if names.is_empty() {
            format!("{}, which takes none", self.name)
        } else {
            format!("{}, which takes {}", self.name, names.join(", "))
        }
    }
}

impl Effect {
    fn annotations(self) -> Value {
        match self {
            Effect::Reads => json!({
                "readOnlyHint": true,
                "destructiveHint": false,
                "idempotentHint": true,
                "openWorldHint": false,
            }),
        }
    }
}

/// The result of a call that succeeded: structured, and once more as text for clients that read only that.
pub(crate) fn result(structured: &Raw, revision: Revision) -> Raw {
    let content = content(structured.as_str());
    let empty = Members::empty();
    let edit = empty.edit().set("content", content);
    let edit = if revision >= Revision::V2025_06_18 {
        edit.set("structuredContent", structured.clone())
    } else {
        edit
    };
    edit.set("isError", Raw::of(&false)).finish()
}

/// The result of a call that failed, which a model can read and act on.
pub(crate) fn failure(message: &str) -> Raw {
    Members::empty().edit().set("content", content(message)).set("isError", Raw::of(&true)).finish()
}

fn content(text: &str) -> Raw {
    Raw::of(&json!([{ "type": "text", "text": text }]))
}

/// As much of a text as helps to recognize it.
fn shorten(text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    match text.char_indices().nth(SHOWN_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameter::Kind;

    const TIMES: Parameter = Parameter {
        name: "times",
        description: "How often.",
        kind: Kind::Whole { min: 1, max: 9, default: 2 },
    };
    const SHARE: Parameter = Parameter {
        name: "share",
        description: "How much.",
        kind: Kind::Number { min: 0.0, max: 100.0, default: 90.0 },
    };
    const PLACE: Parameter =
        Parameter { name: "place", description: "Where.", kind: Kind::Text { chars_max: 3 } };
    const TOOL: Tool = Tool {
        name: "knock",
        title: "Knock",
        description: "Knocks.",
        parameters: &[&TIMES, &SHARE, &PLACE],
        output: || json!({ "type": "object" }),
        effect: Effect::Reads,
    };

    fn check(sent: &Value) -> Result<Arguments, String> {
        TOOL.check(&Raw::of(sent).members().unwrap())
    }

    #[test]
    fn what_is_sent_counts_and_what_is_not_has_a_default() {
        let sent = check(&json!({ "times": 3.0, "place": "äöü" })).unwrap();
        assert_eq!((sent.whole(&TIMES), sent.number(&SHARE), sent.text(&PLACE)), (3, 90.0, Some("äöü")));
        let none = check(&json!({})).unwrap();
        assert_eq!((none.whole(&TIMES), none.number(&SHARE), none.text(&PLACE)), (2, 90.0, None));
    }

    #[test]
    fn wrong_arguments_are_named_exactly() {
        let cases = [
            (json!({ "times": 0 }), "`times` has to be a whole number from 1 to 9, not 0"),
            (json!({ "times": 1.5 }), "`times` has to be a whole number from 1 to 9, not 1.5"),
            (json!({ "times": -1 }), "`times` has to be a whole number from 1 to 9, not -1"),
            (json!({ "times": 1e300 }), "`times` has to be a whole number from 1 to 9, not 1e+300"),
            (json!({ "times": "2" }), "`times` has to be a whole number from 1 to 9, not \"2\""),
            (json!({ "share": 100.5 }), "`share` has to be a number from 0 to 100, not 100.5"),
            (json!({ "share": null }), "`share` has to be a number from 0 to 100, not null"),
            (json!({ "place": "abcd" }), "`place` has to be a text of 1 to 3 characters, not \"abcd\""),
            (json!({ "place": "" }), "`place` has to be a text of 1 to 3 characters, not \"\""),
            (
                json!({ "door": 1 }),
                "`door` is not an argument of knock, which takes `times`, `share`, `place`",
            ),
        ];
        for (sent, expected) in cases {
            assert_eq!(check(&sent).unwrap_err(), format!("Wrong arguments: {expected}."));
        }
    }

    #[test]
    fn all_faults_are_named_at_once_and_none_at_length() {
        let message = check(&json!({ "times": vec![1; 100], "place": 1 })).unwrap_err();
        assert!(message.contains("`times` has") && message.contains("`place` has"), "{message}");
        assert!(message.len() < 250, "{message}");
    }

    #[test]
    fn an_old_revision_does_not_hear_new_words() {
        let words = |revision| {
            let tool = TOOL.definition(revision);
            let mut words: Vec<String> = tool.as_object().unwrap().keys().cloned().collect();
            words.sort();
            words.join(" ")
        };
        assert_eq!(words(Revision::V2024_11_05), "description inputSchema name");
        assert_eq!(words(Revision::V2025_03_26), "annotations description inputSchema name");
        let all = "annotations description inputSchema name outputSchema title";
        assert_eq!(words(Revision::V2026_07_28), all);
    }
}
