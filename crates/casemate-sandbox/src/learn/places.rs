//! What no server gets to see while it is watched, and why.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

mod mounts;

use mounts::Mounts;

/// A file or folder of the host that a watched server does not see, with all that is beneath.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hidden {
    /// Where it is. Whether it exists does not matter.
    pub path: PathBuf,
    /// What it is, for a person: `keys of SSH`.
    pub reason: Cow<'static, str>,
}

/// In the user's home.
const PERSONAL: &[(&str, &[&str])] = &[
    ("keys of SSH and GnuPG", &[".ssh", ".gnupg", ".pki", ".minisign", ".config/age", ".config/sops"]),
    (
        "credentials of cloud providers",
        &[
            ".aws",
            ".azure",
            ".boto",
            ".s3cfg",
            ".config/gcloud",
            ".config/doctl",
            ".config/hcloud",
            ".config/rclone",
            ".config/scw",
            ".fly",
            ".oci",
            ".vault-token",
            ".terraformrc",
            ".terraform.d",
            ".pulumi",
        ],
    ),
    ("credentials and sockets of clusters and engines", &[".kube", ".docker", ".colima", ".rd", ".minikube"]),
    (
        "credentials of forges, registries and hosts",
        &[
            ".netrc",
            ".git-credentials",
            ".config/git/credentials",
            ".config/gh",
            ".config/glab-cli",
            ".config/hub",
            ".npmrc",
            ".yarnrc.yml",
            ".pypirc",
            ".config/pip",
            ".cargo/credentials",
            ".cargo/credentials.toml",
            ".gem/credentials",
            ".m2/settings.xml",
            ".m2/settings-security.xml",
            ".gradle/gradle.properties",
            ".composer/auth.json",
            ".config/composer",
            ".pgpass",
            ".my.cnf",
            ".mylogin.cnf",
            ".config/heroku",
            ".config/netlify",
            ".config/stripe",
            ".config/containers",
        ],
    ),
    (
        "keyrings and safes of passwords",
        &[
            ".local/share/keyrings",
            ".local/share/kwalletd",
            ".kde",
            ".password-store",
            ".local/share/pass",
            ".config/1Password",
            ".config/op",
            ".config/Bitwarden",
            ".config/Bitwarden CLI",
            ".config/keepassxc",
            ".local/share/mkcert",
        ],
    ),
    (
        "profiles of browsers and mail",
        &[
            ".mozilla",
            ".thunderbird",
            ".config/mozilla",
            ".config/google-chrome",
            ".config/google-chrome-beta",
            ".config/chromium",
            ".config/BraveSoftware",
            ".config/microsoft-edge",
            ".config/vivaldi",
            ".config/opera",
            ".librewolf",
            ".config/evolution",
            ".local/share/evolution",
            ".cache/mozilla",
            ".cache/thunderbird",
            ".cache/google-chrome",
            ".cache/chromium",
            ".var/app",
            "snap",
            "Maildir",
            "mail",
        ],
    ),
    (
        "messages",
        &[
            ".config/Signal",
            ".config/Slack",
            ".config/discord",
            ".config/Element",
            ".local/share/TelegramDesktop",
            ".purple",
        ],
    ),
    (
        "keys and conversations of assistants",
        &[
            ".claude",
            ".claude.json",
            ".config/Claude",
            ".codex",
            ".cursor",
            ".config/Cursor",
            ".config/Code",
            ".gemini",
            ".config/goose",
            ".local/share/goose",
            ".config/github-copilot",
            ".continue",
            ".ollama",
        ],
    ),
    ("wallets", &[".bitcoin", ".ethereum", ".electrum", ".config/solana", ".monero", ".config/Ledger Live"]),
    (
        "histories",
        &[
            ".bash_history",
            ".zsh_history",
            ".zsh_sessions",
            ".histfile",
            ".sh_history",
            ".local/share/fish",
            ".local/share/atuin",
            ".python_history",
            ".node_repl_history",
            ".irb_history",
            ".psql_history",
            ".mysql_history",
            ".sqlite_history",
            ".rediscli_history",
            ".lesshst",
            ".viminfo",
            ".local/share/recently-used.xbel",
            ".local/state",
        ],
    ),
];

