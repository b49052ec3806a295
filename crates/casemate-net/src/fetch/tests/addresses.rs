use super::*;

fn reason(fault: &FetchFault) -> Option<&Reason> {
    match fault.cause() {
        FetchCause::Dial { reason, .. } => Some(reason),
        _ => None,
    }
}

#[tokio::test]
async fn an_address_over_tls_is_fetched() {
    let server = Server::with([Answer::json("{}")]).await;
    let names = Names::all_stand_for(&["127.0.0.1"]);
    let address = server.at("Issuer.Example", "/jwks?a=b");
    let fetched = fetcher(names.clone(), &server).fetch(get(&address), &open()).await.unwrap();
    assert_eq!((fetched.status, fetched.body), (StatusCode::OK, Bytes::from("{}")));
    let seen = server.seen();
    assert!(seen[0].starts_with("GET /jwks?a=b HTTP/1.1\r\n"), "{seen:?}");
    let host = address.trim_start_matches("https://").split('/').next().unwrap().to_lowercase();
    for header in
        [format!("host: {host}"), "accept: application/json".into(), "accept-encoding: identity".into()]
    {
        assert!(seen[0].contains(&format!("\r\n{header}\r\n")), "{header} in {seen:?}");
    }
    assert_eq!(*names.names.lock().unwrap(), ["issuer.example"]);
}

