//! Naming an image so that it cannot change: by the digest of its content.
//!
//! The grammar is that of <https://github.com/distribution/reference>.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Characters of a SHA-256 in hexadecimal.
const HEX_CHARS: usize = 64;

/// Longest name of a repository, its registry included, in characters.
const NAME_CHARS_MAX: usize = 255;

/// Longest tag, in characters.
const TAG_CHARS_MAX: usize = 128;

/// An image by its content: `registry/name@sha256:…`, the same with a tag, which is only a remark then, or the id of one
/// that was built here, `sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageReference {
    /// Where it comes from and, as a remark, its tag. Nothing for the id of a local image.
    origin: Option<Unpinned>,
    digest: String,
}

impl ImageReference {
    /// The repository that it can be fetched from; nothing when it exists on this host alone.
    pub fn repository(&self) -> Option<&str> {
        self.origin.as_ref().map(|origin| origin.repository.as_str())
    }

    /// The digest, `sha256:` and 64 digits: of the manifest when there is a repository, of the image's configuration
    /// when there is none.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What an engine finds it by.
    pub(super) fn locator(&self) -> String {
        match self.repository() {
            Some(repository) => format!("{repository}@{}", self.digest),
            None => self.digest.clone(),
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}@{}", self.digest),
            None => f.write_str(&self.digest),
        }
    }
}

impl FromStr for ImageReference {
    type Err = ImageFault;

    fn from_str(text: &str) -> Result<ImageReference, ImageFault> {
        let malformed = |what| ImageFault::Malformed { reference: text.to_owned(), what };
        if text.starts_with("sha256:") {
            return Ok(ImageReference { origin: None, digest: digest(text).map_err(malformed)? });
        }
        let Some((origin, hash)) = text.split_once('@') else {
            return Err(ImageFault::Unpinned(Unpinned::parse(text).map_err(malformed)?));
        };
        let origin = Unpinned::parse(origin).map_err(malformed)?;
        Ok(ImageReference { origin: Some(origin), digest: digest(hash).map_err(malformed)? })
    }
}

/// The name of an image that may be another one tomorrow: no digest, with or without a tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unpinned {
    repository: String,
    tag: Option<String>,
}

impl Unpinned {
    fn parse(text: &str) -> Result<Unpinned, &'static str> {
        // A colon before the last slash belongs to the registry's port.
        let (repository, tag) = match text.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (text, None),
        };
        if let Some(fault) = fault_of_repository(repository) {
            return Err(fault);
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("the tag after the colon is not one");
        }
        Ok(Unpinned { repository: repository.to_owned(), tag: tag.map(str::to_owned) })
    }

    /// The repository, without the tag.
    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    /// The same with a digest.
    pub(super) fn pinned(&self, hash: &str) -> Result<ImageReference, &'static str> {
        Ok(ImageReference { origin: Some(self.clone()), digest: digest(hash)? })
    }
}

impl fmt::Display for Unpinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, "{}:{tag}", self.repository),
            None => f.write_str(&self.repository),
        }
    }
}

/// Why a text names no image that could be started.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImageFault {
    /// It says which image is meant today. What it stands for can be asked: [`super::Engine::pin`].
    #[error("image {0} has no digest: its owner can replace it at any time")]
    Unpinned(Unpinned),
    /// It names nothing.
    #[error("{reference:?} names no image: {what}")]
    Malformed {
        /// The text.
        reference: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl ImageFault {
    /// What a person can do about it, as one sentence.
    pub fn hint(&self) -> String {
        match self {
            ImageFault::Unpinned(name) => format!(
                "write {name}@sha256:…; `docker image inspect --format '{{{{index .RepoDigests 0}}}}' {name}` shows the digest"
            ),
            ImageFault::Malformed { .. } => {
                "write NAME@sha256: and 64 hexadecimal digits, or for an image built here sha256: and its id"
                    .to_owned()
            }
        }
    }
}

fn digest(text: &str) -> Result<String, &'static str> {
    let hex = text.strip_prefix("sha256:").ok_or("its digest is not a sha256 one")?;
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if hex.len() == HEX_CHARS && hex.bytes().all(is_hex) {
        Ok(text.to_owned())
    } else {
        Err("a sha256 digest has 64 hexadecimal digits, in lower case")
    }
}

