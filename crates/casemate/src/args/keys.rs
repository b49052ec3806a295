//! API keys.

use std::time::Duration;

use casemate_mcp::names::RoleName;
use casemate_policy::Scope;
use clap::Subcommand;

/// `casemate key`
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Create a key and print it, once, alone on stdout
    Create(Create),
    /// List the keys; the keys themselves are not kept, only their hashes
    List,
    /// Revoke a key at once
    Revoke(Revoke),
}

/// `casemate key create`
#[derive(Debug, clap::Args)]
pub struct Create {
    /// What the key is for, to recognize it in lists and records
    #[arg(long, value_name = "NAME", default_value = "unnamed")]
    pub name: String,
    /// What the key may do
    #[arg(long, value_name = "ROLE", default_value = "user", value_parser = RoleName::parse)]
    pub role: RoleName,
    /// What the key may be used for, of what its role allows: a pattern such as git/get_* or wiki; may be repeated
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub scope: Vec<String>,
    /// When the key stops working: after a span such as 12h or 90d, or on a date such as 2027-01-31
    #[arg(long, value_name = "WHEN", value_parser = Expiry::parse)]
    pub expires: Option<Expiry>,
}

/// A pattern as roles have them.
fn pattern(text: &str) -> Result<String, String> {
    Scope::parse([text]).map(|_| text.to_owned()).map_err(|fault| fault.to_string())
}

/// When something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// So long after its beginning.
    After(Duration),
    /// At this time, in seconds since 1970: the first moment of a day in UTC.
    At(u64),
}

impl Expiry {
    /// The time, in seconds since 1970, for what begins `now`.
    pub fn at(self, now: u64) -> u64 {
        match self {
            Expiry::After(span) => now.saturating_add(span.as_secs()),
            Expiry::At(time) => time,
        }
    }

    /// Reads a span or a date.
    pub(super) fn parse(text: &str) -> Result<Expiry, String> {
        let wrong = || "expected a span such as 30m, 12h, 90d or 4w, or a date such as 2027-01-31".to_owned();
        if let Ok(date) = text.parse::<jiff::civil::Date>() {
            let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
            return midnight.timestamp().as_second().try_into().map(Expiry::At).map_err(|_| wrong());
        }
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = match text.strip_prefix(number) {
            Some("m") => 60,
            Some("h") => 3600,
            Some("d") => 86_400,
            Some("w") => 7 * 86_400,
            _ => return Err(wrong()),
        };
        // A thousand years is long enough, and keeps every later sum in bounds.
        let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        let seconds =
            seconds.filter(|seconds| (1..=1000 * 366 * 86_400).contains(seconds)).ok_or_else(wrong)?;
        Ok(Expiry::After(Duration::from_secs(seconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::Expiry;

    #[test]
    fn an_end_is_a_span_or_a_date() {
        let at = |text| Expiry::parse(text).map(|expiry| expiry.at(1000)).ok();
        assert_eq!(at("30m"), Some(1000 + 1800));
        assert_eq!(at("90d"), Some(1000 + 90 * 86_400));
        assert_eq!(at("1970-01-02"), Some(86_400));
        for wrong in
            ["", "d", "0d", "90", "-1d", "90 d", "1y", "1960-01-01", "2027-02-30", "99999999999999999999d"]
        {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}

/// `casemate key revoke`
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// Id of the key, as `casemate key list` shows it
    pub id: String,
}
