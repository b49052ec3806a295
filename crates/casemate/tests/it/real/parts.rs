//! What is installed from the public registries.

use std::path::{Path, PathBuf};

use crate::home::skipped;

/// The folder that holds it, as CONTRIBUTING.md describes it.
pub(super) struct Parts {
    folder: PathBuf,
}

impl Parts {
    /// `None` where nobody installed them: the calling test is skipped then, and this says so.
    pub(super) fn find() -> Option<Parts> {
        match std::env::var_os("CASEMATE_TEST_CACHE") {
            Some(folder) => Some(Parts { folder: folder.into() }),
            None => {
                skipped("CASEMATE_TEST_CACHE is not set; `cargo xtask test` sets it");
                None
            }
        }
    }

    /// The cache folder itself.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder whose `node_modules` holds the TypeScript SDKs.
    pub(super) fn packages(&self) -> PathBuf {
        self.folder.join("node")
    }

    /// The command line of a program from npm. It is run by the Node that lies beside it, not by the system's.
    pub(super) fn npm(&self, program: &str) -> Vec<String> {
        let program = self.installed(&format!("node/node_modules/.bin/{program}"));
        vec![self.node(), program]
    }

    /// Node.
    pub(super) fn node(&self) -> String {
        self.installed("node/node_modules/.bin/node")
    }

    /// A program from PyPI; `python` is the interpreter that finds the Python SDK.
    pub(super) fn pypi(&self, program: &str) -> String {
        self.installed(&format!("python/bin/{program}"))
    }

    #[track_caller]
    fn installed(&self, path: &str) -> String {
        let path = self.folder.join(path);
        assert!(path.is_file(), "{} is missing; `cargo xtask test packages` installs it", path.display());
        path.to_str().unwrap().to_owned()
    }
}
