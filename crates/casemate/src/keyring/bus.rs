//! The Secret Service over D-Bus (<https://specifications.freedesktop.org/secret-service/latest/>).

use std::collections::HashMap;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use zbus::Connection;
use zbus::connection::Builder;
use zbus::message::Message;
use zbus::zvariant::{DynamicDeserialize, DynamicType, OwnedObjectPath, OwnedValue, Value};

use super::Fault;

const NAME: &str = "org.freedesktop.secrets";
const ROOT: &str = "/org/freedesktop/secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";
const COLLECTION: &str = "org.freedesktop.Secret.Collection";
const ITEM: &str = "org.freedesktop.Secret.Item";

/// The longest passphrase that is taken from a keyring, in bytes.
const SECRET_BYTES_MAX: usize = 1024;

/// A secret as it travels: the session, what the algorithm needs, the bytes, and what they are.
type Travelling = (OwnedObjectPath, Vec<u8>, Vec<u8>, String);

/// A session with the keyring.
#[derive(Debug)]
pub(super) struct Service {
    connection: Connection,
    session: OwnedObjectPath,
}

impl Service {
    pub(super) async fn open(address: &str) -> Result<Service, Fault> {
        let absent = |error: zbus::Error| Fault::Absent(error.to_string());
        let connection = Builder::address(address).map_err(absent)?.build().await.map_err(absent)?;
        let answer = call(&connection, (ROOT, SERVICE, "OpenSession"), &("plain", Value::from(""))).await?;
        let (_, session): (OwnedValue, OwnedObjectPath) = read(&answer)?;
        Ok(Service { connection, session })
    }

    /// What lies in the keyring under a name.
    pub(super) async fn find(&self, item: &str) -> Result<SecretString, Fault> {
        let path = self.search(item).await?.ok_or(Fault::Missing)?;
        let answer = self.call((path.as_str(), ITEM, "GetSecret"), &(&self.session,)).await?;
        let (_, _, bytes, _): Travelling = read(&answer)?;
        let bytes = Zeroizing::new(bytes);
        let text =
            str::from_utf8(&bytes).ok().filter(|text| !text.is_empty() && text.len() <= SECRET_BYTES_MAX);
        Ok(text.ok_or_else(|| Fault::Broken("what it has is no passphrase".to_owned()))?.to_owned().into())
    }

    /// Puts a secret into the default collection.
    pub(super) async fn keep(&self, item: &str, secret: &SecretString) -> Result<(), Fault> {
        let answer = self.call((ROOT, SERVICE, "ReadAlias"), &("default",)).await?;
        let collection: OwnedObjectPath = read(&answer)?;
        if is_nothing(&collection) {
            return Err(Fault::Broken("it has no default collection".to_owned()));
        }
        self.unlock(&collection).await?;
        let properties = HashMap::from([
            ("org.freedesktop.Secret.Item.Label", Value::from("Casemate: the key of the secrets")),
            ("org.freedesktop.Secret.Item.Attributes", Value::from(attributes(item))),
        ]);
        let bytes = secret.expose_secret().as_bytes().to_vec();
        let secret: Travelling = (self.session.clone(), Vec::new(), bytes, "text/plain".to_owned());
        let answer =
            self.call((collection.as_str(), COLLECTION, "CreateItem"), &(properties, secret, true)).await?;
        let (created, _): (OwnedObjectPath, OwnedObjectPath) = read(&answer)?;
        if is_nothing(&created) { Err(Fault::Locked) } else { Ok(()) }
    }

    /// Removes what lies under a name; nothing may.
    pub(super) async fn forget(&self, item: &str) -> Result<(), Fault> {
        let Some(path) = self.search(item).await? else { return Ok(()) };
        let answer = self.call((path.as_str(), ITEM, "Delete"), &()).await?;
        let prompt: OwnedObjectPath = read(&answer)?;
        if is_nothing(&prompt) { Ok(()) } else { Err(Fault::Locked) }
    }

    /// Where an item is, unlocked.
    async fn search(&self, item: &str) -> Result<Option<OwnedObjectPath>, Fault> {
        let answer = self.call((ROOT, SERVICE, "SearchItems"), &(attributes(item),)).await?;
        let (open, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = read(&answer)?;
        if let Some(path) = open.into_iter().next() {
            return Ok(Some(path));
        }
        let Some(path) = locked.into_iter().next() else { return Ok(None) };
        self.unlock(&path).await?;
        Ok(Some(path))
    }

    /// Nobody is asked for a password in the name of a gateway that starts by itself: what takes a person to unlock is
    /// locked.
    async fn unlock(&self, path: &OwnedObjectPath) -> Result<(), Fault> {
        let answer = self.call((ROOT, SERVICE, "Unlock"), &(vec![path],)).await?;
        let (_, prompt): (Vec<OwnedObjectPath>, OwnedObjectPath) = read(&answer)?;
        if is_nothing(&prompt) {
            return Ok(());
        }
        // A prompt that nobody shows is taken back, so that it does not wait for ever.
        let _ = self.call((prompt.as_str(), "org.freedesktop.Secret.Prompt", "Dismiss"), &()).await;
        Err(Fault::Locked)
    }

    async fn call<B: serde::Serialize + DynamicType>(
        &self,
        method: (&str, &str, &str),
        body: &B,
    ) -> Result<Message, Fault> {
        call(&self.connection, method, body).await
    }
}

async fn call<B: serde::Serialize + DynamicType>(
    connection: &Connection,
    (path, interface, method): (&str, &str, &str),
    body: &B,
) -> Result<Message, Fault> {
    let called = connection.call_method(Some(NAME), path, Some(interface), method, body).await;
    called.map_err(|error| match &error {
        zbus::Error::MethodError(name, said, _) => match name.as_str() {
            "org.freedesktop.Secret.Error.IsLocked" => Fault::Locked,
            "org.freedesktop.Secret.Error.NoSuchObject" => Fault::Missing,
            "org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner" => {
                Fault::Absent("nobody on this session's bus keeps secrets".to_owned())
            }
            // Somebody should have been started for it, and could not be.
            spawn if spawn.starts_with("org.freedesktop.DBus.Error.Spawn") => {
                Fault::Absent(said.clone().unwrap_or_else(|| spawn.to_owned()))
            }
            other => Fault::Broken(said.clone().unwrap_or_else(|| other.to_owned())),
        },
        _ => Fault::Broken(error.to_string()),
    })
}

fn read<T: for<'a> DynamicDeserialize<'a>>(answer: &Message) -> Result<T, Fault> {
    let body = answer.body();
    body.deserialize().map_err(|error| Fault::Broken(error.to_string()))
}

/// By what an item is found again.
fn attributes(item: &str) -> HashMap<&str, &str> {
    HashMap::from([("application", "casemate"), ("key", item)])
}

/// The path `/` stands for no object.
fn is_nothing(path: &OwnedObjectPath) -> bool {
    path.as_str() == "/"
}
