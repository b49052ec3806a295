use http::Request;

use super::*;
use crate::http::head::Link;
use crate::http::shell::Shell;
use crate::listener::Peer;

const APP: &str = "https://app.example";

fn shell() -> Shell {
    let pages = vec![Origin::parse(APP).unwrap()];
    let origins = Origin::local().into_iter().chain(pages.clone()).collect();
    Shell { pages, origins, ..Shell::default() }
}

/// The answer to a preflight as header and value, or why there is none.
fn preflight(headers: &[(&str, &str)]) -> Result<Option<HeaderMap>, String> {
    let mut request = Request::builder().method("OPTIONS").uri("/mcp").header("host", "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let page = Page::of(&shell().pages, &parts.headers);
    let link = Link::plain(Peer::Tcp("127.0.0.1:5".parse().unwrap()));
    let head = Head::check(parts, &link, &shell()).map_err(|reject| reject.reason.label().to_owned())?;
    let reply = page.preflight(&head);
    Ok(reply.map(|reply| {
        assert_eq!(reply.status, StatusCode::NO_CONTENT);
        let mut headers = reply.headers;
        page.tell(&mut headers);
        headers
    }))
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn a_listed_page_is_told_what_it_may_send() {
    let asked = "authorization, Content-Type,mcp-protocol-version, mcp-param-city";
    let told = preflight(&[
        ("origin", APP),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", asked),
    ]);
    let told = told.unwrap().unwrap();
    assert_eq!(value(&told, "access-control-allow-origin"), Some(APP));
    assert_eq!(value(&told, "access-control-allow-methods"), Some("GET, POST, DELETE"));
    let allowed = "authorization, content-type, mcp-protocol-version, mcp-param-city";
    assert_eq!(value(&told, "access-control-allow-headers"), Some(allowed));
    assert!(value(&told, "access-control-expose-headers").unwrap().contains("mcp-session-id"));
    assert_eq!(value(&told, "vary"), Some("origin"));
    assert_eq!(value(&told, "access-control-allow-credentials"), None);
}

#[test]
fn what_is_not_ours_to_allow_is_not_allowed() {
    for method in ["PUT", "PATCH", "TRACE", "post", "*", ""] {
        let told = preflight(&[("origin", APP), ("access-control-request-method", method)]).unwrap().unwrap();
        assert_eq!(value(&told, "access-control-allow-methods"), None, "{method}");
    }
    let long = "x-a,".repeat(400);
    for asked in ["cookie", "*", "x-forwarded-for", "mcp-param-", "mcp-param-a b", "host", "", &long] {
        let told = preflight(&[
            ("origin", APP),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", asked),
        ]);
        assert_eq!(value(&told.unwrap().unwrap(), "access-control-allow-headers"), None, "{asked}");
    }
}

#[test]
fn other_pages_are_told_nothing() {
    let ask = |origin| preflight(&[("origin", origin), ("access-control-request-method", "POST")]);
    for origin in [
        "null",
        "*",
        "https://evil.example",
        "https://app.example.evil",
        "http://app.example",
        "https://app.example:444",
    ] {
        assert_eq!(ask(origin), Err("foreign origin".to_owned()), "{origin}");
    }
    assert_eq!(ask("http://localhost:3000"), Ok(None), "a page of this machine may send, and reads nothing");
    let twice = [("origin", APP), ("origin", APP), ("access-control-request-method", "POST")];
    assert_eq!(preflight(&twice), Err("doubled header".to_owned()));
    assert_eq!(preflight(&[("access-control-request-method", "POST")]), Ok(None));
}

#[test]
fn nothing_is_said_where_no_page_is_listed() {
    let mut headers = HeaderMap::new();
    headers.insert(ORIGIN, HeaderValue::from_static("http://localhost:3000"));
    let mut told = HeaderMap::new();
    Page::of(&[], &headers).tell(&mut told);
    assert!(told.is_empty());
}

#[test]
fn a_request_that_another_sites_page_makes_without_asking_is_seen() {
    let table = [
        (&[("sec-fetch-site", "cross-site")][..], true),
        (&[("sec-fetch-site", "same-site")], true),
        (&[("sec-fetch-site", "Cross-Site")], true),
        (&[("sec-fetch-site", "")], true),
        (&[("sec-fetch-site", "same-origin")], false),
        (&[("sec-fetch-site", "none")], false),
        (&[("sec-fetch-site", "cross-site"), ("origin", APP)], false),
        (&[], false),
    ];
    for (pairs, foreign) in table {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        assert_eq!(is_foreign(&headers), foreign, "{pairs:?}");
    }
}

#[test]
fn a_person_may_arrive_from_another_site_where_people_arrive_and_a_page_may_fetch_nowhere() {
    let shell = Shell { landings: &["/landing"], ..shell() };
    let visit =
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let framed = [visit[0], visit[1], ("sec-fetch-dest", "iframe")];
    let image = [visit[0], ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
    for (method, path, headers, passes) in [
        ("GET", "/landing", &visit[..], true),
        ("GET", "/landing?code=a", &visit, true),
        ("POST", "/landing", &visit, false),
        ("GET", "/landing/", &visit, false),
        ("GET", "/mcp", &visit, false),
        ("GET", "/landing", &framed, false),
        ("GET", "/landing", &image, false),
        ("GET", "/landing", &visit[..1], false),
    ] {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let link = Link::plain(Peer::Tcp("127.0.0.1:5".parse().unwrap()));
        assert_eq!(Head::check(parts, &link, &shell).is_ok(), passes, "{method} {path} {headers:?}");
    }
}
