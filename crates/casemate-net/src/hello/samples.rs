//! First messages of TLS, for tests: a real client's, and such as no honest client says.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::{CLIENT_HELLO, HOST_NAME, SERVER_NAME};

/// What a real client says first.
pub(crate) fn real(server: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let server = ServerName::try_from(server.to_owned()).expect("a server");
    let mut client = ClientConnection::new(Arc::new(config), server).expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("a vector takes everything");
    bytes
}

pub(crate) fn vector<const BYTES: usize>(content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    [&length[4 - BYTES..], content].concat()
}

/// The body of a message with these extensions.
pub(crate) fn body(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let extensions = extensions
        .iter()
        .map(|(kind, content)| [kind.to_be_bytes().as_slice(), vector::<2>(content).as_slice()].concat());
    let extensions = extensions.collect::<Vec<_>>().concat();
    let fields: [&[u8]; 5] =
        [&[3, 3], &[7; 32], &vector::<1>(&[]), &vector::<2>(&[0x13, 1]), &vector::<1>(&[0])];
    [fields.concat(), vector::<2>(&extensions)].concat()
}

pub(crate) fn server_name_of(name: &[u8]) -> (u16, Vec<u8>) {
    (SERVER_NAME, vector::<2>(&[&[HOST_NAME], vector::<2>(name).as_slice()].concat()))
}

/// A message in records that carry so many bytes each.
pub(crate) fn records(body: &[u8], fragment: usize) -> Vec<u8> {
    let message = [&[CLIENT_HELLO], vector::<3>(body).as_slice()].concat();
    let records = message.chunks(fragment).map(|part| [&[22, 3, 1], vector::<2>(part).as_slice()].concat());
    records.collect::<Vec<_>>().concat()
}

/// A first message that asks for that server, in one record.
pub(crate) fn named(name: &str) -> Vec<u8> {
    records(&body(&[server_name_of(name.as_bytes())]), 1 << 14)
}

/// One that asks for nobody.
pub(crate) fn nameless() -> Vec<u8> {
    records(&body(&[]), 1 << 14)
}

/// One that asks for that server, and for another one that cannot be seen.
pub(crate) fn encrypted(name: &str) -> Vec<u8> {
    records(&body(&[server_name_of(name.as_bytes()), (0xfe0d, vec![0, 0, 1, 0, 1, 7, 0, 0, 0, 0])]), 1 << 14)
}

/// The same message in records of so many bytes.
pub(crate) fn pieces(record: &[u8], fragment: usize) -> Vec<u8> {
    records(&record[5 + 4..], fragment)
}
