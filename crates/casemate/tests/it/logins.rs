//! Logins at a remote server, from the command line: with a server, an authorization server and a browser of our own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::gateway::Gateway;
use crate::home::Home;

/// A server that wants a login, and its authorization server, in one.
struct Site {
    address: SocketAddr,
    /// The `Authorization` headers that the server saw.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Site {
    fn start() -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, address, &heard);
            }
        });
        Site { address, seen }
    }

    fn home(&self) -> Home {
        let home = Home::new();
        home.write("cm/casemate.toml", &format!("[servers.wiki]\nurl = \"http://{}/mcp\"\n", self.address));
        home
    }
}

fn answer(mut stream: TcpStream, address: SocketAddr, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let (mut length, mut token) = (0, String::new());
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap_or(0) == 0 || header == "\r\n" {
            break;
        }
        let header = header.trim().to_owned();
        let (name, value) = header.split_once(':').unwrap();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "authorization" => token = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let origin = format!("http://{address}");
    let (status, more, text) = match line.split(' ').nth(1).unwrap_or_default() {
        "/mcp" => {
            seen.lock().unwrap().push(token.clone());
            match token.as_str() {
                "Bearer the-token" => (200, "", discovered(&body)),
                _ => (401, "www-authenticate: Bearer scope=\"read\"\r\n", "{}".to_owned()),
            }
        }
        "/.well-known/oauth-authorization-server" => (200, "", json!({
            "issuer": origin, "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{origin}/token"), "registration_endpoint": format!("{origin}/register"),
            "code_challenge_methods_supported": ["S256"],
        }).to_string()),
        "/register" => (201, "", json!({ "client_id": "casemate" }).to_string()),
        "/token" => (200, "", json!({
            "access_token": "the-token", "token_type": "Bearer", "refresh_token": "the-refresh-token",
        }).to_string()),
        _ => (404, "", "{}".to_owned()),
    };
    let length = text.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\nconnection: close\r\n\r\n{text}"
    );
}

/// What a modern server with no tools answers.
fn discovered(body: &[u8]) -> String {
    let asked: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let result = match asked["method"].as_str() {
        Some("server/discover") => json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} },
            "serverInfo": { "name": "wiki", "version": "1" }, "ttlMs": 0, "cacheScope": "private",
        }),
        Some("tools/list") => json!({
            "resultType": "complete", "tools": [{ "name": "read", "inputSchema": { "type": "object" } }],
            "ttlMs": 0, "cacheScope": "private",
        }),
        _ => {
            let text = "a page, the-token and the-refresh-token";
            json!({ "resultType": "complete", "content": [{ "type": "text", "text": text }] })
        }
    };
    json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result }).to_string()
}

/// The address that a person is told to open.
struct Asked(String);

/// `casemate login` that waits for a person.
struct Waiting {
    child: Child,
    stdout: BufReader<ChildStdout>,
    asked: Asked,
}

impl std::ops::Deref for Waiting {
    type Target = Asked;

    fn deref(&self) -> &Asked {
        &self.asked
    }
}

impl Waiting {
    fn start(home: &Home) -> Waiting {
        let mut command = home.command(&["login", "wiki"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut url = String::new();
        stdout.read_line(&mut url).unwrap();
        if url.is_empty() {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("it printed no address: {said}");
        }
        Waiting { child, stdout, asked: Asked(url.trim().to_owned()) }
    }

    fn end(mut self) -> (bool, String) {
        let mut said = String::new();
        self.stdout.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().success(), said)
    }
}

impl Asked {
    /// A member of the address that is to be opened.
    fn member(&self, name: &str) -> String {
        let (_, query) = self.0.split_once('?').unwrap();
        let found = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        found.unwrap().replace("%3A", ":").replace("%2F", "/")
    }

    fn callback(&self) -> SocketAddr {
        let uri = self.member("redirect_uri");
        uri.strip_prefix("http://").unwrap().strip_suffix("/callback").unwrap().parse().unwrap()
    }

