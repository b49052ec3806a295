//! `casemate login` and `logout`: logins at remote servers. They work whether or not a gateway runs.

use std::sync::Arc;

use anyhow::Context as _;
use casemate_auth::oauth::{At, OAuthClient, Remote, may_be_opened};
use casemate_gateway::snapshot::{Grant, ServerEntry, Source};
use casemate_policy::SubjectId;
use serde::Serialize;

use crate::args::logins::Login;
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Reloaded, Request};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Form, Page, Report, Tone};
use crate::secrets::Held;
use crate::wiring::logins;
use crate::{clock, configuration, secrets};

/// Logs in.
pub fn login(context: &Context, login: &Login) -> anyhow::Result<Exit> {
    let place = Place::find(context, login)?;
    context.small_runtime()?.block_on(place.login(context))
}

/// Logs out.
pub fn logout(context: &Context, login: &Login) -> anyhow::Result<Exit> {
    let place = Place::find(context, login)?;
    context.small_runtime()?.block_on(place.logout(context))
}

/// A server, and who logs in there.
struct Place {
    entry: Arc<ServerEntry>,
    remote: Remote,
    subject: String,
    client: OAuthClient,
}

impl Place {
    fn find(context: &Context, login: &Login) -> anyhow::Result<Place> {
        let name = &login.server;
        let vault = secrets::vault_asking(context, secrets::open(context)?)?;
        let held = context.small_runtime()?.block_on(Held::of(&vault));
        let loaded = configuration::compile(context, &configuration::read(context, None)?, 1, &held)?
            .map_err(|problems| configuration::failure(context, &problems))?;
        let entry = loaded.snapshot.servers.get(name).cloned().ok_or_else(|| {
            Failure::new(Exit::Failure, format!("no server called {name} is configured"))
                .hint("`casemate list` shows those that are")
        })?;
        let Source::Http(source) = &entry.source else {
            let failure = Failure::new(Exit::Failure, format!("{name} is not a remote server"));
            return Err(failure.hint("what a local server needs is given to it: `casemate secret`").into());
        };
        if source.oauth.grant != Grant::AuthorizationCode {
            let grant = source.oauth.grant.as_str();
            let failure = Failure::new(Exit::Failure, format!("{name} has oauth.grant = {grant:?}"));
            return Err(failure.hint("its tokens are fetched by themselves; nobody logs in").into());
        }
        let remote = logins::remote(&entry).context("the server's address cannot be used")?;
        let own = SubjectId::local(rustix::process::geteuid().as_raw()).to_string();
        let subject = login.subject.clone().unwrap_or(own);
        Ok(Place { entry, remote, subject, client: logins::client(vault) })
    }

    async fn login(&self, context: &Context) -> anyhow::Result<Exit> {
        let whose = logins::whose(&self.entry, Some(&self.subject));
        let challenge = self.client.challenge(&self.remote).await?;
        let about = (&*self.entry, &self.remote);
        let (pending, callback) = logins::begin(&self.client, about, (whose, challenge)).await?;
        let url = pending.url()?;
        if !may_be_opened(&url) {
            return Err(
                Failure::new(Exit::Failure, "the login is at an address that is not safe to open").into()
            );
        }
        context.output.note(&format!(
            "Open this address in a browser of this machine, and log in at {}:",
            pending.issuer()
        ));
        match context.output.form() {
            Form::Json => context.output.print_json(&Waiting { url: &url, issuer: pending.issuer() })?,
            Form::Human => context.output.write(format!("{url}\n").as_bytes())?,
        }
        let landing = callback.code(&pending).await?;
        let at = At { remote: &self.remote, whose, now_unix_s: clock::unix_seconds() };
        let finished = self.client.finish(at, (pending, landing.code.clone())).await;
        landing.tell(&finished).await;
        finished?;
        self.announce(context).await?;
        context.output.print(&Done { server: self.remote.server.clone(), done: "logged in" })?;
        Ok(Exit::Success)
    }

    async fn logout(&self, context: &Context) -> anyhow::Result<Exit> {
        let whose = logins::whose(&self.entry, Some(&self.subject));
        let had = self.client.forget(&self.remote, whose).await?;
        self.announce(context).await?;
        let done = if had { "logged out" } else { "was not logged in" };
        context.output.print(&Done { server: self.remote.server.clone(), done })?;
        Ok(Exit::Success)
    }

    /// The running gateway, if there is one, looks at the tokens anew.
    async fn announce(&self, context: &Context) -> anyhow::Result<()> {
        let socket = context.paths.control_socket();
        client::ask_if_running::<Reloaded>(&socket, &Request::Reload).await.map(drop)
    }
}

#[derive(Debug, Serialize)]
struct Waiting<'a> {
    url: &'a str,
    issuer: &'a str,
}

#[derive(Debug, Serialize)]
struct Done {
    server: String,
    done: &'static str,
}

impl Report for Done {
    fn lay_out(&self, page: &mut Page) {
        page.labelled(Tone::Good, &format!("{}:", self.server), self.done);
    }
}
