//! What strangers send: nothing of it gets in, all of it is on record, and no answer tells of the inside.
//!
//! Every request here carries a good key and a good body, except where the credential is what is wrong with it: without
//! the rule that it breaks, it would be answered.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use casemate_transport::http::shell::Plaintext;
use casemate_transport::http::{HostRule, Origin, Proxies, Shell};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::harness::{Harness, stdio_entry};
use crate::edge::http::routes::{Access, ROUTES};

const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
const PROXY: &str = "127.0.0.2";

/// What is wrong with a request.
enum Bad {
    /// These `Host` headers.
    Host(Vec<Vec<u8>>),
    /// These lines besides the good ones.
    With(Vec<Vec<u8>>),
    /// These instead of the good key.
    Credential(Vec<Vec<u8>>),
    /// This method and target.
    Line(String),
    /// These `Content-Length` and `Transfer-Encoding` headers.
    Framing(Vec<Vec<u8>>),
    /// All of it.
    Raw(Vec<u8>),
    /// These lines, sent by the trusted proxy.
    Behind(Vec<Vec<u8>>),
}

fn lines(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

impl Bad {
    fn request(&self) -> Vec<u8> {
        let mut line = "POST /mcp".to_owned();
        let mut host = lines(&["Host: localhost"]);
        let mut credential = lines(&["Authorization: Bearer owner"]);
        let mut framing = vec![format!("Content-Length: {}", BODY.len()).into_bytes()];
        let mut further = Vec::new();
        match self {
            Bad::Raw(bytes) => return bytes.clone(),
            Bad::Host(hosts) => {
                let named = |host: &Vec<u8>| [b"Host: ".as_slice(), host].concat();
                host = hosts.iter().map(named).collect();
            }
            Bad::With(lines) | Bad::Behind(lines) => further = lines.clone(),
            Bad::Credential(lines) => credential = lines.clone(),
            Bad::Line(other) => line = other.clone(),
            Bad::Framing(lines) => framing = lines.clone(),
        }
        let head = lines(&[
            &format!("{line} HTTP/1.1"),
            "Connection: close",
            "Content-Type: application/json",
            "Accept: application/json, text/event-stream",
        ]);
        let all = [head, host, credential, framing, further, vec![Vec::new()]].concat();
        let mut bytes = all.join(&b"\r\n"[..]);
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(BODY.as_bytes());
        bytes
    }

    fn from(&self) -> IpAddr {
        if matches!(self, Bad::Behind(_)) { PROXY.parse().unwrap() } else { [127, 0, 0, 1].into() }
    }
}

/// Sends bytes from an address and reads whatever comes back until the end.
async fn send(address: SocketAddr, from: IpAddr, bytes: &[u8]) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    // A server that refuses early closes while we still write.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    // An answer can end with a reset when what we wrote was not read.
    let _ = read.expect("an answer");
    String::from_utf8(answer).unwrap()
}

fn shell() -> Shell {
    let app = Origin::parse("https://app.example").unwrap();
    Shell {
        hosts: HostRule::default()
            .and_exactly("public.example")
            .unwrap()
            .and_exactly("public.example:443")
            .unwrap(),
        origins: Origin::local().into_iter().chain([app.clone()]).collect(),
        pages: vec![app],
        proxies: Proxies::new(vec![PROXY.parse().unwrap()]),
        plaintext: Plaintext::Refused,
        ..Shell::default()
    }
}

