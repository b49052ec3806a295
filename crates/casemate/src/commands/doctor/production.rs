//! `casemate doctor --production`: whether this installation is fit for people who do not sit at this machine. A line for
//! each thing; whatever is `wrong` makes it fail.

use std::net::IpAddr;
use std::path::Path;

use casemate_config::{Explanation, Kind, Loaded, Origin, show_millis, show_size, show_time};
use casemate_gateway::front::{Network, PublicUrl};
use casemate_gateway::snapshot::{Enclosure, ServerEntry, SocketSource, Source};
use casemate_net::fetch::{ShownFault, accepted};
use casemate_sandbox::Kind as Cell;
use casemate_store::{KeyRecord, Store};
use casemate_transport::http::tls::Validity;
use rustix::fs::{Access, access, statvfs};

use super::answers;
use super::{Findings, Verdict};
use crate::context::Context;
use crate::{clock, configuration, paths};

const DAY_S: u64 = 86_400;
/// A certificate that ends sooner is not renewed by anything, or is about to show that.
const CERTIFICATE_DAYS_MIN: u64 = 14;
/// A key that is older has been in more places than anybody remembers.
const KEY_DAYS_MAX: u64 = 180;
/// A busy gateway writes a gigabyte of records in a few weeks.
const FREE_BYTES_MIN: u64 = 1 << 30;
const FREE_BYTES_GOOD: u64 = 5 << 30;
/// A network of more addresses is hardly one of proxies: /16 and /48.
const PROXY_BITS_MIN: (u8, u8) = (16, 48);

impl Findings {
    /// Everything that only matters in production.
    pub(super) fn production(&mut self, context: &Context) -> anyhow::Result<()> {
        let loaded = match configuration::inspect(context) {
            Ok(loaded) => loaded,
            Err(error) => {
                self.wrong("configuration", &error);
                return Ok(());
            }
        };
        self.https(&loaded);
        self.proxies(&loaded);
        self.certificate(&loaded);
        self.pages(&loaded);
        answers::look(self, context, &loaded)?;
        self.keys_of_production(context)?;
        for entry in loaded.snapshot.servers.values().filter(|entry| entry.enabled) {
            self.wall_around(entry);
        }
        self.literals(&loaded);
        self.maxima(&loaded);
        self.file(context);
        self.records(context);
        self.backups(context);
        self.user();
        Ok(())
    }

    fn https(&mut self, loaded: &Loaded) {
        let (tls, proxies) = (loaded.process.tls.is_some(), !loaded.front.trusted_proxies.is_empty());
        let Some(url) = loaded.front.public_url.as_ref() else {
            self.add("https", Verdict::Wrong, "gateway.public_url is not set, so plaintext is not refused");
            return self.hint("set gateway.public_url = \"https://…\", the address that clients use");
        };
        match (url.is_https(), tls, proxies) {
            (false, _, _) => {
                self.add(
                    "https",
                    Verdict::Wrong,
                    format!("gateway.public_url is {url}, for this machine alone"),
                );
                self.hint("set it to the https address that clients use");
            }
            (true, true, _) => {
                self.add("https", Verdict::Good, format!("{url}: TLS ends here, and plaintext is refused"));
            }
            (true, false, true) if loaded.process.listen.ip().is_loopback() => {
                self.add(
                    "https",
                    Verdict::Good,
                    format!("{url}: TLS ends at a trusted proxy on this machine"),
                );
            }
            (true, false, true) => {
                let from = loaded.process.listen;
                let detail =
                    format!("{url}: TLS ends at the trusted proxies, which reach {from} in plaintext");
                self.add("https", Verdict::Note, detail);
                self.hint("let nobody else into that network, or set gateway.tls here too");
            }
            (true, false, false) => {
                let detail =
                    format!("{url}: neither gateway.tls nor gateway.trusted_proxies says who ends TLS");
                self.add("https", Verdict::Wrong, detail);
                self.hint("set gateway.tls.certificate and gateway.tls.key, or name your proxy");
            }
        }
    }

