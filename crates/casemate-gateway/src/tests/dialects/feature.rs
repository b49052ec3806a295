//! What has to work between a client and a server, and how that shows.

use std::time::Duration;

use casemate_testkit::client::Exchange;
use serde_json::{Value, json};

use super::super::bridge::person::{self, Heard};
use super::super::harness::background;
use super::{Bed, Dialect};

/// One row of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    Call,
    Progress,
    Cancel,
    Form,
    Url,
    Sample,
    Roots,
    Subscribe,
    Changes,
    Task,
    TaskThatAsks,
}

type Outcome = Result<(), String>;

impl Feature {
    pub(super) const ALL: [Feature; 11] = [
        Feature::Call,
        Feature::Progress,
        Feature::Cancel,
        Feature::Form,
        Feature::Url,
        Feature::Sample,
        Feature::Roots,
        Feature::Subscribe,
        Feature::Changes,
        Feature::Task,
        Feature::TaskThatAsks,
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Feature::Call => "call",
            Feature::Progress => "progress",
            Feature::Cancel => "cancel",
            Feature::Form => "elicit a form",
            Feature::Url => "elicit a URL",
            Feature::Sample => "sample",
            Feature::Roots => "roots",
            Feature::Subscribe => "subscribe",
            Feature::Changes => "list change",
            Feature::Task => "task",
            Feature::TaskThatAsks => "task that asks",
        }
    }

    /// Does it, and says what was different from what is demanded.
    pub(super) async fn check(self, bed: &Bed) -> Outcome {
        match self {
            Feature::Call => {
                let heard = call(bed, "echo", json!({"message": "hi"})).await;
                same(heard.text(), "hi")
            }
            Feature::Progress => progress(bed).await,
            Feature::Cancel => cancel(bed).await,
            Feature::Form => {
                let heard = call(bed, "test_input_required_result_elicitation", json!({})).await;
                asked(&heard, "elicitation/create", "Hello, Vauban!")
            }
            Feature::Url => {
                let heard = call(bed, "ask_url", json!({})).await;
                same(
                    heard.asked[0]["params"]["url"].as_str().unwrap_or_default(),
                    "https://example.org/login",
                )?;
                asked(&heard, "elicitation/create", "User response: action=accept, content={}")
            }
            Feature::Sample => {
                let heard = call(bed, "test_sampling", json!({"prompt": "capital?"})).await;
                asked(&heard, "sampling/createMessage", "LLM response: Paris")?;
                let heard = call(bed, "ask_with_tools", json!({})).await;
                same(&heard.asked[0]["params"]["tools"][0]["name"].to_string(), "\"lookup\"")?;
                asked(&heard, "sampling/createMessage", "LLM response: Paris")
            }
            Feature::Roots => {
                let heard = call(bed, "test_input_required_result_list_roots", json!({})).await;
                asked(&heard, "roots/list", r#"Roots: [{"uri":"file:///work","name":"work"}]"#)
            }
            Feature::Subscribe => {
                let uri = bed.uri("test://watched-resource");
                let mut stream = match bed.client_speaks {
                    Dialect::Legacy => {
                        let stream = bed.client.listen(None).await.unwrap();
                        bed.client.request("resources/subscribe", json!({"uri": uri})).await.unwrap();
                        stream
                    }
                    _ => listen(bed, json!({"resourceSubscriptions": [uri]})).await?,
                };
                until(bed, &mut stream, ("touch_resource", "notifications/resources/updated")).await
            }
            Feature::Changes => {
                let mut stream = match bed.client_speaks {
                    Dialect::Legacy => bed.another_stream().await,
                    _ => listen(bed, json!({"toolsListChanged": true})).await?,
                };
                until(bed, &mut stream, ("test_trigger_tool_change", "notifications/tools/list_changed"))
                    .await
            }
            Feature::Task => task(bed).await,
            Feature::TaskThatAsks => task_that_asks(bed).await,
        }
    }
}

async fn call(bed: &Bed, tool: &str, arguments: Value) -> Heard {
    person::call(&bed.client, &bed.tool(tool), arguments).await
}

