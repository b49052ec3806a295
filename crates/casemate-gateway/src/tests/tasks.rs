//! Attacks on tasks between the dialects, each with what must go on working. What works at all is in `dialects`.

use std::time::Duration;

use casemate_mcp::names::{RoleName, ServerName};
use casemate_policy::{Policy, PolicyDef, RoleDef, ServerDef};
use casemate_testkit::client::{ClientError, McpHttp};
use casemate_testkit::fixture::Guard;
use casemate_testkit::hostile::{Hostile, Kind};
use casemate_testkit::{Era, Fixture};
use serde_json::{Value, json};

use super::bridge::person::code;
use super::harness::{Harness, http_entry, http_server, stdio_entry};
use crate::snapshot::{Limits, QuestionLimits, Snapshot};

/// Both endpoints at which a server `one` is found, and what its tools' names begin with there.
const PLACES: [(&str, &str); 2] = [("/mcp", "one__"), ("/servers/one/mcp", "")];

/// A client that has tasks in the words of its own dialect.
struct Client {
    http: McpHttp,
    is_modern: bool,
    prefix: &'static str,
}

impl Client {
    async fn open(
        harness: &Harness,
        (path, prefix): (&'static str, &'static str),
        (key, is_modern): (&str, bool),
    ) -> Client {
        let mut http = harness.client(path, key);
        let can = json!({"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
        if is_modern {
            http = http.modern(can);
        } else {
            http.initialize("2025-11-25", json!({"elicitation": {}})).await.unwrap();
        }
        Client { http, is_modern, prefix }
    }

    /// Begins a task; its id.
    async fn begin(&self, tool: &str, arguments: Value) -> String {
        let mut params = json!({"name": format!("{}{tool}", self.prefix), "arguments": arguments});
        if !self.is_modern {
            params["task"] = json!({"ttl": 60_000});
        }
        let created = self.http.request("tools/call", params).await.unwrap();
        let task = if self.is_modern { &created } else { &created["task"] };
        task["taskId"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned()
    }

    async fn ask(&self, method: &str, id: &str) -> Result<Value, ClientError> {
        self.http.request(method, json!({"taskId": id, "inputResponses": {}})).await
    }

    async fn get(&self, id: &str) -> Value {
        self.ask("tasks/get", id).await.unwrap()
    }

    /// Looks until the task is so.
    async fn until(&self, id: &str, status: &str) -> Value {
        loop {
            let state = self.get(id).await;
            if state["status"] == status {
                return state;
            }
            assert!(["working", "input_required"].contains(&state["status"].as_str().unwrap()), "{state}");
        }
    }

    /// What this client can ask about a task.
    fn methods(&self) -> &'static [&'static str] {
        if self.is_modern {
            &["tasks/get", "tasks/update", "tasks/cancel"]
        } else {
            &["tasks/get", "tasks/result", "tasks/cancel"]
        }
    }

    /// Nothing that can be asked about this id tells anything.
    async fn hears_nothing_of(&self, id: &str) {
        for method in self.methods() {
            let refused = self.ask(method, id).await.unwrap_err();
            assert_eq!(refused.code(), Some(-32602), "{method} {id}: {refused}");
        }
    }
}

/// A server of the other era than its client's, over HTTP, where all subjects are one client to it.
async fn other_era(is_modern: bool) -> (Harness, [Guard; 2]) {
    let era = if is_modern { Era::Legacy } else { Era::Modern };
    let (one, first) = http_server("one", Fixture::new(era)).await;
    let (two, second) = http_server("two", Fixture::new(era)).await;
    (Harness::start(vec![one, two]).await, [first, second])
}

#[tokio::test]
async fn a_task_between_the_eras_is_nobody_elses_and_no_id_can_be_guessed_or_changed() {
    for is_modern in [true, false] {
        let (harness, _guard) = other_era(is_modern).await;
        for place in PLACES {
            let owner = Client::open(&harness, place, ("owner", is_modern)).await;
            let thief = Client::open(&harness, place, ("other", is_modern)).await;
            let mut ids = vec![owner.begin("slow_compute", json!({"seconds": 30})).await];
            if !is_modern {
                // This one its server answers at once, so it is kept by us.
                ids.push(owner.begin("echo", json!({"message": "m"})).await);
            }
            for id in &ids {
                thief.hears_nothing_of(id).await;
                let mut changed = id.clone().into_bytes();
                let last = changed.last_mut().unwrap();
                *last = if *last == b'A' { b'B' } else { b'A' };
                owner.hears_nothing_of(&String::from_utf8(changed).unwrap()).await;
                assert_eq!(owner.get(id).await["taskId"], **id, "it is as it was");
            }
            for guessed in ["", "1", "casemate-00000000000000000000000000000000"] {
                owner.hears_nothing_of(guessed).await;
            }
            let elsewhere = Client::open(&harness, ("/servers/two/mcp", ""), ("owner", is_modern)).await;
            elsewhere.hears_nothing_of(&ids[0]).await;
        }
    }
}

#[tokio::test]
async fn a_result_that_we_keep_is_there_for_its_time_and_no_longer() {
    let (harness, _guard) = other_era(false).await;
    for place in PLACES {
        let client = Client::open(&harness, place, ("owner", false)).await;
        let name = format!("{}echo", place.1);
        let begin = async |ttl: u64| {
            let params = json!({"name": name, "arguments": {"message": "m"}, "task": {"ttl": ttl}});
            client.http.request("tools/call", params).await.unwrap()["task"].clone()
        };
        let (short, long) = (begin(1).await, begin(60_000).await);
        assert_eq!((&short["status"], &short["ttl"]), (&json!("completed"), &json!(1)));
        let (short, long) = (short["taskId"].as_str().unwrap(), long["taskId"].as_str().unwrap());
        let gone = async { while client.ask("tasks/get", short).await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
        client.hears_nothing_of(short).await;
        let result = client.ask("tasks/result", long).await.unwrap();
        assert_eq!(result["content"][0]["text"], "m");
        let refused = client.ask("tasks/cancel", long).await.unwrap_err().to_string();
        assert!(refused.contains("already in terminal status 'completed'"), "{refused}");
    }
}

#[tokio::test]
async fn tasks_that_ask_are_bounded_and_one_that_was_answered_makes_room() {
    let (one, _guard) = http_server("one", Fixture::new(Era::Legacy)).await;
    let questions = QuestionLimits { parked_max: 1, ..QuestionLimits::default() };
    let harness = Harness::with_limits(vec![one], Limits { questions, ..Limits::default() }).await;
    for place in PLACES {
        let client = Client::open(&harness, place, ("owner", true)).await;
        let first = client.begin("confirm_delete", json!({"filename": "f"})).await;
        let asks = client.until(&first, "input_required").await;
        let again = client.until(&first, "input_required").await;
        assert_eq!(asks["inputRequests"], again["inputRequests"], "a question keeps its name");
        let second = client.begin("confirm_delete", json!({"filename": "g"})).await;
        let refused = loop {
            if let Err(refused) = client.ask("tasks/get", &second).await {
                break refused;
            }
        };
        assert_eq!(code(&refused), "CM1714", "{refused}");
        let other = Client::open(&harness, place, ("other", true)).await;
        let others = other.begin("confirm_delete", json!({"filename": "h"})).await;
        other.until(&others, "input_required").await;

        let key = asks["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
        let reply =
            json!({"taskId": first, "inputResponses": {"never-asked": {}, key: {"action": "decline"}}});
        client.http.request("tasks/update", reply).await.unwrap();
        let ended = client.until(&first, "completed").await;
        assert!(ended["result"].to_string().contains("action=decline"), "{ended}");
        client.until(&second, "input_required").await;
        client.ask("tasks/cancel", &second).await.unwrap();
        client.until(&second, "cancelled").await;
        other.ask("tasks/cancel", &others).await.unwrap();
        other.until(&others, "cancelled").await;
    }
}

#[tokio::test]
async fn waiting_for_a_task_that_never_ends_ends() {
    let (mut one, _guard) = http_server("one", Fixture::new(Era::Modern)).await;
    one.timeouts.hard = Duration::from_millis(300);
    let harness = Harness::start(vec![one]).await;
    for place in PLACES {
        let client = Client::open(&harness, place, ("owner", false)).await;
        let id = client.begin("slow_compute", json!({"seconds": 600})).await;
        let refused = client.ask("tasks/result", &id).await.unwrap_err();
        assert_eq!(code(&refused), "CM1702", "{refused}");
        assert_eq!(client.get(&id).await["status"], "working", "the task goes on without who waited");
        assert_eq!(client.ask("tasks/cancel", &id).await.unwrap()["status"], "cancelled");
        let over = client.ask("tasks/cancel", &id).await.unwrap_err().to_string();
        assert!(over.contains("already in terminal status 'cancelled'"), "{over}");
        // A client that knows nothing of tasks waits as long for a call, and others are still answered.
        let slow = format!("{}slow_compute", place.1);
        let refused = client.http.call(&slow, json!({"seconds": 600})).await.unwrap_err();
        assert_eq!(code(&refused), "CM1702");
        client.http.call(&format!("{}echo", place.1), json!({"message": "m"})).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_dies_in_the_middle_takes_its_tasks_along_and_nothing_else() {
    for is_modern in [true, false] {
        let era = if is_modern { "legacy" } else { "modern" };
        let harness = Harness::start(vec![stdio_entry("one", era), stdio_entry("two", era)]).await;
        let client = Client::open(&harness, PLACES[0], ("owner", is_modern)).await;
        let id = client.begin("confirm_delete", json!({"filename": "f"})).await;
        client.until(&id, "input_required").await;
        client.http.call("one__crash", json!({})).await.unwrap_err();
        let methods = client.methods();
        let gone = async {
            // It ends after its last word, and a request that comes in between is lost with it.
            while client.ask("tasks/get", &id).await.err().and_then(|fault| fault.code()) != Some(-32602) {}
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
        for method in methods {
            assert!(client.ask(method, &id).await.is_err(), "{method}");
        }
        let kept =
            Client { prefix: "two__", ..Client::open(&harness, PLACES[0], ("owner", is_modern)).await };
        let id = kept.begin("slow_compute", json!({"seconds": 0})).await;
        kept.until(&id, "completed").await;
    }
}

#[tokio::test]
async fn what_is_in_quarantine_tells_nothing_of_its_tasks() {
    for is_modern in [true, false] {
        let (harness, _guard) = other_era(is_modern).await;
        for place in PLACES {
            let client = Client::open(&harness, place, ("owner", is_modern)).await;
            let id = client.begin("slow_compute", json!({"seconds": 30})).await;
            let other = client.begin("confirm_delete", json!({"filename": "f"})).await;
            harness.confine(&["tool:one/slow_compute"]);
            for method in client.methods() {
                let refused = client.ask(method, &id).await.unwrap_err().to_string();
                assert!(refused.contains("is in quarantine"), "{method}: {refused}");
            }
            client.until(&other, "input_required").await;
            harness.confine(&["server:two"]);
            assert_eq!(client.get(&id).await["status"], "working");
        }
        harness.confine(&["server:one"]);
        let client = Client::open(&harness, PLACES[0], ("owner", is_modern)).await;
        client.hears_nothing_of("x").await;
        harness.confine(&[]);
    }
}

/// From now on, the role `office` has the server `one` without a tool of it.
fn deny(harness: &Harness, tool: &str) {
    let own = |text: &str| vec![text.to_owned()];
    let role = RoleDef { allow: own("one"), deny: own(tool), ..RoleDef::default() };
    let server = |name: &str| (ServerName::parse(name).unwrap(), ServerDef::default());
    let def = PolicyDef {
        roles: [(RoleName::parse("office").unwrap(), role)].into(),
        servers: [server("one"), server("two")].into(),
        files: Vec::new(),
    };
    let policy = Policy::compile(&def).unwrap();
    let before = Snapshot::clone(&harness.gate.snapshot());
    harness.gate.swap(Snapshot { version: before.version + 1, policy, ..before });
}

#[tokio::test]
async fn whoever_may_no_longer_use_a_tool_hears_no_more_of_its_tasks() {
    for is_modern in [true, false] {
        let (harness, _guard) = other_era(is_modern).await;
        for place in PLACES {
            let before = Snapshot::clone(&harness.gate.snapshot());
            let client = Client::open(&harness, place, ("office", is_modern)).await;
            let (kept, lost) = (
                client.begin("confirm_delete", json!({"filename": "f"})).await,
                client.begin("slow_compute", json!({"seconds": 30})).await,
            );
            deny(&harness, "one/slow_compute");
            client.hears_nothing_of(&lost).await;
            client.until(&kept, "input_required").await;
            harness.gate.swap(Snapshot { version: before.version + 2, ..before });
            assert_eq!(client.get(&lost).await["taskId"], *lost);
        }
    }
}

#[tokio::test]
async fn a_result_that_comes_late_is_what_its_tool_declared_or_does_not_pass() {
    let harness = Harness::start(vec![stdio_entry("one", "script")]).await;
    for place in PLACES {
        for is_modern in [true, false] {
            let client = Client::open(&harness, place, ("owner", is_modern)).await;
            let method = if is_modern { "tasks/get" } else { "tasks/result" };
            let misfit = client.begin("job", json!({"how": "misfit"})).await;
            let refused = client.ask(method, &misfit).await.unwrap_err().to_string();
            assert!(refused.contains("does not fit the tool's output schema"), "{refused}");
            assert!(!refused.contains("previous instructions"), "nothing of it reaches a model: {refused}");
            let fits = client.begin("job", json!({"how": "fits"})).await;
            let answer = client.ask(method, &fits).await.unwrap();
            let result = if is_modern { &answer["result"] } else { &answer };
            assert_eq!(result["structuredContent"], json!({"count": 7}));
            assert!(!answer.to_string().contains("forged"), "nobody speaks in our name: {answer}");
        }
    }
}

#[tokio::test]
async fn a_tool_that_is_a_task_alone_is_refused_to_those_who_take_none() {
    let harness = Harness::start(vec![stdio_entry("one", "script")]).await;
    for (path, prefix) in PLACES {
        let client = harness.modern(path);
        let refused = client.call(&format!("{prefix}job"), json!({})).await.unwrap_err();
        assert_eq!(refused.code(), Some(-32021), "{refused}");
        let ClientError::Rpc(error) = &refused else { panic!("{refused}") };
        let required = &error.data.as_ref().unwrap()["requiredCapabilities"]["extensions"];
        assert!(required.get("io.modelcontextprotocol/tasks").is_some(), "{required}");
        client.call(&format!("{prefix}ask"), json!({"how": "count-cancelled"})).await.unwrap();
    }
}

#[tokio::test]
async fn an_id_that_a_server_gave_twice_showed_one_subject_what_is_anothers() {
    // The ids of its tasks say how they end, and are the same for everybody.
    let (address, _guard) =
        Hostile::new(Kind::WrongStructure, Era::Dual).listen("127.0.0.1:0").await.unwrap();
    let harness = Harness::start(vec![http_entry("one", &format!("http://{address}/mcp"))]).await;
    for place in PLACES {
        let ann = Client::open(&harness, place, ("owner", true)).await;
        let bob = Client::open(&harness, place, ("other", true)).await;
        let hers = ann.begin("strike", json!({"as": "later-fits"})).await;
        assert_eq!(ann.get(&hers).await["status"], "completed");
        let his = bob.begin("strike", json!({"as": "later-fits"})).await;
        ann.hears_nothing_of(&hers).await;
        assert_eq!(bob.get(&his).await["status"], "completed");
    }
}

#[tokio::test]
async fn an_id_of_two_tools_counted_as_the_first_ones_alone() {
    for place in PLACES {
        for tools in [["job", "chore"], ["chore", "job"]] {
            let harness = Harness::start(vec![stdio_entry("one", "script")]).await;
            let client = Client::open(&harness, place, ("office", true)).await;
            let mut id = String::new();
            for tool in tools {
                id = client.begin(tool, json!({"how": "fits"})).await;
            }
            for tool in tools {
                harness.confine(&[&format!("tool:one/{tool}")]);
                let refused = client.ask("tasks/get", &id).await.unwrap_err().to_string();
                assert!(refused.contains("is in quarantine"), "{tools:?}: {refused}");
                harness.confine(&[]);
                assert_eq!(client.get(&id).await["status"], "completed");
                let before = Snapshot::clone(&harness.gate.snapshot());
                deny(&harness, &format!("one/{tool}"));
                client.hears_nothing_of(&id).await;
                harness.gate.swap(Snapshot { version: before.version + 2, ..before });
            }
        }
    }
    let harness = Harness::start(vec![stdio_entry("one", "script")]).await;
    let client = Client::open(&harness, PLACES[0], ("owner", true)).await;
    client.begin("chore", json!({"how": "misfit"})).await;
    let id = client.begin("job", json!({"how": "misfit"})).await;
    let refused = client.ask("tasks/get", &id).await.unwrap_err().to_string();
    assert!(refused.contains("does not fit the tool's output schema"), "{refused}");
}

#[tokio::test]
async fn a_task_with_a_very_long_id_was_of_no_tool() {
    let harness = Harness::start(vec![stdio_entry("one", "script")]).await;
    let client = Client::open(&harness, PLACES[1], ("owner", true)).await;
    let id = client.begin("chore", json!({"how": "x".repeat(3000)})).await;
    assert_eq!(client.get(&id).await["status"], "completed");
    harness.confine(&["tool:one/chore"]);
    let refused = client.ask("tasks/get", &id).await.unwrap_err().to_string();
    assert!(refused.contains("is in quarantine"), "{refused}");
}

#[tokio::test]
async fn a_result_of_a_tool_that_is_another_than_was_approved_was_still_fetched() {
    let harness = Harness::start(vec![stdio_entry("one", "script")]).await;
    for place in PLACES {
        for is_modern in [true, false] {
            let client = Client::open(&harness, place, ("owner", is_modern)).await;
            let id = client.begin("chore", json!({"how": "odd"})).await;
            let other = client.begin("job", json!({"how": "fits"})).await;
            harness.pins.revoke("chore");
            harness.gate.judge_anew();
            for method in client.methods() {
                let refused = client.ask(method, &id).await.unwrap_err().to_string();
                assert!(refused.contains("waits for a person's approval"), "{method}: {refused}");
            }
            assert_eq!(client.get(&other).await["status"], "completed", "others go on");
            harness.pins.approve_all();
            harness.gate.judge_anew();
            assert_eq!(client.get(&id).await["status"], "completed");
        }
    }
}
