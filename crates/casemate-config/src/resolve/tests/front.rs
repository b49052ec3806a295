//! Mistakes about where the gateway is reached from outside.

use expect_test::expect;

use super::{World, check, written};

#[test]
fn mistakes_about_the_public_address_have_hints() {
    check(
        r#"
[gateway]
public_url = "https://mcp.example.com/mcp"
trusted_proxies = ["10.1.2.3/8", "0.0.0.0/0", "balancer.example.com", "::1"]
"#,
        expect![[r#"
            etc/casemate.toml:3:14: gateway.public_url: "https://mcp.example.com/mcp": it has a path, a query or a fragment, and is only the beginning of the endpoints' addresses
              hint: leave the path out; endpoints are found below it
            etc/casemate.toml:4:20: gateway.trusted_proxies: `10.1.2.3/8` has bits set behind its prefix; the network is `10.0.0.0/8`
              hint: write "10.0.0.0/8"
            etc/casemate.toml:4:34: gateway.trusted_proxies: `0.0.0.0/0` is every address there is
              hint: name the proxies that are yours: everybody else could pretend to be anybody
            etc/casemate.toml:4:47: gateway.trusted_proxies: `balancer.example.com` is not an address or a network like `10.1.0.0/16`
              hint: like ["10.0.3.7", "10.1.0.0/24"]
        "#]],
    );
    check(
        "[gateway]\npublic_url = \"http://mcp.example.com\"\n",
        expect![[r#"
        etc/casemate.toml:2:14: gateway.public_url: "http://mcp.example.com": it is an http address that other machines reach, so keys could be read on their way
          hint: https, with `gateway.tls` or a proxy that ends TLS
    "#]],
    );
    check(
        "[gateway]\npublic_url = \"mcp.example.com\"\n",
        expect![[r#"
        etc/casemate.toml:2:14: gateway.public_url: "mcp.example.com": it is not an http or https address
          hint: like "https://mcp.example.com"
    "#]],
    );
}

#[test]
fn tls_is_whole_or_not_there() {
    check(
        "[gateway]\ntls.certificate = \"c\"\n",
        expect![[r#"
        etc/casemate.toml:2:5: gateway.tls.certificate is set, and gateway.tls.key is not
          hint: they belong together
    "#]],
    );
    check(
        "[gateway]\ntls.key = \"k\"\n",
        expect![[r#"
        etc/casemate.toml:2:5: gateway.tls.key is set, and gateway.tls.certificate is not
          hint: they belong together
    "#]],
    );
    check(
        "[gateway]\ntls.client_ca = \"a\"\n",
        expect![[r#"
        etc/casemate.toml:2:5: gateway.tls.client_ca is set, and gateway.tls.certificate is not
          hint: they belong together
    "#]],
    );
    check(
        "[gateway]\nlisten = \"0.0.0.0:1\"\ntls = { certificate = \"c\", key = \"k\", client_certificates = \"required\" }\n",
        expect![[r#"
            etc/casemate.toml:2:1: gateway.listen is 0.0.0.0:1, which other machines reach without TLS
              hint: set gateway.tls.certificate and gateway.tls.key, listen on 127.0.0.1 behind a proxy that ends TLS, or set gateway.plaintext_beyond_loopback = true
            etc/casemate.toml:3:39: gateway.tls.client_certificates is set, and gateway.tls.client_ca is not
              hint: they belong together
        "#]],
    );
    let good = "[gateway]\nlisten = \"0.0.0.0:1\"\ntls = { certificate = \"c\", key = \"k\" }\n";
    assert!(World::default().load(&written(good)).unwrap().process.tls.unwrap().clients.is_none());
}
