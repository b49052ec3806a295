//! Preparing packages of PyPI.

use std::path::PathBuf;

use super::{Inner, finish, ready, requirements};
use crate::asked::Asked;
use crate::error::Error;
use crate::package::Ecosystem;
use crate::prepared::Origin;
use crate::pypi::{Client, PyPi};
use crate::record::{Kept, Record};
use crate::runtime::{self, Python};
use crate::shebang::Shebang;
use crate::shelf::Place;
use crate::unpinned::Wanted;

/// The first pip that can work for another environment than its own.
const PIP_MIN: [u64; 2] = [22, 3];

impl Inner {
    /// The Python of a version, or the usual one.
    pub(super) async fn python(&self, wanted: Option<&str>) -> Result<Python, Error> {
        let mut pythons = self.pythons.lock().await;
        let wanted = wanted.map(str::to_owned);
        if let Some(python) = pythons.get(&wanted) {
            return Ok(python.clone());
        }
        let python = self.surroundings.python(&self.runner, wanted.as_deref()).await?;
        pythons.insert(wanted, python.clone());
        Ok(python)
    }

    /// Wheels have no scripts that could run at their installation, so there is one place for both.
    pub(super) fn pypi_place(&self, python: &Python, asked: &Asked) -> Place {
        let mut decisive = vec![self.settings.sources.pypi.url().to_owned()];
        // The tree has a link to the interpreter, and what was compiled for it.
        decisive.push(python.program.to_string_lossy().into_owned());
        decisive.push(python.about.abi.clone());
        self.place(asked, decisive)
    }

    /// Makes a place complete.
    pub(super) async fn pypi(
        &self,
        place: &Place,
        asked: &Asked,
        python: &Python,
    ) -> Result<(Kept, Origin), Error> {
        let client = self.client(python)?;
        let held = place.hold().await?;
        if let Some(kept) = ready(place, asked).await? {
            return Ok((kept, Origin::Kept));
        }
        place.clear(&held)?;
        let sources = &self.settings.sources;
        sources.bring_certificates(Ecosystem::PyPi, &place.work())?;
        let pypi = PyPi { runner: &self.runner, python, client: &client, sources, place };
        pypi.lay_out()?;
        let (record, known) = match Kept::find(place)? {
            Some(kept) => (kept.record.clone(), Some(kept)),
            None => (self.pypi_record(&pypi, asked).await?, None),
        };
        pypi.install(asked, &record.resolution).await?;
        let kept = finish(place, &held, (record, known), vec![python.program.clone()]).await?;
        Ok((kept, Origin::Installed))
    }

    /// Works out for the first time what is needed.
    async fn pypi_record(&self, pypi: &PyPi<'_>, asked: &Asked) -> Result<Record, Error> {
        let listing = pypi.resolve(asked).await?;
        let url = self.settings.sources.pypi.url();
        let mut record = Record::new(asked.ecosystem.as_str(), requirements(asked), url);
        record.tools.insert("python".to_owned(), pypi.python.about.version.clone());
        record.tools.insert("installer".to_owned(), pypi.client.name().to_owned());
        record.resolution = listing.text();
        record.packages = listing.packages;
        Ok(record)
    }

    /// The newest version of a package.
    pub(super) async fn pypi_current(&self, wanted: &Wanted) -> Option<String> {
        let python = self.python(None).await.ok()?;
        let client = self.client(&python).ok()?;
        let words = ["look-up".to_owned(), wanted.name.clone()];
        let place = Place::new(&self.settings.folder, "pypi", "look-up", &words);
        let held = place.hold().await.ok()?;
        place.clear(&held).ok()?;
        let sources = &self.settings.sources;
        sources.bring_certificates(Ecosystem::PyPi, &place.work()).ok()?;
        let pypi = PyPi { runner: &self.runner, python: &python, client: &client, sources, place: &place };
        pypi.lay_out().ok()?;
        let newest = pypi.newest(&wanted.name).await;
        let _ = place.remove(&held);
        newest
    }

    /// uv where it is installed, else the pip that Python has.
    fn client(&self, python: &Python) -> Result<Client, Error> {
        let found = self.surroundings.find("uv").and_then(|uv| uv.canonicalize().ok());
        // What stands in front of it (a script of pyenv, a link to mise) does not work without its own surroundings.
        let is_real = |uv: &PathBuf| {
            uv.file_name().is_some_and(|name| name == "uv") && matches!(Shebang::of(uv), Ok(Shebang::None))
        };
        if let Some(uv) = found.filter(is_real) {
            return Ok(Client::Uv(uv));
        }
        match &python.about.pip {
            Some(version) if runtime::numbers(version) >= PIP_MIN.to_vec() => Ok(Client::Pip),
            _ => Err(Error::no_python()),
        }
    }
}
