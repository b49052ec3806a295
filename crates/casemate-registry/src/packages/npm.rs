//! Preparing packages of npm.

use super::{Inner, finish, ready, requirements, start};
use crate::asked::Asked;
use crate::error::Error;
use crate::npm::Npm;
use crate::package::Ecosystem;
use crate::prepared::{Origin, Scripts};
use crate::record::{Kept, Record};
use crate::runtime::Node;
use crate::shelf::Place;
use crate::unpinned::Wanted;

impl Inner {
    pub(super) async fn node(&self) -> Result<&Node, Error> {
        self.node.get_or_try_init(|| self.surroundings.node(&self.runner)).await
    }

    pub(super) fn npm_place(&self, node: &Node, asked: &Asked, scripts: Scripts) -> Place {
        let mut decisive = vec![self.settings.sources.npm.url().to_owned(), scripts.as_str().to_owned()];
        decisive.push(format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH));
        if scripts == Scripts::Allowed {
            // What scripts compile or fetch fits one version of the interface for native modules.
            decisive.push(node.modules.clone());
        }
        self.place(asked, decisive)
    }

    /// Makes a place complete.
    pub(super) async fn npm(
        &self,
        place: &Place,
        asked: &Asked,
        scripts: Scripts,
    ) -> Result<(Kept, Origin), Error> {
        let node = self.node().await?;
        let held = place.hold().await?;
        if let Some(kept) = ready(place, asked).await? {
            return Ok((kept, Origin::Kept));
        }
        place.clear(&held)?;
        self.settings.sources.bring_certificates(Ecosystem::Npm, &place.work())?;
        let npm = Npm { runner: &self.runner, node, sources: &self.settings.sources, place };
        let (record, known) = match Kept::find(place)? {
            Some(kept) => {
                npm.install(asked, &kept.record.resolution).await?;
                (kept.record.clone(), Some(kept))
            }
            None => (self.npm_record(&npm, asked, scripts).await?, None),
        };
        if scripts == Scripts::Allowed && !record.scripts_ran.is_empty() {
            npm.run_scripts().await?;
        }
        let kept = finish(place, &held, (record, known), Vec::new()).await?;
        Ok((kept, Origin::Installed))
    }

    /// Resolves and installs for the first time.
    async fn npm_record(&self, npm: &Npm<'_>, asked: &Asked, scripts: Scripts) -> Result<Record, Error> {
        let resolution = npm.resolve(asked).await?;
        npm.install(asked, &resolution.text).await?;
        let url = self.settings.sources.npm.url();
        let mut record = Record::new(asked.ecosystem.as_str(), requirements(asked), url);
        record.tools.insert("node".to_owned(), npm.node.version.clone());
        record.tools.insert("npm".to_owned(), npm.node.npm_version.clone());
        record.packages = resolution.packages;
        record.resolution = resolution.text;
        match scripts {
            Scripts::Allowed => record.scripts_ran = resolution.scripts,
            Scripts::Never => {
                start::refuse_unbuilt(&npm.place.tree(), &resolution.required_scripts)?;
                record.scripts_skipped = resolution.scripts;
            }
        }
        Ok(record)
    }

    /// The version of a package that fits what was said, or the newest one.
    pub(super) async fn npm_current(&self, wanted: &Wanted) -> Option<String> {
        let node = self.node().await.ok()?;
        let words = ["look-up".to_owned(), wanted.name.clone()];
        let place = Place::new(&self.settings.folder, "npm", "look-up", &words);
        let held = place.hold().await.ok()?;
        place.clear(&held).ok()?;
        self.settings.sources.bring_certificates(Ecosystem::Npm, &place.work()).ok()?;
        let npm = Npm { runner: &self.runner, node, sources: &self.settings.sources, place: &place };
        let range = wanted.said.as_deref().filter(|said| is_plain_range(said));
        let mut versions = match range {
            Some(range) => npm.versions(&wanted.name, Some(range), "version").await,
            None => None,
        };
        if versions.as_ref().is_none_or(Vec::is_empty) {
            versions = npm.versions(&wanted.name, None, "version").await;
        }
        let _ = place.remove(&held);
        versions?.pop()
    }
}

/// Ranges and tags that npm cannot take for anything else.
fn is_plain_range(said: &str) -> bool {
    said.chars().all(|c| c.is_ascii_alphanumeric() || " .*<>=~^|-+".contains(c)) && !said.starts_with('-')
}
