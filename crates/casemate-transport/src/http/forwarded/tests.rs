use http::HeaderValue;

use super::*;

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

#[test]
fn networks_are_read_strictly_and_hold_what_they_say() {
    let table = [
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "::ffff:192.0.2.7", true),
        ("192.0.2.7", "192.0.2.8", false),
        ("10.0.0.0/8", "10.255.255.255", true),
        ("10.0.0.0/8", "11.0.0.0", false),
        ("10.0.0.0/31", "10.0.0.1", true),
        ("10.0.0.0/31", "10.0.0.2", false),
        ("128.0.0.0/1", "200.1.1.1", true),
        ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("2001:db8::1", "2001:db8::1", true),
        ("2001:db8::/32", "10.0.0.1", false),
        ("::ffff:10.0.0.0/104", "10.9.9.9", true),
        ("::1", "127.0.0.1", false),
    ];
    for (text, address, inside) in table {
        assert_eq!(network(text).contains(address.parse().unwrap()), inside, "{address} in {text}");
    }
    for text in [
        "",
        "x",
        "10.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/08x",
        "::/129",
        "10.0.0.0/8/8",
        "010.0.0.0/8",
        "[::1]",
        "10.0.0.1:80",
        "::ffff:10.0.0.0/80",
        "localhost",
    ] {
        assert_eq!(text.parse::<Network>(), Err(NetworkFault::Malformed(text.to_owned())), "{text}");
    }
    let fault = "10.1.2.3/8".parse::<Network>().unwrap_err();
    assert!(fault.to_string().contains("the network is `10.0.0.0/8`"), "{fault}");
    for text in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96"] {
        assert_eq!(text.parse::<Network>(), Err(NetworkFault::Everything(text.to_owned())), "{text}");
    }
}

/// What is believed when a proxy at 10.0.0.1 (or somebody at another address) sends these headers.
fn told(from: &str, headers: &[(&str, &str)]) -> Result<Option<Told>, RejectReason> {
    let proxies = Proxies::new(vec![network("10.0.0.0/8"), network("2001:db8:1::/48")]);
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        map.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    proxies.told(&map, SocketAddr::new(from.parse().unwrap(), 4711))
}

#[test]
fn the_client_is_the_rightmost_address_that_is_no_proxys() {
    let table: &[(&str, &str)] = &[
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("203.0.113.1, 192.0.2.7", "192.0.2.7"),
        ("garbage, 192.0.2.7", "192.0.2.7"),
        ("127.0.0.1, 192.0.2.7,10.0.0.2", "192.0.2.7"),
        ("192.0.2.7, 10.0.0.2, 10.0.0.3", "192.0.2.7"),
        ("10.0.0.2, 10.0.0.3", "10.0.0.2"),
        ("2001:db8::5", "2001:db8::5"),
        ("[2001:db8::5]", "2001:db8::5"),
        ("[2001:db8::5]:80", "2001:db8::5"),
        ("2001:db8::5, 2001:db8:1::9", "2001:db8::5"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ];
    for (list, client) in table {
        let told = told("10.0.0.1", &[("x-forwarded-for", list)]).unwrap().unwrap();
        assert_eq!(told.client, Some(client.parse().unwrap()), "{list}");
        assert_eq!(told.tls, None);
    }
}

#[test]
fn a_list_over_several_lines_is_one_list() {
    let lines = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-for", "192.0.2.2, 10.0.0.2")];
    assert_eq!(told("10.0.0.1", &lines).unwrap().unwrap().client, Some("192.0.2.2".parse().unwrap()));
}

#[test]
fn the_standard_header_says_the_same() {
    let table: &[(&str, &str, Option<bool>)] = &[
        ("for=192.0.2.7", "192.0.2.7", None),
        ("For=\"192.0.2.7:80\";proto=https", "192.0.2.7", Some(true)),
        ("for=\"[2001:db8::5]:80\" ; Proto=HTTPS;by=10.0.0.1", "2001:db8::5", Some(true)),
        ("for=127.0.0.1;proto=https, for=192.0.2.7;proto=http", "192.0.2.7", Some(false)),
        ("for=192.0.2.7;proto=http, for=10.0.0.2;proto=https", "192.0.2.7", Some(false)),
    ];
    for (value, client, tls) in table {
        let told = told("10.0.0.1", &[("forwarded", value)]).unwrap().unwrap();
        assert_eq!(told, Told { client: Some(client.parse().unwrap()), tls: *tls }, "{value}");
    }
}

#[test]
fn nobody_but_a_trusted_proxy_is_believed() {
    let forged =
        [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "https"), ("forwarded", "for=1.1.1.1")];
    for from in ["192.0.2.7", "127.0.0.1", "::1", "11.0.0.1", "::ffff:11.0.0.1"] {
        assert_eq!(told(from, &forged), Ok(None), "{from}");
    }
    let silent = Told { client: None, tls: None };
    assert_eq!(told("::ffff:10.0.0.1", &[]), Ok(Some(silent)), "the same proxy in another spelling");
}

