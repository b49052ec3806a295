use proptest::prelude::*;

use super::samples::{body, real, records, server_name_of, vector};
use super::*;

fn hello_with(extensions: &[(u16, Vec<u8>)]) -> Opening {
    read(&records(&body(extensions), 1 << 14))
}

fn named(name: &[u8]) -> Opening {
    Opening::Hello(Hello { server_name: Some(name.to_vec()), is_encrypted: false })
}

#[test]
fn what_a_real_client_says() {
    assert_eq!(read(&real("api.example.org")), named(b"api.example.org"));
    // RFC 6066 section 3: addresses are no names.
    assert_eq!(read(&real("10.1.2.3")), Opening::Hello(Hello::default()));
}

#[test]
fn a_part_of_it_tells_nothing_yet() {
    let bytes = real("api.example.org");
    for length in 0..bytes.len() {
        assert_eq!(read(&bytes[..length]), Opening::Partial, "{length} bytes");
    }
    // Data that is sent early follows in records of its own (RFC 8446 section 4.2.10).
    let early = [bytes.as_slice(), &[23, 3, 3, 0, 1, 0]].concat();
    assert_eq!(read(&early), named(b"api.example.org"));
}

#[test]
fn what_other_protocols_say_first() {
    for bytes in [
        b"GET / HTTP/1.1\r\n".as_slice(),
        b"SSH-2.0-OpenSSH_9.2",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"*1\r\n$4\r\nPING\r\n",
        // The major version of TLS has been 3 since it exists.
        b"\x16\x02\x00",
        // A hello of SSL 2 cannot name a server.
        b"\x80\x2e\x01\x03\x01",
        b"\x00",
    ] {
        assert_eq!(read(bytes), Opening::Foreign, "{bytes:?}");
    }
}

#[test]
fn an_encrypted_name_is_seen() {
    let outer = (0xfe0d, vec![0, 0, 1, 0, 1, 7, 0, 0, 0, 0]);
    let expected = |extensions: &[_], name: Option<&[u8]>| {
        let hello = Hello { server_name: name.map(<[u8]>::to_vec), is_encrypted: true };
        assert_eq!(hello_with(extensions), Opening::Hello(hello));
    };
    expected(&[server_name_of(b"public.example"), outer.clone()], Some(b"public.example"));
    expected(std::slice::from_ref(&outer), None);
    expected(&[(0xffce, vec![]), server_name_of(b"a.example")], Some(b"a.example"));
}

#[test]
fn what_no_honest_client_says() {
    let name = server_name_of(b"a.example");
    let one = [&[HOST_NAME], vector::<2>(b"a.example").as_slice()].concat();
    let two = (SERVER_NAME, vector::<2>(&[one.as_slice(), &one].concat()));
    let other_kind = (SERVER_NAME, vector::<2>(&[&[1], vector::<2>(b"a.example").as_slice()].concat()));
    for (what, extensions) in [
        ("two extensions with a name", vec![name.clone(), server_name_of(b"b.example")]),
        ("two names in one extension", vec![two]),
        ("another kind of name", vec![other_kind]),
        ("an empty name", vec![server_name_of(b"")]),
        ("an empty list", vec![(SERVER_NAME, vec![0, 0])]),
        ("nothing", vec![(SERVER_NAME, vec![])]),
        ("more behind the list", vec![(SERVER_NAME, [name.1.as_slice(), &[0]].concat())]),
        ("the same extension twice", vec![name, (99, vec![]), (99, vec![])]),
    ] {
        assert_eq!(hello_with(&extensions), Opening::Malformed, "{what}");
    }
}

#[test]
fn records_that_do_not_fit() {
    let whole = records(&body(&[server_name_of(b"a.example")]), 1 << 14);
    let changed = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    let split = records(&body(&[server_name_of(b"a.example")]), 20);
    let other_record_between = [&split[..25], &[20, 3, 3, 0, 1, 1], &split[25..]].concat();
    for (what, bytes) in [
        ("a record that is too long", changed(3, 0x7f)),
        ("an empty record", [&[22, 3, 1, 0, 0], whole.as_slice()].concat()),
        ("another message", changed(5, 2)),
        ("a message longer than any", changed(6, 1)),
        ("a shorter message with a second one behind it", changed(8, whole[8] - 1)),
        ("another version in a later record", [&split[..26], &[4], &split[27..]].concat()),
        ("another record between", other_record_between),
        ("a record for each byte", records(&body(&[server_name_of(b"a.example")]), 1)),
        ("no ciphers", records(&[&[3, 3], [7; 32].as_slice(), &[0, 0, 0, 1, 0]].concat(), 99)),
    ] {
        assert_eq!(read(&bytes), Opening::Malformed, "{what}");
    }
}

#[test]
fn a_message_that_does_not_end_is_given_up() {
    let endless = records(&vec![0; 1 << 14], 1 << 14);
    assert_eq!(read(&endless[..HELLO_BYTES_MAX - 1]), Opening::Partial);
    assert_eq!(read(&endless[..HELLO_BYTES_MAX]), Opening::Malformed);
}

#[test]
fn before_there_were_extensions() {
    let body = [&[3, 3], [7; 32].as_slice(), &[0], &[0, 2, 0, 5], &[1, 0]].concat();
    assert_eq!(read(&records(&body, 99)), Opening::Hello(Hello::default()));
}

proptest! {
    #[test]
    fn reading_never_panics(bytes: Vec<u8>) {
        read(&bytes);
        read(&[&[22, 3, 1], bytes.as_slice()].concat());
        read(&records(&bytes, 100));
    }

    /// However it is split, it says the same: also to a server that puts it together again.
    #[test]
    fn splitting_hides_nothing(fragment in 8usize..600, length in 0usize..2000) {
        let bytes = records(&body(&[(21, vec![0; 300]), server_name_of(b"a.example")]), fragment);
        let seen = read(&bytes[..length.min(bytes.len())]);
        let expected = if length < bytes.len() { Opening::Partial } else { named(b"a.example") };
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn a_changed_byte_never_hides_that_it_is_tls(at in 2usize..200, byte: u8) {
        let mut bytes = real("api.example.org");
        bytes[at] = byte;
        prop_assert_ne!(read(&bytes), Opening::Foreign);
    }
}
