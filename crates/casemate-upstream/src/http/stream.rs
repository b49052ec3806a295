//! The general stream of a legacy session, and the session's end.

use std::sync::Arc;
use std::time::Duration;

use casemate_mcp::frame::Frame;
use casemate_transport::http::client::ResumingEvents;
use casemate_transport::http::{ClientFault, Posted};
use http::StatusCode;
use tokio::time::{Instant, sleep, timeout};

use super::legacy::Session;
use crate::Hello;
use crate::brake::Brake;
use crate::desk::Reaction;
use crate::instance::frame_limits;
use crate::life::End;
use crate::listen::tell_all;

/// First and longest pause before the stream is asked for again.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long a server may take to hear that a session is over.
const FAREWELL_TIME: Duration = Duration::from_secs(2);

/// Listens to the general stream until the session is over, and says goodbye.
pub(super) async fn keep(session: Arc<Session>, hello: Arc<Hello>) {
    tokio::select! {
        () = listen(&session, &hello) => session.life.stopping().await,
        () = session.life.stopping() => {}
    }
    // A session that the server has forgotten needs no goodbye; its end is known already.
    if session.has_id() && !session.life.has_ended() {
        let headers = session.door.admitted(session.headers.clone()).await;
        _ = timeout(FAREWELL_TIME, session.door.endpoint.delete(headers)).await;
    }
    session.life.end(End::Asked);
}

/// Ends only when the server offers no such stream.
async fn listen(session: &Arc<Session>, hello: &Hello) {
    let mut pause = PAUSE_MIN;
    let mut was_open = false;
    loop {
        let opened = Instant::now();
        let headers = session.door.admitted(session.headers.clone()).await;
        match session.door.endpoint.get_events(headers).await {
            Ok(Posted::Events { events, .. }) => {
                if was_open {
                    // Nobody knows what changed while there was no stream.
                    tell_all(&session.outlet, session.desk.subject(), &hello.capabilities);
                }
                was_open = true;
                let plan = session.resumption().await;
                read(session, ResumingEvents::new(events, plan)).await;
            }
            Ok(posted) if posted.status() == StatusCode::NOT_FOUND && session.has_id() => {
                return session.life.end(End::Expired);
            }
            // Most often 405: there is no general stream.
            Ok(posted) if !posted.status().is_server_error() => return,
            Ok(_) | Err(_) => {}
        }
        pause = if opened.elapsed() > PAUSE_MAX { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
        sleep(pause).await;
    }
}

/// Takes messages to where they belong until the stream is lost for good.
async fn read(session: &Arc<Session>, mut events: ResumingEvents) {
    let limits = frame_limits(session.door.result_bytes_max());
    let mut brake = Brake::new();
    loop {
        let event = match events.next().await {
            Ok(Some(event)) => event,
            Err(ClientFault::NotResumed { status: StatusCode::NOT_FOUND }) if session.has_id() => {
                return session.life.end(End::Expired);
            }
            Ok(None) | Err(_) => return,
        };
        if event.data.trim_ascii().is_empty() {
            continue;
        }
        match Frame::parse(event.data.clone(), &limits) {
            Ok(frame) => {
                let reaction = session.desk.receive(frame, None);
                if !matches!(reaction, Reaction::Delivered) {
                    brake.count();
                }
                session.react(reaction);
            }
            Err(_) => session.outlet.log("stream", &event.data),
        }
        brake.hold().await;
    }
}
