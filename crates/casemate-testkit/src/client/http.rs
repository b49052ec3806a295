//! Streamable HTTP, of both eras.

use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::{rpc, sse};

use super::{ClientError, MODERN_REVISION, initialize_params, outcome, read, with_meta};

#[derive(Debug, Clone)]
enum Dialect {
    /// Nothing is added to what the test sends.
    Bare,
    Legacy {
        revision: String,
        session: Option<String>,
    },
    Modern {
        capabilities: Value,
    },
}

/// A client of one MCP endpoint over HTTP. Connections are pooled.
#[derive(Debug)]
pub struct McpHttp {
    http: Client<HttpConnector, Full<Bytes>>,
    url: String,
    headers: HeaderMap,
    dialect: Dialect,
    last_id: AtomicI64,
}

impl McpHttp {
    /// A client of `http://…`. Before [`McpHttp::initialize`] or [`McpHttp::modern`] it adds no headers of any era.
    pub fn new(url: &str) -> McpHttp {
        McpHttp {
            http: Client::builder(TokioExecutor::new()).build_http(),
            url: url.to_owned(),
            headers: HeaderMap::new(),
            dialect: Dialect::Bare,
            last_id: AtomicI64::new(0),
        }
    }

    /// Sends a header with every request. One that HTTP does not allow is left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> McpHttp {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Sends a bearer key with every request.
    #[must_use]
    pub fn bearer(self, key: &str) -> McpHttp {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {key}"))
    }

    /// Speaks the modern era from now on, with these client capabilities.
    #[must_use]
    pub fn modern(mut self, capabilities: Value) -> McpHttp {
        self.dialect = Dialect::Modern { capabilities };
        self
    }

    /// Opens a legacy session (`initialize`, then `notifications/initialized`) and returns what the server said.
    ///
    /// # Errors
    /// The server refused, or cannot be reached.
    pub async fn initialize(&mut self, revision: &str, capabilities: Value) -> Result<Value, ClientError> {
        self.dialect = Dialect::Bare;
        let mut exchange = self.open("initialize", initialize_params(revision, &capabilities)).await?;
        let session = exchange.header("mcp-session-id").map(ToOwned::to_owned);
        let result = exchange.result().await?;
        let revision = result.get("protocolVersion").and_then(Value::as_str).unwrap_or(revision).to_owned();
        self.dialect = Dialect::Legacy { revision, session };
        self.notify("notifications/initialized", json!({})).await?;
        Ok(result)
    }

    /// The id of the legacy session, if the server gave one.
    pub fn session(&self) -> Option<&str> {
        match &self.dialect {
            Dialect::Legacy { session, .. } => session.as_deref(),
            _ => None,
        }
    }

    /// Sends a request and waits for its result; messages on the way are dropped.
    ///
    /// # Errors
    /// The server answered with an error, or not at all.
    pub async fn request(&self, method: &str, params: Value) -> Result<Value, ClientError> {
        self.open(method, params).await?.result().await
    }

    /// Calls a tool and waits for its result.
    ///
    /// # Errors
    /// The server answered with an error, or not at all. A tool error is a result.
    pub async fn call(&self, tool: &str, arguments: Value) -> Result<Value, ClientError> {
        self.request("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Sends a request and returns as soon as the response begins.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn open(&self, method: &str, params: Value) -> Result<Exchange, ClientError> {
        self.open_with(method, params, &[]).await
    }

    /// The same with further headers of this request.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn open_with(
        &self,
        method: &str,
        params: Value,
        further: &[(String, String)],
    ) -> Result<Exchange, ClientError> {
        let id = Value::from(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let params = match &self.dialect {
            Dialect::Modern { capabilities } => with_meta(params, capabilities),
            _ => params,
        };
        let mut headers = self.dialect_headers();
        further.iter().for_each(|(name, value)| add(&mut headers, name, value));
        if let Dialect::Modern { .. } = self.dialect {
            add(&mut headers, "mcp-method", method);
            let named = if method == "resources/read" { params.get("uri") } else { params.get("name") };
            let named = named.or_else(|| params.get("taskId")).and_then(Value::as_str);
            if let Some(name) = named {
                add(&mut headers, "mcp-name", name);
            }
        }
        let body = rpc::request(&id, method, params).to_string();
        let mut exchange = self.send(Method::POST, headers, body.into()).await?;
        exchange.id = id;
        Ok(exchange)
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// The server did not take it.
    pub async fn notify(&self, method: &str, params: Value) -> Result<(), ClientError> {
        self.deliver(&rpc::notification(method, params)).await
    }

    /// Answers a request that the server sent.
    ///
    /// # Errors
    /// The server did not take it.
    pub async fn respond(&self, id: &Value, result: Value) -> Result<(), ClientError> {
        self.deliver(&rpc::result(id, result)).await
    }

    async fn deliver(&self, message: &Value) -> Result<(), ClientError> {
        let body = message.to_string().into();
        let exchange = self.send(Method::POST, self.dialect_headers(), body).await?;
        if exchange.status == 202 { Ok(()) } else { Err(exchange.into_status().await) }
    }

    /// Opens the standing stream of a legacy session, or resumes any stream after the given event.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn listen(&self, last_event_id: Option<&str>) -> Result<Exchange, ClientError> {
        let mut headers = self.dialect_headers();
        if let Some(id) = last_event_id {
            add(&mut headers, "last-event-id", id);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        self.send(Method::GET, headers, Bytes::new()).await
    }

    /// Ends the legacy session and returns the HTTP status.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn delete(&self) -> Result<u16, ClientError> {
        Ok(self.send(Method::DELETE, self.dialect_headers(), Bytes::new()).await?.status)
    }

    /// Posts any bytes with the usual headers, of which the given ones replace or, when empty, remove some.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn post(
        &self,
        body: impl Into<Bytes>,
        headers: &[(&str, &str)],
    ) -> Result<Exchange, ClientError> {
        let mut all = self.dialect_headers();
        for (name, value) in headers {
            if value.is_empty() {
                all.remove(*name);
            } else {
                add(&mut all, name, value);
            }
        }
        self.send(Method::POST, all, body.into()).await
    }

