//! What the gateway listens with, and where it is reached.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use casemate_gateway::front::{ClientFiles, Demand, Network, PublicUrl, TlsFiles};

use super::{Compiler, Front, LockFiles, Process};
use crate::problem::Fault;

impl Compiler<'_> {
    pub(super) fn process(&mut self) -> Process {
        let at = self.written.scope("gateway");
        let listen = at.address("listen").unwrap_or((Ipv4Addr::LOCALHOST, 7332).into());
        let tls = self.tls();
        let exposed = tls.is_none() && !listen.ip().is_loopback();
        if exposed && at.switch("plaintext_beyond_loopback") != Some(true) {
            let what = format!("gateway.listen is {listen}, which other machines reach without TLS");
            let hint = "set gateway.tls.certificate and gateway.tls.key, listen on 127.0.0.1 behind a proxy that ends \
                        TLS, or set gateway.plaintext_beyond_loopback = true";
            self.refuse(at.origin_of("listen"), Fault::new(what).hint(hint));
        }
        Process {
            listen,
            tls,
            log: at.text("log").unwrap_or("info").to_owned(),
            shutdown_grace: at.time("shutdown_grace").unwrap_or(Duration::from_secs(10)),
            packages: self.packages(),
            locked: self.locked(),
        }
    }

    fn locked(&mut self) -> Option<LockFiles> {
        let at = self.written.scope("gateway");
        let key = at.text("lock_key").map(|key| self.folder.join(key));
        let Some(file) = at.text("locked") else {
            if at.entry("lock_key").is_some() {
                let what = "gateway.lock_key means nothing without gateway.locked";
                self.refuse(at.origin_of("lock_key"), Fault::new(what).hint("name the lock file as well"));
            }
            return None;
        };
        Some(LockFiles { file: self.folder.join(file), key })
    }

    pub(super) fn front(&self) -> Front {
        let at = self.written.scope("gateway");
        Front {
            hosts: at.texts("hosts").unwrap_or_default(),
            origins: at.texts("origins").unwrap_or_default(),
            public_url: self.public_url(),
            trusted_proxies: self.trusted_proxies(),
            connections_max: at.number("limits.connections").unwrap_or(4096),
            connections_per_address_max: at.number("limits.connections_per_address").unwrap_or(1024),
        }
    }

    // What could not be read was reported where it stands.

    pub(super) fn public_url(&self) -> Option<PublicUrl> {
        PublicUrl::parse(self.written.scope("gateway").text("public_url")?).ok()
    }

    fn trusted_proxies(&self) -> Vec<Network> {
        let written = self.written.scope("gateway").texts("trusted_proxies").unwrap_or_default();
        written.iter().filter_map(|text| text.parse().ok()).collect()
    }

    fn tls(&mut self) -> Option<TlsFiles> {
        let at = self.written.scope("gateway.tls");
        let path = |key| at.text(key).map(|text| self.folder.join(text));
        let (certificate, key, authorities) = (path("certificate"), path("key"), path("client_ca"));
        let demand = at.text("client_certificates");
        let lonely = |what: &str, other: &str| {
            Fault::new(format!("gateway.tls.{what} is set, and gateway.tls.{other} is not"))
        };
        let fault = match (&certificate, &key, &authorities, demand) {
            (Some(_), None, _, _) => Some(("certificate", lonely("certificate", "key"))),
            (None, Some(_), _, _) => Some(("key", lonely("key", "certificate"))),
            (None, None, Some(_), _) => Some(("client_ca", lonely("client_ca", "certificate"))),
            (_, _, None, Some(_)) => {
                Some(("client_certificates", lonely("client_certificates", "client_ca")))
            }
            _ => None,
        };
        if let Some((written, fault)) = fault {
            self.refuse(at.origin_of(written), fault.hint("they belong together"));
            return None;
        }
        let clients = |authorities: PathBuf| {
            let demand = if demand == Some("required") { Demand::Required } else { Demand::Offered };
            ClientFiles { authorities, demand }
        };
        Some(TlsFiles { certificate: certificate?, key: key?, clients: authorities.map(clients) })
    }
}
