//! Calendar fields of an instant in its zone, and back. The calendar is Gregorian at all times.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::NANOS_PER_SECOND;
use crate::{Time, Zone};

const SECONDS_PER_DAY: i64 = 86_400;

/// What a calendar and a clock on the wall show.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    /// Astronomical: the year before 1 is 0.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// Within the second.
    pub nanosecond: u32,
    /// 0 is Sunday.
    pub weekday: u8,
    /// Seconds east of UTC.
    pub offset_seconds: i32,
    /// The abbreviation of the zone, as `CET`; empty if it has none.
    pub abbreviation: String,
}

impl Calendar {
    /// Reads the fields of an instant in its own zone.
    pub fn of(time: &Time) -> Self {
        let seconds = time.unix_nanos.div_euclid(NANOS_PER_SECOND) as i64;
        let (offset_seconds, abbreviation) = offset_at(&time.zone, seconds);
        let local = seconds.saturating_add(i64::from(offset_seconds));
        let (days, of_day) = (local.div_euclid(SECONDS_PER_DAY), local.rem_euclid(SECONDS_PER_DAY));
        let (year, month, day) = date_of(days);
        Self {
            year,
            month,
            day,
            hour: (of_day / 3600) as u8,
            minute: (of_day / 60 % 60) as u8,
            second: (of_day % 60) as u8,
            nanosecond: time.unix_nanos.rem_euclid(NANOS_PER_SECOND) as u32,
            // 1970 began with a Thursday.
            weekday: (days + 4).rem_euclid(7) as u8,
            offset_seconds,
            abbreviation,
        }
    }
}

/// Days since 1970 of a date; a day beyond its month counts on into the next.
pub fn days_of(year: i64, month: u8, day: u8) -> i64 {
    // Howard Hinnant, "chrono-compatible low-level date algorithms": years begin in March, so that the
    // leap day is the last, and repeat every 400.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn date_of(days: i64) -> (i64, u8, u8) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month as u8, day as u8)
}

/// How many days a month has.
pub fn days_in(year: i64, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The machine's zone.
#[cfg(not(test))]
fn local() -> TimeZone {
    TimeZone::system()
}

/// Expected values must not depend on the machine: those of the corpus are of one in UTC.
#[cfg(test)]
fn local() -> TimeZone {
    TimeZone::UTC
}

/// The distance from UTC in a zone at an instant, in seconds, and what the zone is then called.
pub fn offset_at(zone: &Zone, unix_seconds: i64) -> (i32, String) {
    let with_rules = |zone: &TimeZone| {
        let seconds = unix_seconds.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        let timestamp = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        let info = zone.to_offset_info(timestamp);
        (info.offset().seconds(), info.abbreviation().to_owned())
    };
    match zone {
        Zone::Utc => (0, "UTC".into()),
        Zone::Local => with_rules(&local()),
        Zone::Fixed { offset_seconds, abbreviation } => {
            (*offset_seconds, abbreviation.as_deref().unwrap_or_default().into())
        }
        Zone::Named(zone) => with_rules(zone),
    }
}

/// Turns seconds since 1970 on the wall's clock in a zone into those in UTC. A clock reading that a
/// change of offset skips or repeats is read with one of the two offsets, the one that Go takes.
pub fn to_utc(zone: &Zone, wall_seconds: i64) -> i64 {
    let (first, _) = offset_at(zone, wall_seconds);
    let utc = wall_seconds.saturating_sub(first.into());
    let (second, _) = offset_at(zone, utc);
    wall_seconds.saturating_sub(second.into())
}

/// Finds a zone by its name in the database; `""` and `UTC` are UTC, `Local` is the machine's.
pub fn zone_named(name: &str) -> Option<Zone> {
    match name {
        "" | "UTC" => Some(Zone::Utc),
        "Local" => Some(Zone::Local),
        name => TimeZone::get(name).ok().map(Zone::Named),
    }
}

/// A zone with a fixed distance from UTC.
pub fn fixed(offset_seconds: i32, abbreviation: Option<&str>) -> Zone {
    Zone::Fixed { offset_seconds, abbreviation: abbreviation.map(Arc::from) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64, zone: Zone) -> Time {
        Time { unix_nanos: i128::from(seconds) * NANOS_PER_SECOND, zone }
    }

    #[test]
    fn fields() {
        let of = |seconds| {
            let at = Calendar::of(&time(seconds, Zone::Utc));
            (at.year, at.month, at.day, at.hour, at.minute, at.second, at.weekday)
        };
        assert_eq!(of(1_700_000_000), (2023, 11, 14, 22, 13, 20, 2));
        assert_eq!(of(-1), (1969, 12, 31, 23, 59, 59, 3));
        assert_eq!(of(951_782_400), (2000, 2, 29, 0, 0, 0, 2));
        assert_eq!(of(-62_135_596_800), (1, 1, 1, 0, 0, 0, 1));
        assert_eq!(of(i64::MAX).0, 292_277_026_596);
        let before = Calendar::of(&Time { unix_nanos: -1, zone: Zone::Utc });
        assert_eq!((before.second, before.nanosecond), (59, 999_999_999));
    }

    #[test]
    fn dates_and_days_are_inverse() {
        for days in (-800_000..800_000).step_by(37) {
            let (year, month, day) = date_of(days);
            assert!(day >= 1 && day <= days_in(year, month));
            assert_eq!(days_of(year, month, day), days);
        }
        assert_eq!(days_of(2023, 2, 29), days_of(2023, 3, 1));
    }

    #[test]
    fn the_binary_has_zones_of_its_own() {
        let bundled = jiff::tz::TimeZoneDatabase::bundled();
        assert!(bundled.get("America/New_York").is_ok());
    }

    #[test]
    fn zones() {
        let new_york = zone_named("America/New_York").unwrap();
        assert_eq!(offset_at(&new_york, 1_705_000_000), (-18_000, "EST".into()));
        assert_eq!(offset_at(&new_york, 1_720_000_000), (-14_400, "EDT".into()));
        assert_eq!(offset_at(&new_york, i64::MAX).0 % 3600, 0);
        assert!(zone_named("Mars/Olympus").is_none());
        // 2024-03-10 02:30 does not exist there, 2024-11-03 01:30 comes twice.
        assert_eq!(to_utc(&new_york, 1_710_037_800), 1_710_037_800 + 14_400);
        let twice = to_utc(&new_york, 1_730_597_400);
        assert!([1_730_597_400 + 14_400, 1_730_597_400 + 18_000].contains(&twice));
        assert_eq!(offset_at(&fixed(3600, Some("X")), 0), (3600, "X".into()));
    }
}
