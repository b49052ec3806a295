use tokio::time::timeout;

use super::*;

const MOMENT: Duration = Duration::from_millis(10);

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn streams(events_max: usize, bytes_max: usize) -> Streams {
    Streams::new(StreamLimits { events_max, bytes_max, ..StreamLimits::default() })
}

/// Everything up to the end of a subscription, as `id data`.
async fn rest(mut subscription: Subscription) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(event) = subscription.next().await {
        seen.push(line(&event));
    }
    seen
}

fn line(event: &Event) -> String {
    format!("{} {}", event.id.as_deref().unwrap(), String::from_utf8_lossy(&event.data))
}

/// Takes the events that are there.
async fn now(subscription: &mut Subscription) -> Vec<String> {
    let mut seen = Vec::new();
    while let Ok(Some(event)) = timeout(Duration::ZERO, subscription.next()).await {
        seen.push(line(&event));
    }
    seen
}

#[tokio::test]
async fn a_call_is_read_to_its_response() {
    let streams = streams(10, 1000);
    let (writer, subscription) = streams.open(None);
    writer.send(bytes("progress")).await.unwrap();
    writer.finish(bytes("response")).await.unwrap();
    assert_eq!(writer.send(bytes("late")).await, Err(StreamEnded));
    assert_eq!(rest(subscription).await, ["1-1 progress", "1-2 response"]);
}

#[tokio::test]
async fn a_primed_stream_begins_with_an_empty_event() {
    let streams = streams(10, 1000);
    let retry = Some(Duration::from_secs(3));
    let (writer, mut subscription) = streams.open(Some(Prime { retry }));
    let first = subscription.next().await.unwrap();
    assert_eq!((line(&first).as_str(), first.retry), ("1-0 ", retry));
    writer.send(bytes("a")).await.unwrap();
    drop(subscription);
    writer.finish(bytes("b")).await.unwrap();
    let resumed = streams.resume("1-0", None).unwrap();
    assert_eq!(rest(resumed).await, ["1-1 a", "1-2 b"]);
    let resumed = streams.resume("1-1", Some(Prime::default())).unwrap();
    assert_eq!(rest(resumed).await, ["1-1 ", "1-2 b"]);
}

#[tokio::test]
async fn a_resumed_stream_replays_its_own_events_and_goes_on_live() {
    let streams = streams(10, 1000);
    let (one, mut first) = streams.open(None);
    let (two, second) = streams.open(None);
    for text in ["a", "b", "c"] {
        one.send(bytes(text)).await.unwrap();
        two.send(bytes("other")).await.unwrap();
    }
    assert_eq!(now(&mut first).await, ["1-1 a", "1-2 b", "1-3 c"]);
    drop(first);
    one.send(bytes("d")).await.expect("a lost connection is not a cancellation");
    let mut resumed = streams.resume("1-2", None).unwrap();
    assert_eq!(now(&mut resumed).await, ["1-3 c", "1-4 d"]);
    let (event, sent) = tokio::join!(resumed.next(), one.send(bytes("live")));
    sent.unwrap();
    assert_eq!(line(&event.unwrap()), "1-5 live");
    drop((one, two));
    assert_eq!(rest(resumed).await, Vec::<String>::new());
    assert_eq!(rest(second).await.len(), 3);
}

#[tokio::test]
async fn the_newest_reader_takes_over() {
    let streams = streams(10, 1000);
    let mut old = streams.attach_general(None);
    assert!(streams.push_general(bytes("a")));
    assert_eq!(now(&mut old).await, ["0-1 a"]);
    let (end, mut new) = tokio::join!(old.next(), async { streams.attach_general(None) });
    assert!(end.is_none(), "the old one is woken and ends");
    drop(old);
    assert!(streams.push_general(bytes("b")));
    assert_eq!(
        now(&mut new).await,
        ["0-2 b"],
        "each message goes to one reader, the old one's end changes nothing"
    );
    let mut resumed = streams.resume("0-1", None).unwrap();
    assert_eq!(now(&mut resumed).await, ["0-2 b"]);
    assert!(new.next().await.is_none());
}

