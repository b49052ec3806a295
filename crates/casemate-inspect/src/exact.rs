//! The secrets that we hand out ourselves, in the forms in which they travel.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::needles::{Case, Needle};

/// Shortest secret that is masked, in bytes. A shorter one stands in ordinary text by chance.
pub const SECRET_BYTES_MIN: usize = 8;

/// Longest that is looked for in all its forms, in bytes; longer ones in their lines.
const SECRET_BYTES_MAX: usize = 64 << 10;

/// Shortest line of a secret with several that is looked for by itself, in bytes.
const LINE_BYTES_MIN: usize = 24;

/// A value that a server is given and nobody else may see.
#[derive(Clone)]
pub struct Secret {
    value: String,
    /// Whose decoy it is, when it is one.
    decoy: Option<Arc<str>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// A secret; `None` when it is too short to be told from other text.
    #[must_use]
    pub fn new(value: &str) -> Option<Secret> {
        (SECRET_BYTES_MIN..=SECRET_BYTES_MAX)
            .contains(&value.len())
            .then(|| Secret { value: value.to_owned(), decoy: None })
    }

    /// A value that was planted in a server's cell: masked like any other, and told of where it is found.
    #[must_use]
    pub fn planted(value: &str, server: &str) -> Option<Secret> {
        Some(Secret { decoy: Some(server.into()), ..Secret::new(value)? })
    }
}

/// How a secret is covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cover {
    /// By a note in brackets.
    Note,
    /// By characters of the same alphabet, so that what it is a part of can still be decoded; with so many characters
    /// before and behind it that hold some of its bits.
    Base64 { before: u8, behind: u8 },
    /// By zeros.
    Hex,
}

/// A form of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Form {
    /// How it is covered.
    pub(crate) cover: Cover,
    /// Whose decoy it is, by number.
    pub(crate) decoy: Option<u16>,
}

/// All forms of all secrets, and whose decoys there are among them.
pub(crate) fn needles(secrets: &[Secret]) -> (Vec<Needle<Form>>, Vec<Arc<str>>) {
    let mut owners: Vec<Arc<str>> = Vec::new();
    let mut values: BTreeMap<String, Option<u16>> = BTreeMap::new();
    for secret in secrets {
        let number = secret.decoy.as_ref().map(|owner| number(&mut owners, owner));
        values.extend(parts(&secret.value).into_iter().map(|part| (part, number)));
    }
    let mut forms = Forms::default();
    for (value, decoy) in &values {
        forms.decoy = *decoy;
        forms.add(value);
    }
    (forms.needles, owners)
}

/// The number of an owner; those beyond what can be counted share the last one.
fn number(owners: &mut Vec<Arc<str>>, owner: &Arc<str>) -> u16 {
    let known = owners.iter().position(|known| known == owner);
    let at = known.unwrap_or_else(|| {
        owners.push(Arc::clone(owner));
        owners.len() - 1
    });
    u16::try_from(at).unwrap_or(u16::MAX)
}

/// The values that were planted, each with whose it is, as they look in a name of DNS: of one case, without what no name
/// has.
pub(crate) fn spelled(secrets: &[Secret]) -> Vec<(String, Arc<str>)> {
    let of = |secret: &Secret| {
        let owner = secret.decoy.clone()?;
        let forms = parts(&secret.value).into_iter().flat_map(|part| {
            let hex = part.bytes().map(|byte| format!("{byte:02x}")).collect();
            [plain(&part), hex]
        });
        Some(forms.map(|form| (form, Arc::clone(&owner))).collect::<Vec<_>>())
    };
    secrets.iter().filter_map(of).flatten().collect()
}

