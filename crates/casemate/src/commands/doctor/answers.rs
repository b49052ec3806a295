//! What the running gateway answers, asked for real: over its own listener, without a credential.

use std::io;

use casemate_config::Loaded;
use casemate_transport::http::probe::{Probe, Seen};

use super::{Findings, Verdict};
use crate::context::Context;
use crate::control::client;
use crate::control::wire::{Request, Status};

/// What every answer has, whoever asks for whatever.
const HEADERS: [(&str, &str); 8] = [
    ("x-content-type-options", "nosniff"),
    (
        "content-security-policy",
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", "camera=()"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];
/// What tells strangers more than they need.
const TOO_MUCH: [&str; 3] = ["server", "x-powered-by", "via"];
const BODY: &str = "Content-Type: application/json\nContent-Length: 0";

/// Asks the running gateway.
pub(super) fn look(findings: &mut Findings, context: &Context, loaded: &Loaded) -> anyhow::Result<()> {
    let socket = context.paths.control_socket();
    let runtime = context.small_runtime()?;
    let status = match runtime.block_on(client::ask_if_running::<Status>(&socket, &Request::Status)) {
        Ok(Some(status)) => status,
        Ok(None) => {
            findings.add(
                "answers",
                Verdict::Wrong,
                "no gateway runs, so nobody could look at what it answers",
            );
            findings.hint("`casemate up`, and ask again");
            return Ok(());
        }
        Err(error) => {
            findings.wrong("answers", &error);
            return Ok(());
        }
    };
    let Some(probe) = probe(&status.endpoint, loaded) else {
        findings.add("answers", Verdict::Wrong, format!("{} is no address to ask", status.endpoint));
        return Ok(());
    };
    let asker = Asker { probe, host: host(loaded) };
    runtime.block_on(asker.look(findings));
    Ok(())
}

struct Asker {
    probe: Probe,
    host: String,
}

impl Asker {
    async fn look(&self, findings: &mut Findings) {
        self.headers(findings).await;
        self.hsts(findings).await;
        self.identity(findings).await;
        self.hosts(findings).await;
        self.cors(findings).await;
        self.plaintext(findings).await;
    }

    async fn ask(&self, line: &str, further: &str) -> io::Result<Seen> {
        self.probe.ask(&format!("{line} HTTP/1.1\nHost: {}\n{further}", self.host)).await
    }

    /// An answer, a refusal, and a path that leads nowhere.
    async fn headers(&self, findings: &mut Findings) {
        let mut missing = Vec::new();
        for (line, further) in [("GET /healthz", ""), ("POST /mcp", BODY), ("GET /no-such-path", "")] {
            let seen = match self.ask(line, further).await {
                Ok(seen) => seen,
                Err(error) => {
                    return findings.add("headers", Verdict::Wrong, format!("{line}: no answer: {error}"));
                }
            };
            let lacks = HEADERS
                .iter()
                .filter(|(name, value)| !seen.header(name).is_some_and(|found| found.starts_with(value)));
            missing.extend(lacks.map(|(name, _)| format!("{line} lacks {name}")));
            let too_much = TOO_MUCH.iter().filter(|name| seen.header(name).is_some());
            missing.extend(too_much.map(|name| format!("{line} has {name}")));
        }
        match missing.as_slice() {
            [] => findings.add("headers", Verdict::Good, "answers and refusals have all security headers"),
            missing => findings.add("headers", Verdict::Wrong, missing.join(", ")),
        }
    }

    /// Where TLS ends at a proxy, the proxy's word is needed, and only the proxy can give it.
    async fn hsts(&self, findings: &mut Findings) {
        if self.probe.tls.is_none() {
            return findings.add(
                "hsts",
                Verdict::Note,
                "sent where a trusted proxy says that its client spoke TLS, which cannot be asked from here",
            );
        }
        match self.ask("GET /healthz", "").await {
            Ok(seen) if seen.header("strict-transport-security").is_some() => {
                findings.add("hsts", Verdict::Good, "browsers are told to use HTTPS for two years");
            }
            Ok(_) => findings.add("hsts", Verdict::Wrong, "answers over TLS lack Strict-Transport-Security"),
            Err(error) => findings.add("hsts", Verdict::Wrong, format!("no answer: {error}")),
        }
    }

    async fn identity(&self, findings: &mut Findings) {
        let wrong = format!("{BODY}\nAuthorization: Bearer cm_wrong");
        for (what, further) in [("without a credential", BODY), ("with a wrong one", wrong.as_str())] {
            match self.ask("POST /mcp", further).await {
                Ok(seen) if seen.status == 401 => {}
                Ok(seen) => {
                    let detail = format!("a request {what} gets {} instead of 401", seen.status);
                    return findings.add("identity", Verdict::Wrong, detail);
                }
                Err(error) => return findings.add("identity", Verdict::Wrong, format!("no answer: {error}")),
            }
        }
        findings.add("identity", Verdict::Good, "nothing is served without a credential");
    }

    async fn hosts(&self, findings: &mut Findings) {
        let foreign = self.probe.ask("GET /healthz HTTP/1.1\nHost: casemate.invalid").await;
        match foreign {
            Ok(seen) if seen.status == 403 => findings.add("hosts", Verdict::Good, "other names are refused"),
            Ok(seen) => {
                let detail = format!("a request for another name gets {} instead of 403", seen.status);
                findings.add("hosts", Verdict::Wrong, detail);
            }
            Err(error) => findings.add("hosts", Verdict::Wrong, format!("no answer: {error}")),
        }
    }

    async fn cors(&self, findings: &mut Findings) {
        for origin in ["https://casemate.invalid", "null"] {
            let asked = format!("Origin: {origin}\nAccess-Control-Request-Method: POST");
            match self.ask("OPTIONS /mcp", &asked).await {
                Ok(seen) if seen.status == 403 && seen.header("access-control-allow-origin").is_none() => {}
                Ok(seen) => {
                    let detail = format!("a page of {origin} gets {} instead of 403", seen.status);
                    return findings.add("cors", Verdict::Wrong, detail);
                }
                Err(error) => return findings.add("cors", Verdict::Wrong, format!("no answer: {error}")),
            }
        }
        findings.add("cors", Verdict::Good, "pages that are not listed get nothing");
    }

    async fn plaintext(&self, findings: &mut Findings) {
        if self.probe.tls.is_none() {
            return;
        }
        let bare = Probe { tls: None, ..self.probe.clone() };
        match bare.ask(&format!("GET /healthz HTTP/1.1\nHost: {}", self.host)).await {
            Ok(seen) => {
                findings.add("plaintext", Verdict::Wrong, format!("is answered, with {}", seen.status));
            }
            Err(_) => findings.add("plaintext", Verdict::Good, "gets no answer"),
        }
    }
}

/// Where the gateway listens, seen from this machine.
fn probe(endpoint: &str, loaded: &Loaded) -> Option<Probe> {
    let uri: http::Uri = endpoint.parse().ok()?;
    let mut address: std::net::SocketAddr = uri.authority()?.as_str().parse().ok()?;
    if address.ip().is_unspecified() {
        let ipv4 = address.is_ipv4();
        address.set_ip(if ipv4 { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    let public = loaded.front.public_url.as_ref().map(|url| url.authority());
    let name = public.and_then(|authority| authority.rsplit_once(':').map(|(name, _)| name).or(public));
    let tls = (uri.scheme_str() == Some("https")).then(|| name.unwrap_or("localhost").to_owned());
    Some(Probe { address, tls })
}

/// A name that the gateway answers to.
fn host(loaded: &Loaded) -> String {
    loaded.front.public_url.as_ref().map_or("localhost".to_owned(), |url| url.authority().to_owned())
}
