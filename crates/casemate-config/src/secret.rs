//! What a secret looks like, so that none is written into a file.
//!
//! A judgement on looks alone: it errs on the side of refusing, and a person overrules it by naming the value
//! `{ not_secret = "…" }`. No message quotes the value.

#[cfg(test)]
mod tests;

use std::fmt;

/// Why a value looks like a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It has the shape of this vendor's or format's secrets.
    Shape(&'static str),
    /// Its key speaks of secrets, and it is no plain word.
    Key,
    /// Its key is that of a secret, whatever the letters.
    Name,
    /// It is an address with a password in it.
    Password,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Shape(what) => write!(f, "it looks like {what}"),
            Reason::Key => f.write_str("its name and its letters say that it is a secret"),
            Reason::Name => f.write_str("its name says that it is a secret"),
            Reason::Password => f.write_str("it is an address with a password in it"),
        }
    }
}

/// Judges a value by its looks and by the key that it is written under (empty when there is none).
#[must_use]
pub fn looks_like_secret(key: &str, value: &str) -> Option<Reason> {
    let words = value.split_whitespace().flat_map(|word| [word, word.rsplit('=').next().unwrap_or(word)]);
    if let Some(reason) = words.into_iter().find_map(shape) {
        return Some(reason);
    }
    if value.contains("PRIVATE KEY-----") || value.contains("AGE-SECRET-KEY-1") {
        return Some(Reason::Shape("a private key"));
    }
    if has_password(value) {
        return Some(Reason::Password);
    }
    // `Bearer x` and `Basic x` are judged by what follows the scheme.
    let value = value.rsplit(' ').next().unwrap_or(value);
    match sensitivity(key) {
        Sensitivity::None => None,
        Sensitivity::Token => (value.len() >= 16 && is_random(value)).then_some(Reason::Key),
        Sensitivity::Credential => (value.len() >= 4 && !is_plain_setting(value)).then_some(Reason::Name),
    }
}

/// The first argument of a command line that looks like a secret, alone or by the flag before it.
#[must_use]
pub(crate) fn in_arguments(arguments: &[String]) -> Option<(usize, Reason)> {
    let mut flag = "";
    for (index, argument) in arguments.iter().enumerate() {
        let (key, value) = argument.split_once('=').unwrap_or((flag, argument));
        if let Some(reason) = looks_like_secret(key, value) {
            return Some((index, reason));
        }
        flag = if argument.starts_with('-') { argument } else { "" };
    }
    None
}

/// Why an address seems to hold a secret in its path, query or user part.
#[must_use]
pub(crate) fn in_url(url: &str) -> Option<Reason> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    has_password(url)
        .then_some(Reason::Password)
        .or_else(|| path.split('/').find_map(shape))
        .or_else(|| pairs.into_iter().find_map(|(key, value)| looks_like_secret(key, value)))
}

/// A vendor's prefix, how many characters follow it at least, and whose it is.
const PREFIXES: &[(&str, usize, &str)] = &[
    ("sk_live_", 16, "a Stripe key"),
    ("sk_test_", 16, "a Stripe key"),
    ("rk_live_", 16, "a Stripe key"),
    ("ghp_", 20, "a GitHub token"),
    ("gho_", 20, "a GitHub token"),
    ("ghu_", 20, "a GitHub token"),
    ("ghs_", 20, "a GitHub token"),
    ("ghr_", 20, "a GitHub token"),
    ("github_pat_", 20, "a GitHub token"),
    ("glpat-", 16, "a GitLab token"),
    ("xoxb-", 10, "a Slack token"),
    ("xoxp-", 10, "a Slack token"),
    ("xoxa-", 10, "a Slack token"),
    ("xoxr-", 10, "a Slack token"),
    ("xoxs-", 10, "a Slack token"),
    ("xapp-", 10, "a Slack token"),
    ("AKIA", 16, "an AWS access key"),
    ("ASIA", 16, "an AWS access key"),
    ("AIza", 30, "a Google API key"),
    ("ya29.", 20, "a Google access token"),
    ("GOCSPX-", 20, "a Google client secret"),
    ("npm_", 30, "an npm token"),
    ("pypi-", 30, "a PyPI token"),
    ("hf_", 30, "a Hugging Face token"),
    ("r8_", 30, "a Replicate token"),
    ("gsk_", 30, "a Groq key"),
    ("pplx-", 30, "a Perplexity key"),
    ("tvly-", 16, "a Tavily key"),
    ("dop_v1_", 30, "a DigitalOcean token"),
    ("shpat_", 20, "a Shopify token"),
    ("lin_api_", 20, "a Linear key"),
    ("ntn_", 20, "a Notion token"),
    ("figd_", 20, "a Figma token"),
    ("hvs.", 20, "a Vault token"),
    ("SG.", 30, "a SendGrid key"),
    ("cm_", 43, "a Casemate key"),
];

