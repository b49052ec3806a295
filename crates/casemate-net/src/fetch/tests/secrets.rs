use std::error::Error;

use http::HeaderValue;
use http::header::AUTHORIZATION;

use super::*;

#[tokio::test]
async fn a_form_arrives_as_it_was_meant() {
    let server = Server::with([Answer::json("{}")]).await;
    let fields = [("grant_type", "authorization_code"), ("code", "a b+c&d=e/ü~"), ("", "*-._")];
    let request = Request::post_form(url(&server.at("issuer.example", "/token")), &fields);
    at_home(&server).fetch(request, &open()).await.unwrap();
    let seen = server.seen();
    assert!(seen[0].starts_with("POST /token HTTP/1.1\r\n"), "{seen:?}");
    assert!(seen[0].contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{seen:?}");
    let body = "grant_type=authorization_code&code=a+b%2Bc%26d%3De%2F%C3%BC%7E&=*-._";
    assert!(seen[0].ends_with(&format!("\r\n\r\n{body}")), "{seen:?}");
}

#[tokio::test]
async fn json_is_posted_as_json() {
    let server = Server::with([Answer::json("{}")]).await;
    let request = Request::post_json(url(&server.at("issuer.example", "/register")), Bytes::from("[1]"));
    at_home(&server).fetch(request, &open()).await.unwrap();
    let seen = server.seen();
    assert!(seen[0].contains("\r\ncontent-type: application/json\r\n") && seen[0].ends_with("\r\n\r\n[1]"));
}

#[tokio::test]
async fn nothing_that_is_told_holds_a_secret() {
    let answers = [
        Answer::json(r#"{"access_token":"s3cret"}"#),
        Answer::Bytes(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nx-token: s3cret\r\n\r\ns3cret".to_owned(),
        ),
        Answer::Bytes("HTTP/1.1 s3cret\r\n\r\n".to_owned()),
        Answer::redirect("https://10.0.0.1/?code=s3cret"),
        Answer::redirect("https://s3cret@10.0.0.1/"),
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        let server = Server::with([answer]).await;
        let address = url(&server.at("issuer.example", "/token?code=s3cret"));
        for request in [Request::get(address.clone()), Request::post_form(address, &[("code", "s3cret")])] {
            let request = request.with_header(AUTHORIZATION, HeaderValue::from_static("Basic s3cret"));
            let mut told = format!("{request:?}");
            match at_home(&server).fetch(request, &Terms { redirects_max: 1, ..open() }).await {
                Ok(fetched) => told += &format!("{fetched:?}"),
                Err(fault) => told += &format!("{fault} {fault:?} {:?}", fault.source()),
            }
            assert!(told.contains("/token") && !told.contains("s3cret"), "{index}: {told}");
        }
    }
    for text in ["https://s3cret:s3cret@a.example/", "https://s3cret!/", "s3cret://a.example"] {
        let fault = Url::parse(text).unwrap_err();
        assert!(!format!("{fault} {fault:?}").contains("s3cret"));
    }
}
