//! Makes connections: TCP, TLS over TCP, or a Unix socket.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OnceCell;
use tower_service::Service;

use super::ClientOptions;
use super::fault::ClientFault;
use super::link::Link;

/// How long one address family is tried before the other one is, too (RFC 8305 recommends 250 ms).
const OTHER_FAMILY: Duration = Duration::from_millis(250);

/// Where a server is.
#[derive(Debug)]
pub(super) enum Route {
    /// `http://…` or `https://…`.
    Net(Uri),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Makes connections and keeps what they share.
#[derive(Debug)]
pub(super) struct Connector {
    plain: HttpConnector,
    /// Made with the first `https` connection: reading the system's certificates takes longer than all else that
    /// happens at a start.
    secure: OnceCell<HttpsConnector<HttpConnector>>,
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl Connector {
    pub(super) fn new() -> Self {
        let mut plain = HttpConnector::new();
        plain.enforce_http(false);
        plain.set_nodelay(true);
        plain.set_happy_eyeballs_timeout(Some(OTHER_FAMILY));
        Self { plain, secure: OnceCell::new() }
    }

    /// A new connection, ready for a request.
    pub(super) async fn connect(
        &self,
        route: &Route,
        options: &ClientOptions,
    ) -> Result<Box<Link>, ClientFault> {
        Link::new(self.open(route, options).await?, options).await
    }

    /// A new connection on which nothing was said.
    pub(super) async fn open(&self, route: &Route, options: &ClientOptions) -> Result<Wire, ClientFault> {
        tokio::time::timeout(options.connect_time_max, self.wire(route))
            .await
            .map_err(|_| ClientFault::ConnectTime)?
            .map_err(|source| ClientFault::Connect { source })
    }

    async fn wire(&self, route: &Route) -> Result<Wire, BoxError> {
        match route {
            Route::Unix(path) => Ok(Wire::Unix(TokioIo::new(UnixStream::connect(path).await?))),
            Route::Net(uri) if uri.scheme() == Some(&Scheme::HTTPS) => {
                let mut connector = self.secure.get_or_try_init(|| secure(self.plain.clone())).await?.clone();
                poll_fn(|cx| connector.poll_ready(cx)).await?;
                Ok(Wire::Tls(Box::new(connector.call(uri.clone()).await?)))
            }
            Route::Net(uri) => {
                let mut connector = self.plain.clone();
                poll_fn(|cx| connector.poll_ready(cx)).await?;
                Ok(Wire::Tcp(connector.call(uri.clone()).await?))
            }
        }
    }
}

/// Loads the system's roots, away from the threads that serve calls.
async fn secure(plain: HttpConnector) -> Result<HttpsConnector<HttpConnector>, BoxError> {
    let build = move || {
        let builder = HttpsConnectorBuilder::new().with_native_roots()?;
        io::Result::Ok(builder.https_or_http().enable_http1().wrap_connector(plain))
    };
    Ok(tokio::task::spawn_blocking(build).await??)
}

/// A connected stream.
pub(super) enum Wire {
    Tcp(TokioIo<TcpStream>),
    /// Boxed, since the state of TLS is many times larger.
    Tls(Box<MaybeHttpsStream<TokioIo<TcpStream>>>),
    Unix(TokioIo<UnixStream>),
}

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Unix(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }
}
