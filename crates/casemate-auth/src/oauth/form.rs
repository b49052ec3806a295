//! `application/x-www-form-urlencoded`, the form of queries and of what is posted.

use casemate_net::fetch::Url;

/// Longest query that is read, in bytes, and the most members.
const BYTES_MAX: usize = 8 << 10;
const MEMBERS_MAX: usize = 32;

/// A text as a member of a query or form.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// An address with further members in its query.
pub(super) fn with_query(url: &Url, members: &[(&str, &str)]) -> String {
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    let before = url.query().filter(|query| !query.is_empty()).map_or_else(String::new, |q| format!("{q}&"));
    format!("{}{}?{before}{}", url.origin(), url.path(), members.join("&"))
}

/// The members of a query, decoded; `None` when any cannot be, or when there are too many.
pub(super) fn pairs(query: &str) -> Option<Vec<(String, String)>> {
    if query.len() > BYTES_MAX {
        return None;
    }
    let members: Vec<&str> = query.split('&').filter(|member| !member.is_empty()).collect();
    if members.len() > MEMBERS_MAX {
        return None;
    }
    let pair = |member: &&str| {
        let (name, value) = member.split_once('=').unwrap_or((member, ""));
        Some((decode(name)?, decode(value)?))
    };
    members.iter().map(pair).collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_form_is_nothing() {
        for wrong in
            ["a=%", "a=%4", "a=%zz", "a=%ff", &"a".repeat(BYTES_MAX + 1), &"a&".repeat(MEMBERS_MAX + 1)]
        {
            assert_eq!(pairs(wrong), None, "{wrong:.20}");
        }
        assert_eq!(pairs("&a&&b=c=d&").unwrap(), [("a".into(), String::new()), ("b".into(), "c=d".into())]);
        let url = Url::parse("https://a.example/x?y=z").unwrap();
        assert_eq!(with_query(&url, &[("q", "a b&c")]), "https://a.example/x?y=z&q=a%20b%26c");
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(name in ".{0,20}", value in ".{0,20}") {
            prop_assume!(!name.is_empty());
            let text = format!("{}={}", encode(&name), encode(&value));
            prop_assert_eq!(pairs(&text), Some(vec![(name, value)]));
        }
    }
}
