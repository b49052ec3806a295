//! The table of bad requests, each with the reason that its record has.

use std::net::IpAddr;

pub(super) const BODY: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
pub(super) const PROXY: &str = "127.0.0.2";

/// What is wrong with a request.
pub(super) enum Bad {
    /// These `Host` headers.
    Host(Vec<Vec<u8>>),
    /// These lines besides the good ones.
    With(Vec<Vec<u8>>),
    /// These instead of the good key.
    Credential(Vec<Vec<u8>>),
    /// This method and target.
    Line(String),
    /// These `Content-Length` and `Transfer-Encoding` headers.
    Framing(Vec<Vec<u8>>),
    /// All of it.
    Raw(Vec<u8>),
    /// These lines, sent by the trusted proxy.
    Behind(Vec<Vec<u8>>),
}

pub(super) fn lines(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

impl Bad {
    pub(super) fn request(&self) -> Vec<u8> {
        let mut line = "POST /mcp".to_owned();
        let mut host = lines(&["Host: localhost"]);
        let mut credential = lines(&["Authorization: Bearer owner"]);
        let mut framing = vec![format!("Content-Length: {}", BODY.len()).into_bytes()];
        let mut further = Vec::new();
        match self {
            Bad::Raw(bytes) => return bytes.clone(),
            Bad::Host(hosts) => {
                let named = |host: &Vec<u8>| [b"Host: ".as_slice(), host].concat();
                host = hosts.iter().map(named).collect();
            }
            Bad::With(lines) | Bad::Behind(lines) => further = lines.clone(),
            Bad::Credential(lines) => credential = lines.clone(),
            Bad::Line(other) => line = other.clone(),
            Bad::Framing(lines) => framing = lines.clone(),
        }
        let head = lines(&[
            &format!("{line} HTTP/1.1"),
            "Connection: close",
            "Content-Type: application/json",
            "Accept: application/json, text/event-stream",
        ]);
        let all = [head, host, credential, framing, further, vec![Vec::new()]].concat();
        let mut bytes = all.join(&b"\r\n"[..]);
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(BODY.as_bytes());
        bytes
    }

    pub(super) fn from(&self) -> IpAddr {
        if matches!(self, Bad::Behind(_)) { PROXY.parse().unwrap() } else { [127, 0, 0, 1].into() }
    }
}

pub(super) fn hosts() -> Vec<(Bad, &'static str)> {
    let unknown = [
        "127.0.0.1.evil",
        "127.0.0.1.evil:7332",
        "localhost.evil",
        "evil.localhost",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "127.0.0.2",
        "0.0.0.0",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::2]",
        "public.example.evil",
        "evil.public.example",
        "public.example:80",
        "public.example:7332",
        "publicexample",
        "xn--pblic-kva.example",
        "169.254.169.254",
        "metadata.google.internal",
    ];
    let malformed = [
        "",
        ":80",
        "localhost.",
        "localhost.:80",
        ".localhost",
        "localhost:",
        "localhost:+80",
        "localhost:65536",
        "localhost:80:80",
        "localhost:8 0",
        "user@localhost",
        "user:pw@localhost:80",
        "localhost@evil",
        "localhost/evil",
        "localhost#evil",
        "localhost?evil",
        "localhost,evil",
        "localhost evil",
        "::1",
        "[::1",
        "[::1]x",
        "[::1%25lo]",
        "[127.0.0.1]",
        "public.example.",
        "http://localhost",
        "local\thost",
        "*",
    ];
    let one = |host: &str| Bad::Host(lines(&[host]));
    let mut table: Vec<_> = unknown.iter().map(|host| (one(host), "CM1001 unknown host")).collect();
    table.extend(malformed.iter().map(|host| (one(host), "CM1002 malformed host")));
    table.push((one(&"a".repeat(8_000)), "CM1001 unknown host"));
    table.push((Bad::Host(vec![]), "CM1002 no host"));
    table.push((Bad::Host(lines(&["localhost", "localhost"])), "CM1002 doubled header"));
    table.push((Bad::Host(lines(&["localhost", "evil.example"])), "CM1002 doubled header"));
    table.push((Bad::Host(vec!["löcalhost".into()]), "CM1002 unreadable header"));
    table.push((Bad::Host(vec![b"local\xffhost".to_vec()]), "CM1002 unreadable header"));
    table.push((Bad::Host(vec![b"local\0host".to_vec()]), "CM1002 malformed"));
    table.push((one(&"a".repeat(40_000)), "CM1002 malformed"));
    table
}