fn hosts() -> Vec<(Bad, &'static str)> {
    let unknown = [
        "127.0.0.1.evil",
        "127.0.0.1.evil:7332",
        "localhost.evil",
        "evil.localhost",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.2",
        "0.0.0.0",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::2]",
        "public.example.evil",
        "evil.public.example",
        "public.example:80",
        "public.example:7332",
        "publicexample",
        "xn--pblic-kva.example",
        "169.254.169.254",
        "metadata.google.internal",
    ];
    let malformed = [
        "",
        ":80",
        "localhost.",
        "localhost.:80",
        ".localhost",
        "localhost:",
        "localhost:+80",
        "localhost:65536",
        "localhost:80:80",
        "localhost:8 0",
        "user@localhost",
        "user:pw@localhost:80",
        "localhost@evil",
        "localhost/evil",
        "localhost#evil",
        "localhost?evil",
        "localhost,evil",
        "localhost evil",
        "::1",
        "[::1",
        "[::1]x",
        "[::1%25lo]",
        "[127.0.0.1]",
        "public.example.",
        "http://localhost",
        "local\thost",
        "*",
    ];
    let one = |host: &str| Bad::Host(lines(&[host]));
    let mut table: Vec<_> = unknown.iter().map(|host| (one(host), "CM1001 unknown host")).collect();
    table.extend(malformed.iter().map(|host| (one(host), "CM1002 malformed host")));
    table.push((one(&"a".repeat(8_000)), "CM1001 unknown host"));
    table.push((Bad::Host(vec![]), "CM1002 no host"));
    table.push((Bad::Host(lines(&["localhost", "localhost"])), "CM1002 doubled header"));
    table.push((Bad::Host(lines(&["localhost", "evil.example"])), "CM1002 doubled header"));
    table.push((Bad::Host(vec!["löcalhost".into()]), "CM1002 unreadable header"));
    table.push((Bad::Host(vec![b"local\xffhost".to_vec()]), "CM1002 unreadable header"));
    table.push((Bad::Host(vec![b"local\0host".to_vec()]), "CM1002 malformed"));
    table.push((one(&"a".repeat(40_000)), "CM1002 malformed"));
    table
}

fn pages() -> Vec<(Bad, &'static str)> {
    let foreign = [
        "null",
        "*",
        "",
        "http://evil.example",
        "HTTP://EVIL",
        "http://localhost.evil",
        "http://127.0.0.1.evil:80",
        "https://localhost",
        "http://localhost@evil",
        "http://user@localhost",
        "http://localhost/",
        "http://localhost.",
        "http://localhost http://evil",
        "http://localhost,http://evil",
        "file://",
        "http://[::1",
        "http://127.1",
        "https://app.example.evil",
        "https://app.example:444",
        "http://app.example",
        "https://xapp.example",
        "https://public.example",
    ];
    let with = |name: &str, value: &str| Bad::With(lines(&[&format!("{name}: {value}")]));
    let mut table: Vec<_> =
        foreign.iter().map(|origin| (with("Origin", origin), "CM1001 foreign origin")).collect();
    table.push((with("Origin", &format!("http://{}", "a".repeat(8_000))), "CM1001 foreign origin"));
    table.push((
        Bad::With(lines(&["Origin: http://localhost", "Origin: http://localhost"])),
        "CM1002 doubled header",
    ));
    table.push((
        Bad::With(lines(&["Origin: http://localhost", "origin: http://evil"])),
        "CM1002 doubled header",
    ));
    table.push((Bad::With(vec![b"Origin: http://\xe9".to_vec()]), "CM1002 unreadable header"));
    for site in ["cross-site", "same-site", "CROSS-SITE", "x"] {
        table.push((with("Sec-Fetch-Site", site), "CM1001 cross-site"));
    }
    let twice = lines(&["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"]);
    table.push((Bad::With(twice), "CM1002 doubled header"));
    table
}

