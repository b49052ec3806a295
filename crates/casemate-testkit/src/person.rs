//! Somebody who agrees to everything: opens every address, fills in every form, lends a model and a folder.

mod tour;

use bytes::Bytes;
use http::header::LOCATION;
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Map, Value, json};

pub use tour::Tour;

/// Redirects that a browser follows.
const REDIRECTS_MAX: usize = 5;

/// What such a client declares.
#[must_use]
pub fn capabilities() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}})
}

/// Opens an address as a browser whose person agrees to everything.
///
/// # Errors
/// The address leads nowhere.
pub async fn open(url: &str) -> Result<(), String> {
    let browser: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut url: Uri = url.parse().map_err(|_| "the address to open is none".to_owned())?;
    for _ in 0..REDIRECTS_MAX {
        let request = Request::get(url.clone()).header("sec-fetch-mode", "navigate").body(Empty::new());
        let request = request.map_err(|fault| fault.to_string())?;
        let response = browser.request(request).await.map_err(|fault| fault.to_string())?;
        let next = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).map(str::to_owned);
        // The page has to be read to its end, which is when whoever wrote it has done its work.
        let _ = response.into_body().collect().await;
        match next {
            Some(next) => url = next.parse().map_err(|_| "a redirect leads nowhere".to_owned())?,
            None => return Ok(()),
        }
    }
    Err("too many redirects".to_owned())
}

/// The reply to a question; none to what is no question.
#[must_use]
pub fn reply(method: &str, params: &Value) -> Option<Value> {
    match method {
        "elicitation/create" if params.get("mode").is_some_and(|mode| mode == "url") => {
            Some(json!({"action": "accept"}))
        }
        "elicitation/create" => {
            let form = params.get("requestedSchema").unwrap_or(&Value::Null);
            Some(json!({"action": "accept", "content": fitting(form)}))
        }
        "sampling/createMessage" => Some(json!({
            "role": "assistant", "content": {"type": "text", "text": "Yes."},
            "model": "casemate-testkit", "stopReason": "endTurn",
        })),
        "roots/list" => Some(json!({"roots": [{"uri": "file:///work", "name": "work"}]})),
        "ping" => Some(json!({})),
        _ => None,
    }
}

/// A value that fits a simple schema: its default, the first of its choices, or the plainest of its type. Of an object,
/// it has every member that has a default or is required.
#[must_use]
pub fn fitting(schema: &Value) -> Value {
    if let Some(default) = schema.get("default").or_else(|| schema.get("const")) {
        return default.clone();
    }
    if let Some(first) = schema.pointer("/enum/0").or_else(|| schema.pointer("/oneOf/0/const")) {
        return first.clone();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => json!("text"),
        Some("number" | "integer") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ => Value::Object(members(schema)),
    }
}

fn members(schema: &Value) -> Map<String, Value> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|one| one == name));
    let wanted = properties
        .into_iter()
        .flatten()
        .filter(|(name, property)| is_required(name) || property.get("default").is_some());
    wanted.map(|(name, property)| (name.clone(), fitting(property))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_filled_with_its_defaults_and_with_what_it_demands() {
        let form = json!({
            "type": "object",
            "properties": {
                "name": {"type": "string", "default": "Ann"},
                "age": {"type": "integer", "minimum": 18},
                "color": {"type": "string", "enum": ["red", "blue"]},
                "note": {"type": "string"},
            },
            "required": ["age", "color"],
        });
        let reply = reply("elicitation/create", &json!({"requestedSchema": form})).unwrap();
        assert_eq!(reply, json!({"action": "accept", "content": {"name": "Ann", "age": 18, "color": "red"}}));
        assert_eq!(super::reply("tools/call", &Value::Null), None);
    }
}
