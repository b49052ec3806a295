//! A client with a person in front of it, who answers whatever is asked, in either dialect.

use casemate_testkit::client::{ClientError, McpHttp};
use serde_json::{Map, Value, json};

/// Rounds after which the person has had enough.
const ROUNDS_MAX: usize = 40;

/// What a call came to.
#[derive(Debug)]
pub(in crate::tests) struct Heard {
    pub(in crate::tests) result: Result<Value, ClientError>,
    /// Each question: its method and params.
    pub(in crate::tests) asked: Vec<Value>,
    pub(in crate::tests) notices: Vec<Value>,
}

impl Heard {
    /// The first text of the result.
    pub(in crate::tests) fn text(&self) -> &str {
        self.result.as_ref().unwrap()["content"][0]["text"].as_str().unwrap_or_default()
    }

    /// The code of the refusal.
    pub(in crate::tests) fn refused(&self) -> String {
        code(self.result.as_ref().unwrap_err())
    }
}

/// The code of a refusal, `CM1308`.
pub(in crate::tests) fn code(error: &ClientError) -> String {
    let ClientError::Rpc(error) = error else { panic!("{error}") };
    error.data.as_ref().and_then(|data| data["code"].as_str()).unwrap_or_default().to_owned()
}

/// Sends a request and answers what is asked until there is a result.
pub(in crate::tests) async fn request(client: &McpHttp, method: &str, params: Value) -> Heard {
    let mut heard = Heard { result: Ok(Value::Null), asked: Vec::new(), notices: Vec::new() };
    let mut extra = Map::new();
    for _ in 0..ROUNDS_MAX {
        let mut params = params.clone();
        params.as_object_mut().unwrap().append(&mut extra);
        heard.result = round(client, (method, params), &mut heard).await;
        let Ok(result) = &heard.result else { return heard };
        if result["resultType"] != "input_required" {
            return heard;
        }
        extra = retry(result);
        let requests = result["inputRequests"].as_object().cloned().unwrap_or_default();
        heard.asked.extend(requests.into_iter().map(|(_, request)| request));
    }
    panic!("it asks on and on: {heard:?}")
}

/// Calls a tool.
pub(in crate::tests) async fn call(client: &McpHttp, tool: &str, arguments: Value) -> Heard {
    request(client, "tools/call", json!({"name": tool, "arguments": arguments})).await
}

/// What a retry adds to its request: a reply to each question, and the state.
pub(in crate::tests) fn retry(result: &Value) -> Map<String, Value> {
    let mut extra = Map::new();
    if let Some(requests) = result["inputRequests"].as_object() {
        let replies: Map<String, Value> =
            requests.iter().map(|(key, request)| (key.clone(), reply(request))).collect();
        extra.insert("inputResponses".into(), replies.into());
    }
    if let Some(state) = result.get("requestState") {
        extra.insert("requestState".into(), state.clone());
    }
    extra
}

async fn round(
    client: &McpHttp,
    (method, params): (&str, Value),
    heard: &mut Heard,
) -> Result<Value, ClientError> {
    let mut exchange = client.open(method, params).await?;
    while let Some(message) = exchange.next().await? {
        match (message.get("method"), message.get("id")) {
            (Some(_), Some(id)) => {
                client.respond(id, reply(&message)).await?;
                heard.asked.push(json!({"method": message["method"], "params": message["params"]}));
            }
            (Some(_), None) => heard.notices.push(message),
            (None, _) => {
                return match message.get("error") {
                    None => Ok(message["result"].clone()),
                    Some(error) => Err(ClientError::Rpc(casemate_testkit::RpcError::from_value(error))),
                };
            }
        }
    }
    Err(ClientError::Closed)
}

/// What the person says to a question.
fn reply(request: &Value) -> Value {
    match request["method"].as_str().unwrap() {
        "elicitation/create" if request["params"]["mode"] == "url" => json!({"action": "accept"}),
        "elicitation/create" => json!({"action": "accept", "content": {
            "name": "Vauban", "color": "red", "username": "v", "email": "v@example.org", "ok": true, "confirm": true,
        }}),
        "sampling/createMessage" => json!({
            "role": "assistant", "model": "m", "stopReason": "endTurn", "content": {"type": "text", "text": "Paris"},
        }),
        "roots/list" => json!({"roots": [{"uri": "file:///work", "name": "work"}]}),
        other => panic!("nobody asks {other}"),
    }
}
