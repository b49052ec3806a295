//! What strangers send: nothing of it gets in, all of it is on record, and no answer tells of the inside.
//!
//! Every request here carries a good key and a good body, except where the credential is what is wrong with it: without
//! the rule that it breaks, it would be answered.

mod bad;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use casemate_transport::http::shell::Plaintext;
use casemate_transport::http::{HostRule, Origin, Proxies, Shell};
use http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use bad::{BODY, Bad, PROXY, credentials, hosts, lines, pages, shapes};

use super::harness::{Harness, stdio_entry};
use crate::edge::http::routes::{Access, LANDING, ROUTES};
use crate::snapshot::{Limits, Pace, Rate};

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
async fn ids_of_refusals_do_not_tell_how_many_calls_others_make() {
    let harness = Harness::with_shell(vec![], shell()).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let bytes = Bad::Credential(vec![]).request();
        let answer = send(harness.address, [127, 0, 0, 1].into(), &bytes).await;
        let id = answer.split("x-request-id: ").nth(1).unwrap().split("\r\n").next().unwrap();
        ids.push(id.split_once('-').unwrap().1.parse::<u64>().unwrap());
    }
    assert!(ids.windows(2).all(|pair| pair[0].abs_diff(pair[1]) > 1_000_000), "{ids:?}");
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
    // Nobody who tries all routes with a wrong key is let try the last ones; here they are.
    let attempts = Rate::a_second(NonZeroU32::new(10_000).unwrap());
    let limits = Limits { pace: Pace { attempts, ..Pace::default() }, ..Limits::default() };
    let harness = Harness::with(vec![stdio_entry("one", "legacy")], limits, shell()).await;
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
                    // Where no issuer is configured there are no metadata.
                    Access::Anyone if (takes || method == "HEAD") && path.starts_with("/.well-known/") => {
                        "404"
                    }
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
    let metadata = "/.well-known/oauth-protected-resource";
    let of = |endpoint: &str| format!("{metadata}{endpoint}");
    let expected = [
        "/healthz".to_owned(),
        "/readyz".to_owned(),
        of(""),
        of("/mcp"),
        of("/servers/NAME/mcp"),
        of("/profiles/NAME/mcp"),
        "/oauth/callback".to_owned(),
    ];
    assert_eq!(open, expected, "what is open to everybody is a decision, not a slip");
    assert!(!harness.records.lines.borrow().iter().any(|line| line.starts_with("allow")));
}

/// A browser adds what it has to whatever a page asks for: a client's certificate, and that it sits on this machine. There is
/// no cookie and no form here, and nothing that would change something without a credential in a header; all the same
/// no page of another site gets as far as a route. One that people arrive at from elsewhere changes nothing.
#[tokio::test]
async fn no_page_of_another_site_reaches_a_route_with_what_its_browser_has() {
    let landings = &[LANDING];
    let harness =
        Harness::with_shell(vec![stdio_entry("one", "legacy")], Shell { landings, ..shell() }).await;
    let navigates = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    let foreign: [&[&str]; 7] = [
        &["Sec-Fetch-Site: cross-site"],
        &["Sec-Fetch-Site: same-site"],
        &["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"],
        &["Origin: https://evil.example"],
        &["Origin: null", "Sec-Fetch-Site: cross-site"],
        &["Origin: https://evil.example", "Sec-Fetch-Site: same-origin"],
        &navigates,
    ];
    for route in ROUTES {
        let path = route.path.replace("NAME", "one");
        for method in route.methods {
            for headers in foreign {
                let text = String::from_utf8(Bad::With(lines(headers)).request()).unwrap();
                let text = text.replacen("POST /mcp", &format!("{method} {path}"), 1);
                let answer = send(harness.address, [127, 0, 0, 1].into(), text.as_bytes()).await;
                let arrives = path == LANDING && headers == navigates;
                let expected = if arrives { "200" } else { "403" };
                assert_eq!(answer.get(9..12), Some(expected), "{method} {path} {headers:?}: {answer}");
            }
            // What the same browser sends for a page of ours, or for a person who typed the address, goes on to the route.
            for own in ["same-origin", "none"] {
                let own = lines(&[&format!("Sec-Fetch-Site: {own}")]);
                let text = String::from_utf8(Bad::With(own).request()).unwrap();
                // Streams would stay open; without a credential each route says what it is.
                let text = text
                    .replacen("POST /mcp", &format!("{method} {path}"), 1)
                    .replace("Bearer owner", "Bearer x");
                let answer = send(harness.address, [127, 0, 0, 1].into(), text.as_bytes()).await;
                assert_ne!(answer.get(9..12), Some("403"), "{method} {path}: {answer}");
            }
        }
    }
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

#[tokio::test]
async fn readiness_tells_strangers_yes_or_no_and_reasons_to_those_who_may_look() {
    let dead = super::harness::http_entry("secret-name", "http://127.0.0.1:1/mcp");
    let harness = Harness::start(vec![dead]).await;
    let owner = harness.modern("/servers/secret-name/mcp");
    // A server that fails often enough is left alone for a while.
    let mut told = String::new();
    for _ in 0..100 {
        owner.request("tools/list", json!({})).await.unwrap_err();
        told = ready(&harness, Some("owner")).await;
        if told.contains("secret-name") {
            break;
        }
    }
    assert!(told.contains("the server secret-name fails"), "{told}");
    for key in [None, Some("nobody"), Some("reader")] {
        let told = ready(&harness, key).await;
        assert!(told.ends_with("\r\n\r\n{\"ready\":true}"), "{key:?}: {told}");
    }
}

async fn ready(harness: &Harness, key: Option<&str>) -> String {
    let credential = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let line = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    send(harness.address, [127, 0, 0, 1].into(), format!("{line}{credential}\r\n").as_bytes()).await
}
