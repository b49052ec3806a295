//! The package runners, as tables: how each is called, and what its options mean.

use std::path::Path;

use crate::package::Ecosystem;

/// What an option says about the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing that matters here; it has no value.
    Nothing,
    /// Nothing that matters here; it has a value.
    NothingWithValue,
    /// Its value is a package to install; the first word is then a program of it.
    Package,
    /// Its values, separated by commas, are packages to install besides.
    Besides,
    /// Its value is the version of Python.
    Python,
    /// It changes what is fetched, or how it runs, in a way that is not carried. The text follows "option --x: ".
    Refused(&'static str),
}

use Meaning::{Besides, Nothing, NothingWithValue, Package, Python, Refused};

/// What stands after the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// The program's arguments, whatever they look like.
    Arguments,
    /// Options may still be the runner's, until a `--`.
    Mixed,
}

/// A package runner.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) ecosystem: Ecosystem,
    program: &'static str,
    /// The words that must follow the program's name, if any.
    subcommand: &'static [&'static str],
    options: &'static [(&'static str, Meaning)],
    pub(super) rest: Rest,
}

impl Runner {
    /// What an option means to this runner; nothing when it is not known.
    pub(super) fn meaning(&self, option: &str) -> Option<Meaning> {
        self.options.iter().find(|(name, _)| *name == option).map(|(_, meaning)| *meaning)
    }
}

const SHELL: &str = "it runs a shell line; name the program and its arguments instead";
const REGISTRY: &str = "registries are set once for all servers, by the variables that npm, pip and uv read (npm_config_registry, UV_DEFAULT_INDEX, …)";
const KEPT: &str = "casemate keeps what it has prepared in a folder of its own";
const NOT_PINNED: &str = "what it names is not fixed by a version";
const SCRIPTS: &str = "write install_scripts = true into the server's entry instead";

const NPM: &[(&str, Meaning)] = &[
    ("-y", Nothing),
    ("--yes", Nothing),
    ("-q", Nothing),
    ("--quiet", Nothing),
    ("-s", Nothing),
    ("--silent", Nothing),
    ("--prefer-offline", Nothing),
    ("--ignore-scripts", Nothing),
    ("--no-audit", Nothing),
    ("--no-fund", Nothing),
    ("--no-update-notifier", Nothing),
    ("--loglevel", NothingWithValue),
    ("-p", Package),
    ("--package", Package),
    ("-c", Refused(SHELL)),
    ("--call", Refused(SHELL)),
    ("--registry", Refused(REGISTRY)),
    ("--userconfig", Refused(REGISTRY)),
    ("--cache", Refused(KEPT)),
    ("--prefix", Refused(KEPT)),
    ("-w", Refused("packages of a workspace are not in a registry")),
    ("--workspace", Refused("packages of a workspace are not in a registry")),
];

const BUN: &[(&str, Meaning)] = &[
    ("-p", Package),
    ("--package", Package),
    ("--silent", Nothing),
    ("--verbose", Nothing),
    ("-y", Nothing),
    ("--bun", Refused("casemate runs packages of npm with node; a plain command may start bun itself")),
];

const PNPM: &[(&str, Meaning)] = &[
    ("--package", Package),
    ("-s", Nothing),
    ("--silent", Nothing),
    ("--reporter", NothingWithValue),
    ("--loglevel", NothingWithValue),
    ("-y", Nothing),
    ("--yes", Nothing),
    ("-c", Refused(SHELL)),
    ("--shell-mode", Refused(SHELL)),
    ("--allow-build", Refused(SCRIPTS)),
    ("--registry", Refused(REGISTRY)),
];

const YARN: &[(&str, Meaning)] =
    &[("-p", Package), ("--package", Package), ("-q", Nothing), ("--quiet", Nothing)];

