//! What is recorded of the cells that servers run in.

/// Written when a server was started, before anything is said to it.
#[derive(Debug, Clone, Copy)]
pub struct CellStart<'a> {
    /// Ties the end of this instance and what it attempts to its start; unique in the installation.
    pub instance: &'a str,
    /// The server.
    pub server: &'a str,
    /// What encloses it: `full`, `light`, `container`, or `none`.
    pub cell: &'a str,
    /// The program or image that was started.
    pub program: &'a str,
    /// How its processes are held together.
    pub containment: &'a str,
    /// The layers that are wholly in force.
    pub layers: &'a [&'a str],
    /// The layers that are not, each with its reason.
    pub absent: &'a [&'a str],
    /// What of the host it sees, each path after `read` or `write`.
    pub grants: &'a [&'a str],
    /// What it may reach.
    pub network: &'a [&'a str],
    /// Its limits, as the configuration would have them.
    pub limits: &'a [&'a str],
    /// The package or image that it came from, with its version.
    pub origin: Option<&'a str>,
    /// SHA-256 of what says which files belong to that, in hexadecimal.
    pub origin_sha256: Option<&'a str>,
    /// Whether that ran its install scripts.
    pub scripts: Option<&'a str>,
}

/// Written when an instance has ended and nothing of it is left.
#[derive(Debug, Clone, Copy)]
pub struct CellEnd<'a> {
    /// The instance, as at its start.
    pub instance: &'a str,
    /// The server.
    pub server: &'a str,
    /// How it ended: an exit code or a signal.
    pub how: &'a str,
    /// The limit that ended it, with its value.
    pub limit: Option<&'a str>,
}

/// Written when a server tried to reach something. Attempts that are alike are gathered, so that a server which tries in a
/// loop does not fill the disk.
#[derive(Debug, Clone, Copy)]
pub struct Network<'a> {
    /// The instance, as at its start.
    pub instance: &'a str,
    /// The server.
    pub server: &'a str,
    /// The name that was asked for; absent where only an address was.
    pub name: Option<&'a str>,
    /// The address that was dialed or refused, where there was one.
    pub address: Option<&'a str>,
    /// The port.
    pub port: u16,
    /// `tcp`, `udp` or `lookup`.
    pub protocol: &'a str,
    /// `allowed`, `ended` or `refused`.
    pub verdict: &'a str,
    /// Why it was refused, or how it ended.
    pub reason: Option<&'a str>,
    /// For how many attempts this stands.
    pub times: u64,
    /// What they carried, when they have ended.
    pub traffic: Option<Traffic>,
}

/// What connections carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that the server received.
    pub bytes_in: u64,
    /// Bytes that the server sent.
    pub bytes_out: u64,
    /// How long they stood, added up, in milliseconds.
    pub millis: u64,
}

#[cfg(test)]
mod tests {
    use super::super::{Record, canonical, line};
    use super::*;

    fn line(record: &Record<'_>) -> String {
        let mut out = Vec::new();
        line::write(&mut out, record, line::Stamp { seq: 9, time: b"2026-08-31T10:20:30.456Z" });
        let line = String::from_utf8(out).unwrap().trim_end().to_owned();
        assert_eq!(canonical(&serde_json::from_str(&line).unwrap()).unwrap(), line);
        line
    }

    #[test]
    fn a_start_says_what_was_enforced_and_what_was_not() {
        let start = CellStart {
            instance: "i1",
            server: "git",
            cell: "full",
            program: "/usr/bin/node",
            containment: "user-namespace",
            layers: &["identity", "files"],
            absent: &["landlock: this kernel has none"],
            grants: &["read /srv/a"],
            network: &["api.github.com:443"],
            limits: &["limits.memory = 1GiB"],
            origin: Some("npm:git@1.2.3"),
            origin_sha256: Some("ab"),
            scripts: None,
        };
        let expected = [
            r#"{"absent":["landlock: this kernel has none"],"cell":"full","containment":"user-namespace","#,
            r#""grants":["read /srv/a"],"instance":"i1","kind":"cell-start","layers":["identity","files"],"#,
            r#""limits":["limits.memory = 1GiB"],"network":["api.github.com:443"],"origin":"npm:git@1.2.3","#,
            r#""origin_sha256":"ab","program":"/usr/bin/node","seq":9,"server":"git","#,
            r#""time":"2026-08-31T10:20:30.456Z"}"#,
        ];
        assert_eq!(line(&Record::CellStart(&start)), expected.concat());
        let scripts = CellStart { scripts: Some("install"), origin: None, ..start };
        assert!(line(&Record::CellStart(&scripts)).contains(r#""scripts":"install""#));
    }

    #[test]
    fn an_end_names_the_limit_that_caused_it() {
        let end =
            CellEnd { instance: "i1", server: "git", how: "signal 9", limit: Some("limits.memory = 1GiB") };
        let expected = [
            r#"{"how":"signal 9","instance":"i1","kind":"cell-end","limit":"limits.memory = 1GiB","seq":9,"#,
            r#""server":"git","time":"2026-08-31T10:20:30.456Z"}"#,
        ];
        assert_eq!(line(&Record::CellEnd(&end)), expected.concat());
    }

    #[test]
    fn an_attempt_is_told_with_name_port_and_verdict_and_what_it_carried() {
        let refused = Network {
            instance: "i1",
            server: "git",
            name: Some("evil.example"),
            address: None,
            port: 443,
            protocol: "tcp",
            verdict: "refused",
            reason: Some("no grant names it"),
            times: 3,
            traffic: None,
        };
        let expected = [
            r#"{"instance":"i1","kind":"network","name":"evil.example","port":443,"protocol":"tcp","#,
            r#""reason":"no grant names it","seq":9,"server":"git","time":"2026-08-31T10:20:30.456Z","#,
            r#""times":3,"verdict":"refused"}"#,
        ];
        assert_eq!(line(&Record::Network(&refused)), expected.concat());
        let traffic = Some(Traffic { bytes_in: 1, bytes_out: 2, millis: 3 });
        let ended = Network { address: Some("192.0.2.1"), verdict: "ended", traffic, ..refused };
        let line = line(&Record::Network(&ended));
        assert!(
            line.starts_with(r#"{"address":"192.0.2.1","bytes_in":1,"bytes_out":2,"instance""#),
            "{line}"
        );
        assert!(line.contains(r#""millis":3"#), "{line}");
    }
}
