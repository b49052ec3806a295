//! The table of tokens that are refused. Each is a good one with one thing wrong, and the good one is accepted.

use super::*;

/// A case: what is wrong, the token, and a part of the private reason.
type Case = (&'static str, String, &'static str);

fn es256(header: &str, claims: &str) -> String {
    signer().token(Algorithm::Es256, header, claims)
}

/// A good token but for its header.
fn with_header(header: &str) -> String {
    es256(header, CLAIMS)
}

/// A good token but for something that is said in its body, or not said.
fn with(from: &str, to: &str) -> String {
    assert!(CLAIMS.contains(from), "{from}");
    es256(&header(Algorithm::Es256), &CLAIMS.replace(from, to))
}

fn unsigned(header: &str) -> String {
    format!("{}.{}.", encoded(header.as_bytes()), encoded(CLAIMS.as_bytes()))
}

/// A token whose "secret" is what is public of a key: the confusion of keys.
fn confused(secret: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let header = encoded(br#"{"alg":"HS256","kid":"rsa","typ":"at+jwt"}"#);
    let signed = format!("{header}.{}", encoded(CLAIMS.as_bytes()));
    let tag = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", encoded(tag.as_ref()))
}

fn algorithms() -> Vec<Case> {
    let set = signer().set();
    let jwk = signer().jwk(Algorithm::Rs256, "");
    let mut cases = vec![
        ("alg none", unsigned(r#"{"alg":"none"}"#), "algorithm"),
        ("alg None", unsigned(r#"{"alg":"None"}"#), "algorithm"),
        ("alg NONE", unsigned(r#"{"alg":"NONE"}"#), "algorithm"),
        ("alg nOnE with a signature", with_header(r#"{"alg":"nOnE","kid":"es256"}"#), "algorithm"),
        ("alg none with a kid", unsigned(r#"{"alg":"none","kid":"es256","typ":"at+jwt"}"#), "algorithm"),
        ("alg empty", with_header(r#"{"alg":"","kid":"es256"}"#), "algorithm"),
        ("alg missing", with_header(r#"{"kid":"es256"}"#), "algorithm"),
        ("alg null", with_header(r#"{"alg":null,"kid":"es256"}"#), "algorithm"),
        ("alg a list", with_header(r#"{"alg":["ES256"],"kid":"es256"}"#), "algorithm"),
        ("alg a number", with_header(r#"{"alg":256,"kid":"es256"}"#), "algorithm"),
        ("alg in lower case", with_header(r#"{"alg":"es256","kid":"es256"}"#), "algorithm"),
        ("alg with a space", with_header(r#"{"alg":"ES256 ","kid":"es256"}"#), "algorithm"),
        ("alg with a NUL", with_header(r#"{"alg":"ES256\u0000","kid":"es256"}"#), "algorithm"),
        ("alg twice", with_header(r#"{"alg":"none","alg":"ES256","kid":"es256"}"#), "twice"),
        ("alg twice, escaped", with_header(r#"{"alg":"ES256","\u0061lg":"none","kid":"es256"}"#), "twice"),
        ("alg ES256K", with_header(r#"{"alg":"ES256K","kid":"es256"}"#), "algorithm"),
        ("alg ES512", with_header(r#"{"alg":"ES512","kid":"es256"}"#), "algorithm"),
        ("alg of another key", with_header(r#"{"alg":"EdDSA","kid":"es256"}"#), "known"),
        ("alg RS256 over a curve's key", with_header(r#"{"alg":"RS256","kid":"es256"}"#), "known"),
        ("HS256 with the set of keys as secret", confused(set.as_bytes()), "algorithm"),
        ("HS256 with the key as secret", confused(jwk.as_bytes()), "algorithm"),
        ("HS256 with nothing as secret", confused(b""), "algorithm"),
    ];
    for name in ["HS384", "HS512", "RS384", "RS512", "PS384", "PS512", "A128KW", "dir", "Ed25519"] {
        cases.push((
            "an algorithm that does not count",
            with_header(&format!(r#"{{"alg":"{name}"}}"#)),
            "algorithm",
        ));
    }
    cases
}

fn headers() -> Vec<Case> {
    let with = |rest: &str| with_header(&format!(r#"{{"alg":"ES256","kid":"es256",{rest}}}"#));
    let other = Signer::new();
    let own_key = other.jwk(Algorithm::Es256, "");
    let jwk = format!(r#"{{"alg":"ES256","jwk":{own_key}}}"#);
    let long = "x".repeat(257);
    vec![
        ("jwk of the sender", other.token(Algorithm::Es256, &jwk, CLAIMS), "`jwk`"),
        ("jwk beside a good signature", with(&format!(r#""jwk":{own_key}"#)), "`jwk`"),
        ("jku", with(r#""jku":"https://evil.example/jwks""#), "`jku`"),
        ("jku of the issuer itself", with(r#""jku":"https://issuer.example/jwks""#), "`jku`"),
        ("x5u", with(r#""x5u":"https://evil.example/pem""#), "`x5u`"),
        ("x5c", with(r#""x5c":["MIIB"]"#), "`x5c`"),
        ("crit", with(r#""crit":["exp"],"exp":1"#), "`crit`"),
        ("crit empty", with(r#""crit":[]"#), "`crit`"),
        ("b64 false", with(r#""b64":false"#), "`b64`"),
        ("zip", with(r#""zip":"DEF""#), "`zip`"),
        ("enc", with(r#""enc":"A128GCM""#), "`enc`"),
        ("a nested token", with(r#""cty":"JWT""#), "`cty`"),
        ("typ of a proof", with(r#""typ":"dpop+jwt""#), "type"),
        ("typ of a logout", with(r#""typ":"logout+jwt""#), "type"),
        ("typ of a request", with(r#""typ":"oauth-authz-req+jwt""#), "type"),
        ("typ of an ID-JAG", with(r#""typ":"oauth-id-jag+jwt""#), "type"),
        ("typ of a security event", with(r#""typ":"secevent+jwt""#), "type"),
        ("typ empty", with(r#""typ":"""#), "type"),
        ("typ a list", with(r#""typ":["at+jwt"]"#), "type"),
        ("typ null", with(r#""typ":null"#), "type"),
        ("kid unknown", with_header(r#"{"alg":"ES256","kid":"other"}"#), "known"),
        ("kid a path", with_header(r#"{"alg":"ES256","kid":"../../../../dev/null"}"#), "known"),
        ("kid SQL", with_header(r#"{"alg":"ES256","kid":"x' UNION SELECT 'key"}"#), "known"),
        ("kid an address", with_header(r#"{"alg":"ES256","kid":"https://evil.example/"}"#), "known"),
        ("kid a command", with_header(r#"{"alg":"ES256","kid":"|/bin/sh"}"#), "known"),
        ("kid in another case", with_header(r#"{"alg":"ES256","kid":"ES256"}"#), "known"),
        ("kid with a NUL", with_header(r#"{"alg":"ES256","kid":"es256\u0000"}"#), "known"),
        ("kid empty", with_header(r#"{"alg":"ES256","kid":""}"#), "known"),
        ("kid a number", with_header(r#"{"alg":"ES256","kid":1}"#), "`kid`"),
        ("kid null", with_header(r#"{"alg":"ES256","kid":null}"#), "`kid`"),
        ("kid a list", with_header(r#"{"alg":"ES256","kid":["es256"]}"#), "`kid`"),
        ("kid too long", with_header(&format!(r#"{{"alg":"ES256","kid":"{long}"}}"#)), "`kid`"),
        ("kid of another algorithm", with_header(r#"{"alg":"ES256","kid":"rsa"}"#), "known"),
        ("kid twice", with_header(r#"{"alg":"ES256","kid":"x","kid":"es256"}"#), "twice"),
        ("header a list", with_header("[]"), "header"),
        ("header null", with_header("null"), "header"),
        ("header empty", with_header(""), "header"),
        ("header with more behind", with_header(r#"{"alg":"ES256","kid":"es256"}{}"#), "header"),
        ("header not closed", with_header(r#"{"alg":"ES256","kid":"es256""#), "header"),
        ("header with a byte order mark", with_header("\u{feff}{\"alg\":\"ES256\"}"), "header"),
        ("header too deep", with(&format!(r#""x":{}{}"#, "[".repeat(64), "]".repeat(64))), "nested"),
    ]
}

fn names() -> Vec<Case> {
    let aud = format!(r#""aud":"{RESOURCE}""#);
    let wide = format!(r#""aud":[{}"{RESOURCE}"]"#, r#""x","#.repeat(1024));
    vec![
        ("iss another", with("https://issuer.example", "https://evil.example"), "another issuer"),
        ("iss with a slash", with("issuer.example\"", "issuer.example/\""), "another issuer"),
        ("iss in another case", with("https://issuer", "https://Issuer"), "another issuer"),
        ("iss with its port", with("issuer.example\"", "issuer.example:443\""), "another issuer"),
        ("iss over http", with("https://issuer", "http://issuer"), "another issuer"),
        ("iss longer", with("issuer.example\"", "issuer.example.evil.net\""), "another issuer"),
        ("iss with a space", with("https://issuer", " https://issuer"), "another issuer"),
        ("iss missing", with(r#""iss":"https://issuer.example","#, ""), "issuer"),
        ("iss a list", with(r#""https://issuer.example""#, r#"["https://issuer.example"]"#), "issuer"),
        ("iss null", with(r#""https://issuer.example""#, "null"), "issuer"),
        ("iss twice", with(r#""sub":"#, r#""iss":"https://evil.example","sub":"#), "twice"),
        ("aud another", with(&aud, r#""aud":"https://other.example/mcp""#), "somebody else"),
        (
            "aud another endpoint",
            with(&aud, r#""aud":"https://gateway.example/servers/x/mcp""#),
            "somebody else",
        ),
        ("aud the origin alone", with(&aud, r#""aud":"https://gateway.example""#), "somebody else"),
        ("aud with a slash", with(&aud, r#""aud":"https://gateway.example/mcp/""#), "somebody else"),
        ("aud in another case", with(&aud, r#""aud":"https://GATEWAY.example/mcp""#), "somebody else"),
        ("aud longer", with(&aud, r#""aud":"https://gateway.example/mcp.evil""#), "somebody else"),
        ("aud with the port", with(&aud, r#""aud":"https://gateway.example:443/mcp""#), "somebody else"),
        ("aud a star", with(&aud, r#""aud":"*""#), "somebody else"),
        ("aud empty", with(&aud, r#""aud":"""#), "somebody else"),
        ("aud an empty list", with(&aud, r#""aud":[]"#), "somebody else"),
        ("aud missing", with(&aud, r#""x":1"#), "somebody else"),
        ("aud null", with(&aud, r#""aud":null"#), "`aud`"),
        ("aud a number", with(&aud, r#""aud":1"#), "`aud`"),
        ("aud an object", with(&aud, &format!(r#""aud":{{"a":"{RESOURCE}"}}"#)), "`aud`"),
        ("aud a list with more than texts", with(&aud, &format!(r#""aud":["{RESOURCE}",1]"#)), "`aud`"),
        ("aud too many", with(&aud, &wide), "`aud`"),
        ("aud twice", with(&aud, &format!(r#""aud":"x",{aud}"#)), "twice"),
    ]
}

fn dates() -> Vec<Case> {
    vec![
        ("expired by no second", with("2000", "1500"), "expired"),
        ("expired by a second", with("2000", "1499"), "expired"),
        ("expired by a fraction", with("2000", "1499.999"), "expired"),
        ("expired long ago", with("2000", "0"), "expired"),
        ("exp missing", with(r#""exp":2000,"#, ""), "never ends"),
        ("exp null", with("2000", "null"), "no date"),
        ("exp a text", with("2000", r#""2000""#), "no date"),
        ("exp a list", with("2000", "[2000]"), "no date"),
        ("exp true", with("2000", "true"), "no date"),
        ("exp below zero", with("2000", "-1"), "no date"),
        ("exp without end", with("2000", "1e400"), ""),
        ("exp beyond every calendar", with("2000", "1e300"), "no date"),
        ("exp in milliseconds", with("2000", "1500000000000"), "no date"),
        ("exp twice", with(r#""exp":2000"#, r#""exp":1,"exp":2000"#), "twice"),
        ("exp twice, escaped", with(r#""exp":2000"#, r#""e\u0078p":2000,"exp":1"#), "twice"),
        ("nbf in a second", with(r#""nbf":1000"#, r#""nbf":1501"#), "`nbf`"),
        ("nbf a text", with(r#""nbf":1000"#, r#""nbf":"1000""#), "no date"),
        ("nbf null", with(r#""nbf":1000"#, r#""nbf":null"#), "no date"),
        ("iat in a second", with(r#""iat":1000"#, r#""iat":1501"#), "`iat`"),
        ("iat a text", with(r#""iat":1000"#, r#""iat":"now""#), "no date"),
    ]
}

fn claims() -> Vec<Case> {
    let deep = format!(r#""deep":{}{},"exp":2000"#, "[".repeat(64), "]".repeat(64));
    let roles = format!(r#""groups":[{}"staff"]"#, r#""x","#.repeat(1024));
    let long = format!(r#""sub":"{}""#, "a".repeat(256));
    vec![
        ("sub missing", with(r#""sub":"alice","#, ""), "`sub`"),
        ("sub empty", with("alice", ""), "`sub`"),
        ("sub a number", with(r#""alice""#, "7"), "`sub`"),
        ("sub null", with(r#""alice""#, "null"), "`sub`"),
        ("sub with a space", with("alice", "ali ce"), "`sub`"),
        ("sub with a line", with("alice", r"ali\nce"), "`sub`"),
        ("sub with a NUL", with("alice", r"alice\u0000"), "`sub`"),
        ("sub that looks like another", with("alice", r"\u0430lice"), "`sub`"),
        ("sub too long", with(r#""sub":"alice""#, &long), "`sub`"),
        ("sub twice", with(r#""sub":"#, r#""sub":"bob","sub":"#), "twice"),
        ("scope a number", with(r#""mcp:read mcp:write""#, "7"), "`scope`"),
        ("roles too many", with(r#""groups":["staff","odd"]"#, &roles), "`roles`"),
        ("roles with more than texts", with(r#""odd""#, "7"), "`roles`"),
        ("bound to a key", with(r#""sub":"#, r#""cnf":{"jkt":"x"},"sub":"#), "bound"),
        ("bound to a certificate", with(r#""sub":"#, r#""cnf":{"x5t#S256":"x"},"sub":"#), "bound"),
        ("body too deep", with(r#""exp":2000"#, &deep), "nested"),
        ("body a list", es256(&header(Algorithm::Es256), "[]"), "body"),
        ("body a text", es256(&header(Algorithm::Es256), r#""alice""#), "body"),
        ("body empty", es256(&header(Algorithm::Es256), ""), "body"),
        ("body with half a surrogate", with("alice", r"\ud800"), "surrogate"),
    ]
}

fn texts() -> Vec<Case> {
    let good = es256(&header(Algorithm::Es256), CLAIMS);
    let parts = good.split('.').collect::<Vec<_>>();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let others = Signer::new().token(Algorithm::Es256, &header(Algorithm::Es256), CLAIMS);
    let bob = encoded(CLAIMS.replace("alice", "bob").as_bytes());
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let zeros = encoded(&[0; 64]);
    let mut flipped = raw.clone();
    flipped[10] ^= 1;
    let huge = es256(&header(Algorithm::Es256), &CLAIMS.replace("alice", &"a".repeat(16 * 1024)));
    vec![
        ("nothing", String::new(), "three parts"),
        ("dots", "..".to_owned(), ""),
        ("two parts", format!("{head}.{body}"), "three parts"),
        ("four parts", format!("{good}."), "three parts"),
        ("five parts", format!("{head}.{body}.{signature}.x.y"), "three parts"),
        ("no signature", format!("{head}.{body}."), "malformed"),
        ("half a signature", format!("{head}.{body}.{}", &signature[..40]), "signature"),
        ("a signature of zeros", format!("{head}.{body}.{zeros}"), "signature is wrong"),
        (
            "a signature with a bit flipped",
            format!("{head}.{body}.{}", encoded(&flipped)),
            "signature is wrong",
        ),
        (
            "a signature and more",
            format!("{head}.{body}.{}", encoded(&[&raw[..], &[0]].concat())),
            "signature is wrong",
        ),
        ("a signature with padding", format!("{good}=="), "malformed"),
        ("a signature in the other base64", format!("{head}.{body}.+/{}", &signature[2..]), "malformed"),
        ("a signature with a space", format!("{good} "), "malformed"),
        ("a signature with a line", format!("{good}\n"), "malformed"),
        ("a signature too long", format!("{head}.{body}.{}", encoded(&[1; 513])), "malformed"),
        ("somebody else's signature", others, "signature is wrong"),
        ("another body under the signature", format!("{head}.{bob}.{signature}"), "signature is wrong"),
        (
            "another header under the signature",
            format!("{}.{body}.{signature}", encoded(br#"{"alg":"ES256","kid":"es256"}"#)),
            "signature is wrong",
        ),
        ("the body for the header", format!("{body}.{head}.{signature}"), "algorithm"),
        ("no base64", format!("{head}.{body}!.{signature}"), "base64url"),
        ("letters beyond ASCII", format!("{head}.ä{body}.{signature}"), "base64url"),
        ("no UTF-8", format!("{head}.{}.{signature}", encoded(b"{\"iss\":\"\xff\"}")), "UTF-8"),
        ("too long", huge, "too long"),
        ("an endless text", "a".repeat(1 << 20), "too long"),
        ("an endless row of dots", ".".repeat(16 * 1024), "three parts"),
    ]
}

fn all() -> Vec<Case> {
    [algorithms(), headers(), names(), dates(), claims(), texts()].concat()
}

#[test]
fn the_good_one_is_good() {
    judged(&rules(), &es256(&header(Algorithm::Es256), CLAIMS)).expect("accepted");
    judged(&rules(), &with("alice", "alice")).expect("accepted");
    judged(&rules(), &with_header(r#"{"alg":"ES256","kid":"es256"}"#)).expect("accepted");
}

#[test]
fn each_bad_one_is_refused_for_what_is_wrong_with_it() {
    let cases = all();
    assert!(cases.len() >= 150, "{}", cases.len());
    for (what, token, why) in &cases {
        let fault = judged(&rules(), token).expect_err(what);
        assert!(fault.to_string().contains(why), "{what}: {fault}");
    }
}

#[test]
fn no_reason_repeats_what_the_token_says() {
    for (what, token, _) in all() {
        let fault = judged(&rules(), &token).expect_err(what);
        let told = format!("{fault} {fault:?}");
        for secret in ["alice", "evil", "mcp:write", "/bin/sh", "UNION"] {
            assert!(!told.contains(secret), "{what}: {told}");
        }
        for part in token.split('.').filter(|part| part.len() > 20) {
            assert!(!told.contains(part), "{what}");
        }
    }
}
