//! What a verified token says.

use casemate_mcp::json::{Members, Raw};

use super::{LEEWAY_S_MAX, Rules, TokenFault, Verified};

/// The longest name of a subject, in bytes (OpenID Connect Core section 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// How many audiences, scopes and role values are looked at; a token with more is refused.
const VALUES_MAX: usize = 1024;

/// The last moment that a date may name, in seconds since 1970: the end of the year 9999.
const TIME_MAX: f64 = 253_402_300_799.0;

/// Reads the claims of a token whose signature is right.
pub(super) fn read(rules: &Rules, claims: &Members, now_unix_s: u64) -> Result<Verified, TokenFault> {
    if claims.has("cnf") {
        return Err(TokenFault::of("it is bound to a key, and is no bearer token"));
    }
    let leeway = rules.leeway_s.min(LEEWAY_S_MAX);
    let expires = time(claims, "exp")?.ok_or(TokenFault::of("it never ends (`exp`)"))?;
    if now_unix_s >= expires.saturating_add(leeway) {
        return Err(TokenFault::of("it has expired"));
    }
    let soon = now_unix_s.saturating_add(leeway);
    if time(claims, "nbf")?.is_some_and(|begins| soon < begins) {
        return Err(TokenFault::of("its time has not come (`nbf`)"));
    }
    if time(claims, "iat")?.is_some_and(|made| soon < made) {
        return Err(TokenFault::of("it comes from the future (`iat`)"));
    }
    Ok(Verified {
        subject: subject(rules, claims)?,
        roles: roles(rules, claims)?,
        scopes: scopes(claims)?,
        audiences: claims.get("aud").map_or(Ok(Vec::new()), |value| texts(&value, "aud"))?,
        expires,
    })
}

fn subject(rules: &Rules, claims: &Members) -> Result<String, TokenFault> {
    let name = &rules.subject_claim;
    let subject = claims.string(name).ok_or_else(|| TokenFault::of(format!("`{name}` is no text")))?;
    let is_name = (1..=SUBJECT_BYTES_MAX).contains(&subject.len());
    // Spaces and characters beyond ASCII look like others in lists, rules and records.
    if is_name && subject.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(subject);
    }
    Err(TokenFault::of(format!("`{name}` is no name of a subject: 1 to 255 visible characters of ASCII")))
}

fn roles(rules: &Rules, claims: &Members) -> Result<Vec<casemate_mcp::names::RoleName>, TokenFault> {
    let mut roles = rules.everyone.clone();
    let mut value = Some(claims.raw().clone());
    for name in &rules.roles_claim {
        value = value.and_then(|value| value.members()?.get(name));
    }
    let values = match value {
        Some(value) if !rules.roles_claim.is_empty() => texts(&value, "roles")?,
        _ => Vec::new(),
    };
    roles.extend(values.iter().filter_map(|value| rules.roles.get(value)).cloned());
    roles.sort_unstable();
    roles.dedup();
    Ok(roles)
}

/// `scope` (RFC 9068 section 2.2.3), or `scp`, which some issuers have instead: a text with spaces or a list.
fn scopes(claims: &Members) -> Result<Vec<String>, TokenFault> {
    let Some(value) = claims.get("scope").or_else(|| claims.get("scp")) else { return Ok(Vec::new()) };
    let texts = texts(&value, "scope")?;
    let scopes = texts.iter().flat_map(|text| text.split(' ')).filter(|scope| !scope.is_empty());
    let scopes = scopes.map(str::to_owned).collect::<Vec<_>>();
    if scopes.len() > VALUES_MAX { Err(TokenFault::of("it has too many scopes")) } else { Ok(scopes) }
}

/// A text, or a list of texts.
fn texts(value: &Raw, name: &str) -> Result<Vec<String>, TokenFault> {
    let fault = || TokenFault::of(format!("`{name}` is neither a text nor a list of texts"));
    if let Some(text) = value.string() {
        return Ok(vec![text.into_owned()]);
    }
    let elements = value.elements().ok_or_else(fault)?;
    if elements.len() > VALUES_MAX {
        return Err(TokenFault::of(format!("`{name}` has too many values")));
    }
    elements.iter().map(|element| element.string().map(|text| text.into_owned()).ok_or_else(fault)).collect()
}

/// A date: seconds since 1970, with or without a fraction (RFC 7519 section 2). A date that is none is no missing one.
fn time(claims: &Members, name: &str) -> Result<Option<u64>, TokenFault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let number = value.parse::<f64>().ok().filter(|number| (0.0..=TIME_MAX).contains(number));
    match number {
        // A fraction is cut off, which ends a token earlier and lets it begin earlier by less than a second.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
        Some(number) => Ok(Some(number as u64)),
        None => Err(TokenFault::of(format!("`{name}` is no date"))),
    }
}
