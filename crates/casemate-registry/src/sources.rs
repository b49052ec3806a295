//! Where packages come from: registries, and the way to them.

use std::path::{Path, PathBuf};
use std::{fmt, fs};

use casemate_net::Destination;
use http::Uri;
use secrecy::{ExposeSecret, SecretString};

use crate::error::Error;
use crate::package::Ecosystem;
use crate::shelf;

/// The name under which the CA bundle is copied to where a package client sees it.
pub(crate) const CA_BUNDLE: &str = "ca-bundle.pem";

/// Where distributions keep the certificates that they trust: Debian, Fedora, SUSE, Alpine.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Indexes whose files lie on another host.
const FILES: [(&str, &str); 2] =
    [("pypi.org", "files.pythonhosted.org"), ("test.pypi.org", "test-files.pythonhosted.org")];

/// Where packages come from, and nowhere else: the cell in which they are fetched reaches these places alone.
#[derive(Debug, Clone)]
pub struct Sources {
    /// npm's registry.
    pub npm: Registry,
    /// PyPI's simple index.
    pub pypi: Registry,
    /// A file with certificates (PEM) that are trusted instead of those which node and Python bring.
    pub ca_bundle: Option<PathBuf>,
    /// The proxy through which registries are reached. With one, it is all that is reached, and what lies behind it is the
    /// proxy's to decide.
    pub proxy: Option<Registry>,
    /// Folders of this host with wheels, which are used beside the index.
    pub wheels: Vec<PathBuf>,
}

/// The address of a registry.
#[derive(Clone)]
pub struct Registry {
    /// Without credentials.
    url: String,
    /// `user:password`, as it stands in a URL.
    credentials: Option<SecretString>,
    /// What has to be reached.
    pub(crate) reach: Vec<Destination>,
}

impl Default for Sources {
    /// The public registries.
    fn default() -> Sources {
        Sources {
            npm: Registry::known("https://registry.npmjs.org/", &["registry.npmjs.org:443"]),
            pypi: Registry::known(
                "https://pypi.org/simple/",
                &["pypi.org:443", "files.pythonhosted.org:443"],
            ),
            ca_bundle: None,
            proxy: None,
            wheels: Vec::new(),
        }
    }
}

impl Sources {
    /// The registry of an ecosystem.
    pub(crate) fn registry(&self, ecosystem: Ecosystem) -> &Registry {
        match ecosystem {
            Ecosystem::Npm => &self.npm,
            Ecosystem::PyPi => &self.pypi,
        }
    }

    /// The certificates that a package client of an ecosystem trusts, where it does not bring its own: those of a Python that
    /// comes with a distribution are the distribution's, and their folder is none that a cell shows.
    pub(crate) fn certificates(&self, ecosystem: Ecosystem) -> Option<PathBuf> {
        let own = || SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|bundle| bundle.is_file());
        match (&self.ca_bundle, ecosystem) {
            (Some(bundle), _) => Some(bundle.clone()),
            (None, Ecosystem::PyPi) => own(),
            (None, Ecosystem::Npm) => None,
        }
    }

    /// Puts certificates where a package client sees them: their own place may be behind links, or among what nobody shall
    /// see.
    pub(crate) fn bring_certificates(&self, ecosystem: Ecosystem, folder: &Path) -> Result<(), Error> {
        let Some(bundle) = self.certificates(ecosystem) else { return Ok(()) };
        let copy = folder.join(CA_BUNDLE);
        let copied = fs::read(&bundle).and_then(|text| fs::write(&copy, text));
        copied.map_err(Error::file("copy", &bundle))?;
        shelf::set_mode(&copy, 0o644).map_err(Error::file("open up", &copy))
    }

    /// What the cell may reach in which packages of an ecosystem are fetched.
    pub(crate) fn reach(&self, ecosystem: Ecosystem) -> casemate_net::Policy {
        let through = self.proxy.as_ref().unwrap_or(self.registry(ecosystem));
        casemate_net::Policy::new(through.reach.iter().cloned())
    }
}

