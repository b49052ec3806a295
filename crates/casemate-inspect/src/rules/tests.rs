use super::*;

/// What a pack's rules find in a text, by rule.
fn found(rules: &[Arc<Rule>], text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let small = text.to_ascii_lowercase();
    for rule in rules {
        let mut windows = Windows::default();
        for word in &rule.keywords {
            small
                .match_indices(&word.to_ascii_lowercase())
                .for_each(|(at, _)| rule.widen(&mut windows, text.len(), at));
        }
        rule.matches(text, &windows, |found_at| {
            found.push((rule.id.to_string(), text[found_at.span].to_owned()))
        });
    }
    found
}

#[test]
fn a_word_that_is_looked_for_as_it_is_written_stands_so_in_its_pattern() {
    for rule in Pack::builtin().iter().filter(|rule| rule.case == Case::Exact) {
        assert!(!rule.pattern.text.contains("(?i"), "{}: its pattern ignores case", rule.id);
    }
}

#[test]
fn every_builtin_rule_can_be_used() {
    assert!(Pack::builtin().len() > 100, "a pack could not be read");
    for rule in Pack::builtin() {
        rule.compile().unwrap_or_else(|why| panic!("{}: {why}", rule.id));
    }
    let ids: std::collections::BTreeSet<&str> = Pack::builtin().iter().map(|rule| &*rule.id).collect();
    assert_eq!(ids.len(), Pack::builtin().len(), "two rules have one name");
}

#[test]
fn checksums_are_those_of_the_formats() {
    // From GitHub's public description of the format; the token was never valid.
    let token = concat!("ghp", "_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17");
    assert_eq!(Check::Crc32Base62.test(token.as_bytes()), check::Verdict::Holds);
    let other = token.replace("17", "18");
    assert_eq!(Check::Crc32Base62.test(other.as_bytes()), check::Verdict::Doubtful);
    for (check, good, bad) in [
        (Check::Luhn, "4111 1111 1111 1111", "4111 1111 1111 1112"),
        (Check::Iban, "DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 01"),
        (Check::Iban, "GB82WEST12345698765432", "GB82WEST1234569876543"),
        (Check::Ssn, "123-45-6789", "666-45-6789"),
        (Check::SpanishId, "12345678Z", "12345678A"),
        (Check::SpanishId, "X1234567L", "X1234567M"),
        (Check::Cpf, "529.982.247-25", "529.982.247-26"),
        (Check::Pesel, "44051401359", "44051401358"),
        (Check::GermanTaxId, "86095742719", "86095742718"),
    ] {
        assert_eq!(check.test(good.as_bytes()), check::Verdict::Holds, "{check:?} {good}");
        assert_eq!(check.test(bad.as_bytes()), check::Verdict::Fails, "{check:?} {bad}");
    }
}

const GITLEAKS: &str = r#"
title = "ours"
[extend]
useDefault = true
[allowlist]
paths = ["vendor"]
regexes = ["ALLOWED"]
[[rules]]
id = "inner"
description = "Keys of the inner service"
regex = '''(?i)inner[-_]key["']?\s*[:=]\s*["']?([a-z0-9]{20})\b'''
entropy = 3.0
secretGroup = 1
keywords = ["inner_key", "inner-key"]
tags = ["a"]
[[rules.allowlists]]
condition = "AND"
stopwords = ["sample"]
[[rules]]
id = "files"
path = '''\.p12$'''
[[rules]]
id = "everything"
regex = "[a-z]+"
"#;

#[test]
fn a_gitleaks_pack_is_read_and_what_is_not_understood_is_told() {
    let pack = Pack::parse(GITLEAKS).unwrap();
    assert_eq!(pack.rules.len(), 1);
    let told = pack.remarks.join("\n");
    for part in ["`extend`", "`paths`", "`condition`", "\"files\"", "no keywords"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let text = "inner_key = 'k3j5h2g7f8d9s0a1q4w6'";
    assert_eq!(found(&pack.rules, text), [("inner".to_owned(), "k3j5h2g7f8d9s0a1q4w6".to_owned())]);
    assert!(found(&pack.rules, "inner_key = 'aaaaaaaaaaaaaaaaaaaa'").is_empty(), "not random");
    assert!(found(&pack.rules, "inner_key = 'sampleg7f8d9s0a1q4w6'").is_empty(), "a stop word");
}

#[test]
fn a_pack_cannot_cost_more_than_it_may() {
    let bomb =
        |regex: &str| Pack::parse(&format!("[[rules]]\nid = \"b\"\nkeywords = [\"abc\"]\nregex = '{regex}'"));
    assert!(bomb("(a{1000}){1000}").unwrap_err().to_string().contains("MiB"), "too large");
    assert!(bomb(&"(".repeat(100)).is_err());
    assert!(bomb(&format!("{}a{}", "(".repeat(90), ")".repeat(90))).is_err(), "too deep");
    assert!(bomb(r"(?=x)").is_err(), "no look-around: time stays linear");
    assert!(Pack::parse(&"#".repeat(2 << 20)).is_err());
    assert!(
        Pack::parse("[[rules]]\nid = \"b\"\nkeywords = [\"a\"]\nregex = 'a'").is_err(),
        "a letter is no word"
    );
    assert!(Pack::parse("rules = 1").is_err());
}

#[test]
fn exponential_patterns_take_linear_time() {
    let pack = Pack::parse("[[rules]]\nid = \"b\"\nkeywords = [\"aaaa\"]\nregex = '(a+)+$x'").unwrap();
    assert!(found(&pack.rules, &"a".repeat(100_000)).is_empty());
}
