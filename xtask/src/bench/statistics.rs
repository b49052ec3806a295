//! Medians and ranges.

use std::fmt;

/// The same thing measured in several rounds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    /// Adds a round.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value in the middle; NaN before the first round.
    pub(crate) fn median(&self) -> f64 {
        quantile(&self.0, 0.5)
    }

    /// The smallest and the largest value.
    pub(crate) fn range(&self) -> (f64, f64) {
        let fold = |f: fn(f64, f64) -> f64| self.0.iter().copied().fold(f64::NAN, f);
        (fold(f64::min), fold(f64::max))
    }

    /// The same rounds in another unit.
    pub(crate) fn map(&self, f: impl Fn(f64) -> f64) -> Rounds {
        self.0.iter().copied().map(f).collect()
    }

    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<f64> for Rounds {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Self {
        Rounds(values.into_iter().collect())
    }
}

/// The value below which the given part of all values lies; the middle of the two next to it.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = part * sorted.len().saturating_sub(1) as f64;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(f64::NAN);
    at(place.floor()) + (at(place.ceil()) - at(place.floor())) * place.fract()
}

/// A number with as many digits as it deserves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown(pub(crate) f64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n.is_nan() => f.write_str("–"),
            n if n.abs() >= 1e6 => {
                write!(f, "{},{:03},{:03}", n as i64 / 1_000_000, part(n, 1_000), part(n, 1))
            }
            n if n.abs() >= 1e3 => write!(f, "{},{:03}", n.round() as i64 / 1_000, part(n, 1)),
            n if n.abs() >= 100.0 => write!(f, "{n:.0}"),
            n if n.abs() >= 10.0 => write!(f, "{n:.1}"),
            n => write!(f, "{n:.2}"),
        }
    }
}

/// The three digits of a number that stand before `unit`.
fn part(number: f64, unit: i64) -> i64 {
    (number.round() as i64 / unit % 1_000).abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_values() {
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(&[1.0, 2.0], 0.5), 1.5);
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 1.0), 5.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn rounds_have_a_middle_and_ends() {
        let rounds: Rounds = [5.0, 1.0, 3.0].into_iter().collect();
        assert_eq!((rounds.median(), rounds.range()), (3.0, (1.0, 5.0)));
    }

    #[test]
    fn numbers_are_readable() {
        let shown: Vec<_> =
            [0.163, 12.34, 123.4, 18_838.2, 1_001_394.0].into_iter().map(|n| Shown(n).to_string()).collect();
        assert_eq!(shown, ["0.16", "12.3", "123", "18,838", "1,001,394"]);
    }
}
