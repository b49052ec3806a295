//! A client of either dialect at the other end of a pipe.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf};

use super::*;
use crate::parameter::{Arguments, Kind, Parameter};
use crate::server::ToolFault;
use crate::tool::{Effect, Tool};

const TIMES: Parameter =
    Parameter { name: "times", description: "How often.", kind: Kind::Whole { min: 1, max: 9, default: 2 } };

static TOOLS: [Tool; 4] = [tool("echo", &[&TIMES]), tool("wait", &[]), tool("fail", &[]), tool("crash", &[])];

const fn tool(name: &'static str, parameters: &'static [&'static Parameter]) -> Tool {
    Tool {
        name,
        title: "T",
        description: "D",
        parameters,
        output: || json!({ "type": "object" }),
        effect: Effect::Reads,
    }
}

/// A server whose tools do what a test needs.
#[derive(Debug, Default)]
struct Stub {
    /// Calls of `wait` that are under way, seen by the test.
    waiting: Arc<AtomicUsize>,
}

/// Counts as long as it lives.
struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Server for Stub {
    const NAME: &'static str = "stub";
    const DESCRIPTION: &'static str = "For tests.";
    const INSTRUCTIONS: &'static str = "None.";

    fn tools(&self) -> &'static [Tool] {
        &TOOLS
    }

    async fn call(&self, tool: &'static Tool, arguments: Arguments) -> Result<Raw, ToolFault> {
        match tool.name {
            "echo" => Ok(Raw::of(&json!({ "times": arguments.whole(&TIMES) }))),
            "wait" => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                let _count = Count(Arc::clone(&self.waiting));
                std::future::pending().await
            }
            "fail" => Err(ToolFault("it is raining".to_owned())),
            _ => panic!("as asked"),
        }
    }
}

struct Client {
    to: WriteHalf<DuplexStream>,
    from: Lines<BufReader<ReadHalf<DuplexStream>>>,
    waiting: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<io::Result<()>>,
    tracker: TaskTracker,
}

impl Client {
    fn new() -> Client {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(far);
        let stub = Stub::default();
        let waiting = Arc::clone(&stub.waiting);
        let tracker = TaskTracker::new();
        let serving = tracker.spawn(serve(stub, input, output));
        let (from, to) = tokio::io::split(near);
        Client { to, from: BufReader::new(from).lines(), waiting, serving, tracker }
    }

    async fn legacy(revision: &str) -> Client {
        let mut client = Client::new();
        let params =
            json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": { "name": "t" } });
        let answer = client.ask(json!({ "id": 0, "method": "initialize", "params": params })).await;
        assert_eq!(answer["result"]["protocolVersion"], revision);
        assert_eq!(answer["result"]["serverInfo"]["name"], "casemate-stub");
        assert_eq!(answer["result"]["instructions"], "None.");
        client.tell(json!({ "method": "notifications/initialized" })).await;
        client
    }

    async fn write(&mut self, text: &[u8]) {
        self.to.write_all(text).await.unwrap();
        self.to.write_all(b"\n").await.unwrap();
    }

    async fn tell(&mut self, mut message: Value) {
        message["jsonrpc"] = "2.0".into();
        self.write(message.to_string().as_bytes()).await;
    }

    async fn read(&mut self) -> Value {
        serde_json::from_str(&self.from.next_line().await.unwrap().expect("the server has ended")).unwrap()
    }

    async fn ask(&mut self, message: Value) -> Value {
        self.tell(message).await;
        self.read().await
    }

    /// Asks in the modern way.
    async fn ask_modern(&mut self, method: &str, mut params: Value) -> Value {
        params["_meta"] = meta();
        self.ask(json!({ "id": "m", "method": method, "params": params })).await
    }

    async fn call(&mut self, id: u32, tool: &str) {
        let params = json!({ "name": tool, "arguments": {}, "_meta": meta() });
        self.tell(json!({ "id": id, "method": "tools/call", "params": params })).await;
    }

    /// Waits until so many calls of `wait` are under way.
    async fn until_waiting(&self, count: usize) {
        while self.waiting.load(Ordering::SeqCst) != count {
            tokio::task::yield_now().await;
        }
    }
}

fn meta() -> Value {
    json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} })
}