    fn proxies(&mut self, loaded: &Loaded) {
        let proxies = &loaded.front.trusted_proxies;
        let behind =
            loaded.process.tls.is_none() && loaded.front.public_url.as_ref().is_some_and(PublicUrl::is_https);
        if proxies.is_empty() {
            let (verdict, detail) = match behind {
                true => (Verdict::Wrong, "none are trusted, so every client has the address of your proxy"),
                false => (Verdict::Good, "none are trusted: addresses are those of connections"),
            };
            return self.add("proxies", verdict, detail);
        }
        let shown: Vec<String> = proxies.iter().map(Network::to_string).collect();
        match proxies.iter().find(|network| is_wide(network)) {
            Some(wide) => {
                let detail =
                    format!("{wide} is trusted, and each of its addresses can pretend to be any client");
                self.add("proxies", Verdict::Wrong, detail);
                self.hint("name the addresses of the proxies themselves");
            }
            None => self.add("proxies", Verdict::Good, format!("{} trusted", shown.join(", "))),
        }
    }

    fn certificate(&mut self, loaded: &Loaded) {
        let Some(files) = &loaded.process.tls else { return };
        let tls = match casemate_transport::http::Tls::open(files.clone()) {
            Ok(tls) => tls,
            Err(error) => return self.wrong("certificate", &error.into()),
        };
        let now = clock::unix_seconds();
        match tls.validity() {
            Some(validity) if !validity.covers(now) => {
                self.add(
                    "certificate",
                    Verdict::Wrong,
                    format!("is not valid now; it ends {}", ends(validity)),
                );
                self.hint("renew it; the running gateway takes it over by itself");
            }
            Some(validity) if validity.until.saturating_sub(now) < CERTIFICATE_DAYS_MIN * DAY_S => {
                self.add("certificate", Verdict::Note, format!("ends {}", ends(validity)));
                self.hint("renew it; the running gateway takes it over by itself");
            }
            Some(validity) => self.add("certificate", Verdict::Good, format!("ends {}", ends(validity))),
            None => self.add("certificate", Verdict::Note, "does not say when it ends"),
        }
        self.chain((&files.certificate, now), loaded);
    }

    /// What clients make of it: whether it is for the name that they use, and whom it has on its side.
    fn chain(&mut self, (file, now): (&Path, u64), loaded: &Loaded) {
        let Some(name) = loaded.front.public_url.as_ref().map(PublicUrl::host) else { return };
        let pem = match std::fs::read(file) {
            Ok(pem) => pem,
            Err(error) => {
                return self.add("certificate", Verdict::Wrong, format!("{}: {error}", file.display()));
            }
        };
        let fault = match accepted(&pem, name, now) {
            Ok(()) => {
                let detail =
                    format!("is for {name}, and an authority that this system trusts vouches for it");
                return self.add("certificate", Verdict::Good, detail);
            }
            Err(fault) => fault,
        };
        let hint = match &fault {
            ShownFault::Name { .. } => "get one for the name in gateway.public_url",
            ShownFault::Untrusted => {
                "put the certificates between the two into the file; with an authority of your own, ask with \
                 SSL_CERT_FILE set to its certificate"
            }
            _ => "renew it; the running gateway takes it over by itself",
        };
        self.wrong("certificate", &fault.into());
        self.hint(hint);
    }

    fn pages(&mut self, loaded: &Loaded) {
        let pages = &loaded.front.origins;
        if pages.is_empty() {
            return self.add("pages", Verdict::Good, "no web page may read answers (CORS is off)");
        }
        match pages.iter().find(|page| page.starts_with("http://")) {
            Some(page) => {
                let detail =
                    format!("{page} may read answers, and whoever sits on the wire can change that page");
                self.add("pages", Verdict::Wrong, detail);
                self.hint("list its https address in gateway.origins");
            }
            None => self.add("pages", Verdict::Good, format!("{} may read answers", pages.join(", "))),
        }
    }

