//! A point in time as policies write it.

const DAY_MS: u64 = 86_400_000;

/// The time as the text of a Cedar `datetime`: `2026-11-28T19:00:00.000Z`. Beyond the year 9999 it stays there.
pub(crate) fn datetime(unix_ms: u64) -> String {
    const LAST_MS: u64 = 253_402_300_799_999;
    let unix_ms = unix_ms.min(LAST_MS);
    let (year, month, day) = date(unix_ms / DAY_MS);
    let ms = unix_ms % DAY_MS;
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1000)
}

/// The civil date of a day since 1970, counted in eras of 400 years that begin in March.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Reads a time as it is written: `2026-11-28`, `2026-11-28T19:00Z`, `2026-11-28T19:00:00Z`.
pub(crate) fn read(text: &str) -> Option<u64> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00Z"));
    let mut date = date.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.strip_suffix('Z')?.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes) = (time.next()??, time.next()??);
    let seconds = time.next().unwrap_or(Some(0))?;
    if !(1970..=9999).contains(&year) || hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let days = days(year, month)?.checked_add(day.checked_sub(1)?)?;
    let is_real = self::date(days) == (year, month, day);
    is_real.then_some(days * DAY_MS + hours * 3_600_000 + minutes * 60_000 + seconds * 1000)
}

/// The days from 1970 to the first of a month.
fn days(year: u64, month: u64) -> Option<u64> {
    let (year, month) = if month > 2 { (year, month.checked_sub(3)?) } else { (year - 1, month + 9) };
    if month > 11 {
        return None;
    }
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5;
    (era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for day in 0..40_000 {
            let (year, month, of_month) = date(day);
            assert_eq!(read(&format!("{year:04}-{month:02}-{of_month:02}")), Some(day * DAY_MS));
        }
        assert_eq!(read("2026-11-28T19:00Z"), Some(1_795_892_400_000));
        assert_eq!(read("2026-11-28T19:00:01Z"), Some(1_795_892_401_000));
        for wrong in [
            "",
            "2026",
            "2026-02-30",
            "2026-13-01",
            "2026-00-01",
            "2026-01-00",
            "2026-11-28T24:00Z",
            "1969-12-31",
            "2026-11-28T19:00",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn days_have_their_dates() {
        for (unix_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_892_400_000, "2026-11-28T19:00:00.000Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(datetime(unix_ms), expected);
        }
    }
}
