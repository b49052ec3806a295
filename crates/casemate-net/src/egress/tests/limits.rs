use super::*;
use crate::attempt::End;
use crate::quotas::Quota;

async fn world(change: impl FnOnce(&mut Quotas)) -> World {
    World::with(&["loopback a.example.org"], |rules| change(&mut rules.quotas)).await
}

/// A connection that stands.
async fn stands(world: &World) -> (TcpStream, TcpStream) {
    let mut client = world.reach("a.example.org").await;
    client.write_all(b"x").await.unwrap();
    let mut server = world.accept().await;
    assert_eq!(server.read_u8().await.unwrap(), b'x');
    assert_eq!(world.seen.wait(1).await[0].verdict, Verdict::Allowed);
    (client, server)
}

async fn cut(world: &World) -> Quota {
    let told = world.seen.wait(1).await;
    match end(&told[0]) {
        End::Cut(Reason::Quota(quota)) => *quota,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bytes_that_leave() {
    let world = world(|quotas| quotas.bytes_out_max = 100_000).await;
    let (mut client, mut server) = stands(&world).await;
    let written = client.write_all(&vec![0; 200_000]).await;
    let mut arrived = 1;
    let mut piece = vec![0; 10_000];
    while let Ok(length @ 1..) = server.read(&mut piece).await {
        arrived += length;
    }
    assert!(arrived <= 100_000, "{arrived}");
    // Whoever hears of the reset first hears of it alone.
    assert!(written.is_err() || is_reset(&mut client).await);
    assert_eq!(cut(&world).await, Quota::BytesOut);
}

#[tokio::test]
async fn bytes_that_come() {
    let world = world(|quotas| quotas.bytes_in_max = 100_000).await;
    let (mut client, mut server) = stands(&world).await;
    let _ = server.write_all(&vec![0; 200_000]).await;
    assert!(is_reset(&mut client).await);
    assert_eq!(cut(&world).await, Quota::BytesIn);
    // It holds for all connections together.
    let mut next = world.reach("a.example.org").await;
    assert!(is_reset(&mut next).await);
    assert_eq!(reason(&world.seen.wait(1).await[0]), &Reason::Quota(Quota::BytesIn));
}

#[tokio::test]
async fn the_time_in_which_nothing_is_carried() {
    const IDLE: Duration = Duration::from_secs(1);
    let world = world(|quotas| quotas.idle_time_max = IDLE).await;
    let (mut client, mut server) = stands(&world).await;
    let begun = Instant::now();
    // What is carried in one direction keeps both open, for as long as there is no more than a moment between two bytes: a
    // machine that is busy with something else must not pass for a silence.
    let mut last = begun;
    while last.duration_since(begun) < IDLE * 3 / 2 {
        server.write_all(b"y").await.unwrap();
        client.read_u8().await.unwrap();
        last = Instant::now();
    }
    assert!(is_reset(&mut client).await);
    assert!(is_reset(&mut server).await);
    // The end is counted from when the last byte was carried, which was a moment before it arrived.
    assert!(begun.elapsed() >= IDLE * 2, "{:?}", begun.elapsed());
    assert_eq!(cut(&world).await, Quota::IdleTime);
}

#[tokio::test]
async fn the_time_of_one_connection() {
    let world = world(|quotas| quotas.connection_time_max = Duration::from_millis(200)).await;
    let (mut client, mut server) = stands(&world).await;
    assert!(is_reset(&mut client).await);
    assert!(is_reset(&mut server).await);
    assert_eq!(cut(&world).await, Quota::ConnectionTime);
}

#[tokio::test]
async fn connections_at_once() {
    let world = world(|quotas| quotas.connections_max = 2).await;
    let first = stands(&world).await;
    let _second = stands(&world).await;
    let mut third = world.reach("a.example.org").await;
    assert!(is_reset(&mut third).await);
    assert_eq!(reason(&world.seen.wait(1).await[0]), &Reason::Quota(Quota::Connections));
    drop(first);
    assert_eq!(end(&world.seen.wait(1).await[0]), &End::Closed);
    // The place is given back a moment after its end was told.
    let mut next = loop {
        let mut client = world.reach("a.example.org").await;
        client.write_all(b"x").await.unwrap();
        match tokio::time::timeout(Duration::from_millis(300), world.outside.accept()).await {
            Ok(accepted) => break accepted.unwrap().0,
            Err(_) => assert!(is_reset(&mut client).await),
        }
    };
    assert_eq!(next.read_u8().await.unwrap(), b'x');
}

/// Also a name that is not granted at all counts: scanning is slow.
#[tokio::test]
async fn a_flood_of_connections() {
    let world = world(|quotas| quotas.connections_per_minute_max = 5).await;
    let nobody = IpAddr::from(Ipv4Addr::new(127, 1, 0, 3));
    for _ in 0..200 {
        let mut client = world.dial(nobody).await;
        assert!(is_reset(&mut client).await);
    }
    let told = world.end().await;
    let counted = |wanted: &Reason| -> u64 {
        told.iter().filter(|attempt| reason(attempt) == wanted).map(|attempt| attempt.times).sum()
    };
    assert_eq!(counted(&Reason::NotGranted), 5);
    assert_eq!(counted(&Reason::Quota(Quota::ConnectionsPerMinute)), 195);
    assert!(told.len() <= 4, "{told:?}");
}

/// Questions for names without end: every one is counted, few are told.
#[tokio::test]
async fn a_flood_of_questions() {
    let seen = Arc::<Seen>::default();
    let gate = gate_with(&["a.example.org:443"], seen.clone());
    for index in 0..10_000_u32 {
        let label = format!("{index:08}");
        let question =
            [b"\0\0\x01\0\0\x01\0\0\0\0\0\0\x08", label.as_bytes(), b"\x04evil\x03net\0\0\x01\0\x01"];
        gate.answer(&question.concat()).expect("an answer");
    }
    gate.notes.settle();
    let told = seen.take();
    assert!(told.len() < 200, "{}", told.len());
    assert_eq!(told.iter().map(|attempt| attempt.times).sum::<u64>(), 10_000);
}
