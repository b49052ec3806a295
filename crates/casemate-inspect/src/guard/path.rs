//! Paths that stay within folders, as far as their text says.

/// Folders, absolute and without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots(Vec<Box<str>>);

/// Characters that some programs take for a slash.
const SLASHES: [char; 6] = ['/', '\\', '\u{2044}', '\u{2215}', '\u{ff0f}', '\u{ff3c}'];

/// Characters that some programs take for a dot, or for two or three.
const DOTS: [char; 6] = ['.', '\u{2024}', '\u{2025}', '\u{2026}', '\u{ff0e}', '\u{ff61}'];

/// Escapes of a dot, a slash, a backslash, a percent sign and the NUL in addresses.
const ESCAPES: [&str; 5] = ["%2e", "%2f", "%5c", "%25", "%00"];

impl Roots {
    /// These folders. What is not absolute, and the root of everything, is left out.
    #[must_use]
    pub fn new<S: AsRef<str>>(folders: &[S]) -> Roots {
        let plain = folders.iter().map(|folder| folder.as_ref().trim_end_matches('/'));
        Roots(plain.filter(|folder| folder.starts_with('/')).map(Into::into).collect())
    }

    pub(super) fn judge(&self, path: &str) -> Result<(), &'static str> {
        if path.chars().any(char::is_control) {
            return Err("it has control characters");
        }
        if path.contains('\\') {
            return Err("it has a backslash, which some programs take for a slash");
        }
        if !path.starts_with('/') {
            return Err("it is no absolute path");
        }
        let small = path.to_ascii_lowercase();
        if ESCAPES.iter().any(|escape| small.contains(escape)) {
            return Err("it has percent escapes that hide a part of the path");
        }
        // Whoever normalizes Unicode reads these as slashes and dots.
        if path.split(SLASHES).any(leads_up) {
            return Err("it leads upward (`..`)");
        }
        let parts = || path.split('/').filter(|part| !part.is_empty() && *part != ".");
        let is_within = |root: &str| {
            let mut parts = parts();
            root.split('/').filter(|part| !part.is_empty()).all(|part| parts.next() == Some(part))
        };
        match self.0.iter().any(|root| is_within(root)) {
            true => Ok(()),
            false => Err("it lies outside of the folders that are allowed"),
        }
    }
}

/// Whether a part of a path is `..`, or could be taken for it, also by what expands patterns: `.?` and `.*` fit it.
fn leads_up(part: &str) -> bool {
    let part = part.trim();
    let is_pattern = |c: char| matches!(c, ' ' | '*' | '?' | '[' | ']' | '{' | '}' | ',' | '!' | '^');
    let has_dot = part.contains(DOTS);
    has_dot && part != "." && part.chars().all(|c| DOTS.contains(&c) || is_pattern(c))
}
