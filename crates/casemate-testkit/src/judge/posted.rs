//! A judge that is asked by posts. It keeps connections open, as servers do, on threads of its own.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::Judge;

/// Bytes of one answer that floods: more than any limit of the gateway.
const FLOOD_BYTES: usize = 100 << 20;

/// A judge that is there. Its threads end with their connections.
#[derive(Debug)]
pub struct Posted {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
}

/// One question as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The head: request line and headers.
    pub head: String,
    /// The body.
    pub body: Value,
}

impl Posted {
    /// Where it is asked.
    pub fn url(&self) -> String {
        format!("http://{}/judge", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that it was asked.
    pub fn seen(&self) -> Vec<Asked> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Listens on a free port of this machine.
///
/// # Errors
/// There is none.
pub fn post(judge: Judge) -> io::Result<Posted> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let posted =
        Posted { address: listener.local_addr()?, seen: Arc::default(), connections: Arc::default() };
    let (seen, connections) = (Arc::clone(&posted.seen), Arc::clone(&posted.connections));
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            connections.fetch_add(1, Ordering::SeqCst);
            let seen = Arc::clone(&seen);
            // Whoever asks may go away at any time.
            std::thread::spawn(move || drop(serve(&stream, judge, &seen)));
        }
    });
    Ok(posted)
}

fn serve(mut stream: &TcpStream, judge: Judge, seen: &Mutex<Vec<Asked>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader)? {
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
        let body = match judge {
            Judge::Dies => return stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"val"),
            Judge::Hangs => {
                // Until whoever asks has had enough.
                io::copy(&mut reader, &mut io::sink())?;
                return Ok(());
            }
            Judge::Redirects => {
                stream.write_all(
                    b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://169.254.169.254/latest/\r\ncontent-length: 0\r\n\r\n",
                )?;
                continue;
            }
            Judge::Errs => {
                stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n")?;
                continue;
            }
            Judge::Floods => format!("{{\"valid\":true,\"info\":\"{}\"}}", "x".repeat(FLOOD_BYTES)),
            Judge::Babbles => "yes, of course".to_owned(),
            judge => judge.verdict(&asked.body).to_string(),
        };
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
    }
    Ok(())
}

/// The next request; none when the other side is gone.
fn read(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Asked>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Some(Asked { head, body }))
}
