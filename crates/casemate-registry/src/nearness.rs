//! Which of many versions somebody may have meant.

/// How many are told.
const TOLD_MAX: usize = 5;

/// The versions nearest to one that does not exist, the nearest first: those that agree with it in more of the leading
/// numbers, then those whose next number is closer.
pub(crate) fn nearest(versions: &[String], wanted: &str) -> Vec<String> {
    let target = numbers(wanted);
    let mut ranked: Vec<((usize, u64), &String)> =
        versions.iter().map(|version| (distance(&numbers(version), &target), version)).collect();
    // Of equally near ones the later in the list is the newer.
    ranked.reverse();
    ranked.sort_by_key(|(distance, _)| *distance);
    ranked.into_iter().take(TOLD_MAX).map(|(_, version)| version.clone()).collect()
}

fn numbers(version: &str) -> Vec<u64> {
    let digits = version.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    digits.map(|part| part.parse().unwrap_or(u64::MAX)).collect()
}

/// How many places differ from the first difference on, and by how much they differ there.
fn distance(version: &[u64], target: &[u64]) -> (usize, u64) {
    let at = |numbers: &[u64], place: usize| numbers.get(place).copied().unwrap_or(0);
    let length = version.len().max(target.len());
    let first = (0..length).find(|place| at(version, *place) != at(target, *place));
    first.map_or((0, 0), |place| (length - place, at(version, place).abs_diff(at(target, place))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_first() {
        let versions = ["0.9.0", "1.0.0", "1.2.0", "1.2.4", "1.3.0", "2.0.0", "2.2.3"].map(str::to_owned);
        assert_eq!(nearest(&versions, "1.2.3"), ["1.2.4", "1.2.0", "1.3.0", "1.0.0", "2.2.3"]);
        assert_eq!(nearest(&versions[..2], "9.9.9"), ["1.0.0", "0.9.0"]);
        assert!(nearest(&[], "1").is_empty());
        assert_eq!(nearest(&["99999999999999999999.0".to_owned()], "1"), ["99999999999999999999.0"]);
    }
}
