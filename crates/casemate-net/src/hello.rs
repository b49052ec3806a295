//! The first message of a TLS connection, in which the client says whom it wants to talk to (RFC 8446 section 4.1.2).

/// How large a first message may be, in bytes, with the records around it. Those of browsers with their post-quantum keys
/// have about 2,000.
pub(crate) const HELLO_BYTES_MAX: usize = 16 * 1024;

/// Into how many records it may be split. Honest clients use one or two.
const RECORDS_MAX: usize = 64;

/// The longest fragment that a record carries (RFC 8446 section 5.1).
const FRAGMENT_BYTES_MAX: usize = 1 << 14;

const HANDSHAKE_RECORD: u8 = 22;
const VERSION_MAJOR: u8 = 3;
const CLIENT_HELLO: u8 = 1;

/// RFC 6066 section 3.
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// Encrypted Client Hello (RFC 9849 section 5), and the draft before it, which was deployed.
const ENCRYPTED: [u16; 2] = [0xfe0d, 0xffce];

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Cannot be told yet.
    Partial,
    /// No TLS.
    Foreign,
    /// A client's first message of TLS, whole.
    Hello(Hello),
    /// It begins as TLS does, and goes on as it never does.
    Malformed,
}

/// What a client's first message says about the server that it is for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Hello {
    /// The name of the server, as it was written.
    pub(crate) server_name: Option<Vec<u8>>,
    /// The name stands elsewhere, encrypted.
    pub(crate) is_encrypted: bool,
}

/// Reads what a connection begins with. Told more and more of it until it is no longer [`Opening::Partial`].
pub(crate) fn read(bytes: &[u8]) -> Opening {
    match *bytes {
        [] | [HANDSHAKE_RECORD] => Opening::Partial,
        [HANDSHAKE_RECORD, VERSION_MAJOR, ..] => match message(bytes) {
            Ok(message) => hello(&message).map_or(Opening::Malformed, Opening::Hello),
            Err(Halt::Partial) if bytes.len() < HELLO_BYTES_MAX => Opening::Partial,
            Err(_) => Opening::Malformed,
        },
        _ => Opening::Foreign,
    }
}

/// Why there is no message.
enum Halt {
    Partial,
    Malformed,
}

/// The body of the first handshake message, put together from the records that carry it.
fn message(mut bytes: &[u8]) -> Result<Vec<u8>, Halt> {
    let mut carried = Vec::new();
    for _ in 0..RECORDS_MAX {
        let fragment = record(&mut bytes)?;
        carried.extend_from_slice(fragment);
        let mut fields = Fields(&carried);
        let Some(kind) = fields.number::<1>() else { return Err(Halt::Malformed) };
        if kind != u32::from(CLIENT_HELLO) {
            return Err(Halt::Malformed);
        }
        let Some(length) = fields.number::<3>() else { continue };
        if length as usize > HELLO_BYTES_MAX {
            return Err(Halt::Malformed);
        }
        if let Some(body) = fields.take(length as usize) {
            // What follows in the same record would be a second message, before the server has answered the first.
            return if fields.is_empty() { Ok(body.to_vec()) } else { Err(Halt::Malformed) };
        }
    }
    Err(Halt::Malformed)
}

/// The fragment that the next record carries; as much of it as is there may tell already that it is none.
fn record<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Halt> {
    let mut fields = Fields(bytes);
    match fields.number::<1>() {
        None => return Err(Halt::Partial),
        Some(kind) if kind != u32::from(HANDSHAKE_RECORD) => return Err(Halt::Malformed),
        Some(_) => {}
    }
    match fields.number::<2>() {
        None => return Err(Halt::Partial),
        Some(version) if version >> 8 != u32::from(VERSION_MAJOR) => return Err(Halt::Malformed),
        Some(_) => {}
    }
    let length = fields.number::<2>().ok_or(Halt::Partial)? as usize;
    // An empty fragment of a handshake is forbidden.
    if length == 0 || length > FRAGMENT_BYTES_MAX {
        return Err(Halt::Malformed);
    }
    let fragment = fields.take(length).ok_or(Halt::Partial)?;
    *bytes = fields.0;
    Ok(fragment)
}

/// A whole message; none where its lengths do not fit into one another, or something stands there twice.
fn hello(message: &[u8]) -> Option<Hello> {
    let mut fields = Fields(message);
    fields.take(2 + 32)?;
    let session = fields.vector::<1>()?;
    let suites = fields.vector::<2>()?;
    let compressions = fields.vector::<1>()?;
    if session.0.len() > 32 || suites.is_empty() || suites.0.len() % 2 != 0 || compressions.is_empty() {
        return None;
    }
    let mut hello = Hello::default();
    if fields.is_empty() {
        // Before there were extensions (RFC 5246 section 7.4.1.2).
        return Some(hello);
    }
    let mut extensions = fields.vector::<2>()?;
    if !fields.is_empty() {
        return None;
    }
    let mut seen = Vec::new();
    while !extensions.is_empty() {
        let kind = extensions.number::<2>()? as u16;
        let content = extensions.vector::<2>()?;
        if seen.contains(&kind) {
            return None;
        }
        seen.push(kind);
        if kind == SERVER_NAME {
            hello.server_name = Some(server_name(content)?);
        }
        hello.is_encrypted |= ENCRYPTED.contains(&kind);
    }
    Some(hello)
}

/// The one host name of the extension. A list with several was never of use (RFC 6066 section 3).
fn server_name(mut content: Fields<'_>) -> Option<Vec<u8>> {
    let mut list = content.vector::<2>()?;
    let kind = list.number::<1>()?;
    let name = list.vector::<2>()?;
    let is_whole = content.is_empty() && list.is_empty();
    (is_whole && kind == u32::from(HOST_NAME) && !name.is_empty()).then(|| name.0.to_vec())
}

/// What has not been read yet.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes, at most four, the first of them the highest.
    fn number<const BYTES: usize>(&mut self) -> Option<u32> {
        let bytes = self.take(BYTES)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    /// Bytes that follow their own number, which has so many bytes itself.
    fn vector<const BYTES: usize>(&mut self) -> Option<Fields<'a>> {
        let length = self.number::<BYTES>()? as usize;
        self.take(length).map(Fields)
    }
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
