//! `[profiles.NAME]`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use casemate_gateway::snapshot::{Profile, ProfileTool, ServerEntry};
use casemate_mcp::names::{ProfileName, ServerName, ToolName};

use super::Compiler;
use crate::problem::{Fault, nearest};
use crate::reader::{Scope, pair};

type Servers = BTreeMap<ServerName, Arc<ServerEntry>>;

impl<'a> Compiler<'a> {
    pub(super) fn profiles(&mut self, servers: &Servers) -> BTreeMap<ProfileName, Arc<Profile>> {
        let scope = self.scope("profiles");
        let mut profiles = BTreeMap::new();
        for name in scope.names() {
            let Ok(profile) = ProfileName::parse(name) else { continue };
            let compiled = self.profile(profile.clone(), &scope.child(name), servers);
            profiles.insert(profile, Arc::new(compiled));
        }
        profiles
    }

    fn profile(&mut self, name: ProfileName, at: &Scope<'a>, servers: &Servers) -> Profile {
        let joined = self.joined(at, servers);
        for key in ["only", "hidden"] {
            for pattern in at.words(key).unwrap_or_default() {
                let server = pattern.text.split('/').next().unwrap_or_default();
                if server != "*" && !joined.is_empty() && !joined.contains(server) {
                    let what = format!(
                        "{}: the pattern {:?} is about a server that is not here",
                        at.key, pattern.text
                    );
                    let hint = format!("this profile joins {}", list(&joined));
                    self.refuse(pattern.origin.clone(), Fault::new(what).hint(hint));
                }
            }
        }
        Profile {
            name,
            tools: self.changed(at, &joined),
            servers: joined,
            only: at.texts("only"),
            hidden: at.texts("hidden").unwrap_or_default(),
        }
    }

    fn joined(&mut self, at: &Scope<'a>, servers: &Servers) -> BTreeSet<ServerName> {
        let mut joined = BTreeSet::new();
        if at.entry("servers").is_none() || at.words("servers").is_some_and(<[_]>::is_empty) {
            let what = format!("[{}] joins no server", at.key);
            self.refuse(
                at.origin_of("servers"),
                Fault::new(what).hint("say which, like servers = [\"system\"]"),
            );
        }
        // A server whose table has a mistake is known all the same.
        let tables = self.scope("servers").names();
        for word in at.words("servers").unwrap_or_default() {
            let Ok(server) = ServerName::parse(&word.text) else { continue };
            if !servers.contains_key(&server) && !tables.contains(&server.as_str()) {
                let fault = Fault::new(format!("{}: there is no server called {server}", at.key));
                let known = tables.join(", ");
                let hint = match nearest(server.as_str(), tables.iter().copied()) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None if known.is_empty() => "no server is configured".to_owned(),
                    None => format!("there is {known}"),
                };
                self.refuse(word.origin.clone(), fault.hint(hint));
            } else if !joined.insert(server) {
                let what = format!("{}: the server {} is there twice", at.key, word.text);
                self.refuse(word.origin.clone(), Fault::new(what).hint("remove one of them"));
            }
        }
        joined
    }

    fn changed(
        &mut self,
        at: &Scope<'a>,
        joined: &BTreeSet<ServerName>,
    ) -> BTreeMap<(ServerName, ToolName), ProfileTool> {
        let mut tools = BTreeMap::new();
        let mut taken: BTreeSet<&str> = BTreeSet::new();
        let scope = at.below("tools");
        for name in scope.names() {
            let (at, Some((server, tool))) = (scope.child(name), pair(name)) else { continue };
            if !joined.is_empty() && !joined.contains(&server) {
                let what = format!("{}: the profile does not join the server {server}", at.key);
                self.refuse(at.origin(), Fault::new(what).hint(format!("it joins {}", list(joined))));
            }
            let rename = at.text("rename");
            if rename.is_some_and(|rename| !taken.insert(rename)) {
                let what = format!("{}: another tool has this name already", at.key);
                self.refuse(
                    at.origin_of("rename"),
                    Fault::new(what).hint("names are unique within a profile"),
                );
            }
            let changed = ProfileTool {
                rename: rename.and_then(|rename| ToolName::parse(rename).ok()),
                description: at.text("description").map(str::to_owned),
                fixed: at.json("fixed"),
            };
            tools.insert((server, tool), changed);
        }
        tools
    }
}

fn list(servers: &BTreeSet<ServerName>) -> String {
    servers.iter().map(ServerName::as_str).collect::<Vec<_>>().join(", ")
}
