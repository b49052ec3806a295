use super::*;

/// A made-up tail: the shape of a secret without being one.
const TAIL: &str = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8s9T0u1V";

#[test]
fn every_known_shape_is_seen_under_any_key() {
    for (prefix, length, whose) in PREFIXES {
        let value = format!("{prefix}{}", &TAIL[..*length]);
        assert_eq!(looks_like_secret("X", &value), Some(Reason::Shape(whose)), "{prefix}");
        assert_eq!(
            looks_like_secret("Authorization", &format!("Bearer {value}")),
            Some(Reason::Shape(whose))
        );
        assert_eq!(looks_like_secret("", &format!("--x={value}")), Some(Reason::Shape(whose)));
        let short = format!("{prefix}{}", &TAIL[..*length - 1]);
        assert_eq!(looks_like_secret("X", &short), None, "{prefix} alone is a word like any other");
    }
    for value in
        [format!("sk-proj-{TAIL}"), format!("eyJh.eyJz.{TAIL}"), "-----BEGIN RSA PRIVATE KEY-----\nx".into()]
    {
        assert!(matches!(looks_like_secret("X", &value), Some(Reason::Shape(_))), "{value}");
    }
}

#[test]
fn a_key_that_names_a_secret_makes_a_random_value_one() {
    for key in ["KEY", "OPENAI_KEY", "signing-key", "SECRET_VALUE", "BASIC_AUTH"] {
        assert_eq!(looks_like_secret(key, "0f3a9c2e7b5d4816"), Some(Reason::Key), "{key}");
        assert_eq!(looks_like_secret(key, "Basic dXNlcjpwYXNzd29yZA"), Some(Reason::Key), "{key}");
    }
    for key in ["MODEL", "MONKEY", "TOKENIZER", "API_KEY_FILE", "KEY_ID", "TOKEN_URL"] {
        assert_eq!(looks_like_secret(key, "0f3a9c2e7b5d4816"), None, "{key}");
    }
    for value in ["4096", "customer-name-ascending", "/run/secrets/token-1", "https://x.example/a1b2c3", ""] {
        assert_eq!(looks_like_secret("SORT_KEY", value), None, "{value}");
    }
}

#[test]
fn an_easy_token_was_written_into_the_file_because_its_letters_looked_plain() {
    for key in [
        "API_TOKEN",
        "X-Api-Key",
        "apiKey",
        "OPENAI_API_KEY",
        "API_KEY_2",
        "AWS_SECRET_ACCESS_KEY",
        "Authorization",
        "clientSecret",
        "MY_PAT",
        "Cookie",
        "--token",
    ] {
        for value in ["hunter2hunter2", "abcdefgh1234", "correct horse", "Bearer opensesame"] {
            assert_eq!(looks_like_secret(key, value), Some(Reason::Name), "{key}={value}");
        }
        for value in ["", "true", "none", "4096", "/run/secrets/token-1", "https://x.example/a1b2c3"] {
            assert_eq!(looks_like_secret(key, value), None, "{key}={value}");
        }
    }
    for key in
        ["MAX_TOKENS", "TOKENIZER", "KEYBOARD", "SORT_KEY", "AUTH_MODE", "API_KEY_FILE", "TOKEN_URL", "PATH"]
    {
        assert_eq!(looks_like_secret(key, "abcdefgh1234"), None, "{key}");
    }
}

#[test]
fn passwords_need_not_be_random() {
    for value in ["hunter2", "postgres", "12345"] {
        assert_eq!(looks_like_secret("DB_PASSWORD", value), Some(Reason::Name), "{value}");
    }
    for value in ["", "true", "Required", "12", "/run/secrets/db"] {
        assert_eq!(looks_like_secret("DB_PASSWORD", value), None, "{value}");
    }
    assert_eq!(looks_like_secret("DATABASE", "postgres://me:pw@db/x"), Some(Reason::Password));
    for value in ["postgres://me@db/x", "https://x.example/a:b@c", "me:pw@db", "https://db:5432/"] {
        assert_eq!(looks_like_secret("DATABASE", value), None, "{value}");
    }
}

#[test]
fn arguments_and_addresses_are_searched() {
    let arguments = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        in_arguments(&arguments(&["-y", "x@1", "--api-key", "0f3a9c2e7b5d4816"])),
        Some((3, Reason::Name))
    );
    assert_eq!(in_arguments(&arguments(&["--password=hunter2"])), Some((0, Reason::Name)));
    assert_eq!(
        in_arguments(&arguments(&["-y", "@scope/name@1.2.3", "/data", "--verbose", "a1b2c3d4e5f6g7h8"])),
        None
    );
    assert_eq!(in_url("https://x.example/mcp?api_key=0f3a9c2e7b5d4816"), Some(Reason::Name));
    assert!(matches!(in_url(&format!("https://x.example/ghp_{TAIL}/mcp")), Some(Reason::Shape(_))));
    assert_eq!(in_url("https://u:p@x.example/mcp"), Some(Reason::Password));
    assert_eq!(in_url("https://x.example/mcp?page=2"), None);
}

#[test]
fn no_message_quotes_a_value() {
    let value = format!("ghp_{TAIL}");
    let reason = looks_like_secret("X", &value).unwrap();
    assert!(!reason.to_string().contains(&value[4..8]));
}
