use super::*;

fn good(rules: &Rules, claims: &str) -> Verified {
    let token = signer().token(Algorithm::EdDsa, &header(Algorithm::EdDsa), claims);
    judged(rules, &token).expect("accepted")
}

#[test]
fn every_algorithm() {
    for algorithm in Algorithm::ALL {
        let token = signer().token(algorithm, &header(algorithm), CLAIMS);
        let verified = judged(&rules(), &token).unwrap_or_else(|fault| panic!("{algorithm}: {fault}"));
        let expected = Verified {
            subject: "alice".to_owned(),
            roles: vec![role("user")],
            scopes: vec!["mcp:read".to_owned(), "mcp:write".to_owned()],
            audiences: vec![RESOURCE.to_owned()],
            expires: 2000,
        };
        assert_eq!(verified, expected, "{algorithm}");
        // The same signature counts under no other name.
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            let token = signer().token(algorithm, &header(other), CLAIMS);
            assert!(judged(&rules(), &token).is_err(), "{algorithm} as {other}");
            let only = Rules { algorithms: vec![other], ..rules() };
            let token = signer().token(algorithm, &header(algorithm), CLAIMS);
            assert!(judged(&only, &token).is_err(), "{algorithm} where only {other} counts");
        }
    }
}

#[test]
fn forms_of_headers_that_honest_issuers_use() {
    for header in [
        r#"{"alg":"EdDSA","kid":"eddsa"}"#,
        r#"{"typ":"JWT","alg":"EdDSA","kid":"eddsa"}"#,
        r#"{"typ":"application/at+jwt","alg":"EdDSA","kid":"eddsa","x5t":"abc","unknown":{"a":[1]}}"#,
        // Without a name where there is no choice.
        r#"{"alg":"EdDSA"}"#,
    ] {
        judged(&rules(), &signer().token(Algorithm::EdDsa, header, CLAIMS)).expect(header);
    }
}

#[test]
fn audiences_are_one_or_many() {
    let many = CLAIMS
        .replace(&format!("{RESOURCE:?}"), r#"["https://other.example","https://gateway.example/mcp"]"#);
    assert_eq!(good(&rules(), &many).audiences.len(), 2);
    let named = Rules { audiences: vec!["casemate".to_owned(), "second".to_owned()], ..rules() };
    good(&named, &CLAIMS.replace(RESOURCE, "second"));
    assert!(judged(&named, &signer().token(Algorithm::EdDsa, &header(Algorithm::EdDsa), CLAIMS)).is_err());
}

#[test]
fn dates_to_the_second() {
    let rules = |leeway_s| Rules { leeway_s, ..rules() };
    let at = |leeway_s: u64, now: u64| {
        let token = signer().token(Algorithm::EdDsa, &header(Algorithm::EdDsa), CLAIMS);
        rules(leeway_s).judge(&Jws::read(&token).unwrap(), &keys_of(signer()), (RESOURCE, now)).is_ok()
    };
    // It is good from 1000 on and until 2000, which is not part of it.
    for (leeway, now, is_good) in [
        (0, 999, false),
        (0, 1000, true),
        (0, 1999, true),
        (0, 2000, false),
        (0, 2001, false),
        (10, 989, false),
        (10, 990, true),
        (10, 2009, true),
        (10, 2010, false),
        (60, 2059, true),
        (60, 2060, false),
        // However large it is configured.
        (u64::MAX, 2059, true),
        (u64::MAX, 2060, false),
        (u64::MAX, 939, false),
        (0, u64::MAX, false),
    ] {
        assert_eq!(at(leeway, now), is_good, "leeway {leeway} at {now}");
    }
    good(&rules(0), &CLAIMS.replace("2000", "2000.9").replace("1000", "1.5e3"));
}

#[test]
fn roles_come_from_the_mapping_alone() {
    assert_eq!(good(&rules(), CLAIMS).roles, [role("user")]);
    let all = Rules { everyone: vec![role("user"), role("auditor")], ..rules() };
    assert_eq!(good(&all, CLAIMS).roles, [role("auditor"), role("user")]);
    let deep = Rules { roles_claim: vec!["realm".to_owned(), "roles".to_owned()], ..rules() };
    let nested = CLAIMS.replace(r#""groups":["staff","odd"]"#, r#""realm":{"roles":"staff"}"#);
    assert_eq!(good(&deep, &nested).roles, [role("user")]);
    for claims in [
        CLAIMS.to_owned(),
        CLAIMS.replace(r#""groups":["staff","odd"]"#, r#""realm":["roles"]"#),
        // The name of a role is no role where no entry says so.
        nested.replace("staff", "owner"),
        nested.replace("staff", "Staff"),
    ] {
        assert_eq!(good(&deep, &claims).roles, [], "{claims}");
    }
}

#[test]
fn scopes_in_the_forms_that_issuers_have() {
    for (form, scopes) in [
        (r#""scope":"a b""#, vec!["a", "b"]),
        (r#""scope":"""#, vec![]),
        (r#""scope":["a","b c"]"#, vec!["a", "b", "c"]),
        (r#""scp":["a","b"]"#, vec!["a", "b"]),
        (r#""scp":"a b""#, vec!["a", "b"]),
        (r#""x":1"#, vec![]),
    ] {
        let claims = CLAIMS.replace(r#""scope":"mcp:read mcp:write""#, form);
        assert_eq!(good(&rules(), &claims).scopes, scopes, "{form}");
    }
}

#[test]
fn required_scopes_are_named_to_whom_they_are_missing() {
    let needing = |scopes: &[&str]| Rules {
        required_scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
        ..rules()
    };
    good(&needing(&["mcp:read", "mcp:write"]), CLAIMS);
    let token = signer().token(Algorithm::EdDsa, &header(Algorithm::EdDsa), CLAIMS);
    let needed = vec!["mcp:read".to_owned(), "mcp:admin".to_owned()];
    assert_eq!(judged(&needing(&["mcp:read", "mcp:admin"]), &token), Err(TokenFault::Scope(needed)));
}

#[test]
fn another_claim_can_name_the_subject() {
    let by_mail = Rules { subject_claim: "email".to_owned(), ..rules() };
    assert_eq!(good(&by_mail, &CLAIMS.replace(r#""sub":"#, r#""email":"#)).subject, "alice");
}
