use std::os::unix::fs::MetadataExt;

use super::*;
use crate::unix::Acceptor;

/// A folder that the socket can be in.
fn private() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().unwrap()
}

#[tokio::test]
async fn a_port_in_use_is_said_so() {
    let first = Listener::bind_tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = first.local_addr().unwrap();
    let fault = Listener::bind_tcp(addr).await.unwrap_err();
    assert!(matches!(fault, BindFault::InUse { .. }), "{fault:?}");
    assert!(fault.to_string().starts_with(&format!("{addr} is already in use\nhint: ")));
    let fault = Listener::bind_tcp("192.0.2.1:1".parse().unwrap()).await.unwrap_err();
    assert!(matches!(fault, BindFault::Foreign { .. }), "{fault:?}");
}

#[tokio::test]
async fn a_socket_is_private_and_its_file_goes_with_it() {
    let home = private();
    let path = home.path().join("run/mcp.sock");
    let socket = UnixSocket::bind(&path).unwrap();
    assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    drop(socket);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let home = private();
    let path = home.path().join("mcp.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let stale = std::fs::metadata(&path).unwrap().ino();
    let live = UnixSocket::bind(&path).unwrap();
    assert!(matches!(UnixSocket::bind(&path), Err(BindFault::InUse { .. })));
    assert!(path.exists(), "the failed attempt left the live socket alone: {stale}");
    std::fs::remove_file(&path).unwrap();
    let successor = UnixSocket::bind(&path).unwrap();
    drop(live);
    assert!(path.exists(), "only the own file is removed");
    drop(successor);
}

#[tokio::test]
async fn what_is_not_a_private_socket_is_refused() {
    let home = private();
    let file = home.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(matches!(UnixSocket::bind(&file), Err(BindFault::NotSocket { .. })));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");

    let open = home.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
    let fault = UnixSocket::bind(&open.join("mcp.sock")).unwrap_err();
    assert!(matches!(fault, BindFault::Exposed { .. }), "{fault:?}");

    let long = home.path().join("x".repeat(SOCKET_PATH_BYTES_MAX)).join("mcp.sock");
    let fault = UnixSocket::bind(&long).unwrap_err();
    assert!(matches!(fault, BindFault::PathTooLong { .. }), "{fault:?}");
    assert!(!long.parent().unwrap().exists(), "nothing was touched");
}

#[tokio::test]
async fn the_acceptor_knows_its_peer_and_its_limit() {
    let home = private();
    let path = home.path().join("mcp.sock");
    let acceptor = Acceptor::new(UnixSocket::bind(&path).unwrap(), 1);
    let _first = UnixStream::connect(&path).await.unwrap();
    let _second = UnixStream::connect(&path).await.unwrap();
    let arrival = acceptor.accept().await;
    let uid = rustix::process::geteuid().as_raw();
    let pid = i32::try_from(std::process::id()).ok();
    assert_eq!(arrival.peer, Peer::Unix { uid, pid });
    let moment = std::time::Duration::from_millis(20);
    tokio::time::timeout(moment, acceptor.accept()).await.expect_err("the second one waits");
    drop(arrival);
    assert_eq!(acceptor.accept().await.peer, Peer::Unix { uid, pid });
}
