//! `[servers.NAME.oauth]`: how a login at a remote server is made.

use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting, Word};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "servers.NAME.oauth.grant",
        kind: Kind::Choice(&["authorization_code", "client_credentials", "token_exchange"]),
        default: Some("\"authorization_code\""),
        effect: Live,
        reason: "Who a token is for: a person, who logs in once with a browser (`casemate login`); this gateway \
                 itself; or the caller, whose own token is exchanged for one that the server takes.",
        example: "\"client_credentials\"",
    },
    Setting {
        key: "servers.NAME.oauth.client_id",
        kind: Kind::Text,
        default: None,
        effect: Live,
        reason: "What the authorization server knows this gateway by. Without it, Casemate uses \
                 `client_metadata_url` or registers itself, where the authorization server allows that.",
        example: "\"casemate-laptop\"",
    },
    Setting {
        key: "servers.NAME.oauth.client_secret",
        kind: Kind::Given,
        default: None,
        effect: Live,
        reason: "The secret that belongs to `client_id`.",
        example: "\"secret:WIKI_CLIENT\"",
    },
    Setting {
        key: "servers.NAME.oauth.client_key",
        kind: Kind::Given,
        default: None,
        effect: Live,
        reason: "Instead of a shared secret, the private key (PKCS #8 in PEM, P-256 or Ed25519) that belongs to \
                 `client_id`. It signs a short-lived assertion and is never sent.",
        example: "\"file:/run/secrets/wiki-client.pem\"",
    },
    Setting {
        key: "servers.NAME.oauth.client_metadata_url",
        kind: Kind::Url,
        default: None,
        effect: Live,
        reason: "The https address of a document of yours that describes this gateway as a client. Authorization \
                 servers that support it take the address as the client's id.",
        example: "\"https://example.com/casemate.json\"",
    },
    Setting {
        key: "servers.NAME.oauth.scopes",
        kind: Kind::Words(Word::Scope),
        default: Some("[]"),
        effect: Live,
        reason: "Scopes to ask for besides those that the server asks for. The fewer the better.",
        example: "[\"wiki.read\"]",
    },
    Setting {
        key: "servers.NAME.oauth.issuer",
        kind: Kind::Url,
        default: None,
        effect: Live,
        reason: "The authorization server, instead of the one that the server names. Tokens and registrations are \
                 kept by issuer, and none is ever shown to another.",
        example: "\"https://login.example.com\"",
    },
    Setting {
        key: "servers.NAME.oauth.redirect_port",
        kind: Kind::Count(1024..=65_535),
        default: None,
        effect: Live,
        reason: "The port of http://127.0.0.1:PORT/callback, where the answer of a login is awaited while it is under \
                 way. Any free one when absent; some authorization servers take only the one that was registered.",
        example: "7333",
    },
    Setting {
        key: "servers.NAME.oauth.private_network",
        kind: Kind::Switch,
        default: Some("false"),
        effect: Live,
        reason: "The authorization server may be on a private network. Otherwise it is reached at public addresses \
                 only, and on this machine for a server that is on this machine: a server could send us anywhere.",
        example: "true",
    },
];
