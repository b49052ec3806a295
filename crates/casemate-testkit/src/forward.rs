//! Puts a key on requests of clients that cannot send one; the conformance suite is such a client.
//!
//! `Host` and `Origin` pass as they came, so that the checks behind see what the client sent. Bodies stream
//! through in both directions, and a client that leaves takes its request along.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONNECTION, HeaderValue, TRANSFER_ENCODING};
use http::{Request, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::listen::{self, Response};

/// A forwarder that runs until its guard is dropped.
#[derive(Debug)]
pub struct Forwarder {
    target: Uri,
    bearer: HeaderValue,
    http: Client<HttpConnector, Incoming>,
}

impl Forwarder {
    /// Sends everything to this URL, whatever path the client used, with this key.
    ///
    /// # Errors
    /// The URL or the key cannot be written into a request.
    pub fn new(to: &str, key: &str) -> io::Result<Forwarder> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
        let target: Uri = to.parse().map_err(|_| invalid("this is no URL"))?;
        if target.scheme_str() != Some("http") || target.authority().is_none() {
            return Err(invalid("the URL must begin with http://HOST"));
        }
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", key.trim()))
            .map_err(|_| invalid("the key has characters that no header can carry"))?;
        bearer.set_sensitive(true);
        Ok(Forwarder { target, bearer, http: Client::builder(TokioExecutor::new()).build_http() })
    }

    /// Listens at the address until the guard is dropped.
    ///
    /// # Errors
    /// The address could not be bound.
    pub async fn listen(self, address: impl ToSocketAddrs) -> io::Result<(SocketAddr, DropGuard)> {
        let socket = TcpListener::bind(address).await?;
        let address = socket.local_addr()?;
        let (stop, tasks, forwarder) = (CancellationToken::new(), TaskTracker::new(), Arc::new(self));
        let handle = move |request| Arc::clone(&forwarder).forward(request);
        tasks.spawn(listen::serve(socket, stop.clone(), tasks.clone(), handle));
        Ok((address, stop.drop_guard()))
    }

    async fn forward(self: Arc<Self>, mut request: Request<Incoming>) -> Response {
        *request.uri_mut() = self.target.clone();
        let headers = request.headers_mut();
        headers.remove(CONNECTION);
        headers.insert(AUTHORIZATION, self.bearer.clone());
        match self.http.request(request).await {
            Ok(response) => {
                let (mut head, body) = response.into_parts();
                head.headers.remove(CONNECTION);
                head.headers.remove(TRANSFER_ENCODING);
                Response::from_parts(head, body.map_err(listen::BodyFault::from).boxed())
            }
            Err(_) => listen::empty(502),
        }
    }
}
