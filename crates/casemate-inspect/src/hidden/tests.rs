use proptest::prelude::*;

use super::*;

fn kinds(text: &str) -> (String, Vec<&'static str>) {
    let mut kinds = Vec::new();
    let out = removed(text, |hidden| kinds.push(hidden.as_str())).into_owned();
    (out, kinds)
}

#[track_caller]
fn stays(text: &str) {
    assert_eq!(kinds(text), (text.to_owned(), vec![]), "{}", text.escape_unicode());
}

#[track_caller]
fn becomes(text: &str, expected: &str, kind: &str) {
    let (out, kinds) = kinds(text);
    assert_eq!(out, expected, "{}", text.escape_unicode());
    assert!(!kinds.is_empty() && kinds.iter().all(|found| *found == kind), "{kinds:?}");
    stays(&out);
}

#[test]
fn terminal_sequences_go_as_a_whole() {
    becomes("a\u{1b}[2Jb", "ab", "terminal-escape");
    becomes("a\u{1b}[38;5;196mred\u{1b}[0m", "ared", "terminal-escape");
    becomes("\u{1b}]0;owned\u{7}rest", "rest", "terminal-escape");
    becomes("\u{1b}]8;;https://evil\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link", "terminal-escape");
    becomes("\u{1b}P1;1|17/ab\u{1b}\\x", "x", "terminal-escape");
    becomes("\u{9b}31mred", "red", "terminal-escape");
    becomes("\u{9d}0;title\u{9c}x", "x", "terminal-escape");
    becomes("a\u{1b}cb\u{1b}(Bc", "abc", "terminal-escape");
    becomes("broken \u{1b}[", "broken ", "terminal-escape");
    becomes("\u{1b}\u{1b}[31m[32m", "[32m", "terminal-escape");
}

#[test]
fn a_sequence_without_an_end_hides_nothing_of_what_follows() {
    becomes("\u{1b}]0;the whole rest", "0;the whole rest", "terminal-escape");
    becomes("\u{1b}[99999", "99999", "terminal-escape");
}

#[test]
fn controls_go_and_lines_stay() {
    becomes("a\0b\u{8}c\u{7f}d\u{85}e\u{c}", "abcde", "control-character");
    stays("tab\tline\nreturn\r\nprogress 10%\rprogress 20%\r");
}

#[test]
fn direction_is_not_turned() {
    becomes("\u{202e}txet desrever\u{202c}", "txet desrever", "bidi-control");
    becomes("if (\u{2066}admin\u{2069})", "if (admin)", "bidi-control");
    becomes("plain\u{200e} text\u{200f}", "plain text", "bidi-control");
    becomes("\u{5d0}\u{200f}\u{200e}\u{200f}b", "\u{5d0}\u{200f}b", "bidi-control");
    stays("\u{5e9}\u{5dc}\u{5d5}\u{5dd} C++\u{200f} \u{5d5}-\u{200e}C#\u{200e}");
    stays("\u{627}\u{644}\u{639}\u{631}\u{628}\u{64a}\u{629}\u{61c} 1\u{200f}");
}

#[test]
fn joiners_stay_where_they_join() {
    stays("\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}"); // Persian: "I want"
    stays("\u{647}\u{200d} \u{645}\u{64e}\u{200c}\u{646}"); // Arabic with marks
    stays("\u{0915}\u{094d}\u{200d}\u{0937} \u{0915}\u{094d}\u{200c}\u{0937}"); // Devanagari
    stays("\u{0d28}\u{0d4d}\u{200d} \u{0dc1}\u{0dca}\u{200d}\u{0dbb}\u{0dd3}"); // Malayalam, Sinhala
    stays("\u{0e01}\u{200b}\u{0e02} \u{1780}\u{200b}\u{1781}"); // Thai, Khmer
    becomes("gh\u{200b}p_\u{200d}x\u{200c}y\u{2060}z", "ghp_xyz", "zero-width");
    becomes("\u{645}\u{200c}\u{200d}\u{200c}\u{62e}", "\u{645}\u{200c}\u{62e}", "zero-width");
    becomes("a\u{feff}b", "ab", "zero-width");
    stays("\u{feff}a file with a mark at its beginning");
}

#[test]
fn every_emoji_stays() {
    for emoji in [
        "👩\u{200d}👩\u{200d}👧\u{200d}👦",
        "👩🏽\u{200d}🔬",
        "🏳\u{fe0f}\u{200d}🌈",
        "🏴\u{200d}☠\u{fe0f}",
        "👁\u{fe0f}\u{200d}🗨\u{fe0f}",
        "❤\u{fe0f}\u{200d}🔥",
        "🧑🏿\u{200d}❤\u{fe0f}\u{200d}💋\u{200d}🧑🏻",
        "🏃🏾\u{200d}♀\u{fe0f}\u{200d}➡\u{fe0f}",
        "🐻\u{200d}❄\u{fe0f}",
        "🇩🇪🇯🇵",
        "1\u{fe0f}\u{20e3}#\u{fe0f}\u{20e3}*\u{fe0f}\u{20e3}",
        "☎\u{fe0e}☎\u{fe0f}❤\u{fe0e}©\u{fe0f}™\u{fe0f}↔\u{fe0f}",
        "👍🏻👍🏿🫱🏽\u{200d}🫲🏾",
        "⛹🏽\u{200d}♂\u{fe0f}⛓\u{fe0f}\u{200d}💥",
    ] {
        stays(emoji);
        stays(&format!("before {emoji} after"));
    }
}

