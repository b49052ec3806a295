//! `server/tool` patterns of profiles, where `*` stands for any run of characters.

/// Whether a text fits a pattern. Linear in the length of both for each star.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars_stand_for_any_run() {
        for (pattern, text, expected) in [
            ("git/status", "git/status", true),
            ("git/status", "git/status2", false),
            ("git/*", "git/", true),
            ("git/*", "github/x", false),
            ("*", "", true),
            ("*/read_*", "fs/read_file", true),
            ("*/read_*", "fs/write_file", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*a", "a", false),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
