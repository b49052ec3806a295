//! What it costs to know who asks, whether they may, and how often: the stages `identify`, `admit`, `authorize` and
//! `afford`, as the journey walks them, in processor time. Prints figures, so it is run by hand:
//! `cargo test --release -p casemate-gateway figures -- --ignored --nocapture`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use casemate_auth::issuers::{Issuer, Issuers, Memory};
use casemate_auth::token::{Algorithm, Jws, Rules, TokenFault};
use casemate_auth::{KeyTable, NewKey, issue};
use casemate_mcp::names::{RoleName, ServerName};
use casemate_net::SystemResolver;
use casemate_net::fetch::{Reachable, Url};
use casemate_policy::{
    Authentication, Policy, PolicyDef, PolicyFile, RoleDef, ServerDef, Subject, SubjectId,
};
use casemate_testkit::fixture::Guard;
use casemate_testkit::{Era, Fixture};
use casemate_transport::listener::Peer;
use ring::rsa;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::authorize::Judged;
use super::cordon::Cordon;
use super::receive::Message;
use super::{Head, SessionRef, admit, afford, authorize, check, identify, receive, route};
use crate::client::Outlet;
use crate::clock;
use crate::endpoint::Endpoint;
use crate::gate::Gate;
use crate::ports::{Asked, Identities, Rejection, Settling};
use crate::snapshot::{Allowance, Limits, Pace, Rate};
use crate::tests::harness;

/// As in the program: what is measured here allocates, and the system's allocator takes longer for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Calls that are walked through one stage before the next begins, so that reading the clock costs next to nothing.
const BATCH: usize = 128;

/// Batches of each measurement. The median counts.
const ROUNDS: usize = 40;

const ISSUER: &str = "https://issuer.example";

/// The goals, in µs: when all is remembered, and when nothing is.
const WARM: f64 = 4.0;
const COLD: f64 = 25.0;

/// Rules on what a call is, of the kinds that people write: none of them can be remembered.
const RULES: &str = r#"
    forbid (principal, action == Action::"call", resource == Tool::"one/echo")
    when { context.arguments has message && context.arguments.message like "*secret*" };
    forbid (principal, action == Action::"call", resource in Server::"one")
    when { context.arguments has paths && context.arguments.paths.contains("/etc/passwd") };
    forbid (principal, action, resource in Server::"one") unless { context.time > datetime("2020-01-01") };
"#;

#[tokio::test]
#[ignore = "prints figures, which mean something in release mode only"]
async fn what_who_and_may_and_how_often_cost() {
    let plain = World::new("").await;
    let ruled = World::new(RULES).await;
    let key = plain.measure("key, role; remembered", std::slice::from_ref(&plain.key)).await;
    let token = plain.measure("token, role; remembered", &plain.tokens(Algorithm::Es256, 1)).await;
    let one = ruled.tokens(Algorithm::Es256, 1);
    ruled.measure("key, three rules on arguments and time", std::slice::from_ref(&ruled.key)).await;
    ruled.measure("token remembered, three rules on arguments and time", &one).await;
    let mut cold = f64::MAX;
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let tokens = ruled.tokens(algorithm, BATCH * (ROUNDS + 1));
        let what = format!("token for the first time ({algorithm}), three rules");
        let all = ruled.measure(&what, &tokens).await;
        cold = cold.min(all - ruled.signatures(algorithm, &tokens));
    }
    say(&format!("goals: {WARM} µs when remembered; {COLD} µs for the first time"));
    if !cfg!(debug_assertions) {
        assert!(key <= WARM && token <= WARM, "the goal of what is remembered");
        assert!(cold <= COLD, "the goal of what is new, beside the signature");
    }
}

/// A gateway with real roles, rules and limits, whose identities are real keys and tokens.
struct World {
    gate: Arc<Gate>,
    key: String,
    issuer: TestIssuer,
    _guards: (Guard, tokio::task::JoinSet<()>),
}

/// Keys and tokens as the program knows them.
#[derive(Debug)]
struct Papers {
    table: KeyTable,
    subjects: BTreeMap<String, Arc<Subject>>,
    issuers: Issuers,
    memory: Memory<Subject>,
}

