//! What of a request belongs to the exchange of messages and not to the call: a call that is sent again with the reply to
//! a question is still the same call.

use casemate_mcp::json::{Members, Raw};
use sha2::{Digest, Sha256};

/// Members of the params that belong to the exchange.
pub(super) const EXCHANGE: [&str; 3] = ["_meta", "inputResponses", "requestState"];

/// The params of the call itself.
pub(super) fn bare(params: &Members) -> Raw {
    EXCHANGE.into_iter().fold(params.edit(), |edit, name| edit.remove(name)).finish()
}

/// The state that a request brings back.
pub(super) fn state(params: &Members) -> Option<String> {
    params.string("requestState")
}

/// What stands for the params of the call itself, in whichever order they are written.
pub(super) fn digest(params: &Members) -> [u8; 32] {
    let mut own: Vec<_> = params.iter().filter(|(name, _)| !EXCHANGE.contains(&&**name)).collect();
    own.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut hash = Sha256::new();
    hash.update("params");
    for (name, value) in own {
        for part in [name.as_bytes(), value.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use casemate_mcp::json::Limits;

    #[test]
    fn a_retry_is_the_same_call_and_another_argument_is_not() {
        let of = |text: &'static str| digest(&Members::check(text.into(), &Limits::default()).unwrap());
        let first = of(r#"{"name":"a","arguments":{"x":1},"_meta":{"progressToken":1}}"#);
        assert_eq!(first, of(r#"{"arguments":{"x":1},"name":"a","requestState":"s","inputResponses":{}}"#));
        assert_ne!(first, of(r#"{"name":"a","arguments":{"x":2}}"#));
        assert_ne!(first, of(r#"{"name":"a","arguments":{"x":1},"more":1}"#));
        assert_ne!(of(r#"{"ab":"c"}"#), of(r#"{"a":"bc"}"#));
    }
}
