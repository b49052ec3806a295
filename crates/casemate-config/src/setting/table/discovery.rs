//! `[gateway]`: whether tools are listed, or found.

use crate::setting::Effect::Live;
use crate::setting::{Kind, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "gateway.discovery",
        kind: Kind::Choice(&["all", "search", "auto"]),
        default: Some("\"all\""),
        effect: Live,
        reason: "How clients of the joined endpoint and of profiles learn of tools. `all` lists them. `search` lists three \
                 that stand for all others (`find_tools`, `describe_tool`, `call_tool`), which saves the model's context. `auto` \
                 does that for whoever may see more than `discovery_above`. A call through `call_tool` is judged, limited and \
                 recorded as the call of the tool itself.",
        example: "\"auto\"",
    },
    Setting {
        key: "gateway.discovery_above",
        kind: Kind::Count(500..=10_000_000),
        default: Some("10000"),
        effect: Live,
        reason: "With `discovery = \"auto\"`: how many tokens a subject's list of tools may have. They are counted as a quarter \
                 of the list's bytes, which tokenizers of several vendors come to within a tenth.",
        example: "20000",
    },
];
