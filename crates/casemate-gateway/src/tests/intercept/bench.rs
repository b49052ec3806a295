//! Judges in this process, and a gateway that asks them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use casemate_testkit::{Era, Fixture};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::ports::Judges;
use crate::snapshot::{
    Event, HttpJudge, Interceptor, InterceptorKind, Interceptors, JudgeNetwork, Mode, Phase, Sight, Snapshot,
    Unheard, Way,
};
use crate::tests::harness::{Harness, http_server, stdio_entry};
use crate::upstream::Soon;

pub(super) type Judge = Box<dyn Fn(&Value) -> Option<Value> + Send + Sync>;

/// Judges by the path of their address. One that says `None` says nothing at all.
#[derive(Default)]
pub(in crate::tests) struct Bench {
    pub(super) judges: Mutex<BTreeMap<String, Arc<Judge>>>,
    asked: Mutex<Vec<(String, Value)>>,
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bench")
    }
}

impl Judges for Bench {
    fn ask<'a>(&'a self, judge: &'a HttpJudge, question: Bytes, _: usize) -> Soon<'a, Result<Bytes, String>> {
        Box::pin(async move {
            let name = judge.url.path().trim_start_matches('/').to_owned();
            let question: Value = serde_json::from_slice(&question).unwrap();
            self.asked.lock().unwrap().push((name.clone(), question.clone()));
            let judge = Arc::clone(&self.judges.lock().unwrap()[&name]);
            match judge(&question) {
                Some(Value::Null) => Err("connection refused".to_owned()),
                Some(answer) => Ok(answer.to_string().into()),
                None => std::future::pending().await,
            }
        })
    }
}

impl Bench {
    pub(super) fn asked(&self, name: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(judge, _)| judge == name).map(|(_, question)| question.clone()).collect()
    }

    pub(super) fn order(&self) -> Vec<String> {
        self.asked.lock().unwrap().iter().map(|(judge, _)| judge.clone()).collect()
    }
}

pub(super) const VALIDATOR: InterceptorKind = InterceptorKind::Validator;
pub(super) const MUTATOR: InterceptorKind = InterceptorKind::Mutator;

pub(super) fn interceptor(name: &str, kind: InterceptorKind) -> Interceptor {
    Interceptor {
        name: name.into(),
        kind,
        way: Way::Http(Box::new(HttpJudge {
            url: format!("http://127.0.0.1/{name}").parse().unwrap(),
            headers: HeaderMap::new(),
            network: JudgeNetwork::Public,
            missing: None,
        })),
        events: Event::ALL.into(),
        phases: [Phase::Request, Phase::Response].into(),
        servers: None,
        tools: None,
        time_max: Duration::from_secs(5),
        mode: Mode::Active,
        unheard: Unheard::Closed,
        order: 100,
        bytes_max: 1 << 20,
        sight: Sight::Cleared,
        config: None,
    }
}

pub(super) fn on(phase: Phase, interceptor: Interceptor) -> Interceptor {
    Interceptor { phases: [phase].into(), ..interceptor }
}

/// A gateway over the fixture with these judges.
pub(super) async fn harness(judges: Vec<(Interceptor, Judge)>) -> (Harness, impl Sized) {
    let (one, guard) = http_server("one", Fixture::new(Era::Dual)).await;
    let harness = Harness::start(vec![one, stdio_entry("guard", "no such program")]).await;
    let mut all = Vec::new();
    for (interceptor, judge) in judges {
        harness.bench.judges.lock().unwrap().insert(interceptor.name.to_string(), Arc::new(judge));
        all.push(interceptor);
    }
    change(&harness, |snapshot| snapshot.interceptors = Interceptors::new(all));
    (harness, guard)
}

pub(super) fn change(harness: &Harness, change: impl FnOnce(&mut Snapshot)) {
    let mut snapshot = Snapshot::clone(&harness.gate.snapshot());
    snapshot.version += 1;
    change(&mut snapshot);
    harness.gate.swap(snapshot);
}

pub(super) fn says(answer: Value) -> Judge {
    Box::new(move |_| Some(answer.clone()))
}

/// A mutator that changes what it is shown.
pub(super) fn makes(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Judge {
    Box::new(move |asked| {
        let mut payload = asked["payload"].clone();
        change(&mut payload);
        Some(json!({"modified": true, "payload": payload}))
    })
}
