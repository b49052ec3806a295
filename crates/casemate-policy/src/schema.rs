//! The words that policies are written in, as Cedar's validator wants them: one schema for all, and one for each tool
//! whose arguments a policy looks at.

use std::sync::OnceLock;

use cedar_policy::Schema;
use serde_json::{Value, json};

/// The schema without the arguments of any tool.
pub(crate) fn base() -> Result<Schema, String> {
    static BASE: OnceLock<Result<Schema, String>> = OnceLock::new();
    BASE.get_or_init(|| with_arguments(&json!({ "type": "Record", "attributes": {} }))).clone()
}

/// The schema of a tool with these arguments.
pub(crate) fn with_arguments(arguments: &Value) -> Result<Schema, String> {
    Schema::from_json_value(written(arguments)).map_err(|fault| fault.to_string())
}

fn written(arguments: &Value) -> Value {
    let text = json!({ "type": "String" });
    let truth = json!({ "type": "Boolean" });
    let thing = |name: &str| {
        json!({
            "memberOfTypes": ["Server", "Console"],
            "shape": { "type": "Record", "attributes": { "server": text, name: text, "read_only": truth } },
        })
    };
    let used = |resources: &[&str]| {
        json!({
            "memberOf": [{ "id": "use" }],
            "appliesTo": {
                "principalTypes": ["Subject"], "resourceTypes": resources, "context": context(None),
            },
        })
    };
    let governed = json!({ "appliesTo": {
        "principalTypes": ["Subject"], "resourceTypes": ["Server", "Console"], "context": context(None),
    } });
    json!({ "": {
        "entityTypes": {
            "Role": {},
            "Console": {},
            "Subject": {
                "memberOfTypes": ["Role"],
                "shape": { "type": "Record", "attributes": { "id": text } },
            },
            "Server": {
                "memberOfTypes": ["Console"],
                "shape": { "type": "Record", "attributes": { "name": text } },
            },
            "Tool": thing("name"),
            "Prompt": thing("name"),
            "Resource": thing("uri"),
        },
        "actions": {
            "use": {},
            "call": {
                "memberOf": [{ "id": "use" }],
                "appliesTo": {
                    "principalTypes": ["Subject"], "resourceTypes": ["Tool"],
                    "context": context(Some(arguments)),
                },
            },
            "get": used(&["Prompt"]),
            "complete": used(&["Prompt", "Resource"]),
            "read": used(&["Resource"]),
            "subscribe": used(&["Resource"]),
            "view": governed,
            "administer": governed,
        },
    } })
}

fn context(arguments: Option<&Value>) -> Value {
    let mut attributes = json!({
        "time": { "type": "Extension", "name": "datetime" },
        "address": { "type": "Extension", "name": "ipaddr", "required": false },
        "authentication": { "type": "String" },
        "strength": { "type": "Long" },
    });
    if let (Some(arguments), Some(attributes)) = (arguments, attributes.as_object_mut()) {
        let claim = json!({ "type": "Boolean", "required": false });
        let claims = super::arguments::CLAIMS.iter().map(|(name, _)| ((*name).to_owned(), claim.clone()));
        let claims: serde_json::Map<String, Value> = claims.collect();
        attributes.insert("claimed".to_owned(), json!({ "type": "Record", "attributes": claims }));
        attributes.insert("arguments".to_owned(), arguments.clone());
    }
    json!({ "type": "Record", "attributes": attributes })
}
