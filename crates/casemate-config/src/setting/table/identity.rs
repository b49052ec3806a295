//! `[identity]`: by what callers prove who they are, besides API keys.

use super::s;
use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting, Word};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "identity.issuers.NAME.issuer",
        kind: Kind::Url,
        default: None,
        effect: Live,
        reason: "The issuer of tokens (an OAuth or OpenID Connect server) as it names itself in `iss`, compared \
                 character by character. Its metadata are found by it. NAME begins the ids of its subjects, `token:NAME/…`.",
        example: "\"https://login.example.com/realms/corp\"",
    },
    Setting {
        key: "identity.issuers.NAME.audience",
        kind: Kind::Words(Word::Argument),
        default: Some("[]"),
        effect: Live,
        reason: "For whom tokens have to be made (`aud`). When empty, for the very endpoint that is called, such as \
                 https://mcp.example.com/mcp, which begins with `gateway.public_url`; so a token for one endpoint is of no \
                 use at another.",
        example: "[\"casemate\"]",
    },
    Setting {
        key: "identity.issuers.NAME.algorithms",
        kind: Kind::Words(Word::Argument),
        default: Some("[\"RS256\", \"ES256\", \"EdDSA\"]"),
        effect: Live,
        reason: "How tokens may be signed. There are PS256 and ES384 too; there is no symmetric one, and no `none`.",
        example: "[\"ES256\"]",
    },
    Setting {
        key: "identity.issuers.NAME.keys_at",
        kind: Kind::Url,
        default: None,
        effect: Live,
        reason: "Where the issuer's public keys are. When absent, where its metadata say (RFC 8414, OpenID Connect \
                 Discovery).",
        example: "\"https://login.example.com/keys\"",
    },
    Setting {
        key: "identity.issuers.NAME.keys_refresh",
        kind: Kind::Time(s(10)..=s(86_400)),
        default: Some("\"5m\""),
        effect: Live,
        reason: "How often the keys are fetched. A key that the issuer withdraws is of use for so long.",
        example: "\"1m\"",
    },
    Setting {
        key: "identity.issuers.NAME.keys_pause",
        kind: Kind::Time(s(1)..=s(3600)),
        default: Some("\"30s\""),
        effect: Live,
        reason: "How long after one fetch a token with an unknown key leads to another. It keeps strangers from making \
                 us fetch; a new key is known after so long at the latest.",
        example: "\"10s\"",
    },
    Setting {
        key: "identity.issuers.NAME.reach",
        kind: Kind::Choice(&["public", "private", "loopback"]),
        default: Some("\"public\""),
        effect: Live,
        reason: "Where the issuer may be: at a public address, in a private network too, or on this machine too, where \
                 plain http does. Its metadata could lead us anywhere otherwise.",
        example: "\"private\"",
    },
    Setting {
        key: "identity.issuers.NAME.certificates",
        kind: Kind::Path,
        default: None,
        effect: Live,
        reason: "A PEM file with further certificates that are trusted for the issuer, besides those of the system.",
        example: "\"corp-ca.pem\"",
    },
    Setting {
        key: "identity.issuers.NAME.leeway",
        kind: Kind::Time(s(1)..=s(60)),
        default: Some("\"30s\""),
        effect: Live,
        reason: "How far the issuer's clock and ours may be apart. For so long an expired token is still good.",
        example: "\"5s\"",
    },
    Setting {
        key: "identity.issuers.NAME.subject_claim",
        kind: Kind::Text,
        default: Some("\"sub\""),
        effect: Live,
        reason: "The claim that names the subject. Another one than `sub` has to be unique and never given to somebody \
                 else, which mail addresses and user names are not everywhere.",
        example: "\"email\"",
    },
    Setting {
        key: "identity.issuers.NAME.roles_claim",
        kind: Kind::Words(Word::Argument),
        default: Some("[\"roles\"]"),
        effect: Live,
        reason: "The claim that `roles` maps from: its name, or the names that lead to it.",
        example: "[\"realm_access\", \"roles\"]",
    },
    Setting {
        key: "identity.issuers.NAME.roles.VALUE",
        kind: Kind::Text,
        default: None,
        effect: Live,
        reason: "The role of whoever has VALUE in that claim. What is not mapped gives no role, whatever it is called.",
        example: "\"operator\"",
    },
    Setting {
        key: "identity.issuers.NAME.everyone",
        kind: Kind::Words(Word::Argument),
        default: Some("[]"),
        effect: Live,
        reason: "The roles of every subject of this issuer.",
        example: "[\"user\"]",
    },
    Setting {
        key: "identity.issuers.NAME.required_scopes",
        kind: Kind::Words(Word::Argument),
        default: Some("[]"),
        effect: Live,
        reason: "Scopes that every token has to have. One without them is answered 403 and told which they are.",
        example: "[\"mcp\"]",
    },
    Setting {
        key: "identity.scopes.SCOPE.allow",
        kind: Kind::Words(Word::Pattern),
        default: Some("[]"),
        effect: Live,
        reason: "What a token with the scope may be used for, as far as the roles of its subject allow. Once one scope is \
                 defined, tokens are good for nothing else than what their scopes hold.",
        example: "[\"*/get_*\", \"wiki\"]",
    },
    Setting {
        key: "identity.scopes.SCOPE.asked",
        kind: Kind::Choice(&["first", "when-needed"]),
        default: Some("\"first\""),
        effect: Live,
        reason: "Whether clients are told to ask for the scope with their first token, or only when something was refused \
                 for the lack of it.",
        example: "\"when-needed\"",
    },
    Setting {
        key: "identity.certificates.NAME.names",
        kind: Kind::Words(Word::Argument),
        default: Some("[]"),
        effect: Live,
        reason: "The client certificates that stand for `certificate:NAME`: those with one of these names, as `DNS:`, \
                 `URI:` or `email:` and an alternative name, or `CN:` and the common name, exactly.",
        example: "[\"URI:spiffe://corp.example/agent\"]",
    },
    Setting {
        key: "identity.certificates.NAME.sha256",
        kind: Kind::Text,
        default: None,
        effect: Live,
        reason: "The one client certificate that stands for `certificate:NAME`, by its SHA-256 in hexadecimal, as \
                 `openssl x509 -fingerprint -sha256` prints it.",
        example: "\"4b:1f:…\"",
    },
    Setting {
        key: "identity.certificates.NAME.roles",
        kind: Kind::Words(Word::Argument),
        default: Some("[]"),
        effect: Live,
        reason: "The roles of whoever holds such a certificate.",
        example: "[\"user\"]",
    },
    Setting {
        key: "identity.refused",
        kind: Kind::Words(Word::Argument),
        default: Some("[]"),
        effect: Live,
        reason: "Subjects that are refused from the moment the file is saved, whatever they present: for a token that was \
                 stolen and has not expired. The ids stand in the records.",
        example: "[\"token:corp/alice\"]",
    },
];
