//! `casemate key`: API keys. Works whether or not a gateway runs or ever ran.

use casemate_auth::{NewKey, issue};
use casemate_mcp::names::RoleName;
use casemate_policy::Builtin;
use casemate_store::{KeyRecord, Store};
use serde::Serialize;

use crate::args::keys::{Create, Key};
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Done, Request};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Entry, Form, Page, Report, Tone};
use crate::wiring::recorder::{self, Log};
use crate::{clock, configuration};

/// Does what was asked with the keys.
pub fn run(context: &Context, key: &Key) -> anyhow::Result<Exit> {
    context.paths.prepare_data()?;
    let store = Store::open(context.paths.data())?;
    context.small_runtime()?.block_on(async {
        match key {
            Key::Create(create) => self::create(context, &store, create).await,
            Key::List => list(context, &store).await,
            Key::Revoke(revoke) => self::revoke(context, &store, &revoke.id).await,
        }
    })
}

async fn create(context: &Context, store: &Store, create: &Create) -> anyhow::Result<Exit> {
    check_role(context, &create.role)?;
    let now = clock::unix_seconds();
    let expires = create.expires.map(|expiry| expiry.at(now));
    if expires.is_some_and(|expires| expires <= now) {
        return Err(Failure::new(Exit::Usage, "the key would have expired already")
            .hint("choose a later date")
            .into());
    }
    // Without one the key is not narrowed; an empty scope would open nothing.
    let scope = (!create.scope.is_empty()).then(|| create.scope.clone());
    let wanted = NewKey { name: create.name.clone(), role: create.role.clone(), scope, expires };
    let (secret, record) = issue(wanted, now)?;
    let shown = Shown::of(&record, now);
    Log::open(context)?.key_created(&record).map_err(anyhow::Error::msg)?;
    store.keys().insert(record.clone()).await?;
    announce(context).await?;
    match context.output.form() {
        Form::Json => context.output.print_json(&Created { key: secret.expose(), about: &shown })?,
        Form::Human => {
            context.output.write(format!("{}\n", secret.expose()).as_bytes())?;
            context.output.note(&format!(
                "This is the only time that the key is shown. Its id is {}, its role is {}.",
                record.id, record.role
            ));
        }
    }
    Ok(Exit::Success)
}

async fn list(context: &Context, store: &Store) -> anyhow::Result<Exit> {
    let now = clock::unix_seconds();
    let keys = store.keys().list().await?;
    context.output.print(&Keys(keys.iter().map(|record| Shown::of(record, now)).collect()))?;
    Ok(Exit::Success)
}

async fn revoke(context: &Context, store: &Store, id: &str) -> anyhow::Result<Exit> {
    if !store.keys().revoke(id, clock::unix_seconds()).await? {
        let failure = Failure::new(Exit::Failure, format!("there is no key with the id `{id}`"));
        return Err(failure.hint("`casemate key list` shows the ids").into());
    }
    announce(context).await?;
    recorder::done(context, "key revoke", &recorder::key(id))?;
    context.output.print(&Revoked { revoked: id })?;
    Ok(Exit::Success)
}

/// A running gateway looks by itself within a second; asked, it looks before this returns.
async fn announce(context: &Context) -> anyhow::Result<()> {
    let socket = context.paths.control_socket();
    client::ask_if_running::<Done>(&socket, &Request::ReloadKeys).await.map(drop)
}

/// A key with a role that does not exist would be refused everything, which nobody means.
fn check_role(context: &Context, role: &RoleName) -> anyhow::Result<()> {
    if Builtin::find(role).is_some() {
        return Ok(());
    }
    let policy = configuration::inspect(context)?.snapshot.policy;
    if policy.has_role(role) {
        return Ok(());
    }
    let known: Vec<&str> = policy.roles().collect();
    let failure = Failure::new(Exit::Usage, format!("there is no role `{role}`"));
    Err(failure.hint(format!("the roles are {}", known.join(", "))).into())
}

#[derive(Debug, Serialize)]
struct Created<'a> {
    key: &'a str,
    #[serde(flatten)]
    about: &'a Shown,
}

#[derive(Debug, Serialize)]
struct Revoked<'a> {
    revoked: &'a str,
}

impl Report for Revoked<'_> {
    fn lay_out(&self, page: &mut Page) {
        page.line(&format!("{}: revoked", self.revoked));
    }
}

/// A key as it is shown: everything but itself.
#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    name: String,
    role: String,
    scope: Option<Vec<String>>,
    state: State,
    created: String,
    expires: Option<String>,
    last_used: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Valid,
    Expired,
    Revoked,
}

impl Shown {
    fn of(record: &KeyRecord, now: u64) -> Shown {
        let state = match (record.revoked, record.expires) {
            (Some(_), _) => State::Revoked,
            (None, Some(expires)) if expires <= now => State::Expired,
            _ => State::Valid,
        };
        Shown {
            id: record.id.clone(),
            name: record.name.clone(),
            role: record.role.to_string(),
            scope: record.scope.clone(),
            state,
            created: clock::date_time(record.created),
            expires: record.expires.map(clock::date_time),
            last_used: record.last_used.map(clock::date_time),
        }
    }

    fn row(&self) -> Vec<Entry> {
        let state = match self.state {
            State::Valid => Entry::new("valid", Tone::Good),
            State::Expired => Entry::new("expired", Tone::Warning),
            State::Revoked => Entry::new("revoked", Tone::Quiet),
        };
        let text = |text: &str| Entry::from(text);
        vec![
            text(&self.id),
            text(&self.name),
            text(&self.role),
            text(&self.scope.as_ref().map_or("all of it".to_owned(), |patterns| patterns.join(" "))),
            state,
            text(&self.created),
            text(self.expires.as_deref().unwrap_or("never")),
            text(self.last_used.as_deref().unwrap_or("never")),
        ]
    }
}

#[derive(Debug, Serialize)]
struct Keys(Vec<Shown>);

impl Report for Keys {
    fn lay_out(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("There are no keys. `casemate key create` makes one.");
            return;
        }
        let rows: Vec<_> = self.0.iter().map(Shown::row).collect();
        page.table(&["id", "name", "role", "scope", "state", "created", "expires", "last used"], &rows);
    }
}