pub(super) fn pages() -> Vec<(Bad, &'static str)> {
    let foreign = [
        "null",
        "*",
        "",
        "http://evil.example",
        "HTTP://EVIL",
        "http://localhost.evil",
        "http://127.0.0.1.evil:80",
        "https://localhost",
        "http://localhost@evil",
        "http://user@localhost",
        "http://localhost/",
        "http://localhost.",
        "http://localhost http://evil",
        "http://localhost,http://evil",
        "file://",
        "http://[::1",
        "http://127.1",
        "https://app.example.evil",
        "https://app.example:444",
        "http://app.example",
        "https://xapp.example",
        "https://public.example",
    ];
    let with = |name: &str, value: &str| Bad::With(lines(&[&format!("{name}: {value}")]));
    let mut table: Vec<_> =
        foreign.iter().map(|origin| (with("Origin", origin), "CM1001 foreign origin")).collect();
    table.push((with("Origin", &format!("http://{}", "a".repeat(8_000))), "CM1001 foreign origin"));
    table.push((
        Bad::With(lines(&["Origin: http://localhost", "Origin: http://localhost"])),
        "CM1002 doubled header",
    ));
    table.push((
        Bad::With(lines(&["Origin: http://localhost", "origin: http://evil"])),
        "CM1002 doubled header",
    ));
    table.push((Bad::With(vec![b"Origin: http://\xe9".to_vec()]), "CM1002 unreadable header"));
    for site in ["cross-site", "same-site", "CROSS-SITE", "x"] {
        table.push((with("Sec-Fetch-Site", site), "CM1001 cross-site"));
    }
    let twice = lines(&["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"]);
    table.push((Bad::With(twice), "CM1002 doubled header"));
    table
}

pub(super) fn credentials() -> Vec<(Bad, &'static str)> {
    let mut table = Vec::new();
    for none in [
        &[][..],
        &["Authorization: Basic b3duZXI6b3duZXI="],
        &["Authorization: Bearer"],
        &["Authorization: Bearer "],
        &["Authorization: owner"],
        &["Authorization: Bearerowner"],
        &["Authorization:"],
        &["Cookie: key=owner; session=owner"],
        &["Proxy-Authorization: Bearer owner"],
        &["X-Api-Key: owner"],
        &["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1"],
        &["X-Forwarded-User: owner", "Remote-User: owner", "X-Client-Cert: owner"],
    ] {
        table.push((Bad::Credential(lines(none)), "CM1101"));
    }
    for wrong in
        ["wrong", "OWNER", "owner,owner", "owner owner", "\"owner\"", "owner\\n", "Bearer owner", "reader2"]
    {
        table.push((Bad::Credential(lines(&[&format!("Authorization: Bearer {wrong}")])), "CM1102"));
    }
    table.push((
        Bad::Credential(lines(&[&format!("Authorization: Bearer {}", "a".repeat(20_000))])),
        "CM1102",
    ));
    let twice = ["Authorization: Bearer owner", "Authorization: Bearer owner"];
    table.push((Bad::Credential(lines(&twice)), "CM1002 doubled header"));
    let two = ["Authorization: Bearer wrong", "authorization: Bearer owner"];
    table.push((Bad::Credential(lines(&two)), "CM1002 doubled header"));
    table.push((
        Bad::Credential(vec![b"Authorization: Bearer \xf6wner".to_vec()]),
        "CM1002 unreadable header",
    ));
    table
}

pub(super) fn shapes() -> Vec<(Bad, &'static str)> {
    let mut table = Vec::new();
    for line in
        ["POST http://localhost/mcp", "POST http://evil.example/mcp", "CONNECT localhost:80", "OPTIONS *"]
    {
        table.push((Bad::Line(line.into()), "CM1002 target"));
    }
    for path in [
        "//mcp",
        "//evil/mcp",
        "/MCP",
        "/%6dcp",
        "/mcp/",
        "/mcp;a",
        "/./mcp",
        "/servers/../mcp",
        "/servers//mcp",
        "/",
        "/admin",
    ] {
        table.push((Bad::Line(format!("POST {path}")), "CM1003"));
    }
    for method in ["PUT", "PATCH", "TRACE", "OPTIONS", "HEAD", "PROPFIND", "post"] {
        table.push((Bad::Line(format!("{method} /mcp")), "CM1004"));
    }
    for framing in [
        &["Content-Length: 5", "Content-Length: 6"][..],
        &["Content-Length: 5, 6"],
        &["Content-Length: -1"],
        &["Content-Length: +5"],
        &["Content-Length: 0x5"],
        &["Content-Length: 99999999999999999999"],
        &["Transfer-Encoding: identity"],
        &["Transfer-Encoding: xchunked"],
        &["Transfer-Encoding: chunked, identity"],
        &["Content-Length: 5", "X-A: b", " folded: c"],
        &["Content-Length : 5"],
        &["Content-Length: 5", "Bad Name: x"],
        &["Content-Length: 5", "X-A: b\0c"],
    ] {
        table.push((Bad::Framing(lines(framing)), "CM1002 malformed"));
    }
    for raw in [
        b"GARBAGE\r\n\r\n".as_slice(),
        b"POST /mcp HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"POST  /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        table.push((Bad::Raw(raw.to_vec()), "CM1002 malformed"));
    }
    let sized = lines(&[&format!("Content-Length: {}", BODY.len()), "Content-Type: text/plain"]);
    table.push((Bad::Framing(sized), "CM1002 doubled header"));
    for list in ["unknown", "127.0.0.1:", "", "a.example", "[::1"] {
        table.push((Bad::Behind(lines(&[&format!("X-Forwarded-For: {list}")])), "CM1002 unclear forwarding"));
    }
    let differing = lines(&["X-Forwarded-For: 192.0.2.1", "Forwarded: for=127.0.0.1;proto=https"]);
    table.push((Bad::Behind(differing), "CM1002 unclear forwarding"));
    for proto in ["http", "https, http", "ws"] {
        let told = lines(&["X-Forwarded-For: 192.0.2.1", &format!("X-Forwarded-Proto: {proto}")]);
        table.push((Bad::Behind(told), "CM1006 plaintext"));
    }
    table
}
