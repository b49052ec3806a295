//! A server and its authorization server in one, which say what a test wants them to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{Remote, Settings, Url, merged};

/// A request that arrived.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    path: String,
    pub(super) body: String,
}

/// What is answered.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: u16,
    headers: String,
    body: String,
    is_endless: bool,
}

pub(super) struct Fake {
    pub(super) origin: String,
    state: Arc<Mutex<State>>,
    /// Ends with the fake.
    tasks: JoinSet<()>,
}

#[derive(Default)]
struct State {
    replies: HashMap<String, Reply>,
    asked: Vec<Asked>,
    tokens: usize,
}

impl Reply {
    pub(super) fn json(value: Value) -> Reply {
        Reply::json_text(value.to_string())
    }

    pub(super) fn json_text(body: String) -> Reply {
        Reply { status: 200, headers: "content-type: application/json\r\n".into(), body, is_endless: false }
    }

    pub(super) fn redirect(to: &str) -> Reply {
        let headers = format!("location: {to}\r\ncontent-type: application/json\r\n");
        Reply { status: 302, headers, body: String::new(), is_endless: false }
    }

    pub(super) fn endless() -> Reply {
        Reply { is_endless: true, ..Reply::json_text("{\"issuer\":\"".into()) }
    }

    pub(super) fn with_status(self, status: u16) -> Reply {
        Reply { status, ..self }
    }
}

impl Fake {
    pub(super) async fn honest() -> Fake {
        Fake::with_metadata(json!({})).await
    }

    pub(super) async fn with_metadata(more: Value) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let mut fake = Fake { origin: origin.clone(), state: Arc::clone(&state), tasks: JoinSet::new() };
        let metadata = json!({
            "issuer": origin,
            "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{origin}/token"),
            "registration_endpoint": format!("{origin}/register"),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
            "authorization_response_iss_parameter_supported": true,
        });
        let resource = json!({
            "resource": fake.url(), "authorization_servers": [origin], "scopes_supported": ["read"],
        });
        fake.answer("/.well-known/oauth-protected-resource/mcp", Reply::json(resource));
        fake.answer("/.well-known/oauth-authorization-server", Reply::json(merged(metadata, more)));
        fake.answer("/register", Reply::json(json!({ "client_id": format!("client-of-{origin}") })));
        fake.tasks.spawn(async move {
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                serving.spawn(serve(stream, Arc::clone(&state)));
            }
        });
        fake
    }

    pub(super) fn answer(&mut self, path: &str, reply: Reply) {
        self.state.lock().unwrap().replies.insert(path.to_owned(), reply);
    }

    /// The requests whose path begins like that.
    pub(super) fn asked(&self, path: &str) -> Vec<Asked> {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|asked| asked.path.starts_with(path)).cloned().collect()
    }

    pub(super) fn url(&self) -> String {
        format!("{}/mcp", self.origin)
    }

    pub(super) fn remote(&self) -> Remote {
        let url = Url::parse(&self.url()).unwrap();
        Remote { server: "wiki".to_owned(), url, settings: Settings::default() }
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let Some(asked) = read(&mut stream).await else { return };
    let reply = {
        let mut state = state.lock().unwrap();
        let path = asked.path.split('?').next().unwrap().to_owned();
        state.asked.push(asked);
        match state.replies.get(&path) {
            Some(reply) => reply.clone(),
            None if path == "/token" => {
                state.tokens += 1;
                let number = state.tokens;
                Reply::json(json!({
                    "access_token": format!("access-{number}"), "token_type": "Bearer", "expires_in": 3600,
                    "refresh_token": format!("refresh-{number}"),
                }))
            }
            None => Reply::json(json!({})).with_status(404),
        }
    };
    let length = if reply.is_endless { usize::MAX >> 8 } else { reply.body.len() };
    let head = format!(
        "HTTP/1.1 {} x\r\n{}content-length: {length}\r\nconnection: close\r\n\r\n",
        reply.status, reply.headers
    );
    // Who hangs up in the middle has heard enough.
    let _ = stream.write_all(format!("{head}{}", reply.body).as_bytes()).await;
    while reply.is_endless && stream.write_all(&[b'x'; 4096]).await.is_ok() {}
}

async fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")
                    .map(|n| n.trim().parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                let path = head.split(' ').nth(1)?.to_owned();
                return Some(Asked { path, body: body.to_owned() });
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
}
