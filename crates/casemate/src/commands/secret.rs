//! `casemate secret`: secrets for servers. Works whether or not a gateway runs or ever ran.

use std::io::{IsTerminal, Read};
use std::sync::Arc;

use anyhow::Context as _;
use casemate_auth::{Kept, Kind, NewProtection, SECRET_BYTES_MAX, SecretName, Vault};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde::Serialize;

use crate::args::secrets::{Keep, Rotate, Secret};
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Reloaded, Request};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Entry, Page, Report, Tone};
use crate::wiring::recorder;
use crate::{clock, configuration, keyring, secrets, terminal};

/// Does what was asked with the secrets.
pub fn run(context: &Context, secret: &Secret) -> anyhow::Result<Exit> {
    let store = secrets::open(context)?;
    // Names and ages are known without the key, so nobody is asked for a passphrase to see or remove them.
    let vault = match secret {
        Secret::List | Secret::Remove(_) => Arc::new(Vault::new(store, context.paths.data())?),
        Secret::Set(_) | Secret::Rotate(_) => secrets::vault_asking(context, store)?,
    };
    match secret {
        Secret::Set(named) => set(context, &vault, &named.name),
        Secret::List => list(context, &vault),
        Secret::Remove(named) => remove(context, &vault, &named.name),
        Secret::Rotate(how) => rotate(context, &vault, how),
    }
}

fn set(context: &Context, vault: &Vault, name: &SecretName) -> anyhow::Result<Exit> {
    let value = value(name)?;
    recorder::act(context, "secret set", name.as_str(), None)?;
    context.small_runtime()?.block_on(vault.set(Kind::Secret, name.as_str(), &value))?;
    announce(context)?;
    let users = users(context, name)?;
    context.output.print(&Done { secret: name.as_str(), done: "set" })?;
    if users.is_empty() {
        context.output.hint(&format!("refer to it in an entry: env.{name} = \"secret:{name}\""));
    }
    Ok(Exit::Success)
}

