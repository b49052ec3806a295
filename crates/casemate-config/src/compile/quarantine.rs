//! `[quarantine]`: what puts something in without a person.

use casemate_gateway::quarantine::rules::{Rules, Trigger};

use super::Compiler;

impl Compiler<'_> {
    pub(super) fn quarantine(&self) -> Rules {
        let at = self.scope("quarantine");
        let default = Rules::default();
        let on =
            at.texts("automatic").map(|words| words.iter().filter_map(|word| Trigger::find(word)).collect());
        Rules {
            on: on.unwrap_or(default.on),
            refused_for: at.time("refused_for").unwrap_or(default.refused_for),
            escapes_max: at.number("escapes").unwrap_or(default.escapes_max),
        }
    }
}
