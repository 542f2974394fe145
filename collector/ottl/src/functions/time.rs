//! Instants, lengths of time and their texts.
//!
//! The calendar is our own, since a [`crate::Time`] reaches further than the years of the time zone
//! database; zones come from the machine's database, or from the one in the binary where there is none.

pub mod calendar;
pub mod duration;
pub mod format;
pub mod locale;
pub mod strptime;

pub use calendar::Calendar;
pub use format::Layout;

use crate::Time;

/// Seconds from the beginning of year 1 to 1970.
const UNIX_EPOCH_SINCE_YEAR_ONE: i128 = 62_135_596_800;

/// Nanoseconds in a second.
pub(crate) const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// Rounds down to a multiple of a length since the beginning of year 1; a length that is not positive
/// changes nothing.
pub fn truncate(time: Time, nanos: i64) -> Time {
    if nanos <= 0 {
        return time;
    }
    let since_year_one = time.unix_nanos + UNIX_EPOCH_SINCE_YEAR_ONE * NANOS_PER_SECOND;
    let unix_nanos = time.unix_nanos - since_year_one.rem_euclid(i128::from(nanos));
    Time { unix_nanos, ..time }
}

/// The instant so many seconds and nanoseconds after 1970.
pub fn unix_nanos(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds) * NANOS_PER_SECOND + i128::from(nanoseconds)
}

/// Whole units of so many nanoseconds since 1970, rounded down. What 64 bits cannot hold wraps, as in Go.
pub fn since_unix_epoch(time: &Time, unit_nanos: i64) -> i64 {
    time.unix_nanos.div_euclid(i128::from(unit_nanos)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncates_since_year_one() {
        let day = 86_400_000_000_000;
        let cases = [
            (1_700_000_000_123_456_789, 1_000_000_000, 1_700_000_000_000_000_000),
            (-1, day, -i128::from(day)),
            (5, 0, 5),
            (5, -3, 5),
            // Weeks begin with a Monday, since year 1 did.
            (1_700_000_000_000_000_000, 7 * day, 1_699_833_600_000_000_000),
        ];
        for (nanos, length, expected) in cases {
            let time = Time { unix_nanos: nanos, ..Time::utc(0) };
            assert_eq!(truncate(time, length).unix_nanos, expected);
        }
    }

    #[test]
    fn counts_down_before_1970() {
        let time = Time::utc(-1);
        assert_eq!(
            (
                since_unix_epoch(&time, 1),
                since_unix_epoch(&time, 1_000),
                since_unix_epoch(&time, 1_000_000_000)
            ),
            (-1, -1, -1)
        );
        assert_eq!(unix_nanos(i64::MAX, 5), i128::from(i64::MAX) * 1_000_000_000 + 5);
    }
}
