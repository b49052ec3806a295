//! One JSON text per line, of both eras.

use std::collections::VecDeque;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};

use crate::rpc;

use super::{ClientError, initialize_params, outcome, read, with_meta};

/// A client over any pair of pipes.
#[derive(Debug)]
pub struct McpStdio<R, W> {
    reader: BufReader<R>,
    writer: W,
    last_id: i64,
    /// Messages that were read while another was awaited.
    kept: VecDeque<Value>,
    modern: Option<Value>,
}

impl<S: AsyncRead + AsyncWrite> McpStdio<ReadHalf<S>, WriteHalf<S>> {
    /// A client over one stream that goes both ways, such as a Unix socket.
    pub fn over(stream: S) -> McpStdio<ReadHalf<S>, WriteHalf<S>> {
        let (reader, writer) = tokio::io::split(stream);
        McpStdio::new(reader, writer)
    }
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> McpStdio<R, W> {
    /// A client that reads what the server writes, and writes what the server reads.
    pub fn new(reader: R, writer: W) -> McpStdio<R, W> {
        McpStdio { reader: BufReader::new(reader), writer, last_id: 0, kept: VecDeque::new(), modern: None }
    }

    /// Speaks the modern era from now on, with these client capabilities.
    #[must_use]
    pub fn modern(mut self, capabilities: Value) -> McpStdio<R, W> {
        self.modern = Some(capabilities);
        self
    }

    /// Opens a legacy session (`initialize`, then `notifications/initialized`) and returns what the server said.
    ///
    /// # Errors
    /// The server refused, or the pipe broke.
    pub async fn initialize(&mut self, revision: &str, capabilities: Value) -> Result<Value, ClientError> {
        let result = self.request("initialize", initialize_params(revision, &capabilities)).await?;
        self.notify("notifications/initialized", json!({})).await?;
        Ok(result)
    }

    /// Sends a request and waits for its result; other messages are kept for [`McpStdio::next`].
    ///
    /// # Errors
    /// The server answered with an error, or the pipe broke.
    pub async fn request(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        let id = self.send(method, params).await?;
        self.wait(&id).await
    }

    /// Calls a tool and waits for its result.
    ///
    /// # Errors
    /// The server answered with an error, or the pipe broke. A tool error is a result.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Result<Value, ClientError> {
        self.request("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Sends a request and returns its id at once.
    ///
    /// # Errors
    /// The pipe broke.
    pub async fn send(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        self.last_id += 1;
        let id = Value::from(self.last_id);
        let params = match &self.modern {
            Some(capabilities) => with_meta(params, capabilities),
            None => params,
        };
        self.write(&rpc::request(&id, method, params)).await?;
        Ok(id)
    }

    /// Waits for the response to an earlier request; other messages are kept for [`McpStdio::next`].
    ///
    /// # Errors
    /// The server answered with an error, or the pipe broke.
    pub async fn wait(&mut self, id: &Value) -> Result<Value, ClientError> {
        for at in 0..self.kept.len() {
            if let Some(outcome) = self.kept.get(at).and_then(|message| outcome(message, id)) {
                self.kept.remove(at);
                return outcome;
            }
        }
        loop {
            let message = self.read_one().await?.ok_or(ClientError::Closed)?;
            match outcome(&message, id) {
                Some(outcome) => return outcome,
                None => self.kept.push_back(message),
            }
        }
    }

    /// The next message that nobody waited for; none when the server closed its end.
    ///
    /// # Errors
    /// The pipe broke, or what came is not JSON.
    pub async fn next(&mut self) -> Result<Option<Value>, ClientError> {
        match self.kept.pop_front() {
            Some(message) => Ok(Some(message)),
            None => self.read_one().await,
        }
    }

    /// Sends a notification.
    ///
    /// # Errors
    /// The pipe broke.
    pub async fn notify(&mut self, method: &str, params: Value) -> Result<(), ClientError> {
        self.write(&rpc::notification(method, params)).await
    }

    /// Answers a request that the server sent.
    ///
    /// # Errors
    /// The pipe broke.
    pub async fn respond(&mut self, id: &Value, result: Value) -> Result<(), ClientError> {
        self.write(&rpc::result(id, result)).await
    }

    /// Writes any bytes, as they are.
    ///
    /// # Errors
    /// The pipe broke.
    pub async fn raw(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.writer.write_all(bytes).await.map_err(ClientError::transport)?;
        self.writer.flush().await.map_err(ClientError::transport)
    }

    /// Closes our end, which tells the server to stop.
    ///
    /// # Errors
    /// The pipe broke.
    pub async fn close(&mut self) -> Result<(), ClientError> {
        self.writer.shutdown().await.map_err(ClientError::transport)
    }

    async fn write(&mut self, message: &Value) -> Result<(), ClientError> {
        self.raw(format!("{message}\n").as_bytes()).await
    }

    async fn read_one(&mut self) -> Result<Option<Value>, ClientError> {
        let mut line = Vec::new();
        let read_bytes = self.reader.read_until(b'\n', &mut line).await.map_err(ClientError::transport)?;
        if read_bytes == 0 {
            return Ok(None);
        }
        read(&String::from_utf8_lossy(&line)).map(Some)
    }
}
