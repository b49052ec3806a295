use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use super::*;

const BOUNDS: Bounds =
    Bounds { message_bytes_max: 1000, message_time_max: Duration::from_secs(30), queue_messages: 4 };

/// One end of a connection, frame by frame, and the link at the other end.
struct Peer {
    stream: DuplexStream,
    sender: LinkSender,
    messages: Messages,
    carrying: tokio::task::JoinHandle<()>,
}

fn peer() -> Peer {
    peer_with(64 * 1024, &BOUNDS)
}

fn peer_with(pipe_bytes: usize, bounds: &Bounds) -> Peer {
    let (stream, theirs) = tokio::io::duplex(pipe_bytes);
    let (sender, messages, carrying) = link(theirs, Side::Server, bounds);
    Peer { stream, sender, messages, carrying: TaskTracker::new().spawn(carrying) }
}

const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A frame of a client: masked, with a key that shows whether it is taken off.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![head];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

impl Peer {
    async fn say(&mut self, frames: &[Vec<u8>]) {
        // The other side may have had enough before all is written.
        _ = self.stream.write_all(&frames.concat()).await;
    }

    /// The next frame of the server: its first byte and its payload.
    async fn hear(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.stream.read_u8().await.ok()?;
        let length = match self.stream.read_u8().await.unwrap() {
            126 => usize::from(self.stream.read_u16().await.unwrap()),
            127 => usize::try_from(self.stream.read_u64().await.unwrap()).unwrap(),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.unwrap();
        Some((head, payload))
    }

    /// The code with which the connection is closed, and what is said with it; frames before that are passed over.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            let (head, payload) = self.hear().await.expect("a word at the end");
            if head == FIN | CLOSE {
                let (code, reason) = payload.split_at(2);
                let code = u16::from_be_bytes(code.try_into().unwrap());
                return (code, String::from_utf8(reason.to_vec()).unwrap());
            }
        }
    }

    async fn received(&mut self) -> String {
        match self.messages.next().await {
            Received::Message(text) => String::from_utf8(text.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn messages_go_both_ways_whole_and_in_order() {
    let mut peer = peer();
    peer.say(&[
        frame(FIN | TEXT, b"one"),
        frame(TEXT, b"t"),
        frame(FIN | PING, b"?"),
        frame(CONTINUATION, b"w"),
        frame(FIN | CONTINUATION, b"o"),
        frame(FIN | TEXT, b"  "),
        frame(FIN | TEXT, &[b'x'; 1000]),
    ])
    .await;
    assert_eq!(peer.received().await, "one");
    assert_eq!(peer.received().await, "two");
    assert_eq!(peer.received().await, "x".repeat(1000), "and a blank one is none");
    assert_eq!(peer.hear().await.unwrap(), (FIN | PONG, b"?".to_vec()));
    let long = Bytes::from(vec![b'y'; 100_000]);
    peer.sender.send(long.clone()).await.unwrap();
    peer.sender.send(Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(peer.hear().await.unwrap(), (FIN | TEXT, long.to_vec()));
    assert_eq!(peer.hear().await.unwrap(), (FIN | TEXT, b"{}".to_vec()));
}

#[tokio::test]
async fn two_links_speak_to_each_other_also_when_both_are_full() {
    let (one, other) = tokio::io::duplex(1024);
    let bounds = Bounds { message_bytes_max: 1 << 20, ..BOUNDS };
    let tracker = TaskTracker::new();
    let (client, mut to_client, carrying) = link(one, Side::Client, &bounds);
    tracker.spawn(carrying);
    let (server, mut to_server, carrying) = link(other, Side::Server, &bounds);
    tracker.spawn(carrying);
    let text = Bytes::from(vec![b'z'; 500_000]);
    for sender in [&client, &server] {
        for _ in 0..4 {
            sender.send(text.clone()).await.unwrap();
        }
    }
    for reader in [&mut to_client, &mut to_server] {
        for _ in 0..4 {
            assert_eq!(reader.next().await, Received::Message(text.clone()));
        }
    }
    // What was queued before a goodbye arrives before it.
    client.send(Bytes::from_static(b"last")).await.unwrap();
    to_client.part(Farewell::Done);
    assert_eq!(to_server.next().await, Received::Message(Bytes::from_static(b"last")));
    assert_eq!(to_server.next().await, Received::Over(Over::Closed));
    server.closed().await;
}

#[tokio::test]
async fn what_breaks_the_rules_is_ended_with_a_code_that_says_so() {
    let giant = || [vec![frame(TEXT, &[b'x'; 600])], vec![frame(CONTINUATION, &[b'x'; 600])]].concat();
    let unmasked = vec![FIN | TEXT, 2, b'{', b'}'];
    let mut announced = vec![FIN | TEXT, 0x80 | 127];
    announced.extend_from_slice(&(1_u64 << 40).to_be_bytes());
    let mut negative = vec![FIN | TEXT, 0x80 | 127];
    negative.extend_from_slice(&u64::MAX.to_be_bytes());
    let table: [(&str, Vec<Vec<u8>>, u16); 12] = [
        ("a binary frame", vec![frame(FIN | BINARY, b"{}")], 1003),
        ("a message in one frame that is too large", vec![frame(FIN | TEXT, &[b'x'; 1001])], 1009),
        ("a message in two frames that are too large together", giant(), 1009),
        ("a length of a terabyte", vec![announced], 1009),
        ("a length beyond all numbers", vec![negative], 1009),
        ("a frame that is compressed", vec![frame(FIN | 0x40 | TEXT, b"\xaa\x56\x4a")], 1002),
        ("a frame without a mask", vec![unmasked], 1002),
        ("a continuation of nothing", vec![frame(FIN | CONTINUATION, b"{}")], 1002),
        ("a second beginning", vec![frame(TEXT, b"{"), frame(TEXT, b"{")], 1002),
        ("a ping in pieces", vec![frame(PING, b"")], 1002),
        ("text that is none", vec![frame(FIN | TEXT, b"\xff\xfe")], 1007),
        ("an unknown kind of frame", vec![frame(FIN | 3, b"")], 1002),
    ];
    for (what, frames, code) in table {
        let mut peer = peer();
        peer.say(&frames).await;
        assert_eq!(peer.closed().await.0, code, "{what}");
        let end = peer.messages.next().await;
        assert!(matches!(end, Received::Over(Over::Broken(_) | Over::TooLarge)), "{what}: {end:?}");
        drop(peer.stream);
        peer.carrying.await.unwrap();
    }
}

#[tokio::test]
async fn a_flood_of_control_frames_is_ended_whether_it_is_read_or_not() {
    for kind in [PING, PONG] {
        let mut peer = peer();
        let flood = vec![frame(FIN | kind, &[b'p'; 125]); 1000];
        peer.say(&flood).await;
        let (code, why) = peer.closed().await;
        assert_eq!((code, why.as_str()), (1008, "there were too many pings and pongs"), "{kind}");
    }
    // Nobody reads the answers: they are bounded too.
    let mut peer = peer_with(64, &BOUNDS);
    peer.say(&vec![frame(FIN | PING, &[b'p'; 125]); 1000]).await;
    let end = peer.messages.next().await;
    assert_eq!(end, Received::Over(Over::Broken("there were too many pings and pongs".into())));
}

#[tokio::test(start_paused = true)]
async fn crumbs_without_end_are_not_gathered_for_ever() {
    let mut peer = peer();
    peer.say(&[frame(TEXT, b"")]).await;
    let crumbs = vec![frame(CONTINUATION, b""); 1000].concat();
    let mut sent = 0_usize;
    while peer.stream.write_all(&crumbs).await.is_ok() && sent < 1_000_000 {
        sent += crumbs.len();
    }
    assert!(sent < 500_000, "{sent}");
    assert_eq!(peer.closed().await, (1009, "a message did not end".to_owned()));
    let end = peer.messages.next().await;
    assert_eq!(end, Received::Over(Over::TooLarge));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_drips_is_not_waited_for_whatever_else_is_said() {
    let mut peer = peer();
    let start = Instant::now();
    peer.say(&[frame(TEXT, b"{")]).await;
    let dripping = async {
        loop {
            sleep(Duration::from_secs(3)).await;
            peer.stream.write_all(&frame(FIN | PONG, b"here")).await.unwrap();
            peer.stream.write_all(&frame(CONTINUATION, b"x")).await.unwrap();
        }
    };
    let end = tokio::select! {
        end = peer.messages.next() => end,
        () = dripping => unreachable!(),
    };
    assert_eq!(end, Received::Over(Over::Broken("a message came too slowly".into())));
    assert!((30..=36).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_asked_once_and_ended() {
    let mut peer = peer();
    let start = Instant::now();
    assert_eq!(peer.hear().await.unwrap().0, FIN | PING);
    assert_eq!(start.elapsed().as_secs(), 20);
    assert_eq!(peer.closed().await, (1008, "there was no sign of life".to_owned()));
    assert_eq!(start.elapsed().as_secs(), 40);
    assert_eq!(peer.messages.next().await, Received::Over(Over::Broken("there was no sign of life".into())));
    // The end does not wait for an answer either.
    peer.carrying.await.unwrap();
    assert!(start.elapsed().as_secs() <= 43);
}

#[tokio::test(start_paused = true)]
async fn whoever_answers_pings_is_kept() {
    let mut peer = peer();
    for _ in 0..20 {
        assert_eq!(peer.hear().await.unwrap().0, FIN | PING);
        peer.say(&[frame(FIN | PONG, b"")]).await;
    }
    peer.say(&[frame(FIN | TEXT, b"{}")]).await;
    assert_eq!(peer.received().await, "{}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_not_written_to_for_ever() {
    let mut peer = peer_with(1024, &BOUNDS);
    peer.sender.send(Bytes::from(vec![b'x'; 100_000])).await.unwrap();
    let chatter = async {
        loop {
            sleep(Duration::from_secs(7)).await;
            if peer.stream.write_all(&frame(FIN | PONG, b"")).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let end = tokio::select! {
        end = peer.messages.next() => end,
        () = chatter => unreachable!(),
    };
    assert_eq!(end, Received::Over(Over::Broken("nothing of what was sent was read".into())));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_silent_while_we_do_not_listen() {
    let mut peer = peer();
    let many = QUEUE_READ + 3;
    peer.say(&vec![frame(FIN | TEXT, b"{}"); many]).await;
    sleep(Duration::from_secs(600)).await;
    for _ in 0..many {
        assert_eq!(peer.received().await, "{}");
    }
}

#[tokio::test]
async fn a_goodbye_is_answered_and_ours_is_said() {
    let mut peer = peer();
    peer.say(&[frame(FIN | CLOSE, &1000_u16.to_be_bytes())]).await;
    assert_eq!(peer.closed().await.0, 1000);
    assert_eq!(peer.messages.next().await, Received::Over(Over::Closed));
    let farewells = [
        (Farewell::Done, 1000, ""),
        (Farewell::Idle, 1000, "not used for too long"),
        (Farewell::Stopping, 1001, "the gateway is stopping"),
        (Farewell::Refused("no"), 1008, "no"),
    ];
    for (farewell, code, reason) in farewells {
        let mut peer = self::peer();
        peer.messages.part(farewell);
        assert_eq!(peer.closed().await, (code, reason.to_owned()));
    }
    // Whoever drops both halves is done.
    let Peer { stream, sender, messages, carrying } = self::peer();
    drop((sender, messages));
    let (gone, _) = tokio::io::duplex(1);
    let mut peer = self::peer();
    peer.stream = stream;
    assert_eq!(peer.closed().await.0, 1000);
    peer.stream = gone;
    carrying.await.unwrap();
}

mod handshakes {
    use http::HeaderValue;
    use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};

    use super::super::{HandshakeFault, ask};

    /// The pair of RFC 6455 section 1.3.
    #[test]
    fn an_answer_has_to_fit_its_request() {
        let mut headers = http::HeaderMap::new();
        let asking = ask(&mut headers).unwrap();
        let other = ask(&mut http::HeaderMap::new()).unwrap();
        let answer = |accept: &str| {
            let mut answer = http::HeaderMap::new();
            answer.insert("connection", HeaderValue::from_static("keep-alive, Upgrade"));
            answer.insert("upgrade", HeaderValue::from_static("WebSocket"));
            answer.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(accept).unwrap());
            answer
        };
        let key = headers["sec-websocket-key"].to_str().unwrap();
        let fitting = answer(super::super::handshake::digest_of(key).to_str().unwrap());
        assert_eq!(asking.is_answered_by(&fitting), Ok(()));
        assert_eq!(other.is_answered_by(&fitting), Err(HandshakeFault::Answer));
        let mut chosen = fitting.clone();
        chosen.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mcp"));
        assert_eq!(asking.is_answered_by(&chosen), Ok(()));
        chosen.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("other"));
        assert_eq!(asking.is_answered_by(&chosen), Err(HandshakeFault::Choice));
        let mut compressed = fitting;
        compressed.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static("permessage-deflate"));
        assert_eq!(asking.is_answered_by(&compressed), Err(HandshakeFault::Choice));
        assert_eq!(
            super::super::handshake::digest_of("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