impl Registry {
    /// Reads `http://…` or `https://…`, with or without `user:password@`. Its own host and port are what will be reached,
    /// wherever this machine's resolver says that it is ([`Destination::wherever`]): whoever names a registry means it.
    /// `localhost` is this machine. The files of `pypi.org` lie on another host, which is reached too.
    pub fn parse(text: &str) -> Result<Registry, Error> {
        let fault = |what: &str| Error::Setting { what: format!("a registry's or proxy's address {what}") };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| fault("has no scheme"))?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (credentials, host) = match authority.rsplit_once('@') {
            Some((credentials, host)) => (Some(SecretString::from(credentials.to_owned())), host),
            None => (None, authority),
        };
        let url = format!("{scheme}://{host}{path}");
        let uri: Uri = url.parse().map_err(|_| fault("is no URL"))?;
        let port = match (uri.port_u16(), uri.scheme_str()) {
            (Some(port), Some("http" | "https")) => port,
            (None, Some("https")) => 443,
            (None, Some("http")) => 80,
            _ => return Err(fault("begins with neither https:// nor http://")),
        };
        let host = uri.host().ok_or_else(|| fault("names no host"))?;
        let files = FILES.iter().filter(|(index, _)| *index == host).map(|(_, files)| *files);
        let word = if host == "localhost" { "loopback " } else { "" };
        let places = std::iter::once(host).chain(files).map(|host| format!("{word}{host}:{port}").parse());
        let reach: Vec<Destination> = places
            .filter_map(|place: Result<Destination, _>| place.ok())
            .map(Destination::wherever)
            .collect();
        if reach.is_empty() {
            return Err(fault("names a host that cannot be reached by name"));
        }
        Ok(Registry { url, credentials, reach })
    }

    /// The same registry, reached by these places alone: where files lie elsewhere than the index.
    #[must_use]
    pub fn reaching(mut self, reach: impl IntoIterator<Item = Destination>) -> Registry {
        self.reach = reach.into_iter().collect();
        self
    }

    /// The same registry, reached by these places too.
    #[must_use]
    pub fn also_reaching(mut self, reach: impl IntoIterator<Item = Destination>) -> Registry {
        self.reach.extend(reach);
        self
    }

    /// Its address without credentials.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `user:password`, as it stands in the address.
    pub(crate) fn credentials(&self) -> Option<&SecretString> {
        self.credentials.as_ref()
    }

    /// Its address as a package client needs it.
    pub(crate) fn full_url(&self) -> SecretString {
        let full = match &self.credentials {
            Some(credentials) => self.url.replacen("://", &format!("://{}@", credentials.expose_secret()), 1),
            None => self.url.clone(),
        };
        SecretString::from(full)
    }

    /// Whether a file that stands in a lock file under this URL comes from this registry.
    pub(crate) fn serves(&self, url: &str) -> bool {
        let Some(place) = place(url) else { return false };
        let named = |destination: &Destination| {
            let shown = destination.to_string();
            shown.rsplit(' ').next() == Some(place.as_str())
        };
        self::place(&self.url).as_ref() == Some(&place) || self.reach.iter().any(named)
    }

    fn known(url: &str, reach: &[&str]) -> Registry {
        let places = reach.iter().filter_map(|place| place.parse().ok());
        let reach = places.map(Destination::wherever).collect();
        Registry { url: url.to_owned(), credentials: None, reach }
    }
}

/// `host:port` of a URL.
fn place(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let port = match (uri.port_u16(), uri.scheme_str()?) {
        (Some(port), "http" | "https") => port,
        (None, "https") => 443,
        (None, "http") => 80,
        _ => return None,
    };
    Some(format!("{}:{port}", uri.host()?.to_ascii_lowercase()))
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("url", &self.url).field("reach", &self.reach).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_reached_at_its_own_place() {
        let table = [
            ("https://r.example/npm/", "https://r.example/npm/", "wherever r.example:443"),
            ("http://r.example", "http://r.example", "wherever r.example:80"),
            (
                "https://user:p%40ss@r.example:8443/simple",
                "https://r.example:8443/simple",
                "wherever r.example:8443",
            ),
            ("http://10.0.0.1:4873/", "http://10.0.0.1:4873/", "10.0.0.1:4873"),
            (
                "https://pypi.org/simple",
                "https://pypi.org/simple",
                "wherever pypi.org:443, wherever files.pythonhosted.org:443",
            ),
            ("http://localhost:4873/", "http://localhost:4873/", "loopback localhost:4873"),
        ];
        for (text, url, places) in table {
            let registry = Registry::parse(text).unwrap();
            assert_eq!(registry.url(), url);
            let reach: Vec<String> = registry.reach.iter().map(ToString::to_string).collect();
            assert_eq!(reach.join(", "), places);
            assert_eq!(registry.full_url().expose_secret(), text);
            assert!(!format!("{registry:?}").contains("p%40ss"));
        }
        for text in
            ["", "r.example", "ftp://r.example/", "https://", "https:///x", "file:///x", "https://a b/"]
        {
            let fault = Registry::parse(text).unwrap_err();
            assert!(matches!(fault, Error::Setting { .. }), "{text}");
        }
        let fault = Registry::parse("gopher://user:secret@h/").unwrap_err();
        assert!(!format!("{fault} {fault:?}").contains("secret"));
    }

    #[test]
    fn the_public_registries_are_known() {
        let sources = Sources::default();
        let reach = |ecosystem| {
            sources.reach(ecosystem).destinations().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(reach(Ecosystem::Npm), ["wherever registry.npmjs.org:443"]);
        assert_eq!(reach(Ecosystem::PyPi), ["wherever files.pythonhosted.org:443", "wherever pypi.org:443"]);
    }

    #[test]
    fn behind_a_proxy_nothing_else_is_reached() {
        let proxy = Some(Registry::parse("http://proxy.example:3128").unwrap());
        let reach = Sources { proxy, ..Sources::default() }.reach(Ecosystem::PyPi);
        assert!(
            reach.destinations().iter().all(|place| place.to_string().ends_with("proxy.example:3128")),
            "{reach:?}"
        );
    }

    #[test]
    fn a_file_comes_from_its_registry_alone() {
        let files = "private files.example:443".parse().unwrap();
        let registry = Registry::parse("https://r.example/npm/").unwrap();
        assert!(registry.serves("https://R.example/x/-/x-1.0.0.tgz"));
        assert!(!registry.serves("https://files.example/x.tgz"));
        assert!(registry.clone().reaching([files]).serves("https://files.example/x.tgz"));
        for other in [
            "https://r.example:444/x",
            "http://r.example/x",
            "https://evil/r.example",
            "git+ssh://r.example/x",
            "",
        ] {
            assert!(!registry.serves(other), "{other}");
        }
    }
}
