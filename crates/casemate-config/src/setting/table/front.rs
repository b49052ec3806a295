//! `[gateway]`: life behind a public address.

use crate::setting::Effect::{Live, Process};
use crate::setting::{Kind, Setting, Word};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "gateway.public_url",
        kind: Kind::Base,
        default: None,
        effect: Live,
        reason: "The address at which clients reach this gateway from outside. It names the gateway in metadata and \
                 in the audience of tokens, and its host is accepted like those of `hosts`. With an https address, \
                 requests of other machines that did not come over TLS are refused.",
        example: "\"https://mcp.example.com\"",
    },
    Setting {
        key: "gateway.trusted_proxies",
        kind: Kind::Words(Word::Network),
        default: Some("[]"),
        effect: Live,
        reason: "The load balancers and proxies in front of this gateway. What they say in `X-Forwarded-For`, \
                 `X-Forwarded-Proto` or `Forwarded` is believed, and nobody else's word is: whoever is named here can \
                 pretend to come from any address.",
        example: "[\"10.0.3.7\", \"10.1.0.0/24\"]",
    },
    Setting {
        key: "gateway.tls.certificate",
        kind: Kind::Path,
        default: None,
        effect: Process,
        reason: "The certificate of this gateway and those that lead to its authority, PEM. With it the gateway speaks \
                 HTTPS (TLS 1.2 and newer) and nothing else. What the file says is followed at once: a renewed \
                 certificate needs no restart.",
        example: "\"/etc/casemate/tls/fullchain.pem\"",
    },
    Setting {
        key: "gateway.tls.key",
        kind: Kind::Path,
        default: None,
        effect: Process,
        reason: "The private key of the certificate, PEM. Nobody but the file's owner may be able to read it \
                 (mode 0600 or 0400), and the owner has to be root or the user who runs the gateway.",
        example: "\"/etc/casemate/tls/key.pem\"",
    },
    Setting {
        key: "gateway.tls.client_ca",
        kind: Kind::Path,
        default: None,
        effect: Process,
        reason: "The authorities whose certificates clients may show (mutual TLS), PEM. Use an authority of your own: \
                 everyone whom it signs a certificate for can connect. What a certificate is good for is said elsewhere; \
                 one that nobody has a rule for is nobody's.",
        example: "\"/etc/casemate/tls/clients.pem\"",
    },
    Setting {
        key: "gateway.tls.client_certificates",
        kind: Kind::Choice(&["offered", "required"]),
        default: Some("\"offered\""),
        effect: Process,
        reason: "Whether a client without a certificate can connect and show another credential, or cannot connect.",
        example: "\"required\"",
    },
];
