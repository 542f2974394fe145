//! Times that come again, as cron writes them: minute, hour, day of the month, month, day of the week; in UTC.
//!
//! Each field is `*`, a number, a range `a-b`, a step `*/n` or `a-b/n`, or a list of these; months and days of the week
//! may be named by their first three letters, and 7 is Sunday, too. Where both days are restricted, either is enough, as
//! in Vixie's cron. `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` stand for what they say.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// Days that are looked at for the next time: a 29th of February comes within eight years.
const HORIZON_DAYS: usize = 8 * 366;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const NICKNAMES: [(&str, &str); 6] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// When something comes again. Each field is a set of bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    month_days: u64,
    months: u64,
    week_days: u64,
    /// Whether both days are restricted, so that either is enough.
    either_day: bool,
}

impl Cron {
    /// Reads `text`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Cron, String> {
        let text = text.trim();
        let nickname = NICKNAMES.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
        let text = nickname.map_or(text, |(_, meaning)| meaning);
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minutes, hours, month_days, months, week_days] = fields[..] else {
            let count = fields.len();
            return Err(format!("must have 5 fields (minute hour day month weekday), and has {count}"));
        };
        let mut week = field("weekday", week_days, 0, 7, 0, &DAYS)?;
        if week & 1 << 7 != 0 {
            week = week & !(1 << 7) | 1;
        }
        let cron = Cron {
            minutes: field("minute", minutes, 0, 59, 0, &[])?,
            hours: field("hour", hours, 0, 23, 0, &[])?,
            month_days: field("day", month_days, 1, 31, 0, &[])?,
            months: field("month", months, 1, 12, 1, &MONTHS)?,
            week_days: week,
            either_day: !month_days.starts_with('*') && !week_days.starts_with('*'),
        };
        match cron.next_after(0) {
            Some(_) => Ok(cron),
            None => Err("never comes".to_owned()),
        }
    }

    /// The next time after `now`, both in milliseconds since 1970; none where there is none that a date can name.
    pub fn next_after(&self, now: i64) -> Option<i64> {
        let start = TimeZone::UTC.to_datetime(Timestamp::from_millisecond(now).ok()?);
        let (mut date, time) = (start.date(), start.time());
        // Minutes of the first day up to this one are over.
        let mut from =
            usize::from(time.hour().unsigned_abs()) * 60 + usize::from(time.minute().unsigned_abs()) + 1;
        for _ in 0..HORIZON_DAYS {
            if self.is_day(date)
                && let Some(minute) = (from..24 * 60).find(|minute| self.is_minute(*minute))
            {
                let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
                let found = TimeZone::UTC.to_timestamp(date.at(hour, minute, 0, 0)).ok()?;
                return Some(found.as_millisecond());
            }
            date = date.checked_add(1.day()).ok()?;
            from = 0;
        }
        None
    }

    fn is_day(&self, date: Date) -> bool {
        let has = |set: u64, number: i8| set & 1 << number != 0;
        let by_month = has(self.month_days, date.day());
        let by_week = has(self.week_days, date.weekday().to_sunday_zero_offset());
        has(self.months, date.month())
            && if self.either_day { by_month || by_week } else { by_month && by_week }
    }

    fn is_minute(&self, minute: usize) -> bool {
        self.hours & 1 << (minute / 60) != 0 && self.minutes & 1 << (minute % 60) != 0
    }
}

/// One field: `names` stand for numbers from `first_name` on.
fn field(
    what: &str,
    text: &str,
    low: u32,
    high: u32,
    first_name: u32,
    names: &[&str],
) -> Result<u64, String> {
    let wrong =
        |part: &str| format!("{what} {part:?} must be within {low} to {high}, `*`, a range or a step");
    let number = |word: &str| -> Result<u32, String> {
        let named = names.iter().zip(first_name..).find(|(name, _)| word.eq_ignore_ascii_case(name));
        let read = named.map(|(_, number)| number).or_else(|| word.parse().ok());
        let is_plain = named.is_some() || word.bytes().all(|byte| byte.is_ascii_digit());
        read.filter(|number| is_plain && (low..=high).contains(number)).ok_or_else(|| wrong(word))
    };
    let mut set = 0;
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            None => (part, 1),
            Some((range, step)) => match step.parse::<u32>() {
                Ok(step @ 1..=60) => (range, step),
                _ => return Err(wrong(part)),
            },
        };
        let (from, until) = match range.split_once('-') {
            _ if range == "*" => (low, if high == 7 { 6 } else { high }),
            Some((from, until)) => (number(from)?, number(until)?),
            // A step from one number on goes to the end.
            None if part.contains('/') => (number(range)?, high),
            None => (number(range)?, number(range)?),
        };
        if from > until {
            return Err(wrong(part));
        }
        for one in (from..=until).step_by(step as usize) {
            set |= 1 << one;
        }
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{parse_rfc3339, rfc3339};

    #[test]
    fn the_next_time_is_found() {
        // 2026-11-27 is a Friday.
        let now = "2026-11-27T12:00:30Z";
        for (cron, from, expected) in [
            ("* * * * *", now, "2026-11-27T12:01:00Z"),
            ("0 12 * * *", now, "2026-11-28T12:00:00Z"),
            ("0 12 * * *", "2026-11-27T11:59:59.999Z", "2026-11-27T12:00:00Z"),
            ("0 12 * * *", "2026-11-27T12:00:00Z", "2026-11-28T12:00:00Z"),
            ("*/20 * * * *", now, "2026-11-27T12:20:00Z"),
            ("50/5 12 * * *", now, "2026-11-27T12:50:00Z"),
            ("5,10-12 3-5/2 * * *", now, "2026-11-28T03:05:00Z"),
            ("0 0 31 * *", now, "2026-12-31T00:00:00Z"),
            ("0 0 29 feb *", now, "2028-02-29T00:00:00Z"),
            ("0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
            ("0 0 * * MON-fri", "2026-11-28T00:00:00Z", "2026-11-30T00:00:00Z"),
            ("0 0 * * 7", now, "2026-11-29T00:00:00Z"),
            ("0 0 13 * fri", now, "2026-12-04T00:00:00Z"),
            ("0 0 13 * fri", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"),
            ("0 0 */2 * sun", now, "2026-11-29T00:00:00Z"),
            ("@hourly", now, "2026-11-27T13:00:00Z"),
            ("@Weekly", now, "2026-11-29T00:00:00Z"),
            ("@yearly", now, "2027-01-01T00:00:00Z"),
        ] {
            let from = parse_rfc3339(from).expect(from);
            let next = Cron::parse(cron).expect(cron).next_after(from).map(rfc3339);
            assert_eq!(next.as_deref(), Some(expected), "{cron}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let cases = [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * foo *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "*/x * * * *",
            "1,,2 * * * *",
            "+1 * * * *",
            "0 0 30 2 *",
            "@never",
            "1-2-3 * * * *",
            "*-5 * * * *",
            "99999999999999999999 * * * *",
        ];
        for case in cases {
            assert!(Cron::parse(case).is_err(), "{case}");
        }
    }

    #[test]
    fn moments_beyond_all_dates_are_none() {
        let daily = Cron::parse("@daily").expect("a time");
        assert_eq!((daily.next_after(i64::MAX), daily.next_after(i64::MIN)), (None, None));
    }
}
