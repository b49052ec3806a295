//! `[gateway]`: life behind a public address.

use crate::setting::Effect::Live;
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
];
