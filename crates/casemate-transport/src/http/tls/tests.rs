use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

use super::*;
use crate::http::probe::Anyone;

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A certificate and its key in a folder; the certificate itself, to be known again.
fn made(folder: &Path) -> (TlsFiles, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificate: folder.join("cert.pem"), key: folder.join("key.pem"), clients: None };
    write(&files.certificate, &pem("CERTIFICATE", made.cert.der()), 0o644);
    write(&files.key, &pem("PRIVATE KEY", &made.signing_key.serialize_der()), 0o600);
    (files, made.cert.der().to_vec())
}

/// Shakes hands; the certificate that the server showed.
async fn shaken(tls: &Arc<Tls>, alpn: &[&[u8]]) -> Result<Vec<u8>, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accept = async { tls.accept(listener.accept().await.unwrap().0).await.map(drop) };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let connect = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    let (accepted, client) = tokio::join!(accept, connect);
    accepted?;
    let client = client.map_err(|error| error.to_string())?;
    let (_, connection) = client.get_ref();
    assert_eq!(connection.alpn_protocol(), (!alpn.is_empty()).then_some(&b"http/1.1"[..]));
    Ok(connection.peer_certificates().unwrap()[0].to_vec())
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_new_connections_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (files, first) = made(folder.path());
    let tls = Tls::open(files.clone()).unwrap();
    assert!(tls.validity().unwrap().covers(1_800_000_000));
    assert_eq!(shaken(&tls, &[]).await.unwrap(), first);
    assert_eq!(tls.reload().unwrap(), Reloaded::Same);
    let (_, second) = made(folder.path());
    assert_eq!(tls.reload().unwrap(), Reloaded::Changed);
    assert_eq!(shaken(&tls, &[b"http/1.1"]).await.unwrap(), second);
    write(&files.certificate, "nonsense", 0o644);
    assert!(matches!(tls.reload(), Err(TlsFault::Pem { .. })));
    assert_eq!(shaken(&tls, &[]).await.unwrap(), second, "what was in force stays so");
    let other = tempfile::tempdir().unwrap();
    let (others, _) = made(other.path());
    std::fs::copy(&others.certificate, &files.certificate).unwrap();
    assert!(matches!(tls.reload(), Err(TlsFault::Pair { .. })), "the key belongs to another certificate");
}

#[tokio::test]
async fn who_speaks_another_protocol_gets_none() {
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::open(made(folder.path()).0).unwrap();
    let refused = shaken(&tls, &[b"h2"]).await.unwrap_err();
    assert!(refused.contains("known protocol"), "{refused}");
    shaken(&tls, &[b"h2", b"http/1.1"]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_come_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::open(made(folder.path()).0).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    assert_eq!(tls.accept(stream).await.map(drop), Err("it took too long".to_owned()));
}

#[test]
fn files_that_others_can_get_at_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (files, _) = made(folder.path());
    let fault = |files: &TlsFiles| Tls::open(files.clone()).unwrap_err().to_string();
    for mode in [0o640, 0o604, 0o660, 0o601] {
        std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(fault(&files).contains("hint: chmod 600"), "{mode:o}");
    }
    std::fs::set_permissions(&files.key, std::fs::Permissions::from_mode(0o400)).unwrap();
    Tls::open(files.clone()).unwrap();
    std::fs::set_permissions(&files.certificate, std::fs::Permissions::from_mode(0o664)).unwrap();
    assert!(fault(&files).contains("hint: chmod go-w"), "whoever writes it decides who we are");
    std::fs::set_permissions(&files.certificate, std::fs::Permissions::from_mode(0o644)).unwrap();
    let at = |name: &str| TlsFiles { key: folder.path().join(name), ..files.clone() };
    std::os::unix::fs::symlink(&files.key, folder.path().join("link.pem")).unwrap();
    Tls::open(at("link.pem")).unwrap();
    let exposed = folder.path().join("exposed.pem");
    std::fs::copy(&files.key, &exposed).unwrap();
    std::fs::set_permissions(&exposed, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink(&exposed, folder.path().join("to-exposed.pem")).unwrap();
    assert!(fault(&at("to-exposed.pem")).contains("0644"), "a link does not hide what it leads to");
    assert!(fault(&at("missing.pem")).contains("cannot read"));
    assert!(fault(&at("")).contains("not a plain file"));
    let socket = folder.path().join("socket");
    rustix::fs::mknodat(rustix::fs::CWD, &socket, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(fault(&at("socket")).contains("not a plain file"), "and nobody waits for its writer");
}
