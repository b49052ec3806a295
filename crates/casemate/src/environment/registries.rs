//! Where packages come from, as npm, pip and uv are told by variables.
//!
//! Their files of settings have no say: what is fetched for servers is fetched by clients that see nothing of the user's.

use std::ffi::OsStr;
use std::path::PathBuf;

use casemate_registry::{Error, Registry, Sources};

use super::Environment;

/// Of several variables with one meaning, the first that is set counts.
const NPM: [&str; 2] = ["npm_config_registry", "NPM_CONFIG_REGISTRY"];
const PYPI: [&str; 3] = ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"];
const PROXY: [&str; 6] = [
    "https_proxy",
    "HTTPS_PROXY",
    "npm_config_https_proxy",
    "NPM_CONFIG_HTTPS_PROXY",
    "npm_config_proxy",
    "NPM_CONFIG_PROXY",
];
const NO_PROXY: [&str; 4] = ["no_proxy", "NO_PROXY", "npm_config_noproxy", "NPM_CONFIG_NOPROXY"];
/// Node's own variable adds to what it trusts, where the others replace it, so it comes last.
const CA_BUNDLE: [&str; 6] = [
    "npm_config_cafile",
    "NPM_CONFIG_CAFILE",
    "SSL_CERT_FILE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
];
const WHEELS: [&str; 2] = ["UV_FIND_LINKS", "PIP_FIND_LINKS"];

impl Environment {
    /// Where packages come from: the public registries, unless variables name others.
    ///
    /// # Errors
    /// A variable whose value is no address. It is not shown, since there may be a password in it.
    pub fn package_sources(&self) -> Result<Sources, Error> {
        let Sources { npm, pypi, .. } = Sources::default();
        let own = [self.registry(&NPM)?, self.registry(&PYPI)?];
        let is_direct = own.iter().flatten().any(|registry| self.is_exempt(registry.url()));
        let proxy = if is_direct { None } else { self.registry(&PROXY)? };
        let [own_npm, own_pypi] = own;
        Ok(Sources {
            npm: own_npm.unwrap_or(npm),
            pypi: own_pypi.unwrap_or(pypi),
            ca_bundle: self.paths(&CA_BUNDLE).into_iter().find(|path| path.is_file()),
            proxy,
            wheels: self.wheels(),
        })
    }

    fn registry(&self, names: &[&'static str]) -> Result<Option<Registry>, Error> {
        let set = names.iter().find_map(|name| Some((name, self.text(name)?)));
        let Some((name, text)) = set else { return Ok(None) };
        let named = |error| match error {
            Error::Setting { what } => Error::Setting { what: format!("{name}: {what}") },
            other => other,
        };
        Registry::parse(text).map(Some).map_err(named)
    }

    /// Whether a host is reached without the proxy: `*`, or a name that it has or lies below.
    fn is_exempt(&self, url: &str) -> bool {
        let host = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = host.split(['/', ':']).next().unwrap_or_default();
        let Some(exempt) = NO_PROXY.iter().find_map(|name| self.text(name)) else { return false };
        exempt.split([',', ' ']).map(|name| name.trim_start_matches("*.").trim_start_matches('.')).any(
            |name| {
                let below =
                    host.strip_suffix(name).is_some_and(|front| front.is_empty() || front.ends_with('.'));
                name == "*" || (!name.is_empty() && below)
            },
        )
    }

    /// Folders with wheels; addresses among them are not for us.
    fn wheels(&self) -> Vec<PathBuf> {
        let lists = WHEELS.iter().filter_map(|name| self.text(name));
        let each = lists.flat_map(|list| list.split([' ', ','])).map(PathBuf::from);
        let mut folders: Vec<PathBuf> = each.filter(|path| path.is_absolute() && path.is_dir()).collect();
        folders.dedup();
        folders
    }

    fn paths(&self, names: &[&str]) -> Vec<PathBuf> {
        let set = names.iter().filter_map(|name| self.get(name)).map(OsStr::to_owned);
        set.map(PathBuf::from).filter(|path| path.is_absolute()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(variables: &[(&str, &str)]) -> Sources {
        Environment::of(variables.iter().copied()).package_sources().unwrap()
    }

    #[test]
    fn packages_come_from_where_the_package_clients_are_told_to_fetch_them() {
        let public = sources(&[]);
        assert_eq!(public.npm.url(), "https://registry.npmjs.org/");
        assert_eq!(public.pypi.url(), "https://pypi.org/simple/");
        let own = sources(&[
            ("npm_config_registry", "https://user:secret@npm.corp.example/"),
            ("PIP_INDEX_URL", "https://pip.corp.example/simple"),
            ("UV_DEFAULT_INDEX", "https://uv.corp.example/simple"),
            ("HTTPS_PROXY", "http://proxy.corp.example:3128"),
        ]);
        assert_eq!(own.npm.url(), "https://npm.corp.example/");
        assert_eq!(own.pypi.url(), "https://uv.corp.example/simple");
        assert_eq!(own.proxy.unwrap().url(), "http://proxy.corp.example:3128");
        assert!(own.ca_bundle.is_none() && own.wheels.is_empty());
    }

    #[test]
    fn a_registry_of_ones_own_that_is_exempt_from_the_proxy_is_reached_directly() {
        for exempt in ["*", "npm.corp.example", "corp.example", ".corp.example", "localhost, *.corp.example"]
        {
            let own = sources(&[
                ("npm_config_registry", "https://npm.corp.example:8443/x"),
                ("https_proxy", "http://proxy.corp.example:3128"),
                ("no_proxy", exempt),
            ]);
            assert!(own.proxy.is_none(), "{exempt}");
        }
        for other in ["", "pm.corp.example", "example.org", "localhost"] {
            let own = sources(&[
                ("npm_config_registry", "https://npm.corp.example/"),
                ("https_proxy", "http://proxy.corp.example:3128"),
                ("no_proxy", other),
            ]);
            assert!(own.proxy.is_some(), "{other}");
        }
    }

    #[test]
    fn files_and_folders_count_when_they_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("ca.pem");
        std::fs::write(&bundle, "").unwrap();
        let there = folder.path().display().to_string();
        let found = sources(&[
            ("SSL_CERT_FILE", "/no/such/file"),
            ("NODE_EXTRA_CA_CERTS", bundle.to_str().unwrap()),
            ("PIP_FIND_LINKS", &format!("{there} https://wheels.example relative")),
        ]);
        assert_eq!(found.ca_bundle, Some(bundle));
        assert_eq!(found.wheels, [folder.path()]);
    }

    #[test]
    fn a_value_that_is_no_address_is_told_by_its_name_alone() {
        let variables = [("npm_config_registry", "user:secret@host")];
        let fault = Environment::of(variables).package_sources().unwrap_err().to_string();
        assert_eq!(fault, "npm_config_registry: a registry's or proxy's address has no scheme");
    }
}
