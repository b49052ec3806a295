//! Honeytokens: values that look like credentials, open nothing, and are known to nobody but the server they were given to.
//!
//! Each is made from a seed of the installation and the server's name. So it is another one in every cell, and the same one
//! after a restart: what was stolen last week still raises the alarm today.

use sha2::{Digest, Sha256};

use crate::rules::crc32;

/// Bytes of a seed.
pub const SEED_BYTES: usize = 32;

const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A value to be planted.
#[derive(Clone, PartialEq, Eq)]
pub struct Decoy {
    /// The variable in which it lies. No library looks there, so nothing honest ever uses it.
    pub variable: &'static str,
    /// The value.
    pub value: String,
}

/// A decoy that can be read in a log is one no more.
impl std::fmt::Debug for Decoy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoy({})", self.variable)
    }
}

/// The decoys of one server.
#[must_use]
pub fn decoys(seed: &[u8; SEED_BYTES], server: &str) -> Vec<Decoy> {
    let bytes = |variable: &'static str| Stream::new(seed, (server, variable));
    let of = |variable: &'static str, value: fn(Stream) -> String| Decoy {
        variable,
        value: value(bytes(variable)),
    };
    vec![
        of("BACKUP_AWS_ACCESS_KEY_ID", |mut stream| format!("AKIA{}", stream.text(BASE32, 16))),
        of("BACKUP_AWS_SECRET_ACCESS_KEY", |mut stream| stream.text(BASE62, 40)),
        of("DEPLOY_GITHUB_TOKEN", |mut stream| {
            let body = stream.text(BASE62, 30);
            format!("ghp_{body}{}", sum(body.as_bytes()))
        }),
        of("BACKUP_DATABASE_URL", |mut stream| {
            format!("postgres://backup:{}@db-2.internal:5432/main", stream.text(BASE62, 24))
        }),
    ]
}

/// The checksum at the end of a GitHub token: CRC-32 in six digits of base 62.
fn sum(body: &[u8]) -> String {
    let mut rest = usize::try_from(crc32(body)).unwrap_or_default();
    let mut digits = Vec::with_capacity(6);
    for _ in 0..6 {
        digits.push(BASE62.get(rest % BASE62.len()).copied().map_or('0', char::from));
        rest /= BASE62.len();
    }
    digits.iter().rev().collect()
}

/// Bytes without end that follow from the seed and whom they are for.
struct Stream {
    key: [u8; 32],
    block: u64,
    left: Vec<u8>,
}

impl Stream {
    fn new(seed: &[u8; SEED_BYTES], (server, variable): (&str, &str)) -> Stream {
        // No server's name has a zero byte, and the seed has a fixed length: no two of these are one.
        let key = [b"casemate decoy\0".as_slice(), seed, server.as_bytes(), b"\0", variable.as_bytes()];
        Stream { key: Sha256::digest(key.concat()).into(), block: 0, left: Vec::new() }
    }

    fn byte(&mut self) -> u8 {
        if self.left.is_empty() {
            self.left = Sha256::digest([self.key.as_slice(), &self.block.to_le_bytes()].concat()).to_vec();
            self.block += 1;
        }
        self.left.pop().unwrap_or_default()
    }

    /// Characters of an alphabet, each as likely as the others.
    fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        let even = 256 - 256 % alphabet.len();
        let mut text = String::with_capacity(length);
        while text.len() < length {
            let byte = usize::from(self.byte());
            if let Some(character) = alphabet.get(byte % alphabet.len()).filter(|_| byte < even) {
                text.push(char::from(*character));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rules::Check;

    #[test]
    fn each_server_has_its_own_and_keeps_them() {
        let mut known = BTreeSet::new();
        for seed in [[1; SEED_BYTES], [2; SEED_BYTES]] {
            for server in ["git", "wiki"] {
                let made = decoys(&seed, server);
                assert_eq!(made, decoys(&seed, server));
                known.extend(made.into_iter().map(|decoy| decoy.value));
            }
        }
        assert_eq!(known.len(), 16, "no two are alike");
    }

    #[test]
    fn they_look_like_what_they_pretend_to_be() {
        for server in ["git", "wiki", "a", "b"] {
            let made = decoys(&[7; SEED_BYTES], server);
            let [key, secret, token, url] = made.as_slice() else { panic!("{made:?}") };
            assert!(key.value.starts_with("AKIA") && key.value.len() == 20);
            assert_eq!(secret.value.len(), 40);
            let checked = format!("{:?}", Check::Crc32Base62.test(token.value.as_bytes()));
            assert_eq!(checked, "Holds", "its checksum is right");
            assert_eq!(token.value.len(), 40);
            assert!(url.value.starts_with("postgres://backup:"));
            assert!(!format!("{made:?}").contains(&key.value));
        }
    }
}
