//! Containers that a casemate left behind, because it was killed or the machine went down.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ContainerError;
use super::owner::{Fate, Owner};
use super::wire::{Ask, Wire, encode};

/// Which installation of casemate a container belongs to.
const INSTALLATION: &str = "casemate.installation";
/// Which server.
const SERVER: &str = "casemate.server";
/// Which process.
const OWNER: &str = "casemate.owner";

/// What all our containers are called in the beginning. A label alone could come from an image.
const PREFIX: &str = "casemate-";

/// The name of a new container. `number` must not be used twice by a process.
pub(super) fn name(server: &str, number: u64) -> String {
    format!("{PREFIX}{server}-{number:016x}")
}

pub(super) fn labels(installation: &str, server: &str, owner: &Owner) -> Value {
    json!({ INSTALLATION: installation, SERVER: server, OWNER: owner.to_string() })
}

/// What a sweep came across.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// The names of containers that are gone now. Their owners were dead.
    pub removed: Vec<String>,
    /// The names of containers whose owner cannot be seen from here, because it counts processes in another namespace,
    /// or that could not be removed.
    pub left: Vec<String>,
}

/// `GET /containers/json`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    names: Vec<String>,
    labels: BTreeMap<String, String>,
}

/// Removes the containers of an installation whose owners are dead.
pub(super) async fn sweep(wire: &Wire, installation: &str, own: &Owner) -> Result<Swept, ContainerError> {
    let filters = json!({ "label": [format!("{INSTALLATION}={installation}")] }).to_string();
    let path = format!("/containers/json?all=1&filters={}", encode(&filters));
    let listed: Vec<Listed> = wire.ask(Ask::get("its containers", path)).await?;
    let mut swept = Swept::default();
    for Listed { id, names, labels } in listed {
        let name =
            names.iter().map(|name| name.trim_start_matches('/')).find(|name| name.starts_with(PREFIX));
        let owner = labels.get(OWNER).and_then(|text| text.parse().ok());
        let (Some(name), Some(owner)) = (name, owner) else { continue };
        match own.fate_of(&owner) {
            Fate::Alive => {}
            Fate::Gone if remove(wire, &id).await.is_ok() => swept.removed.push(name.to_owned()),
            Fate::Gone | Fate::Unknown => swept.left.push(name.to_owned()),
        }
    }
    Ok(swept)
}

/// Removes a container, whatever it does. One that does not exist is removed.
pub(super) async fn remove(wire: &Wire, container: &str) -> Result<(), ContainerError> {
    match wire
        .tell(Ask::delete("to remove a container", format!("/containers/{container}?force=1&v=1")))
        .await
    {
        Ok(_) | Err(ContainerError::Refused { status: 404, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
