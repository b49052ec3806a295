//! HTTPS, client certificates made by `openssl`, and `doctor --production`.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use casemate_store::records::tail;
use rustix::process::Signal;
use serde_json::Value;

use crate::gateway::Gateway;
use crate::home::Home;

const ASK: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const MCP: &str = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[track_caller]
fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority that makes certificates, in a folder of its own.
pub(crate) struct Authority(pub(crate) PathBuf);

impl Authority {
    pub(crate) fn new(home: &Home, name: &str) -> Authority {
        let folder = home.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let subject = format!("/CN={name}");
        openssl(
            &folder,
            &[
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "30",
                "-keyout",
                "ca.key",
                "-out",
                "ca.pem",
                "-subj",
                &subject,
            ],
        );
        std::fs::write(
            folder.join("server.ext"),
            "subjectAltName=DNS:localhost,DNS:mcp.example.com\nextendedKeyUsage=serverAuth\n",
        )
        .unwrap();
        std::fs::write(
            folder.join("client.ext"),
            "subjectAltName=URI:spiffe://example/agent\nextendedKeyUsage=clientAuth\n",
        )
        .unwrap();
        Authority(folder)
    }

    /// Makes a certificate that is good for so many days, and its key: `NAME.pem` and `NAME.key`.
    pub(crate) fn make(&self, name: &str, (kind, days): (&str, &str)) -> PathBuf {
        let (key, request, certificate) =
            (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        let (subject, extensions) = (format!("/CN={name}"), format!("{kind}.ext"));
        openssl(
            &self.0,
            &[
                "req",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                &key,
                "-out",
                &request,
                "-subj",
                &subject,
            ],
        );
        let sign = [
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-extfile",
            &extensions,
            "-out",
            &certificate,
            "-days",
            days,
        ];
        openssl(&self.0, &sign);
        std::fs::set_permissions(self.0.join(&key), Permissions::from_mode(0o600)).unwrap();
        self.0.join(certificate)
    }
}

/// `openssl s_client`, which is told what to send on its standard input.
fn client(gateway: &Gateway, arguments: &[&str]) -> Child {
    let address =
        gateway.endpoint().strip_prefix("https://").unwrap().strip_suffix("/mcp").unwrap().to_owned();
    Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &address,
            "-servername",
            "localhost",
            "-quiet",
            "-ign_eof",
            "-verify_return_error",
        ])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Sends a request and returns what was answered, and what OpenSSL said.
