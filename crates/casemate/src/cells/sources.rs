//! Where packages come from: what the configuration says, else what the user's variables tell package clients.

use std::path::PathBuf;

use casemate_config::PackageSources;
use casemate_registry::{Error, Registry, Sources};
use casemate_sandbox::environment::Variable;
use secrecy::ExposeSecret;

const NPM: [&str; 2] = ["npm_config_registry", "NPM_CONFIG_REGISTRY"];
const PYPI: [&str; 3] = ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"];
const PROXY: [&str; 8] = [
    "npm_config_https_proxy",
    "NPM_CONFIG_HTTPS_PROXY",
    "npm_config_proxy",
    "NPM_CONFIG_PROXY",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];
const CA_BUNDLE: [&str; 6] = [
    "npm_config_cafile",
    "NPM_CONFIG_CAFILE",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
];
const WHEELS: [&str; 2] = ["PIP_FIND_LINKS", "UV_FIND_LINKS"];

/// The sources of an installation.
///
/// # Errors
/// [`Error::Setting`], when a variable holds no address.
pub(super) fn sources(written: &PackageSources, variables: &[Variable]) -> Result<Sources, Error> {
    let table = Table(variables);
    let public = Sources::default();
    let registry = |written: &Option<String>, names: &[&str], public: Registry| {
        let named = written.as_deref().or_else(|| table.first(names));
        named.map_or(Ok(public), Registry::parse)
    };
    Ok(Sources {
        npm: registry(&written.npm, &NPM, public.npm)?.also_reaching(written.reach.iter().cloned()),
        pypi: registry(&written.pypi, &PYPI, public.pypi)?.also_reaching(written.reach.iter().cloned()),
        ca_bundle: table.all(&CA_BUNDLE).map(PathBuf::from).find(|bundle| bundle.is_file()),
        proxy: table.first(&PROXY).map(Registry::parse).transpose()?,
        wheels: table.all(&WHEELS).flat_map(folders).collect(),
    })
}

/// The variables, of which an empty one counts as absent.
struct Table<'a>(&'a [Variable]);

impl<'a> Table<'a> {
    fn all<'n>(&self, names: &'n [&str]) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        let variables = self.0;
        names.iter().filter_map(move |name| {
            let (_, value) = variables.iter().find(|(known, _)| known == name)?;
            Some(value.expose_secret()).filter(|value| !value.is_empty())
        })
    }

    fn first(&self, names: &[&str]) -> Option<&'a str> {
        self.all(names).next()
    }
}

/// The folders of a list; addresses in it are no places of this host.
fn folders(list: &str) -> impl Iterator<Item = PathBuf> {
    let words = list.split(|c: char| c.is_whitespace() || c == ',').map(PathBuf::from);
    words.filter(|folder| folder.is_absolute() && folder.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<Variable> {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).to_owned().into())).collect()
    }

    #[test]
    fn without_a_word_the_public_registries_serve() {
        let sources =
            sources(&PackageSources::default(), &variables(&[("npm_config_registry", "")])).unwrap();
        assert_eq!(sources.npm.url(), Sources::default().npm.url());
        assert!(sources.ca_bundle.is_none() && sources.proxy.is_none() && sources.wheels.is_empty());
    }

    #[test]
    fn the_configuration_beats_the_variables() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = folder.path().join("ca.pem");
        std::fs::write(&bundle, "").unwrap();
        let wheels = format!("https://wheels.example {}", folder.path().display());
        let variables = variables(&[
            ("npm_config_registry", "https://variable.example/"),
            ("PIP_INDEX_URL", "https://user:password@index.example/simple"),
            ("NODE_EXTRA_CA_CERTS", "/nowhere/ca.pem"),
            ("SSL_CERT_FILE", bundle.to_str().unwrap()),
            ("PIP_FIND_LINKS", &wheels),
        ]);
        let written =
            PackageSources { npm: Some("https://written.example/".to_owned()), ..PackageSources::default() };
        let sources = sources(&written, &variables).unwrap();
        assert_eq!(sources.npm.url(), "https://written.example/");
        assert_eq!(sources.pypi.url(), "https://index.example/simple");
        assert_eq!(sources.ca_bundle, Some(bundle));
        assert_eq!(sources.wheels, [folder.path()]);
    }

    #[test]
    fn a_variable_that_holds_no_address_is_refused_without_being_shown() {
        let variables = variables(&[("HTTPS_PROXY", "user:secret@proxy")]);
        let fault = sources(&PackageSources::default(), &variables).unwrap_err();
        assert!(!format!("{fault} {fault:?} {}", fault.hint()).contains("secret"));
    }
}
