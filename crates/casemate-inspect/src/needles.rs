//! Many words looked for in one pass.
//!
//! What a clean message costs is decided here, so the pass is made for the case that nothing is found: every second
//! position is looked at, three bytes at a time, in a table of bits that fits the fastest cache. Only where a bit is set
//! are words compared. An automaton (Aho-Corasick) steps through every byte, each step waiting for the one before:
//! measured on 1 MiB with 450 words it takes 2.7 times as long (docs/decisions/0015-inspection.md).

#[cfg(test)]
mod tests;

/// Positions that are looked at are so far apart.
const STRIDE: usize = 2;
/// Bytes of text that one look takes into account.
const GRAM: usize = 3;
/// A word of this length is found wherever it stands; a shorter one needs more places in the table.
const WHOLE_LENGTH: usize = GRAM + STRIDE - 1;
/// Words of the table, of 64 bits each: 8 KiB, a quarter of the fastest cache. With the 1,000 places of the built-in rules
/// one look in 64 goes further for nothing; many more words make that more looks, and nothing wrong.
const TABLE_WORDS: usize = 1024;
/// By what the hash of a gram is shifted to number a bit of the table.
const SHIFT: u32 = 32 - (TABLE_WORDS * 64).trailing_zeros();
/// Neighbors in the table that share one chain of places.
const BITS_PER_CHAIN: usize = 16;
/// Turns ASCII capitals into small letters, eight at a time. Other bytes meet others; the words are compared in the end.
const FOLD: u64 = 0x2020_2020_2020_2020;

/// Whether capitals matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// The word is found as it is written.
    Exact,
    /// ASCII letters are found in either case.
    Ignored,
}

/// A word to look for; `T` says what for.
#[derive(Clone)]
pub(crate) struct Needle<T> {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) case: Case,
    pub(crate) of: T,
}

/// A word that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit<T> {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) of: T,
}

/// Words to look for, all at once. Some are secrets, so none of this can be printed.
#[derive(Clone)]
pub(crate) struct Needles<T> {
    needles: Vec<Needle<T>>,
    /// Whether three bytes that hash to this bit can belong to a word.
    bits: Box<[u64; TABLE_WORDS]>,
    /// For each chain the first of its places, plus one; 0 when there is none.
    first: Vec<u32>,
    places: Vec<Place>,
}

/// Three bytes of a word.
#[derive(Debug, Clone, Copy)]
struct Place {
    gram: u32,
    needle: u32,
    /// Where in the word they stand; -1 when the first byte is any byte before it.
    offset: i32,
    /// The next place of the same chain, plus one.
    next: u32,
}

impl<T: Copy> Needles<T> {
    /// Words of two bytes at least; shorter ones would be found everywhere and are left out.
    pub(crate) fn new(needles: Vec<Needle<T>>) -> Needles<T> {
        let mut grams = Vec::new();
        for (index, needle) in needles.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            grams_of(&needle.bytes, |gram, offset| grams.push((gram, index, offset)));
        }
        let mut built = Needles {
            needles,
            bits: Box::new([0; TABLE_WORDS]),
            first: vec![0; TABLE_WORDS * 64 / BITS_PER_CHAIN],
            places: Vec::with_capacity(grams.len()),
        };
        grams.into_iter().for_each(|(gram, needle, offset)| built.place(gram, needle, offset));
        built
    }

    fn place(&mut self, gram: u32, needle: u32, offset: i32) {
        let hash = hash(gram);
        let Some(first) = self.first.get_mut(hash / BITS_PER_CHAIN) else { return };
        self.places.push(Place { gram, needle, offset, next: *first });
        *first = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        if let Some(word) = self.bits.get_mut(hash / 64) {
            *word |= 1 << (hash % 64);
        }
    }

    /// One bit, lowest, and whatever else above it.
    fn is_set(&self, gram: u32) -> u64 {
        let hash = hash(gram);
        // The remainder is the number itself; with it the compiler knows that the word is there.
        self.bits.get(hash / 64 % TABLE_WORDS).map_or(0, |word| word >> (hash % 64))
    }

    /// Tells of every word in the text, roughly in the order in which they begin.
    pub(crate) fn find(&self, text: &[u8], mut found: impl FnMut(Hit<T>)) {
        if self.places.is_empty() {
            return;
        }
        let mut at = 0;
        // Three looks for each eight bytes that are loaded.
        while let Some(eight) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            // Written out: mapped over an array this takes twice as long, since the array is made and taken apart.
            let word = u64::from_le_bytes(*eight) | FOLD;
            let (a, b, c) = (gram_of(word), gram_of(word >> 16), gram_of(word >> 32));
            if (self.is_set(a) | self.is_set(b) | self.is_set(c)) & 1 != 0 {
                for (nth, gram) in [a, b, c].into_iter().enumerate() {
                    if self.is_set(gram) & 1 != 0 {
                        self.look(text, (at + nth * STRIDE, gram), &mut found);
                    }
                }
            }
            at += 3 * STRIDE;
        }
        // The tail, with zeros behind it: no word has a zero byte, but for one that ends there.
        while at < text.len() {
            let rest = text.get(at..).unwrap_or_default();
            let mut four = [0; 4];
            four.iter_mut().zip(rest).take(GRAM).for_each(|(to, from)| *to = *from);
            let gram = (u32::from_le_bytes(four) | FOLD as u32) & 0xFF_FFFF;
            self.look(text, (at, gram), &mut found);
            at += STRIDE;
        }
    }

    fn look(&self, text: &[u8], (at, gram): (usize, u32), found: &mut impl FnMut(Hit<T>)) {
        let mut next = self.first.get(hash(gram) / BITS_PER_CHAIN).copied().unwrap_or(0);
        while let Some(place) = next.checked_sub(1).and_then(|index| self.places.get(index as usize)) {
            next = place.next;
            if place.gram != gram {
                continue;
            }
            let Some(needle) = self.needles.get(place.needle as usize) else { continue };
            let Some(start) = at.checked_add_signed(-(place.offset as isize)) else { continue };
            let end = start + needle.bytes.len();
            if text.get(start..end).is_some_and(|there| needle.is(there)) {
                found(Hit { start, end, of: needle.of });
            }
        }
    }
}

