use super::*;

#[test]
fn distances_count_slips() {
    for (left, right, expected) in [
        ("", "", 0),
        ("a", "", 1),
        ("", "ab", 2),
        ("kitten", "sitting", 3),
        ("timeuot", "timeout", 1),
        ("ab", "ba", 1),
    ] {
        assert_eq!(distance(left, right), expected, "{left} {right}");
    }
}

#[test]
fn the_nearest_key_is_found_and_a_far_one_is_not() {
    let keys = ["command", "args", "env", "enabled", "timeout"];
    for (typed, expected) in [
        ("comand", Some("command")),
        ("timeuot", Some("timeout")),
        ("ENABLED", Some("enabled")),
        ("arg", Some("args")),
        ("evn", Some("env")),
        ("wholly_different", None),
        ("x", None),
    ] {
        assert_eq!(nearest(typed, keys), expected, "{typed}");
    }
}

#[test]
fn quotes_are_short_and_on_one_line() {
    assert_eq!(quoted("a\nb\u{1b}"), r#""a\nb\u{1b}""#);
    assert_eq!(quoted(&"x".repeat(61)).chars().count(), 63);
}