    fn keys_of_production(&mut self, context: &Context) -> anyhow::Result<()> {
        if context.paths.first_key().exists() {
            let detail = format!("the first key still lies in {}", context.paths.first_key().display());
            self.add("keys", Verdict::Wrong, detail);
            self.hint("take it to its user and delete the file, or revoke it");
        }
        if !context.paths.data().exists() {
            return Ok(());
        }
        let store = match Store::open(context.paths.data()) {
            Ok(store) => store,
            // Told by the ordinary look at the keys.
            Err(_) => return Ok(()),
        };
        let keys = context.small_runtime()?.block_on(async { store.keys().list().await })?;
        let now = clock::unix_seconds();
        let is_good =
            |key: &&KeyRecord| key.revoked.is_none() && key.expires.is_none_or(|expires| now < expires);
        for key in keys.iter().filter(is_good) {
            self.key(key, now);
        }
        Ok(())
    }

    fn key(&mut self, key: &KeyRecord, now: u64) {
        let days = now.saturating_sub(key.created) / DAY_S;
        let named = format!("{} ({}), {days} days old", key.id, key.name);
        match key.expires {
            Some(expires) if days <= KEY_DAYS_MAX => {
                self.add("keys", Verdict::Good, format!("{named}, ends {}", clock::date_time(expires)));
            }
            Some(_) => self.add("keys", Verdict::Note, format!("{named}: older than {KEY_DAYS_MAX} days")),
            None => self.add("keys", Verdict::Note, format!("{named}: never expires")),
        }
        if key.expires.is_none() || days > KEY_DAYS_MAX {
            let hint = "`casemate key create --name NAME --expires 90d`, then";
            self.hint(format!("{hint} `casemate key revoke {}`", key.id));
        }
    }

    fn wall_around(&mut self, entry: &ServerEntry) {
        let name = &entry.name;
        match &entry.source {
            Source::Command(command) => match &command.enclosure {
                Enclosure::Unsandboxed => {
                    self.add(
                        "cell",
                        Verdict::Wrong,
                        format!("{name}: runs without a cell (allow_unsandboxed)"),
                    );
                    self.hint(format!(
                        "remove allow_unsandboxed from [servers.{name}], and grant what it needs"
                    ));
                }
                Enclosure::Cell(room) if room.kind == Cell::Light => {
                    self.add(
                        "cell",
                        Verdict::Note,
                        format!("{name}: a light cell, which shares more with the host"),
                    );
                    self.hint(format!(
                        "remove cell = \"light\" from [servers.{name}] where the host can do more"
                    ));
                }
                Enclosure::Cell(_) => self.add("cell", Verdict::Good, format!("{name}: a full cell")),
            },
            Source::Image(_) => self.add("cell", Verdict::Good, format!("{name}: a container, by digest")),
            Source::Http(http) if http.url.scheme_str() == Some("https") => {
                self.add("cell", Verdict::Good, format!("{name}: remote, over https"));
            }
            Source::Http(_) => {
                self.add("cell", Verdict::Note, format!("{name}: remote, over plain http"));
                self.hint("what is sent there can be read and changed on its way");
            }
            Source::Socket(socket @ SocketSource::Unix(_)) => {
                self.add("cell", Verdict::Good, format!("{name}: somebody else's process, at {socket}"));
            }
            Source::Socket(socket @ SocketSource::Tcp(_)) => {
                self.add("cell", Verdict::Note, format!("{name}: remote, over plain TCP at {socket}"));
                self.hint("what is sent there can be read and changed on its way");
            }
        }
    }

    /// Values that stand in the file where a reference could.
    fn literals(&mut self, loaded: &Loaded) {
        let is_literal = |found: &&Explanation| {
            let value = found.value.as_deref().unwrap_or_default();
            matches!(found.setting.kind, Kind::Given) && value.starts_with("a text of")
        };
        let all = loaded.resolved.all();
        let keys: Vec<&str> = all.iter().filter(is_literal).map(|found| found.key.as_str()).collect();
        match keys.as_slice() {
            [] => self.add(
                "literals",
                Verdict::Good,
                "no variable or header has its value in the configuration",
            ),
            keys => {
                self.add(
                    "literals",
                    Verdict::Note,
                    format!("written out in the configuration: {}", keys.join(", ")),
                );
                self.hint("what is secret belongs elsewhere: \"secret:NAME\", \"env:NAME\" or \"file:PATH\"");
            }
        }
    }

