//! What scripts and emoji need, as far as it takes to tell their invisible characters from hidden ones.
//!
//! Blocks rather than exact sets: a script's block is more than its letters, and the difference hides nothing.

fn within(c: char, ranges: &[(u32, u32)]) -> bool {
    let code = u32::from(c);
    let at = ranges.partition_point(|(_, end)| *end < code);
    ranges.get(at).is_some_and(|(start, _)| *start <= code)
}

/// A picture that can be an emoji, alone or as a part of one (Unicode's `Extended_Pictographic`, whose set is closed).
pub(super) fn is_pictograph(c: char) -> bool {
    within(c, PICTOGRAPHS)
}

/// A skin tone.
pub(super) fn is_modifier(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

/// A letter or mark of a script in whose words joiners decide on shapes.
pub(super) fn uses_joiners(c: char) -> bool {
    within(c, JOINED) && !matches!(c, '\u{61c}' | '\u{600}'..='\u{605}' | '\u{660}'..='\u{669}')
}

/// A letter of a script that is written without spaces between words.
pub(super) fn has_no_spaces(c: char) -> bool {
    within(c, SPACELESS)
}

/// A letter that is read from right to left.
pub(super) fn is_right_to_left(c: char) -> bool {
    within(c, RIGHT_TO_LEFT) && c != '\u{61c}'
}

/// A Han ideograph.
pub(super) fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}')
}

/// A combining mark that can be reordered.
pub(super) fn is_mark(c: char) -> bool {
    within(c, MARKS)
}

/// A vowel of conjoining Hangul.
pub(super) fn is_jamo_vowel(c: char) -> bool {
    matches!(c, '\u{1161}'..='\u{11a7}')
}

/// A musical symbol that is drawn.
pub(super) fn is_musical(c: char) -> bool {
    matches!(c, '\u{1d100}'..='\u{1d172}' | '\u{1d17b}'..='\u{1d1ff}')
}

/// Whether a character has the variant that one of the first fourteen selectors asks for.
pub(super) fn is_standard_variant(c: char, selector: char) -> bool {
    let nth = u32::from(selector).saturating_sub(0xfe00) + 1;
    match c {
        '0' | '\u{2190}'..='\u{22ff}' | '\u{2a00}'..='\u{2aff}' => nth == 1,
        '\u{3001}' | '\u{3002}' | '\u{ff01}' | '\u{ff0c}' | '\u{ff0e}' | '\u{ff1a}' | '\u{ff1b}'
        | '\u{ff1f}' | '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' => nth <= 2,
        '\u{1000}'..='\u{109f}' | '\u{a9e0}'..='\u{aa7f}' | '\u{a840}'..='\u{a87f}' => nth == 1,
        '\u{13000}'..='\u{1345f}' => nth <= 7,
        c if is_ideograph(c) => nth <= 3,
        _ => false,
    }
}

/// Arabic, Syriac, N'Ko, Mandaic; the scripts of India and their kin; Tibetan, Myanmar, Khmer, Mongolian; Adlam and
/// others. Sorted, as all tables here.
const JOINED: &[(u32, u32)] = &[
    (0x0600, 0x08FF),
    (0x0900, 0x0DFF),
    (0x0F00, 0x109F),
    (0x1700, 0x18AF),
    (0x1A20, 0x1AAF),
    (0x1B00, 0x1C4F),
    (0x1CD0, 0x1CFF),
    (0xA800, 0xA8FF),
    (0xA930, 0xA9DF),
    (0xAA00, 0xAAFF),
    (0xABC0, 0xABFF),
    (0xFB50, 0xFDFF),
    (0xFE70, 0xFEFC),
    (0x10A00, 0x10AFF),
    (0x10D00, 0x10D3F),
    (0x10F30, 0x10FDF),
    (0x11000, 0x11FFF),
    (0x1E900, 0x1E95F),
];

/// Thai, Lao, Tibetan, Myanmar, Khmer, Tai and Javanese scripts; Han, kana and their punctuation.
const SPACELESS: &[(u32, u32)] = &[
    (0x0E00, 0x0EFF),
    (0x0F00, 0x109F),
    (0x1780, 0x17FF),
    (0x1950, 0x19FF),
    (0x1A20, 0x1AAF),
    (0x1B00, 0x1B7F),
    (0x3001, 0x30FF),
    (0x3400, 0x9FFF),
    (0xA980, 0xA9FF),
    (0xAA60, 0xAADF),
    (0x20000, 0x3FFFF),
];