fn credentials() -> Vec<(Bad, &'static str)> {
    let mut table = Vec::new();
    for none in [
        &[][..],
        &["Authorization: Basic b3duZXI6b3duZXI="],
        &["Authorization: Bearer"],
        &["Authorization: Bearer "],
        &["Authorization: owner"],
        &["Authorization: Bearerowner"],
        &["Authorization:"],
        &["Cookie: key=owner; session=owner"],
        &["Proxy-Authorization: Bearer owner"],
        &["X-Api-Key: owner"],
        &["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1"],
        &["X-Forwarded-User: owner", "Remote-User: owner", "X-Client-Cert: owner"],
    ] {
        table.push((Bad::Credential(lines(none)), "CM1101"));
    }
    for wrong in
        ["wrong", "OWNER", "owner,owner", "owner owner", "\"owner\"", "owner\\n", "Bearer owner", "reader2"]
    {
        table.push((Bad::Credential(lines(&[&format!("Authorization: Bearer {wrong}")])), "CM1102"));
    }
    table.push((
        Bad::Credential(lines(&[&format!("Authorization: Bearer {}", "a".repeat(20_000))])),
        "CM1102",
    ));
    let twice = ["Authorization: Bearer owner", "Authorization: Bearer owner"];
    table.push((Bad::Credential(lines(&twice)), "CM1002 doubled header"));
    let two = ["Authorization: Bearer wrong", "authorization: Bearer owner"];
    table.push((Bad::Credential(lines(&two)), "CM1002 doubled header"));
    table.push((
        Bad::Credential(vec![b"Authorization: Bearer \xf6wner".to_vec()]),
        "CM1002 unreadable header",
    ));
    table
}

fn shapes() -> Vec<(Bad, &'static str)> {
    let mut table = Vec::new();
    for line in
        ["POST http://localhost/mcp", "POST http://evil.example/mcp", "CONNECT localhost:80", "OPTIONS *"]
    {
        table.push((Bad::Line(line.into()), "CM1002 target"));
    }
    for path in [
        "//mcp",
        "//evil/mcp",
        "/MCP",
        "/%6dcp",
        "/mcp/",
        "/mcp;a",
        "/./mcp",
        "/servers/../mcp",
        "/servers//mcp",
        "/",
        "/admin",
    ] {
        table.push((Bad::Line(format!("POST {path}")), "CM1003"));
    }
    for method in ["PUT", "PATCH", "TRACE", "OPTIONS", "HEAD", "PROPFIND", "post"] {
        table.push((Bad::Line(format!("{method} /mcp")), "CM1004"));
    }
    for framing in [
        &["Content-Length: 5", "Content-Length: 6"][..],
        &["Content-Length: 5, 6"],
        &["Content-Length: -1"],
        &["Content-Length: +5"],
        &["Content-Length: 0x5"],
        &["Content-Length: 99999999999999999999"],
        &["Transfer-Encoding: identity"],
        &["Transfer-Encoding: xchunked"],
        &["Transfer-Encoding: chunked, identity"],
        &["Content-Length: 5", "X-A: b", " folded: c"],
        &["Content-Length : 5"],
        &["Content-Length: 5", "Bad Name: x"],
        &["Content-Length: 5", "X-A: b\0c"],
    ] {
        table.push((Bad::Framing(lines(framing)), "CM1002 malformed"));
    }
    for raw in [
        b"GARBAGE\r\n\r\n".as_slice(),
        b"POST /mcp HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"POST  /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        table.push((Bad::Raw(raw.to_vec()), "CM1002 malformed"));
    }
    let sized = lines(&[&format!("Content-Length: {}", BODY.len()), "Content-Type: text/plain"]);
    table.push((Bad::Framing(sized), "CM1002 doubled header"));
    for list in ["unknown", "127.0.0.1:", "", "a.example", "[::1"] {
        table.push((Bad::Behind(lines(&[&format!("X-Forwarded-For: {list}")])), "CM1002 unclear forwarding"));
    }
    let differing = lines(&["X-Forwarded-For: 192.0.2.1", "Forwarded: for=127.0.0.1;proto=https"]);
    table.push((Bad::Behind(differing), "CM1002 unclear forwarding"));
    for proto in ["http", "https, http", "ws"] {
        let told = lines(&["X-Forwarded-For: 192.0.2.1", &format!("X-Forwarded-Proto: {proto}")]);
        table.push((Bad::Behind(told), "CM1006 plaintext"));
    }
    table
}

/// What an answer must not hold: names of ours, of our parts and of what was sent.
const INSIDE: [&str; 12] = [
    "panicked", ".rs", "/srv", "/root", "/home", "hyper", "rustls", "tokio", "evil", "snapshot", "one__",
    "owner",
];

