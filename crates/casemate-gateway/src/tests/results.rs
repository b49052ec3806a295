//! Results that are too large to be shown at once: kept, shown by their beginning, and read by whoever they are for.

use casemate_inspect::{Inspection, Secret};
use casemate_mcp::names::{ProfileName, ServerName};
use casemate_policy::{Label, Labels, SubjectId};
use casemate_testkit::client::{ClientError, McpHttp};
use casemate_testkit::hostile::{Hostile, Kind};
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::harness::{Harness, Records, http_entry, http_server, stdio_entry};
use crate::ports::{KeptResult, NotKept, NotThere, ResultId, ResultPart, Results};
use crate::quarantine::{Entry, Ward};
use crate::snapshot::{
    Flows, Inspecting, Limits, Oversized, Profile, ResultLimits, ServerLabels, Snapshot, Verdict,
};
use crate::upstream::Soon;

const SMALL: ResultLimits = ResultLimits {
    oversized: Oversized::Link,
    text_max: 16 << 10,
    media_max: 64 << 10,
    preview_chars: 100,
    subject_bytes_max: 1 << 20,
    total_bytes_max: 4 << 20,
    life: std::time::Duration::from_secs(3600),
};

/// Keeps results in memory; how they are kept on disk is the store's.
impl Results for Records {
    fn keep(&self, result: KeptResult) -> Soon<'_, Result<(), NotKept>> {
        Box::pin(async move {
            if *self.full.lock().unwrap() {
                return Err(NotKept::Failed("no space left".into()));
            }
            let bytes: usize = result.parts.iter().map(Vec::len).sum();
            if bytes as u64 > result.subject_bytes_max {
                return Err(NotKept::NoRoom);
            }
            self.results.lock().unwrap().insert(result.id, result);
            Ok(())
        })
    }

    fn part<'a>(
        &'a self,
        (id, subject): (ResultId, &'a SubjectId),
        number: usize,
    ) -> Soon<'a, Result<ResultPart, NotThere>> {
        Box::pin(async move {
            let results = self.results.lock().unwrap();
            let kept = results.get(&id).filter(|kept| kept.subject == *subject).ok_or(NotThere::Absent)?;
            let count = kept.parts.len();
            let text = kept.parts.get(number).cloned().ok_or(NotThere::NoPart { count })?;
            Ok(ResultPart { text, label: kept.label.clone(), count })
        })
    }

    fn retain(&self, stays: &dyn Fn(&SubjectId) -> bool) {
        self.results.lock().unwrap().retain(|_, kept| stays(&kept.subject));
    }
}

async fn harness(era: &str) -> Harness {
    let limits = Limits { results: SMALL, ..Limits::default() };
    Harness::with_limits(vec![stdio_entry("one", era)], limits).await
}

fn change(harness: &Harness, change: impl FnOnce(&mut Snapshot)) {
    let mut snapshot = (*harness.gate.snapshot()).clone();
    snapshot.version += 1;
    change(&mut snapshot);
    harness.gate.swap(snapshot);
}

async fn echo(client: &McpHttp, prefix: &str, message: &str) -> Value {
    client.call(&format!("{prefix}echo"), json!({ "message": message })).await.unwrap()
}

/// A text without two equal places.
fn long() -> String {
    (0..6000).map(|number| format!("{number}é ")).collect()
}

fn link(result: &Value) -> String {
    let link = result["content"].as_array().unwrap().iter().find(|block| block["type"] == "resource_link");
    link.unwrap_or_else(|| panic!("{result}"))["uri"].as_str().unwrap().to_owned()
}

async fn read(client: &McpHttp, uri: &str) -> Result<Value, ClientError> {
    client.request("resources/read", json!({ "uri": uri })).await
}

/// All parts behind a link, put together.
async fn whole(client: &McpHttp, uri: &str) -> String {
    let (base, _) = uri.rsplit_once('/').unwrap();
    let mut text = String::new();
    for number in 1.. {
        let part = read(client, &format!("{base}/{number}")).await.unwrap();
        let contents = &part["contents"][0];
        assert_eq!(
            (&contents["mimeType"], part["contents"].as_array().unwrap().len()),
            (&json!("text/plain"), 1)
        );
        let piece = contents["text"].as_str().unwrap();
        assert!(piece.len() <= SMALL.text_max);
        text.push_str(piece);
        let note = &part["_meta"]["io.casemate/result"];
        assert_eq!(note["part"], number);
        if note["parts"] == number {
            return text;
        }
    }
    unreachable!()
}

