//! JSON's numbers as Cedar's: whole ones of 64 bits, and decimals with four digits after the point.

/// Digits after the point that a decimal has.
const DECIMALS: i32 = 4;

/// A number as it is written, without its sign's, point's and exponent's form: `digits × 10^exponent`.
struct Written {
    negative: bool,
    digits: String,
    exponent: i32,
}

/// The number as a whole one; `None` when it is none, or is beyond 64 bits.
pub(crate) fn whole(text: &str) -> Option<i64> {
    scaled(text, 0)
}

/// The number as the text of a decimal; `None` when it has more digits than a decimal can hold.
pub(crate) fn decimal(text: &str) -> Option<String> {
    let scaled = scaled(text, DECIMALS)?;
    let sign = if scaled < 0 { "-" } else { "" };
    let scaled = scaled.unsigned_abs();
    Some(format!("{sign}{}.{:04}", scaled / 10_000, scaled % 10_000))
}

/// The number times ten to the power of `places`, when that is whole and has 64 bits.
fn scaled(text: &str, places: i32) -> Option<i64> {
    let Written { negative, digits, exponent } = written(text)?;
    let mut digits = digits.trim_start_matches('0').to_owned();
    if digits.is_empty() {
        return Some(0);
    }
    let exponent = exponent.checked_add(places)?;
    // No number of 64 bits has more digits.
    if !(0..=19).contains(&exponent) {
        return None;
    }
    digits.extend((0..exponent).map(|_| '0'));
    let sign = if negative { "-" } else { "" };
    format!("{sign}{digits}").parse().ok()
}

fn written(text: &str) -> Option<Written> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{integer}{fraction}");
    if integer.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    // The zeros at the end belong to the exponent, or `1.0` would have a fraction.
    let short = digits.trim_end_matches('0');
    let exponent = exponent.checked_add(i32::try_from(digits.len() - short.len()).ok()?)?;
    Some(Written { negative, digits: short.to_owned(), exponent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_exact_or_nothing() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("0e999999999", Some(0)),
            ("12", Some(12)),
            ("1.0", Some(1)),
            ("1e3", Some(1000)),
            ("1200e-2", Some(12)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("18446744073709551616", None),
            ("1e19", None),
            ("1e999999999999", None),
            ("1.5", None),
            ("1e-1", None),
            ("1e-2147483648", None),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
    }

    #[test]
    fn decimals_are_exact_or_nothing() {
        for (text, expected) in [
            ("0", Some("0.0000")),
            ("1.5", Some("1.5000")),
            ("-0.0001", Some("-0.0001")),
            ("1e-4", Some("0.0001")),
            ("1e-5", None),
            ("0.12345", None),
            ("0.123400", Some("0.1234")),
            ("922337203685477.5807", Some("922337203685477.5807")),
            ("922337203685477.5808", None),
            ("-922337203685477.5808", Some("-922337203685477.5808")),
            ("1e300", None),
        ] {
            assert_eq!(decimal(text).as_deref(), expected, "{text}");
        }
    }
}
