//! `casemate quarantine`: what is kept from calls. Works whether or not a gateway runs: it is written to the store, which a
//! gateway that runs reads before this returns, and one that starts later before it serves anybody.

use casemate_gateway::quarantine::{Entry as Held, Ward};
use casemate_store::Store;
use serde::Serialize;

use crate::args::quarantine::{Action, Add, Lift, Quarantine};
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Done, Request};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Entry, Page, Report, Tone, text};
use crate::wiring::{recorder, wards};
use crate::{clock, configuration};

/// Does what was asked with the quarantine.
pub fn run(context: &Context, quarantine: &Quarantine) -> anyhow::Result<Exit> {
    context.paths.prepare_data()?;
    let store = Store::open(context.paths.data())?;
    context.small_runtime()?.block_on(async {
        match &quarantine.action {
            None | Some(Action::List) => list(context, &store).await,
            Some(Action::Add(add)) => self::add(context, &store, add).await,
            Some(Action::Lift(lift)) => self::lift(context, &store, lift).await,
        }
    })
}

/// Protects first and records then: a full disk must not keep anybody from pulling the plug. What cannot be recorded is
/// told.
async fn add(context: &Context, store: &Store, add: &Add) -> anyhow::Result<Exit> {
    let now = clock::unix_seconds();
    let until = add.until.map(|until| until.at(now));
    if until.is_some_and(|until| until <= now) {
        let failure = Failure::new(Exit::Usage, "it would be over already");
        return Err(failure.hint("choose a later date").into());
    }
    let (reason, by) = (add.reason.as_str().into(), recorder::by().into());
    let held = Held { ward: add.ward.clone(), reason, by, since: now, until };
    store.quarantine().put(wards::confined(&held)).await?;
    let told = announce(context).await;
    let (ward, detail) = (held.ward.to_string(), wards::detail(&held));
    recorder::act(context, "quarantine add", &ward, Some(&detail)).map_err(|error| {
        error.context(Failure::new(
            Exit::Failure,
            format!("{ward} is in quarantine, but that is on no record"),
        ))
    })?;
    told?;
    warn_of_strangers(context, store, &held.ward).await?;
    context.output.print(&Acted { ward, done: "in quarantine" })?;
    Ok(Exit::Success)
}

/// Records first: what cannot be recorded is not let go.
async fn lift(context: &Context, store: &Store, lift: &Lift) -> anyhow::Result<Exit> {
    let ward = lift.ward.to_string();
    if !store.quarantine().list().await?.iter().any(|row| row.ward == ward) {
        let failure = Failure::new(Exit::Failure, format!("{ward} is not in quarantine"));
        return Err(failure.hint("`casemate quarantine list` shows what is").into());
    }
    recorder::act(context, "quarantine lift", &ward, None)?;
    store.quarantine().lift(&ward).await?;
    announce(context).await?;
    context.output.print(&Acted { ward, done: "no longer in quarantine" })?;
    Ok(Exit::Success)
}

async fn list(context: &Context, store: &Store) -> anyhow::Result<Exit> {
    let now = clock::unix_seconds();
    let rows = store.quarantine().list().await?.into_iter().filter_map(wards::entry);
    let held = rows.filter(|entry| !entry.is_over(now)).map(|entry| Shown::of(&entry)).collect();
    context.output.print(&Listed(held))?;
    Ok(Exit::Success)
}

/// A running gateway looks by itself within a second; asked, it looks before this returns.
async fn announce(context: &Context) -> anyhow::Result<()> {
    let socket = context.paths.control_socket();
    client::ask_if_running::<Done>(&socket, &Request::ReloadQuarantine).await.map(drop)
}

/// A name that is nobody's is put in all the same, for it may come; it may be a slip of the keyboard too.
async fn warn_of_strangers(context: &Context, store: &Store, ward: &Ward) -> anyhow::Result<()> {
    let unknown = match ward {
        Ward::Gateway => false,
        Ward::Server(server) | Ward::Tool(server, _) => match configuration::inspect(context) {
            Ok(loaded) => !loaded.snapshot.servers.contains_key(server),
            // A configuration that cannot be read is told of elsewhere.
            Err(_) => false,
        },
        Ward::Subject(id) => match id.strip_prefix("key:") {
            Some(key) => !store.keys().list().await?.iter().any(|record| record.id == key),
            None => false,
        },
    };
    if unknown {
        context.output.warn(&format!("nothing is known by that name: {ward}"));
        context.output.hint("`casemate list` and `casemate key list` show the names that there are");
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Acted {
    ward: String,
    done: &'static str,
}

impl Report for Acted {
    fn lay_out(&self, page: &mut Page) {
        page.line(&format!("{}: {}", text::safe_line(&self.ward), self.done));
    }
}

#[derive(Debug, Serialize)]
struct Shown {
    ward: String,
    reason: String,
    by: String,
    since: String,
    until: Option<String>,
}

impl Shown {
    fn of(entry: &Held) -> Shown {
        Shown {
            ward: entry.ward.to_string(),
            reason: entry.reason.to_string(),
            by: entry.by.to_string(),
            since: clock::date_time(entry.since),
            until: entry.until.map(clock::date_time),
        }
    }
}

#[derive(Debug, Serialize)]
struct Listed(Vec<Shown>);

impl Report for Listed {
    fn lay_out(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("Nothing is in quarantine.");
            return;
        }
        let row = |held: &Shown| -> Vec<Entry> {
            vec![
                Entry::new(&held.ward, Tone::Strong),
                Entry::from(&held.by),
                Entry::from(&held.since),
                Entry::from(held.until.as_deref().unwrap_or("it is lifted")),
                Entry::from(&held.reason),
            ]
        };
        let rows: Vec<_> = self.0.iter().map(row).collect();
        page.table(&["what", "by", "since", "until", "why"], &rows);
    }
}
