//! A fetch against servers that lie, and names that do.

mod addresses;
mod answers;
mod lines;
mod redirects;
mod secrets;
mod server;

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::*;
use crate::address::Class;
use crate::attempt::Reason;
use crate::resolver::Resolving;
use server::{Answer, Server};

/// Every name stands for one list of addresses after another, and for the last one from then on.
#[derive(Debug)]
struct Names {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
    names: Mutex<Vec<String>>,
}

impl Names {
    fn all_stand_for(answers: &[&str]) -> Arc<Names> {
        let answers = answers.iter().map(|text| vec![text.parse().expect("an address")]).collect();
        Arc::new(Names { answers, asked: AtomicUsize::new(0), names: Mutex::default() })
    }
}

impl Resolver for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
        self.names.lock().unwrap().push(name.to_owned());
        Box::pin(async move { Ok(self.answers[asked].clone()) })
    }
}

fn fetcher(names: Arc<Names>, server: &Server) -> Fetcher {
    Fetcher::new(names, Trust::and_pem(server.certificate().as_bytes()).expect("a certificate"))
}

/// A fetcher whose every name stands for this machine, where the server is.
fn at_home(server: &Server) -> Fetcher {
    fetcher(Names::all_stand_for(&["127.0.0.1"]), server)
}

/// This machine may be reached.
fn open() -> Terms {
    Terms { reachable: Reachable::public().and_loopback(), ..Terms::default() }
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("an address")
}

fn get(text: &str) -> Request {
    Request::get(url(text))
}
