//! Uses everything that a server offers, once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{open, reply};
use crate::client::{ClientError, McpHttp};

/// How often one request is sent with replies to questions before it is given up.
const ROUNDS_MAX: usize = 6;

/// One visit.
#[derive(Debug)]
pub struct Tour<'a> {
    client: &'a McpHttp,
    /// Calls to make of certain tools, in place of one with the plainest arguments.
    calls: Vec<Value>,
}

impl<'a> Tour<'a> {
    /// A visit through an open client. `calls` are objects with `name` and `arguments`; a tool that none of them names is
    /// called with the plainest arguments that its schema allows.
    pub fn new(client: &'a McpHttp, calls: Vec<Value>) -> Tour<'a> {
        Tour { client, calls }
    }

    /// Lists tools, resources and prompts, and uses each.
    ///
    /// # Errors
    /// A request without an answer, or whose questions never end. An error in place of an answer is one, too; only the
    /// tool whose schema refers to another document has to be refused.
    pub async fn run(&self, offered: &Value) -> Result<(), String> {
        if offered.get("tools").is_some() {
            let tools = self.list("tools/list", "tools").await?;
            for tool in &tools {
                self.use_tool(tool, &tools).await?;
            }
        }
        if offered.get("resources").is_some() {
            for resource in self.list("resources/list", "resources").await? {
                let params = json!({"uri": resource.get("uri")});
                self.ask("resources/read", params, &[]).await?;
            }
        }
        if offered.get("prompts").is_some() {
            for prompt in self.list("prompts/list", "prompts").await? {
                let params = json!({"name": prompt.get("name"), "arguments": arguments(&prompt)});
                self.ask("prompts/get", params, &[]).await?;
            }
        }
        Ok(())
    }

    async fn list(&self, method: &str, member: &str) -> Result<Vec<Value>, String> {
        let listed = self.ask(method, json!({}), &[]).await?;
        Ok(listed.get(member).and_then(Value::as_array).cloned().unwrap_or_default())
    }

    async fn use_tool(&self, tool: &Value, all: &[Value]) -> Result<(), String> {
        let schema = tool.get("inputSchema").unwrap_or(&Value::Null);
        let chosen: Vec<&Value> =
            self.calls.iter().filter(|call| call.get("name") == tool.get("name")).collect();
        let mut plainest = json!({"arguments": super::fitting(schema)});
        if let Some(wanted) = plainest.pointer_mut("/arguments/schema") {
            // The suite has a tool that takes back what it showed, to see what became of it on the way.
            *wanted = all.iter().find_map(|tool| tool.get("inputSchema")).cloned().unwrap_or_default();
        }
        let calls = if chosen.is_empty() { vec![&plainest] } else { chosen };
        for call in calls {
            let arguments = admitted(schema, call.get("arguments").unwrap_or(&Value::Null));
            let headers = mirrored(schema, &arguments);
            let params = json!({"name": tool.get("name"), "arguments": arguments});
            let answer = self.ask("tools/call", params, &headers).await;
            if refers_elsewhere(schema) != answer.is_err() {
                let why = answer.err().unwrap_or_else(|| "the schema was fetched, or not looked at".into());
                return Err(format!("{}: {why}", tool.get("name").unwrap_or(&Value::Null)));
            }
        }
        Ok(())
    }

    /// Sends a request, and sends it again with the replies to what it is answered with.
    async fn ask(&self, method: &str, params: Value, headers: &[(String, String)]) -> Result<Value, String> {
        let said = |fault: ClientError| format!("{method}: {fault}");
        let mut further = params.clone();
        for _ in 0..ROUNDS_MAX {
            let result = self.once(method, further, headers).await.map_err(said)?;
            if result.get("resultType").is_none_or(|kind| kind != "input_required") {
                return Ok(result);
            }
            let mut members = params.as_object().cloned().unwrap_or_default();
            members.insert("inputResponses".to_owned(), self.replies(&result).await?);
            if let Some(state) = result.get("requestState") {
                members.insert("requestState".to_owned(), state.clone());
            }
            further = Value::Object(members);
        }
        Err(format!("{method} was still answered with questions after {ROUNDS_MAX} rounds"))
    }

    /// Sends a request and replies to what is asked on its stream.
    async fn once(
        &self,
        method: &str,
        params: Value,
        headers: &[(String, String)],
    ) -> Result<Value, ClientError> {
        let mut exchange = self.client.open_with(method, params, headers).await?;
        loop {
            let Some(message) = exchange.next().await? else { return Err(ClientError::Closed) };
            if let Some(outcome) = exchange.outcome(&message) {
                return outcome;
            }
            let asked = message.get("method").and_then(Value::as_str);
            let (Some(asked), Some(id)) = (asked, message.get("id")) else { continue };
            if let Some(reply) = reply(asked, message.get("params").unwrap_or(&Value::Null)) {
                self.client.respond(id, reply).await?;
            }
        }
    }

    async fn replies(&self, result: &Value) -> Result<Value, String> {
        let mut replies = Map::new();
        let requests = result.get("inputRequests").and_then(Value::as_object);
        for (key, request) in requests.into_iter().flatten() {
            let params = request.get("params").unwrap_or(&Value::Null);
            if let Some(url) = params.get("url").and_then(Value::as_str) {
                open(url).await?;
            }
            let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
            let reply = reply(method, params).ok_or_else(|| format!("{method} is no question"))?;
            replies.insert(key.clone(), reply);
        }
        Ok(Value::Object(replies))
    }
}

/// Arguments without those that are null where the schema allows none, as a model sends them once it was told: the gateway
/// refuses such a call before it reaches the server.
fn admitted(schema: &Value, arguments: &Value) -> Value {
    let allows_null = |name: &str| {
        let kind = schema.pointer(&format!("/properties/{name}/type"));
        kind.is_none_or(|kind| {
            kind == "null" || kind.as_array().is_some_and(|all| all.contains(&json!("null")))
        })
    };
    let given = arguments.as_object().into_iter().flatten();
    let kept = given.filter(|(name, value)| !value.is_null() || allows_null(name));
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Whether some part of a schema is to be found in another document, which nobody may fetch.
fn refers_elsewhere(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            reference.is_some_and(|to| !to.starts_with('#')) || members.values().any(refers_elsewhere)
        }
        Value::Array(elements) => elements.iter().any(refers_elsewhere),
        _ => false,
    }
}

/// A text for each argument that a prompt demands.
fn arguments(prompt: &Value) -> Value {
    let listed = prompt.get("arguments").and_then(Value::as_array);
    let names = listed.into_iter().flatten().filter_map(|argument| argument.get("name")?.as_str());
    Value::Object(names.map(|name| (name.to_owned(), json!("text"))).collect())
}

/// The `Mcp-Param-*` headers that a tool's schema asks for; only top-level arguments, as the suite has them.
fn mirrored(schema: &Value, arguments: &Value) -> Vec<(String, String)> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let header = |(name, property): (&String, &Value)| {
        let suffix = property.get("x-mcp-header")?.as_str()?;
        let text = match arguments.get(name)? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some((format!("Mcp-Param-{suffix}"), encoded(&text)))
    };
    properties.into_iter().flatten().filter_map(header).collect()
}

/// A header's value: as it is where HTTP carries it unchanged.
fn encoded(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && text.trim() == text
        && !text.starts_with("=?");
    if is_plain { text.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(text)) }
}
