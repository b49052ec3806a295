//! The plain spelling of a URI, for comparing it with a pattern.
//!
//! One resource can be spelled in many ways (`file:///a/../etc`, `FILE:///%65tc`), and a rule that compares
//! text is walked around by choosing another. So rules are applied twice, to the text as it came and to this
//! plain spelling, and both must be allowed. The plain spelling never leaves the judgement: servers get the
//! URI as it came.

use std::borrow::Cow;

/// The URI with every escape decoded (also those that decoding brings to light), backslashes turned, scheme
/// and authority in lower case, and empty, `.` and `..` segments resolved. Linear in the length.
pub(crate) fn plain(uri: &str) -> Cow<'_, str> {
    let (path, query) = uri.split_at(uri.find(['?', '#']).unwrap_or(uri.len()));
    let Some((scheme, rest)) = path.split_once(':') else {
        return Cow::Borrowed(uri);
    };
    let tail = rest.strip_prefix("//").unwrap_or(rest);
    let is_plain = !tail.contains("//")
        && !tail.contains("/.")
        && !tail.starts_with('.')
        && !path.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'%' || byte == b'\\');
    if is_plain {
        return Cow::Borrowed(uri);
    }
    let rest = decode(rest);
    let (authority, path) = match rest.strip_prefix("//") {
        // Servers that take the rest for a path would climb from here as well.
        Some(after) if after.split('/').next().is_some_and(is_dots) => {
            ("", rest.get(1..).unwrap_or_default())
        }
        Some(after) => after.split_at(after.find('/').unwrap_or(after.len())),
        None => ("", &*rest),
    };
    let mut out = String::with_capacity(uri.len());
    out.push_str(&scheme.to_ascii_lowercase());
    out.push(':');
    if rest.starts_with("//") {
        out.push_str("//");
        out.push_str(&authority.to_ascii_lowercase());
    }
    resolve(path, &mut out);
    out.push_str(query);
    Cow::Owned(out)
}

/// True when a path segment of the text is `.` or `..` and would be resolved away.
pub(crate) fn has_dots(uri: &str) -> bool {
    decode(uri).split(['/', '?', '#']).any(is_dots)
}

fn is_dots(segment: &str) -> bool {
    segment == "." || segment == ".."
}

fn decode(text: &str) -> String {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        out.push(if byte == b'\\' { b'/' } else { byte });
        // A decoded byte may complete another escape: `%252e` is `%2e` is `.`. Each round shortens the text.
        while let [.., b'%', high, low] = out.as_slice()
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            let decoded = high * 16 + low;
            out.truncate(out.len() - 3);
            out.push(if decoded == b'\\' { b'/' } else { decoded });
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn resolve(path: &str, out: &mut String) {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    if path.starts_with('/') {
        out.push('/');
    }
    out.push_str(&kept.join("/"));
    if path.ends_with('/') && !kept.is_empty() {
        out.push('/');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_spellings_become_plain() {
        for (uri, expected) in [
            ("file:///home/ann/a", "file:///home/ann/a"),
            ("file:///home/ann/a.txt", "file:///home/ann/a.txt"),
            ("FILE:///home/Ann", "file:///home/Ann"),
            ("file:///home/../etc/passwd", "file:///etc/passwd"),
            ("file:///../../etc", "file:///etc"),
            ("file:///%65tc/%2e%2e/x", "file:///x"),
            ("file:///a/%252e%252e/b", "file:///b"),
            ("file:///a/..%2f..%5cb", "file:///b"),
            ("file:///a//b/./c/", "file:///a/b/c/"),
            ("file:////etc", "file:///etc"),
            ("memo://Insights/X", "memo://insights/X"),
            ("http://H/a?q=../B", "http://h/a?q=../B"),
            ("urn:a/../b", "urn:b"),
            ("file://../etc/passwd", "file:///etc/passwd"),
            ("urn:../a", "urn:a"),
            ("urn:€//a/./b", "urn:€/a/b"),
            ("no-scheme", "no-scheme"),
        ] {
            assert_eq!(plain(uri), expected, "{uri}");
        }
    }

    proptest! {
        #[test]
        fn plain_is_plain(uri in "[a-zA-Z]{1,3}:(//)?[a-cA-C/.%25eEfF*\\\\]{0,30}") {
            let once = plain(&uri).into_owned();
            prop_assert_eq!(plain(&once), once.as_str());
            let (_, path) = once.split_once(':').unwrap();
            prop_assert!(!path.split('/').any(is_dots), "{}", once);
        }
    }
}
