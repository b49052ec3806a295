use http::HeaderValue;
use http::header::AUTHORIZATION;

use super::*;

fn following(redirects_max: u8) -> Terms {
    Terms { redirects_max, ..open() }
}

fn with_token(request: Request) -> Request {
    request.with_header(AUTHORIZATION, HeaderValue::from_static("Bearer s3cret"))
}

#[tokio::test]
async fn a_redirect_is_an_answer_unless_it_is_to_be_followed() {
    let server = Server::with([Answer::redirect("/other"), Answer::json("{}")]).await;
    let fetched = at_home(&server).fetch(get(&server.at("issuer.example", "/")), &open()).await.unwrap();
    assert_eq!(fetched.status, StatusCode::FOUND);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_redirect_within_the_origin_keeps_the_headers_and_no_cookie() {
    let server = Server::with([Answer::redirect("/other?x=y"), Answer::json("{}")]).await;
    let request = with_token(get(&server.at("issuer.example", "/")));
    let fetched = at_home(&server).fetch(request, &following(1)).await.unwrap();
    assert_eq!(fetched.status, StatusCode::OK);
    assert_eq!(fetched.url.to_string(), server.at("issuer.example", "/other"));
    let second = &server.seen()[1];
    assert!(second.starts_with("GET /other?x=y ") && second.contains("s3cret"), "{second}");
    assert!(!second.contains("cookie"), "{second}");
}

#[tokio::test]
async fn another_origin_gets_no_header_of_the_first() {
    let target = Server::with([Answer::json("{}")]).await;
    let address = target.plain_at("127.0.0.1", "/");
    let server = Server::with([Answer::redirect(&address)]).await;
    let request = with_token(get(&server.plain_at("127.0.0.1", "/")));
    at_home(&server).fetch(request, &following(1)).await.unwrap();
    assert!(server.seen()[0].contains("s3cret"));
    assert!(!target.seen()[0].contains("s3cret"), "{:?}", target.seen());
}

#[tokio::test]
async fn each_hop_is_judged_like_the_first() {
    for (pointer, what) in [
        ("https://169.254.169.254/latest/meta-data/", "the metadata service of a cloud"),
        ("https://[::ffff:169.254.169.254]/", "the metadata service of a cloud"),
        ("https://10.0.0.1/", "a private address"),
        ("http://169.254.169.254/", "from https to http"),
        ("https://2852039166/", "neither an address that may be fetched nor a path"),
        ("https://0251.0376.0251.0376/", "neither an address"),
        ("https://user@issuer.example/", "neither an address"),
        ("//169.254.169.254/", "neither an address"),
        ("file:///etc/passwd", "neither an address"),
        ("../x", "neither an address"),
        ("", "neither an address"),
    ] {
        let server = Server::with([Answer::redirect(pointer), Answer::json("{}")]).await;
        let request = get(&server.at("issuer.example", "/"));
        let fault = at_home(&server).fetch(request, &following(3)).await.unwrap_err();
        assert!(fault.to_string().contains(what), "{pointer}: {fault}");
        assert_eq!(server.seen().len(), 1);
    }
}

/// The same redirect is followed where this machine is open, as the tests above show.
#[tokio::test]
async fn a_name_that_leads_into_the_machine_at_the_second_hop_is_refused() {
    let server = Server::with([Answer::redirect("/"), Answer::json("{}")]).await;
    let names = Names::all_stand_for(&["127.0.0.1", "169.254.169.254"]);
    let request = get(&server.at("issuer.example", "/"));
    let fault = fetcher(names, &server).fetch(request, &following(3)).await.unwrap_err();
    assert!(fault.to_string().contains("the metadata service of a cloud"), "{fault}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn redirects_end() {
    let server = Server::with([Answer::redirect("/again")]).await;
    let request = get(&server.at("issuer.example", "/"));
    let fault = at_home(&server).fetch(request, &following(2)).await.unwrap_err();
    assert!(matches!(fault.cause(), FetchCause::Redirects(2)), "{fault}");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn two_pointers_are_none() {
    let head = "HTTP/1.1 302 Found\r\nlocation: /a\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n";
    let server = Server::with([Answer::Bytes(head.to_owned())]).await;
    let request = get(&server.at("issuer.example", "/"));
    let fault = at_home(&server).fetch(request, &following(2)).await.unwrap_err();
    assert!(matches!(fault.cause(), FetchCause::Pointer(_)), "{fault}");
}

#[tokio::test]
async fn what_was_posted_is_never_sent_on() {
    for status in ["301", "302", "303", "307", "308"] {
        let head = format!("HTTP/1.1 {status} Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n");
        let server = Server::with([Answer::Bytes(head), Answer::json("{}")]).await;
        let request = Request::post_form(url(&server.at("issuer.example", "/token")), &[("code", "s3cret")]);
        let fetched = at_home(&server).fetch(request, &following(3)).await.unwrap();
        assert_eq!(fetched.status.as_str(), status);
        assert_eq!(server.seen().len(), 1);
    }
}