#[tokio::test]
async fn general_messages_wait_for_a_reader_within_the_limits() {
    let streams = streams(3, 1000);
    for text in ["a", "b", "c", "d", "e"] {
        assert!(streams.push_general(bytes(text)));
    }
    let mut general = streams.attach_general(None);
    assert_eq!(now(&mut general).await, ["0-3 c", "0-4 d", "0-5 e"]);
    assert_eq!(streams.resume("0-1", None).unwrap_err(), ResumeFault::Forgotten);
    assert!(streams.resume("0-2", None).is_ok());
}

#[tokio::test]
async fn what_was_never_given_out_cannot_be_resumed() {
    let streams = streams(10, 1000);
    let (writer, _subscription) = streams.open(None);
    writer.send(bytes("a")).await.unwrap();
    for id in
        ["", "1", "1-", "-1", "1-2", "2-0", "0-0", "01-1", "1-01", "+1-1", "1-1-1", "x-1", "1-fffffffff"]
    {
        assert_eq!(streams.resume(id, None).unwrap_err(), ResumeFault::Unknown, "{id:?}");
    }
    assert!(streams.resume("1-1", None).is_ok());
}

#[tokio::test]
async fn a_slow_reader_holds_its_writer_back_and_an_absent_one_does_not() {
    let streams = streams(100, 10);
    let (writer, mut reader) = streams.open(None);
    writer.send(bytes("12345678")).await.unwrap();
    timeout(MOMENT, writer.send(bytes("abc"))).await.expect_err("the reader has to take something first");
    let (sent, event) = tokio::join!(writer.send(bytes("abc")), reader.next());
    sent.unwrap();
    assert_eq!(line(&event.unwrap()), "1-1 12345678");
    timeout(MOMENT, writer.send(bytes("12345678"))).await.expect_err("`abc` is not taken yet");
    let (sent, ()) = tokio::join!(writer.send(bytes("12345678")), async { drop(reader) });
    sent.unwrap();
    assert_eq!(streams.resume("1-1", None).unwrap_err(), ResumeFault::Forgotten);
    let mut resumed = streams.resume("1-2", None).unwrap();
    assert_eq!(now(&mut resumed).await, ["1-3 12345678"]);
}

#[tokio::test]
async fn one_event_may_be_longer_than_the_limit() {
    let streams = streams(100, 10);
    let (writer, reader) = streams.open(None);
    writer.finish(Bytes::from(vec![b'x'; 100])).await.unwrap();
    assert_eq!(rest(reader).await.len(), 1);
    let (writer, reader) = streams.open(None);
    writer.finish(bytes("next")).await.unwrap();
    assert_eq!(rest(reader).await, ["2-1 next"], "what was read makes room");
}

#[tokio::test(start_paused = true)]
async fn a_finished_stream_is_kept_for_a_while() {
    let streams = streams(10, 1000);
    let (writer, reader) = streams.open(None);
    writer.finish(bytes("response")).await.unwrap();
    drop((writer, reader));
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(rest(streams.resume("1-0", None).unwrap()).await, ["1-1 response"]);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(streams.resume("1-0", None).unwrap_err(), ResumeFault::Unknown);
    for _ in 0..100 {
        let (writer, _) = streams.open(None);
        writer.finish(bytes("response")).await.unwrap();
    }
    streams.sweep();
    assert!(
        streams.resume("51-0", None).is_err() && streams.resume("65-0", None).is_ok(),
        "and not too many"
    );
}

#[tokio::test]
async fn a_writer_that_is_dropped_ends_its_stream() {
    let streams = streams(10, 1000);
    let (writer, mut reader) = streams.open(None);
    let (end, ()) = tokio::join!(reader.next(), async { drop(writer) });
    assert!(end.is_none());
}

