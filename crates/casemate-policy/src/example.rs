//! Examples: what a policy has to say, written beside it.
//!
//! ```text
//! // must allow: reader call git/git_status
//! // must deny:  reader, night-shift call git/git_push {"branch": "main"} from 10.0.0.1 at 2026-11-28T19:00:00Z
//! // must ask:   dev call git/git_push {"branch": "main"} by token
//! ```
//! Roles, an action, and what it is done to: a thing as a pattern names it, a server, or `gateway`, `keys`, `records`.
//! After that, in any order and where it matters: the arguments as JSON, an address, a time, and the kind of
//! authentication (`local` unless said).

use std::net::IpAddr;

use bytes::Bytes;
use casemate_mcp::json::{Limits, Members};
use casemate_mcp::names::{RoleName, ServerName};

use crate::calendar;
use crate::decision::Effect;
use crate::fault::{PolicyFault, place_in};
use crate::file;
use crate::policy::{Policy, PolicyFile};
use crate::request::{Action, Arguments, Context, Request, Resource};
use crate::subject::{Authentication, Subject, SubjectId};

/// A request as a person writes it.
#[derive(Debug, Clone)]
pub struct Example {
    subject: Subject,
    action: Action,
    target: Target,
    arguments: Option<Members>,
    address: Option<IpAddr>,
    unix_ms: u64,
}

#[derive(Debug, Clone)]
enum Target {
    Server(ServerName),
    Tool(ServerName, String),
    Prompt(ServerName, String),
    Resource(ServerName, String),
    Gateway,
    Keys,
    Records,
}

impl Example {
    /// Reads a request: what follows the colon of an example.
    ///
    /// # Errors
    /// What cannot be read, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (text, arguments) = cut_arguments(text)?;
        let text = text.replace(',', " ");
        let words: Vec<&str> = text.split_whitespace().collect();
        let at = words.iter().position(|word| Action::find(word).is_some());
        let at = at.ok_or_else(|| {
            format!("it names no action: one of {}", names(&Action::ALL.map(Action::as_str)))
        })?;
        let (roles, rest) = words.split_at(at);
        let roles: Result<Vec<RoleName>, String> =
            roles.iter().map(|name| RoleName::parse(name).map_err(|why| why.to_string())).collect();
        let mut rest = rest.iter();
        let action = rest.next().and_then(|word| Action::find(word)).ok_or("it names no action")?;
        let target = Target::parse(rest.next().ok_or("it does not say what the action is done to")?)?;
        let mut example = Example {
            subject: Subject::new(SubjectId::key("example"), roles?, Authentication::Local),
            action,
            target,
            arguments,
            address: None,
            unix_ms: 0,
        };
        while let Some(word) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("nothing follows {word:?}"))?;
            example.add(word, value)?;
        }
        Ok(example)
    }

    /// The same request as that subject would make it.
    #[must_use]
    pub fn by(self, subject: Subject) -> Self {
        Example { subject, ..self }
    }

    /// Who asks.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The server that it is about, if it is about one.
    #[must_use]
    pub fn server(&self) -> Option<&ServerName> {
        match &self.target {
            Target::Server(server)
            | Target::Tool(server, _)
            | Target::Prompt(server, _)
            | Target::Resource(server, _) => Some(server),
            Target::Gateway | Target::Keys | Target::Records => None,
        }
    }

    /// What is asked.
    #[must_use]
    pub fn request(&self) -> Request<'_> {
        let arguments = self.arguments.as_ref().map_or(Arguments::None, Arguments::Given);
        let context = Context { unix_ms: self.unix_ms, address: self.address, arguments, tool: None };
        Request::new(self.action, self.target.resource()).under(context)
    }

    fn add(&mut self, word: &str, value: &str) -> Result<(), String> {
        match word {
            "from" => self.address = Some(value.parse().map_err(|_| format!("{value:?} is no address"))?),
            "at" => self.unix_ms = calendar::read(value).ok_or_else(|| format!("{value:?} is no time"))?,
            "by" => {
                let kinds = || names(&Authentication::ALL.map(Authentication::as_str));
                self.subject.authentication = Authentication::find(value)
                    .ok_or_else(|| format!("{value:?} is no kind of authentication: one of {}", kinds()))?;
            }
            other => return Err(format!("{other:?} is not understood: there is `from`, `at` and `by`")),
        }
        Ok(())
    }
}