fn shape(word: &str) -> Option<Reason> {
    let of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = |(prefix, length, _): &&(&str, usize, &str)| {
        word.strip_prefix(prefix).is_some_and(|rest| rest.len() >= *length && rest.chars().all(of_token))
    };
    if let Some((_, _, whose)) = PREFIXES.iter().find(fits) {
        return Some(Reason::Shape(whose));
    }
    // `sk-` begins ordinary words too (`sk-learn`), so what follows has to look random.
    if word.strip_prefix("sk-").is_some_and(|rest| rest.len() >= 16 && is_random(rest)) {
        return Some(Reason::Shape("an API key"));
    }
    let parts: Vec<&str> = word.split('.').collect();
    let token = parts.len() == 3 && parts.iter().all(|part| part.len() >= 4 && part.chars().all(of_token));
    (token && word.starts_with("eyJ")).then_some(Reason::Shape("a JSON Web Token"))
}

enum Sensitivity {
    None,
    /// What speaks of keys and tokens may be a secret or a setting about one.
    Token,
    /// Nothing but a secret goes by such a name.
    Credential,
}

/// What a name of a secret ends with.
const CREDENTIALS: &[&[&str]] = &[
    &["TOKEN"],
    &["SECRET"],
    &["PAT"],
    &["AUTHORIZATION"],
    &["BEARER"],
    &["COOKIE"],
    &["CREDENTIAL"],
    &["CREDENTIALS"],
    &["APIKEY"],
    &["API", "KEY"],
    &["ACCESS", "KEY"],
    &["SECRET", "KEY"],
    &["PRIVATE", "KEY"],
    &["CLIENT", "KEY"],
];

fn sensitivity(key: &str) -> Sensitivity {
    let words = words(key);
    let last = words.last().map(String::as_str).unwrap_or_default();
    // `TOKEN_FILE`, `KEY_ID` and the like name something beside the secret.
    if ["FILE", "PATH", "DIR", "URL", "URI", "ID", "NAME", "ENDPOINT", "HOST"].contains(&last) {
        return Sensitivity::None;
    }
    let any = |names: &[&str]| words.iter().any(|word| names.contains(&word.as_str()));
    if any(&["PASSWORD", "PASSWD", "PASSPHRASE", "PASS", "PWD"]) {
        return Sensitivity::Credential;
    }
    // `API_KEY_2` is one as much as `API_KEY` is.
    let is_number = |word: &&String| word.bytes().all(|byte| byte.is_ascii_digit());
    let unnumbered: Vec<&str> = words
        .iter()
        .take(words.len() - words.iter().rev().take_while(is_number).count())
        .map(String::as_str)
        .collect();
    if CREDENTIALS.iter().any(|name| unnumbered.ends_with(name)) {
        return Sensitivity::Credential;
    }
    let tokens =
        ["TOKEN", "SECRET", "KEY", "APIKEY", "CREDENTIAL", "CREDENTIALS", "AUTH", "AUTHORIZATION", "COOKIE"];
    if any(&tokens) || any(&["PAT", "BEARER"]) { Sensitivity::Token } else { Sensitivity::None }
}

/// `apiKey`, `API_KEY` and `x-api-key` as upper-case words.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for c in key.chars() {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && after_lower) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_ascii_alphanumeric(), words.last_mut()) {
            word.push(c.to_ascii_uppercase());
        }
        after_lower = c.is_ascii_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Letters and digits mixed as no word mixes them, at three bits or more to the character.
fn is_random(value: &str) -> bool {
    let has = |test: fn(&char) -> bool| value.chars().any(|c| test(&c));
    let classes = usize::from(has(char::is_ascii_lowercase))
        + usize::from(has(char::is_ascii_uppercase))
        + usize::from(has(char::is_ascii_digit));
    let path_like = value.starts_with(['/', '.', '~']) || value.contains("://");
    classes >= 2 && !path_like && bits_per_character(value) >= 3.0
}

fn bits_per_character(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let length = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX));
    let share = |count: &u32| f64::from(*count) / length;
    counts.iter().filter(|count| **count > 0).map(|count| -share(count) * share(count).log2()).sum()
}

/// Values that settings about secrets have: switches, numbers, placeholders of clients, and where something is.
fn is_plain_setting(value: &str) -> bool {
    let switch = ["true", "false", "none", "null", "disabled", "enabled", "required", "optional", "prompt"];
    switch.contains(&value.to_ascii_lowercase().as_str())
        || value.starts_with(['/', '.', '~'])
        || value.starts_with("${")
        || value.contains("://")
        || (value.len() <= 4 && value.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `scheme://user:password@host`.
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else { return false };
    user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
}