/// Hebrew, Arabic, Syriac, Thaana, N'Ko and the further blocks of that direction.
const RIGHT_TO_LEFT: &[(u32, u32)] =
    &[(0x0590, 0x08FF), (0xFB1D, 0xFDFF), (0xFE70, 0xFEFC), (0x10800, 0x10FFF), (0x1E800, 0x1EFFF)];

/// Latin, Greek, Cyrillic, Hebrew and Arabic marks, and those for symbols.
const MARKS: &[(u32, u32)] = &[
    (0x0300, 0x034E),
    (0x0350, 0x036F),
    (0x0483, 0x0489),
    (0x0591, 0x05C7),
    (0x0610, 0x061A),
    (0x064B, 0x065F),
    (0x0670, 0x0670),
    (0x06D6, 0x06ED),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE20, 0xFE2F),
];

const PICTOGRAPHS: &[(u32, u32)] = &[
    (0xA9, 0xA9),
    (0xAE, 0xAE),
    (0x203C, 0x203C),
    (0x2049, 0x2049),
    (0x2122, 0x2122),
    (0x2139, 0x2139),
    (0x2194, 0x2199),
    (0x21A9, 0x21AA),
    (0x231A, 0x231B),
    (0x2328, 0x2328),
    (0x2388, 0x2388),
    (0x23CF, 0x23CF),
    (0x23E9, 0x23F3),
    (0x23F8, 0x23FA),
    (0x24C2, 0x24C2),
    (0x25AA, 0x25AB),
    (0x25B6, 0x25B6),
    (0x25C0, 0x25C0),
    (0x25FB, 0x25FE),
    (0x2600, 0x2605),
    (0x2607, 0x2612),
    (0x2614, 0x2685),
    (0x2690, 0x2705),
    (0x2708, 0x2712),
    (0x2714, 0x2714),
    (0x2716, 0x2716),
    (0x271D, 0x271D),
    (0x2721, 0x2721),
    (0x2728, 0x2728),
    (0x2733, 0x2734),
    (0x2744, 0x2744),
    (0x2747, 0x2747),
    (0x274C, 0x274C),
    (0x274E, 0x274E),
    (0x2753, 0x2755),
    (0x2757, 0x2757),
    (0x2763, 0x2767),
    (0x2795, 0x2797),
    (0x27A1, 0x27A1),
    (0x27B0, 0x27B0),
    (0x27BF, 0x27BF),
    (0x2934, 0x2935),
    (0x2B05, 0x2B07),
    (0x2B1B, 0x2B1C),
    (0x2B50, 0x2B50),
    (0x2B55, 0x2B55),
    (0x3030, 0x3030),
    (0x303D, 0x303D),
    (0x3297, 0x3297),
    (0x3299, 0x3299),
    (0x1F000, 0x1F0FF),
    (0x1F10D, 0x1F10F),
    (0x1F12F, 0x1F12F),
    (0x1F16C, 0x1F171),
    (0x1F17E, 0x1F17F),
    (0x1F18E, 0x1F18E),
    (0x1F191, 0x1F19A),
    (0x1F1AD, 0x1F1E5),
    (0x1F201, 0x1F20F),
    (0x1F21A, 0x1F21A),
    (0x1F22F, 0x1F22F),
    (0x1F232, 0x1F23A),
    (0x1F23C, 0x1F23F),
    (0x1F249, 0x1F3FA),
    (0x1F400, 0x1F53D),
    (0x1F546, 0x1F64F),
    (0x1F680, 0x1F6FF),
    (0x1F774, 0x1F77F),
    (0x1F7D5, 0x1F7FF),
    (0x1F80C, 0x1F80F),
    (0x1F848, 0x1F84F),
    (0x1F85A, 0x1F85F),
    (0x1F888, 0x1F88F),
    (0x1F8AE, 0x1F8FF),
    (0x1F90C, 0x1F93A),
    (0x1F93C, 0x1F945),
    (0x1F947, 0x1FAFF),
    (0x1FC00, 0x1FFFD),
];