impl Target {
    fn parse(text: &str) -> Result<Self, String> {
        let Some((server, thing)) = text.split_once('/') else {
            return match text {
                "gateway" => Ok(Target::Gateway),
                "keys" => Ok(Target::Keys),
                "records" => Ok(Target::Records),
                name => ServerName::parse(name).map(Target::Server).map_err(|why| why.to_string()),
            };
        };
        let server = ServerName::parse(server).map_err(|why| why.to_string())?;
        Ok(match (thing.strip_prefix("prompt:"), thing.strip_prefix("resource:")) {
            (Some(name), _) => Target::Prompt(server, name.to_owned()),
            (_, Some(uri)) => Target::Resource(server, uri.to_owned()),
            _ => Target::Tool(server, thing.to_owned()),
        })
    }

    fn resource(&self) -> Resource<'_> {
        match self {
            Target::Server(server) => Resource::Server(server),
            Target::Tool(server, name) => Resource::Tool(server, name),
            Target::Prompt(server, name) => Resource::Prompt(server, name),
            Target::Resource(server, uri) => Resource::Resource(server, uri),
            Target::Gateway => Resource::Gateway,
            Target::Keys => Resource::Keys,
            Target::Records => Resource::Records,
        }
    }
}

/// The examples of a file that come out differently, or cannot be read.
pub(crate) fn failures(policy: &Policy, file: &PolicyFile) -> Vec<PolicyFault> {
    let judged = |(start, text): &(usize, &str)| {
        let place = place_in(&file.name, &file.text, *start);
        let fault = |what: String| Some(PolicyFault::new(place.clone(), what));
        let Some((word, request)) = text.split_once(':') else {
            return fault("an example is written `must allow: ROLE ACTION TARGET`".to_owned());
        };
        let example = match Example::parse(request) {
            Ok(example) => example,
            Err(why) => return fault(format!("the example cannot be read: {why}")),
        };
        let decision = policy.decide(example.subject(), &example.request());
        let is_met = match word.trim() {
            "allow" => decision.effect == Effect::Allow,
            "deny" => decision.effect == Effect::Deny,
            "ask" => matches!(decision.effect, Effect::Ask(_)),
            other => return fault(format!("{other:?} is no outcome: there is `allow`, `ask` and `deny`")),
        };
        let rules: Vec<&str> = decision.rules.iter().map(crate::RuleId::as_str).collect();
        let what = format!(
            "the example must {}, and what comes out is {}, by {}",
            word.trim(),
            decision.effect,
            rules.join("; ")
        );
        if is_met { None } else { fault(what) }
    };
    file::parts(&file.text).examples.iter().filter_map(judged).collect()
}

/// Cuts the arguments out, which are the one part with braces.
fn cut_arguments(text: &str) -> Result<(String, Option<Members>), String> {
    let (Some(from), Some(to)) = (text.find('{'), text.rfind('}')) else {
        return Ok((text.to_owned(), None));
    };
    let given = text.get(from..=to).unwrap_or_default();
    let arguments = Members::check(Bytes::copy_from_slice(given.as_bytes()), &Limits::default())
        .map_err(|fault| format!("the arguments are no JSON that we accept: {fault}"))?;
    let around = [text.get(..from), text.get(to + 1..)].map(Option::unwrap_or_default);
    Ok((around.join(" "), Some(arguments)))
}

fn names(names: &[&str]) -> String {
    names.join(", ")
}