const UV: &[(&str, Meaning)] = &[
    ("--from", Package),
    ("--with", Besides),
    ("-w", Besides),
    ("-p", Python),
    ("--python", Python),
    ("--isolated", Nothing),
    ("-q", Nothing),
    ("--quiet", Nothing),
    ("-v", Nothing),
    ("--verbose", Nothing),
    ("-n", Nothing),
    ("--no-cache", Nothing),
    ("--no-config", Nothing),
    ("--no-progress", Nothing),
    ("--no-build", Nothing),
    ("--native-tls", Nothing),
    ("--system-certs", Nothing),
    ("--color", NothingWithValue),
    ("-i", Refused(REGISTRY)),
    ("--index-url", Refused(REGISTRY)),
    ("--index", Refused(REGISTRY)),
    ("--default-index", Refused(REGISTRY)),
    ("--extra-index-url", Refused(REGISTRY)),
    ("-f", Refused(REGISTRY)),
    ("--find-links", Refused(REGISTRY)),
    ("--no-index", Refused(REGISTRY)),
    ("--with-editable", Refused(NOT_PINNED)),
    ("--with-requirements", Refused(NOT_PINNED)),
    ("--cache-dir", Refused(KEPT)),
];

const PIPX: &[(&str, Meaning)] = &[
    ("--spec", Package),
    ("--with", Besides),
    ("--python", Python),
    ("--no-cache", Nothing),
    ("-q", Nothing),
    ("--quiet", Nothing),
    ("-v", Nothing),
    ("--verbose", Nothing),
    ("-i", Refused(REGISTRY)),
    ("--index-url", Refused(REGISTRY)),
    ("--pip-args", Refused("casemate calls pip with arguments of its own")),
    ("--path", Refused(NOT_PINNED)),
    ("--system-site-packages", Refused("packages of the host are not fixed by a version")),
];

/// One row for each way to call a runner. A program without a subcommand takes everything.
const RUNNERS: &[Runner] = &[
    runner(Ecosystem::Npm, "npx", &[], NPM),
    Runner { rest: Rest::Mixed, ..runner(Ecosystem::Npm, "npm", &["exec"], NPM) },
    Runner { rest: Rest::Mixed, ..runner(Ecosystem::Npm, "npm", &["x"], NPM) },
    runner(Ecosystem::Npm, "bunx", &[], BUN),
    runner(Ecosystem::Npm, "bun", &["x"], BUN),
    runner(Ecosystem::Npm, "pnpm", &["dlx"], PNPM),
    runner(Ecosystem::Npm, "pnpx", &[], PNPM),
    runner(Ecosystem::Npm, "yarn", &["dlx"], YARN),
    runner(Ecosystem::PyPi, "uvx", &[], UV),
    runner(Ecosystem::PyPi, "uv", &["tool", "run"], UV),
    runner(Ecosystem::PyPi, "pipx", &["run"], PIPX),
];

const fn runner(
    ecosystem: Ecosystem,
    program: &'static str,
    subcommand: &'static [&'static str],
    options: &'static [(&'static str, Meaning)],
) -> Runner {
    Runner { ecosystem, program, subcommand, options, rest: Rest::Arguments }
}

/// The runner that a program's file name and its first words call, and where the subcommand's words are. Options may
/// stand before them (`pnpm --package=x dlx …`).
pub(super) fn find(program: &str, args: &[String]) -> Option<(&'static Runner, Vec<usize>)> {
    let name = Path::new(program).file_name()?.to_str()?;
    RUNNERS.iter().filter(|runner| runner.program == name).find_map(|runner| {
        let mut words = Vec::new();
        let mut place = 0;
        for expected in runner.subcommand {
            while args.get(place).is_some_and(|arg| arg.starts_with('-')) {
                let takes_next = |meaning| !matches!(meaning, Nothing | Refused(_));
                let arg = args.get(place)?;
                place += 1 + usize::from(runner.meaning(arg).is_some_and(takes_next));
            }
            if args.get(place)? != expected {
                return None;
            }
            words.push(place);
            place += 1;
        }
        Some((runner, words))
    })
}
