//! The environment of a server: a fixed base, and what package runners need besides.
//!
//! Nothing is read here. The program reads its own environment in one place and hands in the values.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use secrecy::SecretString;

/// A variable. The value is a secret, since nobody can know that it is not.
pub type Variable = (OsString, SecretString);

/// Where programs without a slash are looked for, after the extra directories.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Package runners: programs that fetch what they run, and so need the user's registry, CA and proxy settings.
pub const RUNNERS: [&str; 9] = ["npx", "npm", "pnpm", "yarn", "bunx", "bun", "uvx", "uv", "pipx"];

/// What package runners get to see of the user's environment, when it is set there. Values may carry credentials
/// (a registry's user and password inside its URL), which is why ordinary servers never get them.
pub const PASS_THROUGH: [&str; 37] = [
    // npm and its relatives read their settings in either case.
    "npm_config_registry",
    "NPM_CONFIG_REGISTRY",
    "npm_config_cafile",
    "NPM_CONFIG_CAFILE",
    "npm_config_proxy",
    "NPM_CONFIG_PROXY",
    "npm_config_https_proxy",
    "NPM_CONFIG_HTTPS_PROXY",
    "npm_config_noproxy",
    "NPM_CONFIG_NOPROXY",
    "npm_config_userconfig",
    "NPM_CONFIG_USERCONFIG",
    "npm_config_globalconfig",
    "NPM_CONFIG_GLOBALCONFIG",
    // pip, pipx and uv.
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_CERT",
    "PIP_CONFIG_FILE",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_CONFIG_FILE",
    // Certificate authorities.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    // Proxies, which by tradition are spelled both ways.
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What every server sees: `PATH`, `HOME`, `TMPDIR` and `LANG`, and nothing else.
///
/// `extra` are directories searched before [`PATH`], for example the one in which `node` lies; only absolute ones
/// without a colon count. A home or temporary folder that is not valid UTF-8 is passed with replacement characters.
pub fn base(home: &Path, tmp: &Path, extra: &[&Path]) -> Vec<Variable> {
    let usable = |dir: &&&Path| dir.is_absolute() && !dir.to_string_lossy().contains(':');
    let mut path: String = extra.iter().filter(usable).map(|dir| format!("{}:", dir.display())).collect();
    path.push_str(PATH);
    vec![
        variable("PATH", path),
        variable("HOME", home.to_string_lossy().into_owned()),
        variable("TMPDIR", tmp.to_string_lossy().into_owned()),
        variable("LANG", "C.UTF-8".to_owned()),
    ]
}

/// What a program gets besides, out of what is `available`: the variables of [`PASS_THROUGH`] for a package
/// runner, nothing for any other program. A runner is recognized by its file name.
pub fn for_runner(program: &OsStr, available: &[Variable]) -> Vec<Variable> {
    let name = Path::new(program).file_name().unwrap_or_default();
    if !RUNNERS.iter().any(|runner| name == *runner) {
        return Vec::new();
    }
    let passes = |name: &OsStr| PASS_THROUGH.iter().any(|passed| name == *passed);
    available.iter().filter(|(name, _)| passes(name)).cloned().collect()
}

/// Lays variables over others: a name that stands in both has the value of `over`.
pub fn merge(mut under: Vec<Variable>, over: impl IntoIterator<Item = Variable>) -> Vec<Variable> {
    for (name, value) in over {
        match under.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => under.push((name, value)),
        }
    }
    under
}

fn variable(name: &str, value: String) -> Variable {
    (name.into(), SecretString::from(value))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn shown(variables: &[Variable]) -> Vec<String> {
        let show = |(name, value): &Variable| format!("{}={}", name.display(), value.expose_secret());
        variables.iter().map(show).collect()
    }

    #[test]
    fn the_base_is_fixed() {
        let base = base(Path::new("/h"), Path::new("/t"), &[Path::new("/opt/node/bin"), Path::new("rel")]);
        let path = "PATH=/opt/node/bin:/usr/local/bin:/usr/bin:/bin";
        assert_eq!(shown(&base), [path, "HOME=/h", "TMPDIR=/t", "LANG=C.UTF-8"]);
    }

    #[test]
    fn only_runners_get_the_registry_and_nobody_gets_the_rest() {
        let available = [
            variable("AWS_SECRET_ACCESS_KEY", "x".to_owned()),
            variable("npm_config_registry", "https://r.example".to_owned()),
        ];
        for runner in ["npx", "/usr/bin/npx", "uvx", "pnpm"] {
            let passed = for_runner(OsStr::new(runner), &available);
            assert_eq!(shown(&passed), ["npm_config_registry=https://r.example"], "{runner}");
        }
        for other in ["node", "python3", "/opt/npx/server", "npx.sh", ""] {
            assert!(for_runner(OsStr::new(other), &available).is_empty(), "{other}");
        }
    }

    #[test]
    fn what_is_laid_over_wins_and_no_name_stands_twice() {
        let under = vec![variable("A", "1".to_owned()), variable("B", "1".to_owned())];
        let over = [variable("B", "2".to_owned()), variable("C", "2".to_owned())];
        assert_eq!(shown(&merge(under, over)), ["A=1", "B=2", "C=2"]);
    }

    #[test]
    fn no_name_is_passed_through_twice() {
        let names: std::collections::HashSet<_> = PASS_THROUGH.into_iter().collect();
        assert_eq!(names.len(), PASS_THROUGH.len());
    }
}
