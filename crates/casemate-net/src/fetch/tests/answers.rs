use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";

/// How long a test waits for what never comes.
const SHORT: Duration = Duration::from_millis(200);

async fn fault(answer: Answer, terms: &Terms) -> FetchFault {
    let server = Server::with([answer]).await;
    let fetched = at_home(&server).fetch(get(&server.at("issuer.example", "/")), terms).await;
    fetched.expect_err("refused")
}

#[tokio::test]
async fn a_body_that_is_too_long_is_not_read() {
    let terms = Terms { body_bytes_max: 1000, ..open() };
    let announced = Answer::Stall(format!("{OK}content-length: 1001\r\n\r\n"));
    let endless = Answer::Endless(format!("{OK}\r\n"), "x".repeat(100));
    let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
    let chunked = Answer::Endless(format!("{OK}transfer-encoding: chunked\r\n\r\n"), chunk);
    for answer in [announced, endless, chunked] {
        let fault = fault(answer, &terms).await;
        assert!(matches!(fault.cause(), FetchCause::TooLarge { limit: 1000 }), "{fault}");
        assert!(!fault.never_sent());
    }
    let server = Server::with([Answer::json(&"x".repeat(1000))]).await;
    let fetched = at_home(&server).fetch(get(&server.at("issuer.example", "/")), &terms).await.unwrap();
    assert_eq!(fetched.body.len(), 1000);
}

#[tokio::test]
async fn heads_without_end() {
    let line = format!("x-filler: {}\r\n", "x".repeat(1000));
    for answer in [
        Answer::Endless(OK.to_owned(), line),
        Answer::Endless("HTTP/1.1 200 ".to_owned(), "x".repeat(1000)),
        Answer::Stall(format!("{OK}{}\r\n", "a: b\r\n".repeat(HEADERS))),
        Answer::Bytes("SSH-2.0-OpenSSH_9.2\r\n".to_owned()),
        Answer::Bytes(String::new()),
    ] {
        let fault = fault(answer, &open()).await;
        assert!(matches!(fault.cause(), FetchCause::Broken(_)), "{fault}");
    }
}

/// More than a head may have.
const HEADERS: usize = 101;

#[tokio::test]
async fn whoever_is_slow_is_left() {
    let terms = Terms { time_max: SHORT, ..open() };
    let continues = "HTTP/1.1 103 Early Hints\r\n\r\n".to_owned();
    for answer in [
        Answer::Stall(String::new()),
        Answer::Stall("HTTP/1.1 200 OK\r\n".to_owned()),
        Answer::Stall(format!("{OK}content-length: 2\r\n\r\n{{")),
        Answer::Stall(format!("{OK}\r\n{{}}")),
        Answer::Stall(format!("{OK}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n")),
        Answer::Endless(continues.clone(), continues),
    ] {
        let fault = fault(answer, &terms).await;
        assert!(matches!(fault.cause(), FetchCause::Time), "{fault}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_answer() {
    for rest in ["content-length: 10\r\n\r\n{}", "transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"] {
        let fault = fault(Answer::Bytes(format!("{OK}{rest}")), &open()).await;
        assert!(matches!(fault.cause(), FetchCause::Broken(_)), "{fault}");
    }
}

#[tokio::test]
async fn only_what_was_asked_for() {
    for (headers, is_taken) in [
        ("content-type: application/json", true),
        ("content-type: Application/JSON; charset=utf-8", true),
        ("content-type: application/json \r\ncontent-encoding: identity", true),
        ("content-type: text/html", false),
        ("content-type: application/jsonp", false),
        ("content-type: application/json, text/html", false),
        ("content-type: application/json\r\ncontent-type: text/html", false),
        ("content-type: application/json\r\ncontent-encoding: gzip", false),
        ("content-type: application/json\r\ncontent-encoding: identity\r\ncontent-encoding: br", false),
        ("x: y", false),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}\r\ncontent-length: 2\r\n\r\n{{}}");
        let server = Server::with([Answer::Bytes(answer)]).await;
        let fetched = at_home(&server).fetch(get(&server.at("issuer.example", "/")), &open()).await;
        assert_eq!(fetched.is_ok(), is_taken, "{headers}");
        if let Err(fault) = fetched {
            assert!(matches!(fault.cause(), FetchCause::ContentType(_)), "{fault}");
        }
    }
}

#[tokio::test]
async fn an_error_page_is_an_answer_without_a_body() {
    let page = "HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\nno!";
    let error = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    for (answer, status, body) in [(page, 404, ""), (error, 400, "{}")] {
        let server = Server::with([Answer::Bytes(answer.to_owned())]).await;
        let fetched = at_home(&server).fetch(get(&server.at("issuer.example", "/")), &open()).await.unwrap();
        assert_eq!((fetched.status.as_u16(), fetched.body), (status, Bytes::from(body)));
    }
}