/// The value, from whatever stands at standard input.
fn value(name: &SecretName) -> anyhow::Result<SecretString> {
    if std::io::stdin().is_terminal() {
        let asked = terminal::ask_hidden(&format!("Value of {name}")).context("nothing was changed")?;
        return asked.ok_or_else(|| Failure::new(Exit::Usage, "there is no terminal to ask on").into());
    }
    // One byte more than is taken, so that a longer one is refused and not cut off; and a newline.
    let most = u64::try_from(SECRET_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(2);
    let mut text = Zeroizing::new(String::new());
    let read = std::io::stdin().lock().take(most).read_to_string(&mut text);
    read.context("the value cannot be read from standard input; nothing was changed")?;
    let value = text.strip_suffix('\n').unwrap_or(&text);
    Ok(value.strip_suffix('\r').unwrap_or(value).to_owned().into())
}

fn list(context: &Context, vault: &Vault) -> anyhow::Result<Exit> {
    let kept = context.small_runtime()?.block_on(vault.list(Kind::Secret))?;
    let named = configuration::named_secrets(context)?;
    let now = clock::unix_seconds();
    let using = |secret: &str| -> Vec<String> {
        named.iter().filter(|(_, name)| name.as_str() == secret).map(|(setting, _)| setting.clone()).collect()
    };
    let mut shown: Vec<Shown> = kept.iter().map(|kept| Shown::of(kept, using(&kept.name), now)).collect();
    for (_, name) in &named {
        if !shown.iter().any(|shown| shown.name == name.as_str()) {
            shown.push(Shown::missing(name, using(name.as_str())));
        }
    }
    context.output.print(&Shelf(shown))?;
    Ok(Exit::Success)
}

fn remove(context: &Context, vault: &Vault, name: &SecretName) -> anyhow::Result<Exit> {
    let users = users(context, name)?;
    if !context.small_runtime()?.block_on(vault.remove(Kind::Secret, name.as_str()))? {
        let failure = Failure::new(Exit::Failure, format!("there is no secret `{name}`"));
        return Err(failure.hint("`casemate secret list` shows those that there are").into());
    }
    announce(context)?;
    recorder::done(context, "secret remove", name.as_str())?;
    context.output.print(&Done { secret: name.as_str(), done: "removed" })?;
    if !users.is_empty() {
        context
            .output
            .warn(&format!("it is used by {}, whose servers are not started without it", users.join(", ")));
        context.output.hint(&format!("`casemate secret set {name}` sets it again"));
    }
    Ok(Exit::Success)
}

fn rotate(context: &Context, vault: &Vault, how: &Rotate) -> anyhow::Result<Exit> {
    let protection = match how.keep {
        None => None,
        Some(Keep::File) => Some(NewProtection::File),
        Some(Keep::Passphrase) => Some(NewProtection::Passphrase(secrets::new_passphrase(context)?)),
        Some(Keep::Keyring) => Some(in_keyring(context)?),
    };
    let before = vault.keyring_item()?;
    let kept = how.keep.map_or("as before", Keep::as_str);
    recorder::act(context, "secret rotate", "key of the secrets", Some(&format!("kept: {kept}")))?;
    let count = context.small_runtime()?.block_on(vault.rotate(protection))?;
    if let Some(before) = before.filter(|_| how.keep.is_some()) {
        forget(context, &before)?;
    }
    context.output.print(&Rotated { resealed: count })?;
    Ok(Exit::Success)
}

/// A passphrase for a new key, in the keyring of the system. Where there is none nothing is changed, and nothing is kept
/// in another way instead.
fn in_keyring(context: &Context) -> anyhow::Result<NewProtection> {
    let (item, passphrase) =
        context.small_runtime()?.block_on(keyring::keep_new(context))?.map_err(|fault| {
            let message = format!("the key was not replaced, since its passphrase {fault}");
            Failure::new(Exit::Failure, message).hint(fault.hint())
        })?;
    Ok(NewProtection::Keyring { item, passphrase })
}

/// What is left behind opens nothing any more.
fn forget(context: &Context, item: &str) -> anyhow::Result<()> {
    if let Err(fault) = context.small_runtime()?.block_on(keyring::forget(context, item)) {
        context.output.warn(&format!("the old passphrase, which opens nothing any more, {fault}"));
    }
    Ok(())
}

/// Where the configuration refers to a secret. One that is wrong refers to nothing that a gateway would take.
fn users(context: &Context, name: &SecretName) -> anyhow::Result<Vec<String>> {
    let named = configuration::named_secrets(context)?.into_iter();
    Ok(named.filter(|(_, secret)| secret == name).map(|(setting, _)| setting).collect())
}

/// Tells the running gateway, if there is one. It has the new value, or is without the old one, when this returns.
fn announce(context: &Context) -> anyhow::Result<()> {
    let socket = context.paths.control_socket();
    let asked = client::ask_if_running::<Reloaded>(&socket, &Request::Reload);
    let reloaded = context.small_runtime()?.block_on(asked)?;
    for problem in reloaded.into_iter().flat_map(|reloaded| reloaded.problems) {
        let place = format!("{}: {}", problem.place, problem.message);
        context.output.warn(&format!("the running gateway keeps what it had, secrets included: {place}"));
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct Done<'a> {
    secret: &'a str,
    done: &'static str,
}

impl Report for Done<'_> {
    fn lay_out(&self, page: &mut Page) {
        page.line(&format!("{}: {}", self.secret, self.done));
    }
}

#[derive(Debug, Serialize)]
struct Rotated {
    resealed: usize,
}

impl Report for Rotated {
    fn lay_out(&self, page: &mut Page) {
        page.line(&format!("The key was replaced; values sealed anew: {}.", self.resealed));
    }
}

/// A secret as it is shown: everything but itself.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_days: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    used_by: Vec<String>,
}

impl Shown {
    fn of(kept: &Kept, used_by: Vec<String>, now: u64) -> Shown {
        let set = kept.set / 1000;
        Shown {
            name: kept.name.clone(),
            set: Some(clock::date_time(set)),
            age_days: Some(now.saturating_sub(set) / 86_400),
            version: Some(kept.version),
            used_by,
        }
    }

    fn missing(name: &SecretName, used_by: Vec<String>) -> Shown {
        Shown { name: name.to_string(), set: None, age_days: None, version: None, used_by }
    }

    fn row(&self) -> Vec<Entry> {
        let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
        let set = match &self.set {
            Some(set) => Entry::from(set.as_str()),
            None => Entry::new("not set", Tone::Error),
        };
        let users = if self.used_by.is_empty() { "nobody".to_owned() } else { self.used_by.join(", ") };
        vec![
            self.name.as_str().into(),
            set,
            number(self.age_days).into(),
            number(self.version).into(),
            users.into(),
        ]
    }
}

#[derive(Debug, Serialize)]
struct Shelf(Vec<Shown>);

impl Report for Shelf {
    fn lay_out(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("There are no secrets. `casemate secret set NAME` keeps one.");
            return;
        }
        let rows: Vec<_> = self.0.iter().map(Shown::row).collect();
        page.table(&["name", "set", "days", "version", "used by"], &rows);
    }
}
