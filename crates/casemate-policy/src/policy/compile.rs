//! From what is written to rules.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use casemate_mcp::names::{RoleName, ServerName};
use cedar_policy::{Policy as CedarPolicy, PolicyId, PolicySet, ValidationMode, Validator};
use miette::Diagnostic;

use super::{Policy, PolicyDef, PolicyFile, RoleDef, Table};
use crate::builtin::Builtin;
use crate::confirmed::Confirmed;
use crate::decision::Effect;
use crate::example;
use crate::expression::Whole;
use crate::fault::{FaultPlace, PolicyFault, place_in};
use crate::file::{self, BYTES_MAX, Statement};
use crate::grants;
use crate::judge::Judge;
use crate::memo::Memo;
use crate::pattern::Rule as Entry;
use crate::request::{Action, Place};
use crate::rule::{Rule, RuleFault};
use crate::schema;
use crate::slice::Index;

/// Most rules of an installation.
const RULES_MAX: usize = 50_000;

pub(super) fn policy(def: &PolicyDef) -> Result<Policy, Vec<PolicyFault>> {
    let everything = |fault: String| vec![PolicyFault::new(FaultPlace::Everything, fault)];
    let mut compiler = Compiler { def, rules: Vec::new(), places: HashMap::new(), faults: Vec::new() };
    compiler.builtins();
    for (name, role) in &def.roles {
        compiler.role(name, role);
    }
    let confirmed = compiler.confirmed();
    for file in &def.files {
        compiler.file(file);
    }
    compiler.validate().map_err(everything)?;
    if compiler.rules.len() > RULES_MAX {
        let what = format!("there are more than {RULES_MAX} rules");
        compiler.faults.push(PolicyFault::new(FaultPlace::Everything, what));
    }
    let Compiler { rules, mut faults, .. } = compiler;
    if !faults.is_empty() {
        return Err(faults);
    }
    let roles = Builtin::ALL.iter().map(|own| own.as_str()).chain(def.roles.keys().map(RoleName::as_str));
    let table = Table {
        by_id: Arc::new(rules.iter().enumerate().map(|(at, rule)| (rule.id.clone(), at)).collect()),
        roles: Arc::new(roles.map(Box::from).collect()),
        index: Arc::new(Index::new(&rules)),
        judge: Arc::new(Judge::new().map_err(everything)?),
        memo: Memo::default(),
        fits: Arc::default(),
        examples: def.files.iter().map(|file| file::parts(&file.text).examples.len()).sum(),
        confirmed,
        rules: Arc::new(rules),
    };
    let policy = Policy(Arc::new(table));
    for file in &def.files {
        faults.extend(example::failures(&policy, file));
    }
    if faults.is_empty() { Ok(policy) } else { Err(faults) }
}

struct Compiler<'a> {
    def: &'a PolicyDef,
    rules: Vec<Rule>,
    /// Where the rules of files stand.
    places: HashMap<String, FaultPlace>,
    faults: Vec<PolicyFault>,
}

