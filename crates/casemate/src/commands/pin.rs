//! `casemate pin`: what servers declare, and the approval of it. Works whether or not a gateway runs; one that does
//! notices at once.

mod export;
mod names;
mod shown;

use std::io::{BufRead, IsTerminal, Write};

use casemate_store::{Pin as Stored, Store};

use crate::args::pins::{Approve, Forget, Item, List, Pin, Review, Revoke};
use crate::clock;
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Done, Request, ServerState};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Form;
use crate::wiring::lists;
use crate::wiring::recorder;
use names::Names;
use shown::{Acted, Listed, Reviewed, Waiting, hex};

/// Does what was asked with the pins.
pub fn run(context: &Context, pin: &Pin) -> anyhow::Result<Exit> {
    context.paths.prepare_data()?;
    let store = Store::open(context.paths.data())?;
    let desk = Desk { context, store };
    context.small_runtime()?.block_on(async {
        match pin {
            Pin::List(list) => desk.list(list).await,
            Pin::Review(review) => desk.review(review).await,
            Pin::Approve(approve) => desk.approve(approve).await,
            Pin::Revoke(revoke) => desk.revoke(revoke).await,
            Pin::Forget(forget) => desk.forget(forget).await,
            Pin::Export(export) => export::run(desk.context, &desk.store, export).await,
        }
    })
}

struct Desk<'a> {
    context: &'a Context,
    store: Store,
}

impl Desk<'_> {
    async fn list(&self, list: &List) -> anyhow::Result<Exit> {
        let mut pins = self.pins(list.server.as_ref().map(|server| server.as_str())).await?;
        pins.retain(|pin| !list.waiting || !pin.is_approved());
        let socket = self.context.paths.control_socket();
        // Without a gateway nobody refuses anything.
        let states = client::ask_if_running::<Vec<ServerState>>(&socket, &Request::Servers).await;
        let states = states.ok().flatten().unwrap_or_default();
        self.context.output.print(&Listed::of(&pins, &states))?;
        Ok(Exit::Success)
    }

    async fn review(&self, review: &Review) -> anyhow::Result<Exit> {
        let mut pins = self.pins(None).await?;
        let names = Names::of(self.context, &pins);
        let server = review.server.as_ref().map(|server| server.as_str());
        pins.retain(|pin| !pin.is_approved() && server.is_none_or(|server| pin.server == server));
        let mut waiting = Vec::with_capacity(pins.len());
        for pin in &pins {
            waiting.extend(self.store.pins().get(&pin.server, pin.kind, &pin.name).await?);
        }
        let asks = self.context.output.form() == Form::Human
            && std::io::stdin().is_terminal()
            && std::io::stdout().is_terminal();
        if !asks {
            self.context
                .output
                .print(&Reviewed(waiting.iter().map(|pin| Waiting::of(pin, &names)).collect()))?;
            return Ok(Exit::Success);
        }
        if waiting.is_empty() {
            self.context.output.print(&Reviewed(Vec::new()))?;
        }
        for pin in &waiting {
            self.context.output.print(&Waiting::of(pin, &names))?;
            match ask()? {
                Reply::Yes => drop(self.approve_one(pin).await?),
                Reply::No => {}
                Reply::Quit => break,
            }
        }
        self.announce().await?;
        Ok(Exit::Success)
    }

    async fn approve(&self, approve: &Approve) -> anyhow::Result<Exit> {
        let server = approve.server.as_str();
        let mut pins = self.pins(Some(server)).await?;
        if approve.all {
            pins.retain(|pin| !pin.is_approved());
        } else {
            pins = approve.items.iter().map(|item| find(&pins, server, item)).collect::<Result<_, _>>()?;
        }
        if let Some(wanted) = &approve.fingerprint {
            let other = pins.iter().find(|pin| !hex(&pin.seen.fingerprint).starts_with(wanted.as_str()));
            if let Some(other) = other {
                return Err(changed_meanwhile(other));
            }
        }
        let mut acted = Vec::with_capacity(pins.len());
        for pin in &pins {
            acted.push(self.approve_one(pin).await?);
        }
        self.announce().await?;
        self.context.output.print(&Acted { act: "approved", items: acted })?;
        Ok(Exit::Success)
    }

    /// Approves of what was looked at, and of nothing that came after it.
    async fn approve_one(&self, pin: &Stored) -> anyhow::Result<String> {
        let fingerprint = hex(&pin.seen.fingerprint);
        self.record("pin approve", &object(pin), Some(&fingerprint))?;
        if !self.store.pins().approve(pin, &recorder::by(), clock::unix_seconds()).await? {
            return Err(changed_meanwhile(pin));
        }
        Ok(object(pin))
    }

    async fn revoke(&self, revoke: &Revoke) -> anyhow::Result<Exit> {
        let server = revoke.server.as_str();
        let pins = self.pins(Some(server)).await?;
        let pins: Vec<Stored> =
            revoke.items.iter().map(|item| find(&pins, server, item)).collect::<Result<_, _>>()?;
        let mut acted = Vec::with_capacity(pins.len());
        for pin in &pins {
            self.record("pin revoke", &object(pin), None)?;
            self.store.pins().revoke(server, pin.kind, &pin.name).await?;
            acted.push(object(pin));
        }
        self.announce().await?;
        self.context.output.print(&Acted { act: "revoked", items: acted })?;
        Ok(Exit::Success)
    }

    async fn forget(&self, forget: &Forget) -> anyhow::Result<Exit> {
        let server = forget.server.as_str();
        let pins = self.pins(Some(server)).await?;
        if pins.is_empty() {
            let failure =
                Failure::new(Exit::Failure, format!("nothing is known of a server called {server}"));
            return Err(failure.hint("`casemate pin list` shows what is").into());
        }
        self.record("pin forget", server, None)?;
        self.store.state().remove(lists::NAMESPACE, server).await?;
        self.store.pins().forget(server).await?;
        self.announce().await?;
        self.context.output.print(&Acted { act: "forgotten", items: pins.iter().map(object).collect() })?;
        Ok(Exit::Success)
    }

    async fn pins(&self, server: Option<&str>) -> anyhow::Result<Vec<Stored>> {
        let mut pins = self.store.pins().list().await?;
        pins.retain(|pin| server.is_none_or(|server| pin.server == server));
        Ok(pins)
    }

    /// What cannot be recorded is not done.
    fn record(&self, act: &str, object: &str, detail: Option<&str>) -> anyhow::Result<()> {
        recorder::act(self.context, act, object, detail)
    }

    /// A running gateway looks by itself within a second; asked, it looks before this returns.
    async fn announce(&self) -> anyhow::Result<()> {
        let socket = self.context.paths.control_socket();
        client::ask_if_running::<Done>(&socket, &Request::ReloadPins).await.map(drop)
    }
}

