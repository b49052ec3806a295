//! `[spool]`: results that are too large to be shown at once.

use super::{GIB, KIB, MIB, s};
use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "spool.oversized",
        kind: Kind::Choice(&["link", "whole"]),
        default: Some("\"link\""),
        effect: Live,
        reason: "What becomes of a tool's result that is larger than `spool.over` or `spool.media`. `link`: its beginning is \
                 shown, with a link under which the one who called reads the whole, in parts. `whole`: it passes as it is, \
                 up to `gateway.limits.result_size`.",
        example: "\"whole\"",
    },
    Setting {
        key: "spool.over",
        kind: Kind::Size(16 * KIB..=64 * MIB),
        default: Some("\"1MiB\""),
        effect: Live,
        reason: "How much text of one result is shown at once, and how much of a kept one is read at once. 1 MiB are more \
                 than 250,000 tokens: more than most models hold. What is no larger passes byte for byte.",
        example: "\"256KiB\"",
    },
    Setting {
        key: "spool.media",
        kind: Kind::Size(64 * KIB..=GIB),
        default: Some("\"8MiB\""),
        effect: Live,
        reason: "The same for an image, a sound or another binary, in base64. A model takes an image for its pixels and not \
                 for its bytes; what is larger than this none of them takes.",
        example: "\"2MiB\"",
    },
    Setting {
        key: "spool.preview",
        kind: Kind::Count(100..=16_000),
        default: Some("2000"),
        effect: Live,
        reason: "Characters that are shown of each text of a result that is too large, for the first 16 texts. Enough to see \
                 what it is.",
        example: "500",
    },
    Setting {
        key: "spool.quota",
        kind: Kind::Size(MIB..=1024 * GIB),
        default: Some("\"256MiB\""),
        effect: Live,
        reason: "How much is kept for one subject, on disk. Where there is no room the oldest of its results makes some; a \
                 result that does not fit at all passes whole.",
        example: "\"1GiB\"",
    },
    Setting {
        key: "spool.total",
        kind: Kind::Size(MIB..=1024 * GIB),
        default: Some("\"1GiB\""),
        effect: Live,
        reason: "The same for all subjects together. Nobody's results make room for another's.",
        example: "\"8GiB\"",
    },
    Setting {
        key: "spool.life",
        kind: Kind::Time(s(60)..=s(86_400)),
        default: Some("\"1h\""),
        effect: Live,
        reason: "How long a result is kept. What is kept is sealed with keys that are in memory alone, so it is over with \
                 the gateway in any case.",
        example: "\"15m\"",
    },
];