#[test]
fn what_names_no_client_is_refused() {
    for list in [
        "",
        ",",
        "unknown",
        "_hidden",
        "192.0.2.7:",
        "192.0.2.7:x",
        "192.0.2.7:99999",
        "192.0.2",
        "[192.0.2.7]",
        "[::1",
        "[::1]x",
        "::1]:80",
        "a.example",
        "192.0.2.7 10.0.0.1",
        "\"192.0.2.7\"",
        "192.0.2.7, ",
        "192.0.2.7, unknown",
        "unknown, 10.0.0.2",
        "0x7f.0.0.1",
        "127.1",
        "fe80::1%eth0",
    ] {
        assert_eq!(told("10.0.0.1", &[("x-forwarded-for", list)]), Err(RejectReason::Forwarded), "{list:?}");
    }
    for value in ["for", "for=", "proto=https", "for=unknown", "for=\"192.0.2.7", "for=\"a,b\"", "host=x"] {
        assert_eq!(told("10.0.0.1", &[("forwarded", value)]), Err(RejectReason::Forwarded), "{value:?}");
    }
    let binary = [("x-forwarded-for", "192.0.2.7\u{e9}")];
    assert_eq!(told("10.0.0.1", &binary), Err(RejectReason::Forwarded));
}

#[test]
fn a_client_cannot_add_the_header_that_its_proxy_does_not_write() {
    let both = |client: &str| {
        [("x-forwarded-for".to_owned(), "192.0.2.7".to_owned()), ("forwarded".to_owned(), client.to_owned())]
    };
    let ask = |pairs: &[(String, String)]| {
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        told("10.0.0.1", &pairs)
    };
    assert_eq!(ask(&both("for=127.0.0.1")), Err(RejectReason::Forwarded));
    assert!(ask(&both("for=192.0.2.7")).is_ok());
    let schemes = [("x-forwarded-proto", "http"), ("forwarded", "for=192.0.2.7;proto=https")];
    assert_eq!(told("10.0.0.1", &schemes), Err(RejectReason::Forwarded));
}

#[test]
fn tls_is_what_every_hop_says() {
    let table = [
        (vec!["https"], Some(true)),
        (vec!["HTTPS, https"], Some(true)),
        (vec!["https", "https"], Some(true)),
        (vec!["http"], Some(false)),
        (vec!["https, http"], Some(false)),
        (vec!["http", "https"], Some(false)),
        (vec!["wss"], Some(false)),
        (vec![""], Some(false)),
        (vec![], None),
    ];
    for (lines, tls) in table {
        let lines: Vec<(&str, &str)> = lines.into_iter().map(|line| ("x-forwarded-proto", line)).collect();
        assert_eq!(told("10.0.0.1", &lines).unwrap().unwrap().tls, tls, "{lines:?}");
    }
}
