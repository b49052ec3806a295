//! `[roles.NAME]`, what is confirmed of servers, and the files in `policy/`.

use std::collections::BTreeMap;
use std::sync::Arc;

use casemate_mcp::names::{RoleName, ServerName};
use casemate_policy::{
    Answerer, Builtin, FaultPlace, Policy, PolicyDef, PolicyFault, PolicyFile, RoleDef, ServerDef,
};

use super::Compiler;
use crate::origin::{Origin, Place};
use crate::problem::Fault;

/// The folder of the policy files, beside the configuration.
pub const POLICIES: &str = "policy";

impl Compiler<'_> {
    pub(super) fn policy(&mut self) -> Policy {
        let def =
            PolicyDef { roles: self.roles(), servers: self.confirmations(), files: self.policy_files() };
        match Policy::compile(&def) {
            Ok(policy) => policy,
            Err(faults) => {
                for fault in faults {
                    let (origin, fault) = self.placed(fault);
                    self.refuse(origin, fault);
                }
                no_policy()
            }
        }
    }

    fn roles(&mut self) -> BTreeMap<RoleName, RoleDef> {
        let roles = self.written.scope("roles");
        let mut defs = BTreeMap::new();
        for name in roles.names() {
            let at = roles.child(name);
            let Ok(name) = RoleName::parse(name) else { continue };
            if Builtin::find(&name).is_some() {
                let what = format!("the role {name} is built in and cannot be redefined");
                self.refuse(at.origin(), Fault::new(what).hint("choose another name"));
                continue;
            }
            let def = RoleDef {
                allow: at.texts("allow").unwrap_or_default(),
                deny: at.texts("deny").unwrap_or_default(),
                ask: at.texts("ask").unwrap_or_default(),
                answerer: at.text("answered_by").and_then(Answerer::find).unwrap_or_default(),
            };
            defs.insert(name, def);
        }
        defs
    }

    /// What a person says of servers and their tools. What servers say of themselves does not count.
    fn confirmations(&self) -> BTreeMap<ServerName, ServerDef> {
        let servers = self.written.scope("servers");
        let mut defs = BTreeMap::new();
        for name in servers.names() {
            let at = servers.child(name);
            let Ok(name) = ServerName::parse(name) else { continue };
            let mut confirmed = at.texts("read_only_tools").unwrap_or_default();
            let tools = at.below("tools");
            let said = tools.names().into_iter().filter(|tool| {
                // A star or colon in a name would say something else than the person did.
                tools.child(tool).switch("read_only") == Some(true) && !tool.contains(['*', ':'])
            });
            confirmed.extend(said.map(str::to_owned));
            let read_only = at.switch("read_only").unwrap_or(false);
            defs.insert(name, ServerDef { read_only, confirmed });
        }
        defs
    }

    fn policy_files(&mut self) -> Vec<PolicyFile> {
        let folder = self.folder.join(POLICIES);
        match self.source.policies(&folder) {
            Ok(files) => {
                let named = |(name, text)| PolicyFile { name: format!("{POLICIES}/{name}"), text };
                files.into_iter().map(named).collect()
            }
            Err(error) => {
                let what = format!("the policies cannot be read: {error}");
                let place = Place { path: folder.into(), line: 1, column: 1 };
                self.refuse(
                    Origin::File(place),
                    Fault::new(what).hint("files of UTF-8 text that casemate may read"),
                );
                Vec::new()
            }
        }
    }

    fn placed(&self, fault: PolicyFault) -> (Origin, Fault) {
        let PolicyFault { place, what, hint } = fault;
        let told = Fault { what, hint, image: None };
        match place {
            FaultPlace::Role(role) => {
                let at = self.written.scope("roles").child(role.as_str());
                (at.origin(), Fault { what: format!("role {role}: {}", told.what), ..told })
            }
            FaultPlace::Server(server) => {
                let at = self.written.scope("servers").child(server.as_str());
                (at.origin(), Fault { what: format!("server {server}: {}", told.what), ..told })
            }
            FaultPlace::File { name, line, column } => {
                let path: Arc<std::path::Path> = self.folder.join(name).into();
                (Origin::File(Place { path, line, column }), told)
            }
            FaultPlace::Everything => (self.written.scope("roles").origin(), told),
        }
    }
}

/// Stands in for a policy that could not be compiled; what is compiled with it is thrown away.
fn no_policy() -> Policy {
    Policy::compile(&PolicyDef::default()).unwrap_or_else(|_| no_policy())
}