#[tokio::test]
async fn a_modern_client_discovers_lists_and_calls() {
    let mut client = Client::new();
    let discovered = client.ask_modern("server/discover", json!({})).await;
    let result = &discovered["result"];
    assert_eq!(discovered["id"], "m");
    assert_eq!(result["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["cacheScope"], "private");
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "casemate-stub");

    let listed = client.ask_modern("tools/list", json!({})).await;
    let result = &listed["result"];
    assert_eq!(result["tools"][0]["name"], "echo");
    assert_eq!(result["tools"][0]["annotations"]["readOnlyHint"], true);
    assert_eq!(result["tools"][0]["inputSchema"]["properties"]["times"]["maximum"], 9);
    assert_eq!(result["ttlMs"], 3_600_000);

    let called =
        client.ask_modern("tools/call", json!({ "name": "echo", "arguments": { "times": 3 } })).await;
    let result = &called["result"];
    assert_eq!(result["structuredContent"], json!({ "times": 3 }));
    assert_eq!(result["content"], json!([{ "type": "text", "text": "{\"times\":3}" }]));
    assert_eq!((&result["isError"], &result["resultType"]), (&json!(false), &json!("complete")));
}

#[tokio::test]
async fn a_modern_request_says_what_it_lacks() {
    let mut client = Client::new();
    let answer = client.ask(json!({ "id": 1, "method": "tools/list" })).await;
    assert_eq!(answer["error"]["code"], -32602);
    assert!(answer["error"]["message"].as_str().unwrap().contains("protocolVersion"));
    let mut lacking = meta();
    lacking.as_object_mut().unwrap().remove("io.modelcontextprotocol/clientCapabilities");
    let answer = client.ask(json!({ "id": 1, "method": "tools/list", "params": { "_meta": lacking } })).await;
    assert_eq!(answer["error"]["code"], -32602);
    let mut future = meta();
    future["io.modelcontextprotocol/protocolVersion"] = "2099-01-01".into();
    let answer = client.ask(json!({ "id": 1, "method": "tools/list", "params": { "_meta": future } })).await;
    assert_eq!(answer["error"]["code"], -32022);
    assert_eq!(answer["error"]["data"]["requested"], "2099-01-01");
    for gone in ["ping", "logging/setLevel", "resources/list", "no/such/method"] {
        let answer = client.ask_modern(gone, json!({})).await;
        assert_eq!(answer["error"]["code"], -32601, "{gone}");
    }
}

#[tokio::test]
async fn legacy_clients_of_every_revision_are_served_in_their_words() {
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut client = Client::legacy(revision).await;
        assert_eq!(client.ask(json!({ "id": 1, "method": "ping" })).await["result"], json!({}));
        let listed = client.ask(json!({ "id": 2, "method": "tools/list", "params": {} })).await;
        assert!(listed["result"].get("ttlMs").is_none() && listed["result"].get("_meta").is_none());
        let params = json!({ "name": "echo" });
        let called = client.ask(json!({ "id": 3, "method": "tools/call", "params": params })).await;
        assert_eq!(called["result"]["content"][0]["text"], "{\"times\":2}");
        let structured = called["result"].get("structuredContent").is_some();
        assert_eq!(structured, revision >= "2025-06-18", "{revision}");
        assert_eq!(listed["result"]["tools"][0].get("outputSchema").is_some(), structured);
        assert!(called["result"].get("resultType").is_none());
        let discover = client.ask(json!({ "id": 4, "method": "server/discover" })).await;
        assert_eq!(discover["error"]["code"], -32601);
        // The same client may go on in the modern way.
        let modern = client.ask_modern("server/discover", json!({})).await;
        assert_eq!(modern["result"]["resultType"], "complete");
    }
}

#[tokio::test]
async fn an_unknown_revision_gets_our_newest_legacy_one() {
    let mut client = Client::new();
    let params = json!({ "protocolVersion": "2099-01-01", "capabilities": {} });
    let answer = client.ask(json!({ "id": 0, "method": "initialize", "params": params })).await;
    assert_eq!(answer["result"]["protocolVersion"], "2025-11-25");
    let answer = client.ask(json!({ "id": 0, "method": "initialize", "params": {} })).await;
    assert_eq!(answer["error"]["code"], -32602);
}

