use super::*;
use crate::address::Class;
use crate::attempt::End;

#[tokio::test]
async fn a_granted_name_is_reached() {
    let world = World::of(&["loopback api.example.org"]).await;
    let mut client = world.reach("api.example.org").await;
    client.write_all(b"ping").await.unwrap();
    let mut server = world.accept().await;
    let mut bytes = [0; 4];
    server.read_exact(&mut bytes).await.unwrap();
    server.write_all(b"pong!").await.unwrap();
    drop(server);
    assert_eq!(rest(&mut client).await.unwrap(), b"pong!");
    drop(client);

    let told = world.seen.wait(2).await;
    let allowed = Attempt {
        name: Some("api.example.org".to_owned()),
        address: Some(OUTSIDE.into()),
        port: world.port,
        protocol: Protocol::Tcp,
        verdict: Verdict::Allowed,
        times: 1,
    };
    assert_eq!(told[0], allowed);
    let Verdict::Ended(traffic) = &told[1].verdict else { panic!("{:?}", told[1]) };
    assert_eq!((traffic.bytes_out, traffic.bytes_in, &traffic.end), (4, 5, &End::Closed));
    assert_eq!(Attempt { verdict: Verdict::Allowed, ..told[1].clone() }, allowed);
}

/// SSH, SMTP, MySQL and others.
#[tokio::test]
async fn a_server_may_speak_first() {
    let world = World::of(&["loopback mail.example.org"]).await;
    let mut client = world.reach("mail.example.org").await;
    let mut server = world.accept().await;
    server.write_all(b"220 mail").await.unwrap();
    let mut greeting = [0; 8];
    client.read_exact(&mut greeting).await.unwrap();
    client.write_all(b"EHLO").await.unwrap();
    let mut answer = [0; 4];
    server.read_exact(&mut answer).await.unwrap();
    assert_eq!((&greeting, &answer), (b"220 mail", b"EHLO"));
}

#[tokio::test]
async fn one_side_may_end_while_the_other_goes_on() {
    let world = World::of(&["loopback a.example.org"]).await;
    let mut client = world.reach("a.example.org").await;
    client.write_all(b"all of it").await.unwrap();
    client.shutdown().await.unwrap();
    let mut server = world.accept().await;
    assert_eq!(rest(&mut server).await.unwrap(), b"all of it");
    let answer = vec![7; 3_000_000];
    server.write_all(&answer).await.unwrap();
    drop(server);
    assert!(rest(&mut client).await.unwrap() == answer);
    let told = world.seen.wait(2).await;
    assert_eq!(end(&told[1]), &End::Closed);
}

#[tokio::test]
async fn a_client_that_says_nothing_and_ends_still_gets_its_answer() {
    let world = World::of(&["loopback time.example.org"]).await;
    let mut client = world.reach("time.example.org").await;
    client.shutdown().await.unwrap();
    let mut server = world.accept().await;
    server.write_all(b"noon").await.unwrap();
    drop(server);
    assert_eq!(rest(&mut client).await.unwrap(), b"noon");
}

#[tokio::test]
async fn a_reset_is_passed_on_in_both_directions() {
    let world = World::of(&["loopback a.example.org"]).await;
    for is_from_server in [true, false] {
        let mut client = world.reach("a.example.org").await;
        client.write_all(b"x").await.unwrap();
        let mut server = world.accept().await;
        server.read_u8().await.unwrap();
        world.seen.wait(1).await;
        let (gone, mut other) = if is_from_server { (server, client) } else { (client, server) };
        gone.set_zero_linger().unwrap();
        drop(gone);
        assert!(is_reset(&mut other).await);
        assert_eq!(end(&world.seen.wait(1).await[0]), &End::Broken);
    }
}

#[tokio::test]
async fn an_address_that_stands_for_nothing_is_reset() {
    let world = World::of(&["loopback a.example.org"]).await;
    let address = IpAddr::from(Ipv4Addr::new(127, 1, 0, 2));
    let mut client = world.dial(address).await;
    assert!(is_reset(&mut client).await);
    let told = world.seen.wait(1).await;
    assert_eq!(reason(&told[0]), &Reason::NotGranted);
    assert_eq!((told[0].name.as_deref(), told[0].address, told[0].port), (None, Some(address), world.port));
}

