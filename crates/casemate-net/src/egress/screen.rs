//! What a client says first, held back until it is clear that it may be said.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use crate::attempt::Reason;
use crate::hello::{self, HELLO_BYTES_MAX, Hello, Opening};
use crate::name::Name;

/// How long the rest of a handshake's first message may take.
const HELLO_TIME_MAX: Duration = Duration::from_secs(10);

/// What a client says first. As long as it may become a TLS handshake for another server than the one that was dialed,
/// nothing of it goes on, however late and in however small pieces it comes.
#[derive(Debug)]
pub(super) struct Screen {
    /// The name that a handshake has to ask for. Whoever dials an address has named nothing.
    name: Option<Name>,
    held: Vec<u8>,
    is_over: bool,
}

impl Screen {
    /// One that has heard nothing yet.
    pub(super) fn new(name: Option<Name>) -> Screen {
        Screen { name, held: Vec::new(), is_over: false }
    }

    /// Waits for the first bytes. When this is given up, nothing is lost.
    pub(super) async fn listen(&mut self, client: &mut (impl AsyncRead + Unpin)) {
        if self.name.is_some() && self.held.is_empty() {
            self.read(client).await;
        }
    }

    /// Waits until it is clear that everything held so far may go on.
    pub(super) async fn clear(&mut self, client: &mut (impl AsyncRead + Unpin)) -> Result<(), Reason> {
        self.listen(client).await;
        let judged = async {
            while !self.is_clear()? {
                self.read(client).await;
            }
            Ok(())
        };
        timeout(HELLO_TIME_MAX, judged).await.unwrap_or(Err(Reason::Handshake))
    }

    /// What was held back.
    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    async fn read(&mut self, client: &mut (impl AsyncRead + Unpin)) {
        let room = HELLO_BYTES_MAX.saturating_sub(self.held.len());
        let read = client.take(room as u64).read_buf(&mut self.held).await;
        // That a client has broken off is seen again where it is read on.
        self.is_over = !read.is_ok_and(|length| length > 0);
    }

    fn is_clear(&self) -> Result<bool, Reason> {
        let Some(name) = &self.name else { return Ok(true) };
        match hello::read(&self.held) {
            Opening::Foreign => Ok(true),
            Opening::Hello(hello) => asks_for(hello, name).map(|()| true),
            // Who says nothing at all asks for nobody else.
            Opening::Partial if self.is_over && self.held.is_empty() => Ok(true),
            Opening::Partial if !self.is_over => Ok(false),
            Opening::Partial | Opening::Malformed => Err(Reason::Handshake),
        }
    }
}

/// Whether a handshake asks for that server, and lets it be seen.
fn asks_for(hello: Hello, name: &Name) -> Result<(), Reason> {
    match hello {
        Hello { is_encrypted: true, .. } => Err(Reason::ServerNameEncrypted),
        Hello { server_name: None, .. } => Err(Reason::ServerNameMissing),
        Hello { server_name: Some(asked), .. } if name.is_spelled(&asked) => Ok(()),
        Hello { server_name: Some(asked), .. } => {
            let asked = asked.escape_ascii().to_string().to_ascii_lowercase();
            Err(Reason::ServerNameDiffers { asked: asked.chars().take(ASKED_CHARS_MAX).collect() })
        }
    }
}

/// How much of a name that differs is told. Host names have at most 253.
const ASKED_CHARS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::time::Instant;

    use super::*;

    fn screen() -> Screen {
        Screen::new(Name::parse("a.example").ok())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_handshake_goes_on_at_once() {
        let (mut client, mut end) = tokio::io::duplex(64);
        client.write_all(b"GET / HTTP/1.1").await.expect("room");
        let mut screen = screen();
        assert_eq!(screen.clear(&mut end).await, Ok(()));
        assert_eq!(screen.held(), b"GET / HTTP/1.1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_handshake_is_given_up() {
        let (mut client, mut end) = tokio::io::duplex(64);
        let begun = Instant::now();
        let trickle = async {
            for byte in [22, 3, 1, 2, 0, 1].into_iter().chain([0; 600]) {
                client.write_all(&[byte]).await.expect("room");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let mut screen = screen();
        tokio::select! {
            () = trickle => panic!("it was waited for to the end"),
            cleared = screen.clear(&mut end) => assert_eq!(cleared, Err(Reason::Handshake)),
        }
        assert_eq!(begun.elapsed(), HELLO_TIME_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_handshake_is_none() {
        let (mut client, mut end) = tokio::io::duplex(64);
        client.write_all(&[22, 3, 1, 2, 0, 1]).await.expect("room");
        drop(client);
        assert_eq!(screen().clear(&mut end).await, Err(Reason::Handshake));
    }

    #[tokio::test(start_paused = true)]
    async fn one_byte_does_not_tell_yet() {
        let (mut client, mut end) = tokio::io::duplex(64);
        client.write_all(&[22]).await.expect("room");
        let mut screen = screen();
        screen.listen(&mut end).await;
        assert_eq!(screen.is_clear(), Ok(false));
        client.write_all(&[9]).await.expect("room");
        assert_eq!(screen.clear(&mut end).await, Ok(()));
        assert_eq!(screen.held(), [22, 9]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_more_is_held_than_a_handshake_can_have() {
        let (mut client, mut end) = tokio::io::duplex(1 << 20);
        let endless = [&[22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xff], vec![0; 100_000].as_slice()].concat();
        client.write_all(&endless).await.expect("room");
        let mut screen = screen();
        assert_eq!(screen.clear(&mut end).await, Err(Reason::Handshake));
        assert!(screen.held().len() <= HELLO_BYTES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_dials_an_address_is_not_listened_to() {
        let (_client, mut end) = tokio::io::duplex(64);
        let mut screen = Screen::new(None);
        screen.listen(&mut end).await;
        assert_eq!(screen.clear(&mut end).await, Ok(()));
    }
}