/// Everywhere else.
const SHARED: &[(&str, &[&str])] = &[
    (
        "passwords and rights of this machine's users",
        &[
            "/etc/shadow",
            "/etc/shadow-",
            "/etc/gshadow",
            "/etc/gshadow-",
            "/etc/sudoers",
            "/etc/sudoers.d",
            "/etc/security",
            "/etc/polkit-1",
            "/var/lib/sss",
            "/var/lib/AccountsService",
        ],
    ),
    (
        "keys and passwords of this machine's services",
        &[
            "/etc/ssh",
            "/etc/ssl/private",
            "/etc/pki/tls/private",
            "/etc/letsencrypt",
            "/etc/krb5.keytab",
            "/etc/NetworkManager/system-connections",
            "/etc/wpa_supplicant",
            "/etc/wireguard",
            "/etc/openvpn",
            "/etc/ppp",
            "/etc/ipsec.secrets",
            "/etc/ipsec.d",
            "/etc/docker",
            "/etc/containers",
            "/etc/kubernetes",
            "/etc/rancher",
            "/etc/mysql/debian.cnf",
            "/etc/machine-id",
            "/var/lib/NetworkManager",
            "/var/lib/dbus",
            "/var/lib/samba",
            "/var/lib/iwd",
            "/var/lib/bluetooth",
            "/var/lib/systemd",
            "/var/lib/cloud",
        ],
    ),
    (
        "other containers, machines and databases",
        &[
            "/var/lib/docker",
            "/var/lib/containerd",
            "/var/lib/containers",
            "/var/lib/kubelet",
            "/var/lib/etcd",
            "/var/lib/rancher",
            "/var/lib/lxc",
            "/var/lib/lxd",
            "/var/snap",
            "/var/lib/incus",
            "/var/lib/libvirt",
            "/var/lib/mysql",
            "/var/lib/postgresql",
            "/var/lib/redis",
        ],
    ),
    (
        "mail, logs and backups",
        &["/var/mail", "/var/spool", "/var/log", "/var/backups", "/var/crash", "/var/account", "/lost+found"],
    ),
];

/// What belongs to other users.
const OTHERS: &str = "the home of another user";

/// Where homes usually are. What is not one's own is hidden.
const HOMES: [&str; 3] = ["/home", "/root", "/var/home"];

/// The first id of a person.
const PERSON_MIN: u32 = 1000;

/// `nobody`, who has no home.
const NOBODY: u32 = 65_534;

/// The list for a user with this home; without one, nobody's home is shown.
pub(super) fn standard(home: Option<&Path>) -> Vec<Hidden> {
    let all = |list: &'static [(&str, &[&str])]| {
        list.iter().flat_map(|(reason, paths)| paths.iter().map(move |path| (*reason, Path::new(path))))
    };
    let shared = all(SHARED).map(|(reason, path)| Hidden::new(path, reason));
    let homes = home.into_iter().flat_map(|home| {
        let real = home.canonicalize().ok().filter(|real| real != home);
        [Some(home.to_owned()), real].into_iter().flatten()
    });
    let personal = homes.flat_map(|home| {
        all(PERSONAL).map(move |(reason, path)| Hidden::new(home.join(path), reason)).collect::<Vec<_>>()
    });
    shared.chain(personal).chain(others(home)).collect()
}

impl Hidden {
    fn new(path: impl Into<PathBuf>, reason: &'static str) -> Hidden {
        Hidden { path: path.into(), reason: Cow::Borrowed(reason) }
    }
}

/// The homes of others: what lies beside the own one, and what the list of users names.
fn others(home: Option<&Path>) -> Vec<Hidden> {
    let home = home.map(|home| home.canonicalize().unwrap_or_else(|_| home.to_owned()));
    let is_above_home = |path: &Path| home.as_ref().is_some_and(|home| home.starts_with(path));
    let mut found = Vec::new();
    for folder in HOMES.map(Path::new) {
        if !is_above_home(folder) {
            found.push(folder.to_owned());
            continue;
        }
        let ways = home.iter().flat_map(|home| home.ancestors().skip(1));
        for way in ways.filter(|way| way.starts_with(folder)) {
            let beside = std::fs::read_dir(way).into_iter().flatten().flatten().map(|entry| entry.path());
            found.extend(beside.filter(|path| !is_above_home(path)));
        }
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    found.extend(homes_of(&users).filter(|path| {
        let is_own = home.as_ref().is_some_and(|home| path.starts_with(home));
        path.components().count() > 2 && !is_above_home(path) && !is_own
    }));
    found.into_iter().map(|path| Hidden::new(path, OTHERS)).collect()
}

/// The homes of people, as `/etc/passwd` has them (passwd(5)).
fn homes_of(users: &str) -> impl Iterator<Item = PathBuf> {
    users.lines().filter_map(|line| {
        let mut fields = line.split(':').skip(2);
        let user: u32 = fields.next()?.parse().ok()?;
        let home = Path::new(fields.nth(2)?);
        (user >= PERSON_MIN && user != NOBODY && home.is_absolute()).then(|| home.to_owned())
    })
}

/// The same places under every path by which they can be reached: without links, and by other mounts of the same files.
pub(super) fn everywhere(hidden: &[Hidden]) -> Vec<Hidden> {
    let mounts = Mounts::read();
    let mut found = Vec::new();
    for Hidden { path, reason } in hidden {
        let plain = plain(path);
        let real = real(&plain);
        let aliases = mounts.aliases(&real);
        for path in [plain, real].into_iter().chain(aliases) {
            found.push(Hidden { path, reason: reason.clone() });
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Without `.` and doubled slashes, as paths are compared. `..` is taken as it is written.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

/// A path without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(real), ..) => real,
        (Err(_), Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

/// A path whose blanks and the like are written `\040`, as the kernel does in its tables.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, others)) = rest.split_first() {
        let octal = others
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(octal.unwrap_or(*first));
        rest = others.get(if octal.is_some() { 3 } else { 0 }..).unwrap_or_default();
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests;