#[tokio::test]
async fn a_name_that_is_granted_with_another_port_is_not_reached() {
    let world = World::with(&["loopback a.example.org"], |rules| {
        let [granted] = rules.policy.destinations() else { panic!("one grant") };
        let other = "loopback b.example.org:1".parse().expect("a destination");
        rules.policy = Policy::new([granted.clone(), other]);
    })
    .await;
    let mut client = world.reach("b.example.org").await;
    assert!(is_reset(&mut client).await);
    let told = world.seen.wait(1).await;
    assert_eq!(reason(&told[0]), &Reason::PortNotGranted);
    assert_eq!(told[0].name.as_deref(), Some("b.example.org"));
}

/// With the grant that says so, the same name is reached: `a_granted_name_is_reached`.
#[tokio::test]
async fn a_name_that_stands_for_this_machine_is_not_reached_unless_that_is_granted() {
    let world = World::of(&["a.example.org"]).await;
    let mut client = world.reach("a.example.org").await;
    client.write_all(b"GET /admin HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(is_reset(&mut client).await);
    let told = world.seen.wait(1).await;
    assert_eq!(reason(&told[0]), &Reason::Address(Class::Loopback));
    assert_eq!(told[0].address, Some(OUTSIDE.into()));
    assert!(world.is_untouched().await);
}

#[tokio::test]
async fn a_name_that_cannot_be_reached_is_reset() {
    let world = World::with(&["loopback a.example.org"], |rules| {
        rules.resolver = Arc::new(Fixed(vec![Ipv4Addr::new(127, 9, 0, 2).into()]));
    })
    .await;
    let mut client = world.reach("a.example.org").await;
    client.write_all(b"x").await.unwrap();
    assert!(is_reset(&mut client).await);
    assert_eq!(reason(&world.seen.wait(1).await[0]), &Reason::Unreachable);
}

#[tokio::test]
async fn questions_come_over_tcp_as_well() {
    let gate = Arc::new(gate(&["a.example.org:443"]));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks { tracker: TaskTracker::new(), stop: CancellationToken::new() };
    tasks.spawn(lookups::connections(gate, watched(listener).unwrap(), tasks.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Two questions at once, in pieces.
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x07example\x03org\0\0\x01\0\x01";
    let framed = [&[0, question.len() as u8], question.as_slice()].concat();
    let both = [framed.as_slice(), &framed].concat();
    let (first, second) = both.split_at(20);
    stream.write_all(first).await.unwrap();
    stream.write_all(second).await.unwrap();
    for _ in 0..2 {
        let length = stream.read_u16().await.unwrap();
        let mut answer = vec![0; length.into()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer[answer.len() - 4..], &[127, 1, 0, 1]);
    }
    // What is no question ends it.
    stream.write_all(&[0xff, 0xff, 0]).await.unwrap();
    assert!(rest(&mut stream).await.unwrap_or_default().is_empty());
    tasks.stop.cancel();
}

#[tokio::test]
async fn what_goes_astray_is_told() {
    let world = World::of(&["loopback a.example.org"]).await;
    let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 93, 184, 216, 34, 127, 0, 0, 1, 0, 80];
    packet.resize(40, 0);
    world.stray.send(&packet).unwrap();
    let told = world.seen.wait(1).await;
    assert_eq!((told[0].address, told[0].port), (Some(Ipv4Addr::new(93, 184, 216, 34).into()), 80));
}

#[tokio::test]
async fn everything_ends_with_the_cell() {
    let world = World::of(&["loopback a.example.org"]).await;
    let mut carried = world.reach("a.example.org").await;
    carried.write_all(b"x").await.unwrap();
    let mut server = world.accept().await;
    server.read_u8().await.unwrap();
    world.seen.wait(1).await;
    // This one has not said anything yet.
    let mut early = world.reach("a.example.org").await;
    let (port, outside) = (world.port, Ipv4Addr::new(127, 1, 0, 1));
    let told = world.end().await;
    assert_eq!(end(&told[0]), &End::Stopped);
    assert!(is_reset(&mut carried).await);
    assert!(is_reset(&mut server).await);
    assert!(is_reset(&mut early).await);
    assert!(TcpStream::connect((outside, port)).await.is_err());
}

#[tokio::test]
async fn everything_ends_when_nobody_waits_for_it() {
    let world = World::of(&["loopback a.example.org"]).await;
    let mut carried = world.reach("a.example.org").await;
    carried.write_all(b"x").await.unwrap();
    let mut server = world.accept().await;
    server.read_u8().await.unwrap();
    world.abandon.cancel();
    assert!(is_reset(&mut carried).await);
    assert!(is_reset(&mut server).await);
}
