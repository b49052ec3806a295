//! Tokens of a real issuer: judged, expired, rotated; and the official SDKs, which find the issuer by themselves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use casemate_testkit::client::McpHttp;
use serde_json::{Value, json};

use super::parts::Parts;
use crate::gateway::{Gateway, home_with_fixture};
use crate::home::Home;

/// How long a machine that is busy with other tests may take for what takes a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// oidc-provider, as `issuer.mjs` starts it; killed with the test.
struct Issuer {
    child: Child,
    name: String,
}

impl Issuer {
    fn start(parts: &Parts, algorithm: &str, port: u16) -> Issuer {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/real/issuer.mjs");
        let scopes = ["tools:echo", "tools:all", "short"];
        let wish =
            json!({ "packages": parts.packages(), "port": port, "algorithm": algorithm, "scopes": scopes });
        let mut command = Command::new(parts.node());
        command.arg(script).arg(wish.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no issuer: {line:?}"));
        Issuer { child, name: said["issuer"].as_str().unwrap().to_owned() }
    }

    fn port(&self) -> u16 {
        self.name.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// A token for a resource, as a program gets one (client credentials).
    fn token(&self, resource: &str, scope: &str) -> String {
        let address = self.name.trim_start_matches("http://");
        let encoded = |text: &str| text.replace(':', "%3A").replace('/', "%2F").replace(' ', "+");
        let form = format!(
            "grant_type=client_credentials&client_id=machine&client_secret=machine-secret&resource={}&scope={}",
            encoded(resource),
            encoded(scope)
        );
        let mut stream = TcpStream::connect(address).unwrap();
        let head = "content-type: application/x-www-form-urlencoded\r\nconnection: close";
        let length = form.len();
        write!(
            stream,
            "POST /token HTTP/1.1\r\nhost: {address}\r\n{head}\r\ncontent-length: {length}\r\n\r\n{form}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let body = answer.find('{').map(|at| &answer[at..=answer.rfind('}').unwrap()]).unwrap_or(&answer);
        let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"));
        body["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The same issuer with other keys.
    fn rotated(mut self, parts: &Parts, algorithm: &str) -> Issuer {
        let port = self.port();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Issuer::start(parts, algorithm, port)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn home_with(issuer: &Issuer, further: &str) -> Home {
    let settings = format!(
        "[identity.issuers.real]\nissuer = {:?}\nreach = \"loopback\"\nleeway = \"1s\"\nkeys_pause = \"1s\"\n\
         everyone = [\"user\"]\n{further}",
        issuer.name
    );
    home_with_fixture(&settings)
}

/// The status of a request with a token.
async fn status(endpoint: &str, token: &str) -> u16 {
    let client = McpHttp::new(endpoint).bearer(token).modern(json!({}));
    client.open("server/discover", json!({})).await.unwrap().status
}

/// Waits until a token is answered like that: its time, and the gateway's look at the keys, tell nobody when they come.
async fn becomes(endpoint: &str, token: &str, expected: u16) {
    let begun = Instant::now();
    while status(endpoint, token).await != expected {
        assert!(begun.elapsed() < PATIENCE, "it does not become {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_token_of_a_real_issuer_is_good_until_it_expires_and_until_its_key_is_withdrawn() {
    let Some(parts) = Parts::find() else { return };
    for algorithm in ["ES256", "RS256", "EdDSA"] {
        let issuer = Issuer::start(&parts, algorithm, 0);
        let home = home_with(&issuer, "");
        let gateway = Gateway::start(&home);
        let endpoint = gateway.endpoint();

        let token = issuer.token(endpoint, "tools:echo");
        let client = McpHttp::new(endpoint).bearer(&token).modern(json!({}));
        let echo = client.call("fixture__echo", json!({ "message": "hi" })).await.unwrap();
        assert_eq!(echo["content"][0]["text"], "hi", "{algorithm}");
        // Made for another endpoint, changed on the way, or for nobody.
        assert_eq!(status(endpoint, &issuer.token(&gateway.endpoint_of("fixture"), "tools:echo")).await, 401);
        assert_eq!(status(&gateway.endpoint_of("fixture"), &token).await, 401);
        assert_eq!(status(endpoint, &issuer.token("https://other.example/mcp", "tools:echo")).await, 401);
        let changed = token.replacen("ey", "eY", 1);
        assert_eq!(status(endpoint, &changed).await, 401);

        let short = issuer.token(endpoint, "short");
        assert_eq!(status(endpoint, &short).await, 200);
        becomes(endpoint, &short, 401).await;
        assert_eq!(status(endpoint, &token).await, 200, "the longer one is still good");

        let issuer = issuer.rotated(&parts, algorithm);
        let renewed = issuer.token(endpoint, "tools:echo");
        becomes(endpoint, &renewed, 200).await;
        assert_eq!(status(endpoint, &token).await, 401, "its key was withdrawn");
    }
}

#[test]
fn the_python_sdk_finds_the_issuer_and_logs_in_legacy() {
    dance("oauth.py", "legacy");
}

#[test]
fn the_python_sdk_finds_the_issuer_and_logs_in_modern() {
    dance("oauth.py", "modern");
}

#[test]
fn the_typescript_sdk_finds_the_issuer_and_logs_in_legacy() {
    dance("oauth.mjs", "legacy");
}

#[test]
fn the_typescript_sdk_finds_the_issuer_and_logs_in_modern() {
    dance("oauth.mjs", "modern");
}

/// The client is refused, finds the issuer, registers, logs in, calls, lacks a scope, gets it, and calls again.
fn dance(script: &str, era: &str) {
    let Some(parts) = Parts::find() else { return };
    let issuer = Issuer::start(&parts, "ES256", 0);
    let home = home_with(
        &issuer,
        "[identity.scopes.\"tools:echo\"]\nallow = [\"fixture/echo\"]\n\
         [identity.scopes.\"tools:all\"]\nallow = [\"fixture\"]\nasked = \"when-needed\"\n",
    );
    let gateway = Gateway::start(&home);
    let endpoint = gateway.endpoint();

    let interpreter = if script == "oauth.py" { parts.pypi("python") } else { parts.node() };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/real").join(script);
    let wish = json!({ "url": endpoint, "era": era, "packages": parts.packages() });
    let output = Command::new(interpreter).arg(script).arg(wish.to_string()).output().unwrap();
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!("{era}: {}\n{}", String::from_utf8_lossy(&output.stderr), home.read("up.log"))
    });

    assert_eq!(seen["tools"], json!(["fixture__echo"]), "the first scope shows no more: {seen}");
    assert_eq!((&seen["echo"], &seen["added"].is_string()), (&json!("hi"), &true), "{seen}");
    assert!(seen["more"].as_u64().unwrap() > 10, "{seen}");
    let asked = seen["asked"].as_array().unwrap();
    assert_eq!(asked.len(), 2, "{seen}");
    assert!(asked.iter().all(|one| one["resource"] == endpoint), "{seen}");
    assert_eq!(asked[0]["scope"], "tools:echo", "{seen}");
    let second = asked[1]["scope"].as_str().unwrap();
    assert!(second.split(' ').any(|scope| scope == "tools:all"), "{seen}");
}