#[tokio::test]
async fn a_hung_up_stream_goes_on_elsewhere() {
    let streams = streams(10, 1000);
    let (writer, mut reader) = streams.open(None);
    let (end, ()) = tokio::join!(reader.next(), async { writer.hang_up() });
    assert!(end.is_none());
    writer.finish(bytes("response")).await.unwrap();
    assert_eq!(rest(streams.resume("1-0", None).unwrap()).await, ["1-1 response"]);
}

#[tokio::test]
async fn a_closed_session_ends_everything() {
    let streams = streams(10, 4);
    let (writer, mut reader) = streams.open(None);
    let mut general = streams.attach_general(None);
    writer.send(bytes("1234")).await.unwrap();
    let (blocked, ()) = tokio::join!(writer.send(bytes("5678")), async { streams.close() });
    assert_eq!(blocked, Err(StreamEnded));
    assert!(reader.next().await.is_none() && general.next().await.is_none());
    assert!(!streams.push_general(bytes("x")));
    assert!(streams.attach_general(None).next().await.is_none());
    let (late, mut reader) = streams.open(None);
    assert_eq!(late.send(bytes("x")).await, Err(StreamEnded));
    assert!(reader.next().await.is_none());
}

/// A small generator of numbers (Knuth's MMIX constants), so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

#[test]
fn whatever_happens_the_accounts_are_right_and_readers_see_no_gap_they_were_not_told_of() {
    const EVENTS: usize = 12;
    let mut cx = Context::from_waker(std::task::Waker::noop());
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let streams = streams(EVENTS, 60);
        let mut writers: Vec<StreamWriter> = Vec::new();
        // A reader, and the event it has to see next.
        let mut readers: Vec<(Subscription, Option<Position>)> = Vec::new();
        let mut ids = vec!["0-0".to_owned()];
        for _ in 0..400 {
            match dice.roll(9) {
                0 if writers.len() < 5 => {
                    let (writer, reader) = streams.open(None);
                    writers.push(writer);
                    readers.push((reader, None));
                }
                1 => assert!(streams.push_general(Bytes::from(vec![b'g'; dice.roll(20)]))),
                2 => readers.push((streams.attach_general(None), None)),
                3 => {
                    let id = &ids[dice.roll(ids.len())];
                    if let Ok(reader) = streams.resume(id, None) {
                        let last = Position::parse(id).unwrap();
                        readers.push((reader, Some(Position { seq: last.seq + 1, ..last })));
                    }
                }
                4 if !readers.is_empty() => drop(readers.swap_remove(dice.roll(readers.len()))),
                5 if !writers.is_empty() => drop(writers.swap_remove(dice.roll(writers.len()))),
                6 | 7 if !writers.is_empty() => {
                    let message = Bytes::from(vec![b'c'; dice.roll(20)]);
                    let writer = &writers[dice.roll(writers.len())];
                    // A writer that has to wait gives up.
                    let _ = std::pin::pin!(writer.send(message)).poll(&mut cx);
                }
                _ if !readers.is_empty() => {
                    let at = dice.roll(readers.len());
                    let (reader, due) = &mut readers[at];
                    if let Poll::Ready(Some(event)) = reader.poll_next(&mut cx) {
                        let id = event.id.unwrap();
                        let seen = Position::parse(&id).unwrap();
                        assert!(
                            due.is_none_or(|due| due == seen || seen.stream == GENERAL),
                            "{due:?} {seen:?}"
                        );
                        *due = Some(Position { seq: seen.seq + 1, ..seen });
                        ids.push(id.into());
                    }
                }
                _ => {}
            }
            let (events, _) = streams.shared.lock().audit();
            assert!(events <= EVENTS + streams.shared.lock().len(), "{events} events");
        }
        streams.close();
        assert_eq!(streams.shared.lock().audit(), (0, 0));
    }
}

#[test]
fn an_idle_session_is_small() {
    let size = size_of::<Shared>() + size_of::<Streams>();
    assert!(size < 512, "{size} bytes");
}