fn check_refusal(answer: &str, request: &str) {
    let status: u16 =
        answer.get(9..12).unwrap_or_default().parse().unwrap_or_else(|_| panic!("{request}: {answer}"));
    assert!((400..=431).contains(&status), "{request}: {answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    for line in [
        "x-content-type-options: nosniff",
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "x-frame-options: deny",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
        "content-security-policy: default-src 'none'; ",
        "permissions-policy: ",
        "x-request-id: ",
    ] {
        assert!(head.contains(line), "{line} is missing: {request}: {answer}");
    }
    for absent in ["access-control-allow-origin", "server:", "strict-transport-security", "set-cookie"] {
        assert!(!head.contains(absent), "{absent}: {request}: {answer}");
    }
    let inside = INSIDE.iter().find(|word| body.contains(**word));
    assert_eq!(inside, None, "{request}: {answer}");
    let id = head.split("x-request-id: ").nth(1).unwrap().split("\r\n").next().unwrap();
    assert!(body.is_empty() || body.contains(id), "{request}: the same id in both: {answer}");
}

/// The reasons of all records of refusals, and how often each.
fn reasons(harness: &Harness) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for line in harness.records.lines.borrow().iter() {
        let Some(rest) = line.strip_prefix("turned away ") else { panic!("{line}") };
        let (_, listed) = rest.splitn(3, ' ').nth(2).map(|listed| ((), listed)).unwrap();
        for reason in listed.split(", ") {
            let (reason, count) = reason.rsplit_once(": ").unwrap();
            *all.entry(reason.to_owned()).or_default() += count.parse::<u64>().unwrap();
        }
    }
    all
}

#[tokio::test]
async fn nothing_that_strangers_send_gets_in_and_all_of_it_is_on_record() {
    let harness = Harness::with_shell(vec![stdio_entry("one", "legacy")], shell()).await;
    let good = send(harness.address, [127, 0, 0, 1].into(), &Bad::With(vec![]).request()).await;
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
    let known = lines(&["X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"]);
    let good = send(harness.address, PROXY.parse().unwrap(), &Bad::Behind(known).request()).await;
    assert!(
        good.starts_with("HTTP/1.1 200") && good.contains("strict-transport-security: max-age=63072000"),
        "{good}"
    );
    harness.gate.settle();
    harness.records.lines.send_modify(Vec::clear);

    let table: Vec<(Bad, &str)> = [hosts(), pages(), credentials(), shapes()].into_iter().flatten().collect();
    assert!(table.len() >= 150, "{}", table.len());
    let mut expected = BTreeMap::new();
    for (bad, reason) in &table {
        let bytes = bad.request();
        let request: String = String::from_utf8_lossy(&bytes).chars().take(300).collect();
        let answer = send(harness.address, bad.from(), &bytes).await;
        if !bytes.starts_with(b"PRI") && !bytes.starts_with(b"HEAD") {
            check_refusal(&answer, &format!("{reason}: {request}"));
        }
        *expected.entry((*reason).to_owned()).or_insert(0) += 1;
    }
    harness.gate.settle();
    assert_eq!(reasons(&harness), expected);
}

#[tokio::test]
async fn a_refusal_is_recorded_under_the_address_that_it_came_from() {
    let harness = Harness::with_shell(vec![], shell()).await;
    let behind = |lines: Vec<Vec<u8>>| {
        let text = String::from_utf8(Bad::Behind(lines).request()).unwrap();
        text.replace("Authorization: Bearer owner", "X-A: b").into_bytes()
    };
    let forged = behind(lines(&["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https"]));
    send(harness.address, [127, 0, 0, 1].into(), &forged).await;
    send(harness.address, PROXY.parse().unwrap(), &forged).await;
    harness.gate.settle();
    let mut written = harness.records.lines.borrow().clone();
    written.sort();
    assert_eq!(written, ["turned away 127.0.0.1 1 CM1101: 1", "turned away 203.0.113.9 1 CM1101: 1"]);
}

