//! `[packages]`: where the packages of servers come from.

use crate::setting::Effect::Process;
use crate::setting::{Kind, Setting, Word};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "packages.npm",
        kind: Kind::Url,
        default: None,
        effect: Process,
        reason: "The registry that packages of npm come from. When absent the one that npm_config_registry names, \
                 else the public one. Credentials are left to that variable.",
        example: "\"https://npm.example.com/\"",
    },
    Setting {
        key: "packages.pypi",
        kind: Kind::Url,
        default: None,
        effect: Process,
        reason: "The index that packages of PyPI come from. When absent the one that UV_DEFAULT_INDEX, UV_INDEX_URL or \
                 PIP_INDEX_URL names, else the public one. Credentials are left to those variables.",
        example: "\"https://pypi.example.com/simple/\"",
    },
    Setting {
        key: "packages.reach",
        kind: Kind::Words(Word::Destination),
        default: Some("[]"),
        effect: Process,
        reason: "What may be reached besides those two while packages are prepared: where a mirror keeps its files, \
                 or the address of one that no public name leads to. Nothing else is.",
        example: "[\"files.example.com:443\"]",
    },
];
