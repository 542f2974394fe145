//! Times as Go's `encoding/json` writes them.

use std::time::{SystemTime, UNIX_EPOCH};

/// UTC in RFC 3339, with as many digits of the second as there are. Times before 1970 count as 1970.
pub(crate) fn format(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil_date(days);
    let mut text = format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        second / 3600,
        second / 60 % 60,
        second % 60
    );
    if since.subsec_nanos() > 0 {
        let digits = format!("{:09}", since.subsec_nanos());
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// Year, month and day of a number of days since 1970. After Howard Hinnant, "chrono-Compatible Low-Level
/// Date Algorithms", for days from 1970 on.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_utc_without_trailing_zeros() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_760_000_001_500_000_000, "2025-10-09T08:53:21.5Z"),
            (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
        ] {
            assert_eq!(format(UNIX_EPOCH + Duration::from_nanos(nanos)), text);
        }
    }
}