#[test]
fn flags_made_of_tags_lose_them() {
    let scotland = "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}";
    becomes(scotland, "🏴", "tag-character");
    becomes("x\u{e0001}\u{e0069}\u{e0067}y", "xy", "tag-character");
}

#[test]
fn selectors_stay_behind_what_they_select() {
    becomes("a\u{fe0f}b\u{fe00}", "ab", "variation-selector");
    becomes("😀\u{e0100}\u{e0150}\u{e01ef}", "😀", "variation-selector");
    becomes("😀\u{fe0f}\u{fe0f}\u{fe0e}", "😀\u{fe0f}", "variation-selector");
    becomes("7\u{fe0f} 7\u{fe0e}", "7 7", "variation-selector");
    stays("\u{845b}\u{e0100}\u{98fe}\u{533a}"); // Katsushika, as the ward writes it
    becomes("\u{845b}\u{e0100}\u{e0101}", "\u{845b}\u{e0100}", "variation-selector");
    becomes("\u{845b}\u{e0180}", "\u{845b}", "variation-selector");
    stays("\u{2229}\u{fe00} 0\u{fe00} \u{3001}\u{fe01} \u{1000}\u{fe00}");
}

#[test]
fn what_is_not_drawn_goes() {
    becomes("auto\u{ad}matic", "automatic", "invisible-character");
    becomes("x\u{2062}y\u{2064}z\u{206a}", "xyz", "invisible-character");
    becomes("\u{3164}\u{ffa0}\u{115f}a\u{1160}", "a", "invisible-character");
    becomes("\u{fff9}a\u{fffa}b\u{fffb}", "ab", "invisible-character");
    becomes("a\u{17b4}\u{34f}b\u{180e}\u{e0080}", "ab", "invisible-character");
    stays("\u{1100}\u{1160}\u{11a8} \u{115f}\u{1161}");
    stays("\u{1820}\u{180b}\u{1821}\u{180e}\u{1820}");
    stays("a\u{34f}\u{301}");
}

#[test]
fn texts_of_many_scripts_stay() {
    for text in [
        "Grüße, Ελλάδα, Привет, Հայերեն, ქართული",
        "中文字符，日本語の文章。한국어 문장",
        "ภาษาไทย ລາວ မြန်မာ ខ្មែរ བོད་ཡིག",
        "हिन्दी বাংলা தமிழ் తెలుగు ಕನ್ನಡ മലയാളം සිංහල",
        "עברית عَرَبِيّ فارسی اردو ܣܘܪܝܝܐ",
        "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, “quotes” – dash … \u{a0}\u{2009}\u{3000}",
        "\u{2028}\u{2029}\u{fffc}\u{fffd}\u{2800}",
    ] {
        stays(text);
    }
}

/// Text in which what is hidden is as frequent as what is not.
fn mixed() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "\u{1b}",
            "[",
            "]",
            "m",
            "0;",
            "\u{7}",
            "\u{9b}",
            "\u{9c}",
            "\u{9d}",
            "\u{200d}",
            "\u{200c}",
            "\u{200b}",
            "\u{fe0f}",
            "\u{fe00}",
            "\u{e0100}",
            "\u{e0041}",
            "\u{feff}",
            "😀",
            "❤",
            "🏽",
            "1",
            "\u{20e3}",
            "م",
            "क",
            "\u{200e}",
            "\u{200f}",
            "\u{202e}",
            "葛",
            "\u{34f}",
            "\u{301}",
            "\u{115f}",
            "\u{1161}",
            "\u{1160}",
            "\u{180b}",
            "\u{1820}",
            "\u{ad}",
            "a",
            "\r",
            "\n",
            "ก",
        ])
        .prop_map(ToOwned::to_owned),
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn once_is_enough(text in mixed()) {
        let (once, _) = kinds(&text);
        prop_assert_eq!(kinds(&once), (once, vec![]));
    }

    #[test]
    fn a_tag_an_escape_or_an_override_never_stays(text in mixed()) {
        let (out, _) = kinds(&text);
        let bad = |c: char| matches!(c, '\u{1b}' | '\u{e0000}'..='\u{e007f}' | '\u{202a}'..='\u{202e}')
            || (c.is_control() && !matches!(c, '\t' | '\n' | '\r'));
        prop_assert!(!out.chars().any(bad));
    }

    #[test]
    fn the_quick_look_sees_every_character_that_could_be_hidden(c in any::<char>(), before in "[a-z中]{0,70}") {
        let text = format!("{before}{c}");
        let found = next(text.as_bytes()).is_some();
        if removed(&text, |_| {}) != text {
            prop_assert!(found);
        }
    }
}
