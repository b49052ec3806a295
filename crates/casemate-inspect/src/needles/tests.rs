use proptest::prelude::*;

use super::*;

fn found(needles: &[(&str, Case)], text: &[u8]) -> Vec<(usize, usize)> {
    let needles =
        needles.iter().enumerate().map(|(at, (word, case))| Needle::new(word.as_bytes(), *case, at));
    let mut hits = Vec::new();
    Needles::new(needles.collect()).find(text, |hit| hits.push((hit.start, hit.of)));
    hits.sort_unstable();
    hits
}

#[test]
fn words_of_every_length_are_found_at_every_position() {
    let words = ["SG", "sk-", "ghp_", "AKIAI", "a much longer word, of forty letters at least"];
    for word in words {
        for before in 0..20 {
            for after in 0..12 {
                let text = format!("{}{word}{}", ".".repeat(before), ",".repeat(after));
                assert_eq!(found(&[(word, Case::Exact)], text.as_bytes()), [(before, 0)], "{text}");
            }
        }
    }
}

#[test]
fn case_matters_where_it_is_said_to() {
    let words = [("Token", Case::Exact), ("secret", Case::Ignored)];
    assert_eq!(found(&words, b"token Token TOKEN SECRET Secret"), [(6, 0), (18, 1), (25, 1)]);
}

#[test]
fn words_inside_one_another_are_all_found() {
    let words = [("abcd", Case::Exact), ("bcde", Case::Exact), ("abcdefgh", Case::Exact)];
    assert_eq!(found(&words, b"xabcdefghx"), [(1, 0), (1, 2), (2, 1)]);
}

proptest! {
    #[test]
    fn nothing_is_missed_and_nothing_invented(
        words in prop::collection::vec("[a-c_@\u{e9}]{1,9}", 1..8),
        text in "[a-cA-C_@`\u{e9}]{0,120}",
    ) {
        let needles: Vec<(&str, Case)> = words.iter().map(|word| (word.as_str(), Case::Exact)).collect();
        let mut expected: Vec<(usize, usize)> = Vec::new();
        for (index, word) in words.iter().enumerate().filter(|(_, word)| word.len() >= 2) {
            let starts = (0..text.len()).filter(|at| text.as_bytes()[*at..].starts_with(word.as_bytes()));
            expected.extend(starts.map(|at| (at, index)));
        }
        expected.sort_unstable();
        prop_assert_eq!(found(&needles, text.as_bytes()), expected);
    }
}
