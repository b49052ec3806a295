//! `casemate login` and `logout`: logins at remote servers. They work whether or not a gateway runs.

use std::io::{BufRead, IsTerminal, Read};
use std::sync::Arc;

use anyhow::Context as _;
use casemate_auth::oauth::{Answer, At, OAuthClient, Pending, Remote, Whose, may_be_opened};
use casemate_gateway::edge::http::routes::LANDING;
use casemate_gateway::front::PublicUrl;
use casemate_gateway::snapshot::{Grant, ServerEntry, Source};
use casemate_policy::SubjectId;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::absent::Absent;
use crate::args::logins::{Begin, Login};
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Reloaded, Request};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Form, Page, Report, Tone};
use crate::secrets::Held;
use crate::wiring::{logins, recorder};
use crate::{browser, clock, configuration, secrets, terminal};

/// How often a person may paste the wrong line.
const PASTES_MAX: usize = 3;

/// Longest line that is read, in bytes.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// Logs in.
pub fn login(context: &Context, begin: &Begin) -> anyhow::Result<Exit> {
    let place = Place::find(context, &begin.login)?;
    context.small_runtime()?.block_on(async {
        if begin.paste { place.login_by_hand(context).await } else { place.login(context, begin).await }
    })
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
    /// Where browsers of other machines reach the gateway.
    public_url: Option<PublicUrl>,
}

impl Place {
    fn find(context: &Context, login: &Login) -> anyhow::Result<Place> {
        let name = &login.server;
        let vault = secrets::vault_asking(context, secrets::open(context)?)?;
        let held = context.small_runtime()?.block_on(Held::of(&vault));
        let loaded = configuration::compile(context, &configuration::read(context, None)?, 1, &held)?
            .map_err(|problems| configuration::failure(context, &problems))?;
        let entry = loaded
            .snapshot
            .servers
            .get(name)
            .cloned()
            .ok_or_else(|| Failure::from(Absent::of(name.as_str(), &loaded.snapshot.servers)))?;
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
        let public_url = loaded.snapshot.public_url;
        Ok(Place { entry, remote, subject, client: logins::client(vault), public_url })
    }

    async fn login(&self, context: &Context, asked: &Begin) -> anyhow::Result<Exit> {
        let whose = logins::whose(&self.entry, Some(&self.subject));
        let challenge = self.client.challenge(&self.remote).await?;
        let about = (&*self.entry, &self.remote);
        let (pending, callback) = logins::begin(&self.client, about, (whose, challenge)).await?;
        let url = tell(context, &pending, "in a browser of this machine")?;
        if !asked.no_browser && browser::open(context, &url) {
            context.output.note("A browser was asked to open it.");
        }
        let landing = callback.code(&pending).await?;
        let at = At { remote: &self.remote, whose, now_unix_s: clock::unix_seconds() };
        self.record(context, "login", whose)?;
        let finished = self.client.finish(at, (pending, landing.code.clone())).await;
        landing.tell(&finished).await;
        finished?;
        self.done(context).await
    }

    /// The browser is on another machine: the answer arrives at the gateway's public address, and a person brings it here.
    /// So whoever gets the token is who sits at this terminal, and not whoever sent somebody else a link.
    async fn login_by_hand(&self, context: &Context) -> anyhow::Result<Exit> {
        let base = self.public_url.as_ref().ok_or_else(|| {
            Failure::new(Exit::Failure, "the gateway has no public address for the answer to arrive at")
                .hint("set gateway.public_url, or log in without --paste, with a browser of this machine")
        })?;
        let whose = logins::whose(&self.entry, Some(&self.subject));
        let challenge = self.client.challenge(&self.remote).await?;
        let at = || At { remote: &self.remote, whose, now_unix_s: clock::unix_seconds() };
        let begun = self.client.begin(&self.remote, challenge).await?;
        let pending = self.client.go_on(at(), (begun, &format!("{base}{LANDING}"))).await?;
        tell(context, &pending, "in a browser, wherever it is")?;
        let code = pasted(context, &pending)?;
        self.record(context, "login", whose)?;
        self.client.finish(at(), (pending, code)).await?;
        self.done(context).await
    }

    async fn done(&self, context: &Context) -> anyhow::Result<Exit> {
        self.announce(context).await?;
        context.output.print(&Done { server: self.remote.server.clone(), done: "logged in" })?;
        Ok(Exit::Success)
    }

    async fn logout(&self, context: &Context) -> anyhow::Result<Exit> {
        let whose = logins::whose(&self.entry, Some(&self.subject));
        let had = self.client.forget(&self.remote, whose).await?;
        self.announce(context).await?;
        if had {
            recorder::done(context, "logout", &self.remote.server)?;
        }
        let done = if had { "logged out" } else { "was not logged in" };
        context.output.print(&Done { server: self.remote.server.clone(), done })?;
        Ok(Exit::Success)
    }

    /// What cannot be recorded is not done: from now on the gateway acts for somebody else there.
    fn record(&self, context: &Context, act: &str, whose: Whose<'_>) -> anyhow::Result<()> {
        let whose = match whose {
            Whose::Subject(subject) => format!("for {subject}"),
            Whose::Everyone => "for everybody".to_owned(),
            Whose::Ourselves => "for the gateway".to_owned(),
        };
        recorder::act(context, act, &self.remote.server, Some(&whose))
    }

    /// The running gateway, if there is one, looks at the tokens anew.
    async fn announce(&self, context: &Context) -> anyhow::Result<()> {
        let socket = context.paths.control_socket();
        client::ask_if_running::<Reloaded>(&socket, &Request::Reload).await.map(drop)
    }
}

/// Prints the address to open, and returns it.
fn tell(context: &Context, pending: &Pending, place: &str) -> anyhow::Result<String> {
    let url = pending.url()?;
    if !may_be_opened(&url) {
        return Err(Failure::new(Exit::Failure, "the login is at an address that is not safe to open").into());
    }
    context.output.note(&format!("Open this address {place}, and log in at {}:", pending.issuer()));
    match context.output.form() {
        Form::Json => context.output.print_json(&Waiting { url: &url, issuer: pending.issuer() })?,
        Form::Human => context.output.write(format!("{url}\n").as_bytes())?,
    }
    Ok(url)
}

/// The code in the line that a person brings from the page; the whole address of that page will do.
fn pasted(context: &Context, pending: &Pending) -> anyhow::Result<SecretString> {
    for _ in 0..PASTES_MAX {
        let line = read_line()?;
        let line = line.expose_secret().trim();
        let query = line.split_once('?').map_or(line, |(_, query)| query);
        match pending.judge(query, clock::unix_seconds()) {
            Answer::Ours(code) => return Ok(code?),
            Answer::Stranger => context.output.warn("this is not the line of this login; paste all of it"),
        }
    }
    Err(Failure::new(Exit::Failure, "no line of this login was pasted").into())
}

fn read_line() -> anyhow::Result<SecretString> {
    if std::io::stdin().is_terminal() {
        let asked = terminal::ask_hidden("The line that the page shows").context("nothing was pasted")?;
        return asked.context("nothing was pasted");
    }
    let mut line = String::new();
    let read =
        std::io::stdin().lock().take(LINE_BYTES_MAX).read_line(&mut line).context("nothing was pasted")?;
    anyhow::ensure!(read > 0, "nothing was pasted");
    Ok(line.into())
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