    /// Sends a request to where the answer is awaited, with these headers besides `Host`.
    fn visit(&self, query: &str, (host, headers): (&str, &str)) -> String {
        let mut stream = TcpStream::connect(self.callback()).unwrap();
        write!(stream, "GET /callback?{query} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        said
    }
}

#[test]
fn a_login_serves_calls_until_one_logs_out_and_its_token_is_nowhere_to_be_read() {
    let site = Site::start();
    let home = site.home();
    let _gateway = Gateway::start(&home);
    let refused = home.run(&["call", "wiki", "read"]).shown();
    assert!(refused.contains("CM1711") && refused.contains("casemate login wiki"), "{refused}");

    let waiting = Waiting::start(&home);
    assert!(waiting.0.starts_with(&format!("http://{}/authorize?response_type=code", site.address)));
    assert_eq!(
        (waiting.member("scope"), waiting.member("code_challenge_method")),
        ("read".into(), "S256".into())
    );
    let host = waiting.callback().to_string();
    let good = format!("code=abc&state={}", waiting.member("state"));
    let page = waiting.visit(&good, (&host, ""));
    assert!(page.contains("You are logged in"), "{page}");
    let (done, said) = waiting.end();
    assert!(done && said.contains("logged in"), "{said}");

    // What a server repeats of the tokens reaches nobody, not even the one that it never got.
    assert_eq!(home.run(&["call", "wiki", "read"]).ok(), "a page, [secret masked] and [secret masked]\n");
    let key = std::fs::read_to_string(home.root().join("data/first-api-key")).unwrap();
    let seen = site.seen.lock().unwrap().clone();
    assert!(seen.iter().all(|token| token.is_empty() || token == "Bearer the-token"), "{seen:?}");
    assert!(!seen.iter().any(|token| token.contains(key.trim())));
    for folder in ["data", "data/records"] {
        for file in std::fs::read_dir(home.root().join(folder)).unwrap().map(|file| file.unwrap().path()) {
            let text = if file.is_file() { std::fs::read(&file).unwrap() } else { Vec::new() };
            let holds = |word: &str| text.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!holds("the-token") && !holds("the-refresh-token"), "{}", file.display());
        }
    }
    assert!(!home.read("up.log").contains("the-token"));

