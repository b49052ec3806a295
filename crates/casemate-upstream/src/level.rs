//! From which level on a legacy server sends log messages: it is told once, and not with each call.

use std::sync::Mutex;

use casemate_mcp::call::Call;
use casemate_mcp::json::{Members, Raw};

use super::{Hello, guard};

/// The level that a legacy server was told last.
#[derive(Debug, Default)]
pub(super) struct Level(Mutex<Option<Box<str>>>);

impl Level {
    /// The params of the `logging/setLevel` that has to go before a call, if one has to.
    pub(super) fn change(&self, call: &Call, hello: &Hello) -> Option<Raw> {
        let level = call.meta.log_level.as_ref()?;
        if hello.revision.is_modern() || !hello.capabilities.has("logging") {
            return None;
        }
        let before = guard(&self.0).replace(level.clone());
        if before.as_ref() == Some(level) {
            return None;
        }
        Some(Members::empty().edit().set("level", Raw::of(&**level)).finish())
    }
}
