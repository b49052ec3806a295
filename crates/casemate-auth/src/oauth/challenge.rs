//! What a server says when it wants a login: `WWW-Authenticate` (RFC 9110, 11.6.1), the scheme `Bearer`.

/// Longest header that is read, in bytes, and the most parameters of one challenge.
const BYTES_MAX: usize = 8 << 10;
const PARAMETERS_MAX: usize = 32;

/// What a server says of the login that it wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where its metadata is, when it says so.
    pub resource_metadata: Option<String>,
    /// The scopes that the request needs, when it says so.
    pub scopes: Option<Vec<String>>,
    /// The code of the error, when it says so: `insufficient_scope` asks for more than there is.
    pub error: Option<String>,
}

impl Challenge {
    /// Finds the first `Bearer` challenge in the values of the header. One that cannot be read is none.
    pub fn find<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Challenge> {
        headers.into_iter().filter(|header| header.len() <= BYTES_MAX).find_map(in_header)
    }

    /// Whether the token was good, and did not allow enough.
    #[must_use]
    pub fn wants_more(&self) -> bool {
        self.error.as_deref() == Some("insufficient_scope")
    }
}

fn in_header(header: &str) -> Option<Challenge> {
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (scheme, after) = token(rest)?;
        let (challenge, after) = parameters(after)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(challenge);
        }
        if after.len() == rest.len() {
            return None;
        }
        rest = after;
    }
}

/// The parameters of one challenge, up to the next scheme.
fn parameters(text: &str) -> Option<(Challenge, &str)> {
    let mut challenge = Challenge::default();
    let mut rest = text;
    for _ in 0..PARAMETERS_MAX {
        let trimmed = rest.trim_start_matches([' ', '\t', ',']);
        let Some((name, after)) = token(trimmed) else {
            return trimmed.is_empty().then_some((challenge, trimmed));
        };
        let Some(after) = after.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            // No parameter, so the scheme of the next challenge.
            return Some((challenge, trimmed));
        };
        let (value, after) = value(after.trim_start_matches([' ', '\t']))?;
        match name.to_ascii_lowercase().as_str() {
            "resource_metadata" => challenge.resource_metadata = Some(value),
            "scope" => {
                let scopes = value.split(' ').filter(|scope| is_scope(scope)).map(str::to_owned).collect();
                challenge.scopes = Some(scopes);
            }
            "error" => challenge.error = Some(value),
            _ => {}
        }
        rest = after;
    }
    None
}

fn token(text: &str) -> Option<(&str, &str)> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let end = text.find(|c| !is_token(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        // Some servers leave the quotes away where RFC 9110 wants them.
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (!value.is_empty()).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

/// What RFC 6749 takes for a scope.
pub(super) fn is_scope(text: &str) -> bool {
    (1..=256).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(header: &str) -> Option<Challenge> {
        Challenge::find([header])
    }

    #[test]
    fn a_challenge_is_found_among_others_however_it_is_written() {
        let full = find(
            r#"Basic realm="a, b=c", bearer error="insufficient_scope", scope="read  write", Resource_Metadata="https://x.example/a?b=\"c\"""#,
        );
        let full = full.unwrap();
        assert_eq!(full.resource_metadata.as_deref(), Some("https://x.example/a?b=\"c\""));
        assert_eq!(full.scopes.as_deref(), Some(["read".to_owned(), "write".to_owned()].as_slice()));
        assert!(full.wants_more());
        assert_eq!(find("Bearer"), Some(Challenge::default()));
        assert_eq!(find("Negotiate, Bearer"), Some(Challenge::default()));
        assert_eq!(find("Bearer scope=read").unwrap().scopes.unwrap(), ["read"]);
        assert_eq!(Challenge::find(["Basic realm=x", "Bearer"]), Some(Challenge::default()));
    }

    #[test]
    fn what_cannot_be_read_is_no_challenge() {
        let long = format!("Bearer scope=\"{}\"", "x".repeat(BYTES_MAX));
        let many = format!("Bearer {}", "a=b, ".repeat(PARAMETERS_MAX + 1));
        for header in
            ["", ",,,", "Basic", r#"Bearer scope="never ends"#, r#"Bearer scope="\"#, "=x", &long, &many]
        {
            assert_eq!(find(header), None, "{header:.40}");
        }
        // Scopes that no request could carry are left out.
        assert_eq!(find("Bearer scope=\"good b\u{e4}d\"").unwrap().scopes.unwrap(), ["good"]);
    }
}
