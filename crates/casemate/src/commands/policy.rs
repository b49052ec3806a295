//! `casemate policy`: checking, explaining and trying who may do what.

mod simulate;
mod tools;

use std::fmt::Write as _;

use casemate_policy::{Authentication, Decision, Effect, Example, Policy, Subject, SubjectId};
use serde::Serialize;

use crate::args::policy::{self, Explain};
use crate::configuration;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Problem};
use crate::output::{Page, Report, Tone};

/// Does what was asked with the policy.
pub fn run(context: &Context, asked: &policy::Policy) -> anyhow::Result<Exit> {
    match asked {
        policy::Policy::Check => check(context),
        policy::Policy::Explain(what) => explain(context, what),
        policy::Policy::Test => test(context),
        policy::Policy::Simulate(what) => simulate::run(context, what),
    }
}

/// What is wrong is a failure that lists it all, wrong examples included, and policies that name arguments which approved
/// tools do not have.
fn check(context: &Context) -> anyhow::Result<Exit> {
    let snapshot = configuration::inspect(context)?.snapshot;
    let policy = &snapshot.policy;
    let (mut tools, mut problems) = (0, Vec::new());
    for tool in tools::approved(context)? {
        if !snapshot.servers.contains_key(&tool.server) {
            continue;
        }
        tools += 1;
        for (rule, why) in policy.misfits((&tool.server, &tool.name), &tool.input_schema) {
            let message = format!("{}/{}: {why}", tool.server, tool.name);
            let hint =
                "every call of that tool would be denied; `casemate pin list` shows what servers declare";
            problems.push(Problem { place: rule.to_string(), message, hint: Some(hint.to_owned()) });
        }
    }
    if !problems.is_empty() {
        let message = "a policy does not fit what tools declare";
        return Err(Failure::new(Exit::Configuration, message).problems(problems).into());
    }
    context.output.print(&Checked {
        roles: policy.roles().collect(),
        rules: policy.rules(),
        examples: policy.examples(),
        tools,
    })?;
    Ok(Exit::Success)
}

/// The policy of what is written, with what people confirmed by approving of it.
fn policy_in_force(context: &Context) -> anyhow::Result<Policy> {
    let policy = configuration::inspect(context)?.snapshot.policy;
    Ok(policy.approving(tools::confirmed(context)?))
}

/// Examples are judged whenever a policy is read; here somebody wants to hear of it.
fn test(context: &Context) -> anyhow::Result<Exit> {
    let policy = configuration::inspect(context)?.snapshot.policy;
    context.output.print(&Tested { passed: policy.examples() })?;
    Ok(Exit::Success)
}

fn explain(context: &Context, what: &Explain) -> anyhow::Result<Exit> {
    let text = what.request.join(" ");
    let example = Example::parse(&text).map_err(|why| {
        let failure = Failure::new(Exit::Usage, format!("the request cannot be read: {why}"));
        failure
            .hint("like `casemate policy explain --role reader call git/git_push '{\"branch\": \"main\"}'`")
    })?;
    let authentication = example.subject().authentication;
    let subject = Subject::new(SubjectId::key("example"), what.roles.clone(), authentication);
    let example = example.by(subject);
    let snapshot = configuration::inspect(context)?.snapshot;
    if let Some(server) = example.server().filter(|server| !snapshot.servers.contains_key(*server)) {
        context.output.warn(&format!("no server called {server} is configured, so nobody could do that"));
        context.output.hint("`casemate list` shows the servers that there are");
    }
    let policy = snapshot.policy.approving(tools::confirmed(context)?);
    let decision = policy.decide(example.subject(), &example.request());
    context.output.print(&Explained::of(&policy, &decision, authentication))?;
    Ok(if decision.effect == Effect::Deny { Exit::Refused } else { Exit::Success })
}

#[derive(Debug, Serialize)]
struct Checked<'a> {
    roles: Vec<&'a str>,
    rules: usize,
    examples: usize,
    /// Approved tools that the policies were held against.
    tools: usize,
}

impl Report for Checked<'_> {
    fn lay_out(&self, page: &mut Page) {
        let found = format!(
            "{}, {}, {}, {}",
            counted(self.roles.len(), "role"),
            counted(self.rules, "rule"),
            counted(self.examples, "example"),
            counted(self.tools, "approved tool")
        );
        page.labelled(Tone::Good, "ok:", &found);
    }
}

#[derive(Debug, Serialize)]
struct Tested {
    passed: usize,
}

impl Report for Tested {
    fn lay_out(&self, page: &mut Page) {
        page.labelled(
            Tone::Good,
            "ok:",
            &format!("{} come out as they must", counted(self.passed, "example")),
        );
    }
}

#[derive(Debug, Serialize)]
struct Explained {
    effect: &'static str,
    /// Who may approve, when it is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_by: Option<&'static str>,
    authentication: &'static str,
    rules: Vec<ExplainedRule>,
}

#[derive(Debug, Serialize)]
struct ExplainedRule {
    id: String,
    /// The rule as a Cedar policy; absent for what is no rule but the want of one.
    policy: Option<String>,
}

impl Explained {
    fn of(policy: &Policy, decision: &Decision, authentication: Authentication) -> Explained {
        let rule =
            |id: &casemate_policy::RuleId| ExplainedRule { id: id.to_string(), policy: policy.text(id) };
        Explained {
            effect: decision.effect.as_str(),
            answered_by: match decision.effect {
                Effect::Ask(answerer) => Some(answerer.as_str()),
                Effect::Allow | Effect::Deny => None,
            },
            authentication: authentication.as_str(),
            rules: decision.rules.iter().map(rule).collect(),
        }
    }
}

impl Report for Explained {
    fn lay_out(&self, page: &mut Page) {
        let tone = match self.effect {
            "allow" => Tone::Good,
            "ask" => Tone::Warning,
            _ => Tone::Error,
        };
        let mut because = String::new();
        let ids: Vec<&str> = self.rules.iter().map(|rule| rule.id.as_str()).collect();
        let _ = write!(because, "by {}", ids.join("; "));
        if let Some(who) = self.answered_by {
            let _ = write!(because, " (the {who} has to approve)");
        }
        page.labelled(tone, &format!("{}:", self.effect), &because);
        for policy in self.rules.iter().filter_map(|rule| rule.policy.as_ref()) {
            page.gap();
            page.line(policy);
        }
    }
}

/// A number with its noun.
fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
