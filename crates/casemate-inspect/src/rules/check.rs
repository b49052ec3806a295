//! What a value has to satisfy beyond its pattern: checksums, check digits, how random it is.

/// A test of a value that has the right shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The last six characters are the CRC-32 of those behind the prefix, in base 62 (GitHub, npm).
    Crc32Base62,
    /// The last eight characters are the CRC-32 of what stands before the underscore, in hexadecimal (Grafana).
    Crc32Hex,
    /// A JSON Web Token: its head decodes to an object with `alg`.
    Jwt,
    /// The check digit of payment cards.
    Luhn,
    /// The check digits of an IBAN, and a length that its country has.
    Iban,
    /// A US social security number that could be issued.
    Ssn,
    /// The check letter of a Spanish DNI or NIE.
    SpanishId,
    /// The check digits of a Brazilian CPF.
    Cpf,
    /// The check digits of a Polish PESEL.
    Pesel,
    /// The check digit of a German tax number (Steuer-ID).
    GermanTaxId,
    /// A telephone number has seven to fifteen digits.
    Phone,
}

/// What a test says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Holds,
    /// The checksum does not fit, yet the shape is unmistakable.
    Doubtful,
    Fails,
}

impl Check {
    /// The check of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Check> {
        Some(match name {
            "crc32-base62" => Check::Crc32Base62,
            "crc32-hex" => Check::Crc32Hex,
            "jwt" => Check::Jwt,
            "luhn" => Check::Luhn,
            "iban" => Check::Iban,
            "ssn" => Check::Ssn,
            "spanish-id" => Check::SpanishId,
            "cpf" => Check::Cpf,
            "pesel" => Check::Pesel,
            "german-tax-id" => Check::GermanTaxId,
            "phone" => Check::Phone,
            _ => return None,
        })
    }

    pub(crate) fn test(self, value: &[u8]) -> Verdict {
        let digits: Vec<u32> =
            value.iter().filter(|b| b.is_ascii_digit()).map(|b| u32::from(b - b'0')).collect();
        let holds = match self {
            Check::Crc32Base62 | Check::Crc32Hex => {
                let fits = if self == Check::Crc32Hex { crc32_hex(value) } else { crc32_base62(value) };
                return if fits == Some(true) { Verdict::Holds } else { Verdict::Doubtful };
            }
            Check::Jwt => is_jwt(value),
            Check::Luhn => {
                (12..=19).contains(&digits.len()) && luhn(&digits) && digits.iter().any(|d| *d != 0)
            }
            Check::Iban => iban(value),
            Check::Ssn => ssn(&digits),
            Check::SpanishId => spanish(value),
            Check::Cpf => cpf(&digits),
            Check::Pesel => weighted(&digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1], 10),
            Check::GermanTaxId => german(&digits),
            Check::Phone => (7..=15).contains(&digits.len()) && value.len() <= 24,
        };
        if holds { Verdict::Holds } else { Verdict::Fails }
    }
}

/// How random a value is: Shannon's measure of its characters.
pub(crate) fn bits_per_character(value: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let length = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX));
    let share = |count: &u32| f64::from(*count) / length;
    counts.iter().filter(|count| **count > 0).map(|count| -share(count) * share(count).log2()).sum()
}

pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
            },
        )
    })
}

fn crc32_base62(value: &[u8]) -> Option<bool> {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let (_, body) = split(value, b'_')?;
    let (body, sum) = body.split_last_chunk::<6>()?;
    let read = sum.iter().try_fold(0_u64, |number, byte| {
        let digit = DIGITS.iter().position(|digit| digit == byte)?;
        Some(number * 62 + digit as u64)
    })?;
    Some(read == u64::from(crc32(body)))
}

fn crc32_hex(value: &[u8]) -> Option<bool> {
    let at = value.len().checked_sub(9)?;
    let (body, sum) = value.split_at_checked(at)?;
    let sum = std::str::from_utf8(sum.get(1..)?).ok()?;
    Some(u32::from_str_radix(sum, 16).ok()? == crc32(body))
}

fn split(value: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = value.iter().position(|byte| *byte == at)?;
    Some((value.get(..index)?, value.get(index + 1..)?))
}

fn is_jwt(value: &[u8]) -> bool {
    use base64::Engine;
    let head = value.split(|byte| *byte == b'.').next().unwrap_or_default();
    let decoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head).unwrap_or_default();
    serde_json::from_slice::<serde_json::Value>(&decoded).is_ok_and(|head| head.get("alg").is_some())
}

fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match digit * 2 {
            _ if at.is_multiple_of(2) => *digit,
            double if double > 9 => double - 9,
            double => double,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// How long the IBANs of a country are.
const IBAN_LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NL", 18),
    ("NO", 15),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("SA", 24),
    ("SC", 31),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
];

fn iban(value: &[u8]) -> bool {
    let text: Vec<u8> =
        value.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_uppercase).collect();
    let Some((head, tail)) = text.split_first_chunk::<4>() else { return false };
    let fits =
        |(country, length): &(&str, usize)| head.starts_with(country.as_bytes()) && *length == text.len();
    if !IBAN_LENGTHS.iter().any(fits) {
        return false;
    }
    let remainder = tail.iter().chain(head).fold(0_u32, |sum, byte| match byte {
        b'0'..=b'9' => (sum * 10 + u32::from(byte - b'0')) % 97,
        letter => (sum * 100 + u32::from(letter - b'A') + 10) % 97,
    });
    remainder == 1
}

fn ssn(digits: &[u32]) -> bool {
    let number = |range: std::ops::Range<usize>| {
        digits.get(range).unwrap_or_default().iter().fold(0, |sum, digit| sum * 10 + digit)
    };
    let (area, group, serial) = (number(0..3), number(3..5), number(5..9));
    digits.len() == 9 && area != 0 && area != 666 && area < 900 && group != 0 && serial != 0
}

fn spanish(value: &[u8]) -> bool {
    const LETTERS: &[u8] = b"TRWAGMYFPDXBNJZSQVHLCKE";
    let text: Vec<u8> =
        value.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_uppercase).collect();
    let Some((letter, number)) = text.split_last() else { return false };
    let digits: Vec<u8> = number
        .iter()
        .map(|byte| match byte {
            b'X' => b'0',
            b'Y' => b'1',
            b'Z' => b'2',
            other => *other,
        })
        .collect();
    let number: Option<usize> = std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok());
    text.len() == 9 && number.is_some_and(|number| LETTERS.get(number % 23) == Some(letter))
}

fn cpf(digits: &[u32]) -> bool {
    let digit = |length: usize| {
        let weights = (2..=length as u32 + 1).rev();
        let sum: u32 = digits.iter().take(length).zip(weights).map(|(digit, weight)| digit * weight).sum();
        (sum * 10 % 11) % 10
    };
    let all_same = digits.windows(2).all(|pair| pair.first() == pair.last());
    digits.len() == 11 && !all_same && digits.get(9) == Some(&digit(9)) && digits.get(10) == Some(&digit(10))
}

fn weighted(digits: &[u32], weights: &[u32], modulus: u32) -> bool {
    let sum: u32 = digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum();
    digits.len() == weights.len() && sum.is_multiple_of(modulus) && digits.iter().any(|digit| *digit != 0)
}

fn german(digits: &[u32]) -> bool {
    let product = digits.iter().take(10).fold(10, |product, digit| {
        let sum = (product + digit) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    let check = (11 - product) % 10;
    digits.len() == 11 && digits.first() != Some(&0) && digits.get(10) == Some(&check)
}
