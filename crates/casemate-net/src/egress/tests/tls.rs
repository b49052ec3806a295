use super::*;
use crate::attempt::End;
use crate::hello::samples::{encrypted, named, nameless, pieces};

/// Dials `a.example.org` and says that first, all at once.
async fn say(world: &World, first: &[u8]) -> TcpStream {
    let mut client = world.reach("a.example.org").await;
    client.write_all(first).await.unwrap();
    client
}

async fn world() -> World {
    World::of(&["loopback a.example.org", "loopback b.example.org"]).await
}

#[tokio::test]
async fn a_handshake_for_the_name_that_was_dialed_arrives_as_it_was() {
    let world = world().await;
    for name in ["a.example.org", "A.Example.ORG"] {
        let hello = named(name);
        let client = say(&world, &hello).await;
        let mut server = world.accept().await;
        let mut arrived = vec![0; hello.len()];
        server.read_exact(&mut arrived).await.unwrap();
        assert_eq!(arrived, hello);
        drop((client, server));
        assert_eq!(world.seen.wait(2).await[0].verdict, Verdict::Allowed);
    }
}

#[tokio::test]
async fn a_handshake_for_another_server_is_refused() {
    let world = world().await;
    let differs = |asked: &str| Reason::ServerNameDiffers { asked: asked.to_owned() };
    for (hello, expected) in [
        // Granted as well, but not dialed.
        (named("b.example.org"), differs("b.example.org")),
        (named("evil.net"), differs("evil.net")),
        (named("a.example.org.evil.net"), differs("a.example.org.evil.net")),
        (named("evil-a.example.org"), differs("evil-a.example.org")),
        (named("a.example.org."), differs("a.example.org.")),
        (named("a.example.org\0.evil.net"), differs("a.example.org\\x00.evil.net")),
        (nameless(), Reason::ServerNameMissing),
        (encrypted("a.example.org"), Reason::ServerNameEncrypted),
        ([22, 3, 1, 0, 0].to_vec(), Reason::Handshake),
    ] {
        let mut client = say(&world, &hello).await;
        assert!(is_reset(&mut client).await, "{expected:?}");
        assert_eq!(reason(&world.seen.wait(1).await[0]), &expected);
    }
    assert!(world.is_untouched().await);
}

#[tokio::test]
async fn a_handshake_in_pieces_is_judged_as_a_whole() {
    let world = world().await;
    for (name, is_allowed) in [("a.example.org", true), ("b.example.org", false)] {
        // In several records, each of which arrives byte by byte.
        let hello = pieces(&named(name), 50);
        let mut client = world.reach("a.example.org").await;
        client.set_nodelay(true).unwrap();
        for byte in &hello {
            client.write_all(&[*byte]).await.unwrap();
        }
        let told = world.seen.wait(1).await;
        if is_allowed {
            assert_eq!(told[0].verdict, Verdict::Allowed);
            let mut arrived = vec![0; hello.len()];
            world.accept().await.read_exact(&mut arrived).await.unwrap();
            assert_eq!(arrived, hello);
            drop(client);
            world.seen.wait(1).await;
        } else {
            assert!(matches!(reason(&told[0]), Reason::ServerNameDiffers { .. }));
            assert!(world.is_untouched().await);
        }
    }
}

/// A client that waits until it is taken for one whose server speaks first gains nothing by it.
#[tokio::test]
async fn a_handshake_that_comes_late_is_judged_all_the_same() {
    let world = world().await;
    let mut client = world.reach("a.example.org").await;
    let mut server = world.accept().await;
    let told = world.seen.wait(1).await;
    assert_eq!(told[0].verdict, Verdict::Allowed);
    client.write_all(&named("evil.net")).await.unwrap();
    assert!(is_reset(&mut client).await);
    assert!(is_reset(&mut server).await);
    let told = world.seen.wait(1).await;
    let Verdict::Ended(traffic) = &told[0].verdict else { panic!("{told:?}") };
    let differs = Reason::ServerNameDiffers { asked: "evil.net".to_owned() };
    assert_eq!((traffic.bytes_out, &traffic.end), (0, &End::Cut(differs)));
}

#[tokio::test]
async fn what_is_no_handshake_needs_no_server_name() {
    let world = world().await;
    let _client = say(&world, b"GET / HTTP/1.1\r\nHost: a.example.org\r\n\r\n").await;
    let mut server = world.accept().await;
    let mut arrived = [0; 3];
    server.read_exact(&mut arrived).await.unwrap();
    assert_eq!(&arrived, b"GET");
}
