use proptest::prelude::*;

use super::*;

#[test]
fn what_can_be_granted() {
    for text in [
        "api.github.com:443",
        "*.example.org:443",
        "*.a.b.example.org:8443",
        "10.1.2.3:5432",
        "169.254.169.254:80",
        "127.0.0.1:8080",
        "[2001:db8::1]:443",
        "[::1]:1",
        "loopback localhost:8080",
        "private wiki.corp:443",
        "private *.corp:443",
        "link-local printer.local:65535",
        "db:5432",
        "xn--bcher-kva.example:443",
    ] {
        let destination = text.parse::<Destination>().expect(text);
        assert_eq!(destination.to_string(), text);
    }
}

#[test]
fn other_spellings_of_the_same() {
    for (text, canonical) in [
        ("API.GitHub.com.:443", "api.github.com:443"),
        (" example.org:443 ", "example.org:443"),
        ("PRIVATE   *.Wiki.Corp:00443", "private *.wiki.corp:443"),
        ("[2001:0DB8:0:0::1]:443", "[2001:db8::1]:443"),
    ] {
        assert_eq!(text.parse::<Destination>().expect(text).to_string(), canonical);
    }
}

#[test]
fn a_registry_is_reached_wherever_it_is_but_no_text_says_so() {
    let wherever = |text: &str| text.parse::<Destination>().expect(text).wherever();
    let registry = wherever("registry.example:443");
    assert_eq!(registry.to_string(), "wherever registry.example:443");
    let fault = registry.to_string().parse::<Destination>().expect_err("a registry's alone");
    assert!(fault.to_string().contains("only the registries"), "{fault}");
    for other in ["10.0.0.1:443", "loopback localhost:443", "private wiki.corp:443", "link-local x.local:443"]
    {
        assert_eq!(wherever(other).to_string(), other);
    }
    let admitted: Vec<Class> = EVERY.into_iter().filter(|class| Reach::Wherever.admits(*class)).collect();
    assert_eq!(admitted, [Class::Public, Class::Private, Class::Documentation, Class::Reserved]);
}

/// Read by people: each text, what is wrong with it, and what to do.
#[test]
fn what_cannot_be_granted() {
    let fault = |text: &str| text.parse::<Destination>().expect_err(text).to_string();
    let shown = FAULTS.map(|text| format!("{text}\n    {}\n", fault(text).replace('\n', "\n    ")));
    assert_eq!(shown.concat(), include_str!("faults.txt"));
}

const FAULTS: [&str; 46] = [
    "",
    "api.github.com",
    "10.1.2.3",
    "2001:db8::1",
    "[2001:db8::1]",
    "[2001:db8::1]443",
    "2001:db8::1:443:",
    "example.org:http",
    "example.org:0",
    "example.org:65536",
    "example.org:+1",
    "example.org:",
    "example.org:*",
    "8.8.8.8:53",
    ":443",
    "https://api.github.com/v1",
    "https://api.github.com:8443",
    "ssh://git@github.com",
    "api.github.com:443/repos",
    "user@example.org:443",
    "a.example:443 b.example:443",
    "private a.example:443 b.example:443",
    "internal wiki.corp:443",
    "public example.org:443",
    "private 10.1.2.3:443",
    "*:443",
    "*.org:443",
    "a.*.org:443",
    "*a.example.org:443",
    "*.*.example.org:443",
    "*.10.0.0.1:443",
    "bücher.example:443",
    "a..b:443",
    "a_b!.example:443",
    "-a.example:443",
    "127.1:80",
    "0x7f.0.0.1:80",
    "2130706433:80",
    "[::ffff:10.1.2.3]:443",
    "[fe80::1%eth0]:443",
    "[fe80::1]:443",
    "[example.org]:443",
    "0.0.0.0:80",
    "[ff02::1]:80",
    "127.1.0.7:80",
    "localhost:8080",
];

const EVERY: [Class; 9] = [
    Class::Public,
    Class::Loopback,
    Class::Private,
    Class::LinkLocal,
    Class::Metadata,
    Class::Multicast,
    Class::Unspecified,
    Class::Documentation,
    Class::Reserved,
];

#[test]
fn names_have_the_reach_that_is_written() {
    use Class::*;
    for (reach, admitted) in [
        (Reach::Public, Public),
        (Reach::Loopback, Loopback),
        (Reach::Private, Private),
        (Reach::LinkLocal, LinkLocal),
    ] {
        let shown = EVERY.into_iter().filter(|class| reach.admits(*class)).collect::<Vec<_>>();
        assert_eq!(shown, [admitted]);
    }
}

proptest! {
    #[test]
    fn reading_never_panics(text in ".{0,40}") {
        let _ = text.parse::<Destination>();
    }

    #[test]
    fn what_was_read_is_written_the_same(text in "((loopback|private|link-local) )?(\\*\\.)?[a-zA-Z0-9._\\[\\]:*-]{1,20}:[0-9]{1,5}") {
        if let Ok(destination) = text.parse::<Destination>() {
            prop_assert_eq!(destination.to_string().parse::<Destination>(), Ok(destination));
        }
    }

    #[test]
    fn every_address_of_one_machine_can_be_granted(bits: u32, port in 1u16..) {
        let address = IpAddr::from(Ipv4Addr::from_bits(bits));
        let destination = format!("{address}:{port}").parse::<Destination>();
        let nobody = matches!(Class::of(address), Class::Unspecified | Class::Multicast);
        prop_assert_eq!(destination.is_err(), nobody || is_synthetic(address) || port == 53);
    }
}
