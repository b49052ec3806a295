//! A registry of npm and PyPI that serves what a test tells it to, lies included.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};

use crate::archive::Archive;
use crate::wheel::Wheel;

/// Listens on a port of the loopback, for as long as the process lives.
#[derive(Clone)]
pub(crate) struct Registry {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Packages with their versions.
    packages: HashMap<String, serde_json::Map<String, Value>>,
    files: HashMap<String, Vec<u8>>,
    /// Files of Python packages, by name, with their digests.
    simple: HashMap<String, BTreeMap<String, String>>,
    /// What was asked for, in order.
    asked: Vec<String>,
    /// Whether files are held back.
    stalled: bool,
}

impl Registry {
    pub(crate) fn start() -> Registry {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let registry = Registry { port: listener.local_addr().unwrap().port(), shared: Arc::default() };
        let served = registry.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let served = served.clone();
                // A client that goes away is none of our business.
                std::thread::spawn(move || served.serve(stream.unwrap()));
            }
        });
        registry
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Publishes a version. `more` goes into its manifest, in the archive's `package.json` and in the index.
    pub(crate) fn publish(&self, (name, version): (&str, &str), more: Value, files: &[(&str, &str)]) {
        let mut manifest = json!({"name": name, "version": version});
        manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let text = manifest.to_string();
        let files: Vec<(&str, &str)> =
            std::iter::once(("package.json", text.as_str())).chain(files.iter().copied()).collect();
        self.publish_archive((name, version), manifest, &Archive::npm(&files));
    }

    /// Publishes an archive as it is.
    pub(crate) fn publish_archive(
        &self,
        (name, version): (&str, &str),
        mut manifest: Value,
        archive: &Archive,
    ) {
        let bytes = archive.bytes();
        let path = format!("{name}/-/{version}.tgz");
        let integrity = format!("sha512-{}", STANDARD.encode(Sha512::digest(&bytes)));
        manifest["dist"] = json!({"tarball": format!("{}{path}", self.url()), "integrity": integrity});
        if manifest["scripts"].as_object().is_some_and(|scripts| scripts.contains_key("postinstall")) {
            manifest["hasInstallScript"] = true.into();
        }
        let mut state = self.shared.state.lock().unwrap();
        state.packages.entry(name.to_owned()).or_default().insert(version.to_owned(), manifest);
        state.files.insert(format!("/{path}"), bytes);
    }

    /// Serves another archive than the index promises.
    pub(crate) fn swap(&self, name: &str, version: &str, archive: &Archive) {
        self.shared.state.lock().unwrap().files.insert(format!("/{name}/-/{version}.tgz"), archive.bytes());
    }

    /// Publishes a wheel, or another one in its place.
    pub(crate) fn publish_wheel(&self, wheel: &Wheel) {
        self.publish_file(&wheel.name, wheel.file_name(), wheel.bytes());
    }

    /// Publishes a version that has to be built.
    pub(crate) fn publish_source(&self, name: &str, version: &str) {
        self.publish_file(name, format!("{name}-{version}.tar.gz"), b"never looked at".to_vec());
    }

    /// Serves another wheel than the index promises.
    pub(crate) fn swap_wheel(&self, wheel: &Wheel) {
        let path = format!("/files/{}", wheel.file_name());
        self.shared.state.lock().unwrap().files.insert(path, wheel.bytes());
    }

    fn publish_file(&self, name: &str, file: String, bytes: Vec<u8>) {
        let mut state = self.shared.state.lock().unwrap();
        let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        state.files.insert(format!("/files/{file}"), bytes);
        state.simple.entry(name.replace('_', "-")).or_default().insert(file, digest);
    }

    /// How often something whose path contains a word was asked for.
    pub(crate) fn asked(&self, word: &str) -> usize {
        self.shared.state.lock().unwrap().asked.iter().filter(|path| path.contains(word)).count()
    }

    /// Holds files back, or lets them go.
    pub(crate) fn stall(&self, stalled: bool) {
        self.shared.state.lock().unwrap().stalled = stalled;
        self.shared.changed.notify_all();
    }

    /// Waits until something whose path contains a word was asked for.
    pub(crate) fn wait_for(&self, word: &str) {
        let state = self.shared.state.lock().unwrap();
        let seen = |state: &mut State| !state.asked.iter().any(|path| path.contains(word));
        drop(self.shared.changed.wait_while(state, seen).unwrap());
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            while reader.read_line(&mut line).unwrap_or(0) > 2 {}
            let (status, body) = self.answer(&path);
            let kind = if path.starts_with("/simple/") { "text/html" } else { "application/json" };
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
                return;
            }
        }
    }

    fn answer(&self, path: &str) -> (&'static str, Vec<u8>) {
        let mut state = self.shared.state.lock().unwrap();
        state.asked.push(path.to_owned());
        self.shared.changed.notify_all();
        if let Some(bytes) = state.files.get(path).cloned() {
            drop(self.shared.changed.wait_while(state, |state| state.stalled).unwrap());
            return ("200 OK", bytes);
        }
        if let Some(name) = path.strip_prefix("/simple/") {
            let Some(files) = state.simple.get(name.trim_end_matches('/')) else {
                return ("404 Not Found", Vec::new());
            };
            let row = |(file, digest): (&String, &String)| {
                format!("<a href=\"/files/{file}#sha256={digest}\">{file}</a>\n")
            };
            let rows: String = files.iter().map(row).collect();
            return ("200 OK", format!("<!DOCTYPE html><html><body>{rows}</body></html>").into_bytes());
        }
        let name = path.trim_start_matches('/').replace("%2f", "/");
        match state.packages.get(&name) {
            None => ("404 Not Found", b"{}".to_vec()),
            Some(versions) => {
                let latest = versions.keys().next_back().unwrap();
                let index = json!({"name": name, "dist-tags": {"latest": latest}, "versions": versions});
                ("200 OK", index.to_string().into_bytes())
            }
        }
    }
}
