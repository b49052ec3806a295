use super::*;

fn read(text: &str) -> Result<KeySet, KeySetFault> {
    KeySet::read(&Bytes::from(text.to_owned()))
}

fn es256(rest: &str) -> String {
    signer().jwk(Algorithm::Es256, rest)
}

#[test]
fn sets_that_are_none() {
    let many = vec![es256(""); 65].join(",");
    let large = format!(r#"{{"keys":[{}],"x":"{}"}}"#, es256(""), "x".repeat(256 * 1024));
    let deep = format!(r#"{{"keys":[{}],"x":{}{}}}"#, es256(""), "[".repeat(40), "]".repeat(40));
    let twice = format!(r#"{{"keys":[],"keys":[{}]}}"#, es256(""));
    for text in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":"x"}"#,
        r#"{"keys":[]}"#,
        r#"{"keys":[1,null,"x"]}"#,
        "<html>",
        &large,
        &deep,
        &twice,
        &format!(r#"{{"keys":[{many}]}}"#),
    ] {
        assert!(read(text).is_err(), "{:?}", text.get(..60).unwrap_or(text));
    }
}

#[test]
fn keys_that_are_passed_over() {
    let short = r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned();
    let vast = format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, encoded(&[255; 513]));
    let padded =
        format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, encoded(&[&[0; 300][..], &[255; 100]].concat()));
    for odd in [
        r#"{"kty":"oct","k":"c2VjcmV0","kid":"a","alg":"HS256"}"#.to_owned(),
        r#"{"kty":"oct","k":"c2VjcmV0","kid":"a"}"#.to_owned(),
        short,
        vast,
        padded,
        es256(r#","use":"enc""#),
        es256(r#","use":1"#),
        es256(r#","key_ops":["sign"]"#),
        es256(r#","key_ops":"verify""#),
        es256(r#","alg":"ES384""#),
        es256(r#","alg":"HS256""#),
        es256(r#","alg":"none""#),
        es256(r#","alg":["ES256"]"#),
        es256(r#","kid":1"#),
        es256(&format!(r#","kid":"{}""#, "x".repeat(257))),
        es256("").replace("P-256", "secp256k1"),
        es256("").replace("P-256", "P-384"),
        es256("").replace(r#""y":"#, r#""z":"#),
        es256("").replace(r#""kty":"EC""#, r#""kty":"ec""#),
        signer().jwk(Algorithm::EdDsa, "").replace("Ed25519", "X25519"),
        signer().jwk(Algorithm::EdDsa, "").replace("Ed25519", "Ed448"),
        r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA"}"#.to_owned(),
        "[]".to_owned(),
    ] {
        assert_eq!(read(&format!(r#"{{"keys":[{odd}]}}"#)), Err(KeySetFault::Empty), "{odd}");
        // It does not lock out the others.
        let set =
            read(&format!(r#"{{"keys":[{odd},{}]}}"#, es256(r#","key_ops":["verify"]"#))).expect("a set");
        assert_eq!(set.len(), 1, "{odd}");
    }
}

#[test]
fn a_key_is_chosen_without_a_guess() {
    let set = |keys: &[String]| read(&format!(r#"{{"keys":[{}]}}"#, keys.join(","))).expect("a set");
    let (one, other) = (es256(r#","kid":"a""#), es256(r#","kid":"b""#));
    let both = set(&[one.clone(), other]);
    assert!(both.find(Algorithm::Es256, Some("b")).is_ok());
    assert_eq!(both.find(Algorithm::Es256, Some("c")), Err(TokenFault::UnknownKey));
    assert!(matches!(both.find(Algorithm::Es256, None), Err(TokenFault::Refused(_))));
    assert!(matches!(
        set(&[one.clone(), one]).find(Algorithm::Es256, Some("a")),
        Err(TokenFault::Refused(_))
    ));
    // The same name for keys of two kinds is no confusion.
    let kinds = set(&[es256(r#","kid":"a""#), signer().jwk(Algorithm::EdDsa, r#","kid":"a""#)]);
    assert!(
        kinds.find(Algorithm::Es256, Some("a")).is_ok() && kinds.find(Algorithm::EdDsa, Some("a")).is_ok()
    );
    assert_eq!(kinds.find(Algorithm::Rs256, Some("a")), Err(TokenFault::UnknownKey));
}
