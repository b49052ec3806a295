use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::task::TaskTracker;

use super::*;
use crate::link::LinkFault;

const LIMIT: usize = 16;

/// Feeds `input` in chunks of `step` bytes and gathers every line.
async fn read_all(input: &[u8], step: usize) -> Vec<Line> {
    let (mut tx, rx) = tokio::io::duplex(step);
    let input = input.to_vec();
    let tasks = TaskTracker::new();
    tasks.spawn(async move { tx.write_all(&input).await });
    let mut reader = LineReader::new(rx, LIMIT);
    let mut lines = Vec::new();
    while let Some(line) = reader.next().await.unwrap() {
        lines.push(line);
    }
    lines
}

fn frame(text: &'static str) -> Line {
    Line::Frame(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn lines_are_cut_wherever_the_chunks_end() {
    let input = b"{\"a\":1}\n\n  \r\n{\"b\":2}\r\n0123456789abcdef\r\n0123456789abcdefg\n0123456789abcdef0123456789abcdef0123\nlast";
    let expected = vec![
        frame("{\"a\":1}"),
        frame("{\"b\":2}"),
        frame("0123456789abcdef"),
        Line::TooLong { bytes: 17 },
        Line::TooLong { bytes: 36 },
        frame("last"),
    ];
    for step in 1..=input.len() {
        assert_eq!(read_all(input, step).await, expected, "in chunks of {step}");
    }
}

#[tokio::test]
async fn an_endless_line_takes_bounded_memory() {
    let (mut tx, rx) = tokio::io::duplex(64 * 1024);
    let tasks = TaskTracker::new();
    tasks.spawn(async move {
        for _ in 0..1024 {
            tx.write_all(&[b'x'; 8 * 1024]).await.unwrap();
        }
        tx.write_all(b"\nafter\n").await.unwrap();
    });
    let mut reader = LineReader::new(rx, 32 * 1024);
    assert_eq!(reader.next().await.unwrap(), Some(Line::TooLong { bytes: 8 * 1024 * 1024 }));
    assert_eq!(reader.next().await.unwrap(), Some(frame("after")));
    assert_eq!(reader.next().await.unwrap(), None);
    assert_eq!(reader.next().await.unwrap(), None, "the end stays the end");
}

#[tokio::test]
async fn a_reader_that_is_dropped_in_the_middle_of_a_wait_loses_nothing() {
    let (mut tx, rx) = tokio::io::duplex(64);
    let mut reader = LineReader::new(rx, LIMIT);
    tx.write_all(b"half").await.unwrap();
    tokio::time::timeout(Duration::from_millis(1), reader.next()).await.unwrap_err();
    tx.write_all(b" whole\n").await.unwrap();
    assert_eq!(reader.next().await.unwrap(), Some(frame("half whole")));
}

#[tokio::test]
async fn frames_are_written_one_per_line_and_in_order() {
    let tasks = TaskTracker::new();
    let (sink, mut source) = tokio::io::duplex(1024);
    let sender = writer(sink, 4, &tasks);
    let long = "x".repeat(40_000);
    let frames = ["{}".to_owned(), long.clone(), "[1]".to_owned(), long];
    let mut expected = String::new();
    for frame in &frames {
        expected.push_str(frame);
        expected.push('\n');
    }
    tasks.spawn(async move {
        for frame in frames {
            sender.send(Bytes::from(frame)).await.unwrap();
        }
    });
    let mut written = String::new();
    source.read_to_string(&mut written).await.unwrap();
    assert_eq!(written, expected, "and the pipe is closed when the last sender is gone");
}

#[tokio::test]
async fn a_frame_with_a_line_break_is_refused() {
    let tasks = TaskTracker::new();
    let (sink, _source) = tokio::io::duplex(64);
    let sender = writer(sink, 1, &tasks);
    for text in ["{}\n{}", "{}\r", "\n"] {
        assert_eq!(sender.send(Bytes::from_static(text.as_bytes())).await, Err(LinkFault::LineBreak));
    }
}

#[tokio::test]
async fn a_closed_pipe_is_told_to_the_sender() {
    let tasks = TaskTracker::new();
    let (sink, source) = tokio::io::duplex(64);
    let sender = writer(sink, 1, &tasks);
    drop(source);
    while sender.send(Bytes::from_static(b"{}")).await.is_ok() {}
    sender.closed().await;
    assert_eq!(sender.try_send(Bytes::from_static(b"{}")), Err(LinkFault::Closed));
}

#[tokio::test]
async fn a_full_queue_holds_the_sender_back() {
    let tasks = TaskTracker::new();
    let (sink, _source) = tokio::io::duplex(1);
    let sender = writer(sink, 1, &tasks);
    let frame = Bytes::from_static(b"0123456789");
    tokio::time::timeout(Duration::from_millis(50), async {
        loop {
            sender.send(frame.clone()).await.unwrap();
        }
    })
    .await
    .unwrap_err();
    assert_eq!(sender.try_send(frame), Err(LinkFault::Full));
}

#[test]
fn a_ring_keeps_the_end_and_starts_at_a_whole_line() {
    let ring = Ring::new(12);
    ring.push(b"one\n");
    assert_eq!(ring.text(), "one\n");
    ring.push(b"second\nthree\xff\n");
    assert_eq!(ring.text(), "three\u{fffd}\n", "`second` lost its beginning");
    assert_eq!(ring.total(), 18);
    ring.push(&[b'x'; 100]);
    assert_eq!(ring.text(), "x".repeat(12), "a text without a line end is shown as far as it is kept");
    ring.push(b"\na\nb\nc\n");
    assert_eq!(ring.lines(2), ["b", "c"]);
}

#[tokio::test]
async fn a_stream_is_collected_to_its_end() {
    let ring = Ring::new(1024);
    collect(&b"hello\nworld\n"[..], ring.clone()).await;
    assert_eq!(ring.lines(10), ["hello", "world"]);
}
