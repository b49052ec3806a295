//! Connections that are kept.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::*;
use crate::fetch::Line;

/// Answers so many requests on each connection, and then closes it without a word.
struct Keeper {
    url: String,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

async fn keeper(requests_each: usize) -> Keeper {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ask", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let (counted, mut tasks) = (Arc::clone(&connections), JoinSet::new());
    tasks.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            open.spawn(serve(stream, requests_each));
        }
    });
    Keeper { url, connections, _tasks: tasks }
}

async fn serve(mut stream: TcpStream, requests: usize) {
    for _ in 0..requests {
        let mut seen = Vec::new();
        // All requests of these tests end with this body.
        while !seen.ends_with(b"{\"q\":1}") {
            match stream.read_buf(&mut seen).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

fn ask(url: &str) -> Request {
    Request::post_json(super::url(url), Bytes::from_static(b"{\"q\":1}"))
}

fn fetcher_of_names(names: Arc<Names>) -> Fetcher {
    Fetcher::new(names, Trust::system())
}

#[tokio::test]
async fn a_connection_is_kept_and_another_is_made_when_it_is_gone() {
    let fetcher = fetcher_of_names(Names::all_stand_for(&["127.0.0.1"]));
    for (requests_each, connections) in [(100, 1), (2, 2), (1, 4)] {
        let (keeper, line) = (keeper(requests_each).await, Line::default());
        for _ in 0..4 {
            let answer = fetcher.fetch_over(&line, &ask(&keeper.url), &open()).await.unwrap();
            assert_eq!(answer.body, "{}");
        }
        assert_eq!(keeper.connections.load(Ordering::SeqCst), connections, "{requests_each}");
    }
}

#[tokio::test]
async fn a_kept_connection_is_no_way_around_time_size_and_classes() {
    let fetcher = fetcher_of_names(Names::all_stand_for(&["127.0.0.1"]));
    let (keeper, line) = (keeper(100).await, Line::default());
    fetcher.fetch_over(&line, &ask(&keeper.url), &open()).await.unwrap();
    let tiny = Terms { body_bytes_max: 1, ..open() };
    let fault = fetcher.fetch_over(&line, &ask(&keeper.url), &tiny).await.unwrap_err();
    assert!(matches!(fault.cause(), FetchCause::TooLarge { limit: 1 }), "{fault}");
    // What broke off is not kept.
    fetcher.fetch_over(&line, &ask(&keeper.url), &open()).await.unwrap();
    assert_eq!(keeper.connections.load(Ordering::SeqCst), 2);
    let fault = fetcher.fetch_over(&Line::default(), &ask(&keeper.url), &Terms::default()).await.unwrap_err();
    assert!(matches!(fault.cause(), FetchCause::Plain), "{fault}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_nobody_follows_it() {
    let server = Server::with([Answer::redirect("http://169.254.169.254/latest/")]).await;
    let url = server.plain_at("127.0.0.1", "/ask");
    let answer = at_home(&server).fetch_over(&Line::default(), &ask(&url), &open()).await.unwrap();
    assert_eq!(answer.status.as_u16(), 302);
    assert_eq!(server.seen().len(), 1);
}