fn same(found: &str, expected: &str) -> Outcome {
    if found == expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}")) }
}

fn asked(heard: &Heard, method: &str, text: &str) -> Outcome {
    let methods: Vec<_> = heard.asked.iter().map(|request| request["method"].as_str()).collect();
    if methods != [Some(method)] {
        return Err(format!("it was asked {methods:?}"));
    }
    // Members may be in any order.
    if heard.text() == text || sorted(heard.text()) == sorted(text) {
        return Ok(());
    }
    Err(format!("{:?} instead of {text:?}", heard.text()))
}

fn sorted(text: &str) -> Vec<char> {
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters
}

async fn progress(bed: &Bed) -> Outcome {
    let params = json!({
        "name": bed.tool("test_tool_with_progress"), "arguments": {}, "_meta": {"progressToken": "mine"},
    });
    let heard = person::request(&bed.client, "tools/call", params).await;
    let reports: Vec<_> = heard
        .notices
        .iter()
        .filter(|notice| notice["method"] == "notifications/progress")
        .map(|notice| (notice["params"]["progressToken"].clone(), notice["params"]["progress"].as_f64()))
        .collect();
    let expected = [0.0, 50.0, 100.0].map(|done| (json!("mine"), Some(done)));
    if reports == expected { Ok(()) } else { Err(format!("{reports:?}")) }
}

/// Modern clients give a call up by closing its stream, legacy ones say so.
async fn cancel(bed: &Bed) -> Outcome {
    let client = bed.another().await;
    let params = json!({
        "name": bed.tool("sleep_ms"), "arguments": {"ms": 600_000}, "_meta": {"progressToken": 1},
    });
    let mut exchange = client.open("tools/call", params).await.unwrap();
    // Its first report shows that it runs.
    exchange.next().await.unwrap().ok_or("it ended")?;
    match bed.client_speaks {
        Dialect::Legacy => {
            client.notify("notifications/cancelled", json!({"requestId": exchange.id})).await.unwrap();
        }
        _ => drop(exchange),
    }
    bed.cancelled(1).await;
    Ok(())
}

async fn listen(bed: &Bed, notifications: Value) -> Result<Exchange, String> {
    let asked = json!({"notifications": notifications});
    let mut stream = bed.client.open("subscriptions/listen", asked).await.unwrap();
    let acknowledged = stream.next().await.unwrap().ok_or("it ended")?;
    same(&acknowledged["params"]["notifications"].to_string(), &notifications.to_string())?;
    Ok(stream)
}

