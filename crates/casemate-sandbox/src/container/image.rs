//! Images: found, fetched by their digest, and asked which digest they have.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::timeout;

use super::error::{ContainerError, said};
use super::reference::{ImageReference, Unpinned};
use super::wire::{Ask, Wire, encode};

/// How long a registry may be silent.
const IDLE_TIME: Duration = Duration::from_secs(120);

/// How long fetching an image may take: a few GiB on a slow line.
const PULL_TIME: Duration = Duration::from_secs(60 * 60);

/// The longest line of progress that is looked at, in bytes.
const LINE_BYTES_MAX: usize = 64 << 10;

/// `GET /images/{name}/json`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Image {
    pub(super) id: String,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    pub(super) config: ImageConfig,
}

/// What an image wants for its containers, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ImageConfig {
    pub(super) user: String,
    pub(super) volumes: Option<BTreeMap<String, serde::de::IgnoredAny>>,
}

/// `GET /distribution/{name}/json`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Distribution {
    descriptor: Descriptor,
}

#[derive(Debug, Deserialize)]
struct Descriptor {
    digest: String,
}

/// A line of what an engine tells while it fetches.
#[derive(Debug, Deserialize)]
struct Progress {
    error: Option<String>,
}

impl Image {
    /// One that nobody has looked at, and which asks for nothing.
    pub(super) fn unseen() -> Image {
        Image { id: String::new(), repo_digests: None, config: ImageConfig::default() }
    }

    /// The image of a reference, fetched if it is not here.
    pub(super) async fn of(wire: &Wire, reference: &ImageReference) -> Result<Image, ContainerError> {
        let refuse = |said: String| ContainerError::Image { image: Box::new(reference.clone()), said };
        let found = match (Image::local(wire, &reference.locator()).await?, reference.repository()) {
            (Some(image), _) => image,
            (None, None) => return Err(refuse("there is no such image here".to_owned())),
            (None, Some(repository)) => {
                pull(wire, repository, reference.digest()).await.map_err(|error| match error {
                    ContainerError::Refused { said, .. } => refuse(said),
                    other => other,
                })?;
                let fetched = Image::local(wire, &reference.locator()).await?;
                fetched.ok_or_else(|| refuse("it was fetched, and is not there".to_owned()))?
            }
        };
        if found.is(reference) {
            Ok(found)
        } else {
            Err(refuse("the engine has another one under this name".to_owned()))
        }
    }

    /// An image that is here; nothing when there is none with this name.
    async fn local(wire: &Wire, name: &str) -> Result<Option<Image>, ContainerError> {
        match wire.ask(Ask::get("an image", format!("/images/{name}/json"))).await {
            Ok(image) => Ok(Some(image)),
            Err(ContainerError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn is(&self, reference: &ImageReference) -> bool {
        let digests = self.repo_digests.iter().flatten().filter_map(|known| known.split_once('@'));
        // Podman leaves out the name of the hash.
        let own_id =
            self.id.trim_start_matches("sha256:") == reference.digest().trim_start_matches("sha256:");
        own_id || digests.map(|(_, digest)| digest).any(|digest| digest == reference.digest())
    }
}

/// What a name stands for now: here, or else in its registry.
pub(super) async fn pin(wire: &Wire, name: &Unpinned) -> Result<ImageReference, ContainerError> {
    let odd = |what| ContainerError::lost("the digest of an image")(what);
    if let Some(image) = Image::local(wire, &name.to_string()).await? {
        let digests: Vec<_> =
            image.repo_digests.iter().flatten().filter_map(|known| known.split_once('@')).collect();
        let same =
            digests.iter().find(|(repository, _)| *repository == name.repository()).or(digests.first());
        return match same {
            Some((_, digest)) => name.pinned(digest).map_err(odd),
            // Built here, and never anywhere else.
            None => image.id.parse().map_err(|_| odd("an id that is none")),
        };
    }
    let ask = Ask::get("the digest of an image", format!("/distribution/{name}/json"));
    let found: Distribution = wire.ask(ask).await?;
    name.pinned(&found.descriptor.digest).map_err(odd)
}

/// Fetches an image. What arrives is what the digest says; the engine checks it.
async fn pull(wire: &Wire, repository: &str, digest: &str) -> Result<(), ContainerError> {
    const WHAT: &str = "to fetch an image";
    let path = format!("/images/create?fromImage={}&tag={}", encode(repository), encode(digest));
    let (mut line, mut complaint) = (Vec::new(), None);
    let follow = wire.follow(Ask::post(WHAT, path), IDLE_TIME, |bytes| {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if line.len() + part.len() <= LINE_BYTES_MAX {
                line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                let progress = serde_json::from_slice(&line).unwrap_or(Progress { error: None });
                complaint = complaint.take().or(progress.error);
                line.clear();
            }
        }
    });
    timeout(PULL_TIME, follow).await.map_err(ContainerError::lost(WHAT))??;
    match complaint {
        Some(text) => Err(ContainerError::Refused { what: WHAT, status: 200, said: said(&text) }),
        None => Ok(()),
    }
}

/// Makes an image of an archive, under a name of ours.
pub(super) async fn import(
    wire: &Wire,
    name: &str,
    (archive, changes): (Bytes, &[String]),
) -> Result<String, ContainerError> {
    const WHAT: &str = "an image of casemate itself";
    let (repository, tag) = name.split_once(':').unwrap_or((name, "latest"));
    let changes: String = changes.iter().map(|change| format!("&changes={}", encode(change))).collect();
    let path = format!("/images/create?fromSrc=-&repo={}&tag={}{changes}", encode(repository), encode(tag));
    wire.tell(Ask::post(WHAT, path).with_archive(archive)).await?;
    let made = Image::local(wire, name).await?;
    made.map(|image| image.id).ok_or_else(|| ContainerError::lost(WHAT)("it is not there"))
}
