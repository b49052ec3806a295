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

/// The repository of images of our own program.
const IMAGE: &str = "casemate-doors";

/// The name of a new container. `number` must not be used twice by a process.
pub(super) fn name(server: &str, number: u64) -> String {
    format!("{PREFIX}{server}-{number:016x}")
}

/// The name of an image of our own program.
pub(super) fn image_name(number: u64) -> String {
    format!("{IMAGE}:{number:016x}")
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
    sweep_images(wire, &filters, own).await?;
    Ok(swept)
}

/// `GET /images/json`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedImage {
    repo_tags: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
}

/// Removes the images of our own program that the dead have made. What has another name has somebody else made of them.
async fn sweep_images(wire: &Wire, filters: &str, own: &Owner) -> Result<(), ContainerError> {
    let path = format!("/images/json?filters={}", encode(filters));
    let listed: Vec<ListedImage> = wire.ask(Ask::get("its images", path)).await?;
    for ListedImage { repo_tags, labels } in listed {
        let owner = labels.and_then(|labels| labels.get(OWNER)?.parse().ok());
        if owner.is_none_or(|owner| own.fate_of(&owner) != Fate::Gone) {
            continue;
        }
        for name in repo_tags.iter().flatten().filter(|name| is_ours(name)) {
            if let Err(error) = remove_image(wire, name).await {
                tracing::debug!(name, %error, "an image of casemate itself is left");
            }
        }
    }
    Ok(())
}

/// Podman names a registry as well.
fn is_ours(name: &str) -> bool {
    let name = name.strip_prefix("localhost/").unwrap_or(name);
    name.strip_prefix(IMAGE).is_some_and(|rest| rest.starts_with(':'))
}

/// Removes an image that no container is made of.
pub(super) async fn remove_image(wire: &Wire, name: &str) -> Result<(), ContainerError> {
    wire.tell(Ask::delete("to remove an image", format!("/images/{name}"))).await.map(drop)
}

/// Labels as an image gets them (`LABEL` of a Dockerfile).
pub(super) fn label_change(labels: &Value) -> String {
    let quoted = |text: &str| {
        let special = |letter| matches!(letter, '"' | '\\' | '$');
        let letters =
            text.chars().flat_map(|letter| special(letter).then_some('\\').into_iter().chain([letter]));
        format!("\"{}\"", letters.collect::<String>())
    };
    let labels = labels.as_object().into_iter().flatten();
    let pairs = labels.map(|(name, value)| format!("{name}={}", quoted(value.as_str().unwrap_or_default())));
    format!("LABEL {}", pairs.collect::<Vec<_>>().join(" "))
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
