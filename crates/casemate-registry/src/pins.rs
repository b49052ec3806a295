//! What a definition is, in 32 bytes, and what changed between two of them.

mod difference;

use sha2::{Digest, Sha256};

pub use difference::{Difference, differences};

/// The fingerprint of a definition: SHA-256 of its canonical form (RFC 8785), so that another order of members or
/// another white space is the same definition, and anything that a model or a client could read differently is not.
///
/// A text that has no canonical form (one that is nested as deeply as messages may be) is taken as it stands; it can
/// only be told apart too often.
#[must_use]
pub fn fingerprint(definition: &[u8]) -> [u8; 32] {
    let canonical = serde_json::from_slice::<serde_json::Value>(definition)
        .ok()
        .and_then(|value| serde_json_canonicalizer::to_vec(&value).ok());
    let mut digest = Sha256::new();
    match canonical {
        Some(canonical) => digest.update(&canonical),
        // No canonical form begins like this.
        None => {
            digest.update(b"as it stands: ");
            digest.update(definition);
        }
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_the_same_is_the_same_and_nothing_else_is() {
        let one = fingerprint(br#"{"name":"a","description":"x","inputSchema":{"type":"object","n":1}}"#);
        for same in [
            r#"{ "inputSchema" : {"n":1.0,"type":"object"}, "description":"\u0078", "name":"a" }"#,
            r#"{"description":"x","inputSchema":{"n":1e0,"type":"object"},"name":"a"}"#,
        ] {
            assert_eq!(fingerprint(same.as_bytes()), one, "{same}");
        }
        for other in [
            r#"{"name":"a","description":"x ","inputSchema":{"type":"object","n":1}}"#,
            r#"{"name":"a","description":"x\u200b","inputSchema":{"type":"object","n":1}}"#,
            r#"{"name":"a","description":"x","inputSchema":{"type":"object","n":2}}"#,
            r#"{"name":"a","description":"x","inputSchema":{"type":"object","n":"1"}}"#,
            r#"{"name":"a","description":"x","inputSchema":{"type":"object","n":1},"_meta":{}}"#,
            r#"{"name":"A","description":"x","inputSchema":{"type":"object","n":1}}"#,
        ] {
            assert_ne!(fingerprint(other.as_bytes()), one, "{other}");
        }
    }

    #[test]
    fn what_is_nested_too_deeply_has_a_fingerprint_of_its_own() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        assert_ne!(fingerprint(deep.as_bytes()), fingerprint(b"null"));
        assert_ne!(fingerprint(deep.as_bytes()), fingerprint(format!("{deep} ").as_bytes()));
    }
}
