//! `casemate policy simulate`: recorded calls, judged anew.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::Context as _;
use casemate_config::{File, Input};
use casemate_mcp::method::Method;
use casemate_mcp::names::ServerName;
use casemate_policy::{
    Action, Arguments, Authentication, Context as Circumstances, Effect, Policy, Request, Resource, Scope,
    Subject, SubjectId, local_subject,
};
use casemate_store::Store;
use casemate_store::records::{Finding, Reader};
use serde::{Deserialize, Serialize};

use super::counted;
use crate::args::policy::Simulate;
use crate::configuration;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Entry, Page, Report, Tone};

/// Judges what is recorded and prints the differences.
pub(super) fn run(context: &Context, what: &Simulate) -> anyhow::Result<Exit> {
    let policy = policy(context, what.candidate.as_deref())?;
    let subjects = Subjects::read(context)?;
    let mut outcome = Outcome::default();
    let mut reader = Reader::from_start(&context.paths.records());
    while let Some(finding) = reader.next_finding()? {
        let Finding::Record { line, .. } = finding else { continue };
        if let Ok(intent) = serde_json::from_str::<Intent>(&line)
            && intent.kind == "intent"
        {
            outcome.add(&intent, judged(&policy, &subjects, &intent));
        }
    }
    context.output.print(&outcome)?;
    Ok(Exit::Success)
}

fn policy(context: &Context, candidate: Option<&Path>) -> anyhow::Result<Policy> {
    let Some(path) = candidate else { return super::policy_in_force(context) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let input = Input { file: Some(File { path: path.to_owned(), text }), ..Input::default() };
    let loaded = configuration::compile_unresolved(&input)?
        .map_err(|problems| configuration::failure(context, &problems))?;
    Ok(loaded.snapshot.policy.approving(super::tools::confirmed(context)?))
}

/// What a record says of a call.
#[derive(Debug, Deserialize)]
struct Intent {
    kind: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    method: String,
    server: Option<String>,
    name: Option<String>,
    #[serde(default)]
    effect: String,
}

/// The roles that subjects have now.
struct Subjects(HashMap<String, Subject>);

impl Subjects {
    fn read(context: &Context) -> anyhow::Result<Self> {
        context.paths.prepare_data()?;
        let store = Store::open(context.paths.data())?;
        let keys = context.small_runtime()?.block_on(async { store.keys().list().await })?;
        let known = keys.into_iter().map(|record| {
            let subject = Subject::new(SubjectId::key(&record.id), vec![record.role], Authentication::Key);
            // A scope that cannot be read holds nothing, as at the gate.
            let scope = record.scope.map(|texts| Scope::parse(texts).unwrap_or_default());
            let subject = match scope {
                Some(scope) => subject.within(scope),
                None => subject,
            };
            (subject.id.as_str().to_owned(), subject)
        });
        Ok(Subjects(known.collect()))
    }

    fn find(&self, id: &str) -> Option<Subject> {
        let uid = id.strip_prefix("local:").and_then(|uid| uid.parse::<u32>().ok());
        // The gateway lets its own user in and no other, so whoever is on record was that one.
        uid.and_then(|uid| local_subject(uid, uid)).or_else(|| self.0.get(id).cloned())
    }
}

/// What the policy says of a recorded call; `None` when that cannot be known.
fn judged(policy: &Policy, subjects: &Subjects, intent: &Intent) -> Judged {
    let Some(server) = intent.server.as_deref().and_then(|name| ServerName::parse(name).ok()) else {
        return Judged::Own;
    };
    let name = intent.name.as_deref().unwrap_or(&intent.method);
    let (action, resource) = match Method::parse(&intent.method) {
        Method::PromptsGet => (Action::Get, Resource::Prompt(&server, name)),
        Method::ResourcesRead => (Action::Read, Resource::Resource(&server, name)),
        Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => {
            (Action::Subscribe, Resource::Resource(&server, name))
        }
        Method::ToolsCall => (Action::Call, Resource::Tool(&server, name)),
        // Whether a prompt or a template is completed is not on record.
        Method::Complete => return Judged::Unknown("completions"),
        _ => return Judged::Own,
    };
    let Some(subject) = subjects.find(&intent.subject) else {
        return Judged::Unknown("subjects that are gone");
    };
    let context = Circumstances { arguments: Arguments::Unknown, ..Circumstances::default() };
    let request = Request::new(action, resource).under(context);
    if policy.needs_circumstances(&subject, &request) {
        return Judged::Unknown("calls that hang on arguments or circumstances");
    }
    Judged::Known(policy.decide(&subject, &request).effect)
}

enum Judged {
    Known(Effect),
    Unknown(&'static str),
    /// We answer it ourselves, or it is relayed as it is.
    Own,
}

/// What came out.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    /// Recorded calls that a policy has a say in.
    judged: usize,
    unchanged: usize,
    #[serde(serialize_with = "listed")]
    changed: BTreeMap<Change, usize>,
    unknown: BTreeMap<&'static str, usize>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Change {
    subject: String,
    method: String,
    target: String,
    before: String,
    after: &'static str,
}

fn listed<S: serde::Serializer>(changed: &BTreeMap<Change, usize>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Counted<'a> {
        #[serde(flatten)]
        change: &'a Change,
        calls: usize,
    }
    serializer.collect_seq(changed.iter().map(|(change, calls)| Counted { change, calls: *calls }))
}

impl Outcome {
    fn add(&mut self, intent: &Intent, judged: Judged) {
        let after = match judged {
            Judged::Own => return,
            Judged::Unknown(why) => {
                self.judged += 1;
                *self.unknown.entry(why).or_default() += 1;
                return;
            }
            Judged::Known(effect) => effect.as_str(),
        };
        self.judged += 1;
        if intent.effect == after {
            self.unchanged += 1;
            return;
        }
        let (server, name) =
            (intent.server.as_deref().unwrap_or_default(), intent.name.as_deref().unwrap_or_default());
        let change = Change {
            subject: intent.subject.clone(),
            method: intent.method.clone(),
            target: format!("{server}/{name}"),
            before: intent.effect.clone(),
            after,
        };
        *self.changed.entry(change).or_default() += 1;
    }
}

impl Report for Outcome {
    fn lay_out(&self, page: &mut Page) {
        let changed: usize = self.changed.values().sum();
        let tone = if changed == 0 { Tone::Good } else { Tone::Warning };
        let judged = counted(self.judged, "recorded call");
        page.labelled(tone, "judged:", &format!("{judged}, {} unchanged, {changed} changed", self.unchanged));
        for (why, count) in &self.unknown {
            page.labelled(Tone::Quiet, "unknown:", &format!("{count} {why}"));
        }
        if self.changed.is_empty() {
            return;
        }
        page.gap();
        let row = |(change, count): (&Change, &usize)| -> Vec<Entry> {
            let outcome = format!("{} → {}", change.before, change.after);
            vec![
                outcome.into(),
                count.to_string().into(),
                change.subject.as_str().into(),
                change.method.as_str().into(),
                change.target.as_str().into(),
            ]
        };
        let rows: Vec<Vec<Entry>> = self.changed.iter().map(row).collect();
        page.table(&["outcome", "calls", "subject", "method", "target"], &rows);
    }
}
