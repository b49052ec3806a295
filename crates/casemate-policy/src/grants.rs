//! Roles as Cedar policies, written out as a person would write them.

use casemate_mcp::names::{RoleName, ServerName};
use cedar_policy::{Policy, PolicyId};

use crate::decision::Effect;
use crate::file::literal;
use crate::pattern::{Pattern, Rule as Entry, Selection};
use crate::request::{Action, Place, Thing};
use crate::rule::Rule;

/// An entry of a role's list as a rule.
pub(crate) fn of_role(role: &RoleName, effect: Effect, entry: &Entry) -> Result<Rule, String> {
    let id = format!("role {role}: {effect} {entry}");
    let head = Head { role: role.as_str(), effect };
    let text = match entry {
        Entry::ReadOnly => {
            head.policy("action in Action::\"use\"", "resource", "when { resource.read_only }")
        }
        Entry::Pattern(pattern) => head.of_pattern(pattern),
    };
    let mut rule = parse(&id, &text)?;
    rule.is_read_only = *entry == Entry::ReadOnly;
    if let Effect::Ask(answerer) = effect {
        rule.answerer = Some(answerer);
    }
    Ok(rule)
}

/// What a built-in role administers as a rule.
pub(crate) fn of_office(role: &str, action: Action, place: Place) -> Result<Rule, String> {
    let (action, place) = (action.as_str(), place.as_str());
    let head = Head { role, effect: Effect::Allow };
    let text = head.policy(
        &format!("action == Action::{}", literal(action)),
        &format!("resource in Console::{}", literal(place)),
        "",
    );
    parse(&format!("role {role}: allow {action} {place}"), &text)
}

/// The rule of a server that changes nothing.
pub(crate) fn of_read_only(server: &ServerName) -> Result<Rule, String> {
    let name = literal(server.as_str());
    let text = format!(
        "forbid (principal, action in Action::\"use\", resource in Server::{name}) unless {{ resource.read_only }};"
    );
    parse(&format!("server {server}: deny all that is not read-only"), &text)
}

fn parse(id: &str, text: &str) -> Result<Rule, String> {
    let policy = Policy::parse(Some(PolicyId::new(id)), text);
    policy.map(Rule::simple).map_err(|fault| format!("{id}: {fault}"))
}

struct Head<'a> {
    role: &'a str,
    effect: Effect,
}

impl Head<'_> {
    fn policy(&self, action: &str, resource: &str, conditions: &str) -> String {
        let (ask, word) = match self.effect {
            Effect::Allow => (String::new(), "permit"),
            Effect::Ask(answerer) => {
                (format!("@ask(\"{answerer}\") ", answerer = answerer.as_str()), "permit")
            }
            Effect::Deny => (String::new(), "forbid"),
        };
        let role = literal(self.role);
        format!("{ask}{word} (principal in Role::{role}, {action}, {resource}) {conditions};")
    }

    fn of_pattern(&self, pattern: &Pattern) -> String {
        let server = pattern.server().map(|server| literal(server.as_str()));
        let within = server.as_ref().map(|server| format!(" in Server::{server}")).unwrap_or_default();
        let (thing, globs) = match pattern.selection() {
            Selection::Everything => {
                return self.policy("action in Action::\"use\"", &format!("resource{within}"), "");
            }
            Selection::Named(thing, glob) => (*thing, vec![glob.text()]),
            Selection::Resources(glob, plain) => (Thing::Resource, vec![glob.text(), plain.text()]),
        };
        let (actions, member) = match thing {
            Thing::Tool => ("action == Action::\"call\"", "name"),
            Thing::Prompt => ("action in [Action::\"get\", Action::\"complete\"]", "name"),
            Thing::Resource => {
                ("action in [Action::\"read\", Action::\"subscribe\", Action::\"complete\"]", "uri")
            }
        };
        let entity = thing.entity();
        if let (Some(server), [exact]) = (pattern.server(), globs.as_slice())
            && !exact.contains('*')
        {
            let id = literal(&format!("{server}/{exact}"));
            return self.policy(actions, &format!("resource == {entity}::{id}"), "");
        }
        let mut likes: Vec<String> =
            globs.iter().map(|glob| format!("resource.{member} like {}", literal(glob))).collect();
        likes.dedup();
        let condition = format!("when {{ {} }}", likes.join(" || "));
        self.policy(actions, &format!("resource is {entity}{within}"), &condition)
    }
}