/// A text of one case, without what is no letter and no digit.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// The value itself and what is secret by itself within it.
fn parts(value: &str) -> Vec<String> {
    let mut parts = vec![value.to_owned()];
    // The value of a header is a scheme and a credential.
    if let Some((scheme, credential)) = value.split_once(' ')
        && scheme.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !credential.contains(' ')
    {
        parts.push(credential.to_owned());
        let decoded = STANDARD.decode(credential).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some((_, password)) = decoded.as_deref().and_then(|pair| pair.split_once(':')) {
            parts.push(password.to_owned());
        }
    }
    if let Some(password) = password(value) {
        parts.push(password.to_owned());
    }
    // A key of many lines may be shown line by line.
    let is_key_line = |line: &&str| {
        line.len() >= LINE_BYTES_MIN
            && line.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
    };
    if value.contains('\n') {
        parts.extend(value.lines().map(str::trim).filter(is_key_line).map(ToOwned::to_owned));
    }
    parts.retain(|part| part.len() >= SECRET_BYTES_MIN);
    parts
}

/// The password of `scheme://user:password@host`.
fn password(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password)
}

#[derive(Default)]
struct Forms {
    known: BTreeSet<Vec<u8>>,
    needles: Vec<Needle<Form>>,
    /// Whose decoy is added.
    decoy: Option<u16>,
}

impl Forms {
    fn add(&mut self, value: &str) {
        self.put(value.as_bytes(), Case::Exact, Cover::Note);
        self.json(value);
        self.url(value);
        self.base64(value.as_bytes());
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.put(hex.as_bytes(), Case::Ignored, Cover::Hex);
    }

    fn put(&mut self, bytes: &[u8], case: Case, cover: Cover) {
        if self.known.insert(bytes.to_vec()) {
            self.needles.push(Needle::new(bytes, case, Form { cover, decoy: self.decoy }));
        }
    }

    /// As it stands in JSON, and in JSON within JSON.
    fn json(&mut self, value: &str) {
        let once = escaped(value);
        let slashed = once.replace('/', "\\/");
        let ascii: String = once.chars().map(ascii_only).collect();
        for form in [once, slashed, ascii] {
            let twice = escaped(&form);
            self.put(form.as_bytes(), Case::Exact, Cover::Note);
            self.put(twice.as_bytes(), Case::Exact, Cover::Note);
        }
    }

    /// As the programs of this world encode it for addresses and forms.
    fn url(&mut self, value: &str) {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        let component = |byte: u8| unreserved(byte) || matches!(byte, b'!' | b'\'' | b'(' | b')' | b'*');
        let whole = |byte: u8| component(byte) || b";,/?:@&=+$#".contains(&byte);
        let path = |byte: u8| unreserved(byte) || byte == b'/';
        let keeps: [&dyn Fn(u8) -> bool; 5] = [&unreserved, &component, &whole, &path, &|_| false];
        for keep in keeps {
            for digits in ["0123456789ABCDEF", "0123456789abcdef"] {
                let form = percent(value, keep, digits);
                self.put(form.replace("%20", "+").as_bytes(), Case::Exact, Cover::Note);
                self.put(form.as_bytes(), Case::Exact, Cover::Note);
            }
        }
    }

    /// In base64, as far as the characters depend on nothing but the secret, for each of the three ways in which it can
    /// stand to the groups of three bytes. Padding comes after that.
    fn base64(&mut self, value: &[u8]) {
        for alignment in 0..3 {
            let padded = [vec![0; alignment].as_slice(), value].concat();
            let (start_bit, end_bit) = (8 * alignment, 8 * padded.len());
            let span = start_bit.div_ceil(6)..end_bit / 6;
            let cover = Cover::Base64 {
                before: u8::from(!start_bit.is_multiple_of(6)),
                behind: u8::from(!end_bit.is_multiple_of(6)),
            };
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let text = engine.encode(&padded);
                let form = text.get(span.clone()).unwrap_or_default();
                self.put(form.as_bytes(), Case::Exact, cover);
            }
        }
    }
}

fn escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

fn ascii_only(c: char) -> String {
    if c.is_ascii() {
        return c.to_string();
    }
    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

fn percent(value: &str, keep: &dyn Fn(u8) -> bool, digits: &str) -> String {
    let digit = |nibble: u8| digits.as_bytes().get(usize::from(nibble)).copied().map_or('0', char::from);
    let mut out = String::with_capacity(value.len() * 3);
    for byte in value.bytes() {
        if keep(byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}