impl Compiler<'_> {
    fn builtins(&mut self) {
        let everything = Entry::parse("*");
        for own in Builtin::ALL {
            let role = RoleName::parse(own.as_str());
            if let (true, Ok(role), Ok(entry)) = (own.uses_servers(), role, &everything) {
                self.add(FaultPlace::Everything, grants::of_role(&role, Effect::Allow, entry));
            }
            for (action, place) in own.administration() {
                self.add(FaultPlace::Everything, grants::of_office(own.as_str(), *action, *place));
            }
        }
    }

    fn role(&mut self, name: &RoleName, role: &RoleDef) {
        let place = || FaultPlace::Role(name.clone());
        if Builtin::find(name).is_some() {
            let fault = PolicyFault::new(place(), "it is built in and cannot be redefined");
            self.faults.push(fault.hint("choose another name"));
            return;
        }
        let ask = Effect::Ask(role.answerer);
        for (effect, texts) in [(Effect::Allow, &role.allow), (Effect::Deny, &role.deny), (ask, &role.ask)] {
            for text in texts {
                match Entry::parse(text) {
                    Ok(entry) => self.add(place(), grants::of_role(name, effect, &entry)),
                    Err(why) => {
                        let what = format!("{effect} pattern `{text}`: {why}");
                        self.faults.push(PolicyFault::new(place(), what));
                    }
                }
            }
        }
    }

    fn add(&mut self, place: FaultPlace, rule: Result<Rule, String>) {
        match rule {
            // An entry that is written twice is one rule.
            Ok(rule) if self.places.contains_key(rule.id.as_str()) => {}
            Ok(rule) => {
                self.places.insert(rule.id.as_str().to_owned(), place);
                self.rules.push(rule);
            }
            Err(what) => self.faults.push(PolicyFault::new(place, what)),
        }
    }

    fn confirmed(&mut self) -> Confirmed {
        let mut confirmed = Confirmed::default();
        for (server, def) in &self.def.servers {
            let place = || FaultPlace::Server(server.clone());
            for text in &def.confirmed {
                if let Err(why) = confirmed.add(server, text) {
                    self.faults.push(PolicyFault::new(place(), format!("read_only_tools `{text}`: {why}")));
                }
            }
            if def.read_only {
                self.add(place(), grants::of_read_only(server));
            }
        }
        confirmed
    }

    fn file(&mut self, file: &PolicyFile) {
        if file.text.len() > BYTES_MAX {
            let place = place_in(&file.name, "", 0);
            self.faults.push(PolicyFault::new(place, format!("the file has more than {BYTES_MAX} bytes")));
            return;
        }
        for statement in file::parts(&file.text).statements {
            match self.statement(file, &statement) {
                Ok(rule) => self.rules.push(rule),
                Err(faults) => self.faults.extend(faults),
            }
        }
    }

    fn statement(&mut self, file: &PolicyFile, statement: &Statement<'_>) -> Result<Rule, Vec<PolicyFault>> {
        let at = |offset: usize| place_in(&file.name, &file.text, statement.start + offset);
        if statement.is_too_deep {
            let fault = PolicyFault::new(at(0), "the policy has too many operators");
            return Err(vec![
                fault.hint("write it as several policies: each of them can permit, each can forbid"),
            ]);
        }
        let FaultPlace::File { line, .. } = at(0) else { return Err(Vec::new()) };
        let by_line = format!("{}:{line}", file.name);
        let policy = CedarPolicy::parse(Some(PolicyId::new(by_line)), statement.text).map_err(|faults| {
            let fault = |fault: &dyn Diagnostic, what: String| {
                let offset =
                    fault.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
                let help = fault.help().map(|help| help.to_string());
                PolicyFault { place: at(offset), what, hint: help }
            };
            faults.iter().map(|one| fault(one, one.to_string())).collect::<Vec<_>>()
        })?;
        let policy = match policy.annotation("id") {
            Some(id) => policy.new_id(PolicyId::new(format!("{}: {id}", file.name))),
            None => policy,
        };
        let unknown = policy.annotations().find(|(name, _)| !matches!(*name, "id" | "ask"));
        if let Some((name, _)) = unknown {
            let fault = PolicyFault::new(at(0), format!("the annotation @{name} means nothing"));
            return Err(vec![fault.hint("there is @id(\"NAME\") and @ask(\"subject\" or \"operator\")")]);
        }
        let id = policy.id().to_string();
        if self.places.insert(id.clone(), at(0)).is_some() {
            return Err(vec![PolicyFault::new(at(0), format!("there are two policies of the id {id:?}"))]);
        }
        let rule = Rule::of(policy).map_err(|fault| vec![told(at(0), fault)])?;
        let strangers: Vec<PolicyFault> = rule
            .entities()
            .iter()
            .filter_map(|(kind, id)| self.stranger(kind, id))
            .map(|(what, hint)| PolicyFault { place: at(0), what, hint })
            .collect();
        if strangers.is_empty() { Ok(rule) } else { Err(strangers) }
    }

    /// What is wrong with an entity that a policy names. A slip in a name would make a denial that denies nothing.
    fn stranger(&self, kind: &str, id: &str) -> Option<(String, Option<String>)> {
        let listed = |names: &mut dyn Iterator<Item = &str>| {
            Some(format!("there is {}", names.collect::<Vec<_>>().join(", ")))
        };
        match kind {
            "Role" => {
                let names = || {
                    Builtin::ALL
                        .iter()
                        .map(|own| own.as_str())
                        .chain(self.def.roles.keys().map(RoleName::as_str))
                };
                (!names().any(|own| own == id))
                    .then(|| (format!("there is no role {id:?}"), listed(&mut names())))
            }
            "Console" => {
                let names = || Place::ALL.iter().map(|own| own.as_str());
                (!names().any(|own| own == id))
                    .then(|| (format!("there is no {id:?} to administer"), listed(&mut names())))
            }
            "Server" | "Tool" | "Prompt" | "Resource" => {
                let server =
                    if kind == "Server" { Some(id) } else { id.split_once('/').map(|(server, _)| server) };
                let mut names = self.def.servers.keys().map(ServerName::as_str);
                let is_known =
                    server.is_some_and(|server| self.def.servers.keys().any(|own| own.as_str() == server));
                let what = || match server {
                    Some(server) => format!("there is no server {server:?}"),
                    None => format!("{kind}::{id:?} names no server: write {kind}::\"SERVER/NAME\""),
                };
                (!is_known).then(|| (what(), listed(&mut names)))
            }
            _ => None,
        }
    }

    /// Holds the policies of files against the words that there are. Without files there is nothing to hold, and to compile
    /// the words takes a fifth of what starting takes.
    fn validate(&mut self) -> Result<(), String> {
        if self.def.files.is_empty() {
            return Ok(());
        }
        let mut by_file: BTreeMap<String, Vec<CedarPolicy>> = BTreeMap::new();
        for rule in &self.rules {
            let Some(FaultPlace::File { name, .. }) = self.places.get(rule.id.as_str()) else { continue };
            match rule.without_arguments() {
                Ok(policy) => by_file.entry(name.clone()).or_default().push(policy),
                Err(fault) => {
                    let place = self.places.get(rule.id.as_str()).cloned().unwrap_or(FaultPlace::Everything);
                    self.faults.push(told(place, fault));
                }
            }
        }
        let validator = Validator::new(schema::base()?);
        for policies in by_file.into_values() {
            let Ok(policies) = PolicySet::from_policies(policies) else { continue };
            let result = validator.validate(&policies, ValidationMode::Strict);
            for fault in result.validation_errors() {
                let place = self.places.get(&fault.policy_id().to_string());
                let place = place.cloned().unwrap_or(FaultPlace::Everything);
                self.faults.push(PolicyFault {
                    place,
                    what: fault.to_string(),
                    hint: fault.help().map(|help| help.to_string()),
                });
            }
            for warning in result.validation_warnings() {
                let place = self.places.get(&warning.policy_id().to_string());
                let place = place.cloned().unwrap_or(FaultPlace::Everything);
                self.faults.push(PolicyFault::new(place, warning.to_string()));
            }
        }
        Ok(())
    }
}

fn told(place: FaultPlace, fault: RuleFault) -> PolicyFault {
    match fault {
        RuleFault::Whole(Whole::Context) => PolicyFault::new(place, "the policy uses `context` as a whole")
            .hint("name its members, like context.time"),
        RuleFault::Whole(Whole::Arguments) => {
            PolicyFault::new(place, "the policy uses `context.arguments` as a whole")
                .hint("name the argument, like context.arguments.path")
        }
        RuleFault::Opaque(why) => PolicyFault::new(place, format!("the policy cannot be taken apart: {why}")),
        RuleFault::Answerer(name) => PolicyFault::new(place, format!("@ask({name:?}) names nobody"))
            .hint("write @ask(\"subject\") or @ask(\"operator\")"),
        RuleFault::AskingDenial => PolicyFault::new(place, "a policy that forbids cannot ask")
            .hint("write permit: what needs approval is permitted by it"),
        RuleFault::ArgumentsWithoutCall => PolicyFault::new(place, "only calls of tools have arguments")
            .hint(format!("write action == Action::\"{}\" in the head of the policy", Action::Call.as_str())),
    }
}