fn object(pin: &Stored) -> String {
    format!("{}/{}", pin.server, Item { kind: pin.kind, name: pin.name.clone() })
}

fn find(pins: &[Stored], server: &str, item: &Item) -> anyhow::Result<Stored> {
    let found = pins.iter().find(|pin| pin.kind == item.kind && pin.name == item.name);
    found.cloned().ok_or_else(|| {
        let failure = Failure::new(Exit::Failure, format!("{server} never declared {item}"));
        failure.hint(format!("`casemate pin list {server}` shows what it did")).into()
    })
}

fn changed_meanwhile(pin: &Stored) -> anyhow::Error {
    let failure =
        Failure::new(Exit::Failure, format!("{} has changed again since it was shown", object(pin)));
    failure.hint(format!("look at it once more: `casemate pin review {}`", pin.server)).into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Yes,
    No,
    Quit,
}

/// Asks until there is an answer; the end of the input is none.
fn ask() -> anyhow::Result<Reply> {
    loop {
        let mut stderr = std::io::stderr().lock();
        write!(stderr, "Approve? [y]es, [n]o, [q]uit: ")?;
        stderr.flush()?;
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line)? == 0 {
            return Ok(Reply::Quit);
        }
        match line.trim() {
            "y" | "yes" => return Ok(Reply::Yes),
            "n" | "no" | "" => return Ok(Reply::No),
            "q" | "quit" => return Ok(Reply::Quit),
            _ => {}
        }
    }
}
