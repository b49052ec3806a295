use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, ReadHalf, WriteHalf};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::{Hostile, Kind};
use crate::client::{ClientError, McpHttp};
use crate::fixture::Era;

/// A raw link: hostile output is often no message.
struct Link {
    reader: BufReader<ReadHalf<DuplexStream>>,
    writer: WriteHalf<DuplexStream>,
}

impl Link {
    fn to(hostile: Hostile) -> Link {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let (reader, writer) = tokio::io::split(theirs);
        TaskTracker::new().spawn(hostile.serve_stdio(reader, writer));
        let (reader, writer) = tokio::io::split(ours);
        Link { reader: BufReader::new(reader), writer }
    }

    async fn say(&mut self, message: Value) {
        self.writer.write_all(format!("{message}\n").as_bytes()).await.expect("sent");
    }

    async fn call(&mut self, tool: &str) {
        let params = json!({"name": tool, "arguments": {"message": "honest"}});
        self.say(json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})).await;
    }

    async fn line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).await.expect("a line");
        line.pop();
        line
    }

    async fn message(&mut self) -> Value {
        serde_json::from_slice(&self.line().await).expect("a message")
    }
}

fn of(kind: Kind) -> Link {
    Link::to(Hostile::new(kind, Era::Legacy))
}

/// The answers that no careful reader takes, and why.
#[tokio::test]
async fn answers_are_broken_and_the_next_one_is_not() {
    type Check = fn(&[u8]) -> bool;
    let cases: [(Kind, Check); 6] = [
        (Kind::DuplicateMembers, |line| String::from_utf8_lossy(line).matches("\"content\"").count() == 2),
        (Kind::LoneSurrogate, |line| serde_json::from_slice::<Value>(line).is_err() && line.is_ascii()),
        (Kind::BadUtf8, |line| std::str::from_utf8(line).is_err()),
        (Kind::Deep, |line| line.iter().filter(|byte| **byte == b'[').count() > 100_000),
        (Kind::Huge, |line| line.len() > 100_000_000),
        (Kind::WrongId, |line| serde_json::from_slice::<Value>(line).is_ok_and(|value| value["id"] != 7)),
    ];
    for (kind, is_broken) in cases {
        let mut link = of(kind);
        link.call("strike").await;
        assert!(is_broken(&link.line().await), "{kind:?}");
        link.call("echo").await;
        assert_eq!(link.message().await["result"]["content"][0]["text"], "honest", "{kind:?}");
    }
}

#[tokio::test]
async fn noise_surrounds_frames() {
    let mut link = of(Kind::Garbage);
    link.call("echo").await;
    let mut lines = Vec::new();
    for _ in 0..13 {
        lines.push(link.line().await);
    }
    let frames =
        lines.iter().filter(|line| serde_json::from_slice::<Value>(line).is_ok_and(|value| value["id"] == 7));
    assert_eq!(frames.count(), 1);
    assert!(lines.iter().any(|line| std::str::from_utf8(line).is_err()));
}

#[tokio::test]
async fn second_answer_differs() {
    let mut link = of(Kind::AnswersTwice);
    link.call("strike").await;
    let (first, second) = (link.message().await, link.message().await);
    assert_eq!(first["id"], second["id"]);
    assert_ne!(first["result"], second["result"]);
}

