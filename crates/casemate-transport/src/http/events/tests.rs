use bytes::Buf;

use super::*;

/// Decodes `input` in pieces of the given sizes, and gives the events and the last id.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Option<String>) {
    let mut decoder = Decoder::new(1024);
    let mut events = Vec::new();
    for piece in pieces {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(event) = decoder.decode().unwrap() {
            events.push(event);
        }
    }
    (events, decoder.last_id().map(str::to_owned))
}

fn event(id: Option<&str>, kind: Option<&str>, retry: Option<u64>, data: &'static str) -> Event {
    Event {
        id: id.map(Into::into),
        event: kind.map(Into::into),
        retry: retry.map(Duration::from_millis),
        data: Bytes::from_static(data.as_bytes()),
    }
}

const STREAM: &str = "\u{feff}data: first\n\n: comment\r\n\r\nid: 1\revent: endpoint\rdata:/mcp\r\rretry: 1500\r\nid:2\r\ndata:\r\n\r\n\
    data: a\ndata:  b\r\ndata\rdata:c\n\nid: 3\n\nretry: x\ndata: {\"ü\": \":\"}\nunknown: y\nnothing\n\ndata: never ended";

fn expected() -> Vec<Event> {
    vec![
        event(None, None, None, "first"),
        event(Some("1"), Some("endpoint"), None, "/mcp"),
        event(Some("2"), None, Some(1500), ""),
        event(None, None, None, "a\n b\n\nc"),
        event(None, None, None, "{\"ü\": \":\"}"),
    ]
}

#[test]
fn events_are_read_wherever_the_chunks_end() {
    let input = STREAM.as_bytes();
    let whole = (expected(), Some("3".to_owned()));
    for step in 1..=input.len() {
        assert_eq!(decode(input.chunks(step)), whole, "in chunks of {step}");
    }
    for first in 0..input.len() {
        for second in first..input.len() {
            let pieces = [&input[..first], &input[first..second], &input[second..]];
            assert_eq!(decode(pieces.into_iter()), whole, "cut at {first} and {second}");
        }
    }
}

#[test]
fn what_was_pushed_early_is_not_lost() {
    let mut decoder = Decoder::new(1024);
    for byte in STREAM.as_bytes() {
        decoder.push(Bytes::copy_from_slice(&[*byte]));
    }
    let mut events = Vec::new();
    while let Some(event) = decoder.decode().unwrap() {
        events.push(event);
    }
    assert_eq!(events, expected());
    assert_eq!(decoder.last_retry(), Some(Duration::from_millis(1500)));
}

#[test]
fn one_line_in_one_chunk_is_not_copied() {
    let chunk = Bytes::from(format!("data: {}\n\n", "x".repeat(1000)));
    let mut decoder = Decoder::new(2000);
    decoder.push(chunk.clone());
    let event = decoder.decode().unwrap().unwrap();
    assert_eq!(event.data.as_ptr(), chunk[6..].as_ptr());
}

#[test]
fn an_event_beyond_the_limit_is_refused_however_it_comes() {
    let long = "x".repeat(200);
    let table = [
        format!("data: {long}\n\n"),
        format!("data: {long}"),
        format!(": {long}"),
        format!("id: {long}\n"),
        "data: 12345\n".repeat(20),
        ":\n".repeat(200),
    ];
    for stream in table {
        for step in [1, 7, stream.len()] {
            let mut decoder = Decoder::new(100);
            let mut outcome = Ok(None);
            for piece in stream.as_bytes().chunks(step) {
                decoder.push(Bytes::copy_from_slice(piece));
                outcome = decoder.decode();
                if outcome.is_err() {
                    break;
                }
            }
            assert_eq!(outcome, Err(EventFault::TooLarge { limit: 100 }), "{stream:.20} by {step}");
        }
    }
    let mut decoder = Decoder::new(100);
    for _ in 0..100 {
        decoder.push(Bytes::from_static(b": keep-alive\n\ndata: x\n\n"));
        assert!(decoder.decode().unwrap().is_some(), "the limit is per event, not per stream");
    }
}

#[test]
fn an_id_with_nul_is_ignored_and_an_empty_one_resets() {
    let (events, last) = decode([b"id: 7\ndata: a\n\nid: \0\ndata: b\n\n".as_slice()].into_iter());
    assert_eq!(events[1].id, None);
    assert_eq!(last.as_deref(), Some("7"));
    let (_, last) = decode([b"id: 7\n\nid\n\n".as_slice()].into_iter());
    assert_eq!(last, None);
}

#[test]
fn what_is_encoded_is_decoded() {
    let long = Bytes::from(format!("{{\"x\":\"{}\"}}", "y".repeat(10_000)));
    let table = [
        event(None, None, None, "{}"),
        event(Some("1-a"), Some("message"), Some(3000), "{\"a\":1}"),
        event(Some("1-0"), None, None, ""),
        event(None, None, None, "two\nlines\n"),
        Event { id: Some("9".into()), data: long.clone(), ..Event::default() },
    ];
    let mut wire = BytesMut::new();
    for event in &table {
        wire.put(event.clone().encode());
    }
    let mut decoder = Decoder::new(20_000);
    decoder.push(wire.freeze());
    for event in table {
        assert_eq!(decoder.decode().unwrap(), Some(event));
    }
    assert_eq!(decoder.decode().unwrap(), None);

    let mut slices = [std::io::IoSlice::new(&[]); 3];
    let piece = Event::message(long.clone()).encode();
    assert_eq!(piece.chunks_vectored(&mut slices), 3);
    assert_eq!(slices[1].as_ptr(), long.as_ptr(), "long data is not copied");
}

#[test]
fn a_value_cannot_forge_a_field() {
    let forged = Event {
        id: Some("1\ndata: x".into()),
        event: Some("a\rb".into()),
        data: Bytes::from_static(b"a\rdata: b\r\nid: 5\n\nevent: c"),
        ..Event::default()
    };
    let mut piece = forged.encode();
    let text = piece.copy_to_bytes(piece.remaining());
    assert_eq!(text, "data: a\ndata: data: b\ndata: id: 5\ndata: \ndata: event: c\n\n");
}

#[tokio::test(start_paused = true)]
async fn silence_is_filled_with_comments() {
    let (sender, mut body) = channel(4);
    let mut next = async || std::future::poll_fn(|cx| body.poll_piece(cx)).await;
    let start = tokio::time::Instant::now();
    sender.try_send(Event::message(Bytes::from_static(b"1"))).unwrap();
    assert_eq!(next().await.unwrap().chunk(), b"data: 1\n\n");
    assert_eq!(next().await.unwrap().chunk(), b": keep-alive\n\n");
    assert_eq!(start.elapsed().as_secs(), 15);
    tokio::time::advance(Duration::from_secs(10)).await;
    sender.try_send(Event::message(Bytes::from_static(b"2"))).unwrap();
    assert_eq!(next().await.unwrap().chunk(), b"data: 2\n\n");
    assert_eq!(next().await.unwrap().chunk(), b": keep-alive\n\n");
    assert_eq!(start.elapsed().as_secs(), 40, "fifteen seconds after the last event, not the last comment");
    drop(sender);
    assert!(next().await.is_none());
}

#[tokio::test]
async fn a_dropped_body_is_told_to_its_feeder() {
    let (sender, body) = channel(1);
    assert!(!sender.is_closed());
    drop(body);
    sender.closed().await;
    assert_eq!(sender.send(Event::default()).await, Err(Closed));
    assert!(sender.try_send(Event::default()).is_err());
}