impl World {
    async fn new(rules: &str) -> World {
        let (entry, guard) = harness::http_server("one", Fixture::new(Era::Dual)).await;
        let role = RoleName::parse("dev").unwrap();
        let wanted = NewKey { name: "laptop".to_owned(), role: role.clone(), scope: None, expires: None };
        let (secret, record) = issue(wanted, 100).unwrap();
        let subject = Subject::new(SubjectId::key(&record.id), vec![role.clone()], Authentication::Key);
        let issuer = TestIssuer::new();
        let (keys_at, served) = issuer.serve().await;
        let issuers =
            Issuers::new(Arc::new(SystemResolver::new()), TaskTracker::new(), CancellationToken::new());
        issuers.replace([entry_of(&keys_at, &role)]);
        let papers = Arc::new(Papers {
            subjects: [(record.id.clone(), Arc::new(subject))].into(),
            table: KeyTable::from_records([record]),
            issuers,
            memory: Memory::default(),
        });
        let mut snapshot = harness::snapshot(vec![entry], limits());
        snapshot.policy = policy(&role, rules);
        let gate = Gate::start(harness::parts(snapshot, papers, &Arc::default()));
        let world = World { gate, key: secret.expose().to_owned(), issuer, _guards: (guard, served) };
        // The keys of the issuer are there, and so are the definitions of the server.
        world.walk(&world.tokens(Algorithm::Es256, 1)).await;
        world
    }

    fn tokens(&self, algorithm: Algorithm, count: usize) -> Vec<String> {
        let until = clock::unix_now().as_secs() + 3600;
        (0..count).map(|number| self.issuer.token(algorithm, (number, until))).collect()
    }

    /// Prints what a call costs with one of these credentials each, and returns it in µs.
    async fn measure(&self, what: &str, credentials: &[String]) -> f64 {
        let mut rounds = Vec::new();
        let mut given = credentials.iter().cycle().cloned();
        for _ in 0..=ROUNDS {
            let credentials: Vec<String> = given.by_ref().take(BATCH).collect();
            rounds.push(self.walk(&credentials).await);
        }
        let median = |pick: fn(&Cost) -> f64| {
            let mut all: Vec<f64> = rounds.iter().skip(1).map(pick).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let (who, may) = (median(|cost| cost.who), median(|cost| cost.may));
        say(&format!("{what:58} {:7.2} µs ({who:.2} to be let in, {may:.2} for the call)", who + may));
        who + may
    }

    /// Prints and returns what of it is the token alone, read and verified: nearly all of that is `ring`.
    fn signatures(&self, algorithm: Algorithm, tokens: &[String]) -> f64 {
        let keys = casemate_auth::token::KeySet::read(&Bytes::from(self.issuer.set())).unwrap();
        let rules = rules_of(&RoleName::parse("dev").unwrap());
        let now = clock::unix_now().as_secs();
        let tokens = &tokens[..2000.min(tokens.len())];
        let began = processor_us();
        for token in tokens {
            let read = Jws::read(token).unwrap();
            rules.judge(&read, &keys, ("http://127.0.0.1/mcp", now)).unwrap();
        }
        let each = (processor_us() - began) / f64::from(u32::try_from(tokens.len()).unwrap());
        say(&format!("    of which {algorithm}, read and verified {:>26} {each:7.2} µs", ""));
        each
    }

    /// Walks one call for each credential through the stages.
    async fn walk(&self, credentials: &[String]) -> Cost {
        let heads: Vec<Head> = credentials.iter().map(|credential| head(credential)).collect();
        let mut admitted = Vec::with_capacity(heads.len());
        let began = processor_us();
        for head in heads {
            let identified = identify::subject(&self.gate, head).await.unwrap();
            admitted.push(admit::subject(&self.gate, identified).await.unwrap());
        }
        let who = processor_us() - began;
        let mut checked = Vec::with_capacity(admitted.len());
        for admitted in admitted {
            let mut messages = receive::messages(&self.gate, admitted, body()).await.unwrap();
            let Some(Message::Call(received)) = messages.pop() else { panic!("no call") };
            let cordon = Cordon::around(&self.gate, &received);
            let free = cordon.pass(route::target(&self.gate, received).await.unwrap()).unwrap();
            checked.push(check::arguments(free).unwrap());
        }
        let began = processor_us();
        for checked in checked {
            let Ok(Judged::Permitted(permitted)) = authorize::decide(&self.gate, checked) else {
                panic!("not permitted")
            };
            drop(afford::request(&self.gate, permitted).unwrap());
        }
        let may = processor_us() - began;
        let calls = f64::from(u32::try_from(credentials.len()).unwrap());
        Cost { who: who / calls, may: may / calls }
    }
}

/// What one call cost, in µs.
struct Cost {
    who: f64,
    may: f64,
}

impl Identities for Papers {
    fn bearer(&self, presented: &str, asked: Asked<'_>) -> Result<Arc<Subject>, Rejection> {
        let now = asked.now_unix_s;
        if !Jws::is_one(presented) {
            let record =
                self.table.verify(presented, now).map_err(|fault| Rejection::Refused(fault.to_string()))?;
            return Ok(Arc::clone(&self.subjects[&record.id]));
        }
        let resource = asked.base.map(|base| base.of(asked.endpoint)).unwrap_or_default();
        if let Some(subject) = self.memory.find(presented, (&resource, self.issuers.generation(), now)) {
            return Ok(subject);
        }
        let accepted = self.issuers.judge(presented, (&resource, now)).map_err(|fault| match fault {
            TokenFault::UnknownKey => Rejection::Unsettled(fault.to_string()),
            _ => Rejection::Refused(fault.to_string()),
        })?;
        let id = SubjectId::token(&accepted.issuer, &accepted.verified.subject);
        let roles = accepted.verified.roles.clone();
        let subject = Arc::new(Subject::new(id, roles, Authentication::Token));
        self.memory.keep(presented, (accepted, subject.id.as_str(), &subject), now);
        Ok(subject)
    }

