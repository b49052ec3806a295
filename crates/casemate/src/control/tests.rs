use std::sync::Arc;
use std::time::Duration;

use casemate_transport::listener::UnixSocket;
use tokio_util::sync::CancellationToken;

use casemate_gateway::approvals::Answer as Verdict;

use super::wire::{Action, Answer, Done, Fault, Request, Status, Whose};
use super::{client, server};
use crate::exit::Exit;
use crate::failure::exit_of;

/// Answers a status, refuses to control `rock`, and does everything else.
struct Fake;

impl server::Handler for Fake {
    async fn handle(&self, request: Request) -> Result<Answer, Fault> {
        match request {
            Request::Status => Ok(Answer::Status(status())),
            Request::Control { server, .. } if server == "rock" => {
                Err(Fault { message: "no server is named rock".to_owned(), hint: Some("look".to_owned()) })
            }
            _ => Ok(Answer::Done(Done {})),
        }
    }
}

fn status() -> Status {
    Status {
        version: "1".to_owned(),
        pid: 7,
        endpoint: "http://127.0.0.1:1/mcp".to_owned(),
        config: "/c".to_owned(),
        started: 3,
        snapshot: 2,
        problems: Vec::new(),
    }
}

#[test]
fn every_request_survives_its_way_over_http() {
    let server = || "every-thing_1".to_owned();
    let requests = [
        Request::Status,
        Request::Servers,
        Request::Control { server: server(), action: Action::Start },
        Request::Control { server: server(), action: Action::Stop },
        Request::Control { server: server(), action: Action::Restart },
        Request::Logs { server: server(), lines: 10_000 },
        Request::Reload,
        Request::ReloadKeys,
        Request::Sessions,
        Request::EndSessions(Whose::Session("00ff".to_owned())),
        Request::EndSessions(Whose::Subject("key:a/b ü?".to_owned())),
        Request::Approvals,
        Request::Decide { id: "../stop".to_owned(), verdict: Verdict::Always },
        Request::Stop { grace: None },
        Request::Stop { grace: Some(Duration::from_secs(3600)) },
    ];
    for request in requests {
        let (method, path) = request.line();
        assert_eq!(Request::parse(&method, &path), Some(request));
    }
}

#[test]
fn what_is_no_request_is_none() {
    let no = |method, path| assert_eq!(Request::parse(&method, path), None, "{path}");
    no(http::Method::POST, "/v1/status");
    no(http::Method::GET, "/v1/servers/a/start");
    no(http::Method::POST, "/v1/servers/a/b/start");
    no(http::Method::POST, "/v1/servers/a/explode");
    no(http::Method::GET, "/v1/servers/a/logs/10001");
    no(http::Method::POST, "/v1/stop/3600001");
    no(http::Method::GET, "/v2/status");
}

#[tokio::test]
async fn the_two_ends_understand_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("run/control.sock");
    let none: Option<Status> = client::ask_if_running(&socket, &Request::Status).await.unwrap();
    assert_eq!(none, None);

    let listener = UnixSocket::bind(&socket).unwrap();
    let stop = CancellationToken::new();
    let ends = async {
        let answer: Status = client::ask(&socket, &Request::Status).await.unwrap();
        assert_eq!(answer, status());
        let rock = Request::Control { server: "rock".to_owned(), action: Action::Start };
        let refused = client::ask::<Done>(&socket, &rock).await.unwrap_err();
        assert_eq!(refused.to_string(), "no server is named rock");
        assert_eq!(exit_of(&refused), Exit::Failure);
        let unknown = Request::Control { server: "a/b".to_owned(), action: Action::Start };
        assert!(
            client::ask::<Done>(&socket, &unknown).await.unwrap_err().to_string().contains("does not know")
        );
        stop.cancel();
    };
    tokio::join!(server::serve(listener, Arc::new(Fake), stop.clone()), ends);

    // A socket file that a killed gateway left behind is the same as none.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let left = client::ask::<Status>(&socket, &Request::Status).await.unwrap_err();
    assert_eq!(exit_of(&left), Exit::Unreachable);
}
