use http::Request;

use super::*;
use crate::http::forwarded::Proxies;
use crate::http::rules::HostRule;

/// A header's name and value.
type Pair<'a> = (&'a str, &'a [u8]);

const LOCAL: Peer =
    Peer::Tcp(std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 50_000));
const SOCKET: Peer = Peer::Unix { uid: 1000, pid: Some(1) };

fn check(target: &str, headers: &[Pair<'_>], peer: Peer) -> Result<Head, RejectReason> {
    let mut request = Request::post(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    Head::check(parts, &Link::plain(peer), &Shell::default()).map_err(|reject| {
        assert_eq!(reject.peer, peer);
        reject.reason
    })
}

fn head(headers: &[Pair<'_>]) -> Head {
    check("/mcp?a=b", headers, SOCKET).unwrap()
}

#[test]
fn ambiguous_and_foreign_heads_are_refused() {
    const HOST_OK: Pair<'_> = ("Host", b"localhost:7332");
    let duplicate = |name| RejectReason::Duplicate(HeaderName::from_static(name));
    let table: &[(&[Pair<'_>], RejectReason, u16)] = &[
        (&[], RejectReason::HostMissing, 400),
        (&[("Host", b"local host")], RejectReason::HostMalformed, 400),
        (&[("Host", b"evil.example")], RejectReason::HostUnknown, 403),
        (&[("Host", b"127.0.0.1.evil")], RejectReason::HostUnknown, 403),
        (&[HOST_OK, HOST_OK], duplicate("host"), 400),
        (&[HOST_OK, ("Origin", b"http://evil.example")], RejectReason::OriginRefused, 403),
        (&[HOST_OK, ("Origin", b"null")], RejectReason::OriginRefused, 403),
        (&[HOST_OK, ("Origin", b"")], RejectReason::OriginRefused, 403),
        (&[HOST_OK, ("origin", b"http://localhost"), ("Origin", b"http://evil")], duplicate("origin"), 400),
        (
            &[HOST_OK, ("Authorization", b"Bearer a"), ("AUTHORIZATION", b"Bearer b")],
            duplicate("authorization"),
            400,
        ),
        (&[HOST_OK, ("Mcp-Method", b"a"), ("Mcp-Method", b"a")], duplicate("mcp-method"), 400),
        (&[HOST_OK, ("Mcp-Param-City", b"a"), ("mcp-param-city", b"b")], duplicate("mcp-param-city"), 400),
        (&[HOST_OK, ("Last-Event-ID", b"1"), ("Last-Event-ID", b"2")], duplicate("last-event-id"), 400),
        (
            &[HOST_OK, ("Mcp-Name", "wörld".as_bytes())],
            RejectReason::Unreadable(HeaderName::from_static("mcp-name")),
            400,
        ),
    ];
    for (headers, reason, status) in table {
        assert_eq!(check("/mcp", headers, LOCAL).unwrap_err(), *reason, "{headers:?}");
        assert_eq!(reason.status().as_u16(), *status, "{reason}");
    }
    for target in ["http://localhost/mcp", "localhost:80", "*"] {
        assert_eq!(check(target, &[HOST_OK], LOCAL).unwrap_err(), RejectReason::Target, "{target}");
    }
    let plain = [HOST_OK, ("Accept", b"a/b".as_slice()), ("Accept", b"c/d"), ("X", "ö".as_bytes())];
    check("/mcp", &plain, LOCAL).expect("headers that nothing hangs on may repeat");
    check("/mcp", &[HOST_OK, ("Origin", b"http://127.0.0.1:6274")], LOCAL).expect("a local page");
}

#[test]
fn a_unix_socket_has_no_host_and_no_pages() {
    check("/mcp", &[], SOCKET).unwrap();
    check("/mcp", &[("Host", b"anything at all")], SOCKET).unwrap();
    let fault = check("/mcp", &[("Origin", b"http://localhost")], SOCKET).unwrap_err();
    assert_eq!(fault, RejectReason::OriginRefused);
}

#[test]
fn the_accessors_read_what_was_sent() {
    let head = head(&[
        ("Authorization", b"bearer  cm_secret "),
        ("MCP-Protocol-Version", b"2026-07-28"),
        ("Mcp-Method", b"tools/call"),
        ("Mcp-Name", b"=?base64?SGVsbG8=?="),
        ("Mcp-Session-Id", b"abc"),
        ("Last-Event-ID", b"1-2"),
        ("Mcp-Param-Region", b"eu"),
        ("Mcp-Param-City", b"=?base64?w7Y=?="),
    ]);
    assert_eq!((head.path(), head.query()), ("/mcp", Some("a=b")));
    assert_eq!(head.bearer(), Some("cm_secret"));
    assert_eq!(head.protocol_version(), Some("2026-07-28"));
    assert_eq!(head.mcp_method(), Some("tools/call"));
    assert_eq!(head.mcp_name().unwrap().unwrap(), "Hello");
    assert_eq!(head.session_id(), Some("abc"));
    assert_eq!(head.last_event_id(), Some("1-2"));
    let mut params: Vec<_> = head.mcp_params().collect();
    params.sort_unstable();
    assert_eq!(params, [("city", "=?base64?w7Y=?="), ("region", "eu")]);
}

#[test]
fn a_credential_is_bearer_or_nothing() {
    let table: [(&[u8], Option<&str>); 6] = [
        (b"Bearer x", Some("x")),
        (b"BEARER x", Some("x")),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Basic eDp5", None),
        (b"Bearerx y", None),
    ];
    for (value, bearer) in table {
        assert_eq!(head(&[("Authorization", value)]).bearer(), bearer);
    }
    assert_eq!(head(&[]).bearer(), None);
}

#[test]
fn accept_and_content_type_are_understood() {
    let table: [(&[u8], bool, bool); 9] = [
        (b"application/json, text/event-stream", true, true),
        (b"application/json", true, false),
        (b"text/event-stream;q=0.5", false, true),
        (b"*/*", true, true),
        (b"text/*", false, true),
        (b"Application/JSON;charset=utf-8", true, false),
        (b"application/json;q=0, */*;q=0.0", false, false),
        (b"text/html", false, false),
        (b"application/json-patch", false, false),
    ];
    for (value, json, events) in table {
        let head = head(&[("Accept", value)]);
        assert_eq!((head.accepts_json(), head.accepts_events()), (json, events), "{value:?}");
    }
    let twice = head(&[("Accept", b"application/json"), ("Accept", b"text/event-stream")]);
    assert!(twice.accepts_json() && twice.accepts_events());
    assert!(head(&[]).accepts_json() && head(&[]).accepts_events());

    for (value, json) in [
        (b"application/json".as_slice(), true),
        (b"application/JSON ; charset=utf-8", true),
        (b"application/jsonl", false),
        (b"text/plain", false),
    ] {
        assert_eq!(head(&[("Content-Type", value)]).content_type_is_json(), json, "{value:?}");
    }
    assert!(!head(&[]).content_type_is_json());
}

/// A shell behind a proxy at 10.0.0.1, reached at https://public.example.
fn behind_proxy() -> Shell {
    Shell {
        hosts: HostRule::default().and_exactly("public.example").unwrap(),
        proxies: Proxies::new(vec!["10.0.0.1".parse().unwrap()]),
        plaintext: Plaintext::Refused,
        ..Shell::default()
    }
}

fn arrive(shell: &Shell, from: &str, headers: &[(&str, &str)]) -> Result<Head, Reject> {
    let mut request = Request::post("/mcp").header("Host", "public.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    Head::check(parts, &Link::plain(Peer::Tcp(from.parse().unwrap())), shell)
}

#[test]
fn a_trusted_proxy_speaks_for_its_client() {
    let told = [("X-Forwarded-For", "127.0.0.1, 192.0.2.7"), ("X-Forwarded-Proto", "https")];
    let head = arrive(&behind_proxy(), "10.0.0.1:5", &told).unwrap();
    assert_eq!(head.peer.address(), Some("192.0.2.7".parse().unwrap()));
    assert_eq!((head.peer.to_string().as_str(), head.channel), ("192.0.2.7", Channel::ProxyTls));
    let health = arrive(&behind_proxy(), "10.0.0.1:5", &[]).unwrap();
    assert_eq!((health.peer.to_string().as_str(), health.channel), ("10.0.0.1:5", Channel::Plain));
}

#[test]
fn whoever_goes_around_the_proxy_is_refused_and_seen_as_they_are() {
    let told = [("X-Forwarded-For", "127.0.0.1"), ("X-Forwarded-Proto", "https")];
    let reject = arrive(&behind_proxy(), "10.0.0.2:5", &told).unwrap_err();
    assert_eq!(reject.reason, RejectReason::Plaintext);
    assert_eq!(reject.peer.to_string(), "10.0.0.2:5");
    let local = arrive(&behind_proxy(), "127.0.0.1:5", &told).unwrap();
    assert_eq!((local.peer.to_string().as_str(), local.channel), ("127.0.0.1:5", Channel::Plain));
    let open = Shell { plaintext: Plaintext::Answered, ..behind_proxy() };
    assert_eq!(arrive(&open, "10.0.0.2:5", &told).unwrap().peer.to_string(), "10.0.0.2:5");
}

#[test]
fn a_client_that_spoke_plaintext_to_the_proxy_is_refused() {
    for proto in [&[("X-Forwarded-Proto", "http")][..], &[("X-Forwarded-Proto", "http, https")], &[]] {
        let mut told = vec![("X-Forwarded-For", "192.0.2.7")];
        told.extend(proto);
        let reject = arrive(&behind_proxy(), "10.0.0.1:5", &told).unwrap_err();
        assert_eq!(reject.reason, RejectReason::Plaintext, "{proto:?}");
        assert_eq!(reject.peer.to_string(), "192.0.2.7");
    }
    let reject = arrive(&behind_proxy(), "10.0.0.1:5", &[("X-Forwarded-For", "unknown")]).unwrap_err();
    assert_eq!(reject.reason, RejectReason::Forwarded);
}
