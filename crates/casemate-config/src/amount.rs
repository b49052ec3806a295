//! Times and sizes as people write them: `30s`, `5m`, `16MiB`.

#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::time::Duration;

use casemate_gateway::snapshot::Rate;

use crate::problem::{Fault, quoted};

const TIMES: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZES: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads a time such as `250ms`, `30s`, `5m`, `1h` or `2d`.
pub(crate) fn time(text: &str) -> Result<Duration, Fault> {
    read(text, TIMES).map(Duration::from_millis).ok_or_else(|| {
        Fault::new(format!("{} is not a time", quoted(text)))
            .hint("a whole number and a unit: 250ms, 30s, 5m, 1h, 2d")
    })
}

/// Reads a size in bytes such as `64KiB` or `16MiB`.
pub(crate) fn size(text: &str) -> Result<u64, Fault> {
    read(text, SIZES).ok_or_else(|| {
        let binary = text.strip_suffix("iB").or(text.strip_suffix('B')).unwrap_or(text);
        let guess = format!("{}iB", binary.to_uppercase());
        let hint = match read(&guess, SIZES) {
            Some(_) => format!("did you mean {guess:?}? 1 KiB is 1024 bytes"),
            None => "a whole number and a unit: 512B, 64KiB, 16MiB, 1GiB".to_owned(),
        };
        Fault::new(format!("{} is not a size", quoted(text))).hint(hint)
    })
}

/// What a rate may be within.
const PERIODS: &[(&str, u64)] = &[("s", 1), ("m", 60), ("h", 3600), ("day", 86_400)];

/// Reads a rate such as `100/s`, `30/m`, `500/h` or `1000/day`.
pub(crate) fn rate(text: &str) -> Result<Rate, Fault> {
    let read = || {
        let (count, unit) = text.split_once('/')?;
        let (_, seconds) = PERIODS.iter().find(|(name, _)| *name == unit.trim())?;
        let count = plain(count)?.try_into().ok().and_then(NonZeroU32::new)?;
        Some(Rate { count, per: Duration::from_secs(*seconds) })
    };
    read().ok_or_else(|| {
        Fault::new(format!("{} is not a rate", quoted(text)))
            .hint("a whole number and a time: 100/s, 30/m, 500/h, 1000/day")
    })
}

/// Writes a rate as a configuration would have it.
pub(crate) fn show_rate(rate: Rate) -> String {
    let unit = PERIODS.iter().find(|(_, seconds)| *seconds == rate.per.as_secs());
    format!("{}/{}", rate.count, unit.map_or("s", |(name, _)| name))
}

/// Reads what may be used in a day, such as `1000/day`.
pub(crate) fn budget(text: &str) -> Result<u64, Fault> {
    let read = || text.strip_suffix("/day").and_then(plain).filter(|count| *count > 0);
    read().ok_or_else(|| {
        Fault::new(format!("{} is not a budget for a day", quoted(text)))
            .hint("a whole number a day: 1000/day")
    })
}

fn plain(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Reads a plain number with at most three decimals, in thousandths.
pub(crate) fn millis(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 3 || !digits(whole) || !digits(fraction) {
        return None;
    }
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(format!("{fraction:0<3}").parse().ok()?)
}

/// Writes thousandths as a plain number, as a configuration would have it.
#[must_use]
pub fn show_millis(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Writes a time with the largest unit that divides it, as a configuration would have it.
#[must_use]
pub fn show_time(time: Duration) -> String {
    show(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), TIMES)
}

/// Writes a size in bytes with the largest unit that divides it, as a configuration would have it.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    show(bytes, SIZES)
}

fn read(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let fitting = units.iter().rev().find(|(_, factor)| amount >= *factor && amount.is_multiple_of(*factor));
    match fitting.or(units.first()) {
        Some((unit, factor)) => format!("{}{unit}", amount / factor),
        None => amount.to_string(),
    }
}