#[tokio::test]
async fn calls_that_fail_say_so_where_a_model_can_read_it() {
    let mut client = Client::new();
    let failed = client.ask_modern("tools/call", json!({ "name": "fail" })).await;
    assert_eq!(failed["result"]["isError"], true);
    assert_eq!(failed["result"]["content"][0]["text"], "it is raining");
    let wrong =
        client.ask_modern("tools/call", json!({ "name": "echo", "arguments": { "times": 10 } })).await;
    assert_eq!(wrong["result"]["isError"], true);
    let text = wrong["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(text, "Wrong arguments: `times` has to be a whole number from 1 to 9, not 10.");
    let unknown = client.ask_modern("tools/call", json!({ "name": "dig" })).await;
    assert_eq!(
        (&unknown["error"]["code"], &unknown["error"]["message"]),
        (&json!(-32602), &json!("Unknown tool: dig"))
    );
    let shapeless = client.ask_modern("tools/call", json!({ "name": "echo", "arguments": [1] })).await;
    assert_eq!(shapeless["error"]["code"], -32602);
    let nameless = client.ask_modern("tools/call", json!({})).await;
    assert_eq!(nameless["error"]["code"], -32602);
    let page = client.ask_modern("tools/list", json!({ "cursor": "2" })).await;
    assert_eq!(page["error"]["code"], -32602);
    let crashed = client.ask_modern("tools/call", json!({ "name": "crash" })).await;
    assert_eq!(crashed["error"]["code"], -32603);
}

#[tokio::test]
async fn nonsense_is_answered_and_survived() {
    let mut client = Client::new();
    let cases: [(&[u8], i64, Value); 5] = [
        (b"{nonsense", -32700, Value::Null),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}", -32700, Value::Null),
        (b"{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"ping\"}", -32600, json!(7)),
        (b"[{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}]", -32600, Value::Null),
        (&[b'x'; MESSAGE_BYTES_MAX + 1], -32600, Value::Null),
    ];
    for (text, code, id) in cases {
        client.write(text).await;
        let answer = client.read().await;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id));
    }
    // Neither an answer to nothing nor an unknown notification is answered.
    client.tell(json!({ "id": 1, "result": {} })).await;
    client.tell(json!({ "method": "notifications/whatever" })).await;
    assert_eq!(client.ask_modern("server/discover", json!({})).await["id"], "m");
}

#[tokio::test]
async fn batches_are_answered_as_one_where_they_exist() {
    let mut client = Client::legacy("2025-03-26").await;
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"},
        {"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"echo"}},
        {"jsonrpc":"2.0","id":3,"method":"nope"}]"#;
    client.write(batch.replace('\n', "").as_bytes()).await;
    let answers = client.read().await;
    let ids: Vec<&Value> = answers.as_array().unwrap().iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [&json!(1), &json!(2), &json!(3)]);
    client.write(b"[]").await;
    assert_eq!(client.read().await["error"]["code"], -32600);
    client.write(br#"[{"jsonrpc":"2.0","method":"notifications/x"}]"#).await;
    assert_eq!(client.ask(json!({ "id": 9, "method": "ping" })).await["id"], 9);
}

#[tokio::test]
async fn a_call_that_is_given_up_ends_and_is_not_answered() {
    let mut client = Client::new();
    client.call(1, "wait").await;
    client.until_waiting(1).await;
    client.tell(json!({ "method": "notifications/cancelled", "params": { "requestId": 1 } })).await;
    client.until_waiting(0).await;
    // Giving up what has ended, or never was, does nothing.
    client.tell(json!({ "method": "notifications/cancelled", "params": { "requestId": "x" } })).await;
    client.tell(json!({ "method": "notifications/cancelled" })).await;
    client.call(2, "echo").await;
    assert_eq!(client.read().await["id"], 2);
}

#[tokio::test]
async fn so_many_calls_run_at_once_and_so_many_may_wait() {
    let mut client = Client::new();
    for id in 0..OPEN_MAX {
        client.call(u32::try_from(id).unwrap(), "wait").await;
    }
    client.until_waiting(CALLS_MAX).await;
    client.call(1000, "echo").await;
    let refused = client.read().await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(1000), &json!(-32603)));
    // One that is given up makes room for one that waits.
    client.tell(json!({ "method": "notifications/cancelled", "params": { "requestId": 0 } })).await;
    client.until_waiting(CALLS_MAX).await;
}

#[tokio::test]
async fn a_subscription_is_acknowledged_and_hears_nothing() {
    let mut client = Client::new();
    let acknowledged = client
        .ask_modern("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }))
        .await;
    assert_eq!(acknowledged["method"], "notifications/subscriptions/acknowledged");
    let params = &acknowledged["params"];
    assert_eq!(params["_meta"]["io.modelcontextprotocol/subscriptionId"], "m");
    assert_eq!(params["notifications"], json!({}));
}

#[tokio::test]
async fn what_is_under_way_is_answered_after_the_last_message() {
    let mut client = Client::new();
    client.call(1, "echo").await;
    client.to.shutdown().await.unwrap();
    assert_eq!(client.read().await["id"], 1);
    client.serving.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_ends_does_not_keep_us() {
    let mut client = Client::new();
    client.call(1, "wait").await;
    client.until_waiting(1).await;
    client.to.shutdown().await.unwrap();
    (&mut client.serving).await.unwrap().unwrap();
    client.until_waiting(0).await;
}

#[tokio::test]
async fn a_client_that_is_gone_ends_the_session() {
    let Client { to, from, serving, tracker, .. } = Client::new();
    drop((to, from));
    serving.await.unwrap().unwrap();
    tracker.close();
    tracker.wait().await;
}