fn code(error: &ClientError) -> i64 {
    match error {
        ClientError::Rpc(error) => error.code,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_large_result_is_shown_by_its_beginning_and_read_by_its_link_in_both_eras_and_everywhere() {
    for era in ["legacy", "modern"] {
        let harness = harness(era).await;
        change(&harness, |snapshot| {
            let name = ProfileName::parse("desk").unwrap();
            let profile = Profile {
                name: name.clone(),
                servers: [ServerName::parse("one").unwrap()].into(),
                only: None,
                hidden: Vec::new(),
                tools: [].into(),
            };
            snapshot.profiles.insert(name, profile.into());
        });
        let paths = [("/mcp", "one__"), ("/servers/one/mcp", ""), ("/profiles/desk/mcp", "one__")];
        for (path, prefix) in paths {
            for client in [harness.modern(path), harness.legacy(path).await] {
                let result = echo(&client, prefix, &long()).await;
                let shown = result["content"][1]["text"].as_str().unwrap();
                assert!(shown.starts_with("0é 1é ") && shown.chars().count() < 200, "{shown}");
                let uri = link(&result);
                assert_eq!(whole(&client, &uri).await, long(), "{era} {path}");
                // The same subject reads it by whatever endpoint and in whatever era.
                for (other, _) in paths {
                    assert!(read(&harness.modern(other), &uri).await.is_ok());
                    assert!(read(&harness.legacy(other).await, &uri).await.is_ok());
                }
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_larger_than_the_limit_passes_as_it_came_and_so_does_all_where_nothing_is_kept() {
    let harness = harness("dual").await;
    let client = harness.modern("/servers/one/mcp");
    let (below, above) = ("x".repeat(16 << 10), "x".repeat((16 << 10) + 1));
    let result = echo(&client, "", &below).await;
    assert_eq!(result["content"], json!([{"type": "text", "text": below}]));
    assert!(harness.records.results.lock().unwrap().is_empty());
    link(&echo(&client, "", &above).await);
    assert_eq!(harness.records.results.lock().unwrap().len(), 1);
    // A program can say that it holds whatever comes.
    for client in [harness.modern("/servers/one/mcp"), harness.legacy("/servers/one/mcp").await] {
        for (wish, is_whole) in [("whole", true), ("link", false), ("", false)] {
            let mut params = json!({"name": "echo", "arguments": {"message": above}});
            params["_meta"] = json!({ "io.casemate/results": wish });
            let result = client.request("tools/call", params).await.unwrap();
            assert_eq!(result["content"][0]["text"] == above, is_whole, "{wish}");
        }
    }
    change(&harness, |snapshot| snapshot.limits.results.oversized = Oversized::Whole);
    let result = echo(&client, "", &above).await;
    assert_eq!(result["content"], json!([{"type": "text", "text": above}]));
}

#[tokio::test]
async fn a_client_of_an_older_revision_is_told_the_address_in_words() {
    let harness = harness("dual").await;
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18"] {
        let mut client = harness.client("/mcp", "owner");
        client.initialize(revision, json!({})).await.unwrap();
        let result = echo(&client, "one__", &long()).await;
        let kinds: Vec<&Value> =
            result["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
        let told = result["content"][0]["text"].as_str().unwrap();
        let uri = told.split_ascii_whitespace().find(|word| word.starts_with("casemate://")).unwrap();
        assert_eq!(whole(&client, uri).await, long());
        assert_eq!(kinds.contains(&&json!("resource_link")), revision == "2025-06-18", "{kinds:?}");
    }
}

#[tokio::test]
async fn a_link_is_nothing_in_anothers_hands_and_so_is_one_that_was_guessed_or_changed() {
    let harness = harness("dual").await;
    let owner = harness.modern("/mcp");
    let uri = link(&echo(&owner, "one__", &long()).await);
    let (base, _) = uri.rsplit_once('/').unwrap();
    let token = base.rsplit('/').next().unwrap();
    let unknown = read(&owner, "casemate://one/none").await.unwrap_err();
    let mut flipped = token.to_owned();
    let last = if flipped.pop() == Some('A') { 'B' } else { 'A' };
    flipped.push(last);
    let other = harness.client("/mcp", "other").modern(json!({}));
    let mut tries = vec![(&other, uri.clone()), (&other, format!("{base}/2"))];
    for changed in [
        format!("casemate://_results/{flipped}/1"),
        format!("casemate://_results/{}/1", &token[..token.len() - 4]),
        format!("casemate://_results/{}/1", "A".repeat(token.len())),
        format!("casemate://_results/{token}"),
        format!("casemate://_results/{token}/0"),
        format!("casemate://_results/{token}/01"),
        format!("casemate://_results/{token}/+1"),
        format!("casemate://_results/{token}/1/"),
        format!("casemate://_results/{token}/../1"),
        "casemate://_results/../../etc/passwd/1".to_owned(),
        "casemate://_results/%2e%2e/1".to_owned(),
        "casemate://_results//1".to_owned(),
        "casemate://_results/".to_owned(),
    ] {
        tries.push((&owner, changed));
    }
    for (client, uri) in tries {
        let error = read(client, &uri).await.unwrap_err();
        let (ClientError::Rpc(error), ClientError::Rpc(unknown)) = (&error, &unknown) else {
            panic!("{error}")
        };
        assert_eq!((error.code, &error.message), (unknown.code, &unknown.message), "{uri}");
        assert_eq!(error.data, Some(json!({ "uri": uri })));
    }
    assert_eq!(whole(&owner, &uri).await, long(), "for its own subject it is there all the while");
    let error = read(&owner, &format!("{base}/999")).await.unwrap_err();
    assert!(error.to_string().contains("has 3 parts"), "{error}");
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        let client = harness.legacy("/mcp").await;
        assert!(client.request(method, json!({ "uri": uri })).await.is_err(), "nothing changes about it");
    }
}

#[tokio::test]
async fn a_server_at_its_own_endpoint_has_addresses_of_that_form_too() {
    let harness = harness("dual").await;
    let client = harness.modern("/servers/one/mcp");
    // What another gateway sealed is asked of the server: it may be that gateway.
    let error = read(&client, "casemate://_results/AAAA/1").await.unwrap_err();
    assert_eq!(code(&error), -32602, "{error}");
    let lines = harness.records.lines.borrow().clone();
    assert!(
        lines.iter().any(|line| line.ends_with("resources/read one/casemate://_results/AAAA/1")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_result_that_is_over_is_told_of_precisely() {
    let harness = harness("dual").await;
    change(&harness, |snapshot| snapshot.limits.results.life = std::time::Duration::ZERO);
    for client in [harness.modern("/mcp"), harness.legacy("/mcp").await] {
        let uri = link(&echo(&client, "one__", &long()).await);
        let error = read(&client, &uri).await.unwrap_err();
        assert!(error.to_string().contains("the time for which it was kept is over"), "{error}");
    }
    change(&harness, |snapshot| snapshot.limits.results.life = SMALL.life);
    let client = harness.modern("/mcp");
    let uri = link(&echo(&client, "one__", &long()).await);
    harness.records.results.lock().unwrap().clear();
    let error = read(&client, &uri).await.unwrap_err();
    assert!(error.to_string().contains("made room for newer ones"), "{error}");
    assert_eq!(code(&error), -32602);
    let other = harness.client("/mcp", "other").modern(json!({}));
    let error = read(&other, &uri).await.unwrap_err();
    assert!(!error.to_string().contains("kept"), "nobody else learns that there was one: {error}");
}

#[tokio::test]
async fn what_is_kept_was_looked_at_first_also_where_a_secret_lies_across_a_cut() {
    let harness = harness("dual").await;
    let secret = "sixteen-secret-x";
    change(&harness, |snapshot| {
        let inspection = Inspection::new(&[Secret::new(secret).unwrap()], &[]);
        snapshot.inspecting = Inspecting { inspection: inspection.into(), ..Inspecting::default() };
    });
    // Arguments are masked as well, so the server has to say it by itself: it sees it in two pieces with hidden text between.
    let hidden = format!("{}\u{200b}{}", &secret[..8], &secret[8..]);
    let client = harness.modern("/mcp");
    for before in [92, 100 - 8, 99, (16 << 10) - 8, (32 << 10) - 5] {
        let message = format!("{}{hidden}{}", "x".repeat(before), "y".repeat(33 << 10));
        let result = echo(&client, "one__", &message).await;
        let text = whole(&client, &link(&result)).await;
        assert!(text.contains("[secret masked]"), "{before}");
        for looked in [result.to_string(), text] {
            assert!(!looked.contains(&secret[..8]) && !looked.contains(&secret[8..]), "{before}");
            assert!(!looked.contains('\u{200b}'), "{before}");
        }
    }
}

#[tokio::test]
async fn a_link_is_dead_with_its_subject_and_with_the_right_to_its_tool() {
    let (entry, _fixture) = http_server("one", Fixture::new(Era::Dual)).await;
    let harness = Harness::with_limits(vec![entry], Limits { results: SMALL, ..Limits::default() }).await;
    let ward = |ward| Entry { ward, reason: "test".into(), by: "test".into(), since: 0, until: None };
    let owner = harness.modern("/mcp");
    let uri = link(&echo(&owner, "one__", &long()).await);
    for what in [
        Ward::Tool(ServerName::parse("one").unwrap(), "echo".into()),
        Ward::Server(ServerName::parse("one").unwrap()),
        Ward::Subject("key:other".into()),
    ] {
        harness.gate.quarantine().replace(vec![ward(what.clone())]);
        let is_read = read(&owner, &uri).await.is_ok();
        assert_eq!(is_read, matches!(what, Ward::Subject(_)), "{what:?}");
        harness.gate.quarantine().replace(Vec::new());
    }
    assert!(read(&owner, &uri).await.is_ok(), "lifted again");
    let reader = harness.client("/mcp", "reader").modern(json!({}));
    let readers = link(&echo(&reader, "one__", &long()).await);
    let kept = harness.gate.snapshot();
    change(&harness, |snapshot| {
        snapshot.policy = casemate_policy::Policy::compile(&casemate_policy::PolicyDef::default()).unwrap();
    });
    let error = read(&reader, &readers).await.unwrap_err();
    assert!(error.to_string().contains("Resource not found"), "a right that is gone: {error}");
    harness.gate.swap((*kept).clone());
    assert!(read(&reader, &readers).await.is_ok());
    harness.gate.quarantine().replace(vec![ward(Ward::Subject("key:owner".into()))]);
    harness.gate.enforce();
    assert!(read(&owner, &uri).await.is_err());
    harness.gate.quarantine().replace(Vec::new());
    let error = read(&owner, &uri).await.unwrap_err();
    assert!(error.to_string().contains("kept no longer"), "not even when it is lifted: {error}");
    assert_eq!(harness.records.results.lock().unwrap().len(), 1, "that of the reader");
}

#[tokio::test]
async fn where_it_cannot_be_kept_it_passes_whole() {
    let harness = harness("dual").await;
    change(&harness, |snapshot| snapshot.limits.results.subject_bytes_max = 1);
    let client = harness.modern("/mcp");
    assert_eq!(echo(&client, "one__", &long()).await["content"][0]["text"], long());
}

#[tokio::test]
async fn the_record_says_that_a_result_is_kept_and_what_it_was() {
    let harness = harness("dual").await;
    let client = harness.modern("/mcp");
    let uri = link(&echo(&client, "one__", &long()).await);
    read(&client, &uri).await.unwrap();
    let lines = harness.records.lines.borrow().clone();
    let kept =
        lines.iter().find(|line| line.starts_with("ok a result of ")).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(kept.contains(" bytes is kept in 3 parts, sha256 ") && kept.len() > 100, "{kept}");
    let reads =
        lines.iter().filter(|line| line.contains("allow key:owner resources/read /casemate://_results/"));
    assert_eq!(reads.count(), 1, "{lines:?}");
}

#[tokio::test]
async fn the_result_of_a_task_is_kept_like_any_other() {
    let (entry, _fixture) = http_server("one", Fixture::new(Era::Modern)).await;
    let harness = Harness::with_limits(vec![entry], Limits { results: SMALL, ..Limits::default() }).await;
    let client = harness
        .client("/mcp", "owner")
        .modern(json!({"extensions": {"io.modelcontextprotocol/tasks": {}}, "elicitation": {}}));
    let created = client.call("one__confirm_delete", json!({"filename": long()})).await.unwrap();
    let id = created["taskId"].clone();
    let replies = json!({"confirm": {"action": "accept", "content": {"confirm": true}}});
    let state = loop {
        let state = client.request("tasks/get", json!({ "taskId": id })).await.unwrap();
        match state["status"].as_str().unwrap() {
            "completed" => break state,
            "input_required" => {
                let update = json!({"taskId": id, "inputResponses": replies});
                client.request("tasks/update", update).await.unwrap();
            }
            _ => {}
        }
    };
    assert_eq!(state["taskId"], id);
    let shown = state["result"]["content"][0]["text"].as_str().unwrap();
    assert!(shown.starts_with("The result of the task has "), "{shown}");
    assert!(whole(&client, &link(&state["result"])).await.starts_with(&long()));
}

#[tokio::test]
async fn the_kept_result_of_a_task_forgot_its_tool() {
    let harness = harness("script").await;
    let can = json!({"extensions": {"io.modelcontextprotocol/tasks": {}}});
    let client = harness.client("/mcp", "owner").modern(can);
    let created = client.call("one__chore", json!({"how": "large"})).await.unwrap();
    let fetched = client.request("tasks/get", json!({"taskId": created["taskId"]})).await.unwrap();
    let uri = link(&fetched["result"]);
    assert!(read(&client, &uri).await.is_ok());
    for (tool, is_read) in [("chore", false), ("job", true)] {
        let ward = Ward::Tool(ServerName::parse("one").unwrap(), tool.into());
        let entry = Entry { ward, reason: "test".into(), by: "test".into(), since: 0, until: None };
        harness.gate.quarantine().replace(vec![entry]);
        assert_eq!(read(&client, &uri).await.is_ok(), is_read, "{tool}");
    }
    harness.gate.quarantine().replace(Vec::new());

    // What the tool answered counts as seen when it is read.
    let seen = Labels::NONE.with(Label::Private).with(Label::Untrusted);
    let tools = [("chore".into(), seen), ("ask".into(), Labels::NONE.with(Label::Outbound))];
    let labels = ServerLabels { own: Labels::NONE, tools: tools.into() };
    change(&harness, |snapshot| {
        let servers = [(ServerName::parse("one").unwrap(), labels)].into();
        snapshot.flows = Flows { verdict: Verdict::Deny, servers, ..Flows::default() };
    });
    let out = || client.call("one__ask", json!({"how": "count-cancelled"}));
    out().await.unwrap();
    read(&client, &uri).await.unwrap();
    let refused = out().await.unwrap_err().to_string();
    assert!(refused.contains("nothing goes out"), "{refused}");
}

#[tokio::test]
async fn a_server_that_claims_a_kept_result_neither_takes_its_place_nor_gets_at_it() {
    let owner = harness("dual").await;
    let uri = link(&echo(&owner.modern("/mcp"), "one__", &long()).await);
    let (good, _good) = http_server("one", Fixture::new(Era::Dual)).await;
    let villain = Hostile::new(Kind::ClaimsUri, Era::Dual).claim(vec![uri.clone()]);
    let (address, _villain) = villain.listen("127.0.0.1:0").await.unwrap();
    let bad = http_entry("bad", &format!("http://{address}/mcp"));
    let limits = Limits { results: SMALL, ..Limits::default() };
    let harness = Harness::with_limits(vec![bad, good], limits).await;
    let client = harness.modern("/mcp");
    // Where servers are joined it has its server's name in front, and leads there.
    let list = client.request("resources/list", json!({})).await.unwrap();
    let claimed = format!("casemate://bad/{uri}");
    assert!(list["resources"].as_array().unwrap().iter().any(|one| one["uri"] == claimed), "{list}");
    assert!(read(&client, &claimed).await.is_ok());
    assert!(read(&client, &uri).await.is_err(), "sealed by another gateway");
    // What was sealed here is ours at that server's own endpoint, too, whatever it lists.
    let own = link(&echo(&client, "one__", &long()).await);
    assert_eq!(whole(&harness.modern("/servers/bad/mcp"), &own).await, long());
}
