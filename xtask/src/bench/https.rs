//! A server and a client that speak HTTPS, one connection for each request, as most programs do that call a service now
//! and then. The client measures, since it may run in a cell.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::statistics::Rounds;
use crate::clock::Moment;
use crate::console::say;

/// The files of an identity in its folder.
pub(super) const CERTIFICATE: &str = "certificate.pem";
pub(super) const KEY: &str = "key.pem";

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";

/// Serves on a free port of the loopback address, which it prints, until it is killed.
pub(crate) fn serve(identity: &Path) -> Result<()> {
    let key = PrivateKeyDer::from_pem_file(identity.join(KEY))?;
    let chain = vec![certificate(identity)?];
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    say(listener.local_addr()?);
    for stream in listener.incoming() {
        // A client that goes away is the end of its connection and nothing else.
        let _ = answer(stream?, &config);
    }
    Ok(())
}

/// Asks so many times and prints the median of the times, in microseconds.
pub(crate) fn ask(identity: &Path, port: u16, times: usize) -> Result<()> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(identity)?)?;
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    // Each has the whole handshake, as it would be with a program that is started for it.
    config.resumption = Resumption::disabled();
    let config = Arc::new(config);
    let mut taken = Rounds::default();
    for _ in 0..times {
        let started = Moment::now();
        request(&config, port)?;
        taken.push(started.elapsed().as_secs_f64() * 1e6);
    }
    say(taken.median());
    Ok(())
}

fn request(config: &Arc<ClientConfig>, port: u16) -> Result<()> {
    let stream = TcpStream::connect(("localhost", port)).context("cannot connect")?;
    stream.set_nodelay(true)?;
    let connection = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(REQUEST)?;
    let mut answered = Vec::with_capacity(ANSWER.len());
    stream.read_to_end(&mut answered)?;
    ensure!(answered == ANSWER, "something else was answered");
    Ok(())
}

fn answer(stream: TcpStream, config: &Arc<ServerConfig>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config))?, stream);
    let mut request = [0; REQUEST.len()];
    stream.read_exact(&mut request)?;
    stream.write_all(ANSWER)?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(())
}

fn certificate(identity: &Path) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_file(identity.join(CERTIFICATE)).context("no certificate can be read")
}
