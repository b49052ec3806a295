use proptest::prelude::*;

use super::*;

fn server(name: &str) -> ServerName {
    ServerName::parse(name).unwrap()
}

fn tool_matches(pattern: &str, name: &str) -> bool {
    Pattern::parse(pattern).unwrap().matches(&Resource::Tool(&server("git"), name))
}

#[test]
fn tools_are_selected_by_name() {
    for pattern in [
        "*",
        "git",
        "git/*",
        "*/*",
        "git/git_status",
        "*/git_status",
        "git/git_*",
        "git/*status",
        "git/g*_*s",
        "git/*t*t*",
        "git/git_status*",
    ] {
        assert!(tool_matches(pattern, "git_status"), "{pattern}");
    }
    for pattern in [
        "Git",
        "fs",
        "fs/*",
        "git/git_statu",
        "git/Git_status",
        "git/status*",
        "git/*git",
        "git/*s*s*s*",
        "git/git_status*s",
        "git/prompt:git_status",
        "git/resource:git_status",
    ] {
        assert!(!tool_matches(pattern, "git_status"), "{pattern}");
    }
}

#[test]
fn a_star_never_counts_a_character_twice() {
    assert!(!tool_matches("git/aba*ba", "aba"));
    assert!(tool_matches("git/aba*ba", "ababa"));
    assert!(tool_matches("git/a/*/c", "a/b/c"));
}

#[test]
fn prompts_and_resources_have_their_own_patterns() {
    let git = server("git");
    let prompt = Resource::Prompt(&git, "review");
    let resource = Resource::Resource(&git, "repo:///src/main.rs");
    for (pattern, expected) in [
        ("*", (true, true)),
        ("git", (true, true)),
        ("git/*", (true, true)),
        ("git/r*", (false, false)),
        ("git/prompt:*", (true, false)),
        ("git/prompt:rev*", (true, false)),
        ("git/resource:*", (false, true)),
        ("git/resource:repo:///src/*", (false, true)),
        ("git/resource:REPO:///s*", (false, false)),
        ("git/resource:repo:///doc/*", (false, false)),
    ] {
        let pattern = Pattern::parse(pattern).unwrap();
        assert_eq!((pattern.matches(&prompt), pattern.matches(&resource)), expected, "{pattern}");
    }
}

#[test]
fn what_is_not_a_pattern_is_refused_with_a_reason() {
    let long = format!("git/{}", "x".repeat(PATTERN_MAX));
    for (text, why) in [
        ("", "the pattern is empty"),
        ("git/", "the tool name is empty"),
        ("git/prompt:", "the prompt name is empty"),
        ("git/resource:", "the resource URI is empty"),
        ("git/**", "`**` means the same as `*`: write one star"),
        ("**", "the part before the first `/` is a server's whole name or a single `*`"),
        ("g*t", "the part before the first `/` is a server's whole name or a single `*`"),
        ("/tool", "the part before the first `/` is a server's whole name or a single `*`"),
        ("my git/x", "the part before the first `/` is a server's whole name or a single `*`"),
        ("git__x", "the part before the first `/` is a server's whole name or a single `*`"),
        ("git/ x", "the tool name has ' ', which nothing can match there"),
        ("git/x\u{7}y", "the tool name has '\\u{7}', which nothing can match there"),
        ("git/a*b*c*d*e*f*g*h*i*j", "the tool name has more than 8 stars"),
        ("git/resource:file:///a b", "the resource URI has ' ', which nothing can match there"),
        ("git/resource:file:///a/../b", "the resource URI has a `.` or `..` segment: write it resolved"),
        ("git/resource:file:///a/%2e./b", "the resource URI has a `.` or `..` segment: write it resolved"),
        (&long, "a pattern has at most 1024 bytes, this one has 1028"),
    ] {
        let fault = Pattern::parse(text).unwrap_err().to_string();
        assert!(fault.starts_with(why), "{text:?}: {fault}");
    }
}

/// What a glob means, written the slow and obvious way.
fn reference(glob: &[char], text: &[char]) -> bool {
    match glob.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|skip| reference(rest, &text[skip..])),
        Some((own, rest)) => text.first() == Some(own) && reference(rest, &text[1..]),
    }
}

proptest! {
    #[test]
    fn a_glob_means_what_the_reference_says(glob in "[ab*]{1,8}", text in "[ab]{0,10}") {
        let expected =
            reference(&glob.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>());
        prop_assert_eq!(Glob::of(&glob).matches(&text), expected);
    }

    #[test]
    fn parsing_never_panics_and_keeps_the_text(text in "\\PC{0,40}|[a-z]{1,3}/[a-z*:/.]{0,12}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            prop_assert_eq!(pattern.as_str(), text);
        }
    }
}
