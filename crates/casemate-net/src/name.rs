//! Host names, in one spelling.

use std::fmt::{self, Display};
use std::sync::Arc;

use thiserror::Error;

/// The longest name, in bytes, without the final dot (RFC 1035 section 2.3.4: 255 on the wire).
const NAME_BYTES_MAX: usize = 253;

/// The longest label, in bytes (RFC 1035 section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// A host name in the one spelling that names are compared in: ASCII in lower case, no final dot, labels of letters,
/// digits, hyphens and underscores. None of them is a spelling of an address (`127.1`, `0x7f.1`, `2130706433`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(Arc<str>);

/// Why something is no host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum NameFault {
    /// There is nothing, or nothing between two dots.
    #[error("an empty label")]
    Empty,
    /// More bytes than DNS carries.
    #[error("a name or a label that is too long")]
    TooLong,
    /// A character that host names do not have, or a hyphen at an end of a label.
    #[error("a character that no host name has there")]
    Character,
    /// Letters beyond ASCII.
    #[error("letters beyond ASCII")]
    Foreign,
    /// The last label is a number, so that resolvers take the whole for an address (`inet_aton(3)`).
    #[error("a number at the end, which makes it a spelling of an address")]
    Numeric,
}

impl Name {
    /// The name that `text` spells, in whatever case, with or without the final dot.
    pub(crate) fn parse(text: &str) -> Result<Name, NameFault> {
        let text = text.strip_suffix('.').unwrap_or(text);
        Name::from_labels(text.split('.').map(str::as_bytes))
    }

    /// The name with these labels, as they stand in a message of DNS, without the empty one of the root.
    pub(crate) fn from_labels<'a>(labels: impl Iterator<Item = &'a [u8]>) -> Result<Name, NameFault> {
        let mut name = String::new();
        let mut last = "";
        for label in labels {
            let label = std::str::from_utf8(label).map_err(|_| NameFault::Foreign)?;
            judge_label(label)?;
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(label);
            last = label;
            if name.len() > NAME_BYTES_MAX {
                return Err(NameFault::TooLong);
            }
        }
        if name.is_empty() {
            return Err(NameFault::Empty);
        }
        if is_number(last) {
            return Err(NameFault::Numeric);
        }
        name.make_ascii_lowercase();
        Ok(Name(name.into()))
    }

    /// The text of it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has at least one label more than `base`, and ends with all of those of `base`.
    pub(crate) fn is_below(&self, base: &Name) -> bool {
        self.0.strip_suffix(&*base.0).is_some_and(|rest| rest.ends_with('.'))
    }

    /// Whether `spelling`, in whatever case, is this very name.
    pub(crate) fn is_spelled(&self, spelling: &[u8]) -> bool {
        self.0.as_bytes().eq_ignore_ascii_case(spelling)
    }

    /// How many labels it has.
    pub(crate) fn depth(&self) -> usize {
        self.0.split('.').count()
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn judge_label(label: &str) -> Result<(), NameFault> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if label.is_empty() {
        Err(NameFault::Empty)
    } else if !label.is_ascii() {
        Err(NameFault::Foreign)
    } else if label.len() > LABEL_BYTES_MAX {
        Err(NameFault::TooLong)
    } else if label.starts_with('-') || label.ends_with('-') || !label.bytes().all(is_known) {
        Err(NameFault::Character)
    } else {
        Ok(())
    }
}

/// Whether resolvers read a name that ends in this label as an address (`inet_aton(3)`: decimal, octal and hexadecimal).
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        for text in ["api.example.org", "API.Example.ORG", "api.example.org."] {
            assert_eq!(Name::parse(text).unwrap().as_str(), "api.example.org");
        }
        assert_eq!(Name::parse("_sip.x_y.xn--bcher-kva.example").unwrap().depth(), 4);
    }

    #[test]
    fn what_is_no_name() {
        let long = format!("{}.org", "a".repeat(64));
        let longer = ["abcdefgh"; 30].join(".");
        for (text, fault) in [
            ("", NameFault::Empty),
            (".", NameFault::Empty),
            ("a..b", NameFault::Empty),
            (".a", NameFault::Empty),
            ("a.b..", NameFault::Empty),
            (long.as_str(), NameFault::TooLong),
            (longer.as_str(), NameFault::TooLong),
            ("bücher.example", NameFault::Foreign),
            ("a b", NameFault::Character),
            ("a/b", NameFault::Character),
            ("a@b", NameFault::Character),
            ("a\0b", NameFault::Character),
            ("*.a", NameFault::Character),
            ("-a.b", NameFault::Character),
            ("a-.b", NameFault::Character),
        ] {
            assert_eq!(Name::parse(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn spellings_of_addresses_are_no_names() {
        for text in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0X7F.1",
            "0177.0.0.01",
            "example.0x",
            "a.1",
            "1.",
        ] {
            assert_eq!(Name::parse(text), Err(NameFault::Numeric), "{text:?}");
        }
        for text in ["1e100.net", "0xcafe.example", "4chan.org", "a.0xg", "x1"] {
            assert!(Name::parse(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn below_means_at_least_one_whole_label_more() {
        let base = Name::parse("example.org").unwrap();
        let is_below = |text: &str| Name::parse(text).unwrap().is_below(&base);
        assert!(is_below("a.example.org"));
        assert!(is_below("b.a.example.org"));
        for other in ["example.org", "evil-example.org", "aexample.org", "example.org.evil.net", "org"] {
            assert!(!is_below(other), "{other}");
        }
    }

    #[test]
    fn a_dot_within_a_label_is_no_separator() {
        let labels: [&[u8]; 2] = [b"a.example", b"org"];
        assert_eq!(Name::from_labels(labels.into_iter()), Err(NameFault::Character));
    }
}