    /// Limits that were raised as far as they go.
    fn maxima(&mut self, loaded: &Loaded) {
        let all = loaded.resolved.all();
        let at_most = all.iter().filter(|found| !matches!(found.origin, Origin::Default));
        let at_most = at_most.filter(|found| {
            let most = most(&found.setting.kind);
            most.is_some() && found.value == most
        });
        let keys: Vec<&str> = at_most.map(|found| found.key.as_str()).collect();
        match keys.as_slice() {
            [] => self.add("limits", Verdict::Good, "none is raised as far as it goes"),
            keys => {
                let detail =
                    format!("raised as far as they go, which protects from nothing: {}", keys.join(", "));
                self.add("limits", Verdict::Wrong, detail);
                self.hint("`casemate config explain KEY` says what the default is for");
            }
        }
    }

    fn file(&mut self, context: &Context) {
        use std::os::unix::fs::MetadataExt;
        let path = context.paths.config();
        let Ok(found) = std::fs::metadata(path) else { return };
        let shown = path.display();
        match found.mode() & 0o777 {
            mode if mode & 0o022 != 0 => {
                self.add(
                    "configuration",
                    Verdict::Wrong,
                    format!("{shown} can be changed by others ({mode:04o})"),
                );
                self.hint(format!("chmod go-w {shown}"));
            }
            mode => self.add(
                "configuration",
                Verdict::Good,
                format!("{shown} can be changed by its owner ({mode:04o})"),
            ),
        }
    }

    fn records(&mut self, context: &Context) {
        let folder = context.paths.records();
        let shown = folder.display().to_string();
        if !folder.exists() {
            return self.add(
                "records",
                Verdict::Note,
                format!("{shown} is not there before the first start"),
            );
        }
        if let Err(error) = paths::check_private(&folder) {
            return self.wrong("records", &error);
        }
        if let Err(error) = access(&folder, Access::WRITE_OK) {
            self.add("records", Verdict::Wrong, format!("{shown} cannot be written: {error}"));
            return self.hint("what cannot be recorded is not done: every call would be refused (CM1903)");
        }
        let Ok(disk) = statvfs(&folder) else {
            return self.add(
                "records",
                Verdict::Note,
                format!("{shown}: the disk does not say how full it is"),
            );
        };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let detail = format!("{shown}: {} MiB free", free >> 20);
        match free {
            free if free < FREE_BYTES_MIN => {
                self.add("records", Verdict::Wrong, detail);
                self.hint("when the disk is full, every call is refused (CM1903)");
            }
            free if free < FREE_BYTES_GOOD => self.add("records", Verdict::Note, detail),
            _ => self.add("records", Verdict::Good, detail),
        }
    }

    fn backups(&mut self, context: &Context) {
        let data = context.paths.data().display();
        self.add(
            "backups",
            Verdict::Note,
            format!("Casemate makes none: {data} has keys, state and records"),
        );
        self.hint("copy it elsewhere, encrypted, as often as you can afford to lose what is in it");
    }

    fn user(&mut self) {
        match rustix::process::geteuid().is_root() {
            true => {
                self.add("user", Verdict::Note, "runs as root, which it does not need");
                self.hint("make a user for it, and run `casemate service install` as that user");
            }
            false => self.add("user", Verdict::Good, "does not run as root"),
        }
    }
}

fn is_wide(network: &Network) -> bool {
    let least = if network.first().is_ipv4() { PROXY_BITS_MIN.0 } else { PROXY_BITS_MIN.1 };
    // Everybody on this machine is one address, and they may be proxies.
    let is_loopback = IpAddr::is_loopback(&network.first());
    network.bits() < least && !is_loopback
}

fn ends(validity: Validity) -> String {
    clock::date_time(validity.until)
}

/// The largest value of a limit, as it is shown.
fn most(kind: &Kind) -> Option<String> {
    Some(match kind {
        Kind::Count(range) => range.end().to_string(),
        Kind::Time(range) => format!("{:?}", show_time(*range.end())),
        Kind::Size(range) => format!("{:?}", show_size(*range.end())),
        Kind::Processors(range) => show_millis(*range.end()),
        _ => return None,
    })
}