    fn settled<'a>(&'a self, presented: &'a str) -> Settling<'a> {
        Box::pin(self.issuers.settled(presented))
    }

    fn current(&self, _: &SubjectId, _: u64) -> Option<Arc<Subject>> {
        None
    }

    fn local(&self, _: u32) -> Option<Arc<Subject>> {
        None
    }
}

/// Who signs.
struct TestIssuer {
    rsa: rsa::KeyPair,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl TestIssuer {
    fn new() -> TestIssuer {
        let random = ring::rand::SystemRandom::new();
        // It was made for tests and is of no other use.
        let text = include_str!("../../../casemate-auth/src/token/tests/rsa.txt").replace('\n', "");
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let p256 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let ed25519 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        TestIssuer {
            rsa: rsa::KeyPair::from_pkcs8(&STANDARD.decode(text).unwrap()).unwrap(),
            p256: EcdsaKeyPair::from_pkcs8(algorithm, p256.as_ref(), &random).unwrap(),
            ed25519: Ed25519KeyPair::from_pkcs8(ed25519.as_ref()).unwrap(),
        }
    }

    fn set(&self) -> String {
        let public = rsa::PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        let (x, y) = self.p256.public_key().as_ref()[1..].split_at(32);
        let keys = json!({"keys": [
            {"kty": "RSA", "kid": "RS256", "n": encoded(&public.n), "e": encoded(&public.e)},
            {"kty": "EC", "crv": "P-256", "kid": "ES256", "x": encoded(x), "y": encoded(y)},
            {"kty": "OKP", "crv": "Ed25519", "kid": "EdDSA", "x": encoded(self.ed25519.public_key().as_ref())},
        ]});
        keys.to_string()
    }

    /// Gives its keys to whoever asks, on this machine.
    async fn serve(&self) -> (Url, tokio::task::JoinSet<()>) {
        let set = self.set();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let keys_at = format!("http://{}/keys", listener.local_addr().unwrap());
        let mut served = tokio::task::JoinSet::new();
        served.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
                stream.write_all(format!("{head} {}\r\n\r\n{set}", set.len()).as_bytes()).await.unwrap();
            }
        });
        (Url::parse(&keys_at).unwrap(), served)
    }

    /// A token of the size that issuers make.
    fn token(&self, algorithm: Algorithm, (number, expires): (usize, u64)) -> String {
        let header = json!({"alg": algorithm.to_string(), "kid": algorithm.to_string(), "typ": "at+jwt"});
        let claims = json!({
            "iss": ISSUER, "sub": "alice", "aud": "http://127.0.0.1/mcp", "exp": expires, "iat": expires - 3600,
            "jti": format!("3f0e1c7a-8d5b-4b1e-9a51-{number:012}"), "client_id": "7c6b0a52-agent",
            "scope": "openid profile mcp:read mcp:write", "groups": ["staff", "platform", "oncall"],
        });
        let signed = [header, claims].map(|part| encoded(part.to_string().as_bytes())).join(".");
        let random = ring::rand::SystemRandom::new();
        let signature = match algorithm {
            Algorithm::Rs256 => {
                let mut signature = vec![0; self.rsa.public().modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
            Algorithm::Es256 => self.p256.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec(),
            _ => self.ed25519.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", encoded(&signature))
    }
}

fn rules_of(role: &RoleName) -> Rules {
    Rules {
        issuer: ISSUER.to_owned(),
        audiences: Vec::new(),
        algorithms: Algorithm::ALL.to_vec(),
        subject_claim: "sub".to_owned(),
        roles_claim: vec!["groups".to_owned()],
        roles: [("staff".to_owned(), role.clone())].into(),
        everyone: Vec::new(),
        required_scopes: vec!["mcp:read".to_owned()],
        leeway_s: 30,
    }
}

fn entry_of(keys_at: &Url, role: &RoleName) -> Issuer {
    Issuer {
        name: "corp".to_owned(),
        rules: rules_of(role),
        keys_at: Some(keys_at.clone()),
        reachable: Reachable::public().and_loopback(),
        certificates: None,
        refresh_every: Duration::from_secs(3600),
        refresh_pause: Duration::from_secs(3600),
    }
}

fn policy(role: &RoleName, rules: &str) -> Policy {
    let dev = RoleDef {
        allow: ["one", "wiki/get_*", "git/*"].map(str::to_owned).to_vec(),
        deny: vec!["git/push".to_owned()],
        ..RoleDef::default()
    };
    let files = match rules {
        "" => Vec::new(),
        text => vec![PolicyFile { name: "policy/figures.cedar".to_owned(), text: text.to_owned() }],
    };
    let servers = ["one", "wiki", "git"].map(|name| (ServerName::parse(name).unwrap(), ServerDef::default()));
    let def = PolicyDef { roles: [(role.clone(), dev)].into(), servers: servers.into(), files };
    Policy::compile(&def).unwrap()
}

/// Limits of every kind, wide enough for a measurement.
fn limits() -> Limits {
    let rate = Rate::a_second(NonZeroU32::new(100_000_000).unwrap());
    let wide = Allowance { rate, budget: u64::from(u32::MAX) };
    let pace = Pace { address: rate, subject: wide, key: wide, server: rate, tool: wide, ..Pace::default() };
    Limits { calls_in_flight_max: 4096, pace, ..Limits::default() }
}

fn head(credential: &str) -> Head {
    Head {
        peer: Peer::Tcp(([127, 0, 0, 1], 40_000).into()),
        credential: Some(credential.into()),
        certificate: None,
        endpoint: Endpoint::Joined,
        claims: None,
        session: SessionRef::None,
        outlet: Outlet::Call(tokio::sync::mpsc::channel(1).0),
    }
}

fn body() -> Bytes {
    let params = json!({
        "name": "one__echo", "arguments": {"message": "x".repeat(100)},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    });
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string().into()
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap();
}

/// Processor time of this thread: what else the machine does counts as little as can be.
fn processor_us() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "a measurement lasts for seconds")]
    let us = time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3;
    us
}