/// The number of the bit that stands for three bytes.
fn hash(gram: u32) -> usize {
    (gram.wrapping_mul(0x9E37_79B1) >> SHIFT) as usize
}

/// The first bytes of a word of the machine.
fn gram_of(word: u64) -> u32 {
    (word & 0xFF_FFFF) as u32
}

impl<T> Needle<T> {
    pub(crate) fn new(bytes: impl Into<Box<[u8]>>, case: Case, of: T) -> Needle<T> {
        Needle { bytes: bytes.into(), case, of }
    }

    fn is(&self, there: &[u8]) -> bool {
        match self.case {
            Case::Exact => {
                // The end first: a text that repeats itself tends to differ there.
                there.last() == self.bytes.last() && there == &*self.bytes
            }
            Case::Ignored => there.eq_ignore_ascii_case(&self.bytes),
        }
    }
}

/// The grams by which a word is found: one for each way in which it can stand to the positions that are looked at.
fn grams_of(bytes: &[u8], mut add: impl FnMut(u32, i32)) {
    let folded: Vec<u8> = bytes.iter().map(|byte| byte | 0x20).collect();
    let gram = |parts: [u8; 3]| u32::from_le_bytes([parts[0], parts[1], parts[2], 0]);
    let any = (0x20..=0xFF_u8).filter(|byte| byte & 0x20 != 0);
    match folded.as_slice() {
        [] | [_] => {}
        // A short word is found together with whatever stands beside it.
        [a, b] => any.for_each(|other| {
            add(gram([*a, *b, other]), 0);
            add(gram([other, *a, *b]), -1);
        }),
        [a, b, c] => {
            add(gram([*a, *b, *c]), 0);
            any.for_each(|other| add(gram([other, *a, *b]), -1));
        }
        long => {
            let grams: Vec<[u8; 3]> =
                long.windows(GRAM).filter_map(|gram| gram.first_chunk().copied()).collect();
            let pairs = grams.windows(STRIDE).enumerate();
            let rarest =
                pairs.max_by_key(|(_, pair)| pair.iter().flatten().map(|byte| rarity(*byte)).sum::<u32>());
            let start = rarest.map_or(0, |(start, _)| start);
            debug_assert!(long.len() >= WHOLE_LENGTH, "two grams fit");
            for offset in start..start + STRIDE {
                if let (Some(parts), Ok(place)) = (grams.get(offset), i32::try_from(offset)) {
                    add(gram(*parts), place);
                }
            }
        }
    }
}

/// How seldom a byte stands in texts and JSON, roughly.
fn rarity(byte: u8) -> u32 {
    match byte {
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' | b' ' | b'"' | b'l' => 0,
        b'h' | b'd' | b'c' | b'u' | b'm' | b'p' | b'f' | b'g' | b',' | b':' | b'.' | b'0' | b'1' => 2,
        b'w' | b'y' | b'b' | b'v' | b'k' | b'-' | b'/' | b'2'..=b'9' => 3,
        _ => 5,
    }
}
