use std::future::pending;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;

use super::*;
use crate::address::Class;
use crate::policy::Policy;
use crate::resolver::Resolving;

/// Answers with one list after another, and with the last one from then on.
#[derive(Debug)]
struct Scripted {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Scripted {
    fn new(answers: &[&[&str]]) -> Arc<Scripted> {
        let answer = |answer: &&[&str]| answer.iter().map(|text| text.parse().expect("an address")).collect();
        Arc::new(Scripted { answers: answers.iter().map(answer).collect(), asked: AtomicUsize::new(0) })
    }
}

impl Resolver for Scripted {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolving<'a> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        Box::pin(async move { Ok(self.answers[asked].clone()) })
    }
}

#[derive(Debug)]
struct Silent;

impl Resolver for Silent {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolving<'a> {
        Box::pin(pending())
    }
}

#[derive(Debug)]
struct Failing;

impl Resolver for Failing {
    fn resolve<'a>(&'a self, _name: &'a str) -> Resolving<'a> {
        Box::pin(async { Err(io::Error::other("no such name")) })
    }
}

fn target(word: &str) -> Target {
    let name = Name::parse("a.example.org").expect("a name");
    let grant = format!("{word} a.example.org:443");
    let policy = Policy::new([grant.trim().parse().expect("a destination")]);
    let reaches = policy.reaches(&name, 443).expect("granted");
    Target::Name(name, reaches)
}

async fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    (listener, port)
}

async fn failure(resolver: Arc<dyn Resolver>, word: &str) -> Failure {
    let (_listener, port) = listener().await;
    Dialer::new(resolver).dial(&target(word), port).await.map(|_| ()).expect_err("refused")
}

#[tokio::test]
async fn names_that_stand_for_what_was_not_granted_reach_nothing() {
    for (word, answer, class) in [
        ("", "127.0.0.1", Class::Loopback),
        ("", "::1", Class::Loopback),
        ("", "::ffff:127.0.0.1", Class::Loopback),
        ("", "10.0.0.1", Class::Private),
        ("", "::ffff:10.0.0.1", Class::Private),
        ("", "64:ff9b::a00:1", Class::Private),
        ("", "fe80::1", Class::LinkLocal),
        ("", "169.254.169.254", Class::Metadata),
        ("", "0.0.0.0", Class::Unspecified),
        ("", "255.255.255.255", Class::Multicast),
        ("private", "127.0.0.1", Class::Loopback),
        ("private", "fd00:ec2::254", Class::Metadata),
        ("link-local", "169.254.169.254", Class::Metadata),
        ("loopback", "0.0.0.0", Class::Unspecified),
        ("loopback", "192.168.255.254", Class::Private),
        ("private", "1.1.1.1", Class::Public),
    ] {
        let failure = failure(Scripted::new(&[&[answer]]), word).await;
        assert_eq!(failure.reason, Reason::Address(class), "{word} {answer}");
        let address = answer.parse::<IpAddr>().expect("an address").to_canonical();
        assert_eq!(failure.address, Some(address));
    }
}

#[tokio::test]
async fn a_name_is_resolved_once_and_the_judged_address_is_dialed() {
    let (listener, port) = listener().await;
    let resolver = Scripted::new(&[&["127.0.0.1"], &["10.0.0.1"]]);
    let dialer = Dialer::new(resolver.clone());
    let (stream, address) = dialer.dial(&target("loopback"), port).await.expect("a connection");
    assert_eq!(address, Ipv4Addr::LOCALHOST);
    assert_eq!(stream.peer_addr().expect("its peer").ip(), address);
    assert_eq!(resolver.asked.load(Ordering::SeqCst), 1);
    drop(listener);
}

#[tokio::test]
async fn of_a_mixed_answer_only_what_is_granted_is_dialed() {
    let (_listener, port) = listener().await;
    let mixed = Scripted::new(&[&["10.0.0.1", "169.254.169.254", "127.0.0.1"]]);
    let (_, address) = Dialer::new(mixed).dial(&target("loopback"), port).await.expect("a connection");
    assert_eq!(address, Ipv4Addr::LOCALHOST);
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_followed_by_the_next() {
    let (_listener, port) = listener().await;
    let two = Scripted::new(&[&["127.9.9.9", "127.0.0.1"]]);
    let (_, address) = Dialer::new(two).dial(&target("loopback"), port).await.expect("a connection");
    assert_eq!(address, Ipv4Addr::LOCALHOST);
}

#[tokio::test]
async fn only_the_first_addresses_of_an_answer_count() {
    let far = [["10.0.0.1"; ADDRESSES_MAX].as_slice(), &["127.0.0.1"]].concat();
    let failure = failure(Scripted::new(&[&far]), "loopback").await;
    assert_eq!(failure.reason, Reason::Address(Class::Private));
}

#[tokio::test]
async fn nobody_listens_there() {
    let (listener, port) = listener().await;
    drop(listener);
    let dialer = Dialer::new(Scripted::new(&[&["127.0.0.1"]]));
    let failure = dialer.dial(&target("loopback"), port).await.map(|_| ()).expect_err("refused");
    let address = Some(Ipv4Addr::LOCALHOST.into());
    assert_eq!(failure, Failure { reason: Reason::Unreachable, address });
}

#[tokio::test]
async fn a_name_that_stands_for_nothing() {
    for resolver in [Arc::new(Failing) as Arc<dyn Resolver>, Scripted::new(&[&[]])] {
        assert_eq!(failure(resolver, "").await, Failure { reason: Reason::Unresolved, address: None });
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_does_not_answer_is_given_up() {
    let begun = Instant::now();
    let failure =
        Dialer::new(Arc::new(Silent)).dial(&target(""), 443).await.map(|_| ()).expect_err("refused");
    assert_eq!(failure.reason, Reason::Unresolved);
    assert_eq!(begun.elapsed(), RESOLVE_TIME_MAX);
}

#[tokio::test]
async fn an_address_that_was_granted_as_such_needs_no_name() {
    let (_listener, port) = listener().await;
    let target = Target::Address(Ipv4Addr::LOCALHOST.into());
    let (_, address) = Dialer::new(Arc::new(Failing)).dial(&target, port).await.expect("a connection");
    assert_eq!(address, Ipv4Addr::LOCALHOST);
}
