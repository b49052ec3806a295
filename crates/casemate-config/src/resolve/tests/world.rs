//! An environment and a disk that are made up.

use std::collections::BTreeMap;
use std::io;

use expect_test::Expect;
use secrecy::SecretString;

use crate::resolve::*;

/// A made-up environment and disk.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) files: BTreeMap<PathBuf, String>,
    pub(crate) secrets: BTreeMap<String, String>,
}

impl Source for World {
    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn read_file(&self, path: &Path) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn policies(&self, folder: &Path) -> io::Result<Vec<(String, String)>> {
        let inside = self.files.iter().filter(|(path, _)| path.parent() == Some(folder));
        let named = |(path, text): (&PathBuf, &String)| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), text.clone())
        };
        Ok(inside.map(named).collect())
    }

    fn secret(&self, name: &SecretName) -> Result<SecretString, String> {
        self.secrets
            .get(name.as_str())
            .map(|text| text.clone().into())
            .ok_or_else(|| "it is not set".to_owned())
    }
}

impl World {
    pub(crate) fn load(&self, input: &Input) -> Result<Loaded, Problems> {
        load(input, self, &Builtins { program: "/opt/casemate".into() }, 7)
    }
}

pub(crate) fn written(text: &str) -> Input {
    Input { file: Some(File { path: "etc/casemate.toml".into(), text: text.to_owned() }), ..Input::default() }
}

/// Checks all problems of a text at once.
pub(super) fn check(text: &str, expected: Expect) {
    let problems = World::default().load(&written(text)).unwrap_err();
    expected.assert_eq(&format!("{problems}\n"));
}