    assert!(home.run(&["logout", "wiki"]).ok().contains("logged out"));
    assert!(home.run(&["call", "wiki", "read"]).shown().contains("CM1711"));
    assert!(home.run(&["logout", "wiki"]).ok().contains("was not logged in"));
    let acts: Vec<_> = home.acts().into_iter().filter(|(act, _)| act.contains("wiki")).collect();
    let subject = format!("for local:{}", rustix::process::geteuid().as_raw());
    assert_eq!(acts, [("login wiki".to_owned(), subject), ("logout wiki".to_owned(), String::new())]);
}

#[test]
fn a_hostile_page_neither_ends_a_login_nor_hears_of_it() {
    let site = Site::start();
    let home = site.home();
    let waiting = Waiting::start(&home);
    let host = waiting.callback().to_string();
    let state = waiting.member("state");
    let good = format!("code=abc&state={state}");
    // One that says nothing, and holds its connection.
    let _silent: Vec<_> = (0..8).map(|_| TcpStream::connect(waiting.callback()).unwrap()).collect();
    for (query, host, headers) in [
        ("", host.as_str(), ""),
        ("code=evil&state=guess", &host, ""),
        ("error=access_denied&state=guess", &host, ""),
        (&format!("code=evil&state={state}&state={state}"), &host, ""),
        (&good, "evil.example", ""),
        (&good, "localhost", ""),
        (&good, &host, "Sec-Fetch-Mode: no-cors\r\n"),
        (&good, &host, "Sec-Fetch-Mode: cors\r\n"),
        ("code=%3Cscript%3Ealert(1)%3C/script%3E&state=x", &host, ""),
    ] {
        let page = waiting.visit(query, (host, headers));
        assert!(page.starts_with("HTTP/1.1 4"), "{query}: {page}");
        assert!(!page.contains("evil") && !page.contains("script>") && !page.contains(&state), "{page}");
        assert!(page.contains("default-src 'none'") && page.contains("no-store"), "{page}");
    }
    assert!(waiting.visit(&good, (&host, "Sec-Fetch-Mode: navigate\r\n")).contains("You are logged in"));
    assert!(waiting.end().0);
    // It was used up, and nobody listens any more: a replay arrives nowhere.
    assert!(TcpStream::connect(host).is_err());
}

#[test]
fn who_cannot_log_in_is_told_why() {
    let home = Home::new();
    home.write(
        "cm/casemate.toml",
        "[servers.local]\ncommand = \"x\"\n[servers.own]\nurl = \"http://127.0.0.1:9/mcp\"\noauth = { grant = \"client_credentials\", client_id = \"a\" }\n",
    );
    let said = |arguments: &[&str]| home.run(arguments).shown();
    assert!(said(&["login", "nobody"]).contains("no server called nobody"));
    assert!(said(&["login", "local"]).contains("is not a remote server"));
    assert!(said(&["login", "own"]).contains("nobody logs in"));
}

#[test]
fn a_login_with_a_browser_elsewhere_is_for_who_pastes_the_line_that_the_gateway_shows() {
    let site = Site::start();
    let home = site.home();
    assert!(home.run(&["login", "wiki", "--paste"]).shown().contains("gateway.public_url"));
    let file = home.root().join("casemate.toml");
    let settings = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("[gateway]\npublic_url = \"https://mcp.example.com\"\n{settings}"))
        .unwrap();
    let gateway = Gateway::start(&home);
    let mut child = home
        .command(&["login", "wiki", "--paste"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut url = String::new();
    stdout.read_line(&mut url).unwrap();
    let query = url.trim().split_once('?').unwrap().1;
    let member =
        |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap();
    assert_eq!(member("redirect_uri"), "https%3A%2F%2Fmcp.example.com%2Foauth%2Fcallback");

    // The browser comes back from another site, and nobody but a person may.
    let answer = format!("code=abc&state={}", member("state"));
    let visit = |headers: &str| {
        let address = gateway.endpoint().strip_prefix("http://").unwrap().strip_suffix("/mcp").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let line = format!("GET /oauth/callback?{answer} HTTP/1.1\r\nHost: mcp.example.com\r\n");
        write!(stream, "{line}Sec-Fetch-Site: cross-site\r\n{headers}Connection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    };
    let page = visit("Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains(&answer), "{page}");
    assert!(page.contains("text/plain") && page.contains("default-src 'none'"), "{page}");
    for headers in ["", "Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n"] {
        let refused = visit(headers);
        assert!(refused.starts_with("HTTP/1.1 403") && !refused.contains("abc"), "{refused}");
    }

    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "code=evil&state=guess").unwrap();
    writeln!(stdin, "https://mcp.example.com/oauth/callback?{answer}").unwrap();
    drop(stdin);
    let ended = home.ended(&child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.shown());
    assert!(ended.stderr.contains("not the line of this login"), "{}", ended.shown());
    assert!(home.run(&["call", "wiki", "read"]).ok().contains("a page"));
}

/// Both ends of a terminal: ours and the program's.
fn terminal() -> (std::fs::File, std::fs::File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = std::fs::File::options().read(true).write(true).open(name).unwrap();
    (ours.into(), theirs)
}

#[test]
fn a_browser_is_opened_on_a_terminal_with_a_display_and_gets_the_address_and_none_of_our_variables() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::start();
    let home = site.home();
    let opened = home.path().join("opened");
    assert!(Command::new("mkfifo").arg(&opened).status().unwrap().success());
    let opener =
        home.write("bin/xdg-open", "#!/bin/sh\n{ printf '%s\\n' \"$#\" \"$1\"; env; } > \"$HOME/opened\"\n");
    std::fs::set_permissions(opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", home.path().join("bin").display());
    // Says whether a browser was asked for.
    let log_in = |further: &[&str], display: Option<&str>| {
        let (ours, theirs) = terminal();
        let mut command = home.command(&[&["login", "wiki"], further].concat());
        command.env("PATH", &path).env("CASEMATE_LOG", "info");
        command.envs(display.map(|display| ("DISPLAY", display)));
        command.stdout(theirs.try_clone().unwrap()).stderr(theirs);
        let mut child = command.spawn().unwrap();
        // Our copies of the program's end of the terminal: it ends with the program.
        drop(command);
        let mut lines = BufReader::new(ours).lines().map_while(Result::ok);
        let asked = Asked(lines.find(|line| line.contains("/authorize?")).unwrap().trim().to_owned());
        let said = std::thread::spawn(move || lines.collect::<Vec<_>>().join("\n"));
        let good = format!("code=abc&state={}", asked.member("state"));
        assert!(asked.visit(&good, (&asked.callback().to_string(), "")).contains("You are logged in"));
        assert!(child.wait().unwrap().success());
        (asked.0, said.join().unwrap().contains("A browser was asked to open it"))
    };
    assert!(!log_in(&[], None).1, "there is no display");
    assert!(!log_in(&["--no-browser"], Some(":7")).1);
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    // Whoever writes first is heard, and the login does not wait for it.
    std::thread::spawn(move || sender.send(std::fs::read_to_string(opened).unwrap()));
    let (url, asked) = log_in(&[], Some(":7"));
    assert!(asked);
    let said = receiver.recv_timeout(std::time::Duration::from_secs(120)).unwrap();
    assert!(said.starts_with(&format!("1\n{url}\n")), "{said}");
    assert!(said.contains("DISPLAY=:7") && !said.contains("CASEMATE_"), "{said}");
}
