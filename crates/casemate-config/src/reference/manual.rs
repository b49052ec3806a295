//! docs/config.md, the reference of all settings.

use std::fmt::Write;

use crate::setting::{Effect, Setting, settings};

const OPENING: &str = "\
# The configuration

This page is generated from `crates/casemate-config/src/setting/table.rs`; a test compares the two.

Casemate reads one file, `casemate.toml`, in `CASEMATE_HOME` or, by default, in `~/.config/casemate/`. Without a
file one server runs, the built-in `system`. Editors complete and check the file with `casemate.schema.json`
(`casemate config schema` prints it):

```toml
#:schema ./casemate.schema.json
[servers.everything]
command = [\"npx\", \"-y\", \"@modelcontextprotocol/server-everything@2026.8.31\"]
```

- A value comes from its default, the file, the environment, or a flag of the command line; the later wins.
  `casemate config explain KEY` says which it was.
- Mistakes are reported all at once, each with its line (`casemate config check`). Unknown keys are mistakes. A
  running gateway keeps its configuration when the new one has a mistake.
- A change takes effect when the file is saved, except where it says *next start*.
- Every limit has a unit, a range and a default. Nothing is unlimited, and 0 never means \"off\".
- Times are written as `250ms`, `30s`, `5m`, `1h`, `2d`; sizes as `512B`, `64KiB`, `16MiB`, `1GiB`.

## Secrets

A secret does not stand in the file. `\"secret:NAME\"` refers to one that `casemate secret set NAME` keeps, sealed
(docs/secrets.md); `\"env:NAME\"` to an environment variable of Casemate; and `\"file:PATH\"` to a file (a newline at its end is not part of the secret; a relative path starts at the folder of
the configuration). A text that looks like a secret is refused: known prefixes, tokens and passwords under a key
that names one (`API_TOKEN`, `X-Api-Key`, `Authorization`, `DB_PASSWORD`), addresses with a password. When it is none, or when a text really begins with `secret:`, `env:` or
`file:`, say so: `{ not_secret = \"…\" }`.

A value that is not there (the secret or the variable is not set, the file cannot be read) is no mistake. It costs the server or
the interceptor that names it, and nothing else; the log, `casemate config check` and `doctor` name the key and what to do.

";

/// The page as text. Checked in as `docs/config.md`.
#[must_use]
pub fn manual() -> String {
    let mut page = OPENING.to_owned();
    let mut section = "";
    for setting in settings() {
        let next = setting.key.split('.').next().unwrap_or_default();
        if next != section {
            section = next;
            let _ = write!(page, "## {}\n\n", title(section));
        }
        entry(&mut page, setting);
    }
    page
}

fn title(section: &str) -> &'static str {
    match section {
        "gateway" => "`[gateway]`: the process and its limits",
        "servers" => "`[servers.NAME]`: the servers",
        "limits" => "`[limits]`: how often, and how much a day",
        "approvals" => "`[approvals]`: questions to people",
        "questions" => "`[questions]`: what servers ask in mid-call",
        "spool" => "`[spool]`: results that are too large to be shown at once",
        "packages" => "`[packages]`: where the packages of servers come from",
        "inspect" => "`[inspect]`: what is looked for in what passes through",
        "roles" => "`[roles.NAME]`: who may do what",
        _ => "`[profiles.NAME]`: further endpoints",
    }
}

fn entry(page: &mut String, setting: &Setting) {
    let effect = match setting.effect {
        Effect::Live => "at once",
        Effect::Process => "*next start*",
    };
    let default = setting.default.map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
    // Writing into a String cannot fail.
    let _ = write!(
        page,
        "### `{}`\n\n{}\n\n- takes {}\n- default: {default}\n- example: `{}`\n- takes effect: {effect}\n",
        setting.key,
        setting.reason,
        setting.kind.expects(),
        setting.example,
    );
    if let Some(variable) = setting.variable() {
        let _ = writeln!(page, "- environment: `{variable}`");
    }
    page.push('\n');
}