fn fault_of_repository(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > NAME_CHARS_MAX {
        return Some("it is longer than 255 characters");
    }
    if text.len() == HEX_CHARS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some("an id begins with sha256:");
    }
    let path = match text.split_once('/') {
        Some((registry, path)) if registry.contains(['.', ':']) || registry == "localhost" => {
            if !is_registry(registry) {
                return Some("its registry is not a host name with or without a port");
            }
            path
        }
        _ => text,
    };
    let fits = path.split('/').all(is_component);
    (!fits).then_some("a name has lower-case letters, digits and single separators (`.`, `_`, `-`, `/`)")
}

fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(inside) && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// `[a-z0-9]+` with `.`, `_`, `__` or any number of `-` between.
fn is_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let words_only = text.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'_' | b'-'));
    let separators = text.split(|byte: char| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let separators_fit = separators
        .filter(|run| !run.is_empty())
        .all(|run| matches!(run, "." | "_" | "__") || run.bytes().all(|byte| byte == b'-'));
    let ends_fit = |byte: Option<u8>| byte.is_some_and(is_word);
    words_only && separators_fit && ends_fit(text.bytes().next()) && ends_fit(text.bytes().last())
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = text.bytes();
    bytes.next().is_some_and(word)
        && text.len() <= TAG_CHARS_MAX
        && bytes.all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn parse(text: &str) -> Result<ImageReference, ImageFault> {
        text.replace("HEX", HEX).parse()
    }

    #[test]
    fn a_digest_makes_a_reference() {
        for (text, repository, locator) in [
            ("mcp/time@sha256:HEX", Some("mcp/time"), "mcp/time@sha256:HEX"),
            ("mcp/time:1.2@sha256:HEX", Some("mcp/time"), "mcp/time@sha256:HEX"),
            (
                "ghcr.io:443/a-b/c__d.e:v_1@sha256:HEX",
                Some("ghcr.io:443/a-b/c__d.e"),
                "ghcr.io:443/a-b/c__d.e@sha256:HEX",
            ),
            ("localhost/x@sha256:HEX", Some("localhost/x"), "localhost/x@sha256:HEX"),
            ("127.0.0.1:5000/x@sha256:HEX", Some("127.0.0.1:5000/x"), "127.0.0.1:5000/x@sha256:HEX"),
            ("sha256:HEX", None, "sha256:HEX"),
        ] {
            let reference = parse(text).unwrap();
            assert_eq!(reference.to_string(), text.replace("HEX", HEX));
            assert_eq!(reference.repository(), repository);
            assert_eq!(reference.locator(), locator.replace("HEX", HEX));
        }
    }

    #[test]
    fn what_can_change_is_told_apart_from_what_is_wrong() {
        for text in
            ["mcp/time", "mcp/time:latest", "time", "localhost:5000/time", "localhost:5000/time:1", "a:b"]
        {
            match parse(text) {
                Err(ImageFault::Unpinned(name)) => assert_eq!(name.to_string(), text),
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in [
            "",
            "HEX",
            "@sha256:HEX",
            "Time@sha256:HEX",
            "time@sha256:HEX0",
            "time@sha256:0",
            "time@sha512:HEX",
            "time@sha256:HEX@sha256:HEX",
            "time@",
            "a//b@sha256:HEX",
            "/a@sha256:HEX",
            "a/@sha256:HEX",
            "a..b@sha256:HEX",
            "a___b@sha256:HEX",
            "-a@sha256:HEX",
            "a:-b@sha256:HEX",
            "a:@sha256:HEX",
            "a b@sha256:HEX",
            "a?x=y@sha256:HEX",
            "a#b",
            "../a@sha256:HEX",
            "a/../b",
            "a%2fb",
            "-x.y/a@sha256:HEX",
            "x.y:99999/a@sha256:HEX",
            "x.y:/a@sha256:HEX",
            "sha256:HEXHEX",
            "sha256:",
        ] {
            assert!(matches!(parse(text), Err(ImageFault::Malformed { .. })), "{text}: {:?}", parse(text));
        }
        let upper = format!("time@sha256:{}", HEX.to_uppercase());
        assert!(matches!(upper.parse::<ImageReference>(), Err(ImageFault::Malformed { .. })));
    }

    #[test]
    fn the_hint_says_what_to_write() {
        let fault = parse("mcp/time:latest").unwrap_err();
        assert!(fault.hint().starts_with("write mcp/time:latest@sha256:…"), "{}", fault.hint());
        assert!(fault.hint().contains("{{index .RepoDigests 0}}"));
    }
}