#[tokio::test]
async fn exit_closes_the_pipe() {
    let mut link = of(Kind::Exits);
    link.call("echo").await;
    assert!(link.line().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn silence_and_drops_take_their_time() {
    for kind in [Kind::Hangs, Kind::HangsOnCall] {
        let mut link = of(kind);
        link.call("strike").await;
        assert!(timeout(Duration::from_secs(3600), link.line()).await.is_err(), "{kind:?}");
    }
    let mut link = of(Kind::Slow);
    link.call("strike").await;
    let start = tokio::time::Instant::now();
    let length = link.line().await.len();
    let expected = Duration::from_millis(100) * u32::try_from(length).expect("short");
    assert!(
        start.elapsed() >= expected - Duration::from_millis(100),
        "{:?} for {length} bytes",
        start.elapsed()
    );
}

#[tokio::test]
async fn flood_does_not_end() {
    let mut link = of(Kind::Floods);
    link.call("strike").await;
    let mut sink = vec![0; 8 << 20];
    link.reader.read_exact(&mut sink).await.expect("as much as anybody wants");
}

#[tokio::test]
async fn lists_lie() {
    let list = async |hostile: Hostile, method: &str, params: Value| {
        let mut link = Link::to(hostile);
        link.say(json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})).await;
        link.message().await["result"].take()
    };
    let names = |result: &Value| -> Vec<String> {
        let tools = result["tools"].as_array().expect("tools").iter();
        tools.map(|tool| tool["name"].as_str().expect("a name").to_owned()).collect()
    };
    let new = |kind| Hostile::new(kind, Era::Legacy);

    let twice = names(&list(new(Kind::DuplicateTools), "tools/list", json!({})).await);
    assert_eq!(twice.iter().filter(|name| *name == "strike").count(), 2);

    let tricks = list(new(Kind::Ansi), "tools/list", json!({})).await;
    assert!(tricks["tools"][1]["description"].as_str().is_some_and(|text| text.contains('\u{1b}')));

    let pages = list(new(Kind::EndlessPages), "tools/list", json!({"cursor": "41"})).await;
    assert_eq!(pages["nextCursor"], "42");

    let claimed = new(Kind::ClaimsUri).claim(vec!["other://thing".into()]);
    let resources = list(claimed, "resources/list", json!({})).await;
    assert_eq!(resources["resources"][0]["uri"], "other://thing");

    let schemas = list(new(Kind::BadSchema), "tools/list", json!({})).await.to_string();
    assert!(schemas.contains("169.254.169.254") && schemas.contains(r#""type":12"#));
}

#[tokio::test]
async fn description_changes_after_the_given_number_of_calls() {
    let mut link = Link::to(Hostile::new(Kind::Mutates, Era::Legacy).after(2));
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let mut seen = Vec::new();
    for _ in 0..3 {
        link.say(list.clone()).await;
        seen.push(link.message().await["result"]["tools"][1]["description"].clone());
        link.call("echo").await;
        while link.message().await["id"] != 7 {}
    }
    assert_eq!(seen[0], seen[1]);
    assert_ne!(seen[1], seen[2]);
}

#[tokio::test]
async fn question_comes_unasked_and_its_reply_is_told() {
    let mut link = of(Kind::ServerAsks);
    link.call("strike").await;
    assert_eq!(link.message().await["method"], "elicitation/create");
    link.say(json!({"jsonrpc": "2.0", "id": "ask-1", "error": {"code": -32601, "message": "no"}})).await;
    assert_eq!(link.message().await["result"]["content"][0]["text"], "The client said: error -32601");
}

#[tokio::test]
async fn http_shows_the_same_faults() {
    let serve = async |kind, era| {
        let (address, guard) = Hostile::new(kind, era).listen("127.0.0.1:0").await.expect("a port");
        (McpHttp::new(&format!("http://{address}/mcp")), guard)
    };
    let (mut client, _guard) = serve(Kind::WrongId, Era::Legacy).await;
    client.initialize("2025-11-25", json!({})).await.expect("a session");
    assert!(matches!(client.call("strike", json!({})).await, Err(ClientError::Closed)));
    client.call("echo", json!({"message": "x"})).await.expect("an honest answer");

    let (client, _guard) = serve(Kind::ServerAsks, Era::Modern).await;
    let client = client.modern(json!({}));
    let round = client.call("strike", json!({})).await.expect("a round");
    assert_eq!(round["resultType"], "input_required");

    let (client, _guard) = serve(Kind::Garbage, Era::Modern).await;
    let fault = client.modern(json!({})).call("echo", json!({})).await.expect_err("noise");
    assert!(matches!(fault, ClientError::Malformed { .. }), "{fault}");

    let (client, _guard) = serve(Kind::Exits, Era::Modern).await;
    let fault = client.modern(json!({})).call("echo", json!({})).await.expect_err("no answer");
    assert!(matches!(fault, ClientError::Transport(_)), "{fault}");

    let (client, _guard) = serve(Kind::Floods, Era::Modern).await;
    let params = json!({"name": "strike"});
    let mut call = client.modern(json!({})).open("tools/call", params).await.expect("a stream");
    for _ in 0..1000 {
        assert_eq!(call.next().await.expect("a message").expect("no end")["method"], "notifications/message");
    }

    let (client, _guard) = serve(Kind::Hangs, Era::Modern).await;
    let request = client.modern(json!({}));
    let answer = timeout(Duration::from_millis(200), request.request("server/discover", json!({}))).await;
    assert!(answer.is_err(), "no answer was due");
}