/// Has the server change something until we are told of it. A server learns of a new listener on a way of its own, so the
/// first changes may come before it.
async fn until(bed: &Bed, stream: &mut Exchange, (tool, method): (&str, &str)) -> Outcome {
    let changer = bed.another().await;
    let name = bed.tool(tool);
    let told = async {
        loop {
            let message = stream.next().await.unwrap().ok_or("the stream ended")?;
            if message["method"] == method {
                return Ok(message);
            }
        }
    };
    let changes = async move {
        loop {
            person::call(&changer, &name, json!({})).await.result.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let changes = background(changes);
    let told: Result<Value, String> = told.await;
    changes.abort();
    let told = told?;
    if bed.client_speaks.is_modern_with_us() {
        let id = &told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        return same(&id.to_string(), &stream.id.to_string());
    }
    Ok(())
}

async fn task(bed: &Bed) -> Outcome {
    let (result, _) = as_task(bed, "slow_compute", json!({"seconds": 0, "label": "x"})).await?;
    same(&result["content"][0]["text"].to_string(), "\"Computed x for 0 s\"")?;
    // This one is a task or nothing.
    let (result, _) = as_task(bed, "failing_job", json!({})).await?;
    same(&result["isError"].to_string(), "true")?;
    if bed.client_speaks == Dialect::Legacy && bed.server_speaks.is_modern_with_us() {
        // The server decides what becomes a task. A client that knows nothing of that waits for the answer.
        same(call(bed, "failing_job", json!({})).await.text(), "The job failed, as it always does")?;
    }
    Ok(())
}

async fn task_that_asks(bed: &Bed) -> Outcome {
    let (result, asked) = as_task(bed, "confirm_delete", json!({"filename": "f"})).await?;
    let methods: Vec<_> = asked.iter().map(|request| request["method"].as_str()).collect();
    if methods != [Some("elicitation/create")] {
        return Err(format!("it was asked {methods:?}"));
    }
    let text = result["content"][0]["text"].as_str().unwrap_or_default();
    let text = text.split(',').next().unwrap_or_default();
    same(text, "f: action=accept")
}

/// Calls a tool as a task, in the words of the client, and waits for its result; and what was asked meanwhile.
async fn as_task(bed: &Bed, tool: &str, arguments: Value) -> Result<(Value, Vec<Value>), String> {
    if bed.client_speaks.is_modern_with_us() {
        modern_task(bed, tool, arguments).await
    } else {
        legacy_task(bed, tool, arguments).await
    }
}

async fn modern_task(bed: &Bed, tool: &str, arguments: Value) -> Result<(Value, Vec<Value>), String> {
    let created = call(bed, tool, arguments).await.result.unwrap();
    same(&created["resultType"].to_string(), "\"task\"")?;
    same(&created["task"].to_string(), "null")?;
    let id = json!({"taskId": created["taskId"]});
    let mut asked = Vec::new();
    loop {
        let state = bed.client.request("tasks/get", id.clone()).await.map_err(|error| error.to_string())?;
        same(&state["taskId"].to_string(), &id["taskId"].to_string())?;
        match state["status"].as_str() {
            Some("completed") => return Ok((state["result"].clone(), asked)),
            Some("input_required") => {
                let mut params = id.clone();
                params.as_object_mut().unwrap().append(&mut person::retry(&state));
                asked.extend(state["inputRequests"].as_object().unwrap().values().cloned());
                bed.client.request("tasks/update", params).await.map_err(|error| error.to_string())?;
            }
            other => same(other.unwrap_or_default(), "working")?,
        }
    }
}

async fn legacy_task(bed: &Bed, tool: &str, arguments: Value) -> Result<(Value, Vec<Value>), String> {
    let listed = bed.client.request("tools/list", json!({})).await.unwrap();
    let name = bed.tool(tool);
    let listed = listed["tools"].as_array().unwrap().iter().find(|listed| listed["name"] == *name).unwrap();
    let support = listed["execution"]["taskSupport"].as_str().unwrap_or_default();
    if !["optional", "required"].contains(&support) {
        return Err(format!("{name} says {support:?} of tasks"));
    }
    let params = json!({"name": name, "arguments": arguments, "task": {"ttl": 60_000}});
    let created = bed.client.request("tools/call", params).await.map_err(|error| error.to_string())?;
    same(&created["resultType"].to_string(), "null")?;
    let id = json!({"taskId": created["task"]["taskId"]});
    let state = bed.client.request("tasks/get", id.clone()).await.map_err(|error| error.to_string())?;
    same(&state["taskId"].to_string(), &id["taskId"].to_string())?;
    if !state["ttl"].is_number() || !state["pollInterval"].is_number() || state.get("ttlMs").is_some() {
        return Err(format!("{state} is no task of 2025-11-25"));
    }
    let heard = person::request(&bed.client, "tasks/result", id.clone()).await;
    let result = heard.result.map_err(|error| error.to_string())?;
    let related = &result["_meta"]["io.modelcontextprotocol/related-task"]["taskId"];
    same(&related.to_string(), &id["taskId"].to_string())?;
    for question in &heard.asked {
        let related = &question["params"]["_meta"]["io.modelcontextprotocol/related-task"]["taskId"];
        same(&related.to_string(), &id["taskId"].to_string())?;
    }
    let state = bed.client.request("tasks/get", id).await.map_err(|error| error.to_string())?;
    let ended = if result["isError"] == true { "failed" } else { "completed" };
    same(state["status"].as_str().unwrap_or_default(), ended)?;
    Ok((result, heard.asked))
}