    fn dialect_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        match &self.dialect {
            Dialect::Bare => {}
            Dialect::Legacy { revision, session } => {
                // Revisions before 2025-06-18 do not know the header.
                if revision.as_str() >= "2025-06-18" {
                    add(&mut headers, "mcp-protocol-version", revision);
                }
                if let Some(session) = session {
                    add(&mut headers, "mcp-session-id", session);
                }
            }
            Dialect::Modern { .. } => add(&mut headers, "mcp-protocol-version", MODERN_REVISION),
        }
        headers.extend(self.headers.clone());
        headers
    }

    async fn send(&self, method: Method, headers: HeaderMap, body: Bytes) -> Result<Exchange, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.url.parse().map_err(ClientError::transport)?;
        *request.headers_mut() = headers;
        let response = self.http.request(request).await.map_err(ClientError::transport)?;
        let (head, body) = response.into_parts();
        let content_type =
            head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let events = content_type.starts_with("text/event-stream").then(sse::Reader::default);
        Ok(Exchange {
            status: head.status.as_u16(),
            headers: head.headers,
            id: Value::Null,
            body,
            events,
            last_event_id: None,
        })
    }
}

fn add(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

/// A response while it arrives. Dropping it closes the connection if the response is not read to its end.
#[derive(Debug)]
pub struct Exchange {
    /// The HTTP status.
    pub status: u16,
    /// The response headers.
    pub headers: HeaderMap,
    /// The id of the request; null for anything but a request.
    pub id: Value,
    body: Incoming,
    events: Option<sse::Reader>,
    last_event_id: Option<String>,
}

impl Exchange {
    /// One response header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether the response is an event stream.
    pub fn is_stream(&self) -> bool {
        self.events.is_some()
    }

    /// The id of the last event that was read, to resume after.
    pub fn last_event_id(&self) -> Option<&str> {
        self.last_event_id.as_deref()
    }

    /// What a message is to this exchange's request: its outcome, or none of it.
    pub fn outcome(&self, message: &Value) -> Option<Result<Value, ClientError>> {
        outcome(message, &self.id)
    }

    /// The next message; none when the response has ended.
    ///
    /// # Errors
    /// The connection broke, or what came is not JSON.
    pub async fn next(&mut self) -> Result<Option<Value>, ClientError> {
        let Some(mut events) = self.events.take() else {
            let text = self.rest().await?;
            return if text.is_empty() { Ok(None) } else { read(&text).map(Some) };
        };
        let found = self.next_event(&mut events).await;
        self.events = Some(events);
        found
    }

    async fn next_event(&mut self, events: &mut sse::Reader) -> Result<Option<Value>, ClientError> {
        loop {
            while let Some(event) = events.next() {
                if !event.id.is_empty() {
                    self.last_event_id = Some(event.id);
                }
                if !event.data.is_empty() {
                    return read(&event.data).map(Some);
                }
            }
            match self.body.frame().await {
                Some(Ok(frame)) => events.feed(frame.data_ref().map_or(&[], |bytes| bytes)),
                Some(Err(fault)) => return Err(ClientError::transport(fault)),
                None => return Ok(None),
            }
        }
    }

    /// Reads on to the response and returns its result; messages before it are dropped.
    ///
    /// # Errors
    /// The server answered with an error, or the response never came.
    pub async fn result(&mut self) -> Result<Value, ClientError> {
        let mut first = None;
        while let Some(message) = match self.next().await {
            // A bare status often comes with a page for people.
            Err(ClientError::Malformed { text, .. }) if self.status >= 300 => {
                return Err(ClientError::Status { status: self.status, body: text });
            }
            next => next?,
        } {
            if let Some(outcome) = outcome(&message, &self.id) {
                return outcome;
            }
            first.get_or_insert(message);
        }
        // A refusal that could not name the request has a null id.
        if let Some(outcome) = first.and_then(|message| outcome(&message, &Value::Null)) {
            return outcome;
        }
        if self.status == 200 {
            return Err(ClientError::Closed);
        }
        Err(ClientError::Status { status: self.status, body: String::new() })
    }

    /// The whole rest of the body as text.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn rest(&mut self) -> Result<String, ClientError> {
        let body = (&mut self.body).collect().await.map_err(ClientError::transport)?;
        Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
    }

    async fn into_status(mut self) -> ClientError {
        let body = self.rest().await.unwrap_or_default();
        ClientError::Status { status: self.status, body }
    }
}