#[tokio::test]
async fn a_request_behind_another_one_is_judged_by_itself_or_not_at_all() {
    let harness = Harness::with_shell(vec![], shell()).await;
    let smuggled =
        "POST /mcp HTTP/1.1\r\nConnection: close\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    let ask = async |framing: &[&str]| {
        let text = String::from_utf8(Bad::Framing(lines(framing)).request()).unwrap();
        let text = text.replace("Connection: close\r\n", "");
        let chunked = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n{smuggled}", BODY.len());
        send(harness.address, [127, 0, 0, 1].into(), text.replace(BODY, &chunked).as_bytes()).await
    };
    let answer = ask(&["Transfer-Encoding: chunked"]).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("HTTP/1.1 400"), "it has no type, and no credential to inherit: {answer}");
    // What two readers could cut in two ways ends the connection after one answer.
    for framing in [
        ["Transfer-Encoding: chunked", "Content-Length: 6"],
        ["Content-Length: 6", "Transfer-Encoding: chunked"],
    ] {
        let answer = ask(&framing).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
}

/// The table of unauthorized access is made from the routes themselves, so that none can be forgotten.
#[tokio::test]
async fn every_route_is_closed_to_those_without_a_credential() {
    let harness = Harness::with_shell(vec![stdio_entry("one", "legacy")], shell()).await;
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];
    let credentials: [&[&str]; 4] = [
        &[],
        &["Authorization: Bearer wrong"],
        &["Authorization: Basic b3duZXI6"],
        &["Mcp-Session-Id: guessed"],
    ];
    for route in ROUTES {
        let path = route.path.replace("NAME", "one");
        for method in methods {
            for credential in credentials {
                let credential = lines(credential);
                let text = String::from_utf8(Bad::Credential(credential).request()).unwrap();
                let text = text.replacen("POST /mcp", &format!("{method} {path}"), 1);
                let answer = send(harness.address, [127, 0, 0, 1].into(), text.as_bytes()).await;
                let status = answer.get(9..12).unwrap_or_default();
                let takes = route.methods.iter().any(|taken| taken.as_str() == method);
                let expected = match route.access {
                    Access::Anyone if takes || method == Method::HEAD.as_str() => "200",
                    Access::Subject if takes => "401",
                    _ => "405",
                };
                assert_eq!(status, expected, "{method} {path}: {answer}");
                let inside = INSIDE.iter().find(|word| answer.contains(**word));
                assert_eq!(inside, None, "{method} {path}: {answer}");
            }
        }
    }
    let open: Vec<&str> =
        ROUTES.iter().filter(|route| route.access == Access::Anyone).map(|route| route.path).collect();
    assert_eq!(open, ["/healthz", "/readyz"], "what is open to everybody is a decision, not a slip");
    assert!(!harness.records.lines.borrow().iter().any(|line| line.starts_with("allow")));
}

#[tokio::test]
async fn a_listed_page_reads_answers_and_no_other_does() {
    let harness = Harness::with_shell(vec![], shell()).await;
    let ask = async |origin: &str| {
        let bytes = Bad::With(lines(&[&format!("Origin: {origin}")])).request();
        send(harness.address, [127, 0, 0, 1].into(), &bytes).await
    };
    let listed = ask("https://app.example").await;
    assert!(listed.starts_with("HTTP/1.1 200"), "{listed}");
    assert!(listed.contains("access-control-allow-origin: https://app.example\r\n"), "{listed}");
    assert!(listed.contains("vary: origin\r\n"), "{listed}");
    let local = ask("http://localhost:3000").await;
    assert!(local.starts_with("HTTP/1.1 200") && !local.contains("access-control-"), "{local}");
    let preflight = "OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,x-evil\r\n\r\n";
    let answer = send(harness.address, [127, 0, 0, 1].into(), preflight.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(answer.contains("access-control-allow-headers: authorization\r\n"), "{answer}");
    let other = preflight.replace("https://app.example", "https://evil.example");
    let answer = send(harness.address, [127, 0, 0, 1].into(), other.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("access-control-"), "{answer}");
}
