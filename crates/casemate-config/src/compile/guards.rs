//! `[servers.NAME.guards.TOOL.ARGUMENT]`.

use std::collections::BTreeMap;

use casemate_inspect::guard::{Guard, Guards, Hosts, Roots, Spot};
use casemate_mcp::names::ServerName;

use super::Compiler;
use crate::problem::Fault;
use crate::reader::Scope;

impl Compiler<'_> {
    /// What entries demand of the arguments of tools.
    pub(super) fn guards(&mut self) -> BTreeMap<ServerName, Guards> {
        let servers = self.scope("servers");
        let mut all = BTreeMap::new();
        for name in servers.names() {
            let Ok(server) = ServerName::parse(name) else { continue };
            let tools = servers.child(name).below("guards");
            let mut guards = Guards::default();
            for tool in tools.names() {
                let arguments = tools.child(tool);
                for argument in arguments.names() {
                    guards.add(tool, Spot::parse(argument), self.demanded(&arguments.child(argument)));
                }
            }
            if !guards.is_empty() {
                all.insert(server, guards);
            }
        }
        all
    }

    fn demanded(&mut self, at: &Scope<'_>) -> Vec<Guard> {
        let mut guards = Vec::new();
        for list in ["within", "hosts"] {
            if at.words(list).is_some_and(<[_]>::is_empty) {
                let what = format!("`{list}` in [{}] names nothing, so every call would be refused", at.key);
                self.refuse(
                    at.origin_of(list),
                    Fault::new(what).hint("name what is allowed, or leave it out"),
                );
            }
        }
        if let Some(folders) = at.texts("within") {
            guards.push(Guard::Within(Roots::new(&folders)));
        }
        let plain = at.switch("plain_http") == Some(true);
        match at.texts("hosts") {
            Some(hosts) => {
                let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
                let schemes: &[&str] = if plain { &["https", "http"] } else { &["https"] };
                // What could not be read was reported where it stands.
                guards.extend(Hosts::new(&hosts, schemes).ok().map(Guard::Hosts));
            }
            None if plain => {
                let what = format!("`plain_http` in [{}] means nothing without `hosts`", at.key);
                self.refuse(at.origin_of("plain_http"), Fault::new(what).hint("name the hosts as well"));
            }
            None => {}
        }
        if at.switch("no_leading_dash") == Some(true) {
            guards.push(Guard::NoLeadingDash);
        }
        if at.switch("read_only_sql") == Some(true) {
            guards.push(Guard::ReadOnlySql);
        }
        guards.extend(at.number("length").map(Guard::Length));
        match at.text("pattern").map(Guard::pattern) {
            Some(Ok(pattern)) => guards.push(pattern),
            Some(Err(why)) => {
                let what = format!("`pattern` in [{}] cannot be used: {why}", at.key);
                let hint =
                    "patterns are those of Rust's regex crate, without look-around and back references";
                self.refuse(at.origin_of("pattern"), Fault::new(what).hint(hint));
            }
            None => {}
        }
        guards
    }
}

#[cfg(test)]
mod tests {
    use casemate_mcp::json::{Limits, Raw};

    use crate::resolve::tests::{World, written};

    const GUARDS: &str = r#"
[servers.files]
command = "x"
[servers.files.guards.read]
path = { within = ["/srv/notes"], length = 40, no_leading_dash = true }
[servers.files.guards.read."/more/*/url"]
hosts = ["example.com"]
plain_http = true
[servers.files.guards."*"]
sql.read_only_sql = true
"odd.name".pattern = "[a-z]+"
"#;

    #[test]
    fn guards_arrive_at_the_arguments_that_they_name() {
        let loaded = World::default().load(&written(GUARDS)).unwrap();
        let guards = loaded.snapshot.inspecting.guards.values().next().unwrap();
        let judge = |text: &'static str| {
            guards
                .judge("read", &Raw::check(text.into(), &Limits::default()).unwrap())
                .map_err(|breach| breach.place)
        };
        for (arguments, place) in [
            (r#"{"path":"/etc/passwd"}"#, "path"),
            (r#"{"path":"/srv/notes/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#, "path"),
            (r#"{"more":[{"url":"https://evil.com/"}]}"#, "/more/*/url"),
            (r#"{"sql":"DROP TABLE t"}"#, "sql"),
            (r#"{"odd.name":"A"}"#, "odd.name"),
        ] {
            assert_eq!(judge(arguments), Err(place.to_owned()), "{arguments}");
        }
        let innocent = r#"{"path":"/srv/notes/a","more":[{"url":"http://example.com/"}],"sql":"SELECT 1","odd.name":"a"}"#;
        assert_eq!(judge(innocent), Ok(()));
    }

    #[test]
    fn guards_that_guard_nothing_or_everything_are_mistakes() {
        for (line, what) in [
            ("path.within = []", "names nothing"),
            ("path.within = [\"notes\"]", "notes"),
            ("path.hosts = [\"https://x\"]", "https://x"),
            ("path.plain_http = true", "means nothing without `hosts`"),
            ("path.pattern = \"(\"", "cannot be used"),
            ("path.length = 0", "outside of 1"),
            ("path.wihtin = [\"/x\"]", "did you mean `within`?"),
        ] {
            let text = format!("[servers.one]\ncommand = \"x\"\n[servers.one.guards.read]\n{line}\n");
            let problems = World::default().load(&written(&text)).unwrap_err().to_string();
            assert!(problems.contains(what), "{line}: {problems}");
        }
    }
}
