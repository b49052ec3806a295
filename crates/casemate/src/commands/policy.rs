//! `casemate policy`: checking, explaining and trying who may do what.

mod simulate;

use std::fmt::Write as _;

use casemate_policy::{Authentication, Decision, Effect, Example, Policy, Subject, SubjectId};
use serde::Serialize;

use crate::args::policy::{self, Explain};
use crate::configuration;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
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

/// What is wrong is a failure that lists it all, wrong examples included.
fn check(context: &Context) -> anyhow::Result<Exit> {
    let policy = configuration::inspect(context)?.snapshot.policy;
    context.output.print(&Checked {
        roles: policy.roles().collect(),
        rules: policy.rules(),
        examples: policy.examples(),
    })?;
    Ok(Exit::Success)
}

/// Examples are judged whenever a policy is read; here somebody wants to hear of it.
fn test(context: &Context) -> anyhow::Result<Exit> {
    let policy = configuration::inspect(context)?.snapshot.policy;
    context.output.print(&Tested { passed: policy.examples() })?;
    Ok(Exit::Success)
}

fn explain(context: &Context, what: &Explain) -> anyhow::Result<Exit> {
    let policy = configuration::inspect(context)?.snapshot.policy;
    let text = what.request.join(" ");
    let example = Example::parse(&text).map_err(|why| {
        let failure = Failure::new(Exit::Usage, format!("the request cannot be read: {why}"));
        failure
            .hint("like `casemate policy explain --role reader call git/git_push '{\"branch\": \"main\"}'`")
    })?;
    let authentication = example.subject().authentication;
    let subject = Subject::new(SubjectId::key("example"), what.roles.clone(), authentication);
    let example = example.by(subject);
    let decision = policy.decide(example.subject(), &example.request());
    context.output.print(&Explained::of(&policy, &decision, authentication))?;
    Ok(if decision.effect == Effect::Deny { Exit::Refused } else { Exit::Success })
}

#[derive(Debug, Serialize)]
struct Checked<'a> {
    roles: Vec<&'a str>,
    rules: usize,
    examples: usize,
}

impl Report for Checked<'_> {
    fn lay_out(&self, page: &mut Page) {
        let found = format!(
            "{}, {}, {}",
            counted(self.roles.len(), "role"),
            counted(self.rules, "rule"),
            counted(self.examples, "example")
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