/// The very server that the test above reaches.
#[tokio::test]
async fn without_leave_this_machine_is_out_of_reach() {
    let server = Server::with([Answer::json("{}")]).await;
    let fetcher = at_home(&server);
    for reachable in [Reachable::public(), Reachable::public().and_private()] {
        let terms = Terms { reachable, ..Terms::default() };
        for host in ["issuer.example", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "127.8.9.10", "localhost"]
        {
            let fault = fetcher.fetch(get(&server.at(host, "/")), &terms).await.unwrap_err();
            assert_eq!(reason(&fault), Some(&Reason::Address(Class::Loopback)), "{host}");
            assert!(fault.never_sent());
        }
        let fault = fetcher.fetch(get(&server.plain_at("127.0.0.1", "/")), &terms).await.unwrap_err();
        assert!(matches!(fault.cause(), FetchCause::Plain));
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn addresses_that_nobody_may_send_us_to() {
    let server = Server::with([Answer::json("{}")]).await;
    for (address, class) in [
        ("169.254.169.254", Class::Metadata),
        ("100.100.100.200", Class::Metadata),
        ("168.63.129.16", Class::Metadata),
        ("fd00:ec2::254", Class::Metadata),
        ("::ffff:169.254.169.254", Class::Metadata),
        ("::ffff:a9fe:a9fe", Class::Metadata),
        ("64:ff9b::a9fe:a9fe", Class::Metadata),
        ("2002:a9fe:a9fe::", Class::Metadata),
        ("169.254.1.1", Class::LinkLocal),
        ("fe80::1", Class::LinkLocal),
        ("10.0.0.1", Class::Private),
        ("172.16.0.1", Class::Private),
        ("192.168.1.1", Class::Private),
        ("100.64.0.1", Class::Private),
        ("fc00::1", Class::Private),
        ("::ffff:10.0.0.1", Class::Private),
        ("0.0.0.0", Class::Unspecified),
        ("::", Class::Unspecified),
        ("224.0.0.1", Class::Multicast),
        ("ff02::1", Class::Multicast),
        ("255.255.255.255", Class::Multicast),
        ("240.0.0.1", Class::Reserved),
        ("2001::1", Class::Reserved),
    ] {
        let literal = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let by_name = fetcher(Names::all_stand_for(&[address]), &server);
        for host in ["issuer.example", &literal] {
            let fault = by_name.fetch(get(&format!("https://{host}/")), &open()).await.unwrap_err();
            assert_eq!(reason(&fault), Some(&Reason::Address(class)), "{host} {address}");
        }
    }
}

#[tokio::test]
async fn a_private_network_is_opened_by_itself_alone() {
    let server = Server::with([Answer::json("{}")]).await;
    let terms = Terms { reachable: Reachable::public().and_private(), ..Terms::default() };
    let metadata = fetcher(Names::all_stand_for(&["169.254.169.254"]), &server);
    let fault = metadata.fetch(get("https://issuer.example/"), &terms).await.unwrap_err();
    assert_eq!(reason(&fault), Some(&Reason::Address(Class::Metadata)));
    // Over plain http it stays closed, also where this machine is open.
    let both = Terms { reachable: Reachable::public().and_private().and_loopback(), ..Terms::default() };
    for address in ["10.255.255.1", "8.8.8.8"] {
        let names = fetcher(Names::all_stand_for(&[address]), &server);
        for host in ["issuer.example", address] {
            let fault = names.fetch(get(&format!("http://{host}/")), &both).await.unwrap_err();
            assert!(matches!(reason(&fault), Some(Reason::Address(_))), "{fault}");
        }
    }
}

#[test]
fn spellings_that_resolvers_read_as_addresses() {
    for host in [
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.01",
        "127.0.0.1.",
        "0",
        "1.2.3.4.5",
        "256.1.1.1",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "[127.0.0.1]",
        "[::1",
        "::1",
        "[::1%25lo]",
        "[fe80::1%lo]",
        "[::1]x",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "",
        ".",
        "a..b",
        "a b",
        "a\tb",
        "a\0b",
        "%31%32%37.0.0.1",
        "exa%6dple.org",
        "-a.org",
        "a_b!.org",
    ] {
        for text in [format!("https://{host}/"), format!("https://{host}:443/x"), format!("http://{host}")] {
            assert!(Url::parse(&text).is_err(), "{text:?}");
        }
    }
}

#[test]
fn texts_that_are_no_address() {
    let long = format!("https://a.example/{}", "a".repeat(2048));
    for (text, expected) in [
        (long.as_str(), UrlFault::TooLong),
        ("ftp://a.example/", UrlFault::Scheme),
        ("file:///etc/passwd", UrlFault::Scheme),
        ("javascript:alert(1)", UrlFault::Scheme),
        ("//a.example/", UrlFault::Scheme),
        ("https:a.example", UrlFault::Scheme),
        ("https://user:password@a.example/", UrlFault::Credentials),
        ("https://a.example@evil.example/", UrlFault::Credentials),
        ("https://a.example:443@evil.example/", UrlFault::Credentials),
        ("https://a.example/#x", UrlFault::Fragment),
        ("https://a.example#@evil.example/", UrlFault::Fragment),
        ("https://a.example\\@evil.example/", UrlFault::Character),
        ("https://a.example/\r\nx: y", UrlFault::Character),
        ("https://a.example/a b", UrlFault::Character),
        ("https://a.example/ä", UrlFault::Character),
        ("https://a.example:0/", UrlFault::Port),
        ("https://a.example:65536/", UrlFault::Port),
        ("https://a.example:+80/", UrlFault::Port),
        ("https://a.example:/", UrlFault::Port),
        ("https://a.example:80:80/", UrlFault::Port),
        ("https:///path", UrlFault::Host),
    ] {
        assert_eq!(Url::parse(text), Err(expected), "{text:?}");
    }
}

#[test]
fn one_spelling() {
    for (text, shown, origin) in [
        ("HTTPS://A.Example", "https://a.example/", "https://a.example"),
        ("https://a.example:443/x?secret=y", "https://a.example/x", "https://a.example"),
        ("https://a.example.:8443?secret", "https://a.example:8443/", "https://a.example:8443"),
        ("http://192.0.2.1/", "http://192.0.2.1/", "http://192.0.2.1"),
        ("https://[2001:DB8:0::1]:443/", "https://[2001:db8::1]/", "https://[2001:db8::1]"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443"),
    ] {
        let url = url(text);
        assert_eq!((url.to_string().as_str(), url.origin().as_str()), (shown, origin), "{text}");
        assert_eq!(format!("{url:?}"), shown);
    }
    assert_eq!(url("https://a.example/x?secret=y").query(), Some("secret=y"));
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_dialed_where_it_was_judged() {
    let server = Server::with([Answer::json("{}")]).await;
    let names = Names::all_stand_for(&["127.0.0.1", "169.254.169.254"]);
    let fetcher = fetcher(names.clone(), &server);
    fetcher.fetch(get(&server.at("issuer.example", "/")), &open()).await.unwrap();
    assert_eq!(names.asked.load(Ordering::SeqCst), 1, "asked once, so nothing can change in between");
    let fault = fetcher.fetch(get(&server.at("issuer.example", "/")), &open()).await.unwrap_err();
    assert_eq!(reason(&fault), Some(&Reason::Address(Class::Metadata)));
}

#[tokio::test]
async fn a_server_that_cannot_prove_its_name_gets_nothing() {
    let server = Server::with([Answer::json("{}")]).await;
    let other = Server::with([Answer::json("{}")]).await;
    // Trusted, but for another name; and the right name, but not trusted.
    for (fetcher, host) in [(at_home(&server), "other.example"), (at_home(&other), "issuer.example")] {
        let request = get(&server.at(host, "/"));
        let fault = fetcher.fetch(request, &open()).await.unwrap_err();
        assert!(matches!(fault.cause(), FetchCause::Tls(_)) && fault.never_sent(), "{fault}");
    }
    assert!(server.seen().is_empty());
}

#[test]
fn what_is_no_certificate_is_not_trusted() {
    for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(Trust::and_pem(pem.as_bytes()).is_err(), "{pem:?}");
    }
}