fn finish(mut client: Child, request: &str) -> (String, String) {
    // Whoever was refused in the handshake has closed its input already.
    let _ = client.stdin.take().unwrap().write_all(request.as_bytes());
    let output = client.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

pub(crate) fn settings(server: &Path, further: &str) -> String {
    let key = server.with_extension("key");
    format!("[gateway.tls]\ncertificate = {server:?}\nkey = {key:?}\n{further}\n")
}

/// The reasons for which requests were turned away, as they stand in the records of an installation that has stopped.
fn reasons(home: &Home) -> Vec<String> {
    let lines = tail(&home.root().join("data/records"), 10_000).unwrap();
    let records = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let reasons = records.filter(|record| record["kind"] == "turned-away");
    reasons
        .flat_map(|record| record["reasons"].as_array().unwrap().clone())
        .map(|reason| reason.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn https_is_spoken_and_a_renewed_certificate_is_taken_over_while_connections_go_on() {
    let home = Home::new();
    let authority = Authority::new(&home, "ca");
    let server = authority.make("server", ("server", "30"));
    home.write("cm/casemate.toml", &settings(&server, ""));
    let gateway = Gateway::start(&home);
    let trust = authority.0.join("ca.pem");
    let trust = ["-CAfile", trust.to_str().unwrap()];
    let (answer, said) = finish(client(&gateway, &trust), ASK);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}{said}");
    assert!(answer.contains("strict-transport-security: max-age=63072000\r\n"), "{answer}");
    assert!(
        finish(client(&gateway, &[&trust[..], &["-tls1_2"]].concat()), ASK).0.starts_with("HTTP/1.1 200")
    );
    let (answer, _) = finish(client(&gateway, &trust), MCP);
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");

    // Plain HTTP and a protocol of the past get nothing.
    let address = gateway.endpoint().strip_prefix("https://").unwrap().strip_suffix("/mcp").unwrap();
    let mut plain = std::net::TcpStream::connect(address).unwrap();
    plain.write_all(ASK.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut plain, &mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let (answer, _) =
        finish(client(&gateway, &[&trust[..], &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]].concat()), ASK);
    assert!(answer.is_empty(), "{answer}");

    // One connection is open while the certificate is renewed.
    let mut open = client(&gateway, &trust);
    open.stdin.as_mut().unwrap().write_all(ASK.replace("close", "keep-alive").as_bytes()).unwrap();
    let mut first = vec![0; 12];
    std::io::Read::read_exact(open.stdout.as_mut().unwrap(), &mut first).unwrap();
    assert_eq!(first, b"HTTP/1.1 200");
    let other = Authority::new(&home, "other");
    let renewed = other.make("server", ("server", "30"));
    std::fs::copy(&renewed, &server).unwrap();
    std::fs::copy(renewed.with_extension("key"), server.with_extension("key")).unwrap();
    gateway.signal(Signal::HUP);
    let trust = other.0.join("ca.pem");
    let trust = ["-CAfile", trust.to_str().unwrap()];
    let taken_over = (0..500).any(|_| {
        // Nobody tells when a signal was followed.
        std::thread::sleep(std::time::Duration::from_millis(10));
        finish(client(&gateway, &trust), ASK).0.starts_with("HTTP/1.1 200")
    });
    assert!(taken_over, "{}", home.read("up.log"));
    let (answer, said) = finish(open, ASK);
    assert!(answer.contains("HTTP/1.1 200"), "the open connection goes on: {answer}{said}");

    home.run(&["down"]).ok();
    let reasons = reasons(&home);
    assert!(reasons.iter().any(|reason| reason.starts_with("CM1007: ")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.starts_with("CM1101: ")), "{reasons:?}");
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let home = Home::new();
    let server = Authority::new(&home, "ca").make("server", ("server", "30"));
    std::fs::set_permissions(server.with_extension("key"), Permissions::from_mode(0o644)).unwrap();
    home.write("cm/casemate.toml", &settings(&server, ""));
    let ended = home.run(&["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(ended.code, Some(3), "{}", ended.shown());
    assert!(ended.stderr.contains("has mode 0644"), "{}", ended.shown());
    assert!(ended.stderr.contains("hint: chmod 600"), "{}", ended.shown());
}

#[test]
fn a_client_is_whom_its_certificate_stands_for_until_its_entry_is_gone() {
    let home = Home::new();
    let (own, foreign) = (Authority::new(&home, "ca"), Authority::new(&home, "foreign"));
    let server = own.make("server", ("server", "30"));
    let clients = own.0.join("ca.pem");
    let further = format!("client_ca = {clients:?}\nclient_certificates = \"required\"");
    let without = settings(&server, &further);
    let right = own.make("agent", ("client", "30"));
    let shown = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(&right)
        .output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    let fingerprint = shown.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    let entry = format!("[identity.certificates.agent]\nsha256 = \"{fingerprint}\"\nroles = [\"user\"]\n");
    home.write("cm/casemate.toml", &format!("{without}{entry}"));
    let gateway = Gateway::start(&home);
    let trust = ["-CAfile", clients.to_str().unwrap()];
    let ask = |certificate: Option<&Path>| {
        let Some(certificate) = certificate else { return finish(client(&gateway, &trust), MCP).0 };
        let key = certificate.with_extension("key");
        let shown = ["-cert", certificate.to_str().unwrap(), "-key", key.to_str().unwrap()];
        finish(client(&gateway, &[&trust[..], &shown].concat()), MCP).0
    };
    let answer = ask(Some(&right));
    assert!(answer.starts_with("HTTP/1.1 400"), "it is somebody, who sends no message: {answer}");
    let another = own.make("stranger", ("client", "30"));
    let answer = ask(Some(&another));
    assert!(answer.starts_with("HTTP/1.1 401"), "signed, and nobody's: {answer}");
    for (what, certificate) in [
        ("none", None),
        ("expired", Some(own.make("expired", ("client", "-1")))),
        ("of a foreign authority", Some(foreign.make("agent", ("client", "30")))),
        ("made for servers", Some(own.make("another", ("server", "30")))),
    ] {
        let answer = ask(certificate.as_deref());
        assert!(answer.is_empty(), "{what}: {answer}");
    }
    home.write("cm/casemate.toml", &without);
    let revoked = (0..500).any(|_| {
        // Nobody tells when a change of the file was followed.
        std::thread::sleep(std::time::Duration::from_millis(10));
        ask(Some(&right)).starts_with("HTTP/1.1 401")
    });
    assert!(revoked, "{}", home.read("up.log"));
    home.run(&["down"]).ok();
    let reasons = reasons(&home);
    assert!(reasons.contains(&"CM1007: 4".to_owned()), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.starts_with("CM1102: ")), "{reasons:?}");
}

#[test]
fn doctor_tells_what_stands_between_an_installation_and_production() {
    let home = Home::new();
    home.write("cm/casemate.toml", "[gateway.limits]\nsessions = 1000000\n[servers.a]\ncommand = \"/bin/true\"\nallow_unsandboxed = true\nenv.PLAIN = \"x\"\n");
    let found = home.run(&["doctor", "--production", "--json"]);
    assert_eq!(found.code, Some(1), "{}", found.shown());
    let lines: Vec<Value> = serde_json::from_str(&found.stdout).unwrap();
    let verdicts = |what: &str| -> Vec<String> {
        let of = lines.iter().filter(|line| line["what"] == what);
        of.map(|line| format!("{}: {}", line["verdict"].as_str().unwrap(), line["detail"].as_str().unwrap()))
            .collect()
    };
    for (what, says) in [
        ("https", "wrong: gateway.public_url is not set"),
        ("answers", "wrong: no gateway runs"),
        ("cell", "wrong: a: runs without a cell"),
        ("literals", "note: written out in the configuration: servers.a.env.PLAIN"),
        ("limits", "wrong: raised as far as they go, which protects from nothing: gateway.limits.sessions"),
        ("backups", "note: "),
    ] {
        assert!(verdicts(what).iter().any(|line| line.starts_with(says)), "{what}: {:?}", verdicts(what));
    }
    home.run(&["doctor"]).ok();
}

#[test]
fn doctor_finds_nothing_wrong_with_a_gateway_that_is_set_up_for_production() {
    let home = Home::new();
    let authority = Authority::new(&home, "ca");
    let server = authority.make("server", ("server", "90"));
    let path = home.write(
        "cm/casemate.toml",
        &format!(
            "[gateway]\npublic_url = \"https://mcp.example.com\"\n{}[servers.system]\nbuiltin = \"system\"\n",
            settings(&server, "")
        ),
    );
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    let gateway = Gateway::start(&home);
    std::fs::remove_file(gateway.ready["key_file"].as_str().unwrap()).unwrap();
    let look = |authority: &Authority| {
        let mut doctor = home.command(&["doctor", "--production"]);
        home.ended(&doctor.env("SSL_CERT_FILE", authority.0.join("ca.pem")).output().unwrap())
    };
    let stranger = look(&Authority::new(&home, "stranger"));
    assert!(stranger.stdout.contains("no authority that this system trusts vouches"), "{}", stranger.shown());
    let found = look(&authority);
    for line in [
        "certificate: is for mcp.example.com, and an authority that this system trusts vouches for it",
        "https: https://mcp.example.com: TLS ends here, and plaintext is refused",
        "headers: answers and refusals have all security headers",
        "hsts: browsers are told to use HTTPS for two years",
        "identity: nothing is served without a credential",
        "hosts: other names are refused",
        "cors: pages that are not listed get nothing",
        "plaintext: gets no answer",
        "cell: system: a full cell",
    ] {
        assert!(found.stdout.contains(&format!("ok    {line}")), "{line}: {}", found.shown());
    }
    let wrong: Vec<&str> = found.stdout.lines().filter(|line| line.starts_with("wrong")).collect();
    // What this machine lacks is no fault of the installation.
    let wrong: Vec<&&str> =
        wrong.iter().filter(|line| !line.contains("MiB free") && !line.contains("cells: ")).collect();
    assert!(wrong.is_empty(), "{}", found.shown());
}
