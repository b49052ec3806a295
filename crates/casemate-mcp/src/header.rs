//! Values of the `Mcp-Name` and `Mcp-Param-*` headers (revision 2026-07-28, "Streamable HTTP").
//!
//! A value that plain ASCII cannot carry is written `=?base64?…?=`; it has to be decoded before it is compared
//! with the body.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

/// The value claims to be base64 and is not, or holds no UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the header value is not valid base64 of UTF-8 text between `=?base64?` and `?=`")]
pub struct HeaderFault;

/// The text that a header value stands for.
///
/// # Errors
/// [`HeaderFault`] when the value is marked as base64 and cannot be decoded.
pub fn decode_value(value: &str) -> Result<Cow<'_, str>, HeaderFault> {
    let marked = value.get(..OPEN.len()).is_some_and(|head| head.eq_ignore_ascii_case(OPEN));
    let Some(inner) =
        marked.then(|| value.get(OPEN.len()..)).flatten().and_then(|rest| rest.strip_suffix(CLOSE))
    else {
        return Ok(Cow::Borrowed(value));
    };
    let bytes = STANDARD.decode(inner).map_err(|_| HeaderFault)?;
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| HeaderFault)
}

/// Writes a text as a header value: as it is when visible ASCII (with inner spaces) can carry it.
#[must_use]
pub fn encode_value(text: &str) -> Cow<'_, str> {
    let plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        && text.trim() == text
        && !text.is_empty()
        && !text.get(..OPEN.len()).is_some_and(|head| head.eq_ignore_ascii_case(OPEN));
    if plain { Cow::Borrowed(text) } else { Cow::Owned(format!("{OPEN}{}{CLOSE}", STANDARD.encode(text))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_values_stay_and_marked_ones_are_decoded() {
        assert_eq!(decode_value("get_weather").unwrap(), "get_weather");
        assert_eq!(decode_value("=?base64?SGVsbG8=?=").unwrap(), "Hello");
        assert_eq!(decode_value("=?BASE64?SGVsbG8=?=").unwrap(), "Hello");
        assert_eq!(decode_value("=?base64?***?="), Err(HeaderFault));
        assert_eq!(decode_value("=?base64?/w==?="), Err(HeaderFault), "not UTF-8");
        assert_eq!(decode_value("=?base64?open").unwrap(), "=?base64?open", "not closed: plain text");
    }

    proptest! {
        #[test]
        fn every_text_survives_the_header(text in "\\PC{0,40}|.{0,20}|=\\?base64\\?.{0,9}") {
            let encoded = encode_value(&text).into_owned();
            prop_assert!(encoded.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            prop_assert_eq!(decode_value(&encoded).unwrap(), text);
        }
    }
}
